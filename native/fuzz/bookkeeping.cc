// What the engine keeps books with, against models that are too simple to be wrong: buffers, timers, limits, ports.
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "byte_source.h"
#include "connection_table.h"
#include "output_buffer.h"
#include "pending_bytes.h"
#include "source_limits.h"
#include "source_ports.h"
#include "timer_wheel.h"

namespace culvert {

namespace {

std::string Made(ByteSource& script, size_t max) {
  std::string out(script.Size(max), '\0');
  uint8_t from = script.Byte();
  for (char& byte : out) byte = static_cast<char>(from++);
  return out;
}

const uint8_t* Raw(const std::string& text) { return reinterpret_cast<const uint8_t*>(text.data()); }

bool Same(char a, uint8_t b) { return static_cast<uint8_t>(a) == b; }

void Buffers(ByteSource& script) {
  MemoryBudget budget(1 << 20);
  {
    OutputPool pool;
    OutputBuffer output(pool, budget);
    PendingBytes pending(budget);
    std::string out_model, pending_model;
    while (!script.done()) {
      std::string data = Made(script, 300000);
      switch (script.Byte() % 5) {
        case 0:
          if (output.Append(Raw(data), data.size())) out_model += data;
          break;
        case 1: {
          size_t taken = std::min(output.size(), data.size());
          output.Consume(taken);
          out_model.erase(0, taken);
          break;
        }
        case 2:
          pending.Append(Raw(data), data.size());
          pending_model += data;
          break;
        case 3: {
          size_t taken = std::min(pending.size(), data.size());
          pending.Consume(taken);
          pending_model.erase(0, taken);
          break;
        }
        default:
          pending.Clear();
          pending_model.clear();
      }
      Expect(output.size() == out_model.size() && std::equal(out_model.begin(), out_model.end(), output.data(), Same),
             "output is what was appended and not consumed");
      iovec vectors[16];
      int count = pending.Peek(vectors, 16);
      size_t at = 0;
      for (int i = 0; i < count; at += vectors[i++].iov_len) {
        Expect(vectors[i].iov_len > 0 && pending_model.compare(at, vectors[i].iov_len,
                   static_cast<char*>(vectors[i].iov_base), vectors[i].iov_len) == 0, "pending bytes keep their order");
      }
      Expect(pending.size() == pending_model.size() && (at > 0) == !pending.empty(), "pending bytes are counted");
      Expect(budget.held() >= static_cast<int64_t>(output.size() + pending.size()), "what is held is counted");
    }
  }
  Expect(budget.held() == 0, "nothing is held when all is gone");
}

void Timers(ByteSource& script) {
  Nanos now = (1000 + script.Word()) * kMillisecond;
  TimerWheel wheel(now);
  struct Entry {
    std::unique_ptr<Timer> timer;
    Nanos due = 0;
    bool armed = false;
  };
  std::vector<Entry> entries(8);
  int rearm = -1;
  for (size_t i = 0; i < entries.size(); ++i) {
    entries[i].timer = std::make_unique<Timer>([&, i] {
      Expect(entries[i].armed && now >= entries[i].due, "a timer fires once, and not too early");
      entries[i].armed = false;
      // A callback arms and cancels others.
      if (rearm < 0) return;
      auto other = static_cast<size_t>(rearm) % entries.size();
      if ((rearm & 64) != 0) {
        entries[other].timer->Cancel();
        entries[other].armed = false;
      } else {
        wheel.Arm(*entries[other].timer, rearm * 10, now);
        entries[other].armed = true;
        entries[other].due = now + static_cast<Nanos>(rearm) * 10 * kMillisecond;
      }
    });
  }
  while (!script.done()) {
    Entry& entry = entries[script.Byte() % entries.size()];
    uint8_t what = script.Byte();
    if (what < 100) {
      int ms = what < 20 ? static_cast<int>(script.Long() % 400000) : script.Byte();
      wheel.Arm(*entry.timer, ms, now);
      entry.armed = true;
      entry.due = now + static_cast<Nanos>(ms) * kMillisecond;
    } else if (what < 120) {
      entry.timer->Cancel();
      entry.armed = false;
    } else {
      rearm = what < 200 ? -1 : script.Byte();
      int sleep = wheel.SleepMs(now);
      now += what % 2 == 0 && sleep >= 0 ? static_cast<Nanos>(sleep) * kMillisecond : script.Long() % 40000 * kMillisecond;
      wheel.Advance(now);
      rearm = -1;
      for (const Entry& each : entries) {
        Expect(each.armed == each.timer->armed(), "a timer is armed until it fires or is cancelled");
        Expect(!each.armed || now < each.due + 33 * kMillisecond, "a timer is two ticks late at most");
        if (each.armed) Expect(wheel.SleepMs(now) >= 0, "nobody sleeps for ever while a timer is armed");
      }
    }
  }
}

void Sources(ByteSource& script) {
  SourceLimits sources;
  Limits limits;
  limits.tunnels_per_source = 6;
  limits.handshakes_per_source = 3;
  struct Counts {
    int tunnels = 0;
    int handshakes = 0;
  };
  std::map<int, Counts> model;
  while (!script.done()) {
    int host = script.Byte() % 3;
    Address address = Address::Parse("10.0.0." + std::to_string(host), script.Byte());
    Counts& counts = model[host];
    switch (script.Byte() % 4) {
      case 0:
      case 1: {
        Counter refused;
        bool entered = sources.Enter(address, limits, kSecond, &refused);
        Expect(entered == (counts.tunnels < 6 && counts.handshakes < 3), "a source enters up to its bounds");
        if (entered) ++counts.tunnels, ++counts.handshakes;
        break;
      }
      case 2:
        if (counts.handshakes == 0) break;
        sources.HandshakeDone(address);
        --counts.handshakes;
        break;
      default: {
        bool in_handshake = script.Flag();
        if ((in_handshake ? counts.handshakes : counts.tunnels - counts.handshakes) == 0) break;
        sources.Leave(address, in_handshake);
        --counts.tunnels;
        counts.handshakes -= in_handshake ? 1 : 0;
      }
    }
    int all = 0;
    for (auto& [each, count] : model) all += count.tunnels;
    Expect(sources.size() == all, "all are counted");
  }
}

void PortsAndIds(ByteSource& script) {
  auto ports = std::make_shared<SourcePorts>();
  ConnectionTable table;
  std::vector<std::pair<SourcePorts::Claim, std::string>> claims;
  std::set<std::string> taken;
  std::set<ConnectionId> live, dead;
  Address source = Address::Parse("10.0.0.1", 0);
  while (!script.done()) {
    uint8_t what = script.Byte();
    Address to = Address::Parse("10.0.0.2", script.Byte() % 2);
    source.port = static_cast<uint16_t>(32768 + script.Byte() % 8);
    if (what % 4 < 2) {
      SourcePorts::Claim claim = what % 4 == 0 ? ports->Occupy(source, to) : ports->Choose(source, to);
      std::string key = std::to_string(claim.port()) + ">" + std::to_string(to.port);
      if (claim) Expect(taken.insert(key).second, "a 4-tuple has one holder");
      if (!claim) Expect(what % 4 == 1 || taken.count(std::to_string(source.port) + ">" + std::to_string(to.port)) == 1,
                         "only a taken 4-tuple is refused");
      if (claim) claims.emplace_back(std::move(claim), key);
    } else if (what % 4 == 2 && !claims.empty()) {
      size_t at = script.Below(claims.size());
      taken.erase(claims[at].second);
      claims.erase(claims.begin() + static_cast<long>(at));
    } else if (live.empty() || script.Flag()) {
      ConnectionId id = table.Allocate(0);
      Expect(id != 0 && live.insert(id).second && dead.count(id) == 0, "an id is never used twice");
    } else {
      auto at = live.begin();
      std::advance(at, static_cast<long>(script.Below(live.size())));
      table.Release(*at);
      dead.insert(*at);
      live.erase(at);
    }
    Expect(table.size() == static_cast<int64_t>(live.size()), "connections are counted");
    for (ConnectionId id : dead) Expect(table.Find(id) == nullptr, "a late id finds nothing");
    Expect(table.Find(script.Long()) == nullptr || live.size() > 0, "a wrong id finds nothing of nobody's");
  }
}

}  // namespace

}  // namespace culvert

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  culvert::ByteSource script(data, size);
  switch (script.Byte() % 4) {
    case 0:
      culvert::Buffers(script);
      break;
    case 1:
      culvert::Timers(script);
      break;
    case 2:
      culvert::Sources(script);
      break;
    default:
      culvert::PortsAndIds(script);
  }
  return 0;
}
