#include "reference/reference.h"

#include "reference/wide.h"

#include <math.h>

/* The angle of position 2^20 is 1e6 at most; float64 leaves 1e-10 of a radian there. */
void gqe_wide_rope_angles(gqe_rope rope, double theta, uint32_t head_dim, uint64_t position, double *angles)
{
	for (uint32_t pair = 0; pair < head_dim / 2; pair++) {
		double angle = rope == GQE_ROPE_NONE ? 0 : (double)position * pow(theta, -2.0 * pair / head_dim);
		angles[2 * pair] = cos(angle);
		angles[2 * pair + 1] = sin(angle);
	}
}

void gqe_wide_rope_rotate(gqe_rope rope, uint32_t head_dim, const double *angles, double scale, double *head)
{
	if (rope == GQE_ROPE_NONE) {
		for (uint32_t i = 0; i < head_dim; i++)
			head[i] *= scale;
		return;
	}
	uint32_t half = head_dim / 2;
	for (uint32_t pair = 0; pair < half; pair++) {
		double *first = rope == GQE_ROPE_HALF ? &head[pair] : &head[2 * pair];
		double *second = rope == GQE_ROPE_HALF ? &head[pair + half] : &head[2 * pair + 1];
		double cosine = angles[2 * pair], sine = angles[2 * pair + 1];
		double a = *first, b = *second;
		*first = (a * cosine - b * sine) * scale;
		*second = (b * cosine + a * sine) * scale;
	}
}

void gqe_reference_rope(gqe_rope rope, double theta, uint32_t head_dim, uint64_t position, double scale, float *head)
{
	double angles[GQE_MAX_HEAD_DIM] = {0}, wide[GQE_MAX_HEAD_DIM];
	for (uint32_t i = 0; i < head_dim; i++)
		wide[i] = head[i];
	gqe_wide_rope_angles(rope, theta, head_dim, position, angles);
	gqe_wide_rope_rotate(rope, head_dim, angles, scale, wide);
	for (uint32_t i = 0; i < head_dim; i++)
		head[i] = (float)wide[i];
}
