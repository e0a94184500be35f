#include "sockets.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "check.h"

namespace culvert {

static sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

static void LimitWaiting(int fd) {
  timeval limit = {20, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

Fd Dial(uint16_t port) {
  Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(port);
  LimitWaiting(fd.get());
  Check(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "the port accepts");
  return fd;
}

bool WriteAll(int fd, const std::string& data) {
  for (size_t at = 0; at < data.size();) {
    ssize_t sent = send(fd, data.data() + at, data.size() - at, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    at += static_cast<size_t>(sent);
  }
  return true;
}

std::string ReadToEnd(int fd, int* error) {
  std::string out;
  char buffer[65536];
  while (true) {
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (error != nullptr) *error = got < 0 ? errno : 0;
    if (got <= 0) return out;
    out.append(buffer, static_cast<size_t>(got));
  }
}

std::string ReadSome(int fd, size_t length) {
  std::string out(length, '\0');
  size_t at = 0;
  while (at < length) {
    ssize_t got = recv(fd, out.data() + at, length - at, 0);
    if (got <= 0) break;
    at += static_cast<size_t>(got);
  }
  out.resize(at);
  return out;
}

void ResetAndClose(Fd fd) {
  linger now = {1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

std::string Pattern(size_t length, uint32_t seed) {
  std::string out(length, '\0');
  uint32_t state = seed * 2654435761u + 1;
  for (char& byte : out) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<char>(state >> 24);
  }
  return out;
}

Application::Application(std::function<void(Fd)> serve)
    : serve_(std::move(serve)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = Loopback(0);
  socklen_t length = sizeof address;
  Check(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), length) == 0 && listen(listener_.get(), 512) == 0,
        "the application listens");
  getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &length);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

Application::~Application() {
  shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  for (std::thread& server : servers_) server.join();
}

void Application::Accept() {
  while (true) {
    int fd = accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    LimitWaiting(fd);
    servers_.emplace_back([this, fd] { serve_(Fd(fd)); });
  }
}

void Application::Echo(Fd fd) {
  char buffer[65536];
  while (true) {
    ssize_t got = recv(fd.get(), buffer, sizeof buffer, 0);
    if (got <= 0) break;
    if (!WriteAll(fd.get(), std::string(buffer, static_cast<size_t>(got)))) break;
  }
}

}  // namespace culvert
