// The ztunnels: one that serves, perhaps one that is to take its place, and those that end what they have.
#pragma once

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { CHILDREN_MAX = 8 };

enum stage {
  STAGE_NONE,
  STAGE_STARTING,  // has not said READY
  STAGE_SERVING,   // at most one
  STAGE_LEAVING,   // superseded
};

struct child {
  enum stage stage;
  pid_t pid;
  int fd;  // our end of the pair; -1 once it is closed
  int64_t started_ms;
  bool takes;       // said TAKE: it is told what is kept
  uint64_t told;    // up to this revision
  unsigned to_say;  // bits by enum holder_kind: what it has not been sent yet
  int complaints;   // lines that were written about its messages
};

// What a new child is: the command line to run.
void children_command(char** command);
// Starts one, in stage STARTING. NULL, and a line in the log, if that is impossible.
struct child* child_start(void);
struct child* child_in(enum stage stage);
struct child* child_of(pid_t pid);
// By index, 0 to CHILDREN_MAX - 1; unused places have stage NONE.
struct child* child_at(int index);
int children_count(void);
void children_signal(int signal);
// Forgets one that has ended.
void child_forget(struct child* child);
// How many died and were started again, as the ztunnels are told.
extern uint32_t restarts;

// Reads one message and acts on it.
void child_hear(struct child* child);
// True if something waits to be sent.
bool child_owes(const struct child* child);
// Sends what fits.
void child_tell(struct child* child);
void child_will_hear(struct child* child, int kind);

int64_t now_ms(void);
