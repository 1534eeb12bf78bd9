/* The program `gqe`: finds the command. */
#include "commands.h"
#include "platform.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct command {
	const char *name, *summary;
	gqe_status (*run)(int argc, char **argv);
} commands[] = {
	{"devices", "list the Vulkan devices, what each can do, and why any is rejected", cmd_devices},
	{"run", "read a text with a model: speed, perplexity, routing; generate text", cmd_run},
	{"layer", "compute one attention layer on tensors from files", cmd_layer},
	{"inspect", "show a model's config, tensors and memory needs", cmd_inspect},
	{"bench", "measure layers, attention and projections against dense GQA and the device's peaks", cmd_bench},
	{"compare", "hold records of several devices, or of one over time, against each other", cmd_compare},
	{"report", "measure everything about a device into one record", cmd_report},
	{"routes", "show what the router of a model does with a text: shares, balance, a map", cmd_routes},
	{"selftest", "check every kernel of a device against the reference", cmd_selftest},
	{"tune", "measure the fastest tiles on this device, and remember them", cmd_tune},
};
#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *file)
{
	fprintf(file, "gqe: Grouped Query Experts attention on any Vulkan device\n\nUsage: gqe COMMAND [OPTIONS]\n\nCommands:\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		fprintf(file, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fprintf(file,
		"  %-10s %s\n\nOptions:\n  %-10s %s\n  %-10s %s\n\n'gqe help COMMAND' and 'gqe COMMAND --help' tell more.\n"
		"Exit codes: 0 ok, 2 usage, 3 no usable device, 4 bad input file or config, 5 out of memory or over budget,\n"
		"6 device lost, 7 verification failed, 130 cancelled, 1 anything else.\n",
		"help", "print this, or the help of a command", "--version", "print the version", "--help", "print this");
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	struct nearest nearest = nearest_begin(name, strlen(name));
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		nearest_offer(&nearest, commands[i].name);
	const char *kind = name[0] == '-' ? "option" : "command";
	if (nearest_found(&nearest))
		fprintf(stderr, "gqe: unknown %s '%s'; did you mean '%s'?\n", kind, name, nearest.word);
	else if (name[0] == '-')
		fprintf(stderr, "gqe: unknown option '%s'; options follow the command\n", name);
	else
		fprintf(stderr, "gqe: unknown command '%s'\n", name);
	fprintf(stderr, "Try 'gqe --help'.\n");
	return NULL;
}

static gqe_status run_command(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return GQE_ERROR_USAGE;
	}
	const char *name = argv[1];
	bool help = strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
	if (help && argc == 2) {
		print_usage(stdout);
		return GQE_OK;
	}
	if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
		uint32_t version = gqe_version();
		printf("gqe %u.%u.%u\n", version >> 16, version >> 8 & 0xff, version & 0xff);
		return GQE_OK;
	}
	const struct command *command = find_command(help ? argv[2] : name);
	if (!command)
		return GQE_ERROR_USAGE;
	char *help_argument[] = {"--help"};
	return help ? command->run(1, help_argument) : command->run(argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
	platform_begin(&argc, &argv);
	gqe_status status = run_command(argc, argv);
	/* A full disk or a closed pipe shows only here; half an answer must not look like a whole one. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "gqe: cannot write to standard output: %s\n", strerror(errno));
		return status == GQE_OK ? GQE_ERROR_INTERNAL : (int)status;
	}
	return (int)status;
}
