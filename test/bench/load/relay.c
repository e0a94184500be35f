// A plain relay in user space: what a proxy costs that decides nothing and encrypts nothing. One thread, epoll, two
// buffers per pair.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "load.h"

struct half {
	int fd;
	int ended; // nothing more comes from here
	size_t from, to; // of what came from here and the other side has not taken
	struct pair *pair;
	struct half *other;
	char buffer[65536];
};

struct pair {
	struct half halves[2];
	int dead;
};

// Moves what it can from one side to the other. Returns -1 if the pair is lost.
static int move(struct half *half)
{
	for (;;) {
		if (half->from == half->to) {
			if (half->ended)
				return 0;
			ssize_t bytes = recv(half->fd, half->buffer, sizeof half->buffer, 0);
			if (bytes < 0)
				return errno == EAGAIN ? 0 : -1;
			if (bytes == 0) {
				half->ended = 1;
				shutdown(half->other->fd, SHUT_WR);
				return 0;
			}
			half->from = 0;
			half->to = (size_t)bytes;
		}
		ssize_t sent = send(half->other->fd, half->buffer + half->from, half->to - half->from, MSG_NOSIGNAL);
		if (sent < 0)
			return errno == EAGAIN ? 0 : -1;
		half->from += (size_t)sent;
	}
}

static void join(int epoll, int accepted, const struct target *target)
{
	struct pair *pair = calloc(1, sizeof *pair);
	int on = 1, fds[2] = { accepted, dial_start(target) };
	if (pair == NULL || fds[1] < 0)
		fail("join");
	setsockopt(accepted, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
	for (int i = 0; i < 2; i++) {
		pair->halves[i].fd = fds[i];
		pair->halves[i].pair = pair;
		pair->halves[i].other = &pair->halves[1 - i];
	}
	for (int i = 0; i < 2; i++) {
		struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &pair->halves[i] };
		epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event);
	}
}

int relay(int argc, char **argv)
{
	(void)argc;
	int listener = listen_on(argv[0]), epoll = epoll_create1(EPOLL_CLOEXEC);
	struct target target = parse_target(argv[1], argv[2]);
	struct epoll_event first = { .events = EPOLLIN, .data.ptr = NULL }, events[256];
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &first);
	for (;;) {
		struct pair *dead[256];
		int count = epoll_wait(epoll, events, 256, -1), buried = 0;
		for (int i = 0; i < count; i++) {
			struct half *half = events[i].data.ptr;
			if (half == NULL) {
				int accepted = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
				if (accepted >= 0)
					join(epoll, accepted, &target);
				continue;
			}
			struct pair *pair = half->pair;
			if (pair->dead)
				continue;
			int lost = (events[i].events & EPOLLIN && move(half) != 0) ||
				   (events[i].events & EPOLLOUT && move(half->other) != 0) || events[i].events & EPOLLERR;
			if (lost || (half->ended && half->other->ended && half->from == half->to &&
				     half->other->from == half->other->to)) {
				pair->dead = 1;
				close(pair->halves[0].fd);
				close(pair->halves[1].fd);
				dead[buried++] = pair;
			}
		}
		// Another event of the same turn may point to it.
		while (buried > 0)
			free(dead[--buried]);
	}
}
