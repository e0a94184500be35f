// Work that must be done inside another network namespace.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/fd.h"

namespace culvert::capture {

// Runs `work` on a short-lived thread that entered `netns`, and returns what it returned, or -errno. The thread ends
// inside the namespace: nothing has to be restored, so nothing can fail to be. Sockets made there belong to it.
int InNetns(int netns, const std::function<int()>& work);

// A descriptor of a new, empty network namespace, which lives as long as the descriptor; -errno on failure.
int ScratchNetns();

// TCP sockets of the namespace but those in TIME_WAIT, listening ones included, of both families; or -errno. The kernel
// keeps the sum: asking does not walk a table.
int64_t CountTcpSockets(int netns);

// SO_NETNS_COOKIE: names the namespace for good, unlike its inode number. Returns 0 or -errno.
int NetnsCookie(int netns, unsigned long long* cookie);

}  // namespace culvert::capture
