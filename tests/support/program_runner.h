/*
 * Running the program `gqe` as a user does: its exit code, and what it wrote to stdout and stderr. Runs and the tests' own files
 * share one folder.
 */
#ifndef GQE_TESTS_PROGRAM_RUNNER_H
#define GQE_TESTS_PROGRAM_RUNNER_H

#include "support.h"

#include <cjson/cJSON.h>
#include <sys/types.h>

/* For a group's set-up and tear-down. */
int program_open_folder(void **state);
int program_remove_folder(void **state);
/* The path of a file in the folder; good for the next seven calls. */
const char *in_folder(const char *name);
/* malloc'ed, ends with NUL. */
char *read_file(const char *path);

/* One run of the program. */
struct result {
	int exit_code; /* -1: killed by a signal */
	char *out, *err;
};

/* Starts the program with stdin, stdout and stderr at files of the folder; NULL: /dev/null, and in_folder("stdout"). */
pid_t start(const char *const *arguments, const char *stdin_path, const char *stdout_path);
struct result finish(pid_t child);
void result_free(struct result *result);

/* RUN("devices", "--json") */
#define RUN(...) finish(start((const char *const[]){__VA_ARGS__, NULL}, NULL, NULL))

/* A run that must end with `code`; with a code that is not 0, `text` must be in stderr and stdout be empty. */
void expect(struct result result, int code, const char *text);
/* stdout as the one JSON document that it must be */
cJSON *parse_json(const struct result *result);
double number_at(const cJSON *object, const char *key);

/* The file is an HTML page that needs nothing but itself: no script, no address, nothing to load. Returns its text, malloc'ed. */
char *read_page(const char *path);
/* The file is a PNG; its size in pixels. */
void expect_png(const char *path, uint32_t *width, uint32_t *height);

#endif
