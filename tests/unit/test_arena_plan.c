/* Arena plans without a device: what an estimate is made of. */
#include "vulkan/memory.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define KIB ((uint64_t)1 << 10)
#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static uint64_t planned(const uint64_t *sizes, size_t count, uint64_t guard)
{
	struct gqe_arena *arena;
	assert_int_equal(gqe_arena_create(NULL, GQE_MEMORY_DEVICE, &arena, NULL), GQE_OK);
	gqe_arena_set_guard(arena, guard);
	for (size_t i = 0; i < count; i++) {
		gqe_arena_reserve(arena, NULL, sizes[i]);
	}
	uint64_t bytes = gqe_arena_planned(arena);
	gqe_arena_destroy(&arena);
	assert_null(arena);
	return bytes;
}

static void test_nothing_costs_nothing(void **state)
{
	(void)state;
	uint64_t zeros[] = {0, 0};
	assert_int_equal(planned(NULL, 0, 0), 0);
	assert_int_equal(planned(zeros, GQE_COUNT(zeros), 1000), 0);
}

static void test_overhead_is_small(void **state)
{
	(void)state;
	uint64_t small[] = {1, 1, 1}, large[] = {100 * MIB, 100 * MIB + 1};
	assert_int_equal(planned(small, GQE_COUNT(small), 0), 64 * KIB);
	uint64_t bytes = planned(large, GQE_COUNT(large), 0);
	assert_in_range(bytes, 200 * MIB + 1, 200 * MIB + 128 * KIB);
}

static void test_many_blocks_hold_what_one_cannot(void **state)
{
	(void)state;
	uint64_t sizes[] = {700 * MIB, 700 * MIB, 3 * GIB, 1};
	uint64_t bytes = planned(sizes, GQE_COUNT(sizes), 0);
	assert_in_range(bytes, 1400 * MIB + 3 * GIB + 1, 1400 * MIB + 3 * GIB + 4 * 128 * KIB);
}

static void test_guard_bands_lie_around_every_buffer(void **state)
{
	(void)state;
	uint64_t sizes[] = {MIB, MIB, MIB};
	uint64_t bytes = planned(sizes, GQE_COUNT(sizes), MIB);
	assert_in_range(bytes, 7 * MIB, 7 * MIB + 64 * KIB);
}

static void test_impossible_sizes_do_not_wrap(void **state)
{
	(void)state;
	uint64_t huge[] = {UINT64_MAX}, many[] = {UINT64_MAX / 8, MIB, UINT64_MAX / 2};
	uint64_t whole[40];
	for (size_t i = 0; i < GQE_COUNT(whole); i++) {
		whole[i] = (uint64_t)1 << 60;
	}
	assert_true(planned(huge, 1, 0) == UINT64_MAX);
	assert_true(planned(many, GQE_COUNT(many), 0) == UINT64_MAX);
	assert_true(planned(whole, GQE_COUNT(whole), 0) == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_costs_nothing),
		cmocka_unit_test(test_overhead_is_small),
		cmocka_unit_test(test_many_blocks_hold_what_one_cannot),
		cmocka_unit_test(test_guard_bands_lie_around_every_buffer),
		cmocka_unit_test(test_impossible_sizes_do_not_wrap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
