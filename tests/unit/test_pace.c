/* How long work is expected to take, and how much of it one submit may hold. */
#include "vulkan/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/common.h"

static bool near(double a, double b)
{
	return a <= b * 1.0001 && b <= a * 1.0001;
}

static void test_unknown_work_is_slow_and_then_typical(void **state)
{
	(void)state;
	struct gqe_pace pace = {0};
	gqe_rate rate = 0;
	assert_true(near(gqe_pace_predict(&pace, &rate, 1e9), 1));
	gqe_pace_learn_typical(&pace, 1e10, 1);
	assert_true(near(gqe_pace_predict(&pace, &rate, 1e9), 0.1));
	gqe_pace_learn_typical(&pace, 1e15, 1); /* grows by bounded factors */
	assert_true(near(gqe_pace_predict(&pace, &rate, 1e9), 0.025));
	gqe_pace_learn_typical(&pace, 1e8, 1); /* and falls at once */
	assert_true(near(gqe_pace_predict(&pace, &rate, 1e9), 10));
}

static void test_a_rate_follows_what_was_measured(void **state)
{
	(void)state;
	struct gqe_pace pace = {0};
	gqe_rate rate = 1e9, bystander = 1e9;
	gqe_pace_learn(&pace, &rate, 1, 0.05, 0.5);
	assert_true(near(rate, 1e8));
	gqe_pace_learn(&pace, &rate, 1, 0.05, 0.00001);
	assert_true(near(rate, 4e8));
	/* One that was a small part of a submit is hardly blamed for it; many small parts make a whole. */
	gqe_pace_learn(&pace, &bystander, 0.001, 0.05, 0.5);
	assert_true(bystander > 0.99e9 && bystander < 1e9);
	for (int i = 1; i < 1000; i++)
		gqe_pace_learn(&pace, &bystander, 0.001, 0.05, 0.5);
	assert_true(near(bystander, 1e8));
	gqe_pace_learn(&pace, &bystander, 1, 0, 0.5);  /* nothing was expected: nothing is learnt */
	gqe_pace_learn(&pace, &bystander, 1, 0.5, -1); /* the clock was set back */
	assert_true(near(bystander, 1e8));
}

/* Attention over KV heads that serve unlike numbers of slots: the first half of a step is all its work. */
static void test_a_cut_step_teaches_its_whole_speed(void **state)
{
	(void)state;
	struct gqe_pace pace = {0};
	gqe_rate rate = 1e9;
	struct gqe_pace_cut cut = {0};
	for (int part = 0; part < 20; part++)
		gqe_pace_learn_part(&pace, &rate, &cut, 5e7, gqe_pace_predict(&pace, &rate, 5e7), part < 10 ? 0.1 : 0.0001);
	assert_true(near(rate, 1e9 / 1.001)); /* and not what the last parts did a thousand times as fast */
	/* One that is slower than expected counts at once. */
	cut = (struct gqe_pace_cut){0};
	gqe_pace_learn_part(&pace, &rate, &cut, 5e7, gqe_pace_predict(&pace, &rate, 5e7), 0.5);
	assert_true(near(rate, 1e8));
	/* While nothing is known of a fast device, parts grow. */
	rate = 0;
	cut = (struct gqe_pace_cut){0};
	for (int part = 0; part < 4; part++)
		gqe_pace_learn_part(&pace, &rate, &cut, 5e7, gqe_pace_predict(&pace, &rate, 5e7), 5e-5);
	assert_true(rate > 1e11);
}

static void test_compiling_teaches_little(void **state)
{
	(void)state;
	struct gqe_pace pace = {0};
	gqe_rate rate = 0;
	gqe_pace_learn_first(&pace, &rate, 1, gqe_pace_predict(&pace, &rate, 1e6), 3);
	assert_true(near(rate, 1e9 / 4)); /* the slowest device that is expected, and not 0.3 MFLOP/s */
	rate = 1e12;
	gqe_pace_learn_first(&pace, &rate, 1, gqe_pace_predict(&pace, &rate, 1e10), 0.02);
	assert_true(near(rate, 5e11));
	gqe_pace_learn_first(&pace, &rate, 1, gqe_pace_predict(&pace, &rate, 1e10), 1e-3);
	assert_true(near(rate, 2e12));
}

static void test_only_what_threatens_the_cap_is_split(void **state)
{
	(void)state;
	struct gqe_pace pace = {0};
	assert_int_equal(gqe_pace_units(&pace, 0.12, 1000), 1000); /* four times as long, and still below the cap */
	assert_in_range(gqe_pace_units(&pace, 0.2, 1000), 249, 250);
	assert_in_range(gqe_pace_units(&pace, 5, 1000), 9, 10); /* of 50 ms, rounded down */
	assert_int_equal(gqe_pace_units(&pace, 5000, 1000), 1);
	assert_int_equal(gqe_pace_units(&pace, 5000, 1), 1);
	pace = (struct gqe_pace){.target_seconds = 0.01, .cap_seconds = 0.1};
	assert_int_equal(gqe_pace_units(&pace, 0.02, 1000), 1000);
	assert_in_range(gqe_pace_units(&pace, 0.2, 1000), 49, 50);
	pace = (struct gqe_pace){.target_seconds = 1, .cap_seconds = 0.5}; /* no sense, but no harm */
	assert_int_equal(gqe_pace_units(&pace, 0.9, 1000), 1000);
}

static void test_low_impact_is_short(void **state)
{
	(void)state;
	struct gqe_pace pace = {.low_impact = true};
	assert_true(gqe_pace_target(&pace) <= 0.01);
	assert_in_range(gqe_pace_units(&pace, 0.1, 1000), 99, 100);
	pace.target_seconds = 0.001;
	assert_true(near(gqe_pace_target(&pace), 0.001));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unknown_work_is_slow_and_then_typical),
		cmocka_unit_test(test_a_rate_follows_what_was_measured),
		cmocka_unit_test(test_a_cut_step_teaches_its_whole_speed),
		cmocka_unit_test(test_compiling_teaches_little),
		cmocka_unit_test(test_only_what_threatens_the_cap_is_split),
		cmocka_unit_test(test_low_impact_is_short),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
