// A pod as the engine knows it: a namespace, an identity's name, three listeners.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "fd.h"
#include "route_cache.h"
#include "source_ports.h"

namespace culvert {

class Acceptor;

struct Pod {
  std::string id;
  std::string tls_identity;
  Fd netns;
  /** The thread that accepts for this pod. */
  int thread = 0;

  /** Closed by that thread; the numbers stay readable for who asks again. */
  Fd outbound;
  Fd plaintext;
  Fd hbone;
  int outbound_number = -1;
  int plaintext_number = -1;
  int hbone_number = -1;
  /** Owned by that thread. */
  std::unique_ptr<Acceptor> acceptors[3];

  /** Of outbound connections; that thread's alone. */
  RouteCache routes;

  std::shared_ptr<SourcePorts> ports = std::make_shared<SourcePorts>();
  std::atomic<int> undecided{0};
  /** Set once: no new connection and no new tunnel. */
  std::atomic<bool> removed{false};

  /** A delivery to one of these would come back as a new connection, for ever. */
  bool IsListenerPort(uint16_t port) const {
    return port == listener_ports[0] || port == listener_ports[1] || port == listener_ports[2];
  }
  uint16_t listener_ports[3] = {};

  Pod();
  ~Pod();
};

}  // namespace culvert
