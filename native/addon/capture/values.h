// Rules, routes and map entries as JavaScript values and back.
#pragma once

#include <napi.h>

#include <set>
#include <string>

#include "capture/interfaces.h"
#include "capture/programs.h"
#include "capture/rules.h"

namespace culvert::capture {

Rule ToRule(const Napi::Object& value);
Napi::Object FromRule(Napi::Env env, const Rule& rule);
Route ToRoute(const Napi::Object& value);
Napi::Object FromRoute(Napi::Env env, const Route& route);
Napi::Object FromInterface(Napi::Env env, const Interface& interface);
Napi::Object FromAddress(Napi::Env env, const InterfaceAddress& address);
pod_state ToState(const Napi::Object& value);
Napi::Object FromState(Napi::Env env, const pod_state& state);

// The key of an address in the programs' maps: 16 bytes, IPv4 as IPv4-mapped.
std::string AddressKey(uint8_t family, const uint8_t* bytes);

// Pass entries as keys of the three maps.
struct PassKeys {
  std::set<std::string> probes;
  std::set<std::string> ports;
  std::set<std::string> blocks;
};
PassKeys ToPassKeys(const Napi::Array& entries);

}  // namespace culvert::capture
