#include "h2_harness.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace culvert {

static constexpr size_t kScratchBytes = 16 * 16384;
static constexpr size_t kHeaderBytesMax = 64 * 1024;
static constexpr size_t kMagicBytes = 24;

H2Harness::H2Harness(ByteSource& script, bool server)
    : script_(script),
      server_(server),
      peer_(server),
      scratch_(kScratchBytes),
      session_(*this, counters_, server, scratch_.data()),
      magic_seen_(server) {
  session_.Start();
}

H2Harness::~H2Harness() = default;

void H2Harness::Run() {
  if (script_.Byte() < 240) Feed(peer_.Preface());
  while (!script_.done() && !over_) {
    if (script_.Byte() < 160) {
      std::string data;
      for (size_t frames = 1 + script_.Byte() % 4; frames > 0; --frames) data += peer_.Next(script_);
      size_t cut = script_.Below(data.size() + 1);
      Feed(data.substr(0, cut));
      Feed(data.substr(cut));
    } else {
      Act();
    }
    if (!over_) Flush();
  }
}

void H2Harness::Feed(const std::string& data) {
  if (over_ || data.empty()) return;
  // A buffer of its own size: reading beyond it is seen.
  std::vector<uint8_t> exact(data.begin(), data.end());
  in_callback_ = true;
  bool alive = session_.Receive(exact.data(), exact.size(), now_);
  in_callback_ = false;
  if (!alive) {
    session_.Send();
    over_ = true;
    Expect(!session_.error().empty(), "a session that ends says why");
  }
}

void H2Harness::Flush() {
  for (auto& [id, stream] : std::map<int32_t, Stream*>(live_)) {
    if (stream->gone || !stream->accepted) continue;
    int error = 0;
    auto pumped = session_.Pump(stream, id, 1 + script_.Size(kScratchBytes - 10), &error);
    if (pumped == H2Session::Pumped::kFailed) {
      over_ = error == 0;
      if (over_) return;
      session_.Reset(id, NGHTTP2_CONNECT_ERROR);
      Forget(stream);
    }
  }
  if (!session_.Send()) over_ = true;
  CheckFrames();
  if (session_.over()) over_ = true;
}

/** What a tunnel or its application does. */
void H2Harness::Act() {
  uint8_t what = script_.Byte();
  if (what % 16 == 12) {
    now_ += script_.Word() * kMillisecond;
    return;
  }
  if (what % 16 == 13) return session_.Ping();
  if (what == 14) return session_.ShutdownNotice();
  if (what == 30) return session_.FinalGoaway();
  if (what == 46) return session_.Terminate(NGHTTP2_NO_ERROR);
  if (!server_ && what % 16 < 4) {
    auto stream = std::make_unique<Stream>(*this, 0);
    int32_t id = session_.SubmitConnect("10.0.0.1:80", {{"baggage", "a=b"}}, stream.get());
    if (id < 0) return;
    stream->id = id;
    stream->accepted = true;
    live_[id] = stream.get();
    streams_.push_back(std::move(stream));
    return;
  }
  Stream* stream = Choose();
  if (stream == nullptr) return;
  switch (what % 16) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      if (stream->accepted) break;
      stream->accepted = true;
      session_.Accept(stream->id, {{"x-one", "1"}}, stream);
      session_.SetWindow(stream->id, H2Session::kOpenWindow);
      break;
    case 5:
      if (stream->accepted) break;
      session_.Reject(stream->id, 503);
      Forget(stream);
      break;
    case 6:
      session_.Reset(stream->id, NGHTTP2_CONNECT_ERROR);
      Forget(stream);
      break;
    case 7:
    case 8:
    case 9:
      stream->offered += script_.Size(300000);
      break;
    case 10:
      stream->ends = true;
      break;
    case 11:
      session_.ConsumeStream(stream->id, stream->received - stream->consumed);
      stream->consumed = stream->received;
      break;
    default:
      session_.SetWindow(stream->id, H2Session::kLargestWindow);
  }
}

H2Harness::Stream* H2Harness::Choose() {
  if (live_.empty()) return nullptr;
  auto at = live_.begin();
  std::advance(at, static_cast<long>(script_.Below(live_.size())));
  return at->second;
}

H2Harness::Stream* H2Harness::Add(int32_t id) {
  Expect(live_.count(id) == 0, "a stream begins once");
  streams_.push_back(std::make_unique<Stream>(*this, id));
  live_[id] = streams_.back().get();
  return live_[id];
}

void H2Harness::Forget(Stream* stream) {
  stream->gone = true;
  live_.erase(stream->id);
}

void H2Harness::OnRequest(int32_t id, const std::string& authority, const Headers& headers, bool ended) {
  size_t bytes = authority.size();
  for (auto& [name, value] : headers) bytes += name.size() + value.size();
  Expect(server_ && bytes <= kHeaderBytesMax, "a request's headers are bounded");
  Expect(live_.size() < 2 * 200, "streams are bounded");
  if (script_.Byte() % 16 == 7) return session_.Reset(id, NGHTTP2_REFUSED_STREAM);
  Stream* stream = Add(id);
  session_.Attach(id, stream);
  stream->peer_ended = ended;
}

void H2Harness::OnData(H2Stream* of, const uint8_t* data, size_t length) {
  auto* stream = static_cast<Stream*>(of);
  Expect(!stream->gone && !stream->peer_ended, "data comes for streams that are open");
  // All of it is read: a pointer to bytes that are gone is seen.
  Expect(std::count(data, data + length, 'd') <= static_cast<long>(length), "the data can be read");
  stream->received += length;
  // The application is gone: it is said from inside the callback.
  if (script_.Byte() == 99) {
    session_.Reset(stream->id, NGHTTP2_CONNECT_ERROR);
    Forget(stream);
  }
}

void H2Harness::OnEnd(H2Stream* of) {
  auto* stream = static_cast<Stream*>(of);
  Expect(!stream->gone && !stream->peer_ended, "a stream ends once");
  stream->peer_ended = true;
}

void H2Harness::OnWindowOpen(H2Stream* of) {
  Expect(of == nullptr || !static_cast<Stream*>(of)->gone, "a window opens for a stream that is there");
}

ssize_t H2Harness::Stream::ReadPayload(uint8_t* to, size_t capacity) {
  Expect(!gone && accepted && !harness.in_callback_, "only a stream that may send is asked for payload");
  Expect(capacity > 0 && capacity <= kScratchBytes - 9, "the payload fits the scratch");
  size_t length = std::min(capacity, offered - read);
  if (length == 0) return ends ? 0 : -EAGAIN;
  for (size_t i = 0; i < length; ++i) to[i] = PayloadByte(id, read + i);
  read += length;
  return static_cast<ssize_t>(length);
}

void H2Harness::Stream::OnResponse(int status, const Headers&) {
  Expect(!gone && !harness.server_, "a response belongs to a stream");
  if (status == 200 || status / 100 == 1) return;
  harness.session_.Reset(id, NGHTTP2_CONNECT_ERROR);
  harness.Forget(this);
}

void H2Harness::Stream::OnStreamClosed(uint32_t) {
  Expect(!gone, "a stream closes once");
  harness.Forget(this);
}

bool H2Harness::OnFrames(const uint8_t* data, size_t length) {
  sent_.append(reinterpret_cast<const char*>(data), length);
  return true;
}

/** What we send is whole frames, and DATA is what the streams gave, in order. */
void H2Harness::CheckFrames() {
  auto byte = [&](size_t at) { return static_cast<uint8_t>(sent_[at]); };
  size_t at = 0;
  if (!magic_seen_) {
    Expect(sent_.size() >= kMagicBytes && sent_.compare(0, 4, "PRI ") == 0, "a client begins with the magic");
    at = kMagicBytes;
    magic_seen_ = true;
  }
  while (at < sent_.size()) {
    Expect(at + 9 <= sent_.size(), "a frame's header is whole");
    size_t length = static_cast<size_t>(byte(at)) << 16 | static_cast<size_t>(byte(at + 1)) << 8 | byte(at + 2);
    Expect(at + 9 + length <= sent_.size(), "a frame is whole");
    auto id = static_cast<int32_t>(byte(at + 5) << 24 | byte(at + 6) << 16 | byte(at + 7) << 8 | byte(at + 8));
    if (byte(at + 3) == NGHTTP2_DATA) {
      Expect(ended_.count(id) == 0, "nothing follows a stream's end");
      size_t& done = payload_sent_[id];
      for (size_t i = 0; i < length; ++i) Expect(byte(at + 9 + i) == PayloadByte(id, done + i), "no byte is lost");
      done += length;
      if ((byte(at + 4) & NGHTTP2_FLAG_END_STREAM) != 0) ended_.insert(id);
    }
    at += 9 + length;
  }
  sent_.clear();
  for (auto& [id, stream] : live_) {
    if (over_ || !stream->accepted) continue;
    Expect(payload_sent_[id] == stream->read, "what was read was sent");
    Expect(stream->ends || ended_.count(id) == 0, "the end is sent when it has come");
  }
}

}  // namespace culvert
