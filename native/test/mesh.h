// What the scenarios of engine_test.cc happen in: two nodes on loopback, or one that joins its pods.
#pragma once

#include <sys/socket.h>

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "sockets.h"
#include "test_node.h"

namespace culvert {

/** A client's node and a server's, and the application behind the latter. */
struct Mesh {
  explicit Mesh(std::function<void(Fd)> serve = Application::Echo) : application(std::move(serve)) {
    client_pod = client.AddPod("client", kClientId);
    server_pod = server.AddPod("server", kServerId);
    if (joined) {
      client.AddPod("server", kServerId);
      client.SetRoute({0, application.port(), "", "server"});
    } else {
      client.SetRoute({server_pod.hbone, application.port()});
    }
  }
  /** The nodes first: an application that still waits for a connection would not end. */
  ~Mesh() {
    client.Stop();
    server.Stop();
  }
  void WaitAllEnded() {
    Eventually([&] { return client.closed() == client.announced() && server.closed() == server.announced(); },
               "all connections end");
    client.CheckAllEnded();
    server.CheckAllEnded();
  }
  /** For the scenario that runs: both pods are of the client's node, and joined there. */
  static inline bool joined = false;
  Fd Connect() { return Dial(client_pod.outbound); }

  TestAuthority authority;
  Application application;
  TestNode client{authority};
  TestNode server{authority};
  PodPorts client_pod;
  PodPorts server_pod;
};

/** Sends `data`, ends, and reads what comes back meanwhile. */
inline std::string Exchange(int fd, const std::string& data) {
  std::thread writer([&] {
    WriteAll(fd, data);
    shutdown(fd, SHUT_WR);
  });
  std::string back = ReadToEnd(fd);
  writer.join();
  return back;
}

/** Runs `work(i)` on `count` threads; what they throw is thrown here. */
inline void Parallel(int count, const std::function<void(int)>& work) {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::string failed;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      try {
        work(i);
      } catch (const std::exception& error) {
        std::lock_guard<std::mutex> lock(mutex);
        failed = error.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  Check(failed.empty(), failed);
}

}  // namespace culvert
