#include "capture/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "capture/in_netns.h"
#include "capture/interfaces.h"
#include "capture/netlink.h"
#include "guard.skel.h"
#include "redirect.skel.h"

namespace culvert::capture {

// Newer than the headers of the oldest distribution we build on.
constexpr uint32_t kTcxEgress = 47;
// Our filter on a clsact qdisc: found again by these, and unlike what others choose.
constexpr uint32_t kFilterHandle = 0xc117;
constexpr uint32_t kFilterPriority = 49117;

static int ShareMaps(bpf_object* object, const std::string& directory) {
  bpf_map* map;
  bpf_object__for_each_map(map, object) {
    if (bpf_map__is_internal(map)) continue;
    int error = bpf_map__set_pin_path(map, (directory + "/" + bpf_map__name(map)).c_str());
    if (error != 0) return error;
  }
  return 0;
}

static int Keep(Fd* kept, int fd) {
  kept->Reset(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  return *kept ? 0 : -errno;
}

int Programs::Load(const std::string& directory, const ProgramSettings& settings) {
  directory_ = directory;
  std::unique_ptr<redirect_bpf, void (*)(redirect_bpf*)> redirect(redirect_bpf__open(), redirect_bpf__destroy);
  if (!redirect) return -errno;
  redirect->rodata->hbone_port = settings.hbone_port;
  int error = ShareMaps(redirect->obj, directory);
  if (error == 0) error = redirect_bpf__load(redirect.get());
  if (error == 0) error = Keep(&redirect_, bpf_program__fd(redirect->progs.culvert_redirect));
  const struct {
    Fd* kept;
    const bpf_map* map;
  } maps[] = {{&listeners_, redirect->maps.listeners},     {&own_addresses_, redirect->maps.own_addresses},
              {&pass_probes_, redirect->maps.pass_probes}, {&pass_ports_, redirect->maps.pass_ports},
              {&pass_blocks_, redirect->maps.pass_blocks}, {&counters_, redirect->maps.counters},
              {&state_, redirect->maps.state},             {&saved_links_, redirect->maps.saved_links}};
  for (const auto& [kept, map] : maps) {
    if (error == 0) error = Keep(kept, bpf_map__fd(map));
  }
  if (error != 0) return error;

  std::unique_ptr<guard_bpf, void (*)(guard_bpf*)> guard(guard_bpf__open(), guard_bpf__destroy);
  if (!guard) return -errno;
  guard->rodata->ztunnel_mark = settings.ztunnel_mark;
  guard->rodata->kept_mark = settings.kept_mark;
  error = ShareMaps(guard->obj, directory);
  if (error == 0) error = guard_bpf__load(guard.get());
  if (error == 0) error = Keep(&guard_, bpf_program__fd(guard->progs.culvert_guard));
  return error;
}

// Swaps the program of the pinned link. -ENOENT if there is no such pin; a severed link is unpinned.
static int UpdatePinned(const std::string& pin, int program) {
  Fd link(bpf_obj_get(pin.c_str()));
  if (!link) return -errno;
  int error = bpf_link_update(link.get(), program, nullptr);
  if (error == 0) return 0;
  // Its namespace or interface is gone, though the pin is not.
  unlink(pin.c_str());
  return -ENOENT;
}

static int PinNew(Fd link, const std::string& pin) {
  if (!link) return -errno;
  return bpf_obj_pin(link.get(), pin.c_str()) == 0 ? 0 : -errno;
}

int Programs::AttachRedirect(int netns) {
  int program = redirect_.get();
  std::string pin = directory_ + "/redirect";
  if (UpdatePinned(pin, program) == 0) return 0;
  return PinNew(Fd(bpf_link_create(program, netns, BPF_SK_LOOKUP, nullptr)), pin);
}

// libbpf of the oldest distribution we build on does not know tcx.
static Fd CreateTcxLink(int program, uint32_t interface) {
  struct {
    uint32_t program;
    uint32_t interface;
    uint32_t attach_type;
    uint32_t flags;
    uint64_t rest[6];
  } attributes = {static_cast<uint32_t>(program), interface, kTcxEgress, 0, {}};
  return Fd(static_cast<int>(syscall(SYS_bpf, BPF_LINK_CREATE, &attributes, sizeof(attributes))));
}

static bpf_tc_hook ClsactHook(uint32_t interface, int points) {
  bpf_tc_hook hook = {};
  hook.sz = sizeof(hook);
  hook.ifindex = static_cast<int>(interface);
  hook.attach_point = static_cast<bpf_tc_attach_point>(points);
  return hook;
}

static bpf_tc_opts ClsactFilter() {
  bpf_tc_opts options = {};
  options.sz = sizeof(options);
  options.handle = kFilterHandle;
  options.priority = kFilterPriority;
  return options;
}

static int AttachClsact(int program, int netns, uint32_t interface, bool* made_clsact) {
  bpf_tc_hook hook = ClsactHook(interface, BPF_TC_EGRESS);
  int error = InNetns(netns, [&] { return bpf_tc_hook_create(&hook); });
  if (error != 0 && error != -EEXIST) return error;
  *made_clsact = error == 0;
  if (error == -EEXIST) {
    Netlink netlink;
    error = netlink.Open(netns, 0);
    int clsact = error == 0 ? HasClsact(netlink, interface) : error;
    if (clsact < 0) return clsact;
    if (clsact == 0) return -EBUSY;
  }
  return InNetns(netns, [&] {
    bpf_tc_opts options = ClsactFilter();
    options.prog_fd = program;
    options.flags = BPF_TC_F_REPLACE;
    return bpf_tc_attach(&hook, &options);
  });
}

int Programs::AttachGuard(int netns, uint32_t interface, GuardHook kind, bool* made_clsact) {
  int program = guard_.get();
  *made_clsact = false;
  if (kind == GuardHook::kTcx && UpdatePinned(GuardPin(interface), program) == 0) return 0;
  if (kind == GuardHook::kClsact) return AttachClsact(program, netns, interface, made_clsact);
  return InNetns(netns, [&] {
    return PinNew(CreateTcxLink(program, interface), GuardPin(interface));
  });
}

int Programs::DetachGuard(int netns, uint32_t interface, bool made_clsact) {
  unlink(GuardPin(interface).c_str());
  return InNetns(netns, [&] {
    bpf_tc_hook hook = ClsactHook(interface, BPF_TC_EGRESS);
    bpf_tc_opts options = ClsactFilter();
    bpf_tc_detach(&hook, &options);
    if (!made_clsact) return 0;
    bpf_tc_hook whole = ClsactHook(interface, BPF_TC_INGRESS | BPF_TC_EGRESS);
    return bpf_tc_hook_destroy(&whole);
  });
}

static int CheckPinned(const std::string& pin, bool (*attached)(const bpf_link_info&)) {
  Fd link(bpf_obj_get(pin.c_str()));
  if (!link) return -ENOLINK;
  bpf_link_info info = {};
  uint32_t length = sizeof(info);
  if (bpf_obj_get_info_by_fd(link.get(), &info, &length) != 0) return -errno;
  return attached(info) ? 0 : -ENOLINK;
}

int Programs::CheckRedirect() const {
  return CheckPinned(directory_ + "/redirect", [](const bpf_link_info& info) { return info.netns.netns_ino != 0; });
}

int Programs::CheckGuard(int netns, uint32_t interface) const {
  // In link info of a tcx link the interface index is where a netns link has its inode number: 0 once severed.
  if (CheckPinned(GuardPin(interface), [](const bpf_link_info& info) { return info.netns.netns_ino != 0; }) == 0)
    return 0;
  return InNetns(netns, [&] {
    bpf_tc_hook hook = ClsactHook(interface, BPF_TC_EGRESS);
    bpf_tc_opts options = ClsactFilter();
    return bpf_tc_query(&hook, &options) == 0 ? 0 : -ENOLINK;
  });
}

int Programs::SetListener(uint32_t which, int fd) {
  uint64_t value = static_cast<uint64_t>(fd);
  int map = listeners_.get();
  return bpf_map_update_elem(map, &which, &value, BPF_ANY) == 0 ? 0 : -errno;
}

int Programs::RemoveListeners() {
  for (uint32_t which = 0; which < LISTENER_COUNT; which++) {
    bpf_map_delete_elem(listeners_.get(), &which);
  }
  return 0;
}

bool Programs::HasListener(uint32_t which) const {
  uint64_t cookie;
  return bpf_map_lookup_elem(listeners_.get(), &which, &cookie) == 0;
}

static std::set<std::string> Keys(int map, size_t key_bytes) {
  std::set<std::string> keys;
  std::string key(key_bytes, '\0');
  std::string next(key_bytes, '\0');
  const void* from = nullptr;
  while (bpf_map_get_next_key(map, from, next.data()) == 0 && keys.insert(next).second) {
    key = next;
    from = key.data();
  }
  return keys;
}

static int Reconcile(int map, size_t key_bytes, const std::set<std::string>& wanted) {
  std::set<std::string> present = Keys(map, key_bytes);
  int changes = 0;
  uint8_t value = 1;
  for (const std::string& key : wanted) {
    if (present.count(key) != 0) continue;
    if (bpf_map_update_elem(map, key.data(), &value, BPF_ANY) != 0) return -errno;
    changes++;
  }
  for (const std::string& key : present) {
    if (wanted.count(key) != 0) continue;
    if (bpf_map_delete_elem(map, key.data()) != 0 && errno != ENOENT) return -errno;
    changes++;
  }
  return changes;
}

int Programs::SetOwnAddresses(const std::set<std::string>& keys) const {
  return Reconcile(own_addresses_.get(), sizeof(address), keys);
}

int Programs::SetPassEntries(const std::set<std::string>& probes, const std::set<std::string>& ports,
                             const std::set<std::string>& blocks) const {
  int changes = 0;
  const struct {
    int map;
    size_t key_bytes;
    const std::set<std::string>& keys;
  } tables[] = {{pass_probes_.get(), sizeof(probe_key), probes},
                {pass_ports_.get(), sizeof(port_key), ports},
                {pass_blocks_.get(), sizeof(block_key), blocks}};
  for (const auto& table : tables) {
    int result = Reconcile(table.map, table.key_bytes, table.keys);
    if (result < 0) return result;
    changes += result;
  }
  return changes;
}

int Programs::ReadState(pod_state* state) const {
  uint32_t key = 0;
  return bpf_map_lookup_elem(state_.get(), &key, state) == 0 ? 0 : -errno;
}

int Programs::WriteState(const pod_state& state) {
  uint32_t key = 0;
  return bpf_map_update_elem(state_.get(), &key, &state, BPF_ANY) == 0 ? 0 : -errno;
}

int Programs::ReadSavedLink(uint32_t interface, saved_link* saved) const {
  return bpf_map_lookup_elem(saved_links_.get(), &interface, saved) == 0 ? 0 : -errno;
}

int Programs::WriteSavedLink(uint32_t interface, const saved_link& saved) {
  int map = saved_links_.get();
  return bpf_map_update_elem(map, &interface, &saved, BPF_ANY) == 0 ? 0 : -errno;
}

std::vector<uint32_t> Programs::SavedLinks() const {
  std::vector<uint32_t> interfaces;
  for (const std::string& key : Keys(saved_links_.get(), sizeof(uint32_t))) {
    uint32_t interface;
    memcpy(&interface, key.data(), sizeof(interface));
    interfaces.push_back(interface);
  }
  return interfaces;
}

int Programs::ReadCounters(std::vector<uint64_t>* counters) const {
  int cpus = libbpf_num_possible_cpus();
  if (cpus < 0) return cpus;
  counters->assign(COUNTER_COUNT, 0);
  std::vector<uint64_t> per_cpu(static_cast<size_t>(cpus));
  for (uint32_t key = 0; key < COUNTER_COUNT; key++) {
    if (bpf_map_lookup_elem(counters_.get(), &key, per_cpu.data()) != 0) return -errno;
    for (uint64_t value : per_cpu) (*counters)[key] += value;
  }
  return 0;
}

}  // namespace culvert::capture
