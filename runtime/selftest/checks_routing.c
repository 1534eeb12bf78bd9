/* route, the expert lists, gemm_gathered, balance: what makes GQE sparse. Lists are checked against a plain count. */
#include "selftest/checks.h"

#include <math.h>
#include <string.h>

#include "common/threads.h"
#include "reference/reference.h"

/* A routing problem: every token selects top_k different experts in each group, in some order. */
struct routing {
	uint32_t rows, groups, experts_per_group, top_k, q_slots;
	uint32_t experts_total, blocks;
	uint64_t selections; /* rows * groups * top_k */
	int32_t *experts;    /* [rows, groups, top_k] */
};

static struct routing draw_routing_shape(struct gqe_check *check)
{
	struct routing routing = {.rows = gqe_check_tokens(check)};
	if (check->number % 3 == 2) /* if allowed, more than one block of tokens */
		routing.rows = gqe_check_between(check, gqe_min_u32(GQE_LIST_BLOCK, check->max_tokens), check->max_tokens);
	bool has_many = check->number % 8 == 6;
	routing.groups = gqe_check_between(check, 1, has_many ? 2 : 8);
	routing.experts_per_group = gqe_check_between(check, 1, has_many ? GQE_MAX_EXPERTS_PER_GROUP : 8);
	routing.top_k = gqe_check_between(check, 1, routing.experts_per_group);
	routing.q_slots = routing.groups * routing.top_k + gqe_check_between(check, 0, 1);
	routing.experts_total = routing.groups * routing.experts_per_group;
	routing.blocks = gqe_div_up(routing.rows, GQE_LIST_BLOCK);
	routing.selections = (uint64_t)routing.rows * routing.groups * routing.top_k;
	return routing;
}

static struct routing draw_routing(struct gqe_check *check)
{
	struct routing routing = draw_routing_shape(check);
	routing.experts = gqe_check_alloc(check, routing.selections, sizeof(*routing.experts));
	/* Now and then all tokens choose alike, so that some lists are empty and some are long. */
	bool is_skewed = gqe_check_between(check, 0, 3) == 0;
	for (uint64_t i = 0; routing.experts != NULL && i < routing.selections; i += routing.top_k) {
		uint32_t first = is_skewed ? 0 : gqe_random_below(&check->random, routing.experts_per_group);
		uint32_t step = gqe_random_below(&check->random, 2) ? 1 : routing.experts_per_group - 1;
		for (uint32_t j = 0; j < routing.top_k; j++)
			routing.experts[i + j] = (int32_t)((first + (uint64_t)j * step) % routing.experts_per_group);
	}
	return routing;
}

static void describe(struct gqe_check *check, const struct routing *routing)
{
	gqe_check_shape(check, "rows=%u G=%u M=%u k=%u q_slots=%u", routing->rows, routing->groups, routing->experts_per_group,
			routing->top_k, routing->q_slots);
}

/* The expert (of all groups) that selection i of `experts` means. */
static uint32_t expert_of(const struct routing *routing, uint64_t i)
{
	uint32_t group = (uint32_t)(i / routing->top_k % routing->groups);
	return group * routing->experts_per_group + (uint32_t)routing->experts[i];
}

static uint64_t count_selections(const struct routing *routing, uint32_t expert)
{
	uint64_t count = 0;
	for (uint64_t i = 0; i < routing->selections; i++)
		count += expert_of(routing, i) == expert;
	return count;
}

/* counts [blocks, N], by looking at every selection. */
static int32_t *plain_counts(struct gqe_check *check, const struct routing *routing)
{
	int32_t *counts = gqe_check_alloc(check, (uint64_t)routing->blocks * routing->experts_total, sizeof(*counts));
	for (uint64_t i = 0; counts != NULL && i < routing->selections; i++) {
		uint64_t block = i / routing->groups / routing->top_k / GQE_LIST_BLOCK;
		counts[block * routing->experts_total + expert_of(routing, i)]++;
	}
	return counts;
}

/* positions [blocks, N] from counts: expert by expert, block by block. */
static int32_t *plain_positions(struct gqe_check *check, const struct routing *routing, const int32_t *counts)
{
	int32_t *positions = gqe_check_alloc(check, (uint64_t)routing->blocks * routing->experts_total, sizeof(*positions));
	int32_t position = 0;
	for (uint32_t e = 0; positions != NULL && e < routing->experts_total; e++) {
		for (uint32_t b = 0; b < routing->blocks; b++) {
			positions[b * routing->experts_total + e] = position;
			position += counts[b * routing->experts_total + e];
		}
	}
	return positions;
}

/* entries: for each expert in turn, every token's selection of it. */
static int32_t *plain_entries(struct gqe_check *check, const struct routing *routing)
{
	int32_t *entries = gqe_check_alloc(check, routing->selections, sizeof(*entries));
	uint64_t count = 0;
	uint32_t slots = routing->groups * routing->top_k;
	for (uint32_t e = 0; entries != NULL && e < routing->experts_total; e++) {
		for (uint64_t i = 0; i < routing->selections; i++) {
			if (expert_of(routing, i) == e)
				entries[count++] = (int32_t)(i / slots * routing->q_slots + i % slots);
		}
	}
	return entries;
}

/* tiles [count, 3] of at most tile_rows entries; returns the count. */
static uint32_t plain_tiles(const struct routing *routing, uint32_t tile_rows, int32_t *tiles)
{
	uint32_t count = 0;
	bool has_more = true;
	for (uint64_t turn = 0; has_more; turn++) {
		uint64_t first_entry = 0;
		has_more = false;
		for (uint32_t e = 0; e < routing->experts_total; e++) {
			uint64_t end = first_entry + count_selections(routing, e);
			uint64_t first = first_entry + turn * GQE_TILES_IN_TURN * tile_rows;
			for (int i = 0; i < GQE_TILES_IN_TURN && first < end; i++, count++) {
				uint64_t entries = end - first < tile_rows ? end - first : tile_rows;
				tiles[3 * count] = (int32_t)e;
				tiles[3 * count + 1] = (int32_t)first;
				tiles[3 * count + 2] = (int32_t)entries;
				first += entries;
			}
			has_more = has_more || first < end;
			first_entry = end;
		}
	}
	return count;
}

void gqe_check_expert_count(struct gqe_check *check)
{
	struct routing routing = draw_routing(check);
	describe(check, &routing);
	uint64_t count = (uint64_t)routing.blocks * routing.experts_total;
	struct gqe_check_tensor *experts = gqe_check_ints(check, "experts", routing.experts, routing.selections);
	struct gqe_check_tensor *out = gqe_check_output(check, "counts", sizeof(int32_t), count);
	int32_t *expected = plain_counts(check, &routing);
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_expert_count push = {
		.experts = experts->buffer.address,
		.counts = out->buffer.address,
		.rows = routing.rows,
		.groups = routing.groups,
		.experts_per_group = routing.experts_per_group,
		.top_k = routing.top_k,
	};
	while (gqe_check_pass(check))
		gqe_record_expert_count(&check->recorder, check->dtype, &push);
	gqe_check_compare_ints(check, out, expected);
}

static void expect_dispatch(uint64_t workgroups, int32_t dispatch[3])
{
	uint64_t x = workgroups < GQE_MAX_WORKGROUPS_X ? workgroups : GQE_MAX_WORKGROUPS_X;
	dispatch[0] = (int32_t)x;
	dispatch[1] = (int32_t)((workgroups + x - 1) / x);
	dispatch[2] = 1;
}

void gqe_check_expert_scan(struct gqe_check *check)
{
	struct routing routing = draw_routing(check);
	uint32_t tile_rows = 1u << gqe_check_between(check, 0, 5);
	uint32_t column_tiles = gqe_check_between(check, 1, check->number % 4 == 3 ? 5000 : 8);
	gqe_check_shape(check, "rows=%u G=%u M=%u k=%u tile_rows=%u column_tiles=%u", routing.rows, routing.groups,
			routing.experts_per_group, routing.top_k, tile_rows, column_tiles);
	uint64_t count = (uint64_t)routing.blocks * routing.experts_total;
	int32_t *counts = plain_counts(check, &routing);
	/* A tile holds an entry at least. */
	int32_t *expected_tiles = gqe_check_untouched(check, 3 * routing.selections);
	struct gqe_check_tensor *inout = gqe_check_ints(check, "counts", counts, count);
	inout->is_output = true;
	struct gqe_check_tensor *tiles = gqe_check_output(check, "tiles", sizeof(int32_t), 3 * routing.selections);
	struct gqe_check_tensor *tile_count = gqe_check_output(check, "tile_count", sizeof(int32_t), 1);
	struct gqe_check_tensor *dispatch = gqe_check_output(check, "dispatch", sizeof(int32_t), 3);
	int32_t *expected_positions = plain_positions(check, &routing, counts);
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_expert_scan push = {
		.counts = inout->buffer.address,
		.tiles = tiles->buffer.address,
		.tile_count = tile_count->buffer.address,
		.dispatch = dispatch->buffer.address,
		.blocks = routing.blocks,
		.experts_total = routing.experts_total,
		.tile_rows = tile_rows,
		.column_tiles = column_tiles,
	};
	while (gqe_check_pass(check))
		gqe_record_expert_scan(&check->recorder, check->dtype, &push);
	int32_t expected_count = (int32_t)plain_tiles(&routing, tile_rows, expected_tiles), expected_dispatch[3];
	expect_dispatch((uint64_t)expected_count * column_tiles, expected_dispatch);
	gqe_check_compare_ints(check, tile_count, &expected_count);
	gqe_check_compare_ints(check, inout, expected_positions);
	gqe_check_compare_ints(check, tiles, expected_tiles);
	gqe_check_compare_ints(check, dispatch, expected_dispatch);
}

void gqe_check_expert_scatter(struct gqe_check *check)
{
	struct routing routing = draw_routing(check);
	describe(check, &routing);
	int32_t *counts = plain_counts(check, &routing);
	int32_t *positions = plain_positions(check, &routing, counts);
	int32_t *expected = plain_entries(check, &routing);
	struct gqe_check_tensor *experts = gqe_check_ints(check, "experts", routing.experts, routing.selections);
	struct gqe_check_tensor *positions_in =
		gqe_check_ints(check, "positions", positions, (uint64_t)routing.blocks * routing.experts_total);
	struct gqe_check_tensor *out = gqe_check_output(check, "entries", sizeof(int32_t), routing.selections);
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_expert_scatter push = {
		.experts = experts->buffer.address,
		.positions = positions_in->buffer.address,
		.entries = out->buffer.address,
		.rows = routing.rows,
		.groups = routing.groups,
		.experts_per_group = routing.experts_per_group,
		.top_k = routing.top_k,
		.q_slots = routing.q_slots,
	};
	while (gqe_check_pass(check))
		gqe_record_expert_scatter(&check->recorder, check->dtype, &push);
	gqe_check_compare_ints(check, out, expected);
}

/* What gemm_gathered is to leave, and what it is computed from. */
struct expected_gathered {
	const struct routing *routing;
	const struct gqe_push_gemm_gathered *push;
	const struct gqe_check_rope *rope;
	const float *a, *w, *bias;
	float *q; /* [rows, q_slots, width]: every selection's row of `a` times its expert's matrix; the shared slot stays as it was
		   */
};

static void expect_selections(void *user, uint64_t begin, uint64_t end)
{
	const struct expected_gathered *expected = user;
	const struct routing *routing = expected->routing;
	const struct gqe_push_gemm_gathered *push = expected->push;
	const uint32_t width = push->head_size, slots = routing->groups * routing->top_k;
	for (uint64_t i = begin; i < end; i++) {
		uint64_t row = i / slots, entry = row * routing->q_slots + i % slots;
		uint64_t first = (uint64_t)expert_of(routing, i) * width;
		gqe_reference_gemm(1, 1, width, push->depth, expected->a + row * push->a_stride, push->a_stride,
				   expected->w + first * push->depth, push->depth, push->has_bias ? expected->bias + first : NULL,
				   NULL, expected->q + entry * width, width);
		gqe_check_rotate(expected->rope, (uint32_t)row, width, expected->q + entry * width);
	}
}

void gqe_check_gemm_gathered(struct gqe_check *check)
{
	struct routing routing = draw_routing(check);
	uint32_t width = gqe_check_head_dim(check), depth = gqe_check_between(check, 1, 150);
	uint32_t a_stride = depth + gqe_check_between(check, 0, 3), has_bias = gqe_check_between(check, 0, 1);
	uint32_t w_stride = (uint32_t)gqe_align_up(depth, 4);
	if (check->number % 4 == 1) { /* what tiles divide */
		width = 64 * gqe_check_between(check, 1, 4);
		depth = a_stride = w_stride = 64 * gqe_check_between(check, 1, 3);
	}
	bool is_narrow = check->number % 4 == 3 && gqe_check_narrow_tile(check, GQE_KERNEL_GEMM_GATHERED);
	struct gqe_check_rope rope = gqe_check_draw_rope(check, 1, routing.rows, width);
	gqe_check_shape(check, "rows=%u G=%u M=%u k=%u q_slots=%u d_h=%u depth=%u bias=%u kind=%u%s", routing.rows, routing.groups,
			routing.experts_per_group, routing.top_k, routing.q_slots, width, depth, has_bias, rope.kind,
			is_narrow ? " narrow tile" : "");
	uint64_t columns = (uint64_t)routing.experts_total * width, q_count = (uint64_t)routing.rows * routing.q_slots * width;
	uint32_t bound = gqe_gathered_tiles_bound(routing.rows, routing.groups, routing.top_k, routing.experts_total);
	float *a = gqe_check_normal(check, (uint64_t)routing.rows * a_stride);
	float *w = gqe_check_normal_weights(check, columns * depth), *bias = gqe_check_normal(check, columns);
	struct gqe_matrix_layout layout = gqe_check_heads_layout(&rope, width);
	struct gqe_check_tensor *w_in = gqe_check_matrix(check, "w", w, columns, depth, w_stride, &layout);
	struct gqe_gathered_tile tile = gqe_gathered_tile_of(&check->recorder, check->dtype, layout.lanes, routing.rows, width);
	int32_t *tiles = gqe_check_untouched(check, 3 * routing.selections);
	int32_t *entries = plain_entries(check, &routing);
	int32_t tile_count = tiles != NULL ? (int32_t)plain_tiles(&routing, tile.rows, tiles) : 0, dispatch[3] = {0};
	if ((uint32_t)tile_count > bound)
		gqe_check_fail(check, "%d tiles are more than gqe_gathered_tiles_bound says: %u", tile_count, bound);
	if (tile_count > 0)
		expect_dispatch((uint64_t)tile_count * tile.column_tiles, dispatch);
	struct gqe_check_tensor *a_in = gqe_check_floats(check, "a", a, (uint64_t)routing.rows * a_stride);
	struct gqe_check_tensor *bias_in = gqe_check_floats(check, "bias", bias, columns);
	struct gqe_check_tensor *tiles_in = gqe_check_ints(check, "tiles", tiles, 3 * routing.selections);
	struct gqe_check_tensor *count_in = gqe_check_ints(check, "tile_count", &tile_count, 1);
	struct gqe_check_tensor *entries_in = gqe_check_ints(check, "entries", entries, routing.selections);
	struct gqe_check_tensor *dispatch_in = gqe_check_ints(check, "dispatch", dispatch, 3);
	struct gqe_check_tensor *q = gqe_check_output(check, "q", sizeof(float), q_count);
	float *expected = gqe_check_untouched(check, q_count);
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_gemm_gathered push = {
		.a = a_in->buffer.address,
		.w = w_in->buffer.address,
		.bias = has_bias ? bias_in->buffer.address : 0,
		.turns = rope.kind == GQE_ROPE_KIND_NONE ? 0 : rope.turns->buffer.address,
		.tiles = tiles_in->buffer.address,
		.tile_count = count_in->buffer.address,
		.entries = entries_in->buffer.address,
		.q = q->buffer.address,
		.q_slots = routing.q_slots,
		.head_size = width,
		.depth = depth,
		.a_stride = a_stride,
		.w_stride = w_stride,
		.w_lanes = layout.lanes,
		.has_bias = has_bias,
		.rope_kind = rope.kind,
		.scale = rope.scale,
	};
	while (gqe_check_pass(check))
		gqe_record_gemm_gathered(&check->recorder, check->dtype, &push, &dispatch_in->buffer, routing.rows,
					 routing.groups * routing.top_k);
	struct expected_gathered reference = {&routing, &push, &rope, a, w, bias, expected};
	gqe_parallel_for(check->threads, routing.selections, 0, expect_selections, &reference);
	bool is_f16 = gqe_check_multiplies_f16(check, GQE_KERNEL_GEMM_GATHERED);
	gqe_check_compare(check, q, expected, is_f16 ? GQE_CHECK_TOLERANCE_SUM_F16 : GQE_CHECK_TOLERANCE_SUM);
}

/* With NaN among the logits nothing is promised but that the experts exist and differ. */
static void check_experts_exist(struct gqe_check *check, const struct routing *routing, const struct gqe_check_tensor *experts)
{
	const int32_t *result = gqe_check_result(check, experts);
	for (uint64_t i = 0; result != NULL && i < routing->selections; i++) {
		if (result[i] < 0 || (uint32_t)result[i] >= routing->experts_per_group)
			gqe_check_fail(check, "experts[%llu] is %d, with M=%u", (unsigned long long)i, result[i],
				       routing->experts_per_group);
		for (uint64_t j = i - i % routing->top_k; j < i; j++) {
			if (result[j] == result[i])
				gqe_check_fail(check, "experts[%llu] repeats expert %d", (unsigned long long)i, result[i]);
		}
	}
}

void gqe_check_route(struct gqe_check *check)
{
	struct routing routing = draw_routing_shape(check);
	bool by_expert = gqe_check_between(check, 0, 1), has_slots = check->number % 2 == 0;
	bool has_nan = check->number % 4 == 3, has_ties = check->number % 4 == 1;
	gqe_check_shape(check, "rows=%u G=%u M=%u k=%u order=%s%s", routing.rows, routing.groups, routing.experts_per_group,
			routing.top_k, by_expert ? "expert" : "rank",
			has_nan    ? " NaN"
			: has_ties ? " ties"
				   : "");
	uint64_t count = (uint64_t)routing.rows * routing.experts_total;
	float *logits = gqe_check_normal(check, count);
	for (uint64_t i = 0; logits != NULL && i < count; i++) {
		logits[i] *= 3;
		if (has_ties)
			logits[i] = roundf(logits[i]);
		if (has_nan && gqe_random_below(&check->random, 8) == 0)
			logits[i] = NAN;
	}
	struct gqe_check_tensor *logits_in = gqe_check_floats(check, "logits", logits, count);
	struct gqe_check_tensor *probability = gqe_check_output(check, "probability", sizeof(float), count);
	struct gqe_check_tensor *experts = gqe_check_output(check, "experts", sizeof(int32_t), routing.selections);
	struct gqe_check_tensor *selected = gqe_check_output(check, "selected", sizeof(float), routing.selections);
	struct gqe_check_tensor *gate = gqe_check_output(check, "gate", sizeof(float), routing.selections);
	struct gqe_check_tensor *slots = gqe_check_output(check, "expert_slots", sizeof(int32_t), count);
	int32_t *expected_slots = gqe_check_untouched(check, count);
	float *expected_probability = gqe_check_alloc(check, count, sizeof(float));
	float *expected_selected = gqe_check_alloc(check, routing.selections, sizeof(float));
	float *expected_gate = gqe_check_alloc(check, routing.selections, sizeof(float));
	int32_t *expected_experts = gqe_check_alloc(check, routing.selections, sizeof(int32_t));
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_route push = {
		.logits = logits_in->buffer.address,
		.probability = probability->buffer.address,
		.experts = experts->buffer.address,
		.selected = selected->buffer.address,
		.gate = gate->buffer.address,
		.expert_slots = has_slots ? slots->buffer.address : 0,
		.rows = routing.rows,
		.groups = routing.groups,
		.experts_per_group = routing.experts_per_group,
		.top_k = routing.top_k,
		.slot_order = by_expert ? 1 : 0,
		.has_expert_slots = has_slots,
	};
	while (gqe_check_pass(check))
		gqe_record_route(&check->recorder, check->dtype, &push);
	check_experts_exist(check, &routing, experts);
	if (has_nan)
		return;
	gqe_reference_route(routing.rows, routing.experts_total, routing.groups, routing.top_k,
			    by_expert ? GQE_SLOT_ORDER_EXPERT : GQE_SLOT_ORDER_RANK, logits, expected_probability, expected_experts,
			    expected_selected, expected_gate);
	gqe_check_compare_ints(check, experts, expected_experts);
	routing.experts = expected_experts;
	for (uint64_t i = 0; has_slots && i < count; i++)
		expected_slots[i] = -1;
	for (uint64_t i = 0; has_slots && i < routing.selections; i++) {
		uint64_t slot_count = (uint64_t)routing.groups * routing.top_k;
		expected_slots[i / slot_count * routing.experts_total + expert_of(&routing, i)] = (int32_t)(i % slot_count);
	}
	gqe_check_compare_ints(check, slots, expected_slots);
	gqe_check_compare(check, probability, expected_probability, GQE_CHECK_TOLERANCE_ELEMENTWISE);
	gqe_check_compare(check, selected, expected_selected, GQE_CHECK_TOLERANCE_ELEMENTWISE);
	gqe_check_compare(check, gate, expected_gate, GQE_CHECK_TOLERANCE_ELEMENTWISE);
}

void gqe_check_balance(struct gqe_check *check)
{
	struct routing routing = draw_routing(check);
	describe(check, &routing);
	uint64_t count = (uint64_t)routing.rows * routing.experts_total;
	float *probability = gqe_check_normal(check, count);
	for (uint64_t i = 0; probability != NULL && i < count; i++)
		probability[i] = fabsf(probability[i]);
	struct gqe_check_tensor *probability_in = gqe_check_floats(check, "probability", probability, count);
	struct gqe_check_tensor *experts = gqe_check_ints(check, "experts", routing.experts, routing.selections);
	struct gqe_check_tensor *out = gqe_check_output(check, "stats", sizeof(float), 2 * (uint64_t)routing.experts_total);
	float *expected = gqe_check_alloc(check, 2 * (uint64_t)routing.experts_total, sizeof(float));
	if (!gqe_check_place(check))
		return;
	const struct gqe_push_balance push = {
		.probability = probability_in->buffer.address,
		.experts = experts->buffer.address,
		.stats = out->buffer.address,
		.rows = routing.rows,
		.groups = routing.groups,
		.experts_per_group = routing.experts_per_group,
		.top_k = routing.top_k,
	};
	while (gqe_check_pass(check))
		gqe_record_balance(&check->recorder, check->dtype, &push);
	for (uint32_t e = 0; e < routing.experts_total; e++) {
		double sum = 0;
		for (uint32_t row = 0; row < routing.rows; row++)
			sum += probability[(uint64_t)row * routing.experts_total + e];
		expected[e] = (float)count_selections(&routing, e);
		expected[routing.experts_total + e] = (float)sum;
	}
	gqe_check_compare(check, out, expected, GQE_CHECK_TOLERANCE_SUM);
}
