/* Command lines: a table of options per command, parsed and printed as help from the same rows. */
#ifndef GQE_TOOLS_OPTIONS_H
#define GQE_TOOLS_OPTIONS_H

#include <gqe/gqe.h>
#include <stdio.h>

enum option_type {
	OPTION_FLAG,   /* bool; no argument */
	OPTION_REPEAT, /* uint32_t, raised by one each time; no argument */
	OPTION_TEXT,   /* const char * */
	OPTION_NUMBER, /* uint32_t within minimum...maximum */
	OPTION_SEED,   /* uint64_t, any */
	OPTION_BYTES,  /* uint64_t > 0: 1048576, 512M, 2G (powers of 1024) */
	OPTION_CHOICE  /* int: the value of the named choice */
};

struct option_choice {
	const char *name; /* NULL ends the list */
	int value;
};

/* A row. The value lies `offset` bytes into its group's `values`; it keeps what it was when the option is not given. */
struct option {
	const char *name;     /* "--prompt"; NULL ends the table */
	char letter;          /* 'n' for -n; 0: none */
	const char *argument; /* "TEXT", as help shows it; NULL for FLAG and REPEAT */
	enum option_type type;
	size_t offset;
	uint32_t minimum, maximum;           /* NUMBER; maximum 0: 4294967295 */
	const struct option_choice *choices; /* CHOICE */
	const char *help;
};

struct option_group {
	const char *title;
	const struct option *options;
	void *values; /* the struct that the offsets point into */
};

struct command_line {
	const char *command;     /* "run" */
	const char *synopsis;    /* what follows the command in a call */
	const char *description; /* a paragraph */
	const struct option_group *groups;
	size_t group_count;
	const char *operand_name; /* "MODEL": one operand is required; NULL: none is taken */
	const char **operand;     /* [most_operands] */
	size_t most_operands;     /* 0: one */
	size_t *operand_count;    /* with most_operands: how many were given, at least one */
};

enum parse_result { PARSE_OK, PARSE_HELP /* printed to stdout */, PARSE_ERROR /* printed to stderr */ };

/*
 * Reads the arguments after the command's name: `--name value`, `--name=value`, `-n 5`, `-n5`, `-vv`; `--` ends the options.
 * `--help` and `-h` are understood everywhere.
 */
enum parse_result command_line_parse(const struct command_line *line, int argc, char **argv);

#endif
