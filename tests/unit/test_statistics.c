/*
 * The statistics of `gqe compare`: rounds, lower quartiles and intervals by their definitions; and on made-up timings with the
 * noise of a machine that others use, how often equal devices are told apart, and how often a true difference is found.
 */
#include "statistics.h"

#include "common/philox.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void rounds_are_medians_in_order(void **state)
{
	(void)state;
	static const double samples[] = {5, 9, 7, 2, 4, 1};
	static const uint32_t numbers[] = {3, 3, 3, 4, 4, 9};
	struct rounds rounds = rounds_of(samples, numbers, 6);
	assert_int_equal(rounds.count, 3);
	assert_true(rounds.values[0] == 1 && rounds.values[1] == 3 && rounds.values[2] == 7);
	rounds = rounds_of(samples, NULL, 6);
	assert_int_equal(rounds.count, 2);
	assert_true(rounds.values[0] == 2 && rounds.values[1] == 7);
	rounds = rounds_of(samples, NULL, 4);
	assert_int_equal(rounds.count, 2);
	rounds = rounds_of(samples, NULL, 1);
	assert_true(rounds.count == 1 && rounds.values[0] == 5);
}

static void too_many_rounds_are_put_together(void **state)
{
	(void)state;
	static double samples[10000];
	static uint32_t numbers[10000];
	for (uint32_t i = 0; i < 10000; i++) {
		samples[i] = i;
		numbers[i] = i;
	}
	for (uint32_t count = 1; count <= 10000; count += count < 200 ? 1 : 97) {
		const struct rounds known = rounds_of(samples, numbers, count), unknown = rounds_of(samples, NULL, count),
				    one = rounds_of(samples, (const uint32_t[10000]){0}, count);
		assert_true(known.count >= 1 && known.count <= STATISTICS_MOST_ROUNDS);
		assert_true(unknown.count >= 1 && unknown.count <= STATISTICS_MOST_ROUNDS);
		assert_true(count > STATISTICS_MOST_ROUNDS || known.count == count);
		assert_true(one.count == 1 && fabs(one.values[0] - 0.5 * (count - 1)) < 0.01 * count + 0.5);
	}
}

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The `order`-th smallest of a resample. */
static double draw(const struct rounds *rounds, uint32_t order, struct gqe_random *random)
{
	double values[STATISTICS_MOST_ROUNDS];
	for (uint32_t i = 0; i < rounds->count; i++)
		values[i] = rounds->values[gqe_random_below(random, rounds->count)];
	qsort(values, rounds->count, sizeof(*values), compare_doubles);
	return values[order - 1];
}

static void intervals_are_what_resampling_gives(void **state)
{
	(void)state;
	enum { DRAWS = 20000 };
	static double ratios[DRAWS];
	struct gqe_random random = gqe_random_seed(5, 0);
	struct rounds over = {.count = 11}, under = {.count = 14};
	for (uint32_t i = 0; i < 14; i++) {
		over.values[i] = i < 11 ? 10 * pow(1.03, i) : 0;
		under.values[i] = 7 * pow(1.02, i);
	}
	const struct interval interval = rounds_ratio(&over, &under, 0.1);
	/* The lower quartiles are the 3rd of 11 and the 4th of 14. */
	assert_true(rounds_time(&over) == over.values[2] && rounds_time(&under) == under.values[3]);
	assert_true(interval.value == over.values[2] / under.values[3]);
	for (int i = 0; i < DRAWS; i++)
		ratios[i] = draw(&over, 3, &random) / draw(&under, 4, &random);
	qsort(ratios, DRAWS, sizeof(*ratios), compare_doubles);
	/* The tails of the drawn ones, a little within and a little beyond 5%. */
	assert_true(interval.low >= ratios[DRAWS * 4 / 100] && interval.low <= ratios[DRAWS * 6 / 100]);
	assert_true(interval.high >= ratios[DRAWS * 94 / 100] && interval.high <= ratios[DRAWS * 96 / 100]);

	const struct interval median = rounds_median(&over, 0.05);
	assert_true(median.value == over.values[5]);
	assert_true(median.low >= over.values[1] && median.low <= over.values[4]);
	assert_true(median.high >= over.values[6] && median.high <= over.values[9]);
}

static void what_is_sure_has_no_width_and_what_is_rare_is_wide(void **state)
{
	(void)state;
	struct rounds over = {.count = 8}, under = {.count = 8};
	for (uint32_t i = 0; i < 8; i++) {
		over.values[i] = 3;
		under.values[i] = 2;
	}
	struct interval interval = rounds_ratio(&over, &under, 0.001);
	assert_true(interval.value == 1.5 && interval.low == 1.5 && interval.high == 1.5);
	for (uint32_t i = 0; i < 8; i++)
		over.values[i] = 3 + i;
	interval = rounds_ratio(&over, &under, 0.05);
	const struct interval wider = rounds_ratio(&over, &under, 0.001), all = rounds_ratio(&over, &under, 1e-30);
	assert_true(wider.low <= interval.low && wider.high > interval.high);
	/* Of one value nothing is unknown; below the least of others there may be more. */
	assert_true(all.low < 1.5 && all.low > 0 && all.high == 5);
	/* Times of 0, by a clock that is too coarse, end in no interval, not in a crash. */
	memset(&under.values, 0, sizeof(under.values));
	memset(&over.values, 0, sizeof(over.values));
	interval = rounds_ratio(&over, &under, 0.05);
	assert_false(isfinite(interval.value));
}

/* ------------------------------------------------------------------------------------------------- false alarms and power -- */

/*
 * Timings as they were seen on two cores that other programs used, too: quiet rounds scatter by 2%, correlated from one to the
 * next, around a level that is the run's own, to 1%; and for stretches of rounds something slows down everything by a third to a
 * double.
 */
enum { STEPS = 36, ROUNDS = 10, SAMPLES = 3 };
#define TOLERANCE 0.05

struct machine {
	struct gqe_random random;
	double stretches; /* the probability that a disturbance begins with a round; it ends with 0.4 */
};

static void make_run(struct machine *machine, double factor, struct rounds steps[STEPS])
{
	double samples[STEPS][ROUNDS * SAMPLES], level[STEPS], noise[STEPS];
	uint32_t numbers[ROUNDS * SAMPLES];
	bool disturbed = false;
	for (int step = 0; step < STEPS; step++) {
		level[step] = factor * (1 + 0.01 * gqe_random_normal(&machine->random));
		noise[step] = 0.02 * gqe_random_normal(&machine->random);
	}
	for (int round = 0; round < ROUNDS; round++) {
		const double slowdown = 1.33 + 0.67 * gqe_random_unit(&machine->random);
		disturbed = gqe_random_unit(&machine->random) < (disturbed ? 0.6 : machine->stretches);
		for (int step = 0; step < STEPS; step++) {
			noise[step] = 0.5 * noise[step] + 0.0173 * gqe_random_normal(&machine->random);
			for (int i = 0; i < SAMPLES; i++) {
				const double own = fabs(0.01 * gqe_random_normal(&machine->random));
				samples[step][round * SAMPLES + i] =
					level[step] * (1 + noise[step] + own) * (disturbed ? slowdown : 1);
				numbers[round * SAMPLES + i] = (uint32_t)round;
			}
		}
	}
	for (int step = 0; step < STEPS; step++)
		steps[step] = rounds_of(samples[step], numbers, ROUNDS * SAMPLES);
}

/* The part of the steps in which the second of two runs, slower by `factor`, is told from the first. */
static double found(double stretches, double factor)
{
	enum { PAIRS = 200 };
	static struct rounds before[STEPS], after[STEPS];
	struct machine machine = {gqe_random_seed(11, 0), stretches};
	int slower = 0, faster = 0;
	for (int pair = 0; pair < PAIRS; pair++) {
		make_run(&machine, 1, before);
		make_run(&machine, factor, after);
		for (int step = 0; step < STEPS; step++) {
			const struct interval ratio = rounds_ratio(&before[step], &after[step], 0.05 / STEPS);
			slower += ratio.high < 1 / (1 + TOLERANCE);
			faster += ratio.low > 1 + TOLERANCE;
		}
	}
	print_message("disturbances %.2f, factor %.2f: %.2f%% slower, %.2f%% faster\n", stretches, factor,
		      100.0 * slower / (PAIRS * STEPS), 100.0 * faster / (PAIRS * STEPS));
	/* In a slower run a step that looks faster is as wrong as in an equal one. */
	assert_true(faster <= 0.025 * PAIRS * STEPS);
	return (double)(slower + (factor > 1 ? 0 : faster)) / (PAIRS * STEPS);
}

static void equal_runs_are_told_apart_in_less_than_one_step_of_twenty(void **state)
{
	(void)state;
	for (double stretches = 0; stretches < 0.35; stretches += 0.1)
		assert_true(found(stretches, 1) < 0.05);
}

static void true_changes_are_found(void **state)
{
	(void)state;
	assert_true(found(0, 1.1) > 0.6);
	assert_true(found(0, 1.2) > 0.95);
	assert_true(found(0.1, 1.1) > 0.4);
	assert_true(found(0.1, 1.2) > 0.6);
	assert_true(found(0.1, 1.5) > 0.7);
	assert_true(found(0.1, 2.5) > 0.99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rounds_are_medians_in_order),
		cmocka_unit_test(too_many_rounds_are_put_together),
		cmocka_unit_test(intervals_are_what_resampling_gives),
		cmocka_unit_test(what_is_sure_has_no_width_and_what_is_rare_is_wide),
		cmocka_unit_test(equal_runs_are_told_apart_in_less_than_one_step_of_twenty),
		cmocka_unit_test(true_changes_are_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
