#include "kept.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static struct kept* first;
static size_t count;
static size_t limit;
static uint64_t revisions;

void kept_limit(size_t pods_max) { limit = pods_max; }
size_t kept_limit_now(void) { return limit; }
size_t kept_count(void) { return count; }

static bool option_is(int fd, int level, int option, int wanted) {
  int value = -1;
  socklen_t length = sizeof value;
  return getsockopt(fd, level, option, &value, &length) == 0 && value == wanted;
}

// What is kept is a TCP listener of that namespace and port, whatever the message says.
static bool is_listener(int fd, const struct holder_message* message, int role) {
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  if (!option_is(fd, SOL_SOCKET, SO_ACCEPTCONN, 1) || !option_is(fd, SOL_SOCKET, SO_PROTOCOL, IPPROTO_TCP) ||
      !option_is(fd, SOL_SOCKET, SO_DOMAIN, message->family) ||
      getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0 || cookie != message->netns_cookie)
    return false;
  struct sockaddr_storage address = {0};
  length = sizeof address;
  if (getsockname(fd, (struct sockaddr*)&address, &length) != 0) return false;
  // The port is at the same place in both families.
  return ntohs(((struct sockaddr_in*)&address)->sin_port) == message->ports[role];
}

static void close_all(const int listeners[HOLDER_LISTENERS]) {
  for (int i = 0; i < HOLDER_LISTENERS; ++i) close(listeners[i]);
}

static void unlink_at(struct kept** at) {
  struct kept* gone = *at;
  *at = gone->next;
  count -= 1;
  close_all(gone->listeners);
  free(gone);
}

static struct kept** find(const char* pod) {
  struct kept** at = &first;
  while (*at != NULL && strcmp((*at)->message.pod, pod) != 0) at = &(*at)->next;
  return at;
}

static const char* fault(const struct holder_message* message, const int listeners[HOLDER_LISTENERS]) {
  if (message->pod[0] == '\0') return "no pod was named";
  for (int role = 0; role < HOLDER_LISTENERS; ++role) {
    if (!is_listener(listeners[role], message, role)) return "a descriptor is not the listener that it is said to be";
  }
  if (*find(message->pod) == NULL && count >= limit) return "as many pods are kept as may be";
  return NULL;
}

const char* keep(const struct holder_message* message, const int listeners[HOLDER_LISTENERS]) {
  const char* wrong = fault(message, listeners);
  struct kept* one = wrong == NULL ? calloc(1, sizeof *one) : NULL;
  if (one == NULL) {
    close_all(listeners);
    return wrong != NULL ? wrong : "out of memory";
  }
  one->message = *message;
  one->revision = ++revisions;
  memcpy(one->listeners, listeners, sizeof one->listeners);
  struct kept** before = find(message->pod);
  if (*before != NULL) unlink_at(before);
  struct kept** end = &first;
  while (*end != NULL) end = &(*end)->next;
  *end = one;
  count += 1;
  return NULL;
}

bool drop(const char* pod, uint64_t netns_cookie) {
  struct kept** at = find(pod);
  if (*at == NULL || (*at)->message.netns_cookie != netns_cookie) return false;
  unlink_at(at);
  return true;
}

const struct kept* kept_after(uint64_t revision) {
  const struct kept* at = first;
  while (at != NULL && at->revision <= revision) at = at->next;
  return at;
}
