/* The parts of the reference against plain long double sums and known values. The layer: test_reference_layer.c. */
#include "reference/reference.h"

#include "common/philox.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One rounding to float32 of a sum that is right to float64. */
static void assert_rounded(float value, long double expected)
{
	assert_true(fabsl(value - expected) <= 6.0e-8L * fabsl(expected) + 1e-12L);
}

static float *normals(uint64_t seed, size_t count)
{
	struct gqe_random random = gqe_random_seed(seed, count);
	float *values = malloc(count * sizeof *values);
	assert_non_null(values);
	for (size_t i = 0; i < count; i++)
		values[i] = gqe_random_normal(&random);
	return values;
}

/* --------------------------------------------------------------------------------------------------------------- gemm -- */

struct gemm_case {
	uint32_t rows, cols, depth, padding; /* padding: elements between a row's end and the next row */
	bool bias, residual;
};

static void check_gemm(const struct gemm_case *c)
{
	uint32_t a_stride = c->depth + c->padding, w_stride = c->depth + 2 * c->padding, c_stride = c->cols + c->padding;
	float *a = normals(1, (size_t)c->rows * a_stride), *w = normals(2, (size_t)c->cols * w_stride);
	float *bias = normals(3, c->cols), *before = normals(4, (size_t)c->rows * c_stride);
	float *out = malloc((size_t)c->rows * c_stride * sizeof *out);
	assert_non_null(out);
	memcpy(out, before, (size_t)c->rows * c_stride * sizeof *out);
	gqe_reference_gemm(3, c->rows, c->cols, c->depth, a, a_stride, w, w_stride, c->bias ? bias : NULL, c->residual ? out : NULL,
			   out, c_stride);
	for (uint32_t row = 0; row < c->rows; row++) {
		for (uint32_t col = 0; col < c->cols; col++) {
			long double sum = 0;
			for (uint32_t i = 0; i < c->depth; i++)
				sum += (long double)a[row * a_stride + i] * w[col * w_stride + i];
			sum += c->bias ? bias[col] : 0;
			sum += c->residual ? before[row * c_stride + col] : 0;
			assert_rounded(out[row * c_stride + col], sum);
		}
		for (uint32_t pad = c->cols; pad < c_stride; pad++)
			assert_true(out[row * c_stride + pad] == before[row * c_stride + pad]);
	}
	free(a);
	free(w);
	free(bias);
	free(before);
	free(out);
}

static void gemm_is_the_plain_sum(void **state)
{
	(void)state;
	const struct gemm_case cases[] = {
		{1, 1, 1, 0, false, false},    {1, 70, 300, 0, true, false},  {65, 33, 257, 3, true, true},
		{32, 32, 256, 0, false, true}, {3, 5, 1023, 1, false, false}, {100, 2, 3, 5, true, true},
	};
	for (size_t i = 0; i < GQE_COUNT(cases); i++)
		check_gemm(&cases[i]);
}

/* ------------------------------------------------------------------------------------------ around the attention layer -- */

static void embed_copies_rows(void **state)
{
	(void)state;
	const float table[] = {0, 1, 2, 3, 4, 5};
	const int32_t tokens[] = {2, 0, 2};
	float x[6];
	gqe_reference_embed(tokens, table, 3, 2, x);
	assert_memory_equal(x, ((const float[]){4, 5, 0, 1, 4, 5}), sizeof x);
}

static void norms(void **state)
{
	(void)state;
	enum { ROWS = 7, WIDTH = 33 };
	float *x = normals(5, ROWS * WIDTH), *weight = normals(6, WIDTH), *bias = normals(7, WIDTH);
	float rms[ROWS * WIDTH], layer[ROWS * WIDTH];
	gqe_reference_norm(2, GQE_NORM_RMSNORM, 1e-3, ROWS, WIDTH, x, weight, NULL, rms);
	gqe_reference_norm(2, GQE_NORM_LAYERNORM, 1e-3, ROWS, WIDTH, x, weight, bias, layer);
	for (int row = 0; row < ROWS; row++) {
		long double mean = 0, squares = 0, variance = 0;
		for (int i = 0; i < WIDTH; i++)
			mean += x[row * WIDTH + i] / (long double)WIDTH;
		for (int i = 0; i < WIDTH; i++) {
			squares += powl(x[row * WIDTH + i], 2) / WIDTH;
			variance += powl(x[row * WIDTH + i] - mean, 2) / WIDTH;
		}
		for (int i = 0; i < WIDTH; i++) {
			int at = row * WIDTH + i;
			assert_rounded(rms[at], x[at] / sqrtl(squares + 1e-3) * weight[i]);
			assert_rounded(layer[at], (x[at] - mean) / sqrtl(variance + 1e-3) * weight[i] + bias[i]);
		}
	}
	free(x);
	free(weight);
	free(bias);
}

static void activations(void **state)
{
	(void)state;
	const float gate[] = {0, 1, -1, 200, -200, 30}, up[] = {5, 2, 2, 3, 3, -1};
	float out[6];
	gqe_reference_activation(GQE_MLP_SWIGLU, 6, gate, up, out);
	const long double silu[] = {0, 2 * 0.731058578630004879L, -2 * 0.268941421369995121L, 600, 0, -30};
	for (int i = 0; i < 6; i++)
		assert_true(fabsl(out[i] - silu[i]) <= 6e-8L * fabsl(silu[i]) + 1e-11L);

	float x[] = {0, 1, -1, 3, -3, 100};
	const long double gelu[] = {0, 0.841344746068542949L, -0.158655253931457051L, 2.995950305909704L, -0.004049694090296L, 100};
	gqe_reference_activation(GQE_MLP_GELU, 6, NULL, x, x);
	for (int i = 0; i < 6; i++)
		assert_rounded(x[i], gelu[i]);
}

static void nll_of_known_distributions(void **state)
{
	(void)state;
	enum { VOCAB = 5 };
	const float logits[4 * VOCAB] = {
		7,     7,      7, 7, 7, /* uniform: ln 5 */
		0,     1000,   0, 0, 0, /* certain */
		0,     1000,   0, 0, 0, /* certainly wrong */
		1e30f, -1e30f, 0, 0, 0  /* a target that is not asked for */
	};
	const int32_t targets[] = {3, 1, 0, -1};
	float nll[4];
	gqe_reference_nll(2, 4, VOCAB, logits, targets, nll);
	assert_rounded(nll[0], logl(5));
	assert_true(nll[1] == 0);
	assert_true(nll[2] == 1000);
	assert_true(nll[3] == 0);
}

/* ------------------------------------------------------------------------------------------------------------ routing -- */

static void routing_sums_to_one(void **state)
{
	(void)state;
	enum { ROWS = 50, EXPERTS = 24, GROUPS = 4, M = EXPERTS / GROUPS, K = 3 };
	float *logits = normals(8, ROWS * EXPERTS);
	float probability[ROWS * EXPERTS], selected[ROWS * GROUPS * K], gate[ROWS * GROUPS * K];
	int32_t experts[ROWS * GROUPS * K];
	gqe_reference_route(ROWS, EXPERTS, GROUPS, K, GQE_SLOT_ORDER_RANK, logits, probability, experts, selected, gate);
	for (int row = 0; row < ROWS; row++) {
		double gates = 0, chosen = 0;
		for (int group = 0; group < GROUPS; group++) {
			const float *p = probability + row * EXPERTS + group * M;
			const int32_t *e = experts + (row * GROUPS + group) * K;
			double sum = 0;
			for (int i = 0; i < M; i++)
				sum += p[i];
			assert_true(fabs(sum - 1) < 1e-6);
			for (int j = 0; j < K; j++) {
				int slot = (row * GROUPS + group) * K + j;
				assert_in_range(e[j], 0, M - 1);
				assert_true(selected[slot] == p[e[j]]);
				assert_true(j == 0 || p[e[j]] < p[e[j - 1]]);
				gates += gate[slot];
				chosen += selected[slot];
				for (int i = 0; i < M; i++) /* nobody outside the selection is above its last */
					assert_true(p[i] <= p[e[K - 1]] || i == e[0] || i == e[1]);
			}
		}
		assert_true(fabs(gates - 1) < 1e-6);
		for (int slot = row * GROUPS * K; slot < (row + 1) * GROUPS * K; slot++)
			assert_true(fabs(gate[slot] - selected[slot] / chosen) < 1e-6);
	}
	free(logits);
}

static void selection_order(void **state)
{
	(void)state;
	const struct {
		float logits[4];
		gqe_slot_order order;
		int32_t experts[3];
	} cases[] = {
		{{1, 3, 2, 0}, GQE_SLOT_ORDER_RANK, {1, 2, 0}},
		{{1, 3, 2, 0}, GQE_SLOT_ORDER_EXPERT, {0, 1, 2}},
		{{5, 5, 5, 5}, GQE_SLOT_ORDER_RANK, {0, 1, 2}},
		{{0, 2, 2, 9}, GQE_SLOT_ORDER_RANK, {3, 1, 2}},
		{{-3e9f, -2e9f, 0, 1e9f}, GQE_SLOT_ORDER_RANK, {3, 2, 1}}, /* all probabilities but one are 0 */
		{{0, 9, 0, 2}, GQE_SLOT_ORDER_EXPERT, {0, 1, 3}},
	};
	for (size_t i = 0; i < GQE_COUNT(cases); i++) {
		int32_t experts[3];
		gqe_reference_route(1, 4, 1, 3, cases[i].order, cases[i].logits, NULL, experts, NULL, NULL);
		assert_memory_equal(experts, cases[i].experts, sizeof experts);
	}
}

static void nan_logits_still_select_different_experts(void **state)
{
	(void)state;
	const float logits[] = {NAN, NAN, 1, NAN};
	int32_t experts[4];
	gqe_reference_route(1, 4, 1, 4, GQE_SLOT_ORDER_EXPERT, logits, NULL, experts, NULL, NULL);
	assert_memory_equal(experts, ((const int32_t[]){0, 1, 2, 3}), sizeof experts);
}

static void combine_weighs_then_scales(void **state)
{
	(void)state;
	const float gate[] = {0.25f, 0.75f}, selected[] = {0.5f, 2.0f};
	const float before[] = {1, 2, 3, 4, NAN, NAN, 7, 8}; /* two hard slots, the weighted sum's, the shared head's */
	float o[8];
	memcpy(o, before, sizeof o);
	gqe_reference_combine(1, 2, 4, 2, gate, selected, 2, true, o);
	assert_memory_equal(o, ((const float[]){0.5f, 1, 6, 8, 2.5f, 3.5f, 7, 8}), sizeof o);
	memcpy(o, before, sizeof o);
	gqe_reference_combine(1, 2, 4, 2, gate, selected, 2, false, o);
	assert_memory_equal(o, ((const float[]){1, 2, 3, 4, 2.5f, 3.5f, 7, 8}), sizeof o);
	gqe_reference_combine(1, 2, 4, 2, NULL, selected, -1, true, o);
	assert_memory_equal(o, ((const float[]){0.5f, 1, 6, 8, 2.5f, 3.5f, 7, 8}), sizeof o);
}

/* --------------------------------------------------------------------------------------------------------------- RoPE -- */

static void rope_rotates_by_the_angle(void **state)
{
	(void)state;
	enum { HEAD = 80 };
	const uint64_t positions[] = {0, 1, 4097, 1048575};
	for (size_t p = 0; p < GQE_COUNT(positions); p++) {
		float *head = normals(9, HEAD), half[HEAD], interleaved[HEAD], none[HEAD];
		memcpy(half, head, sizeof half);
		memcpy(interleaved, head, sizeof half);
		memcpy(none, head, sizeof half);
		gqe_reference_rope(GQE_ROPE_HALF, 10000, HEAD, positions[p], 0.5, half);
		gqe_reference_rope(GQE_ROPE_INTERLEAVED, 10000, HEAD, positions[p], 0.5, interleaved);
		gqe_reference_rope(GQE_ROPE_NONE, 10000, HEAD, positions[p], 0.5, none);
		for (int i = 0; i < HEAD / 2; i++) {
			long double angle = positions[p] * powl(10000, -2.0L * i / HEAD);
			long double c = cosl(angle) / 2, s = sinl(angle) / 2;
			const long double tolerance = 1e-6L;
			float a = head[i], b = head[i + HEAD / 2];
			assert_true(fabsl(half[i] - (a * c - b * s)) < tolerance);
			assert_true(fabsl(half[i + HEAD / 2] - (b * c + a * s)) < tolerance);
			a = head[2 * i], b = head[2 * i + 1];
			assert_true(fabsl(interleaved[2 * i] - (a * c - b * s)) < tolerance);
			assert_true(fabsl(interleaved[2 * i + 1] - (b * c + a * s)) < tolerance);
		}
		for (int i = 0; i < HEAD; i++)
			assert_true(none[i] == head[i] / 2);
		free(head);
	}
}

/* ---------------------------------------------------------------------------------------------------------- attention -- */

static void attend_is_the_plain_softmax(void **state)
{
	(void)state;
	const uint32_t head_dims[] = {2, 16, 80, 256}, key_counts[] = {1, 2, 31, 32, 33, 200};
	for (size_t h = 0; h < GQE_COUNT(head_dims); h++) {
		for (size_t n = 0; n < GQE_COUNT(key_counts); n++) {
			uint32_t head_dim = head_dims[h], keys = key_counts[n];
			float *q = normals(10, head_dim), *k = normals(11, (size_t)keys * head_dim);
			float *v = normals(12, (size_t)keys * head_dim), out[256];
			gqe_reference_attend(head_dim, keys, q, k, v, out);
			long double weight[200], sum = 0, largest = -INFINITY;
			for (uint32_t key = 0; key < keys; key++) {
				weight[key] = 0;
				for (uint32_t i = 0; i < head_dim; i++)
					weight[key] += (long double)q[i] * k[key * head_dim + i];
				largest = fmaxl(largest, weight[key]);
			}
			for (uint32_t key = 0; key < keys; key++)
				sum += weight[key] = expl(weight[key] - largest);
			for (uint32_t i = 0; i < head_dim; i++) {
				long double expected = 0;
				for (uint32_t key = 0; key < keys; key++)
					expected += weight[key] / sum * v[key * head_dim + i];
				assert_rounded(out[i], expected);
			}
			free(q);
			free(k);
			free(v);
		}
	}
}

static void attention_weights_sum_to_one(void **state)
{
	(void)state;
	enum { HEAD = 16, KEYS = 300 };
	float *q = normals(13, HEAD), *k = normals(14, KEYS * HEAD), *v = normals(15, KEYS * HEAD), out[HEAD];
	for (int i = 0; i < KEYS * HEAD; i++)
		v[i] = 3.25f;
	for (int i = 0; i < HEAD; i++)
		q[i] *= 1000; /* scores in the thousands, whose plain exp would overflow */
	gqe_reference_attend(HEAD, KEYS, q, k, v, out);
	for (int i = 0; i < HEAD; i++)
		assert_true(out[i] == 3.25f);
	free(q);
	free(k);
	free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gemm_is_the_plain_sum),
		cmocka_unit_test(embed_copies_rows),
		cmocka_unit_test(norms),
		cmocka_unit_test(activations),
		cmocka_unit_test(nll_of_known_distributions),
		cmocka_unit_test(routing_sums_to_one),
		cmocka_unit_test(selection_order),
		cmocka_unit_test(nan_logits_still_select_different_experts),
		cmocka_unit_test(combine_weighs_then_scales),
		cmocka_unit_test(rope_rotates_by_the_angle),
		cmocka_unit_test(attend_is_the_plain_softmax),
		cmocka_unit_test(attention_weights_sum_to_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
