// Answers of the kernel, whole, cut and nested in odd ways, into what reads interfaces and addresses.
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

#include "byte_source.h"
#include "capture/in_netns.h"
#include "capture/interfaces.h"

namespace {

culvert::ByteSource* script;
uint32_t sequence;

std::string Padded(std::string text) {
  text.resize(NLMSG_ALIGN(text.size()), '\0');
  return text;
}

template <typename T>
std::string Raw(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string Attributes(int depth) {
  static constexpr uint16_t kTypes[] = {1, 2, 3, 8, AF_INET, AF_INET6, IFLA_AF_SPEC};
  std::string out;
  for (size_t count = script->Byte() % 5; count > 0 && !script->done(); --count) {
    uint8_t shape = script->Byte();
    nlattr header = {};
    header.nla_type = shape < 224 ? kTypes[shape % std::size(kTypes)] : script->Word();
    std::string payload = depth > 0 && shape % 3 == 0 ? Attributes(depth - 1) : script->Bytes(script->Size(200));
    header.nla_len = static_cast<uint16_t>(NLA_HDRLEN + payload.size() + (shape == 223 ? 8 : 0));
    out += Padded(Raw(header) + payload);
  }
  return out;
}

std::string Message() {
  static constexpr uint16_t kTypes[] = {RTM_NEWLINK, RTM_NEWADDR, RTM_NEWQDISC, NLMSG_ERROR, NLMSG_DONE, NLMSG_NOOP};
  uint8_t shape = script->Byte();
  // The kernel's own messages have a whole header of their family.
  std::string payload = script->Bytes(shape % 16 == 15 ? script->Size(40) : sizeof(ifinfomsg));
  if (shape % 16 != 15) payload.resize(shape % 2 == 0 ? sizeof(ifinfomsg) : sizeof(tcmsg));
  payload = Padded(payload) + Attributes(3);
  nlmsghdr header = {};
  header.nlmsg_type = kTypes[shape / 16 < 12 ? shape % 3 : shape % std::size(kTypes)];
  header.nlmsg_seq = shape == 255 ? 0 : sequence;
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_HDRLEN + payload.size() + (shape == 254 ? 4 : 0));
  return Raw(header) + payload;
}

}  // namespace

namespace culvert::capture {

int InNetns(int, const std::function<int()>& work) { return work(); }

}  // namespace culvert::capture

extern "C" {

ssize_t __wrap_send(int, const void* data, size_t length, int) {
  sequence = static_cast<const nlmsghdr*>(data)->nlmsg_seq;
  return static_cast<ssize_t>(length);
}

ssize_t __wrap_recv(int, void* out, size_t length, int) {
  std::string answer;
  while (!script->done() && answer.size() < 8192 && script->Byte() % 8 != 7) answer += Message();
  if (script->done()) {
    nlmsghdr done = {NLMSG_HDRLEN, NLMSG_DONE, 0, sequence, 0};
    answer += Raw(done);
  }
  answer.resize(std::min(answer.size(), length));
  memcpy(out, answer.data(), answer.size());
  return static_cast<ssize_t>(answer.size());
}

}  // extern "C"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace culvert::capture;
  culvert::ByteSource source(data, size);
  script = &source;
  Netlink netlink;
  if (netlink.Open(-1, 0) != 0) return 0;
  std::vector<Interface> interfaces;
  std::vector<InterfaceAddress> addresses;
  switch (source.Byte() % 3) {
    case 0:
      ListInterfaces(netlink, &interfaces);
      break;
    case 1:
      ListAddresses(netlink, &addresses);
      break;
    default:
      HasClsact(netlink, 1);
  }
  for (const Interface& each : interfaces) culvert::Expect(each.name.size() < 65536, "a name is readable");
  return 0;
}
