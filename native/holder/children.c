#include "children.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

static struct child children[CHILDREN_MAX];
static char** command_line;

void children_command(char** command) { command_line = command; }

int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

struct child* child_at(int index) { return &children[index]; }

struct child* child_in(enum stage stage) {
  for (int i = 0; i < CHILDREN_MAX; ++i) {
    if (children[i].stage == stage) return &children[i];
  }
  return NULL;
}

struct child* child_of(pid_t pid) {
  for (int i = 0; i < CHILDREN_MAX; ++i) {
    if (children[i].stage != STAGE_NONE && children[i].pid == pid) return &children[i];
  }
  return NULL;
}

int children_count(void) {
  int count = 0;
  for (int i = 0; i < CHILDREN_MAX; ++i) count += children[i].stage != STAGE_NONE;
  return count;
}

void children_signal(int signal) {
  for (int i = 0; i < CHILDREN_MAX; ++i) {
    if (children[i].stage != STAGE_NONE) kill(children[i].pid, signal);
  }
}

// In the new process. `end` is the only descriptor that it is to inherit beside 0, 1 and 2.
static void become_child(int end, pid_t holder) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  // Without its holder it can never be replaced: it ends in order, and whoever started the holder starts both.
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != holder) _exit(1);
  char number[16];
  snprintf(number, sizeof number, "%d", end);
  setenv("CULVERT_HOLDER", number, 1);
  fcntl(end, F_SETFD, 0);
  execvp(command_line[0], command_line);
  dprintf(STDERR_FILENO, "culvert-holder: %s: %s\n", command_line[0], strerror(errno));
  _exit(127);
}

struct child* child_start(void) {
  struct child* free_place = child_in(STAGE_NONE);
  int pair[2];
  if (free_place == NULL) {
    say("error", "cannot start a ztunnel: %d are there, the older ones have not ended yet", CHILDREN_MAX);
    return NULL;
  }
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    say("error", "cannot start a ztunnel: no pair of sockets: %s", strerror(errno));
    return NULL;
  }
  pid_t holder = getpid();
  pid_t pid = fork();
  if (pid == 0) become_child(pair[1], holder);
  close(pair[1]);
  if (pid < 0) {
    say("error", "cannot start a ztunnel: %s", strerror(errno));
    close(pair[0]);
    return NULL;
  }
  *free_place = (struct child){.stage = STAGE_STARTING, .pid = pid, .fd = pair[0], .started_ms = now_ms()};
  say("info", "ztunnel %d was started", pid);
  return free_place;
}

void child_forget(struct child* child) {
  if (child->fd >= 0) close(child->fd);
  *child = (struct child){.stage = STAGE_NONE, .fd = -1};
}
