// The listeners that are kept: by pod, in the order in which they came.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "protocol.h"

struct kept {
  struct kept* next;
  // Grows with each pod that is kept: who was told of one knows all before it.
  uint64_t revision;
  struct holder_message message;
  int listeners[HOLDER_LISTENERS];
};

// At most `pods_max` from now on.
void kept_limit(size_t pods_max);
size_t kept_limit_now(void);
size_t kept_count(void);
// Takes the descriptors, whatever it returns: NULL, or what is wrong with them.
const char* keep(const struct holder_message* message, const int listeners[HOLDER_LISTENERS]);
// Closes a pod's listeners, if they are of this namespace. False if there are none.
bool drop(const char* pod, uint64_t netns_cookie);
// The first one after `revision`; NULL if there is none.
const struct kept* kept_after(uint64_t revision);
