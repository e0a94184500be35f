// The engine alone, without Node: two of them on loopback, each with a pod, and applications that talk through the
// tunnels between them. What it asserts is little beside what the sanitizers watch meanwhile.
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <future>
#include <memory>

#include "check.h"
#include "mesh.h"
#include "sockets.h"
#include "test_node.h"

namespace culvert {

namespace {

void EchoesEveryByte() {
  Mesh mesh;
  std::string data = Pattern(4 << 20, 1);
  Fd fd = mesh.Connect();
  Check(Exchange(fd.get(), data) == data, "what comes back is what was sent");
  fd.Reset();
  mesh.WaitAllEnded();
  CheckEqual(mesh.client.closed(Reason::kOk), 1u, "clean ends");
}

void ClientEndsFirst() {
  Mesh mesh([](Fd fd) { WriteAll(fd.get(), "got " + std::to_string(ReadToEnd(fd.get()).size())); });
  Fd fd = mesh.Connect();
  Check(Exchange(fd.get(), Pattern(300000, 2)) == "got 300000", "the answer comes after the request's end");
  fd.Reset();
  mesh.WaitAllEnded();
}

void ServerEndsFirst() {
  std::promise<std::string> received;
  Mesh mesh([&](Fd fd) {
    WriteAll(fd.get(), "hello");
    shutdown(fd.get(), SHUT_WR);
    received.set_value(ReadToEnd(fd.get()));
  });
  Fd fd = mesh.Connect();
  Check(ReadToEnd(fd.get()) == "hello", "the greeting comes, then its end");
  std::string late = Pattern(300000, 3);
  WriteAll(fd.get(), late);
  shutdown(fd.get(), SHUT_WR);
  Check(received.get_future().get() == late, "what is sent after the peer's end arrives");
  fd.Reset();
  mesh.WaitAllEnded();
}

void ClientResets() {
  std::promise<int> outcome;
  Mesh mesh([&](Fd fd) {
    WriteAll(fd.get(), "x");
    int error = 0;
    ReadToEnd(fd.get(), &error);
    outcome.set_value(error);
  });
  Fd fd = mesh.Connect();
  Check(ReadSome(fd.get(), 1) == "x", "the connection is open");
  ResetAndClose(std::move(fd));
  CheckEqual(outcome.get_future().get(), ECONNRESET, "the errno at the server");
  mesh.WaitAllEnded();
  CheckEqual(mesh.client.closed(Reason::kAppReset), 1u, "resets by the application");
  CheckEqual(mesh.server.closed(Reason::kPeerReset), 1u, "resets by the peer");
}

void ServerResetsBesideAnother() {
  std::atomic<int> number{0};
  Mesh mesh([&](Fd fd) {
    if (number++ == 0) return Application::Echo(std::move(fd));
    ReadSome(fd.get(), 1);
    ResetAndClose(std::move(fd));
  });
  Fd kept = mesh.Connect();
  WriteAll(kept.get(), "1");
  Check(ReadSome(kept.get(), 1) == "1", "the first connection is open");
  Fd fd = mesh.Connect();
  WriteAll(fd.get(), "x");
  int error = 0;
  ReadToEnd(fd.get(), &error);
  CheckEqual(error, ECONNRESET, "the errno at the client");
  Check(Exchange(kept.get(), "2") == "2", "the other connection goes on");
  kept.Reset();
  fd.Reset();
  mesh.WaitAllEnded();
}

void RenewsUnderLoad() {
  Mesh mesh;
  std::atomic<bool> done{false};
  std::thread renewing([&] {
    while (!done) {
      mesh.client.Renew(kClientId);
      mesh.server.Renew(kServerId);
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  });
  std::string failed;
  try {
    Parallel(6, [&](int i) {
      for (int round = 0; round < 20; ++round) {
        std::string data = Pattern(20000, static_cast<uint32_t>(i * 100 + round));
        Fd fd = mesh.Connect();
        Check(Exchange(fd.get(), data) == data, "a connection survives the renewals");
      }
    });
  } catch (const std::exception& error) {
    failed = error.what();
  }
  done = true;
  renewing.join();
  Check(failed.empty(), failed);
  mesh.WaitAllEnded();
  CheckEqual(mesh.client.closed(Reason::kOk), mesh.client.closed(), "clean ends");
}

void ReusesAnswersWhileEpochsPass() {
  Mesh mesh;
  mesh.client.SetEpoch(1);
  mesh.server.SetEpoch(1);
  std::atomic<bool> done{false};
  std::thread passing([&] {
    for (uint64_t epoch = 2; !done; ++epoch) {
      mesh.client.SetEpoch(epoch);
      mesh.server.SetEpoch(epoch);
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
  });
  std::string failed;
  try {
    Parallel(6, [&](int i) {
      for (int round = 0; round < 40; ++round) {
        std::string data = Pattern(5000, static_cast<uint32_t>(i * 100 + round));
        Fd fd = mesh.Connect();
        Check(Exchange(fd.get(), data) == data, "what comes back is what was sent");
      }
    });
  } catch (const std::exception& error) {
    failed = error.what();
  }
  done = true;
  passing.join();
  Check(failed.empty(), failed);
  mesh.WaitAllEnded();
  uint64_t reused = 0;
  for (TestNode* node : {&mesh.client, &mesh.server}) {
    node->Call([&](Engine& engine) { reused += engine.counters().Get(Counter::kDecisionsReused); });
  }
  Check(reused > 0, "some answers were given again");
}

void CarriesManyAtOnce() {
  Mesh mesh;
  constexpr size_t kCount = 250;
  std::vector<Fd> sockets;
  for (size_t i = 0; i < kCount; ++i) sockets.push_back(mesh.Connect());
  Eventually([&] { return mesh.client.connected() == kCount; }, "all are open at once");
  for (size_t i = 0; i < kCount; ++i) {
    WriteAll(sockets[i].get(), "number " + std::to_string(i));
    shutdown(sockets[i].get(), SHUT_WR);
  }
  for (size_t i = 0; i < kCount; ++i) {
    Check(ReadToEnd(sockets[i].get()) == "number " + std::to_string(i), "each gets its own answer");
  }
  sockets.clear();
  mesh.WaitAllEnded();
}

void CarriesBulkInParallel() {
  Mesh mesh;
  Parallel(8, [&](int i) {
    std::string data = Pattern(2 << 20, static_cast<uint32_t>(i));
    Fd fd = mesh.Connect();
    Check(Exchange(fd.get(), data) == data, "what comes back is what was sent");
  });
  mesh.WaitAllEnded();
}

void RefusesAndGoesOn() {
  Mesh mesh;
  Fd kept = mesh.Connect();
  WriteAll(kept.get(), "1");
  Check(ReadSome(kept.get(), 1) == "1", "the first connection is open");
  int error = 0;

  Fd garbage = Dial(mesh.server_pod.hbone);
  WriteAll(garbage.get(), "GET / HTTP/1.1\r\n\r\n");
  ReadToEnd(garbage.get(), &error);
  mesh.client.SetRoute({mesh.server_pod.hbone, mesh.application.port(), "spiffe://cluster.local/ns/shop/sa/other"});
  Fd impostor = mesh.Connect();
  ReadToEnd(impostor.get(), &error);
  CheckEqual(error, ECONNRESET, "the errno when the server is somebody else");
  mesh.client.SetRoute({mesh.server_pod.hbone, mesh.application.port()});
  mesh.server.DenyRequests();
  Fd denied = mesh.Connect();
  ReadToEnd(denied.get(), &error);
  CheckEqual(error, ECONNRESET, "the errno when policy says no");

  Eventually([&] { return mesh.client.closed(Reason::kTlsFailure) == 1; }, "the impostor is told as such");
  Eventually([&] { return mesh.client.closed(Reason::kDenied) == 1; }, "the denial is told as such");
  Check(Exchange(kept.get(), "2") == "2", "the first connection goes on");
  kept.Reset();
  mesh.WaitAllEnded();
}

/** Connections that send as long as they are let. */
class Senders {
 public:
  Senders(Mesh& mesh, int count) {
    for (int i = 0; i < count; ++i) {
      sockets_.push_back(mesh.Connect());
      int fd = sockets_.back().get();
      threads_.emplace_back([fd] {
        std::string block = Pattern(1 << 16, 9);
        while (WriteAll(fd, block)) continue;
      });
      threads_.emplace_back([fd] { ReadToEnd(fd); });
    }
    Eventually([&] { return mesh.client.connected() >= static_cast<size_t>(count); }, "all are open");
  }
  ~Senders() { Join(); }
  void Join() {
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::vector<Fd> sockets_;
  std::vector<std::thread> threads_;
};

void SpreadsABusyPairOverThreads() {
  Mesh mesh;
  Senders senders(mesh, 4);
  std::vector<Fd> more;
  int64_t tunnels = 0;
  // Streams that come while the tunnel's thread has more than enough to do; far fewer than one tunnel takes.
  Eventually(
      [&] {
        if (more.size() < 40) more.push_back(mesh.Connect());
        mesh.client.Call([&](Engine& engine) { tunnels = engine.counters().tunnels_outbound.load(); });
        return tunnels >= 2;
      },
      "a second tunnel, on another thread");
  mesh.client.Stop();
  senders.Join();
}

void RemovesBusyPods() {
  Mesh mesh;
  Senders senders(mesh, 6);
  mesh.client.Call([](Engine& engine) { engine.RemovePod("client", 50); });
  senders.Join();
  mesh.client_pod = mesh.client.AddPod("client", kClientId);
  Fd fd = mesh.Connect();
  Check(Exchange(fd.get(), "again") == "again", "the pod that came back is served");
  fd.Reset();
  mesh.WaitAllEnded();
}

void DrainsIdle() {
  Mesh mesh;
  Fd fd = mesh.Connect();
  Check(Exchange(fd.get(), "x") == "x", "the connection is open");
  fd.Reset();
  for (TestNode* node : {&mesh.client, &mesh.server}) node->Call([](Engine& engine) { engine.Drain(8000); });
  Eventually([&] { return mesh.client.drained() && mesh.server.drained(); }, "the drain ends when all is closed");
  mesh.WaitAllEnded();
}

void DrainsBusyAtItsDeadline() {
  Mesh mesh;
  Senders senders(mesh, 6);
  int late = 0;
  mesh.client.Call([&](Engine& engine) {
    engine.Drain(100);
    int listeners[3];
    late = engine.AddPod("late", -1, kClientId, false, listeners);
  });
  CheckEqual(late, ESHUTDOWN, "the errno for a pod during the drain");
  mesh.server.Call([](Engine& engine) { engine.Drain(100); });
  senders.Join();
  Eventually([&] { return mesh.client.drained() && mesh.server.drained(); }, "the drain ends at its deadline");
  mesh.WaitAllEnded();
}

void StopsWhileBusy() {
  Mesh mesh;
  Senders senders(mesh, 6);
  mesh.client.Stop();
  senders.Join();
  mesh.server.Stop();
  mesh.client.CheckAllEnded();
  mesh.server.CheckAllEnded();
}

void RemovesTheOtherPod() {
  Mesh mesh;
  Senders senders(mesh, 6);
  mesh.client.Call([](Engine& engine) { engine.RemovePod("server", 50); });
  senders.Join();
  int error = 0;
  Fd refused = mesh.Connect();
  ReadToEnd(refused.get(), &error);
  CheckEqual(error, ECONNRESET, "the errno when the other pod is gone");
  mesh.client.AddPod("server", kServerId);
  Fd fd = mesh.Connect();
  Check(Exchange(fd.get(), "again") == "again", "the pod that came back is served");
  refused.Reset();
  fd.Reset();
  mesh.WaitAllEnded();
}

struct Scenario {
  const char* name;
  void (*run)();
  bool joined = false;
};

constexpr Scenario kScenarios[] = {
    {"echoes every byte", EchoesEveryByte},
    {"answers after the client's end", ClientEndsFirst},
    {"receives after the server's end", ServerEndsFirst},
    {"carries a client's reset", ClientResets},
    {"carries a server's reset, and another connection goes on", ServerResetsBesideAnother},
    {"renews certificates under load without a failed connection", RenewsUnderLoad},
    {"reuses answers while epochs pass", ReusesAnswersWhileEpochsPass},
    {"carries 250 connections at once", CarriesManyAtOnce},
    {"carries bulk in parallel", CarriesBulkInParallel},
    {"refuses garbage, an impostor and the denied, and goes on", RefusesAndGoesOn},
    {"spreads a busy pair over threads", SpreadsABusyPairOverThreads},
    {"removes busy pods, and serves them when they come back", RemovesBusyPods},
    {"drains when idle", DrainsIdle},
    {"drains at its deadline when busy", DrainsBusyAtItsDeadline},
    {"stops while busy", StopsWhileBusy},
    {"joined: echoes every byte", EchoesEveryByte, true},
    {"joined: answers after the client's end", ClientEndsFirst, true},
    {"joined: receives after the server's end", ServerEndsFirst, true},
    {"joined: carries a server's reset, and another connection goes on", ServerResetsBesideAnother, true},
    {"joined: carries 250 connections at once", CarriesManyAtOnce, true},
    {"joined: carries bulk in parallel", CarriesBulkInParallel, true},
    {"joined: removes busy pods, and serves them when they come back", RemovesBusyPods, true},
    {"joined: removes the other pod, and serves it when it comes back", RemovesTheOtherPod, true},
    {"joined: drains at its deadline when busy", DrainsBusyAtItsDeadline, true},
    {"joined: stops while busy", StopsWhileBusy, true},
};

/** One that hangs kills the program, which is a failure too. */
constexpr unsigned kScenarioSeconds = 60;

}  // namespace

}  // namespace culvert

int main() {
  int failed = 0;
  int passed = 0;
  for (const auto& scenario : culvert::kScenarios) {
    alarm(culvert::kScenarioSeconds);
    std::printf("  %s", scenario.name);
    std::fflush(stdout);
    auto from = std::chrono::steady_clock::now();
    try {
      culvert::Mesh::joined = scenario.joined;
      scenario.run();
      ++passed;
      auto took = std::chrono::steady_clock::now() - from;
      std::printf(" (%lld ms)\n",
                  static_cast<long long>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
    } catch (const std::exception& error) {
      ++failed;
      std::printf("\n    FAIL %s\n", error.what());
    }
    std::fflush(stdout);
  }
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
