#include "holder_object.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>
#include <memory>
#include <string>

#include "engine/address.h"
#include "engine/fd.h"

extern "C" {
#include "channel.h"
}

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

namespace culvert {

/** Messages per turn of the event loop; then others have theirs. */
static constexpr int kMessagesPerTurn = 64;

struct HolderObject::Watch {
  uv_poll_t poll;
  Fd fd;
  HolderObject* self;
};

static holder_message Message(holder_kind kind) {
  holder_message message = {};
  message.magic = HOLDER_MAGIC;
  message.version = HOLDER_VERSION;
  message.kind = static_cast<uint16_t>(kind);
  return message;
}

/** False if it is too long, or holds a NUL. */
template <size_t N>
static bool Put(char (&field)[N], const std::string& text) {
  if (text.size() >= N || text.find('\0') != std::string::npos) return false;
  memcpy(field, text.data(), text.size());
  return true;
}

static Napi::Value Status(Napi::Env env, int status) { return Napi::Number::New(env, status); }

static int SendOn(int fd, const holder_message& message, const int* listeners) {
  errno = 0;
  if (channel_send(fd, &message, listeners)) return 0;
  // ETOOMANYREFS: too many descriptors are under way; the holder is taking them.
  return errno == 0 || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ETOOMANYREFS ? -EAGAIN : -errno;
}

HolderObject::HolderObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<HolderObject>(info) {
  Napi::Env env = info.Env();
  uv_loop_t* loop = nullptr;
  auto watch = std::make_unique<Watch>();
  int fd = info[0].As<Napi::Number>().Int32Value();
  int type = 0;
  socklen_t length = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_SEQPACKET ||
      napi_get_uv_event_loop(env, &loop) != napi_ok || uv_poll_init(loop, &watch->poll, fd) != 0) {
    Napi::Error::New(env, "not a descriptor of a holder").ThrowAsJavaScriptException();
    return;
  }
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  watch->fd.Reset(fd);
  watch->self = this;
  watch->poll.data = watch.get();
  on_message_ = Napi::Persistent(info[1].As<Napi::Function>());
  watch_ = watch.release();
  uv_poll_start(&watch_->poll, UV_READABLE, [](uv_poll_t* poll, int, int) {
    if (HolderObject* self = static_cast<Watch*>(poll->data)->self) self->OnReadable();
  });
}

void HolderObject::Unref(const Napi::CallbackInfo&) {
  if (watch_ != nullptr) uv_unref(reinterpret_cast<uv_handle_t*>(&watch_->poll));
}

void HolderObject::Shut() {
  if (watch_ == nullptr) return;
  Watch* closing = watch_;
  watch_ = nullptr;
  closing->self = nullptr;
  on_message_.Reset();
  uv_poll_stop(&closing->poll);
  uv_close(reinterpret_cast<uv_handle_t*>(&closing->poll),
           [](uv_handle_t* handle) { delete static_cast<Watch*>(handle->data); });
}

void HolderObject::OnReadable() {
  // The callback may close us.
  for (int i = 0; i < kMessagesPerTurn && watch_ != nullptr && Receive(); ++i) continue;
}

/** False if there is nothing more to read. */
bool HolderObject::Receive() {
  holder_message message;
  int listeners[HOLDER_LISTENERS];
  int count = 0;
  Napi::Env env = Env();
  switch (channel_receive(watch_->fd.get(), &message, listeners, &count)) {
    case RECEIVED_NOTHING:
      return false;
    case RECEIVED_GARBAGE:
      return true;
    case RECEIVED_END: {
      Napi::HandleScope scope(env);
      Napi::FunctionReference last = std::move(on_message_);
      Shut();
      last.MakeCallback(env.Global(), {env.Null()});
      return false;
    }
    case RECEIVED_MESSAGE:
      break;
  }
  Napi::HandleScope scope(env);
  auto out = Napi::Object::New(env);
  out.Set("kind", Napi::Number::New(env, message.kind));
  out.Set("netnsCookie", Napi::BigInt::New(env, message.netns_cookie));
  out.Set("pod", Napi::String::New(env, message.pod));
  out.Set("note", Napi::String::New(env, message.note));
  auto numbers = Napi::Array::New(env, HOLDER_NUMBERS);
  for (uint32_t i = 0; i < HOLDER_NUMBERS; ++i) numbers.Set(i, Napi::Number::New(env, message.numbers[i]));
  out.Set("numbers", numbers);
  auto taken = Napi::Array::New(env, static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) taken.Set(static_cast<uint32_t>(i), Napi::Number::New(env, listeners[i]));
  out.Set("listeners", taken);
  on_message_.MakeCallback(env.Global(), {out});
  return true;
}

Napi::Value HolderObject::Send(const Napi::CallbackInfo& info) {
  if (watch_ == nullptr) return Status(info.Env(), -EPIPE);
  auto kind = static_cast<holder_kind>(info[0].As<Napi::Number>().Int32Value());
  return Status(info.Env(), SendOn(watch_->fd.get(), Message(kind), nullptr));
}

Napi::Value HolderObject::Keep(const Napi::CallbackInfo& info) {
  if (watch_ == nullptr) return Status(info.Env(), -EPIPE);
  holder_message message = Message(HOLDER_KEEP);
  auto given = info[2].As<Napi::Array>();
  if (!Put(message.pod, info[0].As<Napi::String>().Utf8Value()) ||
      !Put(message.note, info[1].As<Napi::String>().Utf8Value()) || given.Length() != HOLDER_LISTENERS)
    return Status(info.Env(), -EMSGSIZE);
  int listeners[HOLDER_LISTENERS];
  for (uint32_t i = 0; i < HOLDER_LISTENERS; ++i) {
    listeners[i] = given.Get(i).As<Napi::Number>().Int32Value();
    message.ports[i] = Address::LocalOf(listeners[i]).port;
  }
  int family = 0;
  socklen_t length = sizeof family;
  socklen_t cookie_length = sizeof message.netns_cookie;
  if (getsockopt(listeners[0], SOL_SOCKET, SO_DOMAIN, &family, &length) != 0 ||
      getsockopt(listeners[0], SOL_SOCKET, SO_NETNS_COOKIE, &message.netns_cookie, &cookie_length) != 0)
    return Status(info.Env(), -errno);
  message.family = static_cast<uint16_t>(family);
  return Status(info.Env(), SendOn(watch_->fd.get(), message, listeners));
}

Napi::Value HolderObject::Drop(const Napi::CallbackInfo& info) {
  if (watch_ == nullptr) return Status(info.Env(), -EPIPE);
  holder_message message = Message(HOLDER_DROP);
  bool lossless = false;
  message.netns_cookie = info[1].As<Napi::BigInt>().Uint64Value(&lossless);
  if (!Put(message.pod, info[0].As<Napi::String>().Utf8Value())) return Status(info.Env(), -EMSGSIZE);
  return Status(info.Env(), SendOn(watch_->fd.get(), message, nullptr));
}

/** A new descriptor of the network namespace that a socket is in, or -errno. */
static Napi::Value ListenerNetns(const Napi::CallbackInfo& info) {
  int netns = ioctl(info[0].As<Napi::Number>().Int32Value(), SIOCGSKNS);
  if (netns < 0) return Status(info.Env(), -errno);
  fcntl(netns, F_SETFD, FD_CLOEXEC);
  return Status(info.Env(), netns);
}

Napi::Function HolderObject::Define(Napi::Env env) {
  return DefineClass(env, "HolderChannel",
                     {
                         InstanceMethod("send", &HolderObject::Send),
                         InstanceMethod("keep", &HolderObject::Keep),
                         InstanceMethod("drop", &HolderObject::Drop),
                         InstanceMethod("unref", &HolderObject::Unref),
                         InstanceMethod("close", &HolderObject::Close),
                     });
}

void InitHolder(Napi::Env env, Napi::Object exports) {
  exports.Set("HolderChannel", HolderObject::Define(env));
  exports.Set("listenerNetns", Napi::Function::New<ListenerNetns>(env, "listenerNetns"));
  auto kinds = Napi::Object::New(env);
  const struct {
    const char* name;
    holder_kind kind;
  } named[] = {{"take", HOLDER_TAKE},           {"ready", HOLDER_READY}, {"replace", HOLDER_REPLACE},
               {"held", HOLDER_HELD},           {"all", HOLDER_ALL},     {"superseded", HOLDER_SUPERSEDED},
               {"replacing", HOLDER_REPLACING}, {"alone", HOLDER_ALONE}};
  for (const auto& each : named) kinds.Set(each.name, Napi::Number::New(env, each.kind));
  exports.Set("holderKinds", kinds);
}

}  // namespace culvert
