// Encodes one event for TypeScript. Little endian, 8-aligned:
//   u32 size, u8 kind, u8 reason, u16 detail, u64 id, u64 monotonic ns, then fixed fields by kind, then strings
//   (u16 length, bytes). src/engine/events.ts is the reader; kRecordHeaderBytes is compared when the addon loads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "clock.h"
#include "types.h"

namespace culvert {

enum class EventKind : uint8_t {
  kOutbound = 1,
  kPlaintext = 2,
  kConnect = 3,
  kConnected = 4,
  kClosed = 5,
  kTunnelUp = 6,
  kTunnelDown = 7,
  kOverload = 8,
  kDrained = 9,
};

constexpr size_t kRecordHeaderBytes = 24;

class EventRecord {
 public:
  EventRecord(EventKind kind, uint64_t id, Reason reason = Reason::kOk, uint32_t detail = 0);

  EventRecord& U8(uint8_t value);
  EventRecord& U64(uint64_t value);
  EventRecord& F64(double value);
  EventRecord& Text(const std::string& value);
  /** u8 family (4, 6, 0), u8 zero, u16 port, 16 bytes. */
  EventRecord& Socket(const Address& address);
  /** u16 count, then name and value of each. */
  EventRecord& Pairs(const Headers& headers);
  /** Pads and writes the size; the record is done. */
  std::vector<uint8_t> Finish();

 private:
  void Raw(const void* data, size_t length);
  std::vector<uint8_t> bytes_;
};

}  // namespace culvert
