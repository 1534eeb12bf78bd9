#include "common/half.h"

#include <string.h>

/* Bit patterns of F32 at which the conversion to F16 changes its rule. */
#define F32_INFINITY 0x7f800000u
#define F32_F16_OVERFLOW 0x477ff000u         /* 65520: halfway between the largest F16 and 2^16; from here on infinity */
#define F32_F16_NORMAL 0x38800000u           /* 2^-14: the smallest normal F16 */
#define F32_F16_UNDERFLOW 0x33000000u        /* 2^-25: half the smallest F16; a tie, so it and everything below is 0 */
#define EXPONENT_BIAS_DIFFERENCE 0x38000000u /* (127 - 15) << 23 */

#define F16_MAX 0x7bffu
#define F16_INFINITY 0x7c00u

static uint32_t bits_of(float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof bits);
	return bits;
}

static float float_of(uint32_t bits)
{
	float value;
	memcpy(&value, &bits, sizeof value);
	return value;
}

/* value / 2^shift, to nearest, ties to even; 0 < shift < 32 and no overflow. */
static uint32_t shift_right_rounded(uint32_t value, uint32_t shift)
{
	uint32_t odd = (value >> shift) & 1;
	return (value + (1u << (shift - 1)) - 1 + odd) >> shift;
}

float gqe_f16_to_f32(uint16_t half)
{
	uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
	uint32_t magnitude = half & 0x7fffu;
	if (magnitude >= F16_INFINITY) /* infinity, or NaN with its payload */
		return float_of(sign | F32_INFINITY | magnitude << 13);
	if (magnitude >= 0x0400u)
		return float_of(sign | ((magnitude << 13) + EXPONENT_BIAS_DIFFERENCE));
	/* Zero and denormals count 2^-24; the product is a normal float, so exact whatever the FPU does with denormals. */
	return float_of(sign | bits_of((float)magnitude * 0x1p-24f));
}

uint16_t gqe_f32_to_f16(float value)
{
	uint32_t bits = bits_of(value);
	uint32_t sign = bits >> 16 & 0x8000u;
	uint32_t magnitude = bits & 0x7fffffffu;
	if (magnitude > F32_INFINITY) /* quiet, with the upper bits of the payload */
		return (uint16_t)(sign | 0x7e00u | (magnitude >> 13 & 0x1ffu));
	if (magnitude >= F32_F16_OVERFLOW)
		return (uint16_t)(sign | F16_INFINITY);
	if (magnitude >= F32_F16_NORMAL) /* a carry out of the mantissa raises the exponent, as it should */
		return (uint16_t)(sign | shift_right_rounded(magnitude - EXPONENT_BIAS_DIFFERENCE, 13));
	if (magnitude <= F32_F16_UNDERFLOW)
		return (uint16_t)sign;
	/* value = mantissa * 2^(exponent - 150), in units of 2^-24: mantissa >> (126 - exponent), a shift of 14...24. */
	uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
	return (uint16_t)(sign | shift_right_rounded(mantissa, 126 - (magnitude >> 23)));
}

float gqe_bf16_to_f32(uint16_t bfloat)
{
	return float_of((uint32_t)bfloat << 16);
}

uint16_t gqe_f32_to_bf16(float value)
{
	uint32_t bits = bits_of(value);
	if ((bits & 0x7fffffffu) > F32_INFINITY)
		return (uint16_t)(bits >> 16 | 0x40u);
	uint32_t odd = bits >> 16 & 1;
	return (uint16_t)((bits + 0x7fffu + odd) >> 16); /* at most infinity's pattern plus the sign: no wrap */
}

/* Little-endian elements at any address. */
static uint16_t load_u16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static float load_f32(const uint8_t *bytes)
{
	return float_of((uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24);
}

void gqe_tensor_to_f32(const gqe_tensor *tensor, uint64_t first, uint64_t count, float *out)
{
	const uint8_t *data = tensor->data;
	switch (tensor->dtype) {
	case GQE_DTYPE_F32:
		for (uint64_t i = 0; i < count; i++)
			out[i] = load_f32(data + 4 * (first + i));
		break;
	case GQE_DTYPE_F16:
		for (uint64_t i = 0; i < count; i++)
			out[i] = gqe_f16_to_f32(load_u16(data + 2 * (first + i)));
		break;
	case GQE_DTYPE_BF16:
		for (uint64_t i = 0; i < count; i++)
			out[i] = gqe_bf16_to_f32(load_u16(data + 2 * (first + i)));
		break;
	default: /* callers have checked the dtype */
		break;
	}
}

static uint16_t saturated_f16(float value)
{
	uint16_t half = gqe_f32_to_f16(value);
	bool overflowed = (half & 0x7fffu) == F16_INFINITY && (bits_of(value) & 0x7fffffffu) != F32_INFINITY;
	return overflowed ? (uint16_t)((half & 0x8000u) | F16_MAX) : half;
}

void gqe_tensor_to_f16(const gqe_tensor *tensor, uint64_t first, uint64_t count, uint16_t *out)
{
	const uint8_t *data = tensor->data;
	switch (tensor->dtype) {
	case GQE_DTYPE_F32:
		for (uint64_t i = 0; i < count; i++)
			out[i] = saturated_f16(load_f32(data + 4 * (first + i)));
		break;
	case GQE_DTYPE_F16:
		for (uint64_t i = 0; i < count; i++)
			out[i] = load_u16(data + 2 * (first + i));
		break;
	case GQE_DTYPE_BF16:
		for (uint64_t i = 0; i < count; i++)
			out[i] = saturated_f16(gqe_bf16_to_f32(load_u16(data + 2 * (first + i))));
		break;
	default: /* callers have checked the dtype */
		break;
	}
}
