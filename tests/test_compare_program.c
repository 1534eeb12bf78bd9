/*
 * `gqe compare` on records that are made here from a committed one of schema version 1: what it judges, what it marks, and what it
 * does with files that are anything but records. No device is needed, and no time is measured.
 */
#include "support/program_runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMITTED GQE_TESTS "/records/schema-1.json"

static cJSON *committed(void)
{
	char *text = read_file(COMMITTED);
	cJSON *record = cJSON_Parse(text);
	assert_non_null(record);
	free(text);
	return record;
}

static void write_bytes(const char *name, const char *bytes, size_t count)
{
	FILE *file = fopen(in_folder(name), "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, count, file), count);
	assert_int_equal(fclose(file), 0);
}

/* Writes the record as a file of the folder, and frees it. */
static void write_record(const char *name, cJSON *record)
{
	char *text = cJSON_PrintUnformatted(record);
	assert_non_null(text);
	write_bytes(name, text, strlen(text));
	cJSON_free(text);
	cJSON_Delete(record);
}

static cJSON *member(cJSON *object, const char *key)
{
	cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
	if (!item)
		fail_msg("no '%s'", key);
	return item;
}

static void scale(cJSON *array, double factor)
{
	cJSON *item;
	cJSON_ArrayForEach(item, array)
		cJSON_SetNumberValue(item, item->valuedouble * factor);
}

/* Everything that the entries took, times a factor; the peaks stay. */
static cJSON *slower_record(double factor)
{
	cJSON *record = committed(), *entry, *array;
	cJSON_ArrayForEach(entry, member(record, "entries")) {
		cJSON_ArrayForEach(array, member(entry, "samples"))
			scale(array, factor);
	}
	return record;
}

static void add_rounds(cJSON *samples, int samples_of_round)
{
	cJSON *rounds = cJSON_AddArrayToObject(samples, "rounds");
	for (int i = 0; i < cJSON_GetArraySize(member(samples, "wall_ms")); i++)
		cJSON_AddItemToArray(rounds, cJSON_CreateNumber(1 + i / samples_of_round));
}

/* The same as a record of version 2. */
static cJSON *with_rounds(cJSON *record, int samples_of_round)
{
	cJSON *item;
	cJSON_SetNumberValue(member(record, "schema_version"), 2);
	cJSON_ArrayForEach(item, member(record, "peaks"))
		add_rounds(member(item, "samples"), samples_of_round);
	cJSON_ArrayForEach(item, member(record, "entries"))
		add_rounds(member(item, "samples"), samples_of_round);
	cJSON_ArrayForEach(item, member(record, "models")) {
		add_rounds(member(item, "prefill"), samples_of_round);
		add_rounds(member(item, "decode"), samples_of_round);
	}
	return record;
}

static cJSON *record_with_text(const char *object, const char *key, const char *text)
{
	cJSON *record = committed();
	cJSON_ReplaceItemInObjectCaseSensitive(member(record, object), key, cJSON_CreateString(text));
	return record;
}

static int make_records(void **state)
{
	program_open_folder(state);
	write_record("base.json", committed());
	write_record("slow.json", slower_record(3));
	write_record("fast.json", slower_record(1.0 / 3));
	write_record("other-kernels.json", record_with_text("gqe", "shader_hash", "0123456789abcdef"));
	cJSON *failed = committed();
	cJSON_SetNumberValue(member(cJSON_GetArrayItem(member(member(failed, "selftest"), "kernels"), 0), "failed"), 1);
	write_record("failed.json", failed);
	return 0;
}

static void wrong_calls(void **state)
{
	(void)state;
	expect(RUN("compare", "--help"), 0, "--baseline");
	expect(RUN("help"), 0, "  compare ");
	expect(RUN("compare"), 2, "A.json is missing");
	expect(RUN("compare", COMMITTED, "--tolerance", "0"), 2, "--tolerance");
	expect(RUN("compare", COMMITTED, "--format", "xml"), 2, "table, md, csv, json");
	expect(RUN("compare", COMMITTED, "--html", in_folder("no-such-folder/p.html")), 2, "no-such-folder");
	expect(RUN("compare", in_folder("no-such-file")), 4, "no-such-file");
	expect(RUN("compare", in_folder("")), 4, "");
	expect(RUN("compare", COMMITTED, COMMITTED, COMMITTED, COMMITTED, COMMITTED, COMMITTED, COMMITTED, COMMITTED, COMMITTED,
		   COMMITTED, COMMITTED, COMMITTED, COMMITTED, COMMITTED, COMMITTED, COMMITTED),
	       2, "at most 15");
}

static void a_committed_record_has_the_schema(void **state)
{
	(void)state;
	assert_int_equal(
		system("python3 '" GQE_TESTS "/validate_schema.py' '" GQE_SOURCE "/docs/report.schema.json' '" COMMITTED "' >&2"),
		0);
}

static void every_format_of_a_committed_record(void **state)
{
	(void)state;
	uint32_t width, height;
	expect(RUN("compare", COMMITTED), 0, "GQE against dense GQA");
	expect(RUN("compare", COMMITTED, "--all-paths"), 0, "scalar");
	expect(RUN("compare", COMMITTED, "--format", "md", "--clock", "wall"), 0, "## GQE against dense GQA");
	expect(RUN("compare", COMMITTED, in_folder("slow.json"), "--format", "csv"), 0, "slower");
	expect(RUN("compare", COMMITTED, in_folder("slow.json"), "--plot", in_folder("c.png"), "--html", in_folder("c.html")), 0,
	       "");
	expect_png(in_folder("c.png"), &width, &height);
	assert_true(width >= 1000 && width <= 1600 && height >= 600 && height <= 1600);
	char *page = read_page(in_folder("c.html"));
	assert_non_null(strstr(page, "<svg"));
	assert_non_null(strstr(page, "In short"));
	assert_non_null(strstr(page, "&times; as fast as its dense GQA"));
	free(page);
}

/* The three counts of a comparison of two records. */
static void expect_counts(const char *reference, const char *other, bool all_slower, bool all_faster)
{
	struct result result = RUN("compare", reference, other, "--json");
	assert_int_equal(result.exit_code, 0);
	cJSON *document = parse_json(&result);
	const double compared = number_at(document, "compared");
	assert_true(compared > 10);
	/* The model's run, two steps, is not scaled. */
	assert_true(number_at(document, "slower") >= (all_slower ? compared - 2 : 0));
	assert_true(number_at(document, "faster") >= (all_faster ? compared - 2 : 0));
	if (!all_slower)
		assert_true(number_at(document, "slower") == 0);
	if (!all_faster)
		assert_true(number_at(document, "faster") == 0);
	cJSON_Delete(document);
	result_free(&result);
}

static void equal_records_have_no_difference(void **state)
{
	(void)state;
	expect_counts(COMMITTED, in_folder("base.json"), false, false);
	expect(RUN("compare", COMMITTED, in_folder("base.json")), 0, "no difference");
}

static void unequal_records_differ(void **state)
{
	(void)state;
	expect_counts(COMMITTED, in_folder("slow.json"), true, false);
	expect_counts(COMMITTED, in_folder("fast.json"), false, true);
}

/* The committed record's medians, with samples drawn anew around them: 10% of noise, and a run's own drift of up to 3%. */
static cJSON *repeated_record(struct random *random)
{
	cJSON *record = committed(), *entry, *array, *item;
	const double drift = 1 + 0.03 * ((double)random_between(random, 0, 200) / 100 - 1);
	cJSON_ArrayForEach(entry, member(record, "entries")) {
		cJSON_ArrayForEach(array, member(entry, "samples")) {
			const double first = array->child->valuedouble;
			cJSON_ArrayForEach(item, array)
				cJSON_SetNumberValue(item, first * drift * (1 + 0.1 * fabs(random_normal(random))));
		}
	}
	return record;
}

static void repeated_runs_of_one_device_have_no_difference(void **state)
{
	(void)state;
	struct random random = {17};
	double compared = 0, differ = 0;
	for (int i = 0; i < 10; i++) {
		write_record("once.json", repeated_record(&random));
		write_record("again.json", repeated_record(&random));
		struct result result = RUN("compare", in_folder("once.json"), in_folder("again.json"), "--json");
		assert_int_equal(result.exit_code, 0);
		cJSON *document = parse_json(&result);
		compared += number_at(document, "compared");
		differ += number_at(document, "slower") + number_at(document, "faster");
		cJSON_Delete(document);
		result_free(&result);
	}
	if (differ > 0.05 * compared)
		fail_msg("%g of %g steps differ", differ, compared);
}

static void a_regression_is_exit_code_7(void **state)
{
	(void)state;
	struct result result = RUN("compare", in_folder("slow.json"), "--baseline", COMMITTED);
	assert_int_equal(result.exit_code, 7);
	assert_non_null(strstr(result.err, "slower than the baseline"));
	assert_non_null(strstr(result.out, "steps compared"));
	result_free(&result);
	expect(RUN("compare", in_folder("slow.json"), "--baseline", COMMITTED, "--tolerance", "300"), 0, " 0 slower");
	expect(RUN("compare", in_folder("fast.json"), "--baseline", COMMITTED), 0, " 0 slower");
	expect(RUN("compare", in_folder("base.json"), "--baseline", COMMITTED), 0, " 0 slower, 0 faster");
}

static void what_may_not_be_compared_is_marked(void **state)
{
	(void)state;
	expect(RUN("compare", COMMITTED, in_folder("other-kernels.json")), 0, "NOT JUDGED: its kernels are others");
	expect(RUN("compare", in_folder("other-kernels.json"), "--baseline", COMMITTED), 0, " 0 slower, 0 faster");
	expect(RUN("compare", COMMITTED, in_folder("failed.json")), 0, "NOT JUDGED: its self-test failed in 1");
	expect(RUN("compare", in_folder("failed.json"), COMMITTED), 0, "NOT JUDGED: its self-test failed in 1");
	expect(RUN("compare", in_folder("failed.json")), 7, "self-test failed");
	expect(RUN("compare", COMMITTED, "--baseline", in_folder("failed.json")), 7, "self-test failed");
	/* The pictures say it where their lines are named. */
	expect(RUN("compare", COMMITTED, in_folder("failed.json"), "--html", in_folder("marked.html")), 0, "failed (not judged)");
	char *page = read_page(in_folder("marked.html"));
	assert_non_null(strstr(page, ">failed (not judged)</text>"));
	assert_non_null(strstr(page, "failed (not judged), GQE"));
	free(page);
	struct result result = RUN("compare", COMMITTED, in_folder("failed.json"), in_folder("other-kernels.json"), "--json");
	cJSON *document = parse_json(&result);
	assert_true(number_at(document, "compared") == 0);
	cJSON_Delete(document);
	result_free(&result);

	cJSON *record = committed(), *entry;
	cJSON_ArrayForEach(entry, member(record, "entries"))
		cJSON_SetNumberValue(member(member(entry, "shape"), "head_dim"), 48);
	cJSON_ReplaceItemInObjectCaseSensitive(record, "models", cJSON_CreateArray());
	write_record("other-shapes.json", record);
	expect(RUN("compare", COMMITTED, in_folder("other-shapes.json")), 4, "nothing in common");
	expect(RUN("compare", COMMITTED, in_folder("base.json"), in_folder("other-shapes.json")), 0,
	       "NOT JUDGED: it has nothing in common with schema-1");
}

static void a_gate_does_not_pass_what_it_cannot_judge(void **state)
{
	(void)state;
	struct result result = RUN("compare", in_folder("failed.json"), "--baseline", COMMITTED);
	assert_int_equal(result.exit_code, 7);
	assert_non_null(strstr(result.err, "failed is not judged: its self-test failed"));
	result_free(&result);
	result = RUN("compare", in_folder("base.json"), in_folder("other-shapes.json"), "--baseline", COMMITTED);
	assert_int_equal(result.exit_code, 4);
	assert_non_null(strstr(result.err, "other-shapes is not judged: it has nothing in common"));
	result_free(&result);
	write_record("one-round.json", with_rounds(committed(), 1000));
	result = RUN("compare", in_folder("one-round.json"), "--baseline", COMMITTED);
	assert_int_equal(result.exit_code, 4);
	assert_non_null(strstr(result.err, "no step could be judged"));
	result_free(&result);
	/* A tolerance beyond the difference passes, one within it does not. */
	write_record("slower.json", slower_record(1.5));
	expect(RUN("compare", in_folder("slower.json"), "--baseline", COMMITTED, "--tolerance", "60"), 0, " 0 slower");
	result = RUN("compare", in_folder("slower.json"), "--baseline", COMMITTED, "--tolerance", "10");
	assert_int_equal(result.exit_code, 7);
	assert_non_null(strstr(result.err, "by more than 10%"));
	result_free(&result);
}

/* The entries of two records in one, so that one of them has two shapes of one hidden size. */
static void what_looks_alike_is_spelled_out(void **state)
{
	(void)state;
	cJSON *both = committed(), *others = committed(), *entry;
	cJSON_ArrayForEach(entry, member(others, "entries")) {
		cJSON_SetNumberValue(member(member(entry, "shape"), "head_dim"), 48);
		cJSON_AddItemToArray(member(both, "entries"), cJSON_Duplicate(entry, true));
	}
	cJSON_Delete(others);
	write_record("both.json", both);
	expect(RUN("compare", COMMITTED), 0, "tokens, d 256 ");
	expect(RUN("compare", COMMITTED, in_folder("both.json")), 0, "d 256, 8/4 heads of 48  ");
	expect(RUN("compare", COMMITTED, in_folder("both.json"), "--format", "csv"), 0, ",48,1,uniform,");
	expect(RUN("compare", COMMITTED, in_folder("both.json"), "--html", in_folder("both.html")), 0, "");
	char *page = read_page(in_folder("both.html"));
	assert_non_null(strstr(page, " x 48)"));
	assert_non_null(strstr(page, " KV heads of 48, top-1"));
	free(page);
}

/* As `gqe report --path` writes it. */
static void a_record_of_another_path_is_compared_by_it(void **state)
{
	(void)state;
	cJSON *record = committed(), *entry;
	cJSON_ArrayForEach(entry, member(record, "entries")) {
		cJSON_ReplaceItemInObjectCaseSensitive(entry, "preferred", cJSON_CreateFalse());
	}
	write_record("forced.json", record);
	expect(RUN("compare", COMMITTED, in_folder("forced.json")), 0, "no difference");
	expect(RUN("compare", in_folder("forced.json"), "--html", in_folder("forced.html")), 0, "");
	char *page = read_page(in_folder("forced.html"));
	assert_non_null(strstr(page, "Speedup of GQE over dense GQA"));
	free(page);
}

static void records_of_one_name_have_labels_of_their_own(void **state)
{
	(void)state;
	struct result result = RUN("compare", COMMITTED, COMMITTED, COMMITTED, "--json");
	cJSON *document = parse_json(&result), *records = member(document, "records");
	static const char *const labels[] = {"schema-1", "schema-1#2", "schema-1#3"};
	for (int i = 0; i < 3; i++)
		assert_string_equal(cJSON_GetStringValue(member(cJSON_GetArrayItem(records, i), "label")), labels[i]);
	assert_true(number_at(document, "slower") == 0 && number_at(document, "faster") == 0);
	cJSON_Delete(document);
	result_free(&result);
}

static void clocks_that_differ_are_said(void **state)
{
	(void)state;
	static const char *const names[] = {"clock.json", "no-clock.json"};
	for (int i = 0; i < 2; i++) {
		cJSON *record = committed();
		cJSON_ReplaceItemInObjectCaseSensitive(member(record, "device"), "type", cJSON_CreateString("discrete GPU"));
		cJSON_ReplaceItemInObjectCaseSensitive(member(record, "device"), "has_timestamps", cJSON_CreateBool(i == 0));
		write_record(names[i], record);
	}
	struct result result = RUN("compare", in_folder("clock.json"), in_folder("no-clock.json"));
	assert_int_equal(result.exit_code, 0);
	const char *second = strstr(result.out, "\nno-clock: ");
	assert_non_null(second);
	const char *said = strstr(result.out, "no clock of its own: wall clock");
	assert_true(said > second);
	assert_non_null(strstr(result.out, "by the device's clock"));
	result_free(&result);
}

/* By a clock that is too coarse. */
static void times_of_zero_are_not_judged(void **state)
{
	(void)state;
	write_record("zero.json", slower_record(0));
	static const char *const formats[] = {"table", "md", "csv", "json"};
	for (size_t i = 0; i < 4; i++) {
		expect(RUN("compare", in_folder("zero.json"), in_folder("zero.json"), "--format", formats[i]), 0, "not judged");
		expect(RUN("compare", COMMITTED, in_folder("zero.json"), "--format", formats[i]), 0, "not judged");
	}
	expect(RUN("compare", COMMITTED, in_folder("zero.json"), "--plot", in_folder("z.png"), "--html", in_folder("z.html")), 0,
	       "");
	char *page = read_page(in_folder("z.html"));
	assert_null(strstr(page, "nan"));
	assert_null(strstr(page, "inf "));
	free(page);
}

static void rounds_count_not_samples(void **state)
{
	(void)state;
	write_record("a.json", with_rounds(committed(), 2));
	write_record("b.json", with_rounds(slower_record(3), 2));
	char command[2048];
	snprintf(command, sizeof(command),
		 "python3 '" GQE_TESTS "/validate_schema.py' '" GQE_SOURCE "/docs/report.schema.json' '%s' >&2",
		 in_folder("a.json"));
	assert_int_equal(system(command), 0);
	expect_counts(in_folder("a.json"), in_folder("b.json"), true, false);
	expect(RUN("compare", COMMITTED, in_folder("a.json"), "--baseline", COMMITTED), 0, " 0 slower, 0 faster");
	/* Many samples of one moment are one round. */
	write_record("b.json", with_rounds(slower_record(3), 1000));
	expect(RUN("compare", in_folder("a.json"), in_folder("b.json")), 0, "too few rounds");
	struct result result = RUN("compare", in_folder("a.json"), in_folder("b.json"), "--json");
	cJSON *document = parse_json(&result);
	assert_true(number_at(document, "compared") == 0);
	cJSON_Delete(document);
	result_free(&result);
}

static void rounds_are_checked(void **state)
{
	(void)state;
	cJSON *record = with_rounds(committed(), 2);
	cJSON_SetNumberValue(member(cJSON_GetArrayItem(member(record, "peaks"), 0), "amount"), 1);
	cJSON_DeleteItemFromObject(member(cJSON_GetArrayItem(member(record, "peaks"), 1), "samples"), "rounds");
	write_record("rounds.json", record);
	expect(RUN("compare", in_folder("rounds.json")), 4, "'peaks[1].rounds' is missing");
	static const double values[] = {-1, 0.5, 1e6, 1e300};
	for (size_t i = 0; i <= 4; i++) {
		record = with_rounds(committed(), 2);
		cJSON *rounds = member(member(cJSON_GetArrayItem(member(record, "entries"), 2), "samples"), "rounds");
		if (i < 4)
			cJSON_SetNumberValue(rounds->child->next, values[i]);
		else
			cJSON_AddItemToArray(rounds, cJSON_CreateNumber(9000));
		write_record("rounds.json", record);
		expect(RUN("compare", in_folder("rounds.json")), 4, "'entries[2].rounds'");
	}
}

static void newer_schemas_are_refused(void **state)
{
	(void)state;
	cJSON *record = committed();
	cJSON_SetNumberValue(member(record, "schema_version"), 3);
	write_record("newer.json", record);
	expect(RUN("compare", in_folder("newer.json")), 4, "schema version 3 is newer");
}

/* Writes `text` with `inserted` after the first `after` in it. */
static void write_with(const char *name, const char *text, const char *after, const char *inserted)
{
	const char *at = strstr(text, after);
	assert_non_null(at);
	const size_t before = (size_t)(at - text) + strlen(after), length = strlen(text) + strlen(inserted);
	char *made = must_allocate(length + 1);
	snprintf(made, length + 1, "%.*s%s%s", (int)before, text, inserted, text + before);
	write_bytes(name, made, length);
	free(made);
}

static void names_cannot_act(void **state)
{
	(void)state;
	write_record("markup.json", record_with_text("device", "name",
						     "<script>alert('1')</script> | `x` \x1b[31m\xc2\x9b"
						     "31m red"));
	struct result result = RUN("compare", in_folder("markup.json"), "--format", "md", "--html", in_folder("m.html"));
	assert_int_equal(result.exit_code, 0);
	assert_null(strchr(result.out, 0x1b));
	assert_null(strstr(result.out, "\xc2\x9b"));
	assert_null(strstr(result.out, "<script>"));
	result_free(&result);
	char *page = read_page(in_folder("m.html"));
	assert_non_null(strstr(page, "&lt;script&gt;"));
	free(page);

	/* U+202E would turn the rest of the line around. */
	write_record("turned.json", record_with_text("device", "driver_info", "\xe2\x80\xae 6.22 asem\xe2\x81\xa6\xd8\x9c\nline"));
	result = RUN("compare", in_folder("turned.json"), "--html", in_folder("m.html"));
	assert_int_equal(result.exit_code, 0);
	assert_non_null(strstr(result.out, "? 6.22 asem???line"));
	result_free(&result);
	page = read_page(in_folder("m.html"));
	assert_null(strstr(page, "\xe2\x80\xae"));
	free(page);

	/* Spreadsheets run what begins like a formula. */
	write_record("formula.json", record_with_text("device", "name", "=HYPERLINK(\"http://x\",\"y\")"));
	expect(RUN("compare", in_folder("formula.json"), "--format", "csv"), 0, "\"'=HYPERLINK(\"\"http");

	/* Messages have the names of files in them, and of members. */
	write_bytes("esc\x1b]0;title\x07.json", "{", 1);
	result = RUN("compare", in_folder("esc\x1b]0;title\x07.json"));
	assert_int_equal(result.exit_code, 4);
	assert_null(strchr(result.err, 0x1b));
	assert_null(strchr(result.err, 0x07));
	result_free(&result);
	char *text = read_file(COMMITTED);
	write_with("twice.json", text, "{", "\"\\u001b[2J\":1,\"\\u001b[2J\":1,");
	result = RUN("compare", in_folder("twice.json"));
	assert_int_equal(result.exit_code, 4);
	assert_null(strchr(result.err, 0x1b));
	result_free(&result);
	free(text);
}

/* ---------------------------------------------------------------------------------------------------------------- corpus -- */

/* A file that is no record must give one error; what is still a record may pass. Neither may crash. */
static void expect_refused(const char *name, bool may_pass)
{
	struct result result = RUN("compare", in_folder(name));
	if (!(result.exit_code == 4 && strlen(result.err) > 20 && result.out[0] == 0) && !(may_pass && result.exit_code == 0))
		fail_msg("exit code %d: %s%s", result.exit_code, result.err, result.out);
	result_free(&result);
}

static void broken_bytes(void **state)
{
	(void)state;
	static const char *const texts[] = {"",
					    " ",
					    "{",
					    "[]",
					    "null",
					    "{}",
					    "{\"kind\": \"gqe report\"}",
					    "{\"kind\": 1}",
					    "\xff\xfe{}",
					    "{\"kind\": \"gqe report\", \"schema_version\": 1e999}"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		write_bytes("broken.json", texts[i], strlen(texts[i]));
		expect_refused("broken.json", false);
	}
	char *deep = must_allocate(200000);
	memset(deep, '[', 200000);
	write_bytes("broken.json", deep, 200000);
	expect_refused("broken.json", false);
	free(deep);

	char *text = read_file(COMMITTED);
	const size_t length = strlen(text);
	for (size_t i = 0; i < 40; i++) {
		write_bytes("broken.json", text, length * i / 40);
		expect_refused("broken.json", false);
	}
	struct random random = {6};
	for (size_t i = 0; i < 60; i++) {
		char *copy = must_allocate(length);
		memcpy(copy, text, length);
		for (uint32_t flips = random_between(&random, 1, 3); flips > 0; flips--)
			copy[random_between(&random, 0, (uint32_t)length - 1)] ^= (char)(1 << random_between(&random, 0, 7));
		write_bytes("broken.json", copy, length);
		expect_refused("broken.json", true);
		free(copy);
	}
	free(text);
}

static void keys_that_are_there_twice(void **state)
{
	(void)state;
	char *text = read_file(COMMITTED);
	write_with("twice.json", text, "{", "\"kind\":\"gqe report\",");
	expect(RUN("compare", in_folder("twice.json")), 4, "twice.json: 'kind' is there twice");
	write_with("twice.json", text, "\"selftest\":{", "\"done\":false,");
	expect(RUN("compare", in_folder("twice.json")), 4, "'selftest.done' is there twice");
	write_with("twice.json", text, "\"entries\":[{", "\"tokens\":1,");
	expect(RUN("compare", in_folder("twice.json")), 4, "'entries[0].tokens' is there twice");
	write_with("twice.json", text, "\"entries\":[{", "\"note\":[0,{\"a\":1,\"b\":2,\"a\":1}],");
	expect(RUN("compare", in_folder("twice.json")), 4, "'entries[0].note[1].a' is there twice");
	write_with("twice.json", text, "{", "\"\\u006bind\":\"gqe report\",");
	expect(RUN("compare", in_folder("twice.json")), 4, "'kind' is there twice");
	char *members = must_allocate(1 << 20);
	size_t length = 0;
	for (int i = 0; i < 20000; i++)
		length += (size_t)snprintf(members + length, 32, "\"m%d\":0,", i);
	write_with("twice.json", text, "{", members);
	expect(RUN("compare", in_folder("twice.json")), 4, "'m64' is one too many");
	free(members);
	/* Unknown members alone are a newer writer's affair. */
	write_with("twice.json", text, "{", "\"note\":{\"kind\":1},");
	expect(RUN("compare", in_folder("twice.json")), 0, "");

	length = strlen(text);
	char *hidden = must_allocate(length + 3);
	memcpy(hidden, text, length + 1);
	memcpy(hidden + length + 1, "{}", 2);
	write_bytes("nul.json", hidden, length + 3);
	expect(RUN("compare", in_folder("nul.json")), 4, "not valid JSON");
	free(hidden);
	free(text);
}

static void numbers_that_are_none(void **state)
{
	(void)state;
	static const char *const values[] = {"NaN",  "nan",  "Infinity", "-Infinity", "1e999", "-1e999", "-0.5",
					     "1e13", "0x10", "true",     "null",      "\"5\"", "[1]",    "{}"};
	char *text = read_file(COMMITTED);
	char inserted[32];
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		snprintf(inserted, sizeof(inserted), "%s,", values[i]);
		write_with("number.json", text, "\"wall_ms\":[", inserted);
		expect_refused("number.json", false);
	}
	free(text);
}

static void files_that_are_too_much(void **state)
{
	(void)state;
	enum { LONG = 8 << 20, LARGE = 65 << 20 };
	char *many = must_allocate(LONG + 1);
	memset(many, 'x', LONG);
	many[LONG] = 0;
	write_record("long.json", record_with_text("device", "name", many));
	expect(RUN("compare", in_folder("long.json")), 4, "'device.name' is too long");
	write_record("long.json", record_with_text("gqe", "commit", many));
	expect(RUN("compare", in_folder("long.json")), 4, "'gqe.commit' is too long");
	free(many);

	FILE *file = fopen(in_folder("large.json"), "wb");
	assert_non_null(file);
	assert_int_equal(fseek(file, LARGE, SEEK_SET), 0);
	assert_int_equal(fputc('}', file), '}');
	assert_int_equal(fclose(file), 0);
	expect(RUN("compare", in_folder("large.json")), 4, "too large for a record");

	cJSON *record = committed(), *samples = member(cJSON_GetArrayItem(member(record, "peaks"), 0), "samples");
	for (int i = 0; i < 10001; i++)
		cJSON_AddItemToArray(member(samples, "gpu_ms"), cJSON_CreateNumber(1));
	write_record("samples.json", record);
	expect(RUN("compare", in_folder("samples.json")), 4, "'peaks[0].gpu_ms' has no values, or too many");

	record = committed();
	for (int i = 0; i < 5000; i++)
		cJSON_AddItemToArray(member(record, "skipped"),
				     cJSON_Duplicate(cJSON_GetArrayItem(member(record, "skipped"), 0), true));
	write_record("items.json", record);
	expect(RUN("compare", in_folder("items.json")), 4, "'skipped' has too many items");
	record = committed();
	cJSON_AddItemToArray(member(record, "entries"), cJSON_CreateNumber(1));
	write_record("items.json", record);
	expect(RUN("compare", in_folder("items.json")), 4, "'entries' holds something that is no object");

	unsigned char bytes[4096];
	struct random random = {9};
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)random_between(&random, 0, 255);
	write_bytes("binary.json", (const char *)bytes, sizeof(bytes));
	expect(RUN("compare", in_folder("binary.json")), 4, "binary.json: not valid JSON");
}

static cJSON *hostile_value(int index)
{
	static const double numbers[] = {-1, 0.5, 1e300, -1e300, 4294967296.0};
	if (index < 5)
		return cJSON_CreateNumber(numbers[index]);
	return index == 5 ? cJSON_CreateNull() : index == 6 ? cJSON_CreateArray() : index == 7 ? cJSON_CreateObject() : NULL;
}

/* Goes down to the member number *at of the document, counted over all objects and the first items of all arrays. */
static bool replace_member(cJSON *parent, int *at, int value)
{
	for (cJSON *child = parent->child; child; child = child->next) {
		if ((*at)-- == 0) {
			cJSON *made = hostile_value(value);
			if (made)
				cJSON_ReplaceItemViaPointer(parent, child, made);
			else
				cJSON_Delete(cJSON_DetachItemViaPointer(parent, child));
			return true;
		}
		if (replace_member(child, at, value))
			return true;
		if (cJSON_IsArray(parent))
			break;
	}
	return false;
}

static void hostile_members(void **state)
{
	(void)state;
	int tried = 0;
	for (int i = 0;; i++) {
		cJSON *record = with_rounds(committed(), 3);
		int at = i;
		/* One kind of damage for each member: all kinds meet all types of member somewhere. */
		const bool replaced = replace_member(record, &at, i % 9);
		write_record("hostile.json", record);
		if (!replaced)
			break;
		expect_refused("hostile.json", true);
		tried++;
	}
	assert_true(tried > 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_calls),
		cmocka_unit_test(a_committed_record_has_the_schema),
		cmocka_unit_test(every_format_of_a_committed_record),
		cmocka_unit_test(equal_records_have_no_difference),
		cmocka_unit_test(unequal_records_differ),
		cmocka_unit_test(repeated_runs_of_one_device_have_no_difference),
		cmocka_unit_test(a_regression_is_exit_code_7),
		cmocka_unit_test(what_may_not_be_compared_is_marked),
		cmocka_unit_test(a_gate_does_not_pass_what_it_cannot_judge),
		cmocka_unit_test(what_looks_alike_is_spelled_out),
		cmocka_unit_test(a_record_of_another_path_is_compared_by_it),
		cmocka_unit_test(records_of_one_name_have_labels_of_their_own),
		cmocka_unit_test(clocks_that_differ_are_said),
		cmocka_unit_test(times_of_zero_are_not_judged),
		cmocka_unit_test(rounds_count_not_samples),
		cmocka_unit_test(rounds_are_checked),
		cmocka_unit_test(newer_schemas_are_refused),
		cmocka_unit_test(names_cannot_act),
		cmocka_unit_test(broken_bytes),
		cmocka_unit_test(keys_that_are_there_twice),
		cmocka_unit_test(numbers_that_are_none),
		cmocka_unit_test(files_that_are_too_much),
		cmocka_unit_test(hostile_members),
	};
	return cmocka_run_group_tests(tests, make_records, program_remove_folder);
}
