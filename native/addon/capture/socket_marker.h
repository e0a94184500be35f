// Finds the existing TCP connections of a namespace by their mark, and gives them another one.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/fd.h"

struct keep_bpf;

namespace culvert::capture {

class SocketMarker {
 public:
  SocketMarker();
  ~SocketMarker();

  // Loads the iterator. 0 or -errno.
  int Load();
  // Changes the mark of every connection in `netns` that has mark `from`; with equal marks only counts them.
  // `over` is an enum traffic_path of types.h. Returns how many matched, or -errno.
  int64_t Mark(int netns, uint32_t from, uint32_t to, uint32_t over);

 private:
  std::unique_ptr<keep_bpf, void (*)(keep_bpf*)> keep_;
};

}  // namespace culvert::capture
