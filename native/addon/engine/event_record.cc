#include "event_record.h"

#include <algorithm>

namespace culvert {

EventRecord::EventRecord(EventKind kind, uint64_t id, Reason reason, uint32_t detail) {
  bytes_.reserve(192);
  uint32_t size = 0;
  auto short_detail = static_cast<uint16_t>(std::min<uint32_t>(detail, UINT16_MAX));
  uint64_t at = Now();
  Raw(&size, sizeof size);
  U8(static_cast<uint8_t>(kind));
  U8(static_cast<uint8_t>(reason));
  Raw(&short_detail, sizeof short_detail);
  Raw(&id, sizeof id);
  Raw(&at, sizeof at);
}

void EventRecord::Raw(const void* data, size_t length) {
  const auto* from = static_cast<const uint8_t*>(data);
  bytes_.insert(bytes_.end(), from, from + length);
}

EventRecord& EventRecord::U8(uint8_t value) {
  bytes_.push_back(value);
  return *this;
}

EventRecord& EventRecord::U64(uint64_t value) {
  Raw(&value, sizeof value);
  return *this;
}

EventRecord& EventRecord::F64(double value) {
  Raw(&value, sizeof value);
  return *this;
}

EventRecord& EventRecord::Text(const std::string& value) {
  auto length = static_cast<uint16_t>(std::min<size_t>(value.size(), UINT16_MAX));
  Raw(&length, sizeof length);
  Raw(value.data(), length);
  return *this;
}

EventRecord& EventRecord::Socket(const Address& address) {
  U8(address.family == AF_INET ? 4 : address.family == AF_INET6 ? 6 : 0);
  U8(0);
  Raw(&address.port, sizeof address.port);
  Raw(address.bytes, sizeof address.bytes);
  return *this;
}

EventRecord& EventRecord::Pairs(const Headers& headers) {
  auto count = static_cast<uint16_t>(std::min<size_t>(headers.size(), UINT16_MAX));
  Raw(&count, sizeof count);
  for (uint16_t i = 0; i < count; ++i) Text(headers[i].first).Text(headers[i].second);
  return *this;
}

std::vector<uint8_t> EventRecord::Finish() {
  while (bytes_.size() % 8 != 0) bytes_.push_back(0);
  auto size = static_cast<uint32_t>(bytes_.size());
  memcpy(bytes_.data(), &size, sizeof size);
  return std::move(bytes_);
}

}  // namespace culvert
