// Sends on N connections as fast as they take it; what counts is what the sink says it got.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "load.h"

static char buffer[BUFFER_BYTES];

static int epoll;

// Fills the connections until a moment; returns the bytes that they took.
static uint64_t send_until(uint64_t end)
{
	struct epoll_event events[64];
	uint64_t taken = 0;
	while (now_ns() < end) {
		int count = epoll_wait(epoll, events, 64, 10);
		for (int i = 0; i < count; i++) {
			// Twice at most: one stream shall not keep the others waiting.
			for (int turn = 0; turn < 2; turn++) {
				ssize_t sent = send(events[i].data.fd, buffer, sizeof buffer, MSG_NOSIGNAL);
				if (sent < 0 && errno != EAGAIN)
					fail("send");
				taken += sent < 0 ? 0 : (uint64_t)sent;
				if (sent < (ssize_t)sizeof buffer)
					break;
			}
		}
	}
	return taken;
}

int throughput(int argc, char **argv)
{
	struct target target = parse_target(argv[0], argv[1]);
	int streams = atoi(argv[3]);
	uint64_t join_ns = (uint64_t)((argc > 4 ? atof(argv[4]) : 1) * 1e6);
	int *fds = calloc((size_t)streams, sizeof *fds);
	uint64_t early = 0, total = 0, least = UINT64_MAX;
	epoll = epoll_create1(EPOLL_CLOEXEC);
	// One joins after the other, as in life: each finds those before it at work.
	for (int i = 0; i < streams; i++) {
		fds[i] = dial(&target);
		fcntl(fds[i], F_SETFL, O_NONBLOCK);
		struct epoll_event event = { .events = EPOLLOUT, .data.fd = fds[i] };
		epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
		early += send_until(now_ns() + join_ns);
	}
	uint64_t begun = now_ns();
	send_until(begun + (uint64_t)(atof(argv[2]) * 1e9));
	for (int i = 0; i < streams; i++)
		shutdown(fds[i], SHUT_WR);
	for (int i = 0; i < streams; i++) {
		uint64_t bytes;
		fcntl(fds[i], F_SETFL, 0);
		if (recv(fds[i], &bytes, sizeof bytes, MSG_WAITALL) != sizeof bytes)
			fail("the sink's answer");
		total += bytes;
		if (bytes < least)
			least = bytes;
	}
	double seconds = (double)(now_ns() - begun) / 1e9;
	printf("{\"gbps\":%.4f,\"bytes\":%llu,\"fairness\":%.3f}\n", (double)(total - early) * 8 / 1e9 / seconds,
	       (unsigned long long)total, total == 0 ? 0 : (double)least * streams / (double)total);
	return 0;
}
