/* Properties of the reference layer that hold exactly, bit by bit: how a sequence is split must not show. */
#include "reference/reference.h"

#include "attention/layer_weights.h"
#include "common/philox.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 2, TOKENS = 300 }; /* more rows than one pass of the reference handles */

/* A layer with random weights, its input, and room for everything it puts out. */
struct layer {
	gqe_layer_config config;
	struct gqe_layer_shape shape;
	float *weight[GQE_LAYER_TENSORS], *bias[GQE_LAYER_TENSORS];
	struct gqe_reference_weights weights;
	float *x; /* [BATCH, TOKENS, d] */
};

struct output {
	uint32_t batch;
	float *y;       /* [batch, TOKENS, d] */
	float *k_cache; /* [batch, cache_heads, TOKENS, d_h] */
	float *v_cache;
	int32_t *experts; /* [batch, TOKENS, G, k] */
	float *gate;
	float *probability; /* [batch, TOKENS, N] */
	size_t y_bytes, cache_bytes, slot_bytes, probability_bytes;
};

static const gqe_layer_config variants[] = {
	{
		.hidden_size = 24,
		.heads = 8,
		.kv_heads = 4,
		.head_dim = 16,
		.attention = GQE_ATTENTION_GQE,
		.rope = GQE_ROPE_HALF,
		.rope_theta = 1e4,
		.top_k = 1,
		.shared_head = true,
		.shared_kv = GQE_SHARED_KV_GROUP,
		.shared_kv_group = 3,
		.weighted_sum_slot = true,
		.slot_order = GQE_SLOT_ORDER_RANK,
	},
	{
		.hidden_size = 33,
		.heads = 12,
		.kv_heads = 3,
		.head_dim = 10,
		.attention = GQE_ATTENTION_GQE,
		.rope = GQE_ROPE_INTERLEAVED,
		.rope_theta = 1e4,
		.top_k = 2,
		.shared_head = true,
		.shared_kv = GQE_SHARED_KV_MEAN,
		.weighted_sum_slot = true,
		.scale_expert_slots = true,
		.slot_order = GQE_SLOT_ORDER_RANK,
	},
	{
		.hidden_size = 24,
		.heads = 8,
		.kv_heads = 2,
		.head_dim = 16,
		.attention = GQE_ATTENTION_GQE,
		.rope = GQE_ROPE_HALF,
		.rope_theta = 1e4,
		.top_k = 3,
		.shared_head = true,
		.shared_kv = GQE_SHARED_KV_DEDICATED,
		.slot_order = GQE_SLOT_ORDER_EXPERT,
	},
	{
		.hidden_size = 24,
		.heads = 8,
		.kv_heads = 4,
		.head_dim = 16,
		.attention = GQE_ATTENTION_GQE,
		.rope = GQE_ROPE_NONE,
		.rope_theta = 1e4,
		.top_k = 1,
		.scale_expert_slots = true,
		.slot_order = GQE_SLOT_ORDER_RANK,
	},
	{
		.hidden_size = 24,
		.heads = 6,
		.kv_heads = 3,
		.head_dim = 16,
		.attention = GQE_ATTENTION_GQA,
		.rope = GQE_ROPE_HALF,
		.rope_theta = 1e4,
	},
};

static float *allocate(size_t count)
{
	float *values = malloc(count * sizeof *values);
	assert_non_null(values);
	for (size_t i = 0; i < count; i++)
		values[i] = NAN; /* poison: what is not written shows */
	return values;
}

static float *normals(uint64_t seed, size_t count, double scale)
{
	struct gqe_random random = gqe_random_seed(seed, count);
	float *values = allocate(count);
	for (size_t i = 0; i < count; i++)
		values[i] = (float)(scale * gqe_random_normal(&random));
	return values;
}

static void layer_create(struct layer *layer, const gqe_layer_config *config)
{
	*layer = (struct layer){.config = *config, .shape = gqe_layer_shape_of(config)};
	assert_int_equal(gqe_layer_config_check(config, NULL), GQE_OK);
	for (int i = 0; i < GQE_LAYER_TENSORS; i++) {
		uint64_t rows, cols;
		gqe_layer_tensor_shape(config, i, &rows, &cols);
		if (rows == 0)
			continue;
		layer->weight[i] = normals((uint64_t)i, rows * cols, 1 / sqrt((double)cols));
		layer->bias[i] = normals(100 + (uint64_t)i, rows, 0.5);
	}
	float **w = layer->weight, **b = layer->bias;
	layer->weights = (struct gqe_reference_weights){
		.q = w[GQE_LAYER_Q],
		.q_bias = b[GQE_LAYER_Q],
		.k = w[GQE_LAYER_K],
		.k_bias = b[GQE_LAYER_K],
		.v = w[GQE_LAYER_V],
		.v_bias = b[GQE_LAYER_V],
		.router = w[GQE_LAYER_ROUTER],
		.router_bias = b[GQE_LAYER_ROUTER],
		.o = w[GQE_LAYER_O],
		.o_bias = b[GQE_LAYER_O],
		.k_shared = w[GQE_LAYER_K_SHARED],
		.k_shared_bias = b[GQE_LAYER_K_SHARED],
		.v_shared = w[GQE_LAYER_V_SHARED],
		.v_shared_bias = b[GQE_LAYER_V_SHARED],
	};
	layer->x = normals(200, (size_t)BATCH * TOKENS * config->hidden_size, 1);
}

static void layer_destroy(struct layer *layer)
{
	for (int i = 0; i < GQE_LAYER_TENSORS; i++) {
		free(layer->weight[i]);
		free(layer->bias[i]);
	}
	free(layer->x);
}

static struct output output_create(const struct layer *layer, uint32_t batch)
{
	const gqe_layer_config *config = &layer->config;
	size_t tokens = (size_t)batch * TOKENS;
	size_t cache = tokens * layer->shape.cache_heads * config->head_dim;
	size_t slots = tokens * (config->attention == GQE_ATTENTION_GQE ? layer->shape.routed_slots : 0);
	struct output out = {
		.batch = batch,
		.y = allocate(tokens * config->hidden_size),
		.k_cache = allocate(cache),
		.v_cache = allocate(cache),
		.experts = calloc(slots + 1, sizeof(int32_t)),
		.gate = allocate(slots + 1),
		.probability = allocate(tokens * config->heads),
		.y_bytes = tokens * config->hidden_size * sizeof(float),
		.cache_bytes = cache * sizeof(float),
		.slot_bytes = slots * sizeof(float),
		.probability_bytes = slots ? tokens * config->heads * sizeof(float) : 0,
	};
	assert_non_null(out.experts);
	return out;
}

static void output_destroy(struct output *out)
{
	free(out->y);
	free(out->k_cache);
	free(out->v_cache);
	free(out->experts);
	free(out->gate);
	free(out->probability);
}

static void assert_equal_outputs(const struct output *a, const struct output *b)
{
	assert_memory_equal(a->y, b->y, a->y_bytes);
	assert_memory_equal(a->k_cache, b->k_cache, a->cache_bytes);
	assert_memory_equal(a->v_cache, b->v_cache, a->cache_bytes);
	if (a->slot_bytes == 0)
		return;
	assert_memory_equal(a->experts, b->experts, a->slot_bytes);
	assert_memory_equal(a->gate, b->gate, a->slot_bytes);
	assert_memory_equal(a->probability, b->probability, a->probability_bytes);
}

/* Runs tokens first...first+tokens-1 of sequence `sequence` of x, of a batch of one, into `out` (whose batch is one). */
static void run_part(const struct layer *layer, uint32_t threads, uint32_t sequence, uint32_t first, uint32_t tokens,
		     struct output *out)
{
	const gqe_layer_config *config = &layer->config;
	size_t slots = layer->shape.routed_slots;
	struct gqe_reference_cache cache = {out->k_cache, out->v_cache, layer->shape.cache_heads, TOKENS};
	struct gqe_reference_layer_io io = {
		.batch = 1,
		.tokens = tokens,
		.position = first,
		.x = layer->x + ((size_t)sequence * TOKENS + first) * config->hidden_size,
		.y = out->y + (size_t)first * config->hidden_size,
		.experts = out->slot_bytes ? out->experts + first * slots : NULL,
		.gate = out->slot_bytes ? out->gate + first * slots : NULL,
		.probability = out->slot_bytes ? out->probability + (size_t)first * config->heads : NULL,
	};
	assert_int_equal(gqe_reference_layer(threads, config, &layer->weights, &cache, &io, NULL), GQE_OK);
}

static void run_batch(const struct layer *layer, struct output *out)
{
	struct gqe_reference_cache cache = {out->k_cache, out->v_cache, layer->shape.cache_heads, TOKENS};
	struct gqe_reference_layer_io io = {
		.batch = BATCH,
		.tokens = TOKENS,
		.x = layer->x,
		.y = out->y,
		.experts = out->slot_bytes ? out->experts : NULL,
		.gate = out->slot_bytes ? out->gate : NULL,
		.probability = out->slot_bytes ? out->probability : NULL,
	};
	assert_int_equal(gqe_reference_layer(2, &layer->config, &layer->weights, &cache, &io, NULL), GQE_OK);
}

static void for_each_variant(void (*check)(const struct layer *layer, const struct output *whole))
{
	for (size_t i = 0; i < GQE_COUNT(variants); i++) {
		struct layer layer;
		layer_create(&layer, &variants[i]);
		struct output whole = output_create(&layer, 1);
		run_part(&layer, 2, 0, 0, TOKENS, &whole);
		for (size_t j = 0; j < whole.y_bytes / sizeof(float); j++)
			assert_true(isfinite(whole.y[j]));
		check(&layer, &whole);
		output_destroy(&whole);
		layer_destroy(&layer);
	}
}

static void check_chunks(const struct layer *layer, const struct output *whole)
{
	const uint32_t chunks[] = {1, 31, 32, 100, 299};
	for (size_t i = 0; i < GQE_COUNT(chunks); i++) {
		struct output out = output_create(layer, 1);
		for (uint32_t first = 0; first < TOKENS; first += chunks[i])
			run_part(layer, 2, 0, first, gqe_min_u32(chunks[i], TOKENS - first), &out);
		assert_equal_outputs(&out, whole);
		output_destroy(&out);
	}
}

static void chunks_equal_the_whole(void **state)
{
	(void)state;
	for_each_variant(check_chunks);
}

static void check_threads(const struct layer *layer, const struct output *whole)
{
	const uint32_t threads[] = {1, 3, 7};
	for (size_t i = 0; i < GQE_COUNT(threads); i++) {
		struct output out = output_create(layer, 1);
		run_part(layer, threads[i], 0, 0, TOKENS, &out);
		assert_equal_outputs(&out, whole);
		output_destroy(&out);
	}
}

static void thread_count_does_not_show(void **state)
{
	(void)state;
	for_each_variant(check_threads);
}

static void check_batch(const struct layer *layer, const struct output *whole)
{
	struct output batch = output_create(layer, BATCH), second = output_create(layer, 1);
	run_batch(layer, &batch);
	run_part(layer, 2, 1, 0, TOKENS, &second);
	assert_memory_equal(batch.y, whole->y, whole->y_bytes);
	assert_memory_equal(batch.y + whole->y_bytes / sizeof(float), second.y, whole->y_bytes);
	assert_memory_equal(batch.k_cache + whole->cache_bytes / sizeof(float), second.k_cache, whole->cache_bytes);
	assert_memory_equal(batch.experts + whole->slot_bytes / sizeof(int32_t), second.experts, whole->slot_bytes);
	output_destroy(&batch);
	output_destroy(&second);
}

static void sequences_do_not_see_each_other(void **state)
{
	(void)state;
	for_each_variant(check_batch);
}

static void check_future(const struct layer *layer, const struct output *whole)
{
	const uint32_t spoiled = 170;
	uint32_t width = layer->config.hidden_size;
	struct output out = output_create(layer, 1);
	float saved = layer->x[spoiled * width];
	layer->x[spoiled * width] = NAN;
	run_part(layer, 2, 0, 0, TOKENS, &out);
	layer->x[spoiled * width] = saved;
	assert_memory_equal(out.y, whole->y, spoiled * width * sizeof(float));
	for (size_t i = spoiled * width; i < TOKENS * width; i++)
		assert_true(isnan(out.y[i]));
	output_destroy(&out);
}

static void no_token_sees_a_later_one(void **state)
{
	(void)state;
	for_each_variant(check_future);
}

static void check_cache_only(const struct layer *layer, const struct output *whole)
{
	struct output out = output_create(layer, 1);
	struct gqe_reference_cache cache = {out.k_cache, out.v_cache, layer->shape.cache_heads, TOKENS};
	struct gqe_reference_layer_io io = {.batch = 1, .tokens = TOKENS, .x = layer->x};
	assert_int_equal(gqe_reference_layer(2, &layer->config, &layer->weights, &cache, &io, NULL), GQE_OK);
	assert_memory_equal(out.k_cache, whole->k_cache, whole->cache_bytes);
	assert_memory_equal(out.v_cache, whole->v_cache, whole->cache_bytes);
	output_destroy(&out);
}

static void without_y_the_cache_is_filled(void **state)
{
	(void)state;
	for_each_variant(check_cache_only);
}

static void check_residual(const struct layer *layer, const struct output *whole)
{
	size_t count = whole->y_bytes / sizeof(float);
	struct output out = output_create(layer, 1);
	struct gqe_reference_cache cache = {out.k_cache, out.v_cache, layer->shape.cache_heads, TOKENS};
	float *residual = normals(300, count, 1);
	memcpy(out.y, residual, whole->y_bytes);
	struct gqe_reference_layer_io io = {.batch = 1, .tokens = TOKENS, .x = layer->x, .y = out.y, .residual = out.y};
	assert_int_equal(gqe_reference_layer(2, &layer->config, &layer->weights, &cache, &io, NULL), GQE_OK);
	for (size_t i = 0; i < count; i++) /* `whole` was rounded before the sum here, after it there */
		assert_true(fabs(out.y[i] - ((double)whole->y[i] + residual[i])) <= 1.2e-7 * (fabs(whole->y[i]) + fabs(out.y[i])));
	free(residual);
	output_destroy(&out);
}

static void residual_is_added(void **state)
{
	(void)state;
	for_each_variant(check_residual);
}

/* With every expert selected, in ascending order and unscaled, GQE is GQA with the same projections. */
static void all_experts_are_dense_attention(void **state)
{
	(void)state;
	const gqe_layer_config gqe = {
		.hidden_size = 24,
		.heads = 8,
		.kv_heads = 4,
		.head_dim = 16,
		.attention = GQE_ATTENTION_GQE,
		.rope = GQE_ROPE_HALF,
		.rope_theta = 1e4,
		.top_k = 2,
		.slot_order = GQE_SLOT_ORDER_EXPERT,
	};
	gqe_layer_config gqa = gqe;
	gqa.attention = GQE_ATTENTION_GQA;
	struct layer routed, dense;
	layer_create(&routed, &gqe);
	layer_create(&dense, &gqa);
	struct output routed_out = output_create(&routed, 1), dense_out = output_create(&dense, 1);
	run_part(&routed, 2, 0, 0, TOKENS, &routed_out);
	run_part(&dense, 2, 0, 0, TOKENS, &dense_out);
	assert_memory_equal(routed_out.y, dense_out.y, dense_out.y_bytes);
	output_destroy(&routed_out);
	output_destroy(&dense_out);
	layer_destroy(&routed);
	layer_destroy(&dense);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_equal_the_whole),          cmocka_unit_test(thread_count_does_not_show),
		cmocka_unit_test(sequences_do_not_see_each_other), cmocka_unit_test(no_token_sees_a_later_one),
		cmocka_unit_test(without_y_the_cache_is_filled),   cmocka_unit_test(residual_is_added),
		cmocka_unit_test(all_experts_are_dense_attention),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
