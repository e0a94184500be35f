#include "h2_frames.h"

namespace culvert {

static constexpr char kMagic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static std::string Number(uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

FrameWriter::FrameWriter(bool client) : client_(client) { nghttp2_hd_deflate_new(&deflater_, 4096); }

FrameWriter::~FrameWriter() { nghttp2_hd_deflate_del(deflater_); }

std::string FrameWriter::Frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload) {
  return Number(payload.size(), 3) + static_cast<char>(type) + static_cast<char>(flags) + Number(stream, 4) + payload;
}

std::string FrameWriter::Preface() {
  std::string magic = client_ ? kMagic : "";
  // A connection window of 16 MiB, as we and ztunnel have.
  return magic + Frame(NGHTTP2_SETTINGS, 0, 0, "") + Frame(NGHTTP2_WINDOW_UPDATE, 0, 0, Number((16 << 20) - 65535, 4));
}

uint32_t FrameWriter::StreamId(ByteSource& script) {
  uint8_t choice = script.Byte();
  if (choice < 200) return 1 + 2 * (choice % (next_stream_ / 2 + 1));
  return choice < 240 ? choice : script.Long();
}

std::string FrameWriter::HeaderBlock(ByteSource& script) {
  static const Headers kUsual = {
      {":method", "CONNECT"},  {":authority", "10.0.0.1:80"}, {":status", "200"},      {":path", "/"},
      {":scheme", "https"},    {":method", "GET"},            {":protocol", "websocket"}, {":authority", ""},
      {":status", "503"},      {":status", "100"},            {":status", "2x"},       {"baggage", "a=b"},
      {"forwarded", "for=1"},  {"traceparent", "00-0-0-0"},   {"content-length", "5"}, {"Upper", "x"},
      {"te", "trailers"},      {"connection", "close"},       {"", "empty name"},      {"cookie", "a=b; c=d"},
  };
  uint8_t kind = script.Byte();
  // Bytes that no encoder made.
  if (kind == 255) return script.Bytes(script.Size(300));
  Headers headers;
  if (kind < 200 && client_) headers = {{":method", "CONNECT"}, {":authority", "10.0.0.1:80"}};
  if (kind < 200 && !client_) headers = {{":status", kind < 150 ? "200" : kind < 170 ? "401" : "503"}};
  for (size_t more = kind % 4; more > 0; --more) {
    uint8_t which = script.Byte();
    if (which < 200) {
      headers.push_back(kUsual[which % kUsual.size()]);
    } else if (which < 230) {
      headers.emplace_back(script.Bytes(script.Below(20)), script.Bytes(script.Below(40)));
    } else {
      headers.emplace_back("baggage", std::string(script.Size(20000), 'v'));
    }
  }
  std::vector<nghttp2_nv> nv;
  for (auto& [name, value] : headers) {
    nv.push_back({reinterpret_cast<uint8_t*>(name.data()), reinterpret_cast<uint8_t*>(value.data()), name.size(),
                  value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  std::string block(nghttp2_hd_deflate_bound(deflater_, nv.data(), nv.size()), '\0');
  ssize_t length = nghttp2_hd_deflate_hd(deflater_, reinterpret_cast<uint8_t*>(block.data()), block.size(), nv.data(),
                                         nv.size());
  block.resize(length < 0 ? 0 : static_cast<size_t>(length));
  return block;
}

std::string FrameWriter::HeaderFrames(ByteSource& script) {
  uint8_t shape = script.Byte();
  uint32_t stream = next_stream_;
  if (client_ && shape < 200) {
    next_stream_ += 2;
  } else {
    stream = StreamId(script);
  }
  std::string block = HeaderBlock(script);
  auto flags = static_cast<uint8_t>((shape & 1) != 0 && shape < 128 ? NGHTTP2_FLAG_END_STREAM : 0);
  if (shape % 8 != 0) return Frame(NGHTTP2_HEADERS, flags | NGHTTP2_FLAG_END_HEADERS, stream, block);
  // In pieces; the last may be missing.
  std::string out;
  size_t piece = 1 + script.Size(16384);
  uint8_t type = NGHTTP2_HEADERS;
  for (size_t at = 0, count = 0; at < block.size() && count < 16; at += piece, ++count) {
    bool last = at + piece >= block.size() && shape % 16 == 0;
    out += Frame(type, flags | (last ? NGHTTP2_FLAG_END_HEADERS : 0), stream, block.substr(at, piece));
    type = NGHTTP2_CONTINUATION;
    flags = 0;
  }
  return out;
}

std::string FrameWriter::Data(ByteSource& script) {
  uint32_t stream = StreamId(script);
  uint8_t shape = script.Byte();
  std::string payload(script.Size(70000), 'd');
  uint8_t flags = shape % 4 == 1 ? NGHTTP2_FLAG_END_STREAM : 0;
  if (shape >= 192) {
    flags |= NGHTTP2_FLAG_PADDED;
    payload = std::string(1, static_cast<char>(shape)) + payload;
  }
  return Frame(NGHTTP2_DATA, flags, stream, payload);
}

std::string FrameWriter::Settings(ByteSource& script) {
  uint8_t shape = script.Byte();
  if (shape >= 224) return Frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "");
  static constexpr uint32_t kValues[] = {0, 1, 100, 16384, 65535, 65536, 1 << 20, (1u << 24) - 1, INT32_MAX, UINT32_MAX};
  std::string payload;
  for (size_t count = shape % 5; count > 0; --count) {
    payload += Number(script.Byte() % 10, 2);
    uint8_t value = script.Byte();
    payload += Number(value < 200 ? kValues[value % std::size(kValues)] : script.Long(), 4);
  }
  return Frame(NGHTTP2_SETTINGS, 0, 0, payload);
}

std::string FrameWriter::Next(ByteSource& script) {
  switch (script.Byte() % 12) {
    case 0:
    case 1:
      return HeaderFrames(script);
    case 2:
    case 3:
      return Data(script);
    case 4:
      return Settings(script);
    case 5: {
      bool connection = script.Flag();
      uint8_t size = script.Byte();
      uint32_t increment = size < 200 ? 1u << size % 24 : script.Long();
      return Frame(NGHTTP2_WINDOW_UPDATE, 0, connection ? 0 : StreamId(script), Number(increment, 4));
    }
    case 6:
      return Frame(NGHTTP2_PING, script.Flag() ? NGHTTP2_FLAG_ACK : 0, 0, "12345678");
    case 7: {
      uint32_t stream = StreamId(script);
      return Frame(NGHTTP2_RST_STREAM, 0, stream, Number(script.Byte() % 16, 4));
    }
    case 8: {
      uint32_t last = StreamId(script);
      return Frame(NGHTTP2_GOAWAY, 0, 0, Number(last, 4) + Number(script.Byte() % 16, 4) + script.Bytes(script.Below(20)));
    }
    case 9: {
      uint32_t stream = StreamId(script);
      return Frame(NGHTTP2_PRIORITY, 0, stream, Number(StreamId(script), 4) + "\x10");
    }
    case 10: {
      uint8_t type = script.Byte();
      uint8_t flags = script.Byte();
      uint32_t stream = StreamId(script);
      return Frame(type, flags, stream, script.Bytes(script.Size(100)));
    }
    default:
      return script.Bytes(script.Size(100));
  }
}

}  // namespace culvert
