#include "capture/interfaces.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

namespace culvert::capture {

// In a dump the setting numbered N (from 1) is at index N - 1 of an array; in a change it is an attribute numbered N.
static uint32_t Setting(const nlattr* array, uint32_t index) {
  uint32_t value = 0;
  if (mnl_attr_get_payload_len(array) < (index + 1) * sizeof(value)) return 0;
  memcpy(&value, static_cast<const char*>(mnl_attr_get_payload(array)) + index * sizeof(value), sizeof(value));
  return value;
}

static void ReadFamily(const nlattr* family, Interface* interface) {
  EachNested(family, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(family) == AF_INET && mnl_attr_get_type(attribute) == IFLA_INET_CONF) {
      interface->rp_filter = Setting(attribute, IPV4_DEVCONF_RP_FILTER - 1);
      interface->accept_local = Setting(attribute, IPV4_DEVCONF_ACCEPT_LOCAL - 1);
    }
    if (mnl_attr_get_type(family) == AF_INET6 && mnl_attr_get_type(attribute) == IFLA_INET6_CONF) {
      interface->ipv6_disabled = Setting(attribute, DEVCONF_DISABLE_IPV6) != 0;
    }
  });
}

int ListInterfaces(Netlink& netlink, std::vector<Interface>* interfaces) {
  Request request(RTM_GETLINK, 0);
  request.Header<ifinfomsg>()->ifi_family = AF_UNSPEC;
  return netlink.Dump(request, [&](const nlmsghdr* message) {
    if (!Holds<ifinfomsg>(message)) return;
    const auto* header = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(message));
    Interface interface;
    interface.index = static_cast<uint32_t>(header->ifi_index);
    interface.loopback = (header->ifi_flags & IFF_LOOPBACK) != 0;
    EachAttribute(message, sizeof(ifinfomsg), [&](const nlattr* attribute) {
      if (mnl_attr_get_type(attribute) == IFLA_IFNAME) interface.name = Text(attribute);
      if (mnl_attr_get_type(attribute) != IFLA_AF_SPEC) return;
      EachNested(attribute, [&](const nlattr* family) { ReadFamily(family, &interface); });
    });
    interfaces->push_back(interface);
  });
}

int ListAddresses(Netlink& netlink, std::vector<InterfaceAddress>* addresses) {
  Request request(RTM_GETADDR, 0);
  request.Header<ifaddrmsg>()->ifa_family = AF_UNSPEC;
  return netlink.Dump(request, [&](const nlmsghdr* message) {
    if (!Holds<ifaddrmsg>(message)) return;
    const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(message));
    if (header->ifa_family != AF_INET && header->ifa_family != AF_INET6) return;
    InterfaceAddress address;
    address.family = header->ifa_family;
    address.interface = header->ifa_index;
    address.scope = header->ifa_scope;
    uint32_t flags = header->ifa_flags;
    bool has_local = false;
    EachAttribute(message, sizeof(ifaddrmsg), [&](const nlattr* attribute) {
      uint16_t type = mnl_attr_get_type(attribute);
      if (type == IFA_FLAGS && Holds(attribute, sizeof flags)) flags = mnl_attr_get_u32(attribute);
      // On a point-to-point link IFA_ADDRESS is the other end; IFA_LOCAL, where there is one, is ours.
      size_t bytes = address.family == AF_INET ? 4 : 16;
      if ((type != IFA_LOCAL && (type != IFA_ADDRESS || has_local)) || !Holds(attribute, bytes)) return;
      has_local = type == IFA_LOCAL;
      memcpy(address.bytes, mnl_attr_get_payload(attribute), bytes);
    });
    uint32_t unusable = IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED;
    // For IPv6 the same bit says "temporary", which is as good as any.
    if (address.family == AF_INET) unusable |= IFA_F_SECONDARY;
    address.preferred = (flags & unusable) == 0;
    addresses->push_back(address);
  });
}

int SetInterface(Netlink& netlink, uint32_t index, uint32_t rp_filter, uint32_t accept_local) {
  Request request(RTM_SETLINK, 0);
  auto* header = request.Header<ifinfomsg>();
  header->ifi_family = AF_UNSPEC;
  header->ifi_index = static_cast<int>(index);
  nlmsghdr* message = request.message();
  nlattr* families = mnl_attr_nest_start(message, IFLA_AF_SPEC);
  nlattr* inet = mnl_attr_nest_start(message, AF_INET);
  nlattr* settings = mnl_attr_nest_start(message, IFLA_INET_CONF);
  mnl_attr_put_u32(message, IPV4_DEVCONF_RP_FILTER, rp_filter);
  mnl_attr_put_u32(message, IPV4_DEVCONF_ACCEPT_LOCAL, accept_local);
  mnl_attr_nest_end(message, settings);
  mnl_attr_nest_end(message, inet);
  mnl_attr_nest_end(message, families);
  return netlink.Change(request);
}

int HasClsact(Netlink& netlink, uint32_t index) {
  Request request(RTM_GETQDISC, 0);
  request.Header<tcmsg>()->tcm_family = AF_UNSPEC;
  bool found = false;
  int status = netlink.Dump(request, [&](const nlmsghdr* message) {
    if (!Holds<tcmsg>(message)) return;
    const auto* header = static_cast<const tcmsg*>(mnl_nlmsg_get_payload(message));
    if (static_cast<uint32_t>(header->tcm_ifindex) != index) return;
    EachAttribute(message, sizeof(tcmsg), [&](const nlattr* attribute) {
      if (mnl_attr_get_type(attribute) == TCA_KIND) found |= Text(attribute) == "clsact";
    });
  });
  return status != 0 ? status : found;
}

}  // namespace culvert::capture
