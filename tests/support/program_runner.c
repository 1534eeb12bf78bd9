#include "program_runner.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGUMENTS 32

static char folder[256];

void program_open_folder(void)
{
	make_folder(folder);
}

void program_remove_folder(void)
{
	remove_folder(folder);
}

const char *in_folder(const char *name)
{
	static char paths[4][512];
	static int next;
	char *path = paths[next++ % 4];
	snprintf(path, 512, "%s/%s", folder, name);
	return path;
}

char *read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	size_t size = (size_t)ftell(file);
	char *text = must_allocate(size + 1);
	rewind(file);
	assert_int_equal(fread(text, 1, size, file), size);
	text[size] = 0;
	fclose(file);
	return text;
}

static void redirect(const char *path, int flags, int descriptor)
{
	int file = open(path, flags, 0600);
	if (file < 0 || dup2(file, descriptor) < 0)
		_exit(126);
	close(file);
}

pid_t start(const char *const *arguments, const char *stdin_path, const char *stdout_path)
{
	const char *argv[MAX_ARGUMENTS + 2] = {GQE_PROGRAM};
	for (int i = 0; arguments[i]; i++) {
		assert_true(i < MAX_ARGUMENTS);
		argv[i + 1] = arguments[i];
	}
	fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		redirect(stdin_path ? stdin_path : "/dev/null", O_RDONLY, STDIN_FILENO);
		redirect(stdout_path ? stdout_path : in_folder("stdout"), O_CREAT | O_TRUNC | O_WRONLY, STDOUT_FILENO);
		redirect(in_folder("stderr"), O_CREAT | O_TRUNC | O_WRONLY, STDERR_FILENO);
		execv(GQE_PROGRAM, (char *const *)argv);
		_exit(127);
	}
	return child;
}

struct result finish(pid_t child)
{
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	return (struct result){WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(in_folder("stdout")),
			       read_file(in_folder("stderr"))};
}

void result_free(struct result *result)
{
	free(result->out);
	free(result->err);
}

void expect(struct result result, int code, const char *text)
{
	const char *where = code == 0 ? result.out : result.err;
	if (result.exit_code != code || !strstr(where, text) || (code != 0 && result.out[0]))
		fail_msg("exit code %d, expected %d with '%s'\nstdout: %s\nstderr: %s", result.exit_code, code, text, result.out,
			 result.err);
	result_free(&result);
}

cJSON *parse_json(const struct result *result)
{
	const char *end;
	cJSON *document = cJSON_ParseWithOpts(result->out, &end, true);
	if (!document)
		fail_msg("stdout is not one JSON document: %s\nstderr: %s", result->out, result->err);
	return document;
}

double number_at(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
	if (!cJSON_IsNumber(item))
		fail_msg("no number '%s'", key);
	return item->valuedouble;
}
