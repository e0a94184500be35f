// EngineHarness, continued: several streams that always have more to send share one tunnel whose wire is slow.
#include "engine_harness.h"

namespace culvert {

void EngineHarness::RunFair() {
  constexpr size_t kPieceBytes = 48 * 1024;
  constexpr uint64_t kBytesEach = 640 * 1024;
  size_t streams = 2 + script_.Byte() % 3;
  bool upwards = script_.Flag();
  Settle(4);
  for (size_t i = 0; i < streams; ++i) {
    uint16_t port = next_port_++;
    Address from = Address::Parse("10.0.0.1", static_cast<uint16_t>(port + 20000));
    applications_.push_back({kernel_.Dial(outbound_port_, from, Address::Parse("10.0.0.2", port)), true, port});
    Settle(100);
  }
  Expect(applications_.size() == 2 * streams, "every stream opens");
  auto exchange = [&] {
    for (size_t i = 0; i < applications_.size(); ++i) {
      Application& each = applications_[i];
      if (each.client == upwards) Write(each, kPieceBytes);
      else Read(each, SIZE_MAX);
    }
    for (auto& end : kernel_.ends()) {
      bool tunnel = (upwards ? end->local.port : end->remote.port) == hbone_port_;
      kernel_.Deliver(end.get(), tunnel ? kPieceBytes : SIZE_MAX);
    }
    for (EngineNode* node : {client_.get(), server_.get()}) node->Turn(0);
  };
  auto total = [&] {
    uint64_t sum = 0;
    for (Application& each : applications_) sum += each.client == upwards ? 0 : each.read;
    return sum;
  };
  // Windows grow at first.
  std::map<uint16_t, uint64_t> before;
  uint64_t all = 0;
  for (bool measured : {false, true}) {
    uint64_t goal = total() + (measured ? kBytesEach : kBytesEach / 4) * streams;
    for (int rounds = 0; total() < goal; ++rounds) {
      Expect(rounds < 10000, "busy streams go on");
      exchange();
    }
    if (measured) {
      all = total() - all;
    } else {
      for (Application& each : applications_) before[each.port] += each.client == upwards ? 0 : each.read;
      all = total();
    }
  }
  for (Application& each : applications_) {
    if (each.client == upwards) continue;
    uint64_t share = (each.read - before[each.port]) * streams;
    Expect(share * 10 > all * 8 && share * 10 < all * 12, "each of k busy streams gets a k-th, 20 % more or less");
  }
  for (Application& each : applications_) each.shut = (kernel_.Shut(each.end), true);
}

}  // namespace culvert
