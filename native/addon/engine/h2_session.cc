#include "h2_session.h"

#include <algorithm>

#include "h2_callbacks.h"

namespace culvert {

static constexpr int32_t kConnectionWindow = 16 << 20;
static constexpr uint32_t kFrameMax = 1 << 20;
static constexpr uint32_t kServerStreamsMax = 200;
static constexpr size_t kGatherMax = 16384;

H2Session::H2Session(H2Handler& handler, Counters& counters, bool server, uint8_t* scratch)
    : handler_(handler), counters_(counters), server_(server), scratch_(scratch) {
  session_ = H2Callbacks::MakeSession(this, server);
}

H2Session::~H2Session() { nghttp2_session_del(session_); }

void H2Session::Start() {
  nghttp2_settings_entry client[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                     {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kFirstWindow},
                                     {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrameMax},
                                     {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 16 * 1024}};
  nghttp2_settings_entry server[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kServerStreamsMax},
                                     {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kFirstWindow},
                                     {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, kFrameMax},
                                     {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 64 * 1024}};
  nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, server_ ? server : client, 4);
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
}

bool H2Session::Receive(const uint8_t* data, size_t length, Nanos now) {
  now_ = now;
  ssize_t taken = nghttp2_session_mem_recv(session_, data, length);
  if (taken < 0) {
    error_code_ = static_cast<int>(taken);
    if (error_.empty()) error_ = nghttp2_strerror(error_code_);
    return false;
  }
  if (flooded_) Terminate(NGHTTP2_ENHANCE_YOUR_CALM);
  return true;
}

void H2Session::Flooded(Counter counter) {
  if (flooded_) return;
  flooded_ = violated_ = true;
  counters_.Add(counter);
  error_ = CounterName(counter);
}

void H2Session::HeadersTooLarge(int32_t id) {
  counters_.Add(Counter::kHeaderListTooLarge);
  auto* stream = static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
  if (stream != nullptr) stream->OnStreamClosed(NGHTTP2_ENHANCE_YOUR_CALM);
  Reset(id, NGHTTP2_ENHANCE_YOUR_CALM);
  BadRequest();
}

void H2Session::BadRequest() {
  if (!bad_requests_.Take(now_)) Flooded(Counter::kBadRequestFlood);
}

bool H2Session::Send() {
  int result = nghttp2_session_send(session_);
  if (result != 0) {
    error_code_ = result;
    if (error_.empty()) error_ = nghttp2_strerror(result);
    return false;
  }
  // The answers are whole; the rest of the requests is not wanted (RFC 9113 section 8.1). Not before they are sent:
  // nghttp2 drops what is queued for a stream that is being reset.
  bool more = false;
  for (int32_t id : rejected_) {
    if (Exists(id) && nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR) == 0) more = true;
  }
  rejected_.clear();
  return more ? Send() : FlushGathered();
}

bool H2Session::Gather(const uint8_t* data, size_t length) {
  if (gathered_.size() + length > kGatherMax && !FlushGathered()) return false;
  if (length > kGatherMax) return handler_.OnFrames(data, length);
  gathered_.insert(gathered_.end(), data, data + length);
  return true;
}

bool H2Session::FlushGathered() {
  if (gathered_.empty()) return true;
  bool sent = handler_.OnFrames(gathered_.data(), gathered_.size());
  gathered_.clear();
  if (gathered_.capacity() > 1024) gathered_.shrink_to_fit();
  return sent;
}

int64_t H2Session::Sendable(int32_t id) {
  int64_t stream = nghttp2_session_get_stream_remote_window_size(session_, id);
  int64_t connection = connection_window();
  int64_t sendable = std::min(stream, connection);
  // A receiver whose connection window is four streams wide is stopped by four stalled streams: no stream may have
  // more than an eighth of it under way. Half of the stream's own window it may: many give nothing back before.
  int64_t initial = nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
  int64_t share = std::max({widest_window_ / 8, initial / 2, int64_t{kFirstWindow}});
  return std::min(sendable, share - (initial - stream));
}

H2Session::Pumped H2Session::Pump(H2Stream* stream, int32_t id, size_t quantum, int* error) {
  int64_t sendable = Sendable(id);
  if (sendable <= 0) return Pumped::kBlocked;
  pumping_ = stream;
  pumped_ = Pumped::kDrained;
  allowance_ = std::min<size_t>(quantum, static_cast<size_t>(sendable));
  staged_begin_ = staged_end_ = 0;
  nghttp2_session_resume_data(session_, id);
  int result = nghttp2_session_send(session_);
  pumping_ = nullptr;
  if (result != 0) {
    error_code_ = result;
    if (error_.empty()) error_ = nghttp2_strerror(result);
    *error = 0;
    return Pumped::kFailed;
  }
  *error = pump_errno_;
  // Bytes that were read and could not be framed would be lost without a trace.
  if (staged_begin_ != staged_end_) {
    *error = EPROTO;
    return Pumped::kFailed;
  }
  return pumped_;
}

/** Names and values stay the caller's during the call that uses the result. */
static std::vector<nghttp2_nv> ToNv(const Headers& headers) {
  std::vector<nghttp2_nv> out;
  out.reserve(headers.size());
  for (const auto& [name, value] : headers) {
    out.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                   reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
                   NGHTTP2_NV_FLAG_NONE});
  }
  return out;
}

int32_t H2Session::SubmitConnect(const std::string& authority, const Headers& headers, H2Stream* stream) {
  Headers all = {{":method", "CONNECT"}, {":authority", authority}};
  all.insert(all.end(), headers.begin(), headers.end());
  std::vector<nghttp2_nv> nv = ToNv(all);
  nghttp2_data_provider provider = {};
  provider.read_callback = H2Callbacks::ReadData;
  return nghttp2_submit_request(session_, nullptr, nv.data(), nv.size(), &provider, stream);
}

void H2Session::Accept(int32_t id, const Headers& headers, H2Stream* stream) {
  Headers all = {{":status", "200"}};
  all.insert(all.end(), headers.begin(), headers.end());
  std::vector<nghttp2_nv> nv = ToNv(all);
  nghttp2_data_provider provider = {};
  provider.read_callback = H2Callbacks::ReadData;
  Attach(id, stream);
  nghttp2_submit_response(session_, id, nv.data(), nv.size(), &provider);
}

void H2Session::Reject(int32_t id, int status) {
  Detach(id);
  Headers all = {{":status", std::to_string(status)}};
  std::vector<nghttp2_nv> nv = ToNv(all);
  nghttp2_submit_response(session_, id, nv.data(), nv.size(), nullptr);
  rejected_.push_back(id);
}

void H2Session::Reset(int32_t id, uint32_t code) {
  Detach(id);
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, code);
}

void H2Session::Attach(int32_t id, H2Stream* stream) { nghttp2_session_set_stream_user_data(session_, id, stream); }

void H2Session::ConsumeStream(int32_t id, size_t length) { nghttp2_session_consume_stream(session_, id, length); }

void H2Session::SetWindow(int32_t id, int32_t bytes) {
  nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, id, bytes);
}

void H2Session::Ping() { nghttp2_submit_ping(session_, NGHTTP2_FLAG_NONE, nullptr); }

void H2Session::ShutdownNotice() { nghttp2_submit_shutdown_notice(session_); }

void H2Session::FinalGoaway() {
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
}

void H2Session::Terminate(uint32_t code) { nghttp2_session_terminate_session(session_, code); }

bool H2Session::over() const {
  return nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0;
}

uint32_t H2Session::PeerStreamsMax() const {
  return nghttp2_session_get_remote_settings(session_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

void H2Session::FinishHeaders(const nghttp2_frame* frame) {
  int32_t id = frame->hd.stream_id;
  bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  auto* stream = static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
  if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
    if (block_.method != "CONNECT") {
      counters_.Add(Counter::kNotConnect);
      BadRequest();
      Reject(id, 400);
      return;
    }
    handler_.OnRequest(id, block_.authority, block_.headers, ended);
    return;
  }
  // The final response after an informational one is of another category: what tells it from trailers is its status.
  if (block_.status / 100 == 1 && !odd_frames_.Take(now_)) Flooded(Counter::kOddFrameFlood);
  if (block_.status != 0 && stream != nullptr) {
    stream->OnResponse(block_.status, block_.headers);
    // The response may have ended the stream's object.
    stream = static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session_, id));
  }
  if (ended && stream != nullptr) handler_.OnEnd(stream);
}

}  // namespace culvert
