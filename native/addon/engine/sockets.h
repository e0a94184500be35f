// The kinds of socket that the engine makes. Each function returns 0 or an errno and is called inside the pod's
// network namespace (NetnsScope).
#pragma once

#include <cstdint>

#include "address.h"
#include "fd.h"
#include "source_ports.h"

namespace culvert {

/** How long the kernel waits for a tunnel's peer; longer than the engine, which knows what to count it as. */
constexpr int kUserTimeoutMs = 30000;

/** A listener on an ephemeral port: both families in one socket if `ipv6`. What it is set to, accepted ones inherit. */
int Listen(bool ipv6, uint32_t mark, Fd* out);
/**
 * A listener that an earlier process made: `out` becomes another descriptor of it. EINVAL unless it is one of this
 * namespace, family and mark, that is transparent and shared with nobody.
 */
int InheritListener(int listener, bool ipv6, uint32_t mark, Fd* out);
/** Starts connecting to another machine. `tunnel` also bounds how long unacknowledged bytes may wait. */
int DialPeer(const Address& to, uint32_t mark, bool tunnel, Fd* out);
/**
 * Starts connecting to the pod's own application over lo, unmarked, as `source` (family 0: as the pod itself).
 * The claim holds the 4-tuple and must live as long as the socket.
 */
int DialApplication(const Address& to, const Address& source, SourcePorts& ports, Fd* out, SourcePorts::Claim* claim);
/** For sockets, and listeners of sockets, whose other end is on the same machine. */
void ExpectNoLoss(int fd);
/** Makes the next close() a reset that drops what was not sent. */
void ResetOnClose(int fd);
/** SO_ERROR, cleared by reading. */
int TakeSocketError(int fd);

}  // namespace culvert
