// When a ztunnel is started, and when the holder ends.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct child;

void supervise_start(void);
// A successor of `asker`, or of whoever serves if it is NULL. False if there will be none.
bool replace(struct child* asker);
// Everybody is to end; the signal is passed on.
void supervise_stop(int signal);
// A process has ended; `status` as waitpid has it.
void supervise_ended(pid_t pid, int status);
// Starts what is due. Milliseconds until the next is; -1 if nothing is.
int supervise_due(void);
// True once the holder is to end with this status.
bool supervise_over(int* status);
