/* One attention layer, a block of rows at a time: cache K and V, route, project the queries, attend, combine, project. */
#include "reference/reference.h"

#include "common/threads.h"
#include "reference/layer_shape.h"
#include "reference/wide.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* Rows (tokens of all sequences, one after the other) of one pass; bounds the scratch memory whatever the call's length. */
#define PASS_ROWS 256

/* A pass over rows first...first+rows-1 of the B * T rows of the call. Arrays are the pass's own, indexed by its rows. */
struct pass {
	uint32_t threads;
	const gqe_layer_config *config;
	struct gqe_layer_shape shape;
	const struct gqe_reference_weights *weights;
	const struct gqe_reference_cache *cache;
	const struct gqe_reference_layer_io *io;
	uint64_t first;
	uint32_t rows;
	double *k, *v;       /* [rows, source_heads, d_h] */
	double *logits;      /* [rows, N] */
	double *probability; /* [rows, N] */
	int32_t *experts;    /* [rows, G, k] */
	double *selected;    /* [rows, G, k] */
	double *gate;        /* [rows, G, k] */
	double *q;           /* [rows, q_slots, d_h] */
	double *o;           /* [rows, o_slots, d_h] */
};

uint32_t gqe_reference_cache_heads(const gqe_layer_config *config)
{
	return gqe_layer_shape_of(config).cache_heads;
}

static bool is_routed(const struct pass *pass)
{
	return pass->config->attention == GQE_ATTENTION_GQE;
}

static const float *pass_input(const struct pass *pass)
{
	return pass->io->x + pass->first * pass->config->hidden_size;
}

static uint32_t sequence_of(const struct pass *pass, uint32_t row)
{
	return (uint32_t)((pass->first + row) / pass->io->tokens);
}

static uint32_t token_of(const struct pass *pass, uint32_t row)
{
	return (uint32_t)((pass->first + row) % pass->io->tokens);
}

/* Element of the cache where `head` of `sequence` has its first key. */
static size_t cache_start(const struct pass *pass, uint32_t sequence, uint32_t head)
{
	return ((size_t)sequence * pass->cache->heads + head) * pass->cache->capacity * pass->config->head_dim;
}

/* x times `heads` heads of a projection, into `out` with `stride` elements a row. */
static void project_heads(const struct pass *pass, uint32_t heads, const float *w, const float *bias, double *out, size_t stride)
{
	struct gqe_wide_product product = {
		.rows = pass->rows,
		.cols = heads * pass->config->head_dim,
		.depth = pass->config->hidden_size,
		.a = pass_input(pass),
		.a_stride = pass->config->hidden_size,
		.w = w,
		.w_stride = pass->config->hidden_size,
		.bias = bias,
		.c_wide = out,
		.c_stride = stride,
	};
	gqe_wide_product_threads(pass->threads, &product);
}

/* ------------------------------------------------------------------------------------------------------------ K and V -- */

/* One row's heads [source_heads, d_h] into the cache at its position, and their mean into the mean head if there is one. */
static void cache_row(const struct pass *pass, uint32_t row, const double *heads, float *cache)
{
	uint32_t head_dim = pass->config->head_dim, sources = pass->shape.source_heads;
	uint32_t sequence = sequence_of(pass, row);
	size_t position = (size_t)pass->io->position + token_of(pass, row);
	for (uint32_t head = 0; head < sources; head++) {
		float *out = cache + cache_start(pass, sequence, head) + position * head_dim;
		for (uint32_t i = 0; i < head_dim; i++)
			out[i] = (float)heads[head * head_dim + i];
	}
	if (!pass->shape.mean_head)
		return;
	float *out = cache + cache_start(pass, sequence, sources) + position * head_dim;
	for (uint32_t i = 0; i < head_dim; i++) {
		double sum = 0;
		for (uint32_t head = 0; head < sources; head++)
			sum += heads[head * head_dim + i];
		out[i] = (float)(sum / sources);
	}
}

static void rotate_and_cache_rows(void *user, uint64_t first, uint64_t last)
{
	const struct pass *pass = user;
	const gqe_layer_config *config = pass->config;
	double angles[GQE_MAX_HEAD_DIM];
	for (uint32_t row = (uint32_t)first; row < last; row++) {
		size_t start = (size_t)row * pass->shape.source_heads * config->head_dim;
		gqe_wide_rope_angles(config->rope, config->rope_theta, config->head_dim,
				     (uint64_t)pass->io->position + token_of(pass, row), angles);
		for (uint32_t head = 0; head < pass->shape.source_heads; head++)
			gqe_wide_rope_rotate(config->rope, config->head_dim, angles, 1,
					     pass->k + start + (size_t)head * config->head_dim);
		cache_row(pass, row, pass->k + start, pass->cache->k);
		cache_row(pass, row, pass->v + start, pass->cache->v);
	}
}

static void fill_cache(struct pass *pass)
{
	const struct gqe_reference_weights *weights = pass->weights;
	uint32_t groups = pass->config->kv_heads, head_dim = pass->config->head_dim;
	size_t stride = (size_t)pass->shape.source_heads * head_dim;
	project_heads(pass, groups, weights->k, weights->k_bias, pass->k, stride);
	project_heads(pass, groups, weights->v, weights->v_bias, pass->v, stride);
	if (pass->shape.source_heads > groups) {
		size_t dedicated = (size_t)groups * head_dim;
		project_heads(pass, 1, weights->k_shared, weights->k_shared_bias, pass->k + dedicated, stride);
		project_heads(pass, 1, weights->v_shared, weights->v_shared_bias, pass->v + dedicated, stride);
	}
	gqe_parallel_for(pass->threads, pass->rows, 0, rotate_and_cache_rows, pass);
}

/* ------------------------------------------------------------------------------------------------------------ routing -- */

static void route_rows(void *user, uint64_t first, uint64_t last)
{
	const struct pass *pass = user;
	const struct gqe_reference_layer_io *io = pass->io;
	uint32_t experts = pass->config->heads, slots = pass->shape.routed_slots;
	for (uint64_t row = first; row < last; row++) {
		struct gqe_wide_route out = {
			.probability = pass->probability + row * experts,
			.selected_experts = pass->experts + row * slots,
			.selected = pass->selected + row * slots,
			.gate = pass->gate + row * slots,
		};
		gqe_wide_route(experts, pass->config->kv_heads, pass->config->top_k, pass->config->slot_order,
			       pass->logits + row * experts, &out);
		for (uint32_t i = 0; io->experts && i < slots; i++)
			io->experts[(pass->first + row) * slots + i] = out.selected_experts[i];
		for (uint32_t i = 0; io->gate && i < slots; i++)
			io->gate[(pass->first + row) * slots + i] = (float)out.gate[i];
		for (uint32_t i = 0; io->probability && i < experts; i++)
			io->probability[(pass->first + row) * experts + i] = (float)out.probability[i];
	}
}

static void route(struct pass *pass)
{
	struct gqe_wide_product product = {
		.rows = pass->rows,
		.cols = pass->config->heads,
		.depth = pass->config->hidden_size,
		.a = pass_input(pass),
		.a_stride = pass->config->hidden_size,
		.w = pass->weights->router,
		.w_stride = pass->config->hidden_size,
		.bias = pass->weights->router_bias,
		.c_wide = pass->logits,
		.c_stride = pass->config->heads,
	};
	gqe_wide_product_threads(pass->threads, &product);
	gqe_parallel_for(pass->threads, pass->rows, 0, route_rows, pass);
}

/* ------------------------------------------------------------------------------------------------------------ queries -- */

/* The q rows (row * q_slots + slot) that `expert` fills: at most one a row, since a token selects an expert once. */
static uint32_t list_entries(const struct pass *pass, uint32_t expert, uint32_t entries[PASS_ROWS])
{
	uint32_t group_size = pass->config->heads / pass->config->kv_heads, top_k = pass->config->top_k;
	uint32_t first_slot = expert / group_size * top_k;
	int32_t index = (int32_t)(expert % group_size);
	uint32_t count = 0;
	for (uint32_t row = 0; row < pass->rows; row++) {
		const int32_t *selected = pass->experts + (size_t)row * pass->shape.routed_slots + first_slot;
		for (uint32_t rank = 0; rank < top_k; rank++) {
			if (selected[rank] == index)
				entries[count++] = row * pass->shape.q_slots + first_slot + rank;
		}
	}
	return count;
}

static void project_experts(void *user, uint64_t first, uint64_t last)
{
	const struct pass *pass = user;
	uint32_t depth = pass->config->hidden_size, head_dim = pass->config->head_dim;
	uint32_t entries[PASS_ROWS];
	for (uint32_t expert = (uint32_t)first; expert < last; expert++) {
		size_t first_output = (size_t)expert * head_dim;
		struct gqe_wide_product product = {
			.rows = list_entries(pass, expert, entries),
			.cols = head_dim,
			.depth = depth,
			.a = pass_input(pass),
			.a_stride = depth,
			.w = pass->weights->q + first_output * depth,
			.w_stride = depth,
			.bias = pass->weights->q_bias ? pass->weights->q_bias + first_output : NULL,
			.c_wide = pass->q,
			.c_stride = head_dim,
			.entries = entries,
			.entries_per_row = pass->shape.q_slots,
		};
		gqe_wide_product(&product);
	}
}

static void rotate_queries(void *user, uint64_t first, uint64_t last)
{
	const struct pass *pass = user;
	const gqe_layer_config *config = pass->config;
	double scale = 1 / sqrt(config->head_dim);
	double angles[GQE_MAX_HEAD_DIM];
	for (uint32_t row = (uint32_t)first; row < last; row++) {
		gqe_wide_rope_angles(config->rope, config->rope_theta, config->head_dim,
				     (uint64_t)pass->io->position + token_of(pass, row), angles);
		for (uint32_t slot = 0; slot < pass->shape.q_slots; slot++)
			gqe_wide_rope_rotate(config->rope, config->head_dim, angles, scale,
					     pass->q + ((size_t)row * pass->shape.q_slots + slot) * config->head_dim);
	}
}

static void project_queries(struct pass *pass)
{
	const struct gqe_reference_weights *weights = pass->weights;
	uint32_t experts = pass->config->heads, head_dim = pass->config->head_dim;
	size_t stride = (size_t)pass->shape.q_slots * head_dim;
	if (is_routed(pass))
		gqe_parallel_for(pass->threads, experts, 1, project_experts, pass);
	else
		project_heads(pass, experts, weights->q, weights->q_bias, pass->q, stride);
	if (pass->shape.q_shared != GQE_NONE) {
		const float *w = weights->q + (size_t)experts * head_dim * pass->config->hidden_size;
		const float *bias = weights->q_bias ? weights->q_bias + (size_t)experts * head_dim : NULL;
		project_heads(pass, 1, w, bias, pass->q + (size_t)pass->shape.q_shared * head_dim, stride);
	}
	gqe_parallel_for(pass->threads, pass->rows, 0, rotate_queries, pass);
}

/* ---------------------------------------------------------------------------------------------------------- attention -- */

/* Items are (q slot, row), slot-major; runs of rows of one sequence go together. */
static void attend_items(void *user, uint64_t first, uint64_t last)
{
	const struct pass *pass = user;
	const struct gqe_layer_shape *shape = &pass->shape;
	uint32_t head_dim = pass->config->head_dim, slots_per_head = shape->routed_slots / pass->config->kv_heads;
	for (uint64_t item = first; item < last;) {
		uint32_t slot = (uint32_t)(item / pass->rows), row = (uint32_t)(item % pass->rows);
		bool is_shared = slot == shape->q_shared;
		uint32_t head = is_shared ? shape->shared_head : slot / slots_per_head;
		uint32_t o_slot = is_shared ? shape->o_shared : slot;
		uint32_t left_of_sequence = pass->io->tokens - token_of(pass, row);
		uint32_t queries = gqe_min_u32(GQE_WIDE_QUERIES, gqe_min_u32(left_of_sequence, pass->rows - row));
		queries = (uint32_t)(last - item < queries ? last - item : queries);
		size_t keys = cache_start(pass, sequence_of(pass, row), head);
		struct gqe_wide_attention attention = {
			.head_dim = head_dim,
			.queries = queries,
			.first_keys = pass->io->position + token_of(pass, row) + 1,
			.q = pass->q + ((size_t)row * shape->q_slots + slot) * head_dim,
			.q_stride = (size_t)shape->q_slots * head_dim,
			.k = pass->cache->k + keys,
			.v = pass->cache->v + keys,
			.o = pass->o + ((size_t)row * shape->o_slots + o_slot) * head_dim,
			.o_stride = (size_t)shape->o_slots * head_dim,
		};
		gqe_wide_attend(&attention);
		item += queries;
	}
}

static void combine_rows(void *user, uint64_t first, uint64_t last)
{
	const struct pass *pass = user;
	uint32_t slots = pass->shape.routed_slots, o_slots = pass->shape.o_slots, head_dim = pass->config->head_dim;
	for (uint64_t row = first; row < last; row++)
		gqe_wide_combine(slots, head_dim, pass->gate + row * slots, pass->selected + row * slots, pass->shape.weighted_slot,
				 pass->config->scale_expert_slots, pass->o + row * o_slots * head_dim);
}

static void attend(struct pass *pass)
{
	gqe_parallel_for(pass->threads, (uint64_t)pass->shape.q_slots * pass->rows, GQE_WIDE_QUERIES, attend_items, pass);
	if (is_routed(pass))
		gqe_parallel_for(pass->threads, pass->rows, 0, combine_rows, pass);
}

static void project_output(struct pass *pass)
{
	const struct gqe_reference_layer_io *io = pass->io;
	size_t start = (size_t)pass->first * pass->config->hidden_size;
	struct gqe_wide_product product = {
		.rows = pass->rows,
		.cols = pass->config->hidden_size,
		.depth = pass->shape.o_slots * pass->config->head_dim,
		.a_wide = pass->o,
		.a_stride = (size_t)pass->shape.o_slots * pass->config->head_dim,
		.w = pass->weights->o,
		.w_stride = (size_t)pass->shape.o_slots * pass->config->head_dim,
		.bias = pass->weights->o_bias,
		.residual = io->residual ? io->residual + start : NULL,
		.c = io->y + start,
		.c_stride = pass->config->hidden_size,
	};
	gqe_wide_product_threads(pass->threads, &product);
}

/* -------------------------------------------------------------------------------------------------------------- layer -- */

static void pass_free(struct pass *pass)
{
	void *const arrays[] = {pass->k,    pass->v, pass->logits, pass->probability, pass->experts, pass->selected,
				pass->gate, pass->q, pass->o};
	for (size_t i = 0; i < GQE_COUNT(arrays); i++)
		free(arrays[i]);
}

/* The counts fit 32 bits under gqe_layer_config_check's limits: 256 rows * 1026 slots * 256. */
static bool pass_allocate(struct pass *pass, uint32_t rows)
{
	const struct gqe_layer_shape *shape = &pass->shape;
	uint32_t experts = pass->config->heads, head_dim = pass->config->head_dim;
	size_t routed = (size_t)rows * shape->routed_slots;
	pass->k = calloc((size_t)rows * shape->source_heads * head_dim, sizeof(double));
	pass->v = calloc((size_t)rows * shape->source_heads * head_dim, sizeof(double));
	pass->logits = calloc((size_t)rows * experts, sizeof(double));
	pass->probability = calloc((size_t)rows * experts, sizeof(double));
	pass->experts = calloc(routed, sizeof(int32_t));
	pass->selected = calloc(routed, sizeof(double));
	pass->gate = calloc(routed, sizeof(double));
	pass->q = calloc((size_t)rows * shape->q_slots * head_dim, sizeof(double));
	pass->o = calloc((size_t)rows * shape->o_slots * head_dim, sizeof(double));
	return pass->k && pass->v && pass->logits && pass->probability && pass->experts && pass->selected && pass->gate &&
	       pass->q && pass->o;
}

gqe_status gqe_reference_layer(uint32_t threads, const gqe_layer_config *config, const struct gqe_reference_weights *weights,
			       struct gqe_reference_cache *cache, const struct gqe_reference_layer_io *io, gqe_error *error)
{
	uint64_t all_rows = (uint64_t)io->batch * io->tokens;
	uint32_t pass_rows = all_rows < PASS_ROWS ? (uint32_t)all_rows : PASS_ROWS;
	struct pass pass = {
		.threads = threads,
		.config = config,
		.shape = gqe_layer_shape_of(config),
		.weights = weights,
		.cache = cache,
		.io = io,
	};
	if (all_rows == 0)
		return GQE_OK;
	if (!pass_allocate(&pass, pass_rows)) {
		pass_free(&pass);
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "the reference has no host memory for a pass of %" PRIu32 " tokens",
				pass_rows);
	}
	bool routing_wanted = io->y || io->experts || io->gate || io->probability;
	for (; pass.first < all_rows; pass.first += pass.rows) {
		uint64_t left = all_rows - pass.first;
		pass.rows = left < pass_rows ? (uint32_t)left : pass_rows;
		fill_cache(&pass);
		if (is_routed(&pass) && routing_wanted)
			route(&pass);
		if (!io->y)
			continue;
		project_queries(&pass);
		attend(&pass);
		project_output(&pass);
	}
	pass_free(&pass);
	return GQE_OK;
}
