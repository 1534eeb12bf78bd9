/* The barrier planner: which steps wait for which, against every kind of dependence, and against a plain model at random. */
#include "common/philox.h"
#include "vulkan/steps.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define R GQE_ACCESS_READ
#define W GQE_ACCESS_WRITE
#define RW GQE_ACCESS_READ_WRITE

static bool add(struct gqe_hazards *hazards, uint64_t address, uint64_t size, uint32_t access)
{
	struct gqe_range range = {address, size, access};
	return gqe_hazards_add(hazards, &range, 1);
}

static void test_every_dependence_needs_a_barrier(void **state)
{
	(void)state;
	static const struct {
		uint32_t first, second;
		bool barrier;
	} cases[] = {
		{R, R, false}, {R, W, true}, {W, R, true}, {W, W, true}, {R, RW, true}, {RW, R, true}, {RW, RW, true},
	};
	for (size_t i = 0; i < GQE_COUNT(cases); i++) {
		struct gqe_hazards hazards = {0};
		assert_false(add(&hazards, 1000, 100, cases[i].first));
		assert_int_equal(add(&hazards, 1000, 100, cases[i].second), cases[i].barrier);
		gqe_hazards_free(&hazards);
	}
}

static void test_only_overlapping_ranges_depend(void **state)
{
	(void)state;
	static const struct {
		uint64_t address, size;
		bool barrier;
	} cases[] = {
		{900, 100, false}, {900, 101, true}, {1099, 1, true},  {1100, 50, false},
		{0, 5000, true},   {1050, 1, true},  {1050, 0, false}, {1000, 100, true},
	};
	for (size_t i = 0; i < GQE_COUNT(cases); i++) {
		struct gqe_hazards hazards = {0};
		assert_false(add(&hazards, 1000, 100, W));
		assert_int_equal(add(&hazards, cases[i].address, cases[i].size, R), cases[i].barrier);
		gqe_hazards_free(&hazards);
	}
}

static void test_ranges_may_end_at_the_top_of_the_address_space(void **state)
{
	(void)state;
	struct gqe_hazards hazards = {0};
	assert_false(add(&hazards, UINT64_MAX - 99, 100, W));
	assert_false(add(&hazards, 0, 100, R));
	assert_true(add(&hazards, UINT64_MAX, 1, R));
	gqe_hazards_free(&hazards);
}

static void test_a_barrier_forgets_what_was_before_it(void **state)
{
	(void)state;
	struct gqe_hazards hazards = {0};
	assert_false(add(&hazards, 0, 10, W));
	assert_false(add(&hazards, 100, 10, W));
	assert_true(add(&hazards, 0, 10, R));
	assert_false(add(&hazards, 100, 10, R));
	assert_true(add(&hazards, 0, 10, W)); /* the read after the barrier counts */
	gqe_hazards_clear(&hazards);
	assert_false(add(&hazards, 0, 10, W));
	gqe_hazards_free(&hazards);
}

static void test_a_step_does_not_wait_for_itself(void **state)
{
	(void)state;
	struct gqe_hazards hazards = {0};
	struct gqe_range in_place[] = {{0, 10, R}, {0, 10, W}};
	assert_false(gqe_hazards_add(&hazards, in_place, 2));
	assert_true(gqe_hazards_add(&hazards, in_place, 2));
	assert_false(gqe_hazards_add(&hazards, NULL, 0));
	gqe_hazards_free(&hazards);
}

static void test_without_memory_every_step_waits(void **state)
{
	(void)state;
	struct gqe_hazards hazards = {.failed = true};
	assert_true(add(&hazards, 0, 10, R));
	assert_true(add(&hazards, 100, 10, R));
	gqe_hazards_free(&hazards);
}

/* Model: an array of cells, each with whether it was read or written since the last barrier. */
static void test_agrees_with_a_plain_model(void **state)
{
	(void)state;
	enum { CELLS = 64, STEPS = 3000, MOST_RANGES = 5 };
	struct gqe_random random = gqe_random_seed(7, 0);
	struct gqe_hazards hazards = {0};
	uint32_t cells[CELLS] = {0};
	for (int step = 0; step < STEPS; step++) {
		struct gqe_range ranges[MOST_RANGES];
		uint32_t count = gqe_random_below(&random, MOST_RANGES + 1);
		bool expected = false;
		for (uint32_t i = 0; i < count; i++) {
			ranges[i].address = gqe_random_below(&random, CELLS);
			ranges[i].size = gqe_random_below(&random, 4);
			ranges[i].access = gqe_random_below(&random, 4) ? R : W;
			for (uint64_t c = ranges[i].address; c < ranges[i].address + ranges[i].size && c < CELLS; c++) {
				expected |= cells[c] != 0 && ((cells[c] | ranges[i].access) & W);
			}
		}
		assert_int_equal(gqe_hazards_add(&hazards, ranges, count), expected);
		for (uint32_t c = 0; c < CELLS && expected; c++) {
			cells[c] = 0;
		}
		for (uint32_t i = 0; i < count; i++) {
			for (uint64_t c = ranges[i].address; c < ranges[i].address + ranges[i].size && c < CELLS; c++) {
				cells[c] |= ranges[i].access;
			}
		}
	}
	gqe_hazards_free(&hazards);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_dependence_needs_a_barrier),
		cmocka_unit_test(test_only_overlapping_ranges_depend),
		cmocka_unit_test(test_ranges_may_end_at_the_top_of_the_address_space),
		cmocka_unit_test(test_a_barrier_forgets_what_was_before_it),
		cmocka_unit_test(test_a_step_does_not_wait_for_itself),
		cmocka_unit_test(test_without_memory_every_step_waits),
		cmocka_unit_test(test_agrees_with_a_plain_model),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
