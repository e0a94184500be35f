// What the parts of the load program share. It is C so that its own cost is small beside what it measures.
#pragma once
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { MESSAGE_BYTES = 64, BUFFER_BYTES = 262144 };

struct target {
	struct sockaddr_storage address;
	socklen_t bytes;
};

// Ends the program with a sentence and what errno says.
_Noreturn void fail(const char *what);
uint64_t now_ns(void);
void raise_file_limit(void);

struct target parse_target(const char *host, const char *port);
// A connected socket that blocks, without Nagle's delay.
int dial(const struct target *target);
// A socket on its way to be connected, which does not block. Returns -1 if there is none.
int dial_start(const struct target *target);
int listen_on(const char *port);
// Sends and receives 64 bytes on a socket that blocks. Returns 0, or -1 if the peer is gone.
int exchange(int fd);

// Durations in nanoseconds, at most `max` of them: what comes later is not kept, only counted.
struct samples {
	uint64_t *ns;
	size_t count, max;
};
struct samples samples_new(size_t max);
void samples_add(struct samples *samples, uint64_t ns);
// Microseconds at a share from 0 to 1. Sorts.
double samples_at(struct samples *samples, double share);

int serve(int argc, char **argv);
int roundtrip(int argc, char **argv);
int connect_once(int argc, char **argv);
int rate(int argc, char **argv);
int throughput(int argc, char **argv);
int hold(int argc, char **argv);
int active(int argc, char **argv);
int relay(int argc, char **argv);
