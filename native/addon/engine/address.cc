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

/** An IPv4-mapped one is the IPv4 one: two keys for one host would be counted twice. */
static Address FromV6(const in6_addr& bytes, uint16_t port) {
  Address out;
  out.port = port;
  bool mapped = IN6_IS_ADDR_V4MAPPED(&bytes);
  out.family = mapped ? AF_INET : AF_INET6;
  memcpy(out.bytes, bytes.s6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
  return out;
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
    return FromV6(v6.sin6_addr, ntohs(v6.sin6_port));
  }
  return out;
}

Address Address::Parse(const std::string& text, uint16_t port) {
  Address out;
  out.port = port;
  if (inet_pton(AF_INET, text.c_str(), out.bytes) == 1) {
    out.family = AF_INET;
    return out;
  }
  in6_addr v6;
  return inet_pton(AF_INET6, text.c_str(), &v6) == 1 ? FromV6(v6, port) : out;
}

Address Address::LocalOf(int fd) {
  sockaddr_storage storage = {};
  socklen_t length = sizeof storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) return {};
  return FromSockaddr(storage);
}

std::string Address::Text() const {
  char host[INET6_ADDRSTRLEN] = "";
  inet_ntop(family, bytes, host, sizeof host);
  std::string out = family == AF_INET6 ? '[' + std::string(host) + ']' : std::string(host);
  return out + ':' + std::to_string(port);
}

}  // namespace culvert
