/* Tiles measured on a device: which of them is taken, what a device may not run, and what survives in a file. */
#include "attention/tuning.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "attention/prepared.h"
#include "vulkan/cache_file.h"

static const struct gqe_capabilities eight_lanes = {
	.subgroup_broadcast = true,
	.subgroup_size_control = true,
	.full_subgroups = true,
	.subgroup_size = 8,
	.subgroup_size_min = 8,
	.subgroup_size_max = 16,
	.max_workgroup_invocations = 256,
	.storage16 = true,
};

static struct gqe_tuned_tile gemm_entry(uint32_t above, uint32_t up_to, uint32_t rows)
{
	return (struct gqe_tuned_tile){
		.kernel = GQE_KERNEL_GEMM,
		.path = GQE_PATH_SUBGROUP,
		.weights = GQE_DTYPE_F32,
		.above = above,
		.up_to = up_to,
		.tile = {.workgroup = 8, .subgroup = 8, .rows = rows, .columns = 2},
	};
}

static uint32_t rows_for(const struct gqe_tuning *tuning, uint32_t work_rows)
{
	const struct gqe_tile *tile = gqe_tuning_find(tuning, GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, GQE_DTYPE_F32, work_rows, 0);
	return tile != NULL ? tile->rows : 0;
}

static void the_entry_for_that_much_work_is_taken(void **state)
{
	(void)state;
	struct gqe_tuning *tuning = calloc(1, sizeof(*tuning));
	assert_non_null(tuning);
	assert_int_equal(rows_for(NULL, 1), 0);
	assert_int_equal(rows_for(tuning, 1), 0);
	struct gqe_tuned_tile few = gemm_entry(1, 64, 4), one = gemm_entry(0, 1, 1), many = gemm_entry(64, 0, 16);
	assert_true(gqe_tuning_set(tuning, &few));
	assert_int_equal(rows_for(tuning, 65), 0);
	assert_true(gqe_tuning_set(tuning, &many));
	assert_true(gqe_tuning_set(tuning, &one));
	assert_int_equal(rows_for(tuning, 1), 1);
	assert_int_equal(rows_for(tuning, 2), 4);
	assert_int_equal(rows_for(tuning, 64), 4);
	assert_int_equal(rows_for(tuning, 65), 16);
	assert_int_equal(rows_for(tuning, UINT32_MAX), 16);
	many.tile.rows = 32;
	assert_true(gqe_tuning_set(tuning, &many)); /* replaces */
	assert_int_equal(tuning->count, 3);
	assert_int_equal(rows_for(tuning, 65), 32);
	gqe_tuning_remove(tuning, &few);
	gqe_tuning_remove(tuning, &few); /* is not there any more */
	assert_int_equal(tuning->count, 2);
	assert_int_equal(rows_for(tuning, 1), 1);
	assert_int_equal(rows_for(tuning, 2), 0); /* the tile table's */
	assert_int_equal(rows_for(tuning, 65), 32);
	/* Another kernel, path, dtype or head size knows nothing of it. */
	assert_null(gqe_tuning_find(tuning, GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, GQE_DTYPE_F32, 1, 0));
	assert_null(gqe_tuning_find(tuning, GQE_KERNEL_GEMM, GQE_PATH_SCALAR, GQE_DTYPE_F32, 1, 0));
	assert_null(gqe_tuning_find(tuning, GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, GQE_DTYPE_F16, 1, 0));
	assert_null(gqe_tuning_find(tuning, GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, GQE_DTYPE_F32, 1, 64));
	free(tuning);
}

static void a_full_table_takes_no_more(void **state)
{
	(void)state;
	struct gqe_tuning *tuning = calloc(1, sizeof(*tuning));
	assert_non_null(tuning);
	for (uint32_t i = 1; i <= GQE_MAX_TUNED_TILES; i++) {
		struct gqe_tuned_tile entry = gemm_entry(0, i, 4);
		assert_true(gqe_tuning_set(tuning, &entry));
	}
	struct gqe_tuned_tile known = gemm_entry(0, 7, 8), fresh = gemm_entry(0, 0, 8);
	assert_true(gqe_tuning_set(tuning, &known));
	assert_false(gqe_tuning_set(tuning, &fresh));
	free(tuning);
}

static void a_measured_tile_comes_before_the_table(void **state)
{
	(void)state;
	struct gqe_tuning *tuning = calloc(1, sizeof(*tuning));
	assert_non_null(tuning);
	struct gqe_tuned_tile entry = gemm_entry(64, 0, 32);
	assert_true(gqe_tuning_set(tuning, &entry));
	struct gqe_prepared tuned =
		gqe_prepare(&eight_lanes, tuning, NULL, GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, GQE_DTYPE_F32, 1000, 0);
	struct gqe_prepared table =
		gqe_prepare(&eight_lanes, NULL, NULL, GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, GQE_DTYPE_F32, 1000, 0);
	assert_int_equal(tuned.tile.rows, 32);
	assert_int_equal(tuned.specialization.values[GQE_CONFIG_rows], 32);
	assert_int_not_equal(table.tile.rows, 32);
	free(tuning);
}

static gqe_query_mode mode_for(const struct gqe_tuning *tuning, uint32_t experts_per_group, uint32_t tokens)
{
	return gqe_tuning_find_queries(tuning, GQE_PATH_SUBGROUP, GQE_DTYPE_F32, experts_per_group, 1, tokens);
}

static struct gqe_tuned_queries queries_entry(uint32_t above, uint32_t up_to, gqe_query_mode mode)
{
	return (struct gqe_tuned_queries){
		.path = GQE_PATH_SUBGROUP,
		.weights = GQE_DTYPE_F32,
		.experts_per_group = 2,
		.top_k = 1,
		.above = above,
		.up_to = up_to,
		.mode = mode,
	};
}

static void a_measured_mode_of_queries_is_for_its_work_and_shape(void **state)
{
	(void)state;
	struct gqe_tuning *tuning = calloc(1, sizeof(*tuning));
	assert_non_null(tuning);
	assert_int_equal(mode_for(NULL, 2, 1), 0);
	struct gqe_tuned_queries few = queries_entry(0, 8, GQE_QUERIES_DENSE), many = queries_entry(8, 0, GQE_QUERIES_GATHERED);
	assert_true(gqe_tuning_set_queries(tuning, &few));
	assert_true(gqe_tuning_set_queries(tuning, &many));
	assert_int_equal(mode_for(tuning, 2, 8), GQE_QUERIES_DENSE);
	assert_int_equal(mode_for(tuning, 2, 9), GQE_QUERIES_GATHERED);
	assert_int_equal(mode_for(tuning, 4, 8), 0);
	few.mode = GQE_QUERIES_GATHERED;
	assert_true(gqe_tuning_set_queries(tuning, &few));
	assert_int_equal(mode_for(tuning, 2, 8), GQE_QUERIES_GATHERED);
	few.mode = 0;
	assert_true(gqe_tuning_set_queries(tuning, &few));
	assert_int_equal(tuning->query_count, 1);
	assert_int_equal(mode_for(tuning, 2, 8), 0);
	for (uint32_t i = 1; i < GQE_MAX_TUNED_QUERIES; i++) {
		struct gqe_tuned_queries entry = queries_entry(0, i, GQE_QUERIES_DENSE);
		assert_true(gqe_tuning_set_queries(tuning, &entry));
	}
	few = queries_entry(0, 1000, GQE_QUERIES_DENSE);
	assert_false(gqe_tuning_set_queries(tuning, &few));
	free(tuning);
}

static void few_tokens_and_selecting_all_experts_make_queries_dense(void **state)
{
	(void)state;
	struct gqe_capabilities cpu = eight_lanes;
	cpu.is_cpu = true;
	const gqe_path path = GQE_PATH_SUBGROUP;
	assert_int_equal(gqe_tile_query_mode(&cpu, path, 1, 0.5), GQE_QUERIES_DENSE);
	assert_int_equal(gqe_tile_query_mode(&cpu, path, 4096, 2048), GQE_QUERIES_GATHERED);
	assert_int_equal(gqe_tile_query_mode(&cpu, path, 4096, 4096), GQE_QUERIES_DENSE);
	assert_int_equal(gqe_tile_query_mode(&eight_lanes, path, 4096, 2048), GQE_QUERIES_GATHERED);
}

static void what_the_table_has_no_tile_for_falls_to_the_path_below(void **state)
{
	(void)state;
	struct gqe_capabilities packed = eight_lanes; /* where packed attention spills */
	packed.float16 = true;
	struct gqe_prepared prepared =
		gqe_prepare(&packed, NULL, NULL, GQE_KERNEL_ATTENTION, GQE_PATH_PACKED, GQE_DTYPE_F16, 1000, 64);
	assert_int_equal(prepared.choice.path, GQE_PATH_SUBGROUP);
	assert_true(prepared.tile.rows > 0 && prepared.tile.columns > 0);
}

static bool is_legal(enum gqe_kernel kernel, gqe_path path, struct gqe_tile tile)
{
	return gqe_tile_is_legal(&eight_lanes, kernel, path, 0, &tile);
}

static void what_a_device_cannot_run_is_illegal(void **state)
{
	(void)state;
	const enum gqe_kernel gemm = GQE_KERNEL_GEMM, gathered = GQE_KERNEL_GEMM_GATHERED;
	const gqe_path subgroup = GQE_PATH_SUBGROUP, scalar = GQE_PATH_SCALAR;
	assert_true(is_legal(gemm, subgroup, (struct gqe_tile){.workgroup = 8, .subgroup = 8, .rows = 8, .columns = 2}));
	assert_true(is_legal(gemm, subgroup, (struct gqe_tile){.workgroup = 16, .subgroup = 16, .rows = 1, .columns = 1}));
	assert_false(is_legal(gemm, subgroup, (struct gqe_tile){.workgroup = 32, .subgroup = 32, .rows = 8, .columns = 2}));
	assert_false(is_legal(gemm, subgroup, (struct gqe_tile){.workgroup = 12, .subgroup = 12, .rows = 8, .columns = 2}));
	assert_false(is_legal(gemm, subgroup, (struct gqe_tile){.workgroup = 16, .subgroup = 8, .rows = 8, .columns = 2}));
	assert_false(is_legal(gemm, subgroup, (struct gqe_tile){.workgroup = 8, .subgroup = 8, .rows = 0, .columns = 2}));
	assert_false(is_legal(gemm, subgroup, (struct gqe_tile){.workgroup = 8, .subgroup = 8, .rows = 8, .columns = 4096}));
	assert_true(is_legal(gemm, scalar, (struct gqe_tile){.workgroup = 64, .subgroup = 1, .rows = 32, .columns = 2}));
	assert_false(is_legal(gemm, scalar, (struct gqe_tile){.workgroup = 512, .subgroup = 1, .rows = 32, .columns = 2}));
	assert_false(is_legal(gemm, scalar, (struct gqe_tile){.workgroup = 64, .subgroup = 8, .rows = 32, .columns = 2}));
	/* Its list of tiles would not fit in the memory that a layer plans for it. */
	assert_false(is_legal(gathered, subgroup, (struct gqe_tile){.workgroup = 8, .subgroup = 8, .rows = 1, .columns = 2}));
	assert_true(is_legal(gathered, subgroup, (struct gqe_tile){.workgroup = 8, .subgroup = 8, .rows = 32, .columns = 2}));
}

static void transposed_scores_take_the_rows_that_shared_memory_has_room_for(void **state)
{
	(void)state;
	struct gqe_capabilities dg2 = eight_lanes;
	dg2.max_workgroup_invocations = 1024;
	dg2.matrix_shape_count = 1;
	dg2.matrix_shapes[0] = (gqe_matrix_shape){.m = 8, .n = 8, .k = 16};
	const enum gqe_kernel attention = GQE_KERNEL_ATTENTION;
	for (uint32_t kilobytes = 16; kilobytes <= 64; kilobytes += 8)
		for (uint32_t head_dim = 16; head_dim <= GQE_MAX_HEAD_DIM; head_dim += 16)
			for (uint32_t work_rows = 1; work_rows <= 8192; work_rows *= 2) {
				dg2.shared_memory_bytes = 1024 * kilobytes;
				struct gqe_tile tile = gqe_tile_choose(&dg2, attention, GQE_PATH_MATRIX, work_rows, head_dim);
				if (tile.rows == 0)
					continue;
				assert_true(gqe_tile_transposed_bytes(&tile, head_dim) <= dg2.shared_memory_bytes);
				assert_int_equal(tile.rows % 8, 0);
				assert_true(gqe_tile_is_legal(&dg2, attention, GQE_PATH_MATRIX, 0, &tile));
			}
	dg2.shared_memory_bytes = 64 * 1024;
	assert_int_equal(gqe_tile_choose(&dg2, attention, GQE_PATH_MATRIX, 8192, 64).rows, 256);
	dg2.shared_memory_bytes = 48 * 1024;
	assert_int_equal(gqe_tile_choose(&dg2, attention, GQE_PATH_MATRIX, 8192, 64).rows, 240);
	assert_int_equal(gqe_tile_choose(&dg2, attention, GQE_PATH_MATRIX, 4096, 64).rows, 128);
	assert_int_equal(gqe_tile_choose(&dg2, attention, GQE_PATH_MATRIX, 8192, 128).rows, 64); /* two parts share rows */
}

static void what_is_saved_is_loaded_and_illegal_entries_are_dropped(void **state)
{
	(void)state;
	char folder[] = "/tmp/gqe-test-tuning-XXXXXX";
	assert_non_null(mkdtemp(folder));
	struct gqe_vulkan vulkan = {.capabilities = eight_lanes, .info = {.vendor_id = 1, .device_id = 2}};
	struct gqe_tuning *saved = calloc(1, sizeof(*saved)), *loaded = calloc(1, sizeof(*loaded));
	assert_non_null(saved);
	assert_non_null(loaded);
	struct gqe_tuned_tile good = gemm_entry(1, 64, 8), wide = gemm_entry(64, 0, 8), unknown = gemm_entry(0, 1, 8);
	wide.tile.workgroup = wide.tile.subgroup = 64;
	unknown.kernel = GQE_KERNEL_COUNT + 5;
	assert_true(gqe_tuning_set(saved, &good));
	assert_true(gqe_tuning_set(saved, &wide));
	assert_true(gqe_tuning_set(saved, &unknown));
	const struct gqe_tuned_queries queries = queries_entry(0, 8, GQE_QUERIES_DENSE), nonsense = queries_entry(8, 0, 77);
	assert_true(gqe_tuning_set_queries(saved, &queries));
	assert_true(gqe_tuning_set_queries(saved, &nonsense));
	assert_true(gqe_tuning_save(saved, &vulkan, folder));
	gqe_tuning_load(loaded, &vulkan, folder);
	assert_int_equal(loaded->count, 1);
	assert_int_equal(loaded->query_count, 1);
	assert_memory_equal(&loaded->queries[0], &queries, sizeof(queries));
	assert_memory_equal(&loaded->tiles[0], &good, sizeof(good));
	saved->count = 0; /* nothing is faster than the table's tiles any more */
	assert_true(gqe_tuning_save(saved, &vulkan, folder));
	gqe_tuning_load(loaded, &vulkan, folder);
	assert_int_equal(loaded->count, 0);
	saved->count = 1;

	vulkan.info.driver_version++;
	gqe_tuning_load(loaded, &vulkan, folder);
	assert_int_equal(loaded->count, 0);
	assert_false(gqe_tuning_save(saved, &vulkan, ""));

	struct gqe_cache_file file;
	gqe_cache_file_init(&file, &vulkan, folder, "tiles", 0);
	assert_int_equal(remove(file.path), 0);
	gqe_cache_file_release(&file);
	assert_int_equal(rmdir(folder), 0);
	free(saved);
	free(loaded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_entry_for_that_much_work_is_taken),
		cmocka_unit_test(a_full_table_takes_no_more),
		cmocka_unit_test(a_measured_tile_comes_before_the_table),
		cmocka_unit_test(a_measured_mode_of_queries_is_for_its_work_and_shape),
		cmocka_unit_test(few_tokens_and_selecting_all_experts_make_queries_dense),
		cmocka_unit_test(what_the_table_has_no_tile_for_falls_to_the_path_below),
		cmocka_unit_test(what_a_device_cannot_run_is_illegal),
		cmocka_unit_test(transposed_scores_take_the_rows_that_shared_memory_has_room_for),
		cmocka_unit_test(what_is_saved_is_loaded_and_illegal_entries_are_dropped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
