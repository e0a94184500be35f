#include "capture/rules.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

namespace culvert::capture {

static size_t AddressBytes(uint8_t family) { return family == AF_INET6 ? 16 : 4; }

static void PutPorts(nlmsghdr* message, uint16_t attribute, const PortRange& ports) {
  if (ports.first == 0) return;
  fib_rule_port_range range = {ports.first, ports.last};
  mnl_attr_put(message, attribute, sizeof(range), &range);
}

static int ChangeRule(Netlink& netlink, const Rule& rule, uint16_t type, uint16_t flags) {
  Request request(type, flags);
  auto* header = request.Header<fib_rule_hdr>();
  header->family = rule.family;
  header->action = rule.action;
  header->dst_len = rule.destination.length;
  nlmsghdr* message = request.message();
  mnl_attr_put_u32(message, FRA_PRIORITY, rule.priority);
  if (rule.action == FR_ACT_TO_TBL) mnl_attr_put_u32(message, FRA_TABLE, rule.table);
  if (rule.action == FR_ACT_GOTO) mnl_attr_put_u32(message, FRA_GOTO, rule.target);
  if (rule.mark != 0) mnl_attr_put_u32(message, FRA_FWMARK, rule.mark);
  if (rule.ip_protocol != 0) mnl_attr_put_u8(message, FRA_IP_PROTO, rule.ip_protocol);
  if (rule.destination.length != 0)
    mnl_attr_put(message, FRA_DST, AddressBytes(rule.family), rule.destination.bytes);
  PutPorts(message, FRA_SPORT_RANGE, rule.source_ports);
  PutPorts(message, FRA_DPORT_RANGE, rule.destination_ports);
  if (rule.origin != 0) mnl_attr_put_u8(message, FRA_PROTOCOL, rule.origin);
  return netlink.Change(request);
}

int AddRule(Netlink& netlink, const Rule& rule) {
  return ChangeRule(netlink, rule, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL);
}

int DeleteRule(Netlink& netlink, const Rule& rule) { return ChangeRule(netlink, rule, RTM_DELRULE, 0); }

static PortRange ReadPorts(const nlattr* attribute) {
  fib_rule_port_range range;
  memcpy(&range, mnl_attr_get_payload(attribute), sizeof(range));
  return {range.start, range.end};
}

static Rule ReadRule(const nlmsghdr* message) {
  const auto* header = static_cast<const fib_rule_hdr*>(mnl_nlmsg_get_payload(message));
  Rule rule;
  rule.family = header->family;
  rule.action = header->action;
  rule.table = header->table;
  rule.destination.length = header->dst_len;
  rule.foreign = header->src_len != 0 || header->tos != 0 || (header->flags & FIB_RULE_INVERT) != 0;
  EachAttribute(message, sizeof(fib_rule_hdr), [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case FRA_PRIORITY: rule.priority = mnl_attr_get_u32(attribute); break;
      case FRA_TABLE: rule.table = mnl_attr_get_u32(attribute); break;
      case FRA_GOTO: rule.target = mnl_attr_get_u32(attribute); break;
      case FRA_FWMARK: rule.mark = mnl_attr_get_u32(attribute); break;
      case FRA_FWMASK: rule.foreign |= rule.mark != 0 && mnl_attr_get_u32(attribute) != ~0u; break;
      case FRA_IP_PROTO: rule.ip_protocol = mnl_attr_get_u8(attribute); break;
      case FRA_PROTOCOL: rule.origin = mnl_attr_get_u8(attribute); break;
      case FRA_SPORT_RANGE: rule.source_ports = ReadPorts(attribute); break;
      case FRA_DPORT_RANGE: rule.destination_ports = ReadPorts(attribute); break;
      case FRA_DST: memcpy(rule.destination.bytes, mnl_attr_get_payload(attribute), AddressBytes(rule.family)); break;
      case FRA_IIFNAME: case FRA_OIFNAME: case FRA_UID_RANGE: case FRA_L3MDEV: case FRA_TUN_ID:
        rule.foreign = true;
        break;
      default: break;
    }
  });
  return rule;
}

int ListRules(Netlink& netlink, uint8_t family, std::vector<Rule>* rules) {
  Request request(RTM_GETRULE, 0);
  request.Header<fib_rule_hdr>()->family = family;
  return netlink.Dump(request, [&](const nlmsghdr* message) { rules->push_back(ReadRule(message)); });
}

static int ChangeRoute(Netlink& netlink, const Route& route, uint16_t type, uint16_t flags) {
  Request request(type, flags);
  auto* header = request.Header<rtmsg>();
  header->rtm_family = route.family;
  header->rtm_dst_len = route.destination.length;
  header->rtm_type = route.type;
  header->rtm_protocol = route.origin;
  header->rtm_scope = route.family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
  nlmsghdr* message = request.message();
  mnl_attr_put_u32(message, RTA_TABLE, route.table);
  mnl_attr_put_u32(message, RTA_OIF, route.interface);
  if (route.destination.length != 0)
    mnl_attr_put(message, RTA_DST, AddressBytes(route.family), route.destination.bytes);
  if (route.has_source) mnl_attr_put(message, RTA_PREFSRC, AddressBytes(route.family), route.source);
  return netlink.Change(request);
}

int PutRoute(Netlink& netlink, const Route& route) {
  return ChangeRoute(netlink, route, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
}

int DeleteRoute(Netlink& netlink, const Route& route) { return ChangeRoute(netlink, route, RTM_DELROUTE, 0); }

static Route ReadRoute(const nlmsghdr* message) {
  const auto* header = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(message));
  Route route;
  route.family = header->rtm_family;
  route.table = header->rtm_table;
  route.destination.length = header->rtm_dst_len;
  route.origin = header->rtm_protocol;
  route.type = header->rtm_type;
  EachAttribute(message, sizeof(rtmsg), [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case RTA_TABLE: route.table = mnl_attr_get_u32(attribute); break;
      case RTA_OIF: route.interface = mnl_attr_get_u32(attribute); break;
      case RTA_DST: memcpy(route.destination.bytes, mnl_attr_get_payload(attribute), AddressBytes(route.family)); break;
      case RTA_PREFSRC:
        route.has_source = true;
        memcpy(route.source, mnl_attr_get_payload(attribute), AddressBytes(route.family));
        break;
      default: break;
    }
  });
  return route;
}

int ListRoutes(Netlink& netlink, uint8_t family, uint32_t table, std::vector<Route>* routes) {
  Request request(RTM_GETROUTE, 0);
  request.Header<rtmsg>()->rtm_family = family;
  // The kernel filters by table only for strict sockets: the answer is filtered here.
  return netlink.Dump(request, [&](const nlmsghdr* message) {
    Route route = ReadRoute(message);
    if (route.table == table) routes->push_back(route);
  });
}

}  // namespace culvert::capture
