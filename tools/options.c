#include "options.h"

#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static enum parse_result usage_error(const struct command_line *line, const char *format, ...) GQE_PRINTF(2, 3);

static enum parse_result usage_error(const struct command_line *line, const char *format, ...)
{
	fprintf(stderr, "gqe %s: ", line->command);
	va_list arguments;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\nTry 'gqe %s --help'.\n", line->command);
	return PARSE_ERROR;
}

/* A row and the group it is in; row NULL: not found. */
struct match {
	const struct option *option;
	void *value;
};

static struct match find_option(const struct command_line *line, const char *name, size_t length, char letter)
{
	for (size_t g = 0; g < line->group_count; g++) {
		const struct option_group *group = &line->groups[g];
		for (const struct option *option = group->options; option->name; option++) {
			bool found = letter ? option->letter == letter
					    : strlen(option->name) == length && memcmp(option->name, name, length) == 0;
			if (found)
				return (struct match){option, (char *)group->values + option->offset};
		}
	}
	return (struct match){NULL, NULL};
}

static enum parse_result unknown_option(const struct command_line *line, const char *name, size_t length)
{
	struct nearest nearest = nearest_begin(name, length);
	for (size_t g = 0; g < line->group_count; g++)
		for (const struct option *option = line->groups[g].options; option->name; option++)
			nearest_offer(&nearest, option->name);
	nearest_offer(&nearest, "--help");
	if (nearest_found(&nearest))
		return usage_error(line, "unknown option '%.*s'; did you mean '%s'?", (int)length, name, nearest.word);
	return usage_error(line, "unknown option '%.*s'", (int)length, name);
}

static bool takes_argument(const struct option *option)
{
	return option->type != OPTION_FLAG && option->type != OPTION_REPEAT;
}

static enum parse_result set_choice(const struct command_line *line, struct match match, const char *shown, const char *text)
{
	struct nearest nearest = nearest_begin(text, strlen(text));
	char names[160] = "";
	for (const struct option_choice *choice = match.option->choices; choice->name; choice++) {
		if (strcmp(choice->name, text) == 0) {
			*(int *)match.value = choice->value;
			return PARSE_OK;
		}
		nearest_offer(&nearest, choice->name);
		size_t used = strlen(names);
		snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "", choice->name);
	}
	return usage_error(line, "option '%s': '%s' is none of %s", shown, text, names);
}

static enum parse_result set_value(const struct command_line *line, struct match match, const char *shown, const char *text)
{
	const struct option *option = match.option;
	uint64_t number;
	switch (option->type) {
	case OPTION_FLAG:
		*(bool *)match.value = true;
		return PARSE_OK;
	case OPTION_REPEAT:
		++*(uint32_t *)match.value;
		return PARSE_OK;
	case OPTION_TEXT:
		*(const char **)match.value = text;
		return PARSE_OK;
	case OPTION_NUMBER: {
		uint32_t maximum = option->maximum ? option->maximum : UINT32_MAX;
		if (!parse_number(text, &number) || number < option->minimum || number > maximum)
			return usage_error(line, "option '%s': '%s' is not a whole number from %u to %u", shown, text,
					   option->minimum, maximum);
		*(uint32_t *)match.value = (uint32_t)number;
		return PARSE_OK;
	}
	case OPTION_SEED:
		if (!parse_number(text, &number))
			return usage_error(line, "option '%s': '%s' is not a whole number of at most 64 bits", shown, text);
		*(uint64_t *)match.value = number;
		return PARSE_OK;
	case OPTION_BYTES:
		if (!parse_bytes(text, &number) || number == 0)
			return usage_error(line, "option '%s': '%s' is not a size such as 1048576, 512M or 2G", shown, text);
		*(uint64_t *)match.value = number;
		return PARSE_OK;
	case OPTION_CHOICE:
		return set_choice(line, match, shown, text);
	}
	return PARSE_ERROR;
}

static void print_help(const struct command_line *line)
{
	printf("Usage: gqe %s%s%s\n\n%s\n", line->command, line->synopsis[0] ? " " : "", line->synopsis, line->description);
	for (size_t g = 0; g < line->group_count; g++) {
		printf("\n%s:\n", line->groups[g].title);
		for (const struct option *option = line->groups[g].options; option->name; option++) {
			char left[64], letter[5] = "";
			if (option->letter)
				snprintf(letter, sizeof(letter), "-%c, ", option->letter);
			snprintf(left, sizeof(left), "%4s%s%s%s", letter, option->name, option->argument ? " " : "",
				 option->argument ? option->argument : "");
			printf("  %-26s %s\n", left, option->help);
		}
	}
	printf("\n  %-26s %s\n", "-h, --help", "print this help");
}

/* Handles "-n5", "-n 5", "-vv": `argument` is what follows the dash. Moves *index past a separate value. */
static enum parse_result parse_letters(const struct command_line *line, const char *argument, int argc, char **argv, int *index)
{
	for (const char *letter = argument; *letter; letter++) {
		if (*letter == 'h') {
			print_help(line);
			return PARSE_HELP;
		}
		struct match match = find_option(line, NULL, 0, *letter);
		char shown[3] = {'-', *letter, 0};
		if (!match.option)
			return usage_error(line, "unknown option '%s'", shown);
		if (takes_argument(match.option)) {
			const char *value = letter[1] ? letter + 1 : *index + 1 < argc ? argv[++*index] : NULL;
			if (!value)
				return usage_error(line, "option '%s' needs a value (%s)", shown, match.option->argument);
			return set_value(line, match, shown, value);
		}
		set_value(line, match, shown, NULL);
	}
	return PARSE_OK;
}

static enum parse_result parse_long(const struct command_line *line, const char *argument, int argc, char **argv, int *index)
{
	const char *equals = strchr(argument, '=');
	size_t length = equals ? (size_t)(equals - argument) : strlen(argument);
	if (length == 6 && memcmp(argument, "--help", 6) == 0) {
		print_help(line);
		return PARSE_HELP;
	}
	struct match match = find_option(line, argument, length, 0);
	if (!match.option)
		return unknown_option(line, argument, length);
	const char *name = match.option->name;
	if (!takes_argument(match.option)) {
		if (equals)
			return usage_error(line, "option '%s' takes no value", name);
		return set_value(line, match, name, NULL);
	}
	const char *value = equals ? equals + 1 : *index + 1 < argc ? argv[++*index] : NULL;
	if (!value)
		return usage_error(line, "option '%s' needs a value (%s)", name, match.option->argument);
	return set_value(line, match, name, value);
}

enum parse_result command_line_parse(const struct command_line *line, int argc, char **argv)
{
	bool options_ended = false;
	const size_t most_operands = line->most_operands ? line->most_operands : 1;
	size_t operands = 0;
	if (line->operand)
		*line->operand = NULL;
	for (int i = 0; i < argc; i++) {
		const char *argument = argv[i];
		enum parse_result result = PARSE_OK;
		if (!options_ended && strcmp(argument, "--") == 0)
			options_ended = true;
		else if (!options_ended && strncmp(argument, "--", 2) == 0)
			result = parse_long(line, argument, argc, argv, &i);
		else if (!options_ended && argument[0] == '-' && argument[1])
			result = parse_letters(line, argument + 1, argc, argv, &i);
		else if (!line->operand_name)
			result = usage_error(line, "unexpected argument '%s'", argument);
		else if (operands == most_operands && most_operands == 1)
			result = usage_error(line, "unexpected argument '%s': %s is '%s' already", argument, line->operand_name,
					     *line->operand);
		else if (operands == most_operands)
			result = usage_error(line, "unexpected argument '%s': at most %zu are taken", argument, most_operands);
		else
			line->operand[operands++] = argument;
		if (result != PARSE_OK)
			return result;
	}
	if (line->operand_name && !*line->operand)
		return usage_error(line, "%s is missing", line->operand_name);
	if (line->operand_count)
		*line->operand_count = operands;
	return PARSE_OK;
}
