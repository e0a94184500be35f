// JavaScript's `Engine`: converts values and carries batches of events. The engine is in engine/.
#pragma once

#include <napi.h>

#include <memory>

#include "engine/engine.h"

namespace culvert {

class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit EngineObject(const Napi::CallbackInfo& info);
  ~EngineObject() override;

 private:
  /** Records per call into JavaScript; then it gets a breath. */
  static constexpr size_t kBatch = 1024;

  /** A wake may be under way when the object is gone already: it finds `self` null. JavaScript's thread only. */
  struct Bridge {
    EngineObject* self;
  };
  using BridgeHolder = std::shared_ptr<Bridge>;

  static void OnWake(Napi::Env env, Napi::Function callback, BridgeHolder* bridge, void* data);
  using Wake = Napi::TypedThreadSafeFunction<BridgeHolder, void, OnWake>;

  Napi::Value Start(const Napi::CallbackInfo& info);
  Napi::Value AddPod(const Napi::CallbackInfo& info);
  Napi::Value RemovePod(const Napi::CallbackInfo& info);
  Napi::Value SetIdentity(const Napi::CallbackInfo& info);
  Napi::Value RemoveIdentity(const Napi::CallbackInfo& info);
  Napi::Value RememberRoute(const Napi::CallbackInfo& info);
  Napi::Value SetEpoch(const Napi::CallbackInfo& info);
  Napi::Value DecideTunnel(const Napi::CallbackInfo& info);
  Napi::Value DecidePlain(const Napi::CallbackInfo& info);
  Napi::Value DecideDeliver(const Napi::CallbackInfo& info);
  Napi::Value DecideDirect(const Napi::CallbackInfo& info);
  Napi::Value DecideRefuse(const Napi::CallbackInfo& info);
  Napi::Value CloseConnection(const Napi::CallbackInfo& info);
  Napi::Value Drain(const Napi::CallbackInfo& info);
  Napi::Value Stats(const Napi::CallbackInfo& info);
  Napi::Value LiveBytes(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  /** One function: a hook is removed by the address it was added with. */
  static void OnCleanup(void* self);
  void StopThreads();

  BridgeHolder bridge_;
  Wake wake_;
  std::unique_ptr<Engine> engine_;
  napi_env env_;
  bool closed_ = false;
};

/** Exports the class, and makes sure that no engine thread outlives the process's exit handlers. */
void InitEngine(Napi::Env env, Napi::Object exports);

}  // namespace culvert
