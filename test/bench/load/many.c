// Many connections: held without traffic, or each with a message now and then.
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>
#include "load.h"

// Opens connections, uses each once, says so, and keeps them until it is ended.
int hold(int argc, char **argv)
{
	(void)argc;
	struct target target = parse_target(argv[0], argv[1]);
	int connections = atoi(argv[2]);
	for (int i = 0; i < connections; i++)
		if (exchange(dial(&target)) != 0)
			fail("exchange");
	printf("open\n");
	fflush(stdout);
	pause();
	return 0;
}

struct talker {
	int fd;
	size_t received;
	uint64_t due, from;
};

static void say(struct talker *talker, uint64_t pause)
{
	char message[MESSAGE_BYTES] = { 0 };
	// Late or not, the duration counts from when it was due: a pause of the proxy delays those behind it, too.
	talker->from = talker->due;
	talker->due += pause;
	talker->received = 0;
	if (send(talker->fd, message, sizeof message, MSG_NOSIGNAL) != sizeof message)
		fail("send");
}

// Every connection sends 64 bytes once a pause, spread evenly over it. Which is due next is a matter of turns.
int active(int argc, char **argv)
{
	(void)argc;
	struct target target = parse_target(argv[0], argv[1]);
	int connections = atoi(argv[3]), next = 0, waiting = 0;
	uint64_t pause = (uint64_t)(atof(argv[4]) * 1e6), length = (uint64_t)(atof(argv[2]) * 1e9);
	struct talker *talkers = calloc((size_t)connections, sizeof *talkers);
	struct samples samples = samples_new(4000000);
	struct epoll_event events[256];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < connections; i++) {
		talkers[i].fd = dial(&target);
		if (exchange(talkers[i].fd) != 0)
			fail("exchange");
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &talkers[i] };
		epoll_ctl(epoll, EPOLL_CTL_ADD, talkers[i].fd, &event);
	}
	uint64_t begun = now_ns(), warm = begun + length / 10, end = begun + length;
	for (int i = 0; i < connections; i++)
		talkers[i].due = begun + pause * (uint64_t)i / (uint64_t)connections;
	for (uint64_t now = begun; now < end || (waiting > 0 && now < end + 2000000000); now = now_ns()) {
		while (now < end && talkers[next].due <= now && talkers[next].received == 0 && talkers[next].from == 0) {
			say(&talkers[next], pause);
			waiting++;
			next = (next + 1) % connections;
		}
		struct timespec wait = { .tv_nsec = 1000000 };
		if (now < end && talkers[next].due > now && talkers[next].due - now < 1000000)
			wait.tv_nsec = (long)(talkers[next].due - now);
		int count = epoll_pwait2(epoll, events, 256, &wait, NULL);
		for (int i = 0; i < count; i++) {
			struct talker *talker = events[i].data.ptr;
			char message[MESSAGE_BYTES];
			ssize_t bytes = recv(talker->fd, message, sizeof message, MSG_DONTWAIT);
			if (bytes <= 0)
				fail("receive");
			talker->received += (size_t)bytes;
			if (talker->received < MESSAGE_BYTES)
				continue;
			if (talker->from >= warm)
				samples_add(&samples, now_ns() - talker->from);
			talker->received = 0;
			talker->from = 0;
			waiting--;
		}
	}
	printf("{\"p50\":%.2f,\"p99\":%.2f,\"count\":%zu,\"lost\":%d}\n", samples_at(&samples, 0.5), samples_at(&samples, 0.99),
	       samples.count, waiting);
	return 0;
}
