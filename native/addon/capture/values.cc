#include "capture/values.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace culvert::capture {

static uint32_t Number(const Napi::Object& value, const char* name) {
  Napi::Value field = value.Get(name);
  return field.IsNumber() ? field.As<Napi::Number>().Uint32Value() : 0;
}

// Bytes of an address; returns how many there were, at most 16.
static size_t Bytes(const Napi::Object& value, const char* name, uint8_t* out) {
  Napi::Value field = value.Get(name);
  if (!field.IsTypedArray()) return 0;
  auto bytes = field.As<Napi::Uint8Array>();
  size_t length = std::min<size_t>(bytes.ByteLength(), 16);
  memcpy(out, bytes.Data(), length);
  return length;
}

static Napi::Value FromBytes(Napi::Env env, uint8_t family, const uint8_t* bytes) {
  size_t length = family == AF_INET6 ? 16 : 4;
  return Napi::Buffer<uint8_t>::Copy(env, bytes, length);
}

static Block ToBlock(const Napi::Object& value) {
  Block block;
  block.length = static_cast<uint8_t>(Number(value, "destinationLength"));
  Bytes(value, "destination", block.bytes);
  return block;
}

static void SetBlock(Napi::Env env, Napi::Object* value, uint8_t family, const Block& block) {
  value->Set("destination", FromBytes(env, family, block.bytes));
  value->Set("destinationLength", block.length);
}

static PortRange ToPorts(const Napi::Object& value, const char* first, const char* last) {
  return {static_cast<uint16_t>(Number(value, first)), static_cast<uint16_t>(Number(value, last))};
}

Rule ToRule(const Napi::Object& value) {
  Rule rule;
  rule.family = static_cast<uint8_t>(Number(value, "family"));
  rule.priority = Number(value, "priority");
  rule.action = static_cast<uint8_t>(Number(value, "action"));
  rule.table = Number(value, "table");
  rule.target = Number(value, "target");
  rule.mark = Number(value, "mark");
  rule.ip_protocol = static_cast<uint8_t>(Number(value, "ipProtocol"));
  rule.destination = ToBlock(value);
  rule.source_ports = ToPorts(value, "sourcePortFirst", "sourcePortLast");
  rule.destination_ports = ToPorts(value, "destinationPortFirst", "destinationPortLast");
  rule.origin = static_cast<uint8_t>(Number(value, "origin"));
  return rule;
}

Napi::Object FromRule(Napi::Env env, const Rule& rule) {
  Napi::Object value = Napi::Object::New(env);
  value.Set("family", rule.family);
  value.Set("priority", rule.priority);
  value.Set("action", rule.action);
  value.Set("table", rule.table);
  value.Set("target", rule.target);
  value.Set("mark", rule.mark);
  value.Set("ipProtocol", rule.ip_protocol);
  SetBlock(env, &value, rule.family, rule.destination);
  value.Set("sourcePortFirst", rule.source_ports.first);
  value.Set("sourcePortLast", rule.source_ports.last);
  value.Set("destinationPortFirst", rule.destination_ports.first);
  value.Set("destinationPortLast", rule.destination_ports.last);
  value.Set("origin", rule.origin);
  value.Set("foreign", rule.foreign);
  return value;
}

Route ToRoute(const Napi::Object& value) {
  Route route;
  route.family = static_cast<uint8_t>(Number(value, "family"));
  route.table = Number(value, "table");
  route.interface = Number(value, "interface");
  route.destination = ToBlock(value);
  route.has_source = Bytes(value, "source", route.source) > 0;
  route.origin = static_cast<uint8_t>(Number(value, "origin"));
  route.type = static_cast<uint8_t>(Number(value, "type"));
  return route;
}

Napi::Object FromRoute(Napi::Env env, const Route& route) {
  Napi::Object value = Napi::Object::New(env);
  value.Set("family", route.family);
  value.Set("table", route.table);
  value.Set("interface", route.interface);
  SetBlock(env, &value, route.family, route.destination);
  if (route.has_source) value.Set("source", FromBytes(env, route.family, route.source));
  value.Set("origin", route.origin);
  value.Set("type", route.type);
  return value;
}

Napi::Object FromInterface(Napi::Env env, const Interface& interface) {
  Napi::Object value = Napi::Object::New(env);
  value.Set("index", interface.index);
  value.Set("name", interface.name);
  value.Set("loopback", interface.loopback);
  value.Set("rpFilter", interface.rp_filter);
  value.Set("acceptLocal", interface.accept_local);
  value.Set("ipv6Disabled", interface.ipv6_disabled);
  return value;
}

Napi::Object FromAddress(Napi::Env env, const InterfaceAddress& address) {
  Napi::Object value = Napi::Object::New(env);
  value.Set("family", address.family);
  value.Set("interface", address.interface);
  value.Set("bytes", FromBytes(env, address.family, address.bytes));
  value.Set("scope", address.scope);
  value.Set("preferred", address.preferred);
  return value;
}

pod_state ToState(const Napi::Object& value) {
  pod_state state = {};
  bool lossless = false;
  state.netns_cookie = value.Get("netnsCookie").As<Napi::BigInt>().Uint64Value(&lossless);
  state.phase = Number(value, "phase");
  state.layout = Number(value, "layout");
  state.moved_local_rule = Number(value, "movedLocalRule");
  return state;
}

Napi::Object FromState(Napi::Env env, const pod_state& state) {
  Napi::Object value = Napi::Object::New(env);
  value.Set("netnsCookie", Napi::BigInt::New(env, static_cast<uint64_t>(state.netns_cookie)));
  value.Set("phase", state.phase);
  value.Set("layout", state.layout);
  value.Set("movedLocalRule", state.moved_local_rule);
  return value;
}

std::string AddressKey(uint8_t family, const uint8_t* bytes) {
  if (family == AF_INET6) return std::string(reinterpret_cast<const char*>(bytes), 16);
  std::string key(16, '\0');
  key[10] = key[11] = static_cast<char>(0xff);
  memcpy(&key[12], bytes, 4);
  return key;
}

template <typename Key>
static std::string KeyOf(const Key& key) {
  return std::string(reinterpret_cast<const char*>(&key), sizeof(key));
}

PassKeys ToPassKeys(const Napi::Array& entries) {
  PassKeys keys;
  for (uint32_t i = 0; i < entries.Length(); i++) {
    Napi::Object entry = entries.Get(i).As<Napi::Object>();
    uint8_t bytes[16] = {};
    uint8_t family = Bytes(entry, "address", bytes) == 16 ? AF_INET6 : AF_INET;
    bool has_address = !entry.Get("address").IsUndefined();
    std::string address = AddressKey(family, bytes);
    uint16_t port_be = htons(static_cast<uint16_t>(Number(entry, "port")));
    uint8_t direction = static_cast<uint8_t>(Number(entry, "direction"));
    if (has_address && port_be != 0) {
      probe_key key = {};
      memcpy(&key.node, address.data(), sizeof(key.node));
      key.port_be = port_be;
      keys.probes.insert(KeyOf(key));
    } else if (has_address) {
      block_key key = {};
      key.prefix_bits = BLOCK_DIRECTION_BITS + Number(entry, "length") + (family == AF_INET ? 96 : 0);
      key.direction = direction;
      memcpy(key.bytes, address.data(), sizeof(key.bytes));
      keys.blocks.insert(KeyOf(key));
    } else {
      port_key key = {};
      key.port_be = port_be;
      key.direction = direction;
      keys.ports.insert(KeyOf(key));
    }
  }
  return keys;
}

}  // namespace culvert::capture
