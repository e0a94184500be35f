// Events with fields of any size into records, through the queue, and read back.
#include "event_record.h"

#include <algorithm>
#include <cstring>

#include "byte_source.h"
#include "event_queue.h"

namespace culvert {

namespace {

constexpr size_t kTextMax = UINT16_MAX;

/** Reads a record's fields; the reader of TypeScript does the same. */
class Reader {
 public:
  explicit Reader(const std::vector<uint8_t>& record) : record_(record) {}
  template <typename T>
  T Number() {
    T value;
    Expect(at_ + sizeof value <= record_.size(), "a field is inside the record");
    memcpy(&value, record_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string Text() {
    auto length = Number<uint16_t>();
    Expect(at_ + length <= record_.size(), "a string is inside the record");
    std::string text(reinterpret_cast<const char*>(record_.data() + at_), length);
    at_ += length;
    return text;
  }
  size_t at() const { return at_; }

 private:
  const std::vector<uint8_t>& record_;
  size_t at_ = 0;
};

std::string AnyText(ByteSource& script) {
  uint8_t choice = script.Byte();
  return choice < 200 ? script.Bytes(choice) : std::string(script.Size(70000), 'x');
}

struct Sample {
  EventKind kind;
  uint64_t id;
  Reason reason;
  uint32_t detail;
  Address address;
  std::string text;
  Headers headers;

  explicit Sample(ByteSource& script)
      : kind(static_cast<EventKind>(1 + script.Byte() % 9)),
        id(script.Long()),
        reason(static_cast<Reason>(script.Byte() % 20)),
        detail(script.Long()),
        address(Address::Parse(script.Flag() ? "10.0.0.1" : "2001:db8::1", script.Word())),
        text(AnyText(script)) {
    for (size_t count = script.Byte() % 8; count > 0; --count) headers.emplace_back(AnyText(script), AnyText(script));
  }

  EventRecord Record() const {
    EventRecord record(kind, id, reason, detail);
    record.F64(1.5).U8(7).Socket(address).Text(text).Pairs(headers);
    return record;
  }

  void Check(const std::vector<uint8_t>& bytes) const {
    Reader reader(bytes);
    Expect(reader.Number<uint32_t>() == bytes.size() && bytes.size() % 8 == 0, "a record knows its size");
    Expect(reader.Number<uint8_t>() == static_cast<uint8_t>(kind), "kind");
    Expect(reader.Number<uint8_t>() == static_cast<uint8_t>(reason), "reason");
    Expect(reader.Number<uint16_t>() == std::min<uint32_t>(detail, UINT16_MAX), "detail");
    Expect(reader.Number<uint64_t>() == id, "id");
    reader.Number<uint64_t>();
    Expect(reader.at() == kRecordHeaderBytes, "the header has the length that TypeScript was told");
    Expect(reader.Number<double>() == 1.5 && reader.Number<uint8_t>() == 7, "numbers");
    Expect(reader.Number<uint8_t>() == (address.family == AF_INET ? 4 : 6), "family");
    reader.Number<uint8_t>();
    Expect(reader.Number<uint16_t>() == address.port, "port");
    for (uint8_t byte : address.bytes) Expect(reader.Number<uint8_t>() == byte, "address");
    Expect(reader.Text() == text.substr(0, kTextMax), "text");
    Expect(reader.Number<uint16_t>() == headers.size(), "count of headers");
    for (const auto& [name, value] : headers) {
      Expect(reader.Text() == name.substr(0, kTextMax) && reader.Text() == value.substr(0, kTextMax), "header");
    }
    Expect(bytes.size() - reader.at() < 8, "nothing but padding follows");
  }
};

}  // namespace

}  // namespace culvert

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace culvert;
  ByteSource script(data, size);
  int wakes = 0;
  EventQueue queue([&] { ++wakes; });
  std::vector<Sample> queued;
  while (!script.done()) {
    queued.emplace_back(script);
    // The bound is 1 MiB and one record more.
    if (script.Flag()) {
      queue.Report(queued.back().Record());
    } else if (!queue.Announce(queued.back().Record())) {
      queued.pop_back();
      Expect(queue.full(), "only a full queue refuses");
    }
    if (queued.empty()) continue;
    Expect(wakes == 1, "one wake is pending");
    if (script.Byte() % 4 != 0) continue;
    std::vector<uint8_t> batch;
    bool more = true;
    size_t next = 0;
    while (more) {
      batch.clear();
      more = queue.Take(1 + script.Byte() % 4, &batch);
      for (size_t at = 0; at < batch.size();) {
        uint32_t length;
        memcpy(&length, batch.data() + at, sizeof length);
        Expect(length >= kRecordHeaderBytes && at + length <= batch.size() && next < queued.size(), "a whole record");
        queued[next++].Check({batch.begin() + static_cast<long>(at), batch.begin() + static_cast<long>(at + length)});
        at += length;
      }
    }
    Expect(next == queued.size() && !queue.full(), "all come out, in order");
    queued.clear();
    wakes = 0;
  }
  return 0;
}
