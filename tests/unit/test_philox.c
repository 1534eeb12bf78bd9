/* The generator against its published vectors, and the distributions made from it. */
#include "common/philox.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Random123 1.14, tests/kat_vectors, the lines "philox4x32 10". */
static void known_answers(void **state)
{
	(void)state;
	const struct {
		uint32_t counter[4], key[2], out[4];
	} vectors[] = {
		{{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
		 {0xffffffff, 0xffffffff},
		 {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
		 {0xa4093822, 0x299f31d0},
		 {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	};
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		uint32_t out[4];
		gqe_philox(vectors[i].counter, vectors[i].key, out);
		assert_memory_equal(out, vectors[i].out, sizeof out);
	}
}

static void sequence_is_the_blocks_of_seed_and_stream(void **state)
{
	(void)state;
	const uint64_t seed = 0x0123456789abcdef, stream = 0xfedcba9876543210;
	struct gqe_random random = gqe_random_seed(seed, stream);
	for (uint32_t block = 0; block < 3; block++) {
		const uint32_t counter[4] = {block, 0, (uint32_t)stream, (uint32_t)(stream >> 32)};
		const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
		uint32_t expected[4];
		gqe_philox(counter, key, expected);
		for (int i = 0; i < 4; i++)
			assert_int_equal(gqe_random_u32(&random), expected[i]);
	}
}

static void counter_carries(void **state)
{
	(void)state;
	struct gqe_random random = gqe_random_seed(1, 2);
	random.counter[0] = 0xffffffff;
	for (int i = 0; i < 5; i++)
		gqe_random_u32(&random);
	assert_int_equal(random.counter[0], 1);
	assert_int_equal(random.counter[1], 1);
}

static void below_is_in_range_and_even(void **state)
{
	(void)state;
	const uint32_t bounds[] = {1, 2, 3, 7, 10};
	enum { DRAWS = 20000 };
	struct gqe_random random = gqe_random_seed(3, 0);
	for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
		uint32_t counts[10] = {0};
		for (int draw = 0; draw < DRAWS; draw++) {
			uint32_t value = gqe_random_below(&random, bounds[i]);
			assert_true(value < bounds[i]);
			counts[value]++;
		}
		double mean = (double)DRAWS / bounds[i];
		for (uint32_t value = 0; value < bounds[i]; value++)
			assert_true(fabs(counts[value] - mean) <= 5 * sqrt(mean));
	}
	/* Two thirds of the 32-bit range: without the redraw, even results would come twice as often as odd ones. */
	uint32_t even = 0;
	for (int draw = 0; draw < DRAWS; draw++)
		even += gqe_random_below(&random, 0xaaaaaaabu) % 2 == 0;
	assert_true(fabs(even - DRAWS / 2.0) <= 5 * sqrt(DRAWS / 4.0));
}

static void unit_and_normal_have_their_moments(void **state)
{
	(void)state;
	enum { DRAWS = 100000 };
	struct gqe_random random = gqe_random_seed(4, 0);
	double unit = 0, normal = 0, normal_squared = 0;
	for (int draw = 0; draw < DRAWS; draw++) {
		double u = gqe_random_unit(&random);
		float z = gqe_random_normal(&random);
		assert_true(u >= 0 && u < 1);
		assert_true(isfinite(z));
		unit += u;
		normal += z;
		normal_squared += (double)z * z;
	}
	/* Five standard deviations of each mean: 0.289, 1 and sqrt(2) over sqrt(100000). */
	assert_true(fabs(unit / DRAWS - 0.5) < 0.005);
	assert_true(fabs(normal / DRAWS) < 0.016);
	assert_true(fabs(normal_squared / DRAWS - 1) < 0.023);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answers),
		cmocka_unit_test(sequence_is_the_blocks_of_seed_and_stream),
		cmocka_unit_test(counter_carries),
		cmocka_unit_test(below_is_in_range_and_even),
		cmocka_unit_test(unit_and_normal_have_their_moments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
