#include "supervise.h"

#include <signal.h>
#include <sys/wait.h>

#include "children.h"
#include "kept.h"
#include "log.h"
#include "protocol.h"

enum {
  STEADY_MS = 10000,  // one that lived for so long is no reason to wait before the next
  PAUSE_MS_MIN = 100,
  PAUSE_MS_MAX = 5000,
};

static bool stopping;
static bool has_served;
static bool over;
static int final_status;
static int failures;          // of children in a row that did not live long
static int64_t start_at = -1;  // when the next is to be started; -1: never

static int64_t pause_after(int failed) {
  if (failed <= 1) return 0;
  int64_t pause = PAUSE_MS_MIN;
  for (int i = 2; i < failed && pause < PAUSE_MS_MAX; ++i) pause *= 2;
  return pause < PAUSE_MS_MAX ? pause : PAUSE_MS_MAX;
}

void supervise_start(void) { start_at = now_ms(); }

bool replace(struct child* asker) {
  if (stopping || (asker != NULL && asker->stage != STAGE_SERVING)) return false;
  if (child_in(STAGE_STARTING) != NULL || start_at >= 0) return true;
  return child_start() != NULL;
}

void supervise_stop(int signal) {
  stopping = true;
  start_at = -1;
  say("info", "%s: stopping", signal == SIGINT ? "SIGINT" : "SIGTERM");
  children_signal(signal);
  if (children_count() == 0) over = true;
}

static void say_end(pid_t pid, int status) {
  if (WIFSIGNALED(status)) {
    say("warn", "ztunnel %d was killed by signal %d", pid, WTERMSIG(status));
  } else {
    say(WEXITSTATUS(status) == 0 ? "info" : "warn", "ztunnel %d has ended with %d", pid, WEXITSTATUS(status));
  }
}

static int as_exit_code(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

// Nobody serves and nobody is about to.
static void start_again(int64_t lived_ms) {
  failures = lived_ms >= STEADY_MS ? 0 : failures + 1;
  int64_t pause = pause_after(failures);
  restarts += 1;
  start_at = now_ms() + pause;
  say("info", "%zu pods wait in their listeners; a ztunnel is started in %lld ms", kept_count(), (long long)pause);
}

void supervise_ended(pid_t pid, int status) {
  struct child* child = child_of(pid);
  if (child == NULL) return;  // an orphan that became ours as process 1
  enum stage stage = child->stage;
  int64_t lived_ms = now_ms() - child->started_ms;
  say_end(pid, status);
  child_forget(child);
  if (stage == STAGE_SERVING) has_served = true;
  if (stopping) {
    if (stage == STAGE_SERVING || !has_served) final_status = as_exit_code(status);
    if (children_count() == 0) over = true;
    return;
  }
  struct child* serving = child_in(STAGE_SERVING);
  if (stage == STAGE_LEAVING) return;
  if (serving != NULL) {
    say("error", "the successor failed: ztunnel %d goes on", serving->pid);
    child_will_hear(serving, HOLDER_ALONE);
    return;
  }
  if (child_in(STAGE_STARTING) != NULL) return;
  // It never came up and nothing would be lost: whoever started us is to see why.
  if (!has_served && kept_count() == 0 && WIFEXITED(status)) {
    final_status = WEXITSTATUS(status);
    over = true;
    return;
  }
  start_again(lived_ms);
}

int supervise_due(void) {
  if (start_at < 0) return -1;
  int64_t left = start_at - now_ms();
  if (left > 0) return (int)left;
  start_at = -1;
  // Out of processes or memory: later again.
  if (child_start() == NULL) start_at = now_ms() + PAUSE_MS_MAX;
  return start_at < 0 ? -1 : PAUSE_MS_MAX;
}

bool supervise_over(int* status) {
  *status = final_status;
  return over;
}
