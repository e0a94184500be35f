#include "capture_object.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdio>

#include "capture/in_netns.h"
#include "capture/interfaces.h"
#include "capture/socket_closer.h"
#include "capture/values.h"

namespace culvert {

using Napi::CallbackInfo;
using Napi::Value;

static Value Status(const CallbackInfo& info, int64_t status) {
  return Napi::Number::New(info.Env(), static_cast<double>(status));
}

static uint32_t Uint(const CallbackInfo& info, size_t index) { return info[index].ToNumber().Uint32Value(); }
static int Int(const CallbackInfo& info, size_t index) { return info[index].ToNumber().Int32Value(); }

template <typename T, typename Convert>
static Value List(const CallbackInfo& info, int status, const std::vector<T>& items, Convert convert) {
  if (status != 0) return Status(info, status);
  Napi::Array array = Napi::Array::New(info.Env(), items.size());
  for (size_t i = 0; i < items.size(); i++) array.Set(static_cast<uint32_t>(i), convert(info.Env(), items[i]));
  return array;
}

CaptureObject::CaptureObject(const Info& info) : Napi::ObjectWrap<CaptureObject>(info) {}

Value CaptureObject::Open(const Info& info) {
  Fd netns(fcntl(Int(info, 0), F_DUPFD_CLOEXEC, 0));
  if (!netns) return Status(info, -errno);
  int status = netlink_.Open(netns.get(), 0);
  if (status == 0) netns_ = std::move(netns);
  return Status(info, status);
}

Value CaptureObject::Netns(const Info& info) { return Status(info, netns_ ? netns_.get() : -EBADF); }

Value CaptureObject::Watch(const Info& info) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(info.Env(), &loop) != napi_ok) return Status(info, -EINVAL);
  changed_ = Napi::Persistent(info[0].As<Napi::Function>());
  return Status(info, watcher_.Open(loop, netns_.get(), [this] {
    // First the map: with an address missing from it, one connect() to that address loops.
    int status = ReconcileAddresses();
    Napi::HandleScope scope(Env());
    changed_.MakeCallback(Env().Global(), {Napi::Number::New(Env(), status)});
  }));
}

void CaptureObject::Close(const Info&) { Shut(); }

void CaptureObject::Shut() {
  watcher_.Close();
  changed_.Reset();
  programs_.reset();
  netlink_ = capture::Netlink();
  netns_.Reset();
}

Value CaptureObject::Interfaces(const Info& info) {
  std::vector<capture::Interface> interfaces;
  int status = capture::ListInterfaces(netlink_, &interfaces);
  return List(info, status, interfaces, capture::FromInterface);
}

Value CaptureObject::Addresses(const Info& info) {
  std::vector<capture::InterfaceAddress> addresses;
  int status = capture::ListAddresses(netlink_, &addresses);
  return List(info, status, addresses, capture::FromAddress);
}

Value CaptureObject::SetInterface(const Info& info) {
  return Status(info, capture::SetInterface(netlink_, Uint(info, 0), Uint(info, 1), Uint(info, 2)));
}

Value CaptureObject::FirstEphemeralPort(const Info& info) {
  return Status(info, capture::InNetns(netns_.get(), [] {
    FILE* file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (file == nullptr) return -errno;
    int first = 0;
    int fields = fscanf(file, "%d", &first);
    fclose(file);
    return fields == 1 ? first : -EINVAL;
  }));
}

Value CaptureObject::Rules(const Info& info) {
  std::vector<capture::Rule> rules;
  int status = capture::ListRules(netlink_, static_cast<uint8_t>(Uint(info, 0)), &rules);
  return List(info, status, rules, capture::FromRule);
}

Value CaptureObject::AddRule(const Info& info) {
  return Status(info, capture::AddRule(netlink_, capture::ToRule(info[0].As<Napi::Object>())));
}

Value CaptureObject::DeleteRule(const Info& info) {
  return Status(info, capture::DeleteRule(netlink_, capture::ToRule(info[0].As<Napi::Object>())));
}

Value CaptureObject::Routes(const Info& info) {
  std::vector<capture::Route> routes;
  int status = capture::ListRoutes(netlink_, static_cast<uint8_t>(Uint(info, 0)), Uint(info, 1), &routes);
  return List(info, status, routes, capture::FromRoute);
}

Value CaptureObject::PutRoute(const Info& info) {
  return Status(info, capture::PutRoute(netlink_, capture::ToRoute(info[0].As<Napi::Object>())));
}

Value CaptureObject::DeleteRoute(const Info& info) {
  return Status(info, capture::DeleteRoute(netlink_, capture::ToRoute(info[0].As<Napi::Object>())));
}

Value CaptureObject::Load(const Info& info) {
  capture::ProgramSettings settings = {static_cast<uint16_t>(Uint(info, 1)), Uint(info, 2), Uint(info, 3)};
  programs_.reset();
  auto programs = std::make_unique<capture::Programs>();
  int status = programs->Load(info[0].ToString(), settings);
  if (status == 0) programs_ = std::move(programs);
  return Status(info, status);
}

// The methods below need loaded programs.
#define REQUIRE_PROGRAMS() \
  if (!programs_) return Status(info, -EBADF)

Value CaptureObject::AttachRedirect(const Info& info) {
  REQUIRE_PROGRAMS();
  return Status(info, programs_->AttachRedirect(netns_.get()));
}

// Returns 1 if a clsact qdisc was made for it.
Value CaptureObject::AttachGuard(const Info& info) {
  REQUIRE_PROGRAMS();
  auto hook = info[1].ToBoolean() ? capture::GuardHook::kClsact : capture::GuardHook::kTcx;
  bool made_clsact = false;
  int status = programs_->AttachGuard(netns_.get(), Uint(info, 0), hook, &made_clsact);
  return Status(info, status == 0 && made_clsact ? 1 : status);
}

Value CaptureObject::DetachGuard(const Info& info) {
  REQUIRE_PROGRAMS();
  return Status(info, programs_->DetachGuard(netns_.get(), Uint(info, 0), info[1].ToBoolean()));
}

Value CaptureObject::CheckRedirect(const Info& info) {
  REQUIRE_PROGRAMS();
  return Status(info, programs_->CheckRedirect());
}

Value CaptureObject::CheckGuard(const Info& info) {
  REQUIRE_PROGRAMS();
  return Status(info, programs_->CheckGuard(netns_.get(), Uint(info, 0)));
}

Value CaptureObject::SetListener(const Info& info) {
  REQUIRE_PROGRAMS();
  return Status(info, programs_->SetListener(Uint(info, 0), Int(info, 1)));
}

Value CaptureObject::HasListener(const Info& info) {
  REQUIRE_PROGRAMS();
  return Status(info, programs_->HasListener(Uint(info, 0)) ? 1 : 0);
}

Value CaptureObject::RemoveListeners(const Info& info) {
  REQUIRE_PROGRAMS();
  return Status(info, programs_->RemoveListeners());
}

int CaptureObject::ReconcileAddresses() {
  if (!programs_) return -EBADF;
  std::vector<capture::InterfaceAddress> addresses;
  int status = capture::ListAddresses(netlink_, &addresses);
  if (status != 0) return status;
  std::set<std::string> keys;
  for (const auto& address : addresses) keys.insert(capture::AddressKey(address.family, address.bytes));
  return programs_->SetOwnAddresses(keys);
}

// Returns how many addresses were new or gone.
Value CaptureObject::SyncAddresses(const Info& info) { return Status(info, ReconcileAddresses()); }

Value CaptureObject::SetPassEntries(const Info& info) {
  REQUIRE_PROGRAMS();
  capture::PassKeys keys = capture::ToPassKeys(info[0].As<Napi::Array>());
  return Status(info, programs_->SetPassEntries(keys.probes, keys.ports, keys.blocks));
}

Value CaptureObject::ReadState(const Info& info) {
  REQUIRE_PROGRAMS();
  pod_state state = {};
  int status = programs_->ReadState(&state);
  return status == 0 ? capture::FromState(info.Env(), state) : Status(info, status);
}

Value CaptureObject::WriteState(const Info& info) {
  REQUIRE_PROGRAMS();
  return Status(info, programs_->WriteState(capture::ToState(info[0].As<Napi::Object>())));
}

Value CaptureObject::SavedLinks(const Info& info) {
  REQUIRE_PROGRAMS();
  return List(info, 0, programs_->SavedLinks(), [this](Napi::Env env, uint32_t interface) {
    saved_link saved = {};
    programs_->ReadSavedLink(interface, &saved);
    Napi::Object value = Napi::Object::New(env);
    value.Set("interface", interface);
    value.Set("rpFilter", saved.rp_filter);
    value.Set("acceptLocal", saved.accept_local);
    value.Set("madeClsact", saved.made_clsact != 0);
    return value;
  });
}

Value CaptureObject::SaveLink(const Info& info) {
  REQUIRE_PROGRAMS();
  saved_link saved = {Uint(info, 1), Uint(info, 2), info[3].ToBoolean() ? 1u : 0u};
  return Status(info, programs_->WriteSavedLink(Uint(info, 0), saved));
}

Value CaptureObject::Counters(const Info& info) {
  REQUIRE_PROGRAMS();
  std::vector<uint64_t> counters;
  int status = programs_->ReadCounters(&counters);
  return List(info, status, counters, [](Napi::Env env, uint64_t value) { return Napi::BigInt::New(env, value); });
}

Value CaptureObject::CloseConnections(const Info& info) {
  return Status(info, capture::CloseConnections(netns_.get(), Uint(info, 0)));
}

Napi::Function CaptureObject::Define(Napi::Env env) {
#define METHOD(name, member) InstanceMethod<&CaptureObject::member>(name)
  return DefineClass(env, "Capture",
                     {
                         METHOD("open", Open),
                         METHOD("netns", Netns),
                         METHOD("watch", Watch),
                         METHOD("close", Close),
                         METHOD("interfaces", Interfaces),
                         METHOD("addresses", Addresses),
                         METHOD("setInterface", SetInterface),
                         METHOD("firstEphemeralPort", FirstEphemeralPort),
                         METHOD("rules", Rules),
                         METHOD("addRule", AddRule),
                         METHOD("deleteRule", DeleteRule),
                         METHOD("routes", Routes),
                         METHOD("putRoute", PutRoute),
                         METHOD("deleteRoute", DeleteRoute),
                         METHOD("load", Load),
                         METHOD("attachRedirect", AttachRedirect),
                         METHOD("attachGuard", AttachGuard),
                         METHOD("detachGuard", DetachGuard),
                         METHOD("checkRedirect", CheckRedirect),
                         METHOD("checkGuard", CheckGuard),
                         METHOD("setListener", SetListener),
                         METHOD("hasListener", HasListener),
                         METHOD("removeListeners", RemoveListeners),
                         METHOD("syncAddresses", SyncAddresses),
                         METHOD("setPassEntries", SetPassEntries),
                         METHOD("readState", ReadState),
                         METHOD("writeState", WriteState),
                         METHOD("savedLinks", SavedLinks),
                         METHOD("saveLink", SaveLink),
                         METHOD("counters", Counters),
                         METHOD("closeConnections", CloseConnections),
                     });
#undef METHOD
}

}  // namespace culvert
