/* gqe_parallel_for: every item once, in pieces of the grain, for any number of threads. */
#include "common/platform.h"
#include "common/threads.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include <cmocka.h>

enum { MOST_ITEMS = 1000 };

/* cmocka's assertions belong to the main thread, so what the pieces do is recorded and judged afterwards. */
struct record {
	atomic_uint visits[MOST_ITEMS];
	atomic_uint pieces;
	atomic_uint oversized;
	uint64_t count, grain;
};

static void visit(void *user, uint64_t first, uint64_t last)
{
	struct record *record = user;
	if (first >= last || last > record->count || (record->grain && last - first > record->grain)) {
		record->oversized++;
		return;
	}
	record->pieces++;
	for (uint64_t item = first; item < last; item++)
		record->visits[item]++;
}

static void every_item_is_visited_once(void **state)
{
	(void)state;
	const uint64_t counts[] = {0, 1, 2, 3, 64, 999, 1000}, grains[] = {0, 1, 7, 1000, UINT64_MAX / 2};
	const uint32_t threads[] = {0, 1, 2, 3, 16, 100000};
	for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
		for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) {
			for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
				struct record record = {.count = counts[c], .grain = grains[g]};
				gqe_parallel_for(threads[t], counts[c], grains[g], visit, &record);
				assert_int_equal(record.oversized, 0);
				for (uint64_t item = 0; item < MOST_ITEMS; item++)
					assert_int_equal(record.visits[item], item < counts[c]);
				if (grains[g])
					assert_int_equal(record.pieces, (counts[c] + grains[g] - 1) / grains[g]);
			}
		}
	}
}

static void nested(void *user, uint64_t first, uint64_t last)
{
	struct record *record = user;
	for (uint64_t item = first; item < last; item++)
		gqe_parallel_for(2, record->count, 3, visit, record);
}

static void loops_nest(void **state)
{
	(void)state;
	struct record record = {.count = 100, .grain = 3};
	gqe_parallel_for(3, 5, 1, nested, &record);
	assert_int_equal(record.oversized, 0);
	for (uint64_t item = 0; item < 100; item++)
		assert_int_equal(record.visits[item], 5);
}

static void there_is_a_processor(void **state)
{
	(void)state;
	assert_true(gqe_processor_count() >= 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_item_is_visited_once),
		cmocka_unit_test(loops_nest),
		cmocka_unit_test(there_is_a_processor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
