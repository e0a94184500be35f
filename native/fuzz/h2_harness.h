// An HTTP/2 session of ours and a peer whose frames a script writes. The harness is the tunnel: it answers requests,
// sends, takes and resets as the script says, also from inside the session's callbacks, and checks what the session
// promises to a tunnel.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "byte_source.h"
#include "counters.h"
#include "h2_frames.h"
#include "h2_session.h"

namespace culvert {

class H2Harness : public H2Handler {
 public:
  H2Harness(ByteSource& script, bool server);
  ~H2Harness() override;
  void Run();

  bool OnFrames(const uint8_t* data, size_t length) override;
  void OnPeerSettings() override {}
  void OnGoaway() override {}
  void OnRequest(int32_t stream, const std::string& authority, const Headers& headers, bool ended) override;
  void OnData(H2Stream* stream, const uint8_t* data, size_t length) override;
  void OnEnd(H2Stream* stream) override;
  void OnWindowOpen(H2Stream* stream) override;
  void OnPingAck() override {}

 private:
  struct Stream : H2Stream {
    Stream(H2Harness& owner, int32_t id) : harness(owner), id(id) {}
    ssize_t ReadPayload(uint8_t* to, size_t capacity) override;
    void OnResponse(int status, const Headers& headers) override;
    bool answered() const override { return accepted; }
    void OnStreamClosed(uint32_t code) override;

    H2Harness& harness;
    int32_t id;
    /** Bytes that may be read, and those that were. */
    size_t offered = 0;
    size_t read = 0;
    bool ends = false;
    bool accepted = false;
    /** Detached, reset or closed: the session may not know it any more. */
    bool gone = false;
    bool peer_ended = false;
    uint64_t received = 0;
    uint64_t consumed = 0;
  };

  Stream* Choose();
  Stream* Add(int32_t id);
  void Forget(Stream* stream);
  void Act();
  void Feed(const std::string& data);
  void Flush();
  void CheckFrames();
  static uint8_t PayloadByte(int32_t id, size_t at) {
    return static_cast<uint8_t>(static_cast<uint32_t>(id) * 31 + at * 7 + (at >> 8));
  }

  ByteSource& script_;
  const bool server_;
  FrameWriter peer_;
  Counters counters_;
  std::vector<uint8_t> scratch_;
  H2Session session_;
  bool over_ = false;
  bool in_callback_ = false;
  Nanos now_ = kSecond;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::map<int32_t, Stream*> live_;
  /** What the session has sent; whole frames are checked and taken off. */
  std::string sent_;
  bool magic_seen_;
  std::map<int32_t, size_t> payload_sent_;
  std::set<int32_t> ended_;
};

}  // namespace culvert
