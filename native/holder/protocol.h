// What a ztunnel and its holder say to each other: one struct a message, over a SOCK_SEQPACKET pair whose end the
// ztunnel finds at the descriptor that CULVERT_HOLDER names. The addon is compiled with this file too, so there is one
// layout. Both ends are of one machine: numbers are in its byte order.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  HOLDER_MAGIC = 0x43485643,  // "CVHC"
  HOLDER_VERSION = 1,
  HOLDER_POD_BYTES = 256,
  HOLDER_NOTE_BYTES = 2048,
  HOLDER_LISTENERS = 3,
};

// The order of a pod's listeners, in `ports` and among the descriptors of a message.
enum holder_role { HOLDER_OUTBOUND, HOLDER_PLAINTEXT, HOLDER_HBONE };

enum holder_kind {
  // From a ztunnel.
  HOLDER_TAKE = 1,     // I am here: tell me what you keep. Answered by HELD for each pod, then ALL
  HOLDER_KEEP = 2,     // keep these three listeners of this pod, in place of those it had
  HOLDER_DROP = 3,     // the pod was released: close them
  HOLDER_READY = 4,    // I serve: who served before me may go
  HOLDER_REPLACE = 5,  // start my successor. Answered by REPLACING or ALONE
  // From the holder.
  HOLDER_HELD = 16,        // three listeners of a pod; also while its taker runs, for pods that another one adds
  HOLDER_ALL = 17,         // that was all; `numbers` by enum holder_number
  HOLDER_SUPERSEDED = 18,  // a successor serves: accept nothing more
  HOLDER_REPLACING = 19,   // a successor is being started
  HOLDER_ALONE = 20,       // there is none, or it failed
};

// Of ALL.
enum holder_number {
  HOLDER_NUMBER_PID,          // of the holder
  HOLDER_NUMBER_RESTARTS,     // children that died and were started again
  HOLDER_NUMBER_PREDECESSOR,  // 1 while another ztunnel serves
  HOLDER_NUMBER_PODS_MAX,     // pods that it can keep
  HOLDER_NUMBERS,
};

struct holder_message {
  uint32_t magic;
  uint16_t version;
  uint16_t kind;
  uint64_t netns_cookie;
  uint16_t family;  // AF_INET, or AF_INET6 for listeners of both
  uint16_t ports[HOLDER_LISTENERS];
  uint32_t numbers[HOLDER_NUMBERS];
  char pod[HOLDER_POD_BYTES];    // its id; ends with a NUL
  char note[HOLDER_NOTE_BYTES];  // what the ztunnel wants to read again with the listeners; never a secret
};

#ifdef __cplusplus
}
static_assert(sizeof(holder_message) == 2344, "no padding");
#else
_Static_assert(sizeof(struct holder_message) == 2344, "no padding");
#endif
