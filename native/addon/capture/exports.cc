// What capture exports to JavaScript beside the class `Capture`.
#include <fcntl.h>
#include <napi.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "capture/in_netns.h"
#include "capture/libbpf_text.h"
#include "capture/socket_marker.h"
#include "capture_object.h"
#include "types.h"

namespace culvert {

using Napi::CallbackInfo;

static Napi::Value Status(const CallbackInfo& info, int64_t status) {
  return Napi::Number::New(info.Env(), static_cast<double>(status));
}

static uint32_t Uint(const CallbackInfo& info, size_t index) { return info[index].ToNumber().Uint32Value(); }
static int Int(const CallbackInfo& info, size_t index) { return info[index].ToNumber().Int32Value(); }

// The JavaScript class `SocketMarker`: the iterator over existing connections, one for all pods.
class SocketMarkerObject : public Napi::ObjectWrap<SocketMarkerObject> {
 public:
  explicit SocketMarkerObject(const CallbackInfo& info) : Napi::ObjectWrap<SocketMarkerObject>(info) {}

  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "SocketMarker",
                       {InstanceMethod<&SocketMarkerObject::Load>("load"),
                        InstanceMethod<&SocketMarkerObject::Mark>("mark")});
  }

 private:
  Napi::Value Load(const CallbackInfo& info) { return Status(info, marker_.Load()); }
  Napi::Value Mark(const CallbackInfo& info) {
    return Status(info, marker_.Mark(Int(info, 0), Uint(info, 1), Uint(info, 2), Uint(info, 3)));
  }

  capture::SocketMarker marker_;
};

// One at a time: of two proxies that start together and both find nothing mounted, the second would mount over the
// first one's pins. The lock is on what is underneath; the second look is at what is on top.
static Napi::Value MountBpffs(const CallbackInfo& info) {
  constexpr uint32_t kBpffsMagic = 0xcafe4a11;
  std::string path = info[0].ToString();
  int underneath = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (underneath < 0) return Status(info, -errno);
  int status = flock(underneath, LOCK_EX) == 0 ? 0 : -errno;
  struct statfs filesystem;
  if (status == 0 && statfs(path.c_str(), &filesystem) != 0) status = -errno;
  if (status == 0 && static_cast<uint32_t>(filesystem.f_type) != kBpffsMagic)
    status = mount("bpf", path.c_str(), "bpf", 0, "mode=0700") == 0 ? 1 : -errno;
  close(underneath);
  return Status(info, status);
}

static Napi::Value ScratchNetns(const CallbackInfo& info) { return Status(info, capture::ScratchNetns()); }

static Napi::Value NetnsCookie(const CallbackInfo& info) {
  unsigned long long cookie = 0;
  int status = capture::NetnsCookie(Int(info, 0), &cookie);
  if (status != 0) return Status(info, status);
  return Napi::BigInt::New(info.Env(), static_cast<uint64_t>(cookie));
}

static Napi::Value TcpSockets(const CallbackInfo& info) {
  return Status(info, capture::CountTcpSockets(Int(info, 0)));
}

static Napi::Value TakeText(const CallbackInfo& info) {
  return Napi::String::New(info.Env(), capture::TakeLibbpfText());
}

// The enumerations of types.h, so that TypeScript has no copy of them.
static Napi::Object Contract(Napi::Env env) {
  Napi::Object contract = Napi::Object::New(env);
  contract.Set("layout", CULVERT_LAYOUT);
  Napi::Object listeners = Napi::Object::New(env);
  listeners.Set("outbound", static_cast<int>(LISTENER_OUTBOUND));
  listeners.Set("plaintext", static_cast<int>(LISTENER_PLAINTEXT));
  listeners.Set("hbone", static_cast<int>(LISTENER_HBONE));
  contract.Set("listeners", listeners);
  Napi::Object phases = Napi::Object::New(env);
  phases.Set("captured", static_cast<int>(PHASE_CAPTURED));
  phases.Set("released", static_cast<int>(PHASE_RELEASED));
  contract.Set("phases", phases);
  Napi::Object directions = Napi::Object::New(env);
  directions.Set("inbound", static_cast<int>(DIRECTION_INBOUND));
  directions.Set("outbound", static_cast<int>(DIRECTION_OUTBOUND));
  contract.Set("directions", directions);
  Napi::Object paths = Napi::Object::New(env);
  paths.Set("any", static_cast<int>(PATH_ANY));
  paths.Set("notLoopback", static_cast<int>(PATH_NOT_LOOPBACK));
  paths.Set("outside", static_cast<int>(PATH_OUTSIDE));
  paths.Set("loopback", static_cast<int>(PATH_LOOPBACK));
  contract.Set("paths", paths);
  Napi::Array counters = Napi::Array::New(env);
#define X(name) counters.Set(counters.Length(), #name);
  CULVERT_COUNTERS(X)
#undef X
  contract.Set("counters", counters);
  return contract;
}

void InitCapture(Napi::Env env, Napi::Object exports) {
  capture::CollectLibbpfText();
  exports.Set("Capture", CaptureObject::Define(env));
  exports.Set("SocketMarker", SocketMarkerObject::Define(env));
  exports.Set("captureContract", Contract(env));
  exports.Set("mountBpffs", Napi::Function::New<MountBpffs>(env, "mountBpffs"));
  exports.Set("scratchNetns", Napi::Function::New<ScratchNetns>(env, "scratchNetns"));
  exports.Set("netnsCookie", Napi::Function::New<NetnsCookie>(env, "netnsCookie"));
  exports.Set("tcpSockets", Napi::Function::New<TcpSockets>(env, "tcpSockets"));
  exports.Set("takeText", Napi::Function::New<TakeText>(env, "takeText"));
}

}  // namespace culvert
