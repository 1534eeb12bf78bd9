#include "layer_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

gqe_layer_config small_layer_config(void)
{
	return (gqe_layer_config){.hidden_size = 48,
				  .heads = 8,
				  .kv_heads = 4,
				  .head_dim = 16,
				  .attention = GQE_ATTENTION_GQE,
				  .rope = GQE_ROPE_HALF,
				  .rope_theta = 10000,
				  .top_k = 1,
				  .shared_head = true,
				  .shared_kv = GQE_SHARED_KV_GROUP,
				  .weighted_sum_slot = true,
				  .slot_order = GQE_SLOT_ORDER_RANK};
}

gqe_layer_config random_layer_config(struct random *random)
{
	uint32_t groups = random_between(random, 1, 4), experts = random_between(random, 1, 8);
	gqe_layer_config config = {
		.hidden_size = random_between(random, 1, 97),
		.heads = groups * experts,
		.kv_heads = groups,
		.head_dim = 16 * random_between(random, 1, 16),
		.attention = random_between(random, 0, 5) ? GQE_ATTENTION_GQE : GQE_ATTENTION_GQA,
		.rope = (gqe_rope)random_between(random, GQE_ROPE_HALF, GQE_ROPE_NONE),
		.rope_theta = random_between(random, 0, 1) ? 10000 : 500000,
		.top_k = random_between(random, 1, experts),
		.shared_head = random_between(random, 0, 1),
		.shared_kv = (gqe_shared_kv)random_between(random, GQE_SHARED_KV_GROUP, GQE_SHARED_KV_MEAN),
		.shared_kv_group = random_between(random, 0, groups - 1),
		.weighted_sum_slot = random_between(random, 0, 1),
		.scale_expert_slots = random_between(random, 0, 1),
		.slot_order = (gqe_slot_order)random_between(random, GQE_SLOT_ORDER_RANK, GQE_SLOT_ORDER_EXPERT),
	};
	return config;
}

void describe_layer_config(const gqe_layer_config *config, char *text, size_t size)
{
	static const char *const ropes[] = {"", "half", "interleaved", "none"}, *const shared[] = {"", "group", "dedicated",
												   "mean"};
	int used = snprintf(text, size, "d=%u N=%u G=%u d_h=%u rope=%s", config->hidden_size, config->heads, config->kv_heads,
			    config->head_dim, ropes[config->rope]);
	if (config->attention == GQE_ATTENTION_GQA)
		snprintf(text + used, size - (size_t)used, " gqa");
	else
		snprintf(text + used, size - (size_t)used, " k=%u shared=%s:%u weighted=%d scaled=%d order=%s", config->top_k,
			 config->shared_head ? shared[config->shared_kv] : "no", config->shared_kv_group, config->weighted_sum_slot,
			 config->scale_expert_slots, config->slot_order == GQE_SLOT_ORDER_RANK ? "rank" : "expert");
}

static void add_tensor(struct layer_fixture *fixture, const char *name, uint32_t rows, uint32_t cols, struct random *random)
{
	for (int is_bias = 0; is_bias <= (fixture->biases ? 1 : 0); is_bias++) {
		gqe_tensor *tensor = &fixture->tensors[fixture->tensor_count];
		char *full_name = fixture->names[fixture->tensor_count++];
		size_t count = is_bias ? rows : (size_t)rows * cols;
		float *values = must_allocate(count * sizeof(float));
		fill_normal(random, values, count, is_bias ? 0.2f : 1 / sqrtf((float)cols));
		snprintf(full_name, sizeof(fixture->names[0]), "%s.%s", name, is_bias ? "bias" : "weight");
		*tensor = (gqe_tensor){.name = full_name,
				       .dtype = GQE_DTYPE_F32,
				       .rank = is_bias ? 1 : 2,
				       .shape = {rows, is_bias ? 0 : cols},
				       .data = values,
				       .bytes = count * sizeof(float)};
	}
}

void fixture_init(struct layer_fixture *fixture, const gqe_layer_config *config, bool biases, struct random *random)
{
	uint32_t d = config->hidden_size, head = config->head_dim, kv = config->kv_heads * head;
	bool gqe = config->attention == GQE_ATTENTION_GQE, shared = gqe && config->shared_head;
	uint32_t slots = gqe ? config->top_k * config->kv_heads + config->weighted_sum_slot + shared : config->heads;
	*fixture = (struct layer_fixture){.config = *config, .biases = biases};
	add_tensor(fixture, "q_proj", (config->heads + shared) * head, d, random);
	add_tensor(fixture, "k_proj", kv, d, random);
	add_tensor(fixture, "v_proj", kv, d, random);
	if (gqe)
		add_tensor(fixture, "router", config->heads, d, random);
	add_tensor(fixture, "o_proj", d, slots * head, random);
	if (shared && config->shared_kv == GQE_SHARED_KV_DEDICATED) {
		add_tensor(fixture, "k_shared_proj", head, d, random);
		add_tensor(fixture, "v_shared_proj", head, d, random);
	}
}

void fixture_free(struct layer_fixture *fixture)
{
	for (size_t i = 0; i < fixture->tensor_count; i++)
		free((void *)fixture->tensors[i].data);
	fixture->tensor_count = 0;
}

size_t fixture_selected(const struct layer_fixture *fixture)
{
	const gqe_layer_config *config = &fixture->config;
	return config->attention == GQE_ATTENTION_GQE ? (size_t)config->kv_heads * config->top_k : 0;
}

static const float *find_values(const struct layer_fixture *fixture, const char *name)
{
	for (size_t i = 0; i < fixture->tensor_count; i++)
		if (strcmp(fixture->tensors[i].name, name) == 0)
			return fixture->tensors[i].data;
	return NULL;
}

static int descending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x < y) - (x > y);
}

/* The smallest gap between neighbours among a group's k+1 largest logits, over all groups. */
static double routing_margin(const struct layer_fixture *fixture, const float *router, const float *bias, const float *x)
{
	const gqe_layer_config *config = &fixture->config;
	uint32_t experts = config->heads / config->kv_heads;
	double margin = INFINITY;
	for (uint32_t group = 0; group < config->kv_heads; group++) {
		double logits[64]; /* M <= 64 */
		for (uint32_t m = 0; m < experts; m++) {
			const float *row = router + (size_t)(group * experts + m) * config->hidden_size;
			logits[m] = bias ? bias[group * experts + m] : 0;
			for (uint32_t i = 0; i < config->hidden_size; i++)
				logits[m] += (double)row[i] * x[i];
		}
		qsort(logits, experts, sizeof(logits[0]), descending);
		for (uint32_t m = 0; m < config->top_k && m + 1 < experts; m++)
			margin = fmin(margin, logits[m] - logits[m + 1]);
	}
	return margin;
}

float *draw_input(const struct layer_fixture *fixture, size_t rows, struct random *random)
{
	size_t width = fixture->config.hidden_size;
	const float *router = find_values(fixture, "router.weight"), *bias = find_values(fixture, "router.bias");
	float *x = must_allocate(rows * width * sizeof(float));
	for (size_t row = 0; row < rows; row++) {
		do
			fill_normal(random, x + row * width, width, 1);
		while (router && routing_margin(fixture, router, bias, x + row * width) < 1e-3);
	}
	return x;
}

gqe_layer *make_layer(gqe_context *context, const struct layer_fixture *fixture, gqe_dtype dtype, uint32_t batch,
		      uint32_t max_tokens, uint32_t chunk)
{
	gqe_error error = {0};
	gqe_layer *layer = NULL;
	gqe_layer_params params = {.size = sizeof(params),
				   .config = &fixture->config,
				   .tensors = fixture->tensors,
				   .tensor_count = fixture->tensor_count,
				   .dtype = dtype,
				   .batch = batch,
				   .max_tokens = max_tokens,
				   .chunk = chunk};
	assert_ok(gqe_layer_create(context, &params, &layer, &error), &error);
	return layer;
}

void forward(gqe_layer *layer, uint32_t tokens, const float *x, float *y, int32_t *experts, float *gate)
{
	gqe_error error = {0};
	gqe_layer_io io = {.size = sizeof(io), .tokens = tokens, .x = x, .y = y, .experts = experts, .gate = gate};
	assert_ok(gqe_layer_forward(layer, &io, &error), &error);
}

/* Copies tokens first...first+count-1 of every sequence between [B, T, width] and a dense [B, count, width]; 4-byte elements. */
static void copy_piece(void *whole, void *piece, uint32_t batch, uint32_t tokens, uint32_t first, uint32_t count, size_t width,
		       bool to_piece)
{
	size_t bytes = count * width * 4;
	for (uint32_t b = 0; whole && b < batch; b++) {
		char *at_whole = (char *)whole + ((size_t)b * tokens + first) * width * 4, *at_piece = (char *)piece + b * bytes;
		memcpy(to_piece ? at_piece : at_whole, to_piece ? at_whole : at_piece, bytes);
	}
}

void run_layer(gqe_context *context, const struct layer_fixture *fixture, gqe_dtype dtype, const float *x, uint32_t batch,
	       uint32_t tokens, uint32_t chunk, struct layer_output *output)
{
	size_t width = fixture->config.hidden_size, selected = fixture_selected(fixture), rows = (size_t)batch * tokens;
	chunk = chunk && chunk < tokens ? chunk : tokens;
	output->y = must_allocate(rows * width * 4);
	output->experts = selected ? must_allocate(rows * selected * 4) : NULL;
	output->gate = selected ? must_allocate(rows * selected * 4) : NULL;
	size_t piece_rows = (size_t)batch * chunk;
	float *piece_x = must_allocate(piece_rows * width * 4), *piece_y = must_allocate(piece_rows * width * 4);
	int32_t *experts = selected ? must_allocate(piece_rows * selected * 4) : NULL;
	float *gate = selected ? must_allocate(piece_rows * selected * 4) : NULL;
	gqe_layer *layer = make_layer(context, fixture, dtype, batch, tokens, chunk);
	for (uint32_t first = 0; first < tokens; first += chunk) {
		uint32_t count = tokens - first < chunk ? tokens - first : chunk;
		copy_piece((void *)x, piece_x, batch, tokens, first, count, width, true);
		poison(piece_y, piece_rows * width * 4);
		if (selected) {
			poison(experts, piece_rows * selected * 4);
			poison(gate, piece_rows * selected * 4);
		}
		forward(layer, count, piece_x, piece_y, experts, gate);
		copy_piece(output->y, piece_y, batch, tokens, first, count, width, false);
		copy_piece(output->experts, experts, batch, tokens, first, count, selected, false);
		copy_piece(output->gate, gate, batch, tokens, first, count, selected, false);
	}
	assert_int_equal(gqe_layer_position(layer), tokens);
	gqe_layer_destroy(&layer);
	free(piece_x);
	free(piece_y);
	free(experts);
	free(gate);
}

void output_free(struct layer_output *output)
{
	free(output->y);
	free(output->experts);
	free(output->gate);
	*output = (struct layer_output){0};
}
