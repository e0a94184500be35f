// IP address and port as a value. An IPv4-mapped IPv6 address is the IPv4 address, as the kernel sees it.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace culvert {

struct Address {
  /** AF_INET, AF_INET6, or 0 for none. */
  uint8_t family = 0;
  uint16_t port = 0;
  /** Network order; the first four bytes for IPv4. */
  uint8_t bytes[16] = {};

  bool operator==(const Address& other) const {
    return family == other.family && port == other.port && memcmp(bytes, other.bytes, 16) == 0;
  }
  explicit operator bool() const { return family != 0; }

  /** For socket calls on a socket of the address's own family. Returns the length. */
  socklen_t ToSockaddr(sockaddr_storage* out) const;
  /** The address without its port, as a map key. */
  std::string Host() const { return std::string(reinterpret_cast<const char*>(bytes), 16) + static_cast<char>(family); }
  /** What one holder of addresses is given at least: the address in IPv4, the /64 in IPv6. As a map key. */
  std::string Network() const { return Host().substr(0, family == AF_INET6 ? 8 : std::string::npos); }

  /** `10.0.0.1:80` or `[fd00::1]:80`. */
  std::string Text() const;

  static Address FromSockaddr(const sockaddr_storage& in);
  /** `text` is a numeric address; an invalid one gives family 0. */
  static Address Parse(const std::string& text, uint16_t port);
  static Address LocalOf(int fd);
};

}  // namespace culvert
