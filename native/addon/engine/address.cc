#include "address.h"

#include <arpa/inet.h>

namespace culvert {

socklen_t Address::ToSockaddr(sockaddr_storage* out) const {
  memset(out, 0, sizeof *out);
  if (family == AF_INET) {
    auto* in = reinterpret_cast<sockaddr_in*>(out);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    memcpy(&in->sin_addr, bytes, 4);
    return sizeof *in;
  }
  auto* in6 = reinterpret_cast<sockaddr_in6*>(out);
  in6->sin6_family = AF_INET6;
  in6->sin6_port = htons(port);
  memcpy(&in6->sin6_addr, bytes, 16);
  return sizeof *in6;
}

Address Address::FromSockaddr(const sockaddr_storage& in) {
  Address out;
  if (in.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(in);
    out.family = AF_INET;
    out.port = ntohs(v4.sin_port);
    memcpy(out.bytes, &v4.sin_addr, 4);
  } else if (in.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(in);
    out.port = ntohs(v6.sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
      out.family = AF_INET;
      memcpy(out.bytes, v6.sin6_addr.s6_addr + 12, 4);
    } else {
      out.family = AF_INET6;
      memcpy(out.bytes, &v6.sin6_addr, 16);
    }
  }
  return out;
}

Address Address::Parse(const std::string& text, uint16_t port) {
  Address out;
  out.port = port;
  if (inet_pton(AF_INET, text.c_str(), out.bytes) == 1) {
    out.family = AF_INET;
  } else if (inet_pton(AF_INET6, text.c_str(), out.bytes) == 1) {
    out.family = AF_INET6;
  }
  return out;
}

Address Address::LocalOf(int fd) {
  sockaddr_storage storage = {};
  socklen_t length = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return FromSockaddr(storage);
}

}  // namespace culvert
