// The first process of a node proxy's container. It keeps what must outlive a ztunnel: the listeners of its pods. It
// starts the ztunnel, starts it again when it dies, and starts its successor when asked to; each gets the listeners.
// While nobody accepts, the kernel completes handshakes on them and the connections wait.
//
//   culvert-holder [--log-format=text|json] [--] <command> [arguments...]
//
// SIGTERM, SIGINT: passed on; ends with the status of the ztunnel. SIGHUP: replaces the ztunnel without a gap.
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "children.h"
#include "kept.h"
#include "log.h"
#include "supervise.h"

enum { PODS_MAX = 4096, OTHER_DESCRIPTORS = 64 };

static const char usage[] = "usage: culvert-holder [--log-format=text|json] [--] <command> [arguments...]\n";

// As many descriptors as may be; pods are kept as far as these reach.
static void use_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  rlim_t pods = limit.rlim_cur > OTHER_DESCRIPTORS ? (limit.rlim_cur - OTHER_DESCRIPTORS) / HOLDER_LISTENERS : 0;
  kept_limit(pods < PODS_MAX ? (size_t)pods : PODS_MAX);
}

static int open_signals(void) {
  sigset_t ours;
  sigemptyset(&ours);
  for (size_t i = 0; i < 4; ++i) sigaddset(&ours, ((const int[]){SIGCHLD, SIGTERM, SIGINT, SIGHUP})[i]);
  sigprocmask(SIG_BLOCK, &ours, NULL);
  return signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void reap(void) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) supervise_ended(pid, status);
}

static void on_signals(int fd) {
  struct signalfd_siginfo info;
  while (read(fd, &info, sizeof info) == (ssize_t)sizeof info) {
    int signal = (int)info.ssi_signo;
    if (signal == SIGTERM || signal == SIGINT) supervise_stop(signal);
    if (signal == SIGHUP && !replace(NULL)) say("error", "SIGHUP: no successor can be started");
  }
  // Signals of one kind become one: always look.
  reap();
}

static void turn(int signals) {
  struct pollfd polled[1 + CHILDREN_MAX] = {{.fd = signals, .events = POLLIN}};
  pid_t pids[CHILDREN_MAX];
  int timeout = supervise_due();
  for (int i = 0; i < CHILDREN_MAX; ++i) {
    struct child* child = child_at(i);
    bool there = child->stage != STAGE_NONE;
    pids[i] = there ? child->pid : 0;
    short events = (short)(POLLIN | (there && child_owes(child) ? POLLOUT : 0));
    polled[1 + i] = (struct pollfd){.fd = there ? child->fd : -1, .events = events};
  }
  if (poll(polled, 1 + CHILDREN_MAX, timeout) <= 0) return;
  // Signals first: a child that was told to stop asks for no successor of its own accord.
  if (polled[0].revents != 0) on_signals(signals);
  for (int i = 0; i < CHILDREN_MAX; ++i) {
    struct child* child = child_at(i);
    if (polled[1 + i].revents == 0 || child->stage == STAGE_NONE || child->pid != pids[i] || child->fd < 0) continue;
    if ((polled[1 + i].revents & ~POLLOUT) != 0) child_hear(child);
    if (child->fd >= 0 && child_owes(child)) child_tell(child);
  }
}

static char** command_in(char** arguments) {
  for (; *arguments != NULL && strncmp(*arguments, "--", 2) == 0; ++arguments) {
    if (strcmp(*arguments, "--") == 0) return arguments + 1;
    bool json = strcmp(*arguments, "--log-format=json") == 0;
    if (!json && strcmp(*arguments, "--log-format=text") != 0) return NULL;
    log_as_json(json);
  }
  return arguments;
}

int main(int argc, char** argv) {
  char** command = argc > 0 ? command_in(argv + 1) : NULL;
  if (command == NULL || *command == NULL) {
    fputs(usage, stderr);
    return 2;
  }
  use_descriptors();
  int signals = open_signals();
  if (signals < 0) {
    say("error", "no descriptor for signals: %s", strerror(errno));
    return 1;
  }
  children_command(command);
  supervise_start();
  int status = 0;
  while (!supervise_over(&status)) turn(signals);
  return status;
}
