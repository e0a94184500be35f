// What holds for the process as a whole.
#include <napi.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>

namespace culvert {

// 0 or an errno. Both are needed: a core that is piped to a program has no size limit, and a limit can be raised by
// root. Not dumpable also means that no other process of the same user may read the memory or attach a debugger.
static Napi::Value KeepMemoryPrivate(const Napi::CallbackInfo& info) {
  const rlimit none = {0, 0};
  bool done = setrlimit(RLIMIT_CORE, &none) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
  return Napi::Number::New(info.Env(), done ? 0 : errno);
}

void InitProcess(Napi::Env env, Napi::Object exports) {
  exports.Set("keepMemoryPrivate", Napi::Function::New<KeepMemoryPrivate>(env, "keepMemoryPrivate"));
}

}  // namespace culvert
