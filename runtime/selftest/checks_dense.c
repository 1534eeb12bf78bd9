/* embed, norm, gemm, activation, nll: the kernels that any transformer has. */
#include "selftest/checks.h"

#include <string.h>

#include "reference/reference.h"

void gqe_check_embed(struct gqe_check *check)
{
	uint32_t rows = gqe_check_tokens(check), vocab = gqe_check_between(check, 1, 400);
	uint32_t width = gqe_check_between(check, 1, 300);
	uint32_t stride = (uint32_t)gqe_align_up(width, 4) + 4 * gqe_check_between(check, 0, 1);
	gqe_check_shape(check, "rows=%u vocab=%u width=%u stride=%u", rows, vocab, width, stride);
	float *table = gqe_check_normal_weights(check, (uint64_t)vocab * width);
	int32_t *tokens = gqe_check_alloc(check, rows, sizeof(*tokens));
	for (uint32_t i = 0; tokens != NULL && i < rows; i++)
		tokens[i] = (int32_t)gqe_random_below(&check->random, vocab);
	struct gqe_check_tensor *in = gqe_check_ints(check, "tokens", tokens, rows);
	struct gqe_matrix_layout layout = {0};
	struct gqe_check_tensor *weights = gqe_check_matrix(check, "table", table, vocab, width, stride, &layout);
	struct gqe_check_tensor *out = gqe_check_output(check, "x", sizeof(float), (uint64_t)rows * width);
	float *expected = gqe_check_alloc(check, (uint64_t)rows * width, sizeof(*expected));
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_embed push = {
		.tokens = in->buffer.address,
		.table = weights->buffer.address,
		.x = out->buffer.address,
		.rows = rows,
		.width = width,
		.table_stride = stride,
		.table_lanes = layout.lanes,
	};
	while (gqe_check_pass(check))
		gqe_record_embed(&check->recorder, check->dtype, &push);
	gqe_reference_embed(tokens, table, rows, width, expected);
	gqe_check_compare(check, out, expected, GQE_CHECK_TOLERANCE_ELEMENTWISE);
}

void gqe_check_norm(struct gqe_check *check)
{
	uint32_t rows = gqe_check_tokens(check), width = gqe_check_between(check, 1, 1500);
	bool is_layer = gqe_check_between(check, 0, 1), has_bias = is_layer && gqe_check_between(check, 0, 1);
	const float eps = 1e-5f;
	gqe_check_shape(check, "%s rows=%u width=%u bias=%d", is_layer ? "layernorm" : "rmsnorm", rows, width, has_bias);
	uint64_t count = (uint64_t)rows * width;
	float *x = gqe_check_normal(check, count), *weight = gqe_check_normal(check, width), *bias = gqe_check_normal(check, width);
	struct gqe_check_tensor *x_in = gqe_check_floats(check, "x", x, count);
	struct gqe_check_tensor *weight_in = gqe_check_floats(check, "weight", weight, width);
	struct gqe_check_tensor *bias_in = gqe_check_floats(check, "bias", bias, width);
	struct gqe_check_tensor *out = gqe_check_output(check, "y", sizeof(float), count);
	float *expected = gqe_check_alloc(check, count, sizeof(*expected));
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_norm push = {
		.x = x_in->buffer.address,
		.weight = weight_in->buffer.address,
		.bias = has_bias ? bias_in->buffer.address : 0,
		.y = out->buffer.address,
		.rows = rows,
		.width = width,
		.kind = is_layer ? GQE_NORM_KIND_LAYER : GQE_NORM_KIND_RMS,
		.eps = eps,
	};
	while (gqe_check_pass(check))
		gqe_record_norm(&check->recorder, check->dtype, &push);
	gqe_reference_norm(check->threads, is_layer ? GQE_NORM_LAYERNORM : GQE_NORM_RMSNORM, eps, rows, width, x, weight,
			   has_bias ? bias : NULL, expected);
	gqe_check_compare(check, out, expected, GQE_CHECK_TOLERANCE_SUM);
}

/* residual: not there, another tensor, or c itself. */
enum { RESIDUAL_NONE, RESIDUAL_OTHER, RESIDUAL_IN_PLACE };

void gqe_check_gemm(struct gqe_check *check)
{
	uint32_t rows = gqe_check_tokens(check), cols = gqe_check_between(check, 1, 200);
	uint32_t depth = gqe_check_between(check, 1, check->number % 3 == 2 ? 1200 : 300);
	if (check->number % 4 == 3 && check->recorder.capabilities->max_loop_iterations != UINT32_MAX) {
		/*
		 * Deeper than the scalar path may take at once. Over so many columns the error is 4e-7; over a few, whose sums may
		 * all be small, it would be anything.
		 */
		rows = 2;
		cols = 64;
		depth = check->recorder.capabilities->max_loop_iterations + 5;
	}
	uint32_t a_stride = depth + gqe_check_between(check, 0, 3), c_stride = cols + gqe_check_between(check, 0, 3);
	uint32_t w_stride = (uint32_t)gqe_align_up(depth, 4) + 4 * gqe_check_between(check, 0, 1);
	if (check->number % 4 == 1) { /* what tiles divide */
		cols = 64 * gqe_check_between(check, 1, 4);
		depth = a_stride = 64 * gqe_check_between(check, 1, 5);
		w_stride = depth + 8 * gqe_check_between(check, 0, 1);
		c_stride = cols;
	}
	uint32_t residual = gqe_check_between(check, 0, 2), has_bias = gqe_check_between(check, 0, 1);
	gqe_check_shape(check, "rows=%u cols=%u depth=%u strides=%u,%u,%u bias=%u residual=%s", rows, cols, depth, a_stride,
			w_stride, c_stride, has_bias,
			residual == RESIDUAL_NONE    ? "none"
			: residual == RESIDUAL_OTHER ? "other"
						     : "c");
	uint64_t c_count = (uint64_t)rows * c_stride;
	float *a = gqe_check_normal(check, (uint64_t)rows * a_stride);
	float *w = gqe_check_normal_weights(check, (uint64_t)cols * depth);
	float *bias = gqe_check_normal(check, cols), *added = gqe_check_normal(check, c_count);
	struct gqe_check_tensor *a_in = gqe_check_floats(check, "a", a, (uint64_t)rows * a_stride);
	struct gqe_matrix_layout layout = {0};
	struct gqe_check_tensor *w_in = gqe_check_matrix(check, "w", w, cols, depth, w_stride, &layout);
	struct gqe_check_tensor *bias_in = gqe_check_floats(check, "bias", bias, cols);
	struct gqe_check_tensor *other = gqe_check_floats(check, "residual", added, c_count);
	struct gqe_check_tensor *c = residual == RESIDUAL_IN_PLACE ? gqe_check_inout(check, "c", added, c_count)
								   : gqe_check_output(check, "c", sizeof(float), c_count);
	float *expected = gqe_check_untouched(check, c_count);
	if (!gqe_check_place(check))
		return;
	const struct gqe_check_tensor *residual_in = residual == RESIDUAL_IN_PLACE ? c : other;
	const struct gqe_push_gemm push = {
		.a = a_in->buffer.address,
		.w = w_in->buffer.address,
		.bias = has_bias ? bias_in->buffer.address : 0,
		.residual = residual == RESIDUAL_NONE ? 0 : residual_in->buffer.address,
		.c = c->buffer.address,
		.rows = rows,
		.cols = cols,
		.depth = depth,
		.a_stride = a_stride,
		.w_stride = w_stride,
		.w_lanes = layout.lanes,
		.c_stride = c_stride,
		.has_bias = has_bias,
		.has_residual = residual != RESIDUAL_NONE,
	};
	while (gqe_check_pass(check))
		gqe_record_gemm(&check->recorder, check->dtype, &push);
	gqe_reference_gemm(check->threads, rows, cols, depth, a, a_stride, w, depth, has_bias ? bias : NULL,
			   residual == RESIDUAL_NONE ? NULL : added, expected, c_stride);
	bool is_f16 = gqe_check_multiplies_f16(check, GQE_KERNEL_GEMM);
	gqe_check_compare(check, c, expected, is_f16 ? GQE_CHECK_TOLERANCE_SUM_F16 : GQE_CHECK_TOLERANCE_SUM);
}

void gqe_check_activation(struct gqe_check *check)
{
	uint32_t count = gqe_check_tokens(check) * gqe_check_between(check, 1, 300);
	bool is_gelu = gqe_check_between(check, 0, 1), in_place = gqe_check_between(check, 0, 1);
	gqe_check_shape(check, "%s count=%u%s", is_gelu ? "gelu" : "swiglu", count, in_place ? " in place" : "");
	float *gate = gqe_check_normal(check, count), *up = gqe_check_normal(check, count);
	/* Far out, where an exponential overflows or a tail cancels. */
	for (uint32_t i = 0; gate != NULL && up != NULL && i < count; i++) {
		gate[i] *= i % 16 == 0 ? 60 : 3;
		up[i] *= i % 16 == 0 ? 20 : 2;
	}
	struct gqe_check_tensor *gate_in = gqe_check_floats(check, "gate", gate, count);
	struct gqe_check_tensor *up_in =
		in_place ? gqe_check_inout(check, "up", up, count) : gqe_check_floats(check, "up", up, count);
	struct gqe_check_tensor *out = in_place ? up_in : gqe_check_output(check, "y", sizeof(float), count);
	float *expected = gqe_check_alloc(check, count, sizeof(*expected));
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_activation push = {
		.gate = is_gelu ? 0 : gate_in->buffer.address,
		.up = up_in->buffer.address,
		.y = out->buffer.address,
		.count = count,
		.kind = is_gelu ? GQE_MLP_KIND_GELU : GQE_MLP_KIND_SWIGLU,
	};
	while (gqe_check_pass(check))
		gqe_record_activation(&check->recorder, check->dtype, &push);
	gqe_reference_activation(is_gelu ? GQE_MLP_GELU : GQE_MLP_SWIGLU, count, is_gelu ? NULL : gate, up, expected);
	gqe_check_compare(check, out, expected, GQE_CHECK_TOLERANCE_ELEMENTWISE);
}

void gqe_check_nll(struct gqe_check *check)
{
	uint32_t rows = gqe_check_tokens(check), vocab = gqe_check_between(check, 1, 1000);
	gqe_check_shape(check, "rows=%u vocab=%u", rows, vocab);
	uint64_t count = (uint64_t)rows * vocab;
	float *logits = gqe_check_normal(check, count);
	for (uint64_t i = 0; logits != NULL && i < count; i++)
		logits[i] *= 4;
	int32_t *targets = gqe_check_alloc(check, rows, sizeof(*targets));
	for (uint32_t i = 0; targets != NULL && i < rows; i++)
		targets[i] = (int32_t)gqe_random_below(&check->random, vocab + vocab / 8) - (int32_t)(vocab / 8);
	struct gqe_check_tensor *logits_in = gqe_check_floats(check, "logits", logits, count);
	struct gqe_check_tensor *targets_in = gqe_check_ints(check, "targets", targets, rows);
	struct gqe_check_tensor *out = gqe_check_output(check, "nll", sizeof(float), rows);
	float *expected = gqe_check_alloc(check, rows, sizeof(*expected));
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_nll push = {
		.logits = logits_in->buffer.address,
		.targets = targets_in->buffer.address,
		.nll = out->buffer.address,
		.rows = rows,
		.vocab = vocab,
	};
	while (gqe_check_pass(check))
		gqe_record_nll(&check->recorder, check->dtype, &push);
	gqe_reference_nll(check->threads, rows, vocab, logits, targets, expected);
	gqe_check_compare(check, out, expected, GQE_CHECK_TOLERANCE_SUM);
}
