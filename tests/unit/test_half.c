/* F16 and BF16 conversion: every 16-bit value both ways, and rounding at and beside every midpoint. */
#include "common/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A 16-bit float format, and the value of a pattern from the definition of the format instead of from bits. */
struct format {
	int mantissa_bits, exponent_bias;
	uint16_t infinity; /* exponent all ones, mantissa 0 */
	float (*decode)(uint16_t bits);
	uint16_t (*encode)(float value);
};

static const struct format f16 = {10, 15, 0x7c00, gqe_f16_to_f32, gqe_f32_to_f16};
static const struct format bf16 = {7, 127, 0x7f80, gqe_bf16_to_f32, gqe_f32_to_bf16};

static double defined_value(const struct format *format, uint16_t bits)
{
	uint32_t magnitude = bits & 0x7fff;
	int exponent = (int)(magnitude >> format->mantissa_bits);
	double fraction = ldexp(magnitude & ((1u << format->mantissa_bits) - 1), -format->mantissa_bits);
	double value =
		exponent ? ldexp(1 + fraction, exponent - format->exponent_bias) : ldexp(fraction, 1 - format->exponent_bias);
	return bits & 0x8000 ? -value : value;
}

static void check_every_value(const struct format *format)
{
	for (uint32_t bits = 0; bits <= 0xffff; bits++) {
		float value = format->decode((uint16_t)bits);
		uint32_t magnitude = bits & 0x7fff;
		uint16_t back = format->encode(value);
		if (magnitude > format->infinity) {
			assert_true(isnan(value));
			assert_true((back & 0x7fff) > format->infinity);
			continue;
		}
		if (magnitude == format->infinity)
			assert_true(isinf(value));
		else
			assert_true(value == defined_value(format, (uint16_t)bits));
		assert_int_equal(!!signbit(value), bits >> 15);
		assert_int_equal(back, bits);
	}
}

static void every_f16_value_survives_both_ways(void **state)
{
	(void)state;
	check_every_value(&f16);
}

static void every_bf16_value_survives_both_ways(void **state)
{
	(void)state;
	check_every_value(&bf16);
}

/* Between neighbours: the midpoint goes to the even one, its float neighbours to the nearer one. The last pair ends at infinity. */
static void check_midpoints(const struct format *format)
{
	for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000) {
		for (uint32_t low = 0; low < format->infinity; low++) {
			uint32_t high = low + 1;
			/* Infinity stands where the next finite value would. */
			double upper = high == format->infinity
					       ? ldexp(1, (int)(high >> format->mantissa_bits) - format->exponent_bias)
					       : defined_value(format, (uint16_t)high);
			float midpoint = (float)((defined_value(format, (uint16_t)low) + upper) / 2);
			float below = nextafterf(midpoint, 0), above = nextafterf(midpoint, INFINITY);
			float flip = sign ? -1.0f : 1.0f;
			assert_int_equal(format->encode(flip * midpoint), sign | (low % 2 == 0 ? low : high));
			assert_int_equal(format->encode(flip * below), sign | low);
			assert_int_equal(format->encode(flip * above), sign | high);
		}
	}
}

static void f16_rounds_to_nearest_even(void **state)
{
	(void)state;
	check_midpoints(&f16);
}

static void bf16_rounds_to_nearest_even(void **state)
{
	(void)state;
	check_midpoints(&bf16);
}

static void out_of_range_values(void **state)
{
	(void)state;
	assert_int_equal(gqe_f32_to_f16(INFINITY), 0x7c00);
	assert_int_equal(gqe_f32_to_f16(-INFINITY), 0xfc00);
	assert_int_equal(gqe_f32_to_f16(3e38f), 0x7c00);
	assert_int_equal(gqe_f32_to_f16(-1e-30f), 0x8000);
	assert_int_equal(gqe_f32_to_f16(1e-45f), 0x0000);
	assert_int_equal(gqe_f32_to_bf16(3.4028235e38f), 0x7f80);
	assert_true((gqe_f32_to_f16(NAN) & 0x7fff) > 0x7c00);
	assert_true((gqe_f32_to_bf16(NAN) & 0x7fff) > 0x7f80);

	/* A NaN whose payload lies entirely below the bits that are kept must not become infinity. */
	const uint32_t low_payload = 0x7f800001;
	float nan;
	memcpy(&nan, &low_payload, sizeof nan);
	assert_true((gqe_f32_to_f16(nan) & 0x7fff) > 0x7c00);
	assert_true((gqe_f32_to_bf16(nan) & 0x7fff) > 0x7f80);
}

/* Little-endian elements of each dtype, one byte off any alignment. */
static const uint8_t f32_bytes[] = {0xaa, 0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0, 0, 0x50, 0xc3, 0x47, 0, 0, 0x80, 0xff};
static const uint8_t f16_bytes[] = {0xaa, 0x00, 0x3c, 0x00, 0xc1, 0xff, 0x7b, 0x00, 0xfc};
static const uint8_t bf16_bytes[] = {0xaa, 0x80, 0x3f, 0x20, 0xc0, 0xc3, 0x47, 0x80, 0xff};
static const float f32_values[] = {1.0f, -2.5f, 100000.0f, -INFINITY};
static const float f16_values[] = {1.0f, -2.5f, 65504.0f, -INFINITY};
static const float bf16_values[] = {1.0f, -2.5f, 99840.0f, -INFINITY};
static const uint16_t as_f16[] = {0x3c00, 0xc100, 0x7bff, 0xfc00}; /* of all three: 100000 and 99840 are too large */

static void tensors_convert_from_unaligned_data(void **state)
{
	(void)state;
	const struct {
		gqe_dtype dtype;
		const uint8_t *bytes;
		const float *values;
	} cases[] = {
		{GQE_DTYPE_F32, f32_bytes, f32_values},
		{GQE_DTYPE_F16, f16_bytes, f16_values},
		{GQE_DTYPE_BF16, bf16_bytes, bf16_values},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		gqe_tensor tensor = {.dtype = cases[i].dtype, .rank = 1, .shape = {4}, .data = cases[i].bytes + 1};
		float floats[4];
		uint16_t halves[4];
		gqe_tensor_to_f32(&tensor, 0, 4, floats);
		gqe_tensor_to_f16(&tensor, 0, 4, halves);
		assert_memory_equal(floats, cases[i].values, sizeof floats);
		assert_memory_equal(halves, as_f16, sizeof halves);

		gqe_tensor_to_f32(&tensor, 2, 1, floats);
		gqe_tensor_to_f16(&tensor, 1, 1, halves);
		assert_true(floats[0] == cases[i].values[2]);
		assert_int_equal(halves[0], as_f16[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_f16_value_survives_both_ways),
		cmocka_unit_test(every_bf16_value_survives_both_ways),
		cmocka_unit_test(f16_rounds_to_nearest_even),
		cmocka_unit_test(bf16_rounds_to_nearest_even),
		cmocka_unit_test(out_of_range_values),
		cmocka_unit_test(tensors_convert_from_unaligned_data),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
