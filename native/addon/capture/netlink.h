// A netlink socket of one network namespace: one request, its answers, an errno.
#pragma once

#include <libmnl/libmnl.h>
#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "engine/fd.h"

namespace culvert::capture {

// One request under construction: a header, a family header of type T, attributes.
class Request {
 public:
  Request(uint16_t type, uint16_t flags);
  template <typename T>
  T* Header() {
    return static_cast<T*>(mnl_nlmsg_put_extra_header(message(), sizeof(T)));
  }
  nlmsghdr* message() { return reinterpret_cast<nlmsghdr*>(buffer_); }

 private:
  alignas(nlmsghdr) char buffer_[1024] = {};
};

// libmnl's own loops do not compile as C++.
template <typename Each>
void EachAttribute(const nlmsghdr* message, size_t header_bytes, Each each) {
  const auto* tail = static_cast<const char*>(mnl_nlmsg_get_payload_tail(message));
  const auto* attribute = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(message, header_bytes));
  for (; mnl_attr_ok(attribute, static_cast<int>(tail - reinterpret_cast<const char*>(attribute)));
       attribute = mnl_attr_next(attribute)) {
    each(attribute);
  }
}

template <typename Each>
void EachNested(const nlattr* nest, Each each) {
  const auto* attribute = static_cast<const nlattr*>(mnl_attr_get_payload(nest));
  const char* tail = reinterpret_cast<const char*>(attribute) + mnl_attr_get_payload_len(nest);
  for (; mnl_attr_ok(attribute, static_cast<int>(tail - reinterpret_cast<const char*>(attribute)));
       attribute = mnl_attr_next(attribute)) {
    each(attribute);
  }
}

// Whether a message has a whole header of its family, and an attribute as many bytes as are read from it.
template <typename T>
bool Holds(const nlmsghdr* message) {
  return mnl_nlmsg_get_payload_len(message) >= sizeof(T);
}
inline bool Holds(const nlattr* attribute, size_t bytes) { return mnl_attr_get_payload_len(attribute) >= bytes; }

// The attribute's string, which may lack its NUL.
inline std::string Text(const nlattr* attribute) {
  const char* text = mnl_attr_get_str(attribute);
  return std::string(text, strnlen(text, mnl_attr_get_payload_len(attribute)));
}

class Netlink {
 public:
  // Opens the socket in `netns`. `groups` is a bit mask of RTMGRP_*, 0 for requests only. Returns 0 or -errno.
  int Open(int netns, uint32_t groups, int protocol = NETLINK_ROUTE);
  // Sends a request that is acknowledged. Returns 0 or -errno.
  int Change(Request& request);
  // Sends a dump request and calls `each` for every message of the answer. Returns 0 or -errno.
  int Dump(Request& request, const std::function<void(const nlmsghdr*)>& each);
  int fd() const { return fd_.get(); }

 private:
  int Run(Request& request, const std::function<void(const nlmsghdr*)>& each);

  Fd fd_;
  uint32_t sequence_ = 0;
  std::vector<char> answer_;
};

}  // namespace culvert::capture
