// Text and kernel's addresses into Address, and back.
#include "address.h"

#include <arpa/inet.h>

#include "byte_source.h"

namespace culvert {

namespace {

void RoundTrip(const Address& address) {
  sockaddr_storage storage;
  socklen_t length = address.ToSockaddr(&storage);
  Expect(length == (address.family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)), "the length fits");
  Address back = Address::FromSockaddr(storage);
  Expect(back == address && back.Host() == address.Host(), "an address survives the way to the kernel and back");
}

bool Mapped(const Address& address) {
  return address.family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(reinterpret_cast<const in6_addr*>(address.bytes));
}

}  // namespace

}  // namespace culvert

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace culvert;
  ByteSource script(data, size);
  bool kernel = script.Flag();
  uint16_t port = script.Word();
  std::string rest = script.Rest();
  if (kernel) {
    sockaddr_storage storage = {};
    memcpy(&storage, rest.data(), std::min(rest.size(), sizeof storage));
    Address address = Address::FromSockaddr(storage);
    Expect(!Mapped(address), "an IPv4-mapped address is the IPv4 one");
    if (address) RoundTrip(address);
    return 0;
  }
  Address address = Address::Parse(rest, port);
  char text[INET6_ADDRSTRLEN];
  if (!address) return 0;
  Expect(address.port == port, "the port is kept");
  Expect(inet_ntop(address.family, address.bytes, text, sizeof text) != nullptr, "it can be written");
  Expect(Address::Parse(text, port) == address, "what it is written as is the same address");
  // Two ways to write one host are two keys: limits and claims would count it twice.
  Expect(!Mapped(address), "an IPv4-mapped address is the IPv4 one");
  RoundTrip(address);
  return 0;
}
