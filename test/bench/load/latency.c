// One thing after the other: round trips on one connection, or a connection for each round trip.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "load.h"

enum { SAMPLES_MAX = 4000000 };

static void print(struct samples *samples, double seconds)
{
	printf("{\"p50\":%.2f,\"p99\":%.2f,\"rate\":%.1f,\"count\":%zu}\n", samples_at(samples, 0.5), samples_at(samples, 0.99),
	       (double)samples->count / seconds, samples->count);
}

int roundtrip(int argc, char **argv)
{
	(void)argc;
	struct target target = parse_target(argv[0], argv[1]);
	struct samples samples = samples_new(SAMPLES_MAX);
	uint64_t length = (uint64_t)(atof(argv[2]) * 1e9);
	int fd = dial(&target);
	uint64_t start = now_ns(), warm = start + length / 10, end = start + length;
	for (uint64_t from = start; from < end;) {
		if (exchange(fd) != 0)
			fail("exchange");
		uint64_t to = now_ns();
		if (from >= warm)
			samples_add(&samples, to - from);
		from = to;
	}
	print(&samples, (double)(end - warm) / 1e9);
	return 0;
}

int connect_once(int argc, char **argv)
{
	(void)argc;
	struct target target = parse_target(argv[0], argv[1]);
	struct samples samples = samples_new(SAMPLES_MAX);
	uint64_t length = (uint64_t)(atof(argv[2]) * 1e9);
	useconds_t pause = (useconds_t)atoi(argv[3]);
	uint64_t start = now_ns(), warm = start + length / 10, end = start + length;
	for (uint64_t from = start; from < end; from = now_ns()) {
		int fd = dial(&target);
		if (exchange(fd) != 0)
			fail("exchange");
		if (from >= warm)
			samples_add(&samples, now_ns() - from);
		close(fd);
		if (pause > 0)
			usleep(pause);
	}
	print(&samples, (double)(now_ns() - warm) / 1e9);
	return 0;
}
