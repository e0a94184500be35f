// Writes HTTP/2 as a peer would, well or badly as a script says: frames with headers that fit, HPACK blocks with a
// table of their own.
#pragma once

#include <nghttp2/nghttp2.h>

#include <string>
#include <vector>

#include "byte_source.h"
#include "types.h"

namespace culvert {

class FrameWriter {
 public:
  explicit FrameWriter(bool client);
  ~FrameWriter();
  FrameWriter(const FrameWriter&) = delete;
  FrameWriter& operator=(const FrameWriter&) = delete;

  /** One frame, chosen by the script. */
  std::string Next(ByteSource& script);
  /** What a well-behaved peer says first. */
  std::string Preface();

 private:
  std::string Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload);
  std::string HeaderBlock(ByteSource& script);
  std::string HeaderFrames(ByteSource& script);
  std::string Data(ByteSource& script);
  std::string Settings(ByteSource& script);
  uint32_t StreamId(ByteSource& script);

  const bool client_;
  uint32_t next_stream_ = 1;
  nghttp2_hd_deflater* deflater_ = nullptr;
};

}  // namespace culvert
