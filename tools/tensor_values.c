#include "tensor_values.h"

#include <math.h>
#include <string.h>

static float f16_value(uint16_t half)
{
	int exponent = half >> 10 & 31, fraction = half & 1023;
	float magnitude = exponent == 0    ? ldexpf((float)fraction, -24)
			  : exponent == 31 ? (fraction ? NAN : INFINITY)
					   : ldexpf((float)(fraction | 1024), exponent - 25);
	return half & 0x8000 ? -magnitude : magnitude;
}

static float bf16_value(uint16_t bfloat)
{
	uint32_t bits = (uint32_t)bfloat << 16;
	float value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

bool tensor_values(const gqe_tensor *tensor, float *values)
{
	if (tensor->dtype == GQE_DTYPE_F32) {
		memcpy(values, tensor->data, tensor->bytes);
		return true;
	}
	if (tensor->dtype != GQE_DTYPE_F16 && tensor->dtype != GQE_DTYPE_BF16)
		return false;
	for (uint64_t i = 0; i < tensor->bytes / 2; i++) {
		uint16_t bits;
		memcpy(&bits, (const char *)tensor->data + 2 * i, sizeof(bits));
		values[i] = tensor->dtype == GQE_DTYPE_F16 ? f16_value(bits) : bf16_value(bits);
	}
	return true;
}
