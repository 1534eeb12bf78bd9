/* One check function per kernel: draws a shape from check->random, runs the kernel on it, compares with the reference. */
#ifndef GQE_SELFTEST_CHECKS_H
#define GQE_SELFTEST_CHECKS_H

#include "selftest/check.h"

#define GQE_CHECK_FUNCTION(name, NAME) void gqe_check_##name(struct gqe_check *check);
GQE_KERNELS(GQE_CHECK_FUNCTION)
#undef GQE_CHECK_FUNCTION

/* RoPE of a case whose sequences begin at position 0. */
struct gqe_check_rope {
	uint32_t kind; /* GQE_ROPE_KIND_... */
	double theta;
	float scale; /* what is multiplied by in the end */
	uint32_t tokens;
	struct gqe_check_tensor *turns; /* [batch * tokens, head_dim / 2, 2] */
};
struct gqe_check_rope gqe_check_draw_rope(struct gqe_check *check, uint32_t batch, uint32_t tokens, uint32_t head_dim);
/* How weights whose columns are channels of heads rotated so are laid out; gqe_check_matrix says in which blocks. */
struct gqe_matrix_layout gqe_check_heads_layout(const struct gqe_check_rope *rope, uint32_t head_dim);
/* Rotates and scales a head [head_dim] of row `row`. */
void gqe_check_rotate(const struct gqe_check_rope *rope, uint32_t row, uint32_t head_dim, float *head);

/*
 * Tolerances, as relative L2 error. u = 2^-24 is f32's rounding unit. They do not depend on the case's dtype, since the reference
 * gets the rounded weights and all arithmetic is f32; only what is stored as f16 is coarser.
 *
 *  ELEMENTWISE  a few roundings and a function good to 2e-7, each at most u to 3u of the value
 *  SUM          sums of n terms of random sign: u/4 * sqrt(n), in blocks of 256, plus the blocks: below 4e-7 at the sizes drawn
 *  ATTENTION    for scores that spread by s (in powers of e): a score is a sum of d_h products, off by u/4 * sqrt(d_h) * s at most,
 *               1e-6 at d_h 256 and s 1, and so is the probability it becomes; with one query and few keys that count, nothing
 *               averages it out. The sum over the keys adds as above. Hence 1e-6 * (1 + s).
 *  *_F16        on the paths that multiply in f16 the factors that are not stored as f16 are rounded to it, each by 2^-11 of its
 *               value at most (2^-10 where a driver rounds towards zero): sums are off by as much, and a score by 2^-11 * s, which
 *               its probability multiplies, itself rounded once more
 *  *_PACKED     sums of up to eight products are f16 as well, each addition rounding what it has so far by
 *               sqrt(8) * 2^-11 / sqrt(3) on average, in the scores and again in the output, where one query of few
 *               keys has nothing to average it out
 *  STORED_F16   rounding to nearest is at most 2^-11 of a value; a driver may round towards zero, 2^-10
 */
#define GQE_CHECK_TOLERANCE_ELEMENTWISE 5e-7
#define GQE_CHECK_TOLERANCE_SUM 1e-6
#define GQE_CHECK_TOLERANCE_ATTENTION(spread) (1e-6 * (1 + (spread)))
#define GQE_CHECK_TOLERANCE_SUM_F16 1e-3
#define GQE_CHECK_TOLERANCE_ATTENTION_F16(spread) (5e-4 * (1 + (spread)))
#define GQE_CHECK_TOLERANCE_ATTENTION_PACKED(spread) (1e-3 * (1 + (spread)))
#define GQE_CHECK_TOLERANCE_STORED_F16 1e-3

#endif
