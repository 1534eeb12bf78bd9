/* Verdicts on the upper paths: what figures mean, which path is left, what survives in a file and what of it is believed. */
#include "attention/verdicts.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "attention/kernel_table.h"
#include "attention/prepared.h"
#include "vulkan/cache_file.h"

/* A GPU with every path. */
static const struct gqe_capabilities all_paths = {
	.subgroup_broadcast = true,
	.subgroup_size_control = true,
	.full_subgroups = true,
	.subgroup_size = 32,
	.subgroup_size_min = 32,
	.subgroup_size_max = 32,
	.max_workgroup_invocations = 1024,
	.shared_memory_bytes = 49152,
	.storage16 = true,
	.float16 = true,
	.matrix_shape_count = 1,
	.matrix_shapes = {{16, 16, 16}},
	.matrix_rows_known = true,
};

static struct gqe_verdict verdict(enum gqe_kernel kernel, gqe_path path, uint32_t head_dim, gqe_path_verdict of)
{
	return (struct gqe_verdict){
		.kernel = (uint32_t)kernel, .path = (uint32_t)path, .head_dim = head_dim, .verdict = of, .attempts = 1};
}

static struct gqe_verdicts *make(void)
{
	struct gqe_verdicts *verdicts;
	assert_int_equal(gqe_verdicts_create(&verdicts, NULL), GQE_OK);
	return verdicts;
}

static void five_times_as_long_is_slow(void **state)
{
	(void)state;
	assert_int_equal(gqe_verdict_judge(true, 0.9e-3, 1e-3), GQE_PATH_CHECKED);
	assert_int_equal(gqe_verdict_judge(true, 4.9e-3, 1e-3), GQE_PATH_CHECKED);
	assert_int_equal(gqe_verdict_judge(true, 5.1e-3, 1e-3), GQE_PATH_SLOW);
	assert_int_equal(gqe_verdict_judge(true, 40e-6, 1e-6), GQE_PATH_CHECKED); /* too short to tell */
	assert_int_equal(gqe_verdict_judge(true, 0, 0), GQE_PATH_CHECKED);        /* time was up before */
	assert_int_equal(gqe_verdict_judge(true, 1, 0), GQE_PATH_CHECKED);
	assert_int_equal(gqe_verdict_judge(false, 1e-3, 1e-3), GQE_PATH_WRONG);
	assert_int_equal(gqe_verdict_judge(false, 9, 1e-3), GQE_PATH_WRONG);
}

static void what_failed_is_forbidden_and_what_began_twice(void **state)
{
	(void)state;
	const enum gqe_kernel gemm = GQE_KERNEL_GEMM;
	struct gqe_verdicts *verdicts = make();
	assert_false(gqe_verdicts_forbid(NULL, gemm, GQE_PATH_MATRIX, 0));
	assert_false(gqe_verdicts_forbid(verdicts, gemm, GQE_PATH_MATRIX, 0));
	static const gqe_path_verdict bad[] = {GQE_PATH_SLOW, GQE_PATH_WRONG, GQE_PATH_FAILED};
	for (size_t i = 0; i < GQE_COUNT(bad); i++) {
		struct gqe_verdict entry = verdict(gemm, GQE_PATH_MATRIX, 0, bad[i]);
		gqe_verdicts_set(verdicts, &entry);
		assert_int_equal(verdicts->count, 1);
		assert_true(gqe_verdicts_forbid(verdicts, gemm, GQE_PATH_MATRIX, 0));
		assert_false(gqe_verdicts_forbid(verdicts, GQE_KERNEL_GEMM_GATHERED, GQE_PATH_MATRIX, 0));
	}
	struct gqe_verdict entry = verdict(gemm, GQE_PATH_MATRIX, 0, GQE_PATH_CHECKED);
	gqe_verdicts_set(verdicts, &entry);
	assert_false(gqe_verdicts_forbid(verdicts, gemm, GQE_PATH_MATRIX, 0));
	entry.verdict = GQE_PATH_UNCHECKED;
	gqe_verdicts_set(verdicts, &entry);
	assert_false(gqe_verdicts_forbid(verdicts, gemm, GQE_PATH_MATRIX, 0));
	entry.attempts = GQE_MOST_ATTEMPTS;
	gqe_verdicts_set(verdicts, &entry);
	assert_true(gqe_verdicts_forbid(verdicts, gemm, GQE_PATH_MATRIX, 0));
	gqe_verdicts_destroy(&verdicts);
	assert_null(verdicts);
}

static gqe_path path_left(struct gqe_verdicts *verdicts, uint32_t head_dim)
{
	return gqe_prepare(&all_paths, NULL, verdicts, GQE_KERNEL_ATTENTION, GQE_PATH_MATRIX2, GQE_DTYPE_F16, 1000, head_dim)
		.choice.path;
}

static void the_next_path_below_is_taken(void **state)
{
	(void)state;
	static const gqe_path downwards[] = {GQE_PATH_MATRIX2, GQE_PATH_MATRIX, GQE_PATH_PACKED};
	struct gqe_verdicts *verdicts = make();
	for (size_t i = 0; i < GQE_COUNT(downwards); i++) {
		assert_int_equal(path_left(verdicts, 64), downwards[i]);
		struct gqe_verdict entry = verdict(GQE_KERNEL_ATTENTION, downwards[i], 64, GQE_PATH_WRONG);
		gqe_verdicts_set(verdicts, &entry);
	}
	assert_int_equal(path_left(verdicts, 64), GQE_PATH_SUBGROUP);
	assert_int_equal(path_left(verdicts, 32), GQE_PATH_MATRIX2); /* another head size is another pipeline */
	assert_int_equal(path_left(NULL, 64), GQE_PATH_MATRIX2);
	gqe_verdicts_destroy(&verdicts);
}

static void there_is_room_for_every_head_size(void **state)
{
	(void)state;
	struct gqe_verdicts *verdicts = make();
	struct gqe_verdict entry = verdict(GQE_KERNEL_GEMM, GQE_PATH_MATRIX, 0, GQE_PATH_WRONG);
	for (uint32_t head_dim = 2; head_dim <= GQE_MAX_HEAD_DIM; head_dim += 2)
		for (gqe_path path = GQE_PATH_PACKED; path <= GQE_PATH_MATRIX2; path++) {
			struct gqe_verdict of = verdict(GQE_KERNEL_ATTENTION, path, head_dim, GQE_PATH_SLOW);
			gqe_verdicts_set(verdicts, &of);
		}
	gqe_verdicts_set(verdicts, &entry);
	entry.kernel = GQE_KERNEL_GEMM_GATHERED;
	gqe_verdicts_set(verdicts, &entry);
	assert_true(gqe_verdicts_forbid(verdicts, GQE_KERNEL_GEMM_GATHERED, GQE_PATH_MATRIX, 0));
	assert_true(gqe_verdicts_forbid(verdicts, GQE_KERNEL_ATTENTION, GQE_PATH_MATRIX2, GQE_MAX_HEAD_DIM));
	gqe_verdicts_destroy(&verdicts);
}

static void the_report_names_the_worst(void **state)
{
	(void)state;
	gqe_path_check checks[GQE_MAX_PATH_CHECKS];
	assert_int_equal(gqe_verdicts_report(NULL, &all_paths, checks), 6);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(checks[i].verdict, GQE_PATH_UNCHECKED);
		assert_string_equal(checks[i].text, "not checked yet");
	}
	struct gqe_verdicts *verdicts = make();
	struct gqe_verdict good = verdict(GQE_KERNEL_ATTENTION, GQE_PATH_MATRIX2, 64, GQE_PATH_CHECKED), slow = good, bad = good;
	good.error = 1e-4;
	good.tolerance = 1e-3;
	slow.head_dim = 80;
	slow.verdict = GQE_PATH_SLOW;
	slow.slowdown = 7.25;
	bad.head_dim = 96;
	bad.verdict = GQE_PATH_WRONG;
	bad.error = NAN;
	bad.tolerance = 1e-3;
	gqe_verdicts_set(verdicts, &bad);
	gqe_verdicts_set(verdicts, &good);
	gqe_verdicts_set(verdicts, &slow);
	uint32_t count = gqe_verdicts_report(verdicts, &all_paths, checks), found = 0;
	for (uint32_t i = 0; i < count; i++)
		if (checks[i].path == GQE_PATH_MATRIX2) {
			found++;
			assert_string_equal(checks[i].kernel, "attention");
			assert_int_equal(checks[i].verdict, GQE_PATH_WRONG);
			assert_int_equal(checks[i].head_dim, 96);
			assert_non_null(strstr(checks[i].text, "disabled: wrong by"));
		}
	assert_int_equal(found, 1);
	char text[128];
	gqe_verdict_describe(&slow, text, sizeof(text));
	assert_string_equal(text, "disabled: 7.2 times the subgroup path's time");
	gqe_verdict_describe(&good, text, sizeof(text));
	assert_non_null(strstr(text, "not timed"));
	gqe_verdicts_destroy(&verdicts);
	struct gqe_capabilities plain = all_paths;
	plain.float16 = false;
	assert_int_equal(gqe_verdicts_report(NULL, &plain, checks), 0);
	assert_string_equal(gqe_path_verdict_name(GQE_PATH_WRONG), "wrong");
	assert_string_equal(gqe_path_verdict_name((gqe_path_verdict)0), "?");
}

static uint32_t warnings;

static void count_warning(void *user, gqe_log_level level, const char *message)
{
	(void)user;
	(void)message;
	warnings += level == GQE_LOG_WARNING;
}

static void what_is_saved_is_loaded_and_the_implausible_is_dropped(void **state)
{
	(void)state;
	char folder[] = "/tmp/gqe-test-verdicts-XXXXXX";
	assert_non_null(mkdtemp(folder));
	struct gqe_vulkan vulkan = {
		.capabilities = all_paths,
		.info = {.vendor_id = 1, .device_id = 2},
		.log = {.fn = count_warning, .level = GQE_LOG_WARNING},
	};
	struct gqe_verdicts *saved = make(), *loaded = make();
	struct gqe_verdict good = verdict(GQE_KERNEL_GEMM, GQE_PATH_MATRIX, 0, GQE_PATH_WRONG);
	good.error = INFINITY;
	good.tolerance = 1e-3;
	gqe_verdicts_set(saved, &good);
	gqe_verdicts_save(saved, &vulkan, folder);
	gqe_verdicts_load(loaded, &vulkan, folder);
	assert_int_equal(loaded->count, 1);
	assert_memory_equal(&loaded->list[0], &good, sizeof(good));
	assert_int_equal(warnings, 0);

	/* A whole file of ours, with a content that is not. */
	struct gqe_verdict hostile[8];
	for (size_t i = 0; i < GQE_COUNT(hostile); i++)
		hostile[i] = good;
	hostile[0].kernel = UINT32_MAX;
	hostile[1].kernel = GQE_KERNEL_NORM;
	hostile[2].path = GQE_PATH_SUBGROUP;
	hostile[3].path = UINT32_MAX;
	hostile[4].head_dim = 64;
	hostile[5].verdict = 77;
	hostile[6].slowdown = NAN;
	hostile[7].kernel = GQE_KERNEL_ATTENTION;
	hostile[7].head_dim = GQE_MAX_HEAD_DIM + 2;
	struct gqe_cache_file file;
	gqe_cache_file_init(&file, &vulkan, folder, "paths", gqe_kernel_table_hash() ^ sizeof(struct gqe_verdict));
	assert_true(gqe_cache_file_write(&file, &vulkan, (const uint8_t *)hostile, sizeof(hostile)));
	loaded->count = 0;
	gqe_verdicts_load(loaded, &vulkan, folder);
	assert_int_equal(loaded->count, 0);
	assert_int_equal(warnings, 1);
	assert_true(gqe_cache_file_write(&file, &vulkan, (const uint8_t *)&good, sizeof(good) - 1));
	gqe_verdicts_load(loaded, &vulkan, folder);
	assert_int_equal(loaded->count, 0);
	assert_int_equal(warnings, 2);

	/* What there was no time for leaves only what the file knew of checks that began. */
	good.verdict = GQE_PATH_CHECKED;
	good.is_transient = true;
	gqe_verdicts_set(saved, &good);
	gqe_verdicts_save(saved, &vulkan, folder);
	gqe_verdicts_load(loaded, &vulkan, folder);
	assert_int_equal(loaded->count, 1);
	assert_int_equal(loaded->list[0].verdict, GQE_PATH_UNCHECKED);
	assert_int_equal(loaded->list[0].attempts, 1);
	assert_true(loaded->list[0].error == 0 && !loaded->list[0].is_transient);
	good.attempts = 0;
	gqe_verdicts_set(saved, &good);
	gqe_verdicts_save(saved, &vulkan, folder);
	gqe_verdicts_load(loaded, &vulkan, folder);
	assert_int_equal(loaded->list[0].attempts, 0);
	assert_int_equal(warnings, 2);

	good.is_transient = false;
	good.attempts = 1;
	gqe_verdicts_set(saved, &good);
	gqe_verdicts_save(saved, &vulkan, folder);
	loaded->count = 0;
	vulkan.info.driver_version++;
	gqe_verdicts_load(loaded, &vulkan, folder);
	assert_int_equal(loaded->count, 0);
	assert_int_equal(remove(file.path), 0);
	gqe_cache_file_release(&file);
	assert_int_equal(rmdir(folder), 0);
	gqe_verdicts_destroy(&saved);
	gqe_verdicts_destroy(&loaded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(five_times_as_long_is_slow),
		cmocka_unit_test(what_failed_is_forbidden_and_what_began_twice),
		cmocka_unit_test(the_next_path_below_is_taken),
		cmocka_unit_test(there_is_room_for_every_head_size),
		cmocka_unit_test(the_report_names_the_worst),
		cmocka_unit_test(what_is_saved_is_loaded_and_the_implausible_is_dropped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
