#include "h2_callbacks.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "exhaustion.h"

// Node's nghttp2 has it; the headers of Debian 12 do not. Alone, the engine is linked with what the distribution has.
#ifndef CULVERT_NO_GLITCH_LIMIT
extern "C" void nghttp2_option_set_glitch_rate_limit(nghttp2_option* option, uint64_t burst, uint64_t rate);
#endif

namespace culvert {

static constexpr size_t kFrameHeader = 9;
static constexpr size_t kServerHeaderListMax = 64 * 1024;
static constexpr size_t kClientHeaderListMax = 16 * 1024;
/** Frames up to this size are gathered into one TLS record. */
static constexpr size_t kSmallFrame = 4096;

static H2Session* Self(void* self) { return static_cast<H2Session*>(self); }

nghttp2_session* H2Callbacks::MakeSession(H2Session* self, bool server) {
  nghttp2_session_callbacks* callbacks;
  nghttp2_option* option;
  if (nghttp2_session_callbacks_new(&callbacks) != 0) OutOfMemory();
  nghttp2_session_callbacks_set_send_callback(callbacks, Send);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, SendData);
  nghttp2_session_callbacks_set_data_source_read_length_callback(callbacks, ReadLength);
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, OnBeginFrame);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, OnFrameSent);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, OnBeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnDataChunk);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnStreamClose);
  nghttp2_session_callbacks_set_error_callback2(callbacks, OnError);
  if (nghttp2_option_new(&option) != 0) OutOfMemory();
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_option_set_no_closed_streams(option, 1);
  nghttp2_option_set_max_outbound_ack(option, 1000);
  nghttp2_option_set_max_settings(option, 32);
  // A server may push until it has read our SETTINGS.
  nghttp2_option_set_max_reserved_remote_streams(option, 0);
  nghttp2_option_set_max_continuations(option, 8);
#ifndef CULVERT_NO_GLITCH_LIMIT
  // Behind the session's own rates, which name what was sent too often.
  nghttp2_option_set_glitch_rate_limit(option, 1200, 40);
#endif
  // It counts every reset, and an application may reset its connections as it likes: the rate of those that were never
  // answered is the session's own.
  if (server) nghttp2_option_set_stream_reset_rate_limit(option, 20000, 2000);
  nghttp2_session* session = nullptr;
  if (server) {
    nghttp2_session_server_new2(&session, callbacks, self, option);
  } else {
    nghttp2_session_client_new2(&session, callbacks, self, option);
  }
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  if (session == nullptr) OutOfMemory();
  return session;
}

H2Stream* H2Callbacks::StreamOf(nghttp2_session* session, int32_t id) {
  return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
}

ssize_t H2Callbacks::Send(nghttp2_session*, const uint8_t* data, size_t length, int, void* self) {
  if (!Self(self)->Gather(data, length)) return NGHTTP2_ERR_CALLBACK_FAILURE;
  return static_cast<ssize_t>(length);
}

ssize_t H2Callbacks::ReadLength(nghttp2_session*, uint8_t, int32_t, int32_t session_window, int32_t stream_window,
                                uint32_t frame_max, void* self) {
  // As large a frame as the peer takes: one header, one record run.
  H2Session* session = Self(self);
  size_t staged = session->staged_end_ - session->staged_begin_;
  auto length = static_cast<int64_t>(staged > 0 ? staged : session->allowance_);
  if (length > session_window) length = session_window;
  if (length > stream_window) length = stream_window;
  if (length > static_cast<int64_t>(frame_max)) length = frame_max;
  return length > 0 ? length : 1;
}

ssize_t H2Callbacks::ReadData(nghttp2_session* session, int32_t id, uint8_t*, size_t length, uint32_t* flags,
                              nghttp2_data_source*, void* user) {
  H2Session* self = Self(user);
  H2Stream* stream = StreamOf(session, id);
  if (stream == nullptr || stream != self->pumping_) return NGHTTP2_ERR_DEFERRED;
  if (self->staged_begin_ == self->staged_end_) {
    if (self->allowance_ == 0) return NGHTTP2_ERR_DEFERRED;
    ssize_t got = stream->ReadPayload(self->scratch_ + kFrameHeader, self->allowance_);
    if (got < 0) {
      self->pumped_ = got == -EAGAIN ? H2Session::Pumped::kDrained : H2Session::Pumped::kFailed;
      self->pump_errno_ = static_cast<int>(-got);
      return NGHTTP2_ERR_DEFERRED;
    }
    if (got == 0) {
      self->pumped_ = H2Session::Pumped::kEnded;
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      return 0;
    }
    self->pumped_ = H2Session::Pumped::kMore;
    self->allowance_ = 0;
    self->staged_begin_ = kFrameHeader;
    self->staged_end_ = self->staged_begin_ + static_cast<size_t>(got);
  }
  // A peer with small frames gets several from one read.
  size_t staged = self->staged_end_ - self->staged_begin_;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  return static_cast<ssize_t>(length < staged ? length : staged);
}

int H2Callbacks::SendData(nghttp2_session*, nghttp2_frame*, const uint8_t* header, size_t length, nghttp2_data_source*,
                          void* user) {
  H2Session* self = Self(user);
  // In front of the payload: either the gap at the start of the scratch, or payload that was encrypted already.
  uint8_t* frame = self->scratch_ + self->staged_begin_ - kFrameHeader;
  memcpy(frame, header, kFrameHeader);
  self->staged_begin_ += length;
  size_t whole = kFrameHeader + length;
  if (whole <= kSmallFrame) return self->Gather(frame, whole) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
  bool sent = self->FlushGathered() && self->handler_.OnFrames(frame, whole);
  return sent ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

int H2Callbacks::OnBeginHeaders(nghttp2_session*, const nghttp2_frame*, void* self) {
  Self(self)->block_ = {};
  return 0;
}

int H2Callbacks::OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* header, void* user) {
  H2Session* self = Self(user);
  if (header->type == NGHTTP2_GOAWAY && !self->odd_frames_.Take(self->now_)) self->Flooded(Counter::kOddFrameFlood);
  return 0;
}

int H2Callbacks::OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  H2Session* self = Self(user);
  if (frame->hd.type == NGHTTP2_RST_STREAM) {
    // Codes that nghttp2 alone sends.
    uint32_t code = frame->rst_stream.error_code;
    if (code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR) self->counters_.Add(Counter::kStreamError);
  }
  if (frame->hd.type != NGHTTP2_GOAWAY || frame->goaway.error_code == NGHTTP2_NO_ERROR || self->violated_) return 0;
  // nghttp2 has found the peer at fault. It would go on reading after some of these. Without further words it asks who
  // sends more irregular frames than its own rate allows to be calm.
  std::string said(reinterpret_cast<const char*>(frame->goaway.opaque_data), frame->goaway.opaque_data_len);
  if (frame->goaway.error_code == NGHTTP2_ENHANCE_YOUR_CALM && said.empty()) {
    self->Flooded(Counter::kOddFrameFlood);
    return 0;
  }
  self->violated_ = true;
  self->counters_.Add(Counter::kProtocolError);
  std::string name = nghttp2_http2_strerror(frame->goaway.error_code);
  self->error_ = said.empty() ? name : name + ": " + said;
  return 0;
}

int H2Callbacks::OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_length,
                          const uint8_t* value, size_t value_length, uint8_t, void* user) {
  H2Session* self = Self(user);
  H2Session::Block& block = self->block_;
  // nghttp2 announces SETTINGS_MAX_HEADER_LIST_SIZE and does not enforce it.
  block.bytes += name_length + value_length + 32;
  if (block.bytes > (self->server_ ? kServerHeaderListMax : kClientHeaderListMax)) {
    block.headers.clear();
    self->HeadersTooLarge(frame->hd.stream_id);
    // The rest is decompressed, as it must be, and neither checked nor copied: a reference of one byte may stand for
    // a value of four thousand.
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  std::string key(reinterpret_cast<const char*>(name), name_length);
  std::string text(reinterpret_cast<const char*>(value), value_length);
  if (key == ":method") {
    block.method = std::move(text);
  } else if (key == ":authority") {
    block.authority = std::move(text);
  } else if (key == ":status") {
    block.status = atoi(text.c_str());
  } else if (key[0] != ':') {
    block.headers.emplace_back(std::move(key), std::move(text));
  }
  return 0;
}

int H2Callbacks::OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
  H2Session* self = Self(user);
  bool ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
  bool ended = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      self->FinishHeaders(frame);
      break;
    case NGHTTP2_DATA: {
      // Padding is not payload: a frame of 256 bytes may carry none.
      size_t payload = frame->hd.length - frame->data.padlen;
      if (payload == 0 && !ended && !self->empty_data_.Take(self->now_)) self->Flooded(Counter::kEmptyDataFlood);
      if (payload < 64 && !ended && !self->tiny_data_.Take(self->now_)) self->Flooded(Counter::kTinyDataFlood);
      if (ended) {
        H2Stream* stream = StreamOf(session, frame->hd.stream_id);
        if (stream != nullptr) self->handler_.OnEnd(stream);
      }
      break;
    }
    case NGHTTP2_RST_STREAM: {
      H2Stream* stream = StreamOf(session, frame->hd.stream_id);
      bool early = self->server_ && stream != nullptr && !stream->answered();
      if ((early && !self->early_resets_.Take(self->now_)) || !self->resets_.Take(self->now_)) {
        self->Flooded(Counter::kResetFlood);
      }
      break;
    }
    case NGHTTP2_SETTINGS:
      if (ack) break;
      if (!self->settings_.Take(self->now_)) self->Flooded(Counter::kSettingsFlood);
      self->handler_.OnPeerSettings();
      self->handler_.OnWindowOpen(nullptr);
      break;
    case NGHTTP2_PING:
      if (ack) {
        self->handler_.OnPingAck();
      } else if (!self->pings_.Take(self->now_)) {
        self->Flooded(Counter::kPingFlood);
      }
      break;
    case NGHTTP2_GOAWAY:
      self->handler_.OnGoaway();
      break;
    case NGHTTP2_WINDOW_UPDATE:
      if ((frame->window_update.window_size_increment < 256 && !self->small_window_updates_.Take(self->now_)) ||
          !self->window_updates_.Take(self->now_)) {
        self->Flooded(Counter::kWindowUpdateFlood);
      }
      if (frame->hd.stream_id == 0) {
        if (self->connection_window() > self->widest_window_) self->widest_window_ = self->connection_window();
        self->handler_.OnWindowOpen(nullptr);
      } else if (H2Stream* stream = StreamOf(session, frame->hd.stream_id)) {
        self->handler_.OnWindowOpen(stream);
      }
      break;
    default:
      break;
  }
  return 0;
}

int H2Callbacks::OnDataChunk(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data, size_t length,
                             void* user) {
  // The connection's window is given back at once: a stalled stream then blocks only itself.
  nghttp2_session_consume_connection(session, length);
  H2Stream* stream = StreamOf(session, id);
  if (stream == nullptr) {
    nghttp2_session_consume_stream(session, id, length);
  } else {
    Self(user)->handler_.OnData(stream, data, length);
  }
  return 0;
}

int H2Callbacks::OnStreamClose(nghttp2_session* session, int32_t id, uint32_t code, void*) {
  H2Stream* stream = StreamOf(session, id);
  if (stream != nullptr) stream->OnStreamClosed(code);
  return 0;
}

int H2Callbacks::OnError(nghttp2_session*, int, const char* message, size_t length, void* self) {
  Self(self)->error_.assign(message, length);
  return 0;
}

}  // namespace culvert
