// The JavaScript class `Capture`: one pod's network namespace and what is put into it. Each method is one step;
// failures are returned as -errno, and TypeScript decides what follows from them.
#pragma once

#include <napi.h>

#include <memory>

#include "capture/address_watcher.h"
#include "capture/programs.h"
#include "capture/rules.h"
#include "engine/fd.h"

namespace culvert {

class CaptureObject : public Napi::ObjectWrap<CaptureObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit CaptureObject(const Napi::CallbackInfo& info);
  ~CaptureObject() override { Shut(); }

 private:
  using Info = Napi::CallbackInfo;

  Napi::Value Open(const Info& info);
  Napi::Value Netns(const Info& info);
  Napi::Value Watch(const Info& info);
  void Close(const Info& info);

  Napi::Value Interfaces(const Info& info);
  Napi::Value Addresses(const Info& info);
  Napi::Value SetInterface(const Info& info);
  Napi::Value FirstEphemeralPort(const Info& info);
  Napi::Value Rules(const Info& info);
  Napi::Value AddRule(const Info& info);
  Napi::Value DeleteRule(const Info& info);
  Napi::Value Routes(const Info& info);
  Napi::Value PutRoute(const Info& info);
  Napi::Value DeleteRoute(const Info& info);

  Napi::Value Load(const Info& info);
  Napi::Value AttachRedirect(const Info& info);
  Napi::Value AttachGuard(const Info& info);
  Napi::Value DetachGuard(const Info& info);
  Napi::Value CheckRedirect(const Info& info);
  Napi::Value CheckGuard(const Info& info);
  Napi::Value SetListener(const Info& info);
  Napi::Value HasListener(const Info& info);
  Napi::Value RemoveListeners(const Info& info);
  Napi::Value SyncAddresses(const Info& info);
  Napi::Value SetPassEntries(const Info& info);
  Napi::Value ReadState(const Info& info);
  Napi::Value WriteState(const Info& info);
  Napi::Value SavedLinks(const Info& info);
  Napi::Value SaveLink(const Info& info);
  Napi::Value Counters(const Info& info);
  Napi::Value CloseConnections(const Info& info);

  int ReconcileAddresses();
  void Shut();

  Fd netns_;
  capture::Netlink netlink_;
  std::unique_ptr<capture::Programs> programs_;
  capture::AddressWatcher watcher_;
  Napi::FunctionReference changed_;
};

// `Capture`, `SocketMarker` and the functions beside them.
void InitCapture(Napi::Env env, Napi::Object exports);

}  // namespace culvert
