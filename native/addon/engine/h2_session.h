// One HTTP/2 connection over nghttp2, which validates, counts and frames. What it does not do is choose whose DATA
// goes next: it serves the oldest stream for as long as that has data. So every stream's data is deferred until
// Pump() names it.
#pragma once

#include <nghttp2/nghttp2.h>

#include <string>
#include <vector>

#include "counters.h"
#include "rate_limit.h"
#include "types.h"

namespace culvert {

/** A stream as the session sees it. */
class H2Stream {
 public:
  virtual ~H2Stream() = default;
  /** Payload for the peer: a length, 0 at the end, or -errno (-EAGAIN: nothing now). */
  virtual ssize_t ReadPayload(uint8_t* to, size_t capacity) = 0;
  virtual void OnResponse(int status, const Headers& headers) = 0;
  /** The request was answered with 200: a reset is then the ordinary end of a connection. */
  virtual bool answered() const = 0;
  /** The stream is gone from the session: complete (code 0, both ends), reset, or refused. */
  virtual void OnStreamClosed(uint32_t code) = 0;
};

/** What a session needs from its tunnel. None of these may call Receive or Send. */
class H2Handler {
 public:
  virtual ~H2Handler() = default;
  /** Frames on their way to the peer. False ends the session. */
  virtual bool OnFrames(const uint8_t* data, size_t length) = 0;
  virtual void OnPeerSettings() = 0;
  virtual void OnGoaway() = 0;
  virtual void OnRequest(int32_t stream, const std::string& authority, const Headers& headers, bool ended) = 0;
  virtual void OnData(H2Stream* stream, const uint8_t* data, size_t length) = 0;
  virtual void OnEnd(H2Stream* stream) = 0;
  /** Null: the connection's window, or all streams'. */
  virtual void OnWindowOpen(H2Stream* stream) = 0;
  virtual void OnPingAck() = 0;
};

class H2Session {
 public:
  enum class Pumped { kMore, kDrained, kBlocked, kEnded, kFailed };

  static constexpr int32_t kFirstWindow = 64 * 1024;
  static constexpr int32_t kOpenWindow = 256 * 1024;
  static constexpr int32_t kLargestWindow = 4 << 20;

  H2Session(H2Handler& handler, Counters& counters, bool server, uint8_t* scratch);
  ~H2Session();
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

  /** Queues our SETTINGS and the connection window. */
  void Start();
  /** False if the session is over; error() says why. */
  bool Receive(const uint8_t* data, size_t length, Nanos now);
  /** Sends what is queued, DATA excepted. */
  bool Send();
  /** Lets one stream send up to `quantum` bytes; `error` gets the errno of kFailed. */
  Pumped Pump(H2Stream* stream, int32_t id, size_t quantum, int* error);

  /** A CONNECT with an open body; the stream's id, or negative. */
  int32_t SubmitConnect(const std::string& authority, const Headers& headers, H2Stream* stream);
  /** 200 with an open body. */
  void Accept(int32_t id, const Headers& headers, H2Stream* stream);
  /** A final status without a body, then the end of the stream. */
  void Reject(int32_t id, int status);
  void Reset(int32_t id, uint32_t code);
  void Attach(int32_t id, H2Stream* stream);
  /** Nothing of this stream is called any more. */
  void Detach(int32_t id) { Attach(id, nullptr); }
  bool Exists(int32_t id) const { return nghttp2_session_find_stream(session_, id) != nullptr; }
  void ConsumeStream(int32_t id, size_t length);
  void SetWindow(int32_t id, int32_t bytes);
  void Ping();
  void ShutdownNotice();
  /** GOAWAY with the last stream that was begun. */
  void FinalGoaway();
  void Terminate(uint32_t code);

  bool over() const;
  int64_t connection_window() const { return nghttp2_session_get_remote_window_size(session_); }
  /** The largest that the peer's connection window has been. */
  int64_t widest_window() const { return widest_window_; }
  uint32_t PeerStreamsMax() const;
  bool IdsExhausted() const { return nghttp2_session_get_next_stream_id(session_) > 1u << 30; }
  size_t QueuedFrames() const { return nghttp2_session_get_outbound_queue_size(session_); }
  const std::string& error() const { return error_; }
  /** The peer broke a rule and has been told so by GOAWAY: the tunnel is to be closed. kLimit or kH2Failure. */
  bool violated() const { return violated_; }
  Reason violation() const { return flooded_ ? Reason::kLimit : Reason::kH2Failure; }
  int error_code() const { return error_code_; }

 private:
  friend struct H2Callbacks;

  int64_t Sendable(int32_t id);
  bool Gather(const uint8_t* data, size_t length);
  bool FlushGathered();
  void Flooded(Counter counter);
  /** A header list above its bound, told before the rest of it was read. */
  void HeadersTooLarge(int32_t id);
  /** Something that no peer has a reason to do often. */
  void BadRequest();
  void FinishHeaders(const nghttp2_frame* frame);

  H2Handler& handler_;
  Counters& counters_;
  const bool server_;
  /** Payload is read to here; the frame header goes in front of it. */
  uint8_t* const scratch_;
  nghttp2_session* session_ = nullptr;
  Nanos now_ = 0;

  H2Stream* pumping_ = nullptr;
  size_t allowance_ = 0;
  size_t staged_begin_ = 0;
  size_t staged_end_ = 0;
  Pumped pumped_ = Pumped::kDrained;
  int pump_errno_ = 0;

  /** Control frames and small DATA of this turn: one record for all. */
  std::vector<uint8_t> gathered_;

  /** Streams to reset once their status has left. */
  std::vector<int32_t> rejected_;

  /** The header block that is being received: there is only one at a time. */
  struct Block {
    std::string method;
    std::string authority;
    int status = 0;
    Headers headers;
    size_t bytes = 0;
  } block_;

  RateLimit pings_{100, 10};
  RateLimit settings_{100, 10};
  /** Those that give less than 256 bytes, and all: a peer may give back what each frame has used. */
  RateLimit small_window_updates_{2000, 2000};
  RateLimit window_updates_{500000, 500000};
  RateLimit tiny_data_{20000, 20000};
  RateLimit empty_data_{1000, 33};
  /** Legal, useless, and cheaper to send than to read: GOAWAY, informational responses; nghttp2 counts unknown types,
   *  PRIORITY and whatever else is irregular by the same rate. */
  RateLimit odd_frames_{1000, 33};
  /** A request that is reset before its answer has cost a decision; one after it has carried a connection. */
  RateLimit early_resets_{1000, 33};
  RateLimit resets_{10000, 1000};
  RateLimit bad_requests_{100, 10};
  bool flooded_ = false;
  bool violated_ = false;
  int64_t widest_window_ = 65535;
  std::string error_;
  int error_code_ = 0;
};

}  // namespace culvert
