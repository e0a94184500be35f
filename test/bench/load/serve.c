// Two servers in one thread: one sends back what it gets, the other counts it and says the sum after the end.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "load.h"

struct connection {
	int fd;
	enum { ECHO_LISTENER, SINK_LISTENER, ECHO, SINK } kind;
	uint64_t bytes;
};

static char buffer[BUFFER_BYTES];

static void watch(int epoll, int fd, int kind)
{
	struct connection *connection = calloc(1, sizeof *connection);
	if (connection == NULL)
		fail("memory for a connection");
	connection->fd = fd;
	connection->kind = kind;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		fail("epoll_ctl");
}

static void accept_some(int epoll, const struct connection *listener)
{
	for (int i = 0; i < 64; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		watch(epoll, fd, listener->kind == ECHO_LISTENER ? ECHO : SINK);
	}
}

static int send_all(int fd, const char *bytes, size_t left)
{
	while (left > 0) {
		ssize_t sent = send(fd, bytes, left, MSG_NOSIGNAL);
		if (sent < 0 && errno == EAGAIN) {
			struct pollfd writable = { .fd = fd, .events = POLLOUT };
			poll(&writable, 1, 1000);
			continue;
		}
		if (sent <= 0)
			return -1;
		bytes += sent;
		left -= (size_t)sent;
	}
	return 0;
}

// Returns whether the connection stays.
static int take(struct connection *connection)
{
	ssize_t bytes = recv(connection->fd, buffer, sizeof buffer, 0);
	if (bytes < 0)
		return errno == EAGAIN || errno == EINTR;
	if (connection->kind == ECHO)
		return bytes > 0 && send_all(connection->fd, buffer, (size_t)bytes) == 0;
	connection->bytes += (uint64_t)bytes;
	if (bytes == 0)
		send_all(connection->fd, (const char *)&connection->bytes, sizeof connection->bytes);
	return bytes > 0;
}

int serve(int argc, char **argv)
{
	(void)argc;
	struct epoll_event events[256];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	watch(epoll, listen_on(argv[0]), ECHO_LISTENER);
	watch(epoll, listen_on(argv[1]), SINK_LISTENER);
	for (;;) {
		int count = epoll_wait(epoll, events, 256, -1);
		for (int i = 0; i < count; i++) {
			struct connection *connection = events[i].data.ptr;
			if (connection->kind == ECHO_LISTENER || connection->kind == SINK_LISTENER) {
				accept_some(epoll, connection);
			} else if (!take(connection)) {
				close(connection->fd);
				free(connection);
			}
		}
	}
}
