// What is said to each ztunnel, and what its words do.
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "children.h"
#include "kept.h"
#include "log.h"
#include "supervise.h"

enum { COMPLAINTS_MAX = 10 };

uint32_t restarts;

static void complain(struct child* child, const char* what) {
  if (child->complaints++ < COMPLAINTS_MAX) say("warn", "a message of ztunnel %d was dropped: %s", child->pid, what);
}

static void close_all(const int* listeners, int count) {
  for (int i = 0; i < count; ++i) close(listeners[i]);
}

// It serves now: whoever did so before may go, and has nothing to say about pods any more.
static void on_ready(struct child* child) {
  if (child->stage != STAGE_STARTING) return;
  struct child* before = child_in(STAGE_SERVING);
  child->stage = STAGE_SERVING;
  say("info", "ztunnel %d serves %zu pods after %lld ms", child->pid, kept_count(),
      (long long)(now_ms() - child->started_ms));
  if (before == NULL) return;
  before->stage = STAGE_LEAVING;
  child_will_hear(before, HOLDER_SUPERSEDED);
}

static const char* on_keep(struct child* child, const struct holder_message* message, const int* listeners) {
  const char* wrong = keep(message, listeners);
  const struct kept* next = kept_after(child->told);
  // It need not be told what it said itself.
  if (wrong == NULL && next != NULL && next->next == NULL) child->told = next->revision;
  return wrong;
}

static void obey(struct child* child, const struct holder_message* message, const int* listeners, int count) {
  const char* wrong = NULL;
  bool keeps = message->kind == HOLDER_KEEP && count == HOLDER_LISTENERS && child->stage != STAGE_LEAVING;
  if (!keeps) close_all(listeners, count);
  switch (message->kind) {
    case HOLDER_TAKE:
      child->takes = true;
      child->told = 0;
      child_will_hear(child, HOLDER_ALL);
      break;
    case HOLDER_KEEP:
      wrong = keeps ? on_keep(child, message, listeners) : "it keeps nothing, or does not serve any more";
      break;
    case HOLDER_DROP:
      if (child->stage != STAGE_LEAVING) drop(message->pod, message->netns_cookie);
      break;
    case HOLDER_READY:
      on_ready(child);
      break;
    case HOLDER_REPLACE:
      child_will_hear(child, replace(child) ? HOLDER_REPLACING : HOLDER_ALONE);
      break;
    default:
      wrong = "of an unknown kind";
  }
  if (wrong != NULL) complain(child, wrong);
}

void child_hear(struct child* child) {
  struct holder_message message;
  int listeners[HOLDER_LISTENERS];
  int count = 0;
  switch (channel_receive(child->fd, &message, listeners, &count)) {
    case RECEIVED_NOTHING:
      return;
    case RECEIVED_MESSAGE:
      return obey(child, &message, listeners, count);
    case RECEIVED_GARBAGE:
      return complain(child, "it is malformed");
    case RECEIVED_END:
      // It ends, or closed its side: what becomes of the process is told by SIGCHLD.
      close(child->fd);
      child->fd = -1;
  }
}

void child_will_hear(struct child* child, int kind) { child->to_say |= 1u << kind; }

// Only who has yet to serve takes listeners; who serves has them.
static const struct kept* next_pod(const struct child* child) {
  return child->takes && child->stage == STAGE_STARTING ? kept_after(child->told) : NULL;
}

bool child_owes(const struct child* child) {
  return child->fd >= 0 && (child->to_say != 0 || next_pod(child) != NULL);
}

static bool tell_pod(struct child* child, const struct kept* pod) {
  struct holder_message message = pod->message;
  message.kind = HOLDER_HELD;
  if (!channel_send(child->fd, &message, pod->listeners)) return false;
  child->told = pod->revision;
  return true;
}

static bool tell_kind(struct child* child, unsigned kind) {
  struct child* serving = child_in(STAGE_SERVING);
  struct holder_message message = {.magic = HOLDER_MAGIC, .version = HOLDER_VERSION, .kind = (uint16_t)kind};
  message.numbers[HOLDER_NUMBER_PID] = (uint32_t)getpid();
  message.numbers[HOLDER_NUMBER_RESTARTS] = restarts;
  message.numbers[HOLDER_NUMBER_PREDECESSOR] = serving != NULL && serving != child;
  message.numbers[HOLDER_NUMBER_PODS_MAX] = (uint32_t)kept_limit_now();
  if (!channel_send(child->fd, &message, NULL)) return false;
  child->to_say &= ~(1u << kind);
  return true;
}

void child_tell(struct child* child) {
  for (const struct kept* pod = next_pod(child); pod != NULL; pod = next_pod(child)) {
    if (!tell_pod(child, pod)) return;
  }
  for (unsigned kind = HOLDER_HELD; kind <= HOLDER_ALONE; ++kind) {
    if ((child->to_say & (1u << kind)) != 0 && !tell_kind(child, kind)) return;
  }
}
