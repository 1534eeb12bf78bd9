/* `gqe bench` as a user calls it: options, exit codes, and every form of its result, at tiny sizes. */
#include "support/program_runner.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* 4 experts in 2 groups. */
#define TINY "--hidden", "48", "--heads", "4", "--kv-heads", "2", "--head-dim", "16", "--samples", "2", "--warmup", "0"

static void wrong_options_are_exit_code_2(void **state)
{
	(void)state;
	expect(RUN("bench", "--help"), 0, "--last-chunk");
	expect(RUN("help"), 0, "  bench ");
	expect(RUN("bench", "--what", "layers"), 2, "'layers' is none of layer, attention, gemm, peak");
	expect(RUN("bench", "--what", ""), 2, "none of");
	expect(RUN("bench", "--seq", "12,x"), 2, "'x' is not a number of tokens");
	expect(RUN("bench", "--seq", "0"), 2, "--seq");
	expect(RUN("bench", "--seq", "99999999999999999999"), 2, "--seq");
	expect(RUN("bench", "--attention", "mha"), 2, "'mha' is none of gqe, gqa");
	expect(RUN("bench", "--format", "xml"), 2, "table, md, csv, json");
	expect(RUN("bench", "--dtype", "f64"), 2, "f32, f16");
	expect(RUN("bench", "--path", "warp"), 2, "--path");
	expect(RUN("bench", "--heads", "6", "--kv-heads", "4"), 2, "");
	expect(RUN("bench", "--top-k", "3"), 2, "");
	expect(RUN("bench", "--seq", "64,8", "--last-chunk", "16"), 2, "16 tokens are more than the 8 of '--seq'");
	expect(RUN("bench", "--what", "peak", "--plot", in_folder("p.png")), 2, "nothing to draw");
	expect(RUN("bench", "--plot", in_folder("no-such-folder/p.png")), 2, "no-such-folder");
	expect(RUN("bench", "--samples", "0"), 2, "--samples");
	expect(RUN("bench", "--device", "reference"), 2, "Vulkan device");
	expect(RUN("bench", "--device", "no such device"), 3, "");
}

static void write_experts(const char *path, uint32_t tokens, int32_t value)
{
	gqe_error error = {0};
	int32_t *experts = must_allocate((size_t)tokens * 2 * sizeof(*experts));
	for (uint32_t i = 0; i < tokens * 2; i++)
		experts[i] = (int32_t)(i * i / 3 % 2);
	experts[tokens] += value;
	const gqe_tensor tensor = {.name = "experts",
				   .dtype = GQE_DTYPE_I32,
				   .rank = 3,
				   .shape = {tokens, 2, 1},
				   .data = experts,
				   .bytes = (uint64_t)tokens * 2 * sizeof(*experts)};
	assert_ok(gqe_tensor_file_write(path, &tensor, 1, &error), &error);
	free(experts);
}

static void routing_of_a_file(void **state)
{
	(void)state;
	write_experts(in_folder("good"), 40, 0);
	write_experts(in_folder("wrong"), 40, 2);
	expect(RUN("bench", "--routing", in_folder("none"), TINY), 4, "none");
	expect(RUN("bench", "--routing", in_folder("good"), "--seq", "41", TINY), 4, "for 40 tokens, but 41 are computed");
	expect(RUN("bench", "--routing", in_folder("good"), "--seq", "40", "--kv-heads", "4"), 4, "[.., tokens, 4, 1]");
	expect(RUN("bench", "--routing", in_folder("wrong"), "--seq", "40", "--attention", "gqe", TINY), 4, "wrong");
	expect(RUN("bench", "--routing", in_folder("good"), "--seq", "100,40", "--last-chunk", "40", "--format", "md", TINY), 0,
	       "| file |");
}

static const cJSON *object_at(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
	if (!item)
		fail_msg("no '%s'", key);
	return item;
}

static const char *text_at(const cJSON *object, const char *key)
{
	const cJSON *item = object_at(object, key);
	assert_true(cJSON_IsString(item));
	return item->valuestring;
}

static void check_device(const cJSON *device)
{
	static const char *const texts[] = {"name", "driver",      "driver_info", "uuid",      "path",
					    "os",   "shader_hash", "commit",      "gpu_clock", "api_version"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_true(strlen(text_at(device, texts[i])) > 0 || strcmp(texts[i], "driver_info") == 0);
	assert_int_equal(strlen(text_at(device, "uuid")), 32);
	assert_int_equal(strlen(text_at(device, "shader_hash")), 16);
	assert_true(number_at(device, "subgroup_size") >= 1);
	(void)number_at(device, "vendor_id");
	(void)number_at(device, "driver_version");
}

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void check_record(const cJSON *record, const char *what, const char *attention, int tokens, int samples)
{
	static const char *const steps[] = {"router", "expert_lists", "q_proj", "kv_proj", "attention", "combine", "o_proj"};
	double values[16], steps_sum = 0;
	assert_string_equal(text_at(record, "what"), what);
	assert_string_equal(text_at(record, "attention"), attention);
	assert_string_equal(text_at(record, "dtype"), "f32");
	assert_true(strlen(text_at(record, "path")) > 0);
	assert_int_equal(number_at(record, "tokens"), tokens);
	const cJSON *list = object_at(record, "samples_ms");
	assert_int_equal(cJSON_GetArraySize(list), samples);
	for (int i = 0; i < samples; i++)
		values[i] = cJSON_GetArrayItem(list, i)->valuedouble;
	qsort(values, (size_t)samples, sizeof(values[0]), compare_doubles);
	const double median = samples % 2 ? values[samples / 2] : (values[samples / 2 - 1] + values[samples / 2]) / 2;
	assert_true(fabs(number_at(record, "median_ms") - median) <= 1e-9 * median);
	assert_true(fabs(number_at(record, "gflops") * median * 1e-3 / number_at(record, "gflop") - 1) < 1e-9);
	assert_int_equal(cJSON_GetArraySize(object_at(record, "samples_wall_ms")), samples);
	assert_int_equal(cJSON_GetArraySize(object_at(record, "samples_cpu_ms")), samples);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		steps_sum += number_at(object_at(record, "steps"), steps[i]);
	assert_true(steps_sum > 0);
}

/* Over the rounds, of three samples of each. */
static double median_ratio(const cJSON *over, const cJSON *under)
{
	double ratios[3];
	for (int i = 0; i < 3; i++)
		ratios[i] = cJSON_GetArrayItem(object_at(over, "samples_ms"), i)->valuedouble /
			    cJSON_GetArrayItem(object_at(under, "samples_ms"), i)->valuedouble;
	qsort(ratios, 3, sizeof(ratios[0]), compare_doubles);
	return ratios[1];
}

static void json_has_the_schema(void **state)
{
	(void)state;
	struct result result = RUN("bench", "--what", "attention,layer,gemm", "--seq", "33,70", "--format", "json", TINY,
				   "--samples", "3", "--routing", "skewed");
	if (result.exit_code != 0)
		fail_msg("exit code %d: %s", result.exit_code, result.err);
	cJSON *document = parse_json(&result);
	assert_int_equal(number_at(document, "schema"), 1);
	check_device(object_at(document, "device"));
	const cJSON *peak = object_at(document, "peak");
	assert_true(number_at(peak, "f32_gflops") > 0 && number_at(peak, "bandwidth_gbs") > 0);
	assert_true(cJSON_HasObjectItem(peak, "f16_gflops") && cJSON_HasObjectItem(peak, "matrix_gflops"));
	const cJSON *records = object_at(document, "records");
	static const char *const whats[] = {"layer", "attention", "gemm"};
	assert_int_equal(cJSON_GetArraySize(records), 12);
	for (int i = 0; i < 12; i++) {
		const cJSON *record = cJSON_GetArrayItem(records, i);
		check_record(record, whats[i / 4], i % 2 ? "gqa" : "gqe", i / 2 % 2 ? 70 : 33, 3);
		assert_true(fabs(number_at(record, "peak_fraction") * number_at(peak, "f32_gflops") / number_at(record, "gflops") -
				 1) < 1e-9);
	}
	const cJSON *memory = object_at(document, "memory");
	assert_true(fabs(number_at(memory, "planned_bytes") / number_at(memory, "peak_bytes") - 1) < 0.05);
	const cJSON *speedups = object_at(document, "speedup");
	assert_int_equal(cJSON_GetArraySize(speedups), 2);
	for (int i = 0; i < 2; i++) {
		const cJSON *speedup = cJSON_GetArrayItem(speedups, i);
		const cJSON *gqe = cJSON_GetArrayItem(records, 2 * i), *gqa = cJSON_GetArrayItem(records, 2 * i + 1);
		assert_int_equal(number_at(speedup, "tokens"), i ? 70 : 33);
		assert_true(fabs(number_at(speedup, "layer") / median_ratio(gqa, gqe) - 1) < 1e-9);
		assert_true(fabs(number_at(speedup, "bound_layer") - number_at(gqa, "gflop") / number_at(gqe, "gflop")) < 1e-9);
		const cJSON *attention_gqe = cJSON_GetArrayItem(records, 4 + 2 * i);
		const cJSON *attention_gqa = cJSON_GetArrayItem(records, 4 + 2 * i + 1);
		assert_true(fabs(number_at(speedup, "attention") / median_ratio(attention_gqa, attention_gqe) - 1) < 1e-9);
		assert_true(fabs(number_at(speedup, "bound_attention") - 4.0 / 3) < 1e-9);
	}
	cJSON_Delete(document);
	result_free(&result);
}

static void uniform_and_skewed_routing_in_turn(void **state)
{
	(void)state;
	struct result result =
		RUN("bench", "--what", "layer,attention", "--seq", "32,32", "--routing", "uniform,skewed", "--json", TINY);
	if (result.exit_code != 0)
		fail_msg("exit code %d: %s", result.exit_code, result.err);
	cJSON *document = parse_json(&result);
	const cJSON *records = object_at(document, "records");
	assert_int_equal(cJSON_GetArraySize(records), 5); /* a length given twice is measured once */
	static const char *const routings[] = {"uniform", "skewed"};
	for (int i = 0; i < 5; i++) {
		const cJSON *routing = object_at(cJSON_GetArrayItem(records, i), "routing");
		if (i < 2)
			assert_string_equal(routing->valuestring, routings[i]);
		else
			assert_true(cJSON_IsNull(routing));
	}
	cJSON_Delete(document);
	result_free(&result);
}

static size_t count(const char *text, char wanted)
{
	size_t found = 0;
	for (; *text; text++)
		found += *text == wanted;
	return found;
}

static void csv_has_as_many_fields_in_every_line(void **state)
{
	(void)state;
	struct result result = RUN("bench", "--what", "attention", "--seq", "40", "--last-chunk", "8", "--format", "csv", TINY);
	if (result.exit_code != 0)
		fail_msg("exit code %d: %s", result.exit_code, result.err);
	size_t lines = 0, fields = 0;
	for (char *line = strtok(result.out, "\n"); line; line = strtok(NULL, "\n"), lines++) {
		/* Commas inside quotes, as in the name of a device, do not count. */
		bool quoted = false;
		for (char *c = line; *c; c++) {
			quoted = quoted != (*c == '"');
			if (quoted && *c == ',')
				*c = ';';
		}
		if (lines == 0)
			fields = count(line, ',');
		assert_int_equal(count(line, ','), fields);
	}
	assert_in_range(lines, 5, 7); /* the head, two to four peaks, two records */
	result_free(&result);
}

static uint32_t big_endian(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void a_plot_is_a_png_of_1200_by_800(void **state)
{
	(void)state;
	const char *path = in_folder("plot.png");
	unsigned char head[24];
	expect(RUN("bench", "--what", "layer,gemm", "--seq", "32,64", "--plot", path, TINY), 0, "GQE over dense GQA");
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	assert_int_equal(fread(head, 1, sizeof(head), file), sizeof(head));
	fclose(file);
	assert_memory_equal(head, "\211PNG\r\n\032\n", 8);
	assert_memory_equal(head + 12, "IHDR", 4);
	assert_int_equal(big_endian(head + 16), 1200);
	assert_int_equal(big_endian(head + 20), 800);
}

static void an_interrupt_cancels(void **state)
{
	(void)state;
	const char *const arguments[] = {"bench", "--seq", "64", TINY, "--samples", "10000", "-vv", NULL};
	unlink(in_folder("stderr"));
	pid_t child = start(arguments, NULL, NULL);
	/* A pipeline is made after the handler is installed. */
	for (bool at_work = false; !at_work;) {
		nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
		if (access(in_folder("stderr"), R_OK) == 0) {
			char *err = read_file(in_folder("stderr"));
			at_work = strstr(err, "pipeline peak_fma") != NULL;
			free(err);
		}
	}
	kill(child, SIGINT);
	expect(finish(child), 130, "cancelled");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_options_are_exit_code_2),
		cmocka_unit_test(routing_of_a_file),
		cmocka_unit_test(json_has_the_schema),
		cmocka_unit_test(uniform_and_skewed_routing_in_turn),
		cmocka_unit_test(csv_has_as_many_fields_in_every_line),
		cmocka_unit_test(a_plot_is_a_png_of_1200_by_800),
		cmocka_unit_test(an_interrupt_cancels),
	};
	return cmocka_run_group_tests(tests, program_open_folder, program_remove_folder);
}
