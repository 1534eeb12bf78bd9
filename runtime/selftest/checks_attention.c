/* kv_panels, attention, combine. */
#include "selftest/checks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/threads.h"
#include "reference/reference.h"

static void expect_panels(float *panels, const float *cache, const struct gqe_push_kv_panels *push)
{
	const uint32_t head_dim = push->head_size, panel_keys = push->panel_keys;
	for (uint32_t key = 0; key < gqe_align_up(push->keys, panel_keys); key++)
		for (uint32_t channel = 0; channel < head_dim; channel++)
			panels[((uint64_t)(key / panel_keys) * head_dim + channel) * panel_keys + key % panel_keys] =
				cache[(uint64_t)gqe_min_u32(key, push->keys - 1) * head_dim + channel];
}

void gqe_check_kv_panels(struct gqe_check *check)
{
	uint32_t heads = gqe_check_between(check, 1, 9), head_dim = gqe_check_head_dim(check);
	uint32_t keys = gqe_check_tokens(check), first_key = gqe_check_between(check, 0, 1) ? gqe_check_between(check, 1, 99) : 0;
	uint32_t capacity = first_key + keys + gqe_check_between(check, 0, 9);
	uint32_t panel_keys = 2 * gqe_check_between(check, 1, 8);
	uint32_t panels = gqe_div_up(keys, panel_keys), panel_capacity = (panels + gqe_check_between(check, 0, 2)) * panel_keys;
	gqe_check_shape(check, "heads=%u first=%u keys=%u capacity=%u panel=%u to=%u d_h=%u", heads, first_key, keys, capacity,
			panel_keys, panel_capacity, head_dim);
	uint64_t cache_count = (uint64_t)heads * capacity * head_dim, panel_count = (uint64_t)heads * panel_capacity * head_dim;
	struct gqe_check_tensor *in[2], *out[2];
	float *cache[2], *expected[2];
	static const char *const names[2][2] = {{"k_cache", "k"}, {"v_cache", "v"}};
	for (int i = 0; i < 2; i++) {
		cache[i] = gqe_check_normal_weights(check, cache_count);
		in[i] = gqe_check_weights(check, names[i][0], cache[i], (uint64_t)heads * capacity, head_dim, head_dim);
		out[i] = gqe_check_output(check, names[i][1], sizeof(float), panel_count);
		expected[i] = gqe_check_untouched(check, panel_count);
	}
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_kv_panels push = {
		.k_cache = in[0]->buffer.address,
		.v_cache = in[1]->buffer.address,
		.k = out[0]->buffer.address,
		.v = out[1]->buffer.address,
		.heads = heads,
		.capacity = capacity,
		.first_key = first_key,
		.keys = keys,
		.panel_keys = panel_keys,
		.panel_capacity = panel_capacity,
		.head_size = head_dim,
	};
	while (gqe_check_pass(check))
		gqe_record_kv_panels(&check->recorder, check->dtype, &push);
	for (int i = 0; i < 2; i++) {
		for (uint32_t head = 0; head < heads; head++)
			expect_panels(expected[i] + (uint64_t)head * panel_capacity * head_dim,
				      cache[i] + ((uint64_t)head * capacity + first_key) * head_dim, &push);
		gqe_check_compare(check, out[i], expected[i], 0);
	}
}

/* An attention problem; every slot of q has a KV head. */
struct attention_case {
	struct gqe_push_attention push; /* pointers still 0 */
	uint32_t head_dim;
	uint64_t q_count, cache_count, o_count;
};

/* Which KV head the shared slot attends to. */
enum { SHARED_NONE, SHARED_GROUP, SHARED_OWN, SHARED_VARIANTS };

/* From so many tokens on a case has few and small heads: the work grows with the square of the tokens. */
#define LONG_TOKENS 600

static bool is_split_case(const struct gqe_check *check)
{
	return check->number % 4 == 2;
}

/* Whether the matrix path's kernel shall transpose V, on any device that has it: of heads no larger than where it does by itself.
 */
static bool is_transposed_case(const struct gqe_check *check)
{
	return check->recorder.path == GQE_PATH_MATRIX && (check->number % 4 == 1 || check->number % 8 >= 6);
}

static struct attention_case draw_attention(struct gqe_check *check)
{
	uint32_t shared = check->number % SHARED_VARIANTS, position = 0;
	uint32_t tokens = gqe_check_tokens(check), batch = check->number % 3 == 2 ? gqe_check_between(check, 2, 3) : 1;
	uint32_t groups = gqe_check_between(check, 1, 3), slots = gqe_check_between(check, 1, 4);
	uint32_t head_dim = gqe_check_head_dim(check);
	if (tokens >= LONG_TOKENS) {
		batch = groups = 1;
		slots = gqe_min_u32(slots, 2);
		head_dim = gqe_min_u32(head_dim, 32);
	}
	if (is_transposed_case(check) && check->head_dim == 0)
		head_dim = gqe_min_u32(head_dim, 128);
	uint32_t routed = groups * slots;
	bool has_weighted_slot = gqe_check_between(check, 0, 1);
	if (gqe_check_between(check, 0, 1))
		position = gqe_check_between(check, 1, 200);
	if (is_split_case(check))
		position = gqe_check_between(check, 300, 600);
	struct attention_case problem = {
		.head_dim = head_dim,
		.push =
			{
				.batch = batch,
				.tokens = tokens,
				.position = position,
				.capacity = position + tokens + gqe_check_between(check, 0, 9),
				.kv_heads = groups + (shared == SHARED_OWN),
				.groups = groups,
				.slots_per_group = slots,
				.q_slots = routed + (shared != SHARED_NONE),
				.o_slots = routed + has_weighted_slot + (shared != SHARED_NONE),
				.shared_head = GQE_NONE,
				.q_shared = GQE_NONE,
				.o_shared = GQE_NONE,
			},
	};
	struct gqe_push_attention *push = &problem.push;
	if (shared != SHARED_NONE) {
		push->shared_head = shared == SHARED_OWN ? groups : gqe_random_below(&check->random, groups);
		push->q_shared = push->q_slots - 1;
		push->o_shared = push->o_slots - 1;
	}
	uint64_t rows = (uint64_t)push->batch * push->tokens;
	problem.q_count = rows * push->q_slots * problem.head_dim;
	problem.o_count = rows * push->o_slots * problem.head_dim;
	problem.cache_count = (uint64_t)push->batch * push->kv_heads * push->capacity * problem.head_dim;
	return problem;
}

/* Keys past the last token hold NaN: no kernel may look there. */
static float *draw_cache(struct gqe_check *check, const struct attention_case *problem)
{
	float *cache = gqe_check_normal_weights(check, problem->cache_count);
	const struct gqe_push_attention *push = &problem->push;
	for (uint64_t i = 0; cache != NULL && i < problem->cache_count; i++) {
		if (i / problem->head_dim % push->capacity >= push->position + push->tokens)
			cache[i] = NAN;
	}
	return cache;
}

/* What attention is to leave, and what it is computed from. */
struct expected_attention {
	const struct attention_case *problem;
	const float *q, *k, *v;
	float *o;
};

static void expect_rows(void *user, uint64_t first, uint64_t last)
{
	const struct expected_attention *expected = user;
	const struct gqe_push_attention *push = &expected->problem->push;
	const uint32_t head_dim = expected->problem->head_dim;
	for (uint64_t row = first; row < last; row++) {
		uint32_t keys = push->position + (uint32_t)(row % push->tokens) + 1;
		for (uint32_t slot = 0; slot < push->q_slots; slot++) {
			bool is_shared = slot == push->q_shared;
			uint32_t head = is_shared ? push->shared_head : slot / push->slots_per_group;
			uint64_t cache = (row / push->tokens * push->kv_heads + head) * push->capacity * head_dim;
			uint32_t o_slot = is_shared ? push->o_shared : slot;
			gqe_reference_attend(head_dim, keys, expected->q + (row * push->q_slots + slot) * head_dim,
					     expected->k + cache, expected->v + cache,
					     expected->o + (row * push->o_slots + o_slot) * head_dim);
		}
	}
}

void gqe_check_attention(struct gqe_check *check)
{
	struct attention_case problem = draw_attention(check);
	struct gqe_push_attention *push = &problem.push;
	uint32_t blocks = 1, parts = 1;
	if (is_transposed_case(check)) {
		blocks = UINT32_C(1) << gqe_check_between(check, 0, 5);
		if (check->number % 8 != 1)
			blocks -= blocks / 4; /* as where shared memory has no room for a power of two */
		parts = gqe_check_between(check, 1, 3);
	}
	bool is_transposed = is_transposed_case(check) && gqe_check_transposed_tile(check, problem.head_dim, blocks, parts);
	/* Now and then the device claims to leave loops after a few passes, so that the keys are handled in several ranges. */
	struct gqe_capabilities limited = *check->recorder.capabilities;
	bool is_split = is_split_case(check);
	if (is_split) {
		uint32_t pass = gqe_attention_pass_iterations(&check->recorder, check->dtype, problem.head_dim, push);
		/* Every range is a dispatch over all tiles. */
		uint32_t most = push->tokens >= LONG_TOKENS ? 160 : 5;
		limited.max_loop_iterations = GQE_ATTENTION_LOOPS_AROUND + pass * gqe_check_between(check, most / 5, most);
		check->recorder.capabilities = &limited;
	}
	gqe_check_shape(check, "B=%u T=%u position=%u capacity=%u G=%u slots=%u shared=%d d_h=%u o_slots=%u%s blocks=%u parts=%u",
			push->batch, push->tokens, push->position, push->capacity, push->groups, push->slots_per_group,
			(int)push->shared_head, problem.head_dim, push->o_slots, is_split ? " split" : "",
			is_transposed ? blocks : 0, is_transposed ? parts : 0);
	/* Scores from flat to sharp. The kernel works in powers of two, the reference in powers of e. */
	uint32_t spread = gqe_check_between(check, 1, 4);
	if (check->number % 4 == 3)
		spread *= 50; /* references and maxima far from 0 */
	float q_scale = (float)spread / sqrtf((float)problem.head_dim);
	float *q = gqe_check_normal(check, problem.q_count);
	float *q_base_e = gqe_check_alloc(check, problem.q_count, sizeof(*q_base_e));
	for (uint64_t i = 0; q != NULL && q_base_e != NULL && i < problem.q_count; i++) {
		q_base_e[i] = q[i] * q_scale;
		q[i] = q_base_e[i] * 1.44269504f;
	}
	float *k = draw_cache(check, &problem), *v = draw_cache(check, &problem);
	uint32_t cache_rows = push->batch * push->kv_heads * push->capacity;
	struct gqe_check_tensor *q_in = gqe_check_floats(check, "q", q, problem.q_count);
	struct gqe_check_tensor *k_in = gqe_check_weights(check, "k_cache", k, cache_rows, problem.head_dim, problem.head_dim);
	struct gqe_check_tensor *v_in = gqe_check_weights(check, "v_cache", v, cache_rows, problem.head_dim, problem.head_dim);
	struct gqe_check_tensor *out = gqe_check_output(check, "o", sizeof(float), problem.o_count);
	struct gqe_check_tensor *state =
		gqe_check_output(check, "state", sizeof(float), 2 * (uint64_t)push->batch * push->tokens * push->q_slots);
	/* Room for panels: none, all keys, or the least that makes ranges. */
	uint32_t panel_room = check->number % 2 == 0   ? (uint32_t)gqe_align_up(push->capacity, GQE_MOST_PANEL_KEYS)
			      : check->number % 4 == 3 ? 256
						       : 0;
	uint64_t panel_count = (uint64_t)push->batch * push->kv_heads * panel_room * problem.head_dim;
	struct gqe_check_tensor *k_panels = NULL, *v_panels = NULL;
	if (panel_count > 0) {
		k_panels = gqe_check_output(check, "k_panels", sizeof(float), panel_count);
		v_panels = gqe_check_output(check, "v_panels", sizeof(float), panel_count);
	}
	float *expected = gqe_check_untouched(check, problem.o_count);
	if (!gqe_check_place(check))
		return;
	struct gqe_panel_scratch panels = {0};
	if (panel_count > 0)
		panels = (struct gqe_panel_scratch){k_panels->buffer.address, v_panels->buffer.address, panel_count};
	push->q = q_in->buffer.address;
	push->k_cache = k_in->buffer.address;
	push->v_cache = v_in->buffer.address;
	push->o = out->buffer.address;
	push->state = state->buffer.address;
	while (gqe_check_pass(check))
		gqe_record_attention(&check->recorder, check->dtype, problem.head_dim, push, &panels);
	struct expected_attention reference = {&problem, q_base_e, k, v, expected};
	gqe_parallel_for(check->threads, (uint64_t)push->batch * push->tokens, 0, expect_rows, &reference);
	double tolerance = GQE_CHECK_TOLERANCE_ATTENTION(spread);
	if (gqe_check_multiplies_f16(check, GQE_KERNEL_ATTENTION))
		tolerance = check->recorder.path == GQE_PATH_PACKED ? GQE_CHECK_TOLERANCE_ATTENTION_PACKED(spread)
								    : GQE_CHECK_TOLERANCE_ATTENTION_F16(spread);
	gqe_check_compare(check, out, expected, tolerance);
}

void gqe_check_combine(struct gqe_check *check)
{
	uint32_t rows = gqe_check_tokens(check), hard_slots = gqe_check_between(check, 1, 16);
	uint32_t head_dim = gqe_check_head_dim(check), has_weighted = gqe_check_between(check, 0, 1);
	uint32_t o_slots = hard_slots + has_weighted + gqe_check_between(check, 0, 1), scale = gqe_check_between(check, 0, 1);
	gqe_check_shape(check, "rows=%u hard=%u o_slots=%u d_h=%u weighted=%u scale=%u", rows, hard_slots, o_slots, head_dim,
			has_weighted, scale);
	uint64_t weights = (uint64_t)rows * hard_slots, count = (uint64_t)rows * o_slots * head_dim;
	float *gate = gqe_check_normal(check, weights), *selected = gqe_check_normal(check, weights);
	float *o = gqe_check_normal(check, count);
	struct gqe_check_tensor *gate_in = gqe_check_floats(check, "gate", gate, weights);
	struct gqe_check_tensor *selected_in = gqe_check_floats(check, "selected", selected, weights);
	struct gqe_check_tensor *inout = gqe_check_inout(check, "o", o, count);
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_combine push = {
		.gate = gate_in->buffer.address,
		.selected = selected_in->buffer.address,
		.o = inout->buffer.address,
		.rows = rows,
		.hard_slots = hard_slots,
		.o_slots = o_slots,
		.head_size = head_dim,
		.weighted_slot = has_weighted ? hard_slots : GQE_NONE,
		.scale_hard = scale,
	};
	while (gqe_check_pass(check))
		gqe_record_combine(&check->recorder, check->dtype, &push);
	gqe_reference_combine(rows, hard_slots, o_slots, head_dim, gate, selected, has_weighted ? (int32_t)hard_slots : -1, scale,
			      o);
	gqe_check_compare(check, inout, o, GQE_CHECK_TOLERANCE_ELEMENTWISE);
}
