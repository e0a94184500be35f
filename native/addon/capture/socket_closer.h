// Ends existing TCP connections of a namespace from outside the processes that own them.
#pragma once

#include <cstdint>

namespace culvert::capture {

// Aborts every connection in `netns` whose socket has this mark: its owner gets ECONNABORTED, its peer a reset.
// Listeners and what is in TIME_WAIT are left alone. Returns how many were aborted, or -errno; EOPNOTSUPP says that the
// kernel was built without CONFIG_INET_DIAG_DESTROY.
int64_t CloseConnections(int netns, uint32_t mark);

}  // namespace culvert::capture
