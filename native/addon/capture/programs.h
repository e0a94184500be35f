// The eBPF programs and maps of one pod, and their pins.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "engine/fd.h"
#include "types.h"

namespace culvert::capture {

struct ProgramSettings {
  uint16_t hbone_port;
  uint32_t ztunnel_mark;
  uint32_t kept_mark;
};

// What of a guard's kinds of hook the kernel has.
enum class GuardHook { kTcx, kClsact };

// All functions return 0 or -errno unless they say otherwise. What is kept are descriptors: libbpf's objects (the ELF,
// the types, a descriptor of each map for each program) are 120 KB and 20 descriptors a pod, and wanted only to load.
class Programs {
 public:
  // Loads both programs; their maps are those pinned in `directory`, or new ones that are then pinned there.
  int Load(const std::string& directory, const ProgramSettings& settings);

  // Attaches to the namespace and pins the link, or swaps the program of the link that is pinned.
  int AttachRedirect(int netns);
  // The same on the egress of one interface. With kClsact nothing is pinned: the interface holds the filter;
  // `made_clsact` says whether the qdisc is ours to remove.
  int AttachGuard(int netns, uint32_t interface, GuardHook hook, bool* made_clsact);
  int DetachGuard(int netns, uint32_t interface, bool made_clsact);
  // 0 if it is attached, -ENOLINK if it is not.
  int CheckRedirect() const;
  int CheckGuard(int netns, uint32_t interface) const;

  int SetListener(uint32_t which, int fd);
  int RemoveListeners();
  bool HasListener(uint32_t which) const;

  // Makes the map's keys be `keys`, adding before removing. Returns the number of changes, or -errno.
  int SetOwnAddresses(const std::set<std::string>& keys) const;
  int SetPassEntries(const std::set<std::string>& probes, const std::set<std::string>& ports,
                     const std::set<std::string>& blocks) const;

  int ReadState(pod_state* state) const;
  int WriteState(const pod_state& state);
  // -ENOENT if nothing was saved for that interface.
  int ReadSavedLink(uint32_t interface, saved_link* saved) const;
  int WriteSavedLink(uint32_t interface, const saved_link& saved);
  std::vector<uint32_t> SavedLinks() const;
  int ReadCounters(std::vector<uint64_t>* counters) const;

 private:
  std::string GuardPin(uint32_t interface) const { return directory_ + "/guard_" + std::to_string(interface); }

  Fd redirect_;
  Fd guard_;
  // The maps, which both programs share.
  Fd listeners_;
  Fd own_addresses_;
  Fd pass_probes_;
  Fd pass_ports_;
  Fd pass_blocks_;
  Fd counters_;
  Fd state_;
  Fd saved_links_;
  std::string directory_;
};

}  // namespace culvert::capture
