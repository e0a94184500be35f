// nghttp2's callbacks and options; the C side of H2Session.
#pragma once

#include "h2_session.h"

namespace culvert {

struct H2Callbacks {
  static nghttp2_session* MakeSession(H2Session* self, bool server);
  static ssize_t ReadData(nghttp2_session* session, int32_t id, uint8_t* buffer, size_t length, uint32_t* flags,
                          nghttp2_data_source* source, void* self);

 private:
  static H2Stream* StreamOf(nghttp2_session* session, int32_t id);
  static ssize_t Send(nghttp2_session*, const uint8_t* data, size_t length, int flags, void* self);
  static int SendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* header, size_t length,
                      nghttp2_data_source* source, void* self);
  static ssize_t ReadLength(nghttp2_session*, uint8_t type, int32_t id, int32_t session_window, int32_t stream_window,
                            uint32_t frame_max, void* self);
  static int OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* header, void* self);
  static int OnFrameSent(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_length,
                      const uint8_t* value, size_t value_length, uint8_t flags, void* self);
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* self);
  static int OnDataChunk(nghttp2_session*, uint8_t flags, int32_t id, const uint8_t* data, size_t length, void* self);
  static int OnStreamClose(nghttp2_session*, int32_t id, uint32_t code, void* self);
  static int OnError(nghttp2_session*, int code, const char* message, size_t length, void* self);
};

}  // namespace culvert
