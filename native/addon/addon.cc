// The N-API shell: one class per object that JavaScript sees. No decisions, no messages for people.
#include <napi.h>

#include "engine_object.h"
#include "holder_object.h"

namespace culvert {
void InitCapture(Napi::Env env, Napi::Object exports);  // capture/exports.cc
void InitProcess(Napi::Env env, Napi::Object exports);  // process.cc
}

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("version", Napi::String::New(env, "0.1.0"));
  culvert::InitEngine(env, exports);
  culvert::InitCapture(env, exports);
  culvert::InitProcess(env, exports);
  culvert::InitHolder(env, exports);
  return exports;
}

NODE_API_MODULE(culvert, Init)
