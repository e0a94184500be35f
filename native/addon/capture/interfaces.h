// The interfaces of a namespace, the settings that capture changes on them, and their addresses.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "capture/netlink.h"

namespace culvert::capture {

struct Interface {
  uint32_t index = 0;
  std::string name;
  bool loopback = false;
  uint32_t rp_filter = 0;
  uint32_t accept_local = 0;
  // True where the kernel has no IPv6 or disable_ipv6 is set.
  bool ipv6_disabled = true;
};

struct InterfaceAddress {
  uint8_t family = 0;  // AF_INET, AF_INET6
  uint32_t interface = 0;
  uint8_t bytes[16] = {};
  uint8_t scope = 0;  // RT_SCOPE_*
  // Neither a secondary address nor one that may not be used yet or any more.
  bool preferred = false;
};

int ListInterfaces(Netlink& netlink, std::vector<Interface>* interfaces);
int ListAddresses(Netlink& netlink, std::vector<InterfaceAddress>* addresses);
// By netlink, since /proc/sys is read-only in a container that is not privileged. 0 or -errno.
int SetInterface(Netlink& netlink, uint32_t index, uint32_t rp_filter, uint32_t accept_local);
// 1 if the interface has a clsact queueing discipline, 0 if not, or -errno. `ingress` sits in the same place, and
// would take a filter that was meant for egress.
int HasClsact(Netlink& netlink, uint32_t index);

}  // namespace culvert::capture
