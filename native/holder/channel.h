// One end of a pair to a ztunnel. Nothing here waits.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "protocol.h"

enum received {
  RECEIVED_NOTHING,
  RECEIVED_MESSAGE,  // well formed; descriptors only if all HOLDER_LISTENERS came
  RECEIVED_GARBAGE,  // what came with it is closed
  RECEIVED_END,
};

// `count`: how many descriptors came, 0 or HOLDER_LISTENERS; they are the caller's.
enum received channel_receive(int fd, struct holder_message* message, int listeners[HOLDER_LISTENERS], int* count);
// With `listeners` or without. False if it does not fit now, or the other end is gone.
bool channel_send(int fd, const struct holder_message* message, const int* listeners);
