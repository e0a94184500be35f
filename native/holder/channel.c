#include "channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

// Room for more than belongs there: what the kernel hands us is ours to close. What does not fit it closes itself.
enum { DESCRIPTORS_MAX = 16 };

static int take_descriptors(struct msghdr* header, int found[DESCRIPTORS_MAX]) {
  int count = 0;
  for (struct cmsghdr* at = CMSG_FIRSTHDR(header); at != NULL; at = CMSG_NXTHDR(header, at)) {
    if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
    int here = (int)((at->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < here; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(at) + (size_t)i * sizeof fd, sizeof fd);
      if (count < DESCRIPTORS_MAX) {
        found[count++] = fd;
      } else {
        close(fd);
      }
    }
  }
  return count;
}

static bool well_formed(const struct holder_message* message, ssize_t length, int flags, int descriptors) {
  return length == (ssize_t)sizeof *message && (flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 &&
         message->magic == HOLDER_MAGIC && message->version == HOLDER_VERSION &&
         (descriptors == 0 || descriptors == HOLDER_LISTENERS) &&
         memchr(message->pod, '\0', sizeof message->pod) != NULL &&
         memchr(message->note, '\0', sizeof message->note) != NULL;
}

// Nothing was read: the other end is closed, or its message was empty.
static enum received end_or_empty(int fd) {
  struct pollfd polled = {.fd = fd, .events = POLLRDHUP};
  return poll(&polled, 1, 0) == 1 ? RECEIVED_END : RECEIVED_GARBAGE;
}

enum received channel_receive(int fd, struct holder_message* message, int listeners[HOLDER_LISTENERS], int* count) {
  union {
    char bytes[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
    struct cmsghdr align;
  } control;
  memset(message, 0, sizeof *message);
  struct iovec body = {message, sizeof *message};
  struct msghdr header = {
      .msg_iov = &body, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  *count = 0;
  ssize_t length = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0) return errno == EAGAIN || errno == EINTR ? RECEIVED_NOTHING : RECEIVED_END;
  int found[DESCRIPTORS_MAX];
  int descriptors = take_descriptors(&header, found);
  if (length == 0 && descriptors == 0) return end_or_empty(fd);
  if (!well_formed(message, length, header.msg_flags, descriptors)) {
    for (int i = 0; i < descriptors; ++i) close(found[i]);
    return RECEIVED_GARBAGE;
  }
  memcpy(listeners, found, (size_t)descriptors * sizeof(int));
  *count = descriptors;
  return RECEIVED_MESSAGE;
}

bool channel_send(int fd, const struct holder_message* message, const int* listeners) {
  union {
    char bytes[CMSG_SPACE(HOLDER_LISTENERS * sizeof(int))];
    struct cmsghdr align;
  } control = {0};
  struct iovec body = {(void*)message, sizeof *message};
  struct msghdr header = {.msg_iov = &body, .msg_iovlen = 1};
  if (listeners != NULL) {
    header.msg_control = control.bytes;
    header.msg_controllen = sizeof control.bytes;
    struct cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(HOLDER_LISTENERS * sizeof(int));
    memcpy(CMSG_DATA(rights), listeners, HOLDER_LISTENERS * sizeof(int));
  }
  return sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)sizeof *message;
}
