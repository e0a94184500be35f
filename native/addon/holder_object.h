// JavaScript's `HolderChannel`: messages and listeners to and from the holder (native/holder/protocol.h), on the event
// loop that made it. No thread, no opinions.
#pragma once

#include <napi.h>
#include <uv.h>

namespace culvert {

class HolderObject : public Napi::ObjectWrap<HolderObject> {
 public:
  static Napi::Function Define(Napi::Env env);

  /** (fd, onMessage): the descriptor becomes this object's. */
  explicit HolderObject(const Napi::CallbackInfo& info);
  ~HolderObject() override { Shut(); }

 private:
  /** Outlives the object until the loop has let go of the handle. */
  struct Watch;

  /** (kind): 0, or -errno; -EAGAIN: say it again later. */
  Napi::Value Send(const Napi::CallbackInfo& info);
  /** (pod, note, listeners): the same. */
  Napi::Value Keep(const Napi::CallbackInfo& info);
  /** (pod, netnsCookie): the same. */
  Napi::Value Drop(const Napi::CallbackInfo& info);
  /** The process may end while nothing but this is open. */
  void Unref(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo&) { Shut(); }

  void OnReadable();
  bool Receive();
  void Shut();

  Napi::FunctionReference on_message_;
  Watch* watch_ = nullptr;
};

/** Exports the class, the kinds of message, and `listenerNetns`. */
void InitHolder(Napi::Env env, Napi::Object exports);

}  // namespace culvert
