// As many connections a second as come about, N under way at any time: connect, 64 bytes there and back, close.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "load.h"

struct slot {
	int fd;
	size_t received;
	int sent;
	uint64_t from;
};

static const struct target *target;
static int epoll;
static size_t errors, finished;

static void start(struct slot *slot)
{
	*slot = (struct slot){ .fd = dial_start(target), .from = now_ns() };
	if (slot->fd < 0)
		fail("connect");
	struct epoll_event event = { .events = EPOLLOUT, .data.ptr = slot };
	epoll_ctl(epoll, EPOLL_CTL_ADD, slot->fd, &event);
}

// Returns 1 when the answer is whole, 0 if it is not yet, -1 if the connection failed.
static int step(struct slot *slot)
{
	char message[MESSAGE_BYTES] = { 0 };
	if (!slot->sent) {
		if (send(slot->fd, message, sizeof message, MSG_NOSIGNAL) != sizeof message)
			return -1;
		slot->sent = 1;
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = slot };
		epoll_ctl(epoll, EPOLL_CTL_MOD, slot->fd, &event);
		return 0;
	}
	ssize_t bytes = recv(slot->fd, message, sizeof message, 0);
	if (bytes < 0 && errno == EAGAIN)
		return 0;
	if (bytes <= 0)
		return -1;
	slot->received += (size_t)bytes;
	return slot->received >= MESSAGE_BYTES;
}

int rate(int argc, char **argv)
{
	(void)argc;
	struct target parsed = parse_target(argv[0], argv[1]);
	size_t concurrent = (size_t)atoi(argv[3]);
	struct slot *slots = calloc(concurrent, sizeof *slots);
	struct samples samples = samples_new(1000000);
	struct epoll_event events[256];
	target = &parsed;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t length = (uint64_t)(atof(argv[2]) * 1e9), begun = now_ns(), warm = begun + length / 10, end = begun + length;
	for (size_t i = 0; i < concurrent; i++)
		start(&slots[i]);
	while (now_ns() < end) {
		int count = epoll_wait(epoll, events, 256, 100);
		for (int i = 0; i < count; i++) {
			struct slot *slot = events[i].data.ptr;
			int done = step(slot);
			if (done == 0)
				continue;
			if (done < 0)
				errors++;
			else if (++finished && slot->from >= warm)
				samples_add(&samples, now_ns() - slot->from);
			close(slot->fd);
			start(slot);
		}
	}
	double seconds = (double)(now_ns() - warm) / 1e9;
	printf("{\"rate\":%.1f,\"p50\":%.2f,\"p99\":%.2f,\"done\":%zu,\"errors\":%zu}\n", (double)samples.count / seconds,
	       samples_at(&samples, 0.5), samples_at(&samples, 0.99), finished, errors);
	return 0;
}
