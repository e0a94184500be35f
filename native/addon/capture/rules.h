// Policy rules and routes as values, and the netlink messages for them.
#pragma once

#include <cstdint>
#include <vector>

#include "capture/netlink.h"

namespace culvert::capture {

// An address block of the rule's family, network order; `length` 0 means any.
struct Block {
  uint8_t bytes[16] = {};
  uint8_t length = 0;
};

// Inclusive; 0-0 means any.
struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;
};

struct Rule {
  uint8_t family = 0;  // AF_INET, AF_INET6
  uint32_t priority = 0;
  uint8_t action = 0;      // FR_ACT_*
  uint32_t table = 0;      // of FR_ACT_TO_TBL
  uint32_t target = 0;     // of FR_ACT_GOTO
  uint32_t mark = 0;       // 0: any
  uint8_t ip_protocol = 0;  // 0: any
  Block destination;
  PortRange source_ports;
  PortRange destination_ports;
  uint8_t origin = 0;  // RTPROT_*: who made it
  // Says something that this struct has no field for, so that it is none of ours.
  bool foreign = false;
};

struct Route {
  uint8_t family = 0;
  uint32_t table = 0;
  uint32_t interface = 0;
  Block destination;
  uint8_t source[16] = {};
  bool has_source = false;
  uint8_t origin = 0;
  uint8_t type = 0;  // RTN_*
};

// 0 or -errno; -EEXIST if the rule is there already.
int AddRule(Netlink& netlink, const Rule& rule);
// 0 or -errno; -ENOENT if there is no such rule.
int DeleteRule(Netlink& netlink, const Rule& rule);
int ListRules(Netlink& netlink, uint8_t family, std::vector<Rule>* rules);

// Adds or replaces. 0 or -errno.
int PutRoute(Netlink& netlink, const Route& route);
// 0 or -errno; -ESRCH if there is no such route.
int DeleteRoute(Netlink& netlink, const Route& route);
int ListRoutes(Netlink& netlink, uint8_t family, uint32_t table, std::vector<Route>* routes);

}  // namespace culvert::capture
