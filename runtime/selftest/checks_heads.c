/* Projections to heads: rope_turns, gemm_heads, kv_mean; the angles that gemm_gathered turns by. */
#include "selftest/checks.h"

#include "common/threads.h"

#include <math.h>

#include "attention/rope_table.h"
#include "reference/reference.h"

static const gqe_rope rope_of_kind[] = {
	[GQE_ROPE_KIND_HALF] = GQE_ROPE_HALF,
	[GQE_ROPE_KIND_INTERLEAVED] = GQE_ROPE_INTERLEAVED,
	[GQE_ROPE_KIND_NONE] = GQE_ROPE_NONE,
};

static double draw_theta(struct gqe_check *check)
{
	return gqe_check_between(check, 0, 1) ? 10000.0 : 500000.0;
}

void gqe_check_rope_turns(struct gqe_check *check)
{
	uint32_t batch = gqe_check_between(check, 1, 3), tokens = gqe_check_tokens(check), rows = batch * tokens;
	uint32_t head_dim = gqe_check_head_dim(check), pairs = head_dim / 2;
	double theta = draw_theta(check);
	/* Now and then far out, where an angle in f32 would be wrong. */
	uint32_t position = gqe_check_between(check, 0, 1) ? gqe_check_between(check, 0, (1u << 20) - 1) : 0;
	uint32_t high_count = (position + tokens) / GQE_ROPE_LOW + 1;
	gqe_check_shape(check, "B=%u T=%u position=%u d_h=%u theta=%g", batch, tokens, position, head_dim, theta);
	float *high = gqe_check_alloc(check, 2 * (uint64_t)high_count * pairs, sizeof(*high));
	float *low = gqe_check_alloc(check, 2 * (uint64_t)GQE_ROPE_LOW * pairs, sizeof(*low));
	float *expected = gqe_check_alloc(check, (uint64_t)rows * head_dim, sizeof(*expected));
	if (high != NULL && low != NULL) {
		gqe_rope_table_fill(theta, pairs, GQE_ROPE_LOW, high_count, high);
		gqe_rope_table_fill(theta, pairs, 1, GQE_ROPE_LOW, low);
	}
	struct gqe_check_tensor *high_in = gqe_check_floats(check, "rope_high", high, 2 * (uint64_t)high_count * pairs);
	struct gqe_check_tensor *low_in = gqe_check_floats(check, "rope_low", low, 2 * (uint64_t)GQE_ROPE_LOW * pairs);
	struct gqe_check_tensor *out = gqe_check_output(check, "turns", sizeof(float), (uint64_t)rows * head_dim);
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_rope_turns push = {
		.rope_high = high_in->buffer.address,
		.rope_low = low_in->buffer.address,
		.turns = out->buffer.address,
		.rows = rows,
		.tokens = tokens,
		.position = position,
		.head_size = head_dim,
	};
	while (gqe_check_pass(check))
		gqe_record_rope_turns(&check->recorder, check->dtype, &push);
	/* What turns (1, 0) into the angle's cosine and sine. */
	for (uint64_t i = 0; i < (uint64_t)rows * pairs; i++)
		expected[2 * i] = 1;
	for (uint32_t row = 0; row < rows; row++)
		gqe_reference_rope(GQE_ROPE_INTERLEAVED, theta, head_dim, position + row % tokens, 1.0,
				   expected + (uint64_t)row * head_dim);
	gqe_check_compare(check, out, expected, GQE_CHECK_TOLERANCE_ELEMENTWISE);
}

struct gqe_check_rope gqe_check_draw_rope(struct gqe_check *check, uint32_t batch, uint32_t tokens, uint32_t head_dim)
{
	struct gqe_check_rope rope = {.kind = gqe_check_between(check, 0, 2), .theta = draw_theta(check), .tokens = tokens};
	uint64_t count = (uint64_t)tokens * head_dim;
	float *turns = gqe_check_alloc(check, batch * count, sizeof(*turns));
	for (uint32_t sequence = 0; turns != NULL && sequence < batch; sequence++)
		gqe_rope_table_fill(rope.theta, head_dim / 2, 1, tokens, turns + sequence * count);
	rope.turns = gqe_check_floats(check, "turns", turns, batch * count);
	rope.scale = gqe_check_between(check, 0, 1) ? 1.0f : 1.44269504f / sqrtf((float)head_dim);
	return rope;
}

struct gqe_matrix_layout gqe_check_heads_layout(const struct gqe_check_rope *rope, uint32_t head_dim)
{
	return (struct gqe_matrix_layout){.head_size = head_dim, .is_interleaved = rope->kind == GQE_ROPE_KIND_INTERLEAVED};
}

void gqe_check_rotate(const struct gqe_check_rope *rope, uint32_t row, uint32_t head_dim, float *head)
{
	gqe_reference_rope(rope_of_kind[rope->kind], rope->theta, head_dim, row % rope->tokens, rope->scale, head);
}

/* All heads into slots; into the KV cache; into the slots of the tokens that chose the head, an expert. */
enum heads_target {
	HEADS_TO_SLOTS,
	HEADS_TO_CACHE,
	HEADS_TO_CHOSEN,
};

/* A problem for gemm_heads: which heads of how many rows, and where they go. */
struct heads_case {
	enum heads_target target;
	uint32_t batch, tokens, rows, heads, head_dim, depth;
	uint32_t a_stride, w_stride, has_bias;
	uint32_t experts, slots;         /* CHOSEN: heads before the shared ones; slots of a token */
	uint32_t capacity, first;        /* CACHE: tokens of a head, and the first that is written */
	uint32_t result_heads, first_at; /* heads of a token or sequence in the result, and the first that is written */
};

static struct heads_case draw_heads(struct gqe_check *check)
{
	static const enum heads_target targets[] = {HEADS_TO_SLOTS, HEADS_TO_CHOSEN, HEADS_TO_CACHE, HEADS_TO_CHOSEN,
						    HEADS_TO_CACHE};
	struct heads_case heads = {
		.target = targets[check->number % GQE_COUNT(targets)],
		.batch = gqe_check_between(check, 1, 3),
		.tokens = gqe_check_tokens(check),
		.heads = gqe_check_between(check, 1, 9),
		.head_dim = gqe_check_head_dim(check),
		.depth = gqe_check_between(check, 1, 150),
		.has_bias = gqe_check_between(check, 0, 1),
	};
	heads.a_stride = heads.depth + gqe_check_between(check, 0, 3);
	heads.w_stride = (uint32_t)gqe_align_up(heads.depth, 4);
	if (check->number % 4 == 1) { /* what tiles divide */
		heads.head_dim = 64 * gqe_check_between(check, 1, 3);
		heads.heads = 2 * gqe_check_between(check, 1, 4);
		heads.depth = heads.a_stride = heads.w_stride = 64 * gqe_check_between(check, 1, 3);
	}
	heads.rows = heads.batch * heads.tokens;
	heads.experts = heads.heads - (heads.heads > 1 && gqe_check_between(check, 0, 1) ? 1 : 0);
	heads.slots = gqe_check_between(check, 1, heads.experts) + heads.heads - heads.experts;
	heads.first = gqe_check_between(check, 0, 40);
	heads.capacity = heads.first + heads.tokens + gqe_check_between(check, 0, 9);
	heads.first_at = gqe_check_between(check, 0, 2);
	heads.result_heads =
		heads.first_at + (heads.target == HEADS_TO_CHOSEN ? heads.slots : heads.heads) + gqe_check_between(check, 0, 2);
	return heads;
}

/* expert_slots [rows, experts]: as many experts as there are slots for them, in any order; in half the cases all rows choose alike.
 */
static int32_t *draw_slots(struct gqe_check *check, const struct heads_case *heads)
{
	uint32_t chosen = heads->slots - (heads->heads - heads->experts), skewed = gqe_check_between(check, 0, 1);
	int32_t *slots = gqe_check_alloc(check, (uint64_t)heads->rows * heads->experts, sizeof(*slots));
	for (uint32_t row = 0; slots != NULL && row < heads->rows; row++) {
		uint32_t first = skewed ? 0 : gqe_random_below(&check->random, heads->experts);
		for (uint32_t i = 0; i < heads->experts; i++)
			slots[(uint64_t)row * heads->experts + (first + i) % heads->experts] = i < chosen ? (int32_t)i : -1;
	}
	return slots;
}

/* Where head `head` of a row lies in the result, in heads; -1: nowhere. */
static int64_t place_of(const struct heads_case *heads, const int32_t *expert_slots, uint32_t row, uint32_t head)
{
	int64_t slot = head;
	if (heads->target == HEADS_TO_CACHE)
		return ((int64_t)(row / heads->tokens * heads->result_heads + heads->first_at + head)) * heads->capacity +
		       heads->first + row % heads->tokens;
	if (heads->target == HEADS_TO_CHOSEN)
		slot = head < heads->experts
			       ? expert_slots[(uint64_t)row * heads->experts + head]
			       : (int64_t)heads->slots - (int64_t)(heads->heads - heads->experts) + (head - heads->experts);
	return slot < 0 ? -1 : (int64_t)row * heads->result_heads + heads->first_at + slot;
}

/* What gemm_heads is to leave, and what it is computed from. */
struct expected_heads {
	const struct heads_case *heads;
	const struct gqe_check_rope *rope;
	const int32_t *expert_slots;
	const float *a, *w, *bias;
	float *result;
};

static void expect_rows(void *user, uint64_t begin, uint64_t end)
{
	const struct expected_heads *expected = user;
	const struct heads_case *heads = expected->heads;
	for (uint64_t row = begin; row < end; row++)
		for (uint32_t head = 0; head < heads->heads; head++) {
			int64_t place = place_of(heads, expected->expert_slots, (uint32_t)row, head);
			if (place < 0)
				continue;
			uint64_t first = (uint64_t)head * heads->head_dim;
			float *out = expected->result + (uint64_t)place * heads->head_dim;
			gqe_reference_gemm(1, 1, heads->head_dim, heads->depth, expected->a + row * heads->a_stride,
					   heads->a_stride, expected->w + first * heads->depth, heads->depth,
					   heads->has_bias ? expected->bias + first : NULL, NULL, out, heads->head_dim);
			gqe_check_rotate(expected->rope, (uint32_t)row, heads->head_dim, out);
		}
}

static struct gqe_push_gemm_heads heads_push(const struct heads_case *heads, const struct gqe_check_rope *rope,
					     uint64_t element_bytes, const struct gqe_check_tensor *result)
{
	struct gqe_push_gemm_heads push = {
		.turns = rope->kind == GQE_ROPE_KIND_NONE ? 0 : rope->turns->buffer.address,
		.rows = heads->rows,
		.tokens = heads->tokens,
		.heads = heads->heads,
		.head_size = heads->head_dim,
		.depth = heads->depth,
		.a_stride = heads->a_stride,
		.w_stride = heads->w_stride,
		.has_bias = heads->has_bias,
		.rope_kind = rope->kind,
		.scale = rope->scale,
	};
	uint64_t first;
	if (heads->target == HEADS_TO_CACHE) {
		first = (uint64_t)heads->first_at * heads->capacity + heads->first;
		push.sequence_stride = heads->result_heads * heads->capacity;
		push.token_stride = 1;
		push.head_stride = heads->capacity;
		push.is_cache = 1;
	} else {
		first = heads->first_at;
		push.sequence_stride = heads->tokens * heads->result_heads;
		push.token_stride = heads->result_heads;
		push.head_stride = 1;
	}
	if (heads->target == HEADS_TO_CHOSEN) {
		push.experts = heads->experts;
		push.shared_slot = heads->slots - (heads->heads - heads->experts);
	}
	push.result = result->buffer.address + first * heads->head_dim * element_bytes;
	return push;
}

void gqe_check_gemm_heads(struct gqe_check *check)
{
	static const char *const names[] = {"slots", "cache", "chosen slots"};
	struct heads_case heads = draw_heads(check);
	bool is_narrow = check->number % 4 == 3 && gqe_check_narrow_tile(check, GQE_KERNEL_GEMM);
	struct gqe_check_rope rope = gqe_check_draw_rope(check, heads.batch, heads.tokens, heads.head_dim);
	gqe_check_shape(check, "to %s, B=%u T=%u heads=%u experts=%u slots=%u d_h=%u depth=%u bias=%u kind=%u%s",
			names[heads.target], heads.batch, heads.tokens, heads.heads, heads.experts, heads.slots, heads.head_dim,
			heads.depth, heads.has_bias, rope.kind, is_narrow ? " narrow tile" : "");
	bool to_cache = heads.target == HEADS_TO_CACHE;
	uint32_t element_bytes = to_cache ? gqe_check_weight_bytes(check) : sizeof(float);
	uint64_t columns = (uint64_t)heads.heads * heads.head_dim;
	uint64_t result_count = to_cache ? (uint64_t)heads.batch * heads.capacity : heads.rows;
	result_count *= (uint64_t)heads.result_heads * heads.head_dim;
	float *a = gqe_check_normal(check, (uint64_t)heads.rows * heads.a_stride);
	float *w = gqe_check_normal_weights(check, columns * heads.depth), *bias = gqe_check_normal(check, columns);
	int32_t *expert_slots = draw_slots(check, &heads);
	struct gqe_check_tensor *a_in = gqe_check_floats(check, "a", a, (uint64_t)heads.rows * heads.a_stride);
	struct gqe_matrix_layout layout = gqe_check_heads_layout(&rope, heads.head_dim);
	struct gqe_check_tensor *w_in = gqe_check_matrix(check, "w", w, columns, heads.depth, heads.w_stride, &layout);
	struct gqe_check_tensor *bias_in = gqe_check_floats(check, "bias", bias, columns);
	struct gqe_check_tensor *slots_in =
		gqe_check_ints(check, "expert_slots", expert_slots, (uint64_t)heads.rows * heads.experts);
	struct gqe_check_tensor *result = gqe_check_output(check, "result", element_bytes, result_count);
	float *expected = gqe_check_untouched(check, result_count);
	if (!gqe_check_place(check))
		return;
	struct gqe_push_gemm_heads push = heads_push(&heads, &rope, element_bytes, result);
	push.a = a_in->buffer.address;
	push.w = w_in->buffer.address;
	push.w_lanes = layout.lanes;
	push.bias = heads.has_bias ? bias_in->buffer.address : 0;
	push.expert_slots = heads.target == HEADS_TO_CHOSEN ? slots_in->buffer.address : 0;
	while (gqe_check_pass(check))
		gqe_record_gemm_heads(&check->recorder, check->dtype, &push);
	struct expected_heads reference = {&heads, &rope, expert_slots, a, w, bias, expected};
	gqe_parallel_for(check->threads, heads.rows, 0, expect_rows, &reference);
	bool is_f16 = gqe_check_multiplies_f16(check, GQE_KERNEL_GEMM_HEADS);
	double tolerance = is_f16 ? GQE_CHECK_TOLERANCE_SUM_F16 : GQE_CHECK_TOLERANCE_SUM;
	if (element_bytes == 2)
		tolerance = GQE_CHECK_TOLERANCE_STORED_F16;
	gqe_check_compare(check, result, expected, tolerance);
}

void gqe_check_kv_mean(struct gqe_check *check)
{
	uint32_t batch = gqe_check_between(check, 1, 3), tokens = gqe_check_tokens(check), rows = batch * tokens;
	uint32_t source_heads = gqe_check_between(check, 1, 5), heads = source_heads + 1, head_dim = gqe_check_head_dim(check);
	uint32_t position = gqe_check_between(check, 0, 40), capacity = position + tokens + gqe_check_between(check, 0, 9);
	gqe_check_shape(check, "B=%u T=%u position=%u capacity=%u heads=%u d_h=%u", batch, tokens, position, capacity, source_heads,
			head_dim);
	uint64_t cache_rows = (uint64_t)batch * heads * capacity;
	static const char *const names[] = {"k_cache", "v_cache"};
	struct gqe_check_tensor *cache[2];
	float *values[2], *expected[2];
	for (int i = 0; i < 2; i++) {
		values[i] = gqe_check_normal_weights(check, cache_rows * head_dim);
		cache[i] = gqe_check_weights(check, names[i], values[i], cache_rows, head_dim, head_dim);
		cache[i]->is_output = true;
		expected[i] = gqe_check_untouched(check, cache_rows * head_dim);
	}
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_kv_mean push = {
		.k_cache = cache[0]->buffer.address,
		.v_cache = cache[1]->buffer.address,
		.rows = rows,
		.tokens = tokens,
		.position = position,
		.capacity = capacity,
		.source_heads = source_heads,
		.head_size = head_dim,
	};
	while (gqe_check_pass(check))
		gqe_record_kv_mean(&check->recorder, check->dtype, &push);
	for (int i = 0; i < 2; i++) {
		for (uint32_t row = 0; row < rows; row++) {
			uint64_t first = (uint64_t)row / tokens * heads * capacity + position + row % tokens;
			for (uint32_t channel = 0; channel < head_dim; channel++) {
				double sum = 0;
				for (uint32_t head = 0; head < source_heads; head++)
					sum += values[i][(first + (uint64_t)head * capacity) * head_dim + channel];
				expected[i][(first + (uint64_t)source_heads * capacity) * head_dim + channel] =
					(float)(sum / source_heads);
			}
		}
		gqe_check_compare(check, cache[i], expected[i],
				  check->dtype == GQE_DTYPE_F16 ? GQE_CHECK_TOLERANCE_STORED_F16 : GQE_CHECK_TOLERANCE_ELEMENTWISE);
	}
}
