#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "load.h"

void fail(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t now_ns(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void raise_file_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

struct target parse_target(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	struct target target = { 0 };
	if (getaddrinfo(host, port, &hints, &found) != 0) {
		fprintf(stderr, "load: %s and %s are no address and port\n", host, port);
		exit(2);
	}
	memcpy(&target.address, found->ai_addr, found->ai_addrlen);
	target.bytes = found->ai_addrlen;
	freeaddrinfo(found);
	return target;
}

static int socket_for(const struct target *target, int flags)
{
	int fd = socket(target->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	int on = 1;
	if (fd >= 0)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	return fd;
}

int dial(const struct target *target)
{
	int fd = socket_for(target, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&target->address, target->bytes) != 0)
		fail("connect");
	return fd;
}

int dial_start(const struct target *target)
{
	int fd = socket_for(target, SOCK_NONBLOCK);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&target->address, target->bytes) != 0 && errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

int listen_on(const char *port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(port)) };
	int on = 1, off = 0;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
	if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0 || listen(fd, 4096) != 0)
		fail("listen");
	return fd;
}

int exchange(int fd)
{
	char message[MESSAGE_BYTES] = { 0 };
	if (send(fd, message, sizeof message, MSG_NOSIGNAL) != sizeof message)
		return -1;
	for (size_t got = 0; got < sizeof message;) {
		ssize_t bytes = recv(fd, message, sizeof message - got, 0);
		if (bytes <= 0)
			return -1;
		got += (size_t)bytes;
	}
	return 0;
}

struct samples samples_new(size_t max)
{
	struct samples samples = { .ns = malloc(max * sizeof(uint64_t)), .max = max };
	if (samples.ns == NULL)
		fail("memory for samples");
	return samples;
}

void samples_add(struct samples *samples, uint64_t ns)
{
	if (samples->count < samples->max)
		samples->ns[samples->count] = ns;
	samples->count++;
}

static int ascending(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

double samples_at(struct samples *samples, double share)
{
	size_t kept = samples->count < samples->max ? samples->count : samples->max;
	if (kept == 0)
		return 0;
	qsort(samples->ns, kept, sizeof *samples->ns, ascending);
	return (double)samples->ns[(size_t)((double)(kept - 1) * share)] / 1000;
}
