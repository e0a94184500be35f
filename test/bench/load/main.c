// load <what> ...: servers and clients of the benches. Every client prints one line of JSON.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "load.h"

static const struct {
	const char *name;
	int args;
	int (*run)(int argc, char **argv);
	const char *usage;
} commands[] = {
	{ "serve", 2, serve, "<echo port> <sink port>" },
	{ "roundtrip", 3, roundtrip, "<host> <port> <seconds>" },
	{ "connect", 4, connect_once, "<host> <port> <seconds> <pause us>" },
	{ "rate", 4, rate, "<host> <port> <seconds> <concurrent connections>" },
	{ "throughput", 4, throughput, "<host> <port> <seconds> <streams> [<ms between two that join>]" },
	{ "hold", 3, hold, "<host> <port> <connections>" },
	{ "active", 5, active, "<host> <port> <seconds> <connections> <pause ms>" },
	{ "relay", 3, relay, "<port> <host> <port>" },
};

int main(int argc, char **argv)
{
	raise_file_limit();
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (argc >= 2 && strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].args)
			return commands[i].run(argc - 2, argv + 2);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		fprintf(stderr, "load %s %s\n", commands[i].name, commands[i].usage);
	return 2;
}
