#include "program_runner.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGUMENTS 32

static char folder[256];

int program_open_folder(void **state)
{
	(void)state;
	make_folder(folder);
	return 0;
}

int program_remove_folder(void **state)
{
	(void)state;
	remove_folder(folder);
	return 0;
}

const char *in_folder(const char *name)
{
	static char paths[8][512];
	static int next;
	char *path = paths[next++ % 8];
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

char *read_page(const char *path)
{
	static const char *const foreign[] = {
		"<script", "http:", "https:", "src=", "href=", "@import", "url(", "<link", "javascript:"};
	char *page = read_file(path);
	assert_int_equal(strncmp(page, "<!doctype html>", 15), 0);
	assert_non_null(strstr(page, "</html>"));
	assert_non_null(strstr(page, "width=device-width"));
	assert_non_null(strstr(page, "prefers-color-scheme: dark"));
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
		if (strstr(page, foreign[i]))
			fail_msg("%s has '%s'", path, foreign[i]);
	return page;
}

void expect_png(const char *path, uint32_t *width, uint32_t *height)
{
	static const unsigned char signature[16] = {0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 'I', 'H', 'D', 'R'};
	unsigned char head[24];
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	assert_int_equal(fread(head, 1, sizeof(head), file), sizeof(head));
	fclose(file);
	assert_memory_equal(head, signature, sizeof(signature));
	*width = (uint32_t)head[16] << 24 | (uint32_t)head[17] << 16 | (uint32_t)head[18] << 8 | head[19];
	*height = (uint32_t)head[20] << 24 | (uint32_t)head[21] << 16 | (uint32_t)head[22] << 8 | head[23];
}
