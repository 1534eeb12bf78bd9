/* F16 and BF16 to and from F32, round to nearest even, in plain C so that it is the same on every compiler. */
#ifndef GQE_HALF_H
#define GQE_HALF_H

#include <gqe/gqe.h>

float gqe_f16_to_f32(uint16_t half);
uint16_t gqe_f32_to_f16(float value); /* overflow gives infinity, NaN stays NaN, denormals are kept */
float gqe_bf16_to_f32(uint16_t bfloat);
uint16_t gqe_f32_to_bf16(float value);

/* Elements first...first+count-1 of a tensor (F32, F16 or BF16; data may be unaligned) as F32. */
void gqe_tensor_to_f32(const gqe_tensor *tensor, uint64_t first, uint64_t count, float *out /* [count] */);
/* The same as F16; a finite value too large for F16 becomes the largest finite one. */
void gqe_tensor_to_f16(const gqe_tensor *tensor, uint64_t first, uint64_t count, uint16_t *out /* [count] */);

#endif
