/* `gqe report` as a user calls it: exit codes, the schema of what it writes, and what a cancel leaves. Time decides nothing here.
 */
#include "support/program_runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void wrong_calls(void **state)
{
	(void)state;
	expect(RUN("report", "--help"), 0, "--quick");
	expect(RUN("help"), 0, "  report ");
	expect(RUN("report"), 2, "-o FILE.json is missing");
	expect(RUN("report", "-o", in_folder("r.json"), "--quick", "--full"), 2, "only one of");
	expect(RUN("report", "-o", in_folder("no-such-folder/r.json")), 2, "no-such-folder");
	expect(RUN("report", "-o", in_folder("r.json"), "--device", "reference"), 2, "Vulkan device");
	expect(RUN("report", "-o", in_folder("r.json"), "--device", "no such device"), 3, "");
	/* What is wrong with the model is said before anything is measured. */
	expect(RUN("report", "-o", in_folder("r.json"), "--model", in_folder("no-such-model")), 4, "no-such-model");
	assert_int_not_equal(access(in_folder("r.json"), F_OK), 0);
}

static void validate(const char *path)
{
	char command[2048];
	snprintf(command, sizeof(command),
		 "python3 '" GQE_TESTS "/validate_schema.py' '" GQE_SOURCE "/docs/report.schema.json' '%s' >&2", path);
	assert_int_equal(system(command), 0);
}

static cJSON *read_record(const char *path)
{
	char *text = read_file(path);
	cJSON *record = cJSON_Parse(text);
	assert_non_null(record);
	free(text);
	return record;
}

static void a_record_has_the_schema(void **state)
{
	(void)state;
	const char *path = in_folder("r.json");
	char kept[512];
	snprintf(kept, sizeof(kept), "%s", path);
	expect(RUN("report", "-o", kept, "--seconds", "4", "--model", GQE_MODELS "/gqe-2m", "--prompt-file",
		   GQE_MODELS "/heldout.txt"),
	       0, "");
	validate(kept);
	cJSON *record = read_record(kept);
	assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(record, "complete")));
	const cJSON *selftest = cJSON_GetObjectItemCaseSensitive(record, "selftest");
	assert_true(number_at(selftest, "cases") > 0 && number_at(selftest, "failed") == 0);
	/* How much fits into the time is the machine's affair; what does not is named. */
	assert_true(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(record, "entries")) +
			    cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(record, "skipped")) >
		    0);
	cJSON_Delete(record);
}

static void a_cancel_keeps_what_was_measured(void **state)
{
	(void)state;
	char path[512];
	snprintf(path, sizeof(path), "%s", in_folder("cancelled.json"));
	const char *const arguments[] = {"report", "-o", path, "--quick", "-vv", NULL};
	unlink(in_folder("stderr"));
	pid_t child = start(arguments, NULL, NULL);
	/* The peaks are measured after the self-test. */
	for (bool at_work = false; !at_work;) {
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
		if (access(in_folder("stderr"), R_OK) == 0) {
			char *err = read_file(in_folder("stderr"));
			at_work = strstr(err, "pipeline peak_fma") != NULL;
			free(err);
		}
	}
	kill(child, SIGINT);
	struct result result = finish(child);
	assert_int_equal(result.exit_code, 130);
	assert_non_null(strstr(result.err, "what was measured is in"));
	result_free(&result);
	validate(path);
	cJSON *record = read_record(path);
	assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(record, "complete")));
	assert_true(number_at(cJSON_GetObjectItemCaseSensitive(record, "selftest"), "cases") > 0);
	cJSON_Delete(record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_calls),
		cmocka_unit_test(a_record_has_the_schema),
		cmocka_unit_test(a_cancel_keeps_what_was_measured),
	};
	return cmocka_run_group_tests(tests, program_open_folder, program_remove_folder);
}
