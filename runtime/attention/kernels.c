#include "attention/kernels.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "attention/prepared.h"

/* What a path needs beyond the one below it. */
static bool adds_path(const struct gqe_capabilities *capabilities, gqe_path path)
{
	uint32_t subgroup = gqe_tile_subgroup(capabilities);
	switch (path) {
	case GQE_PATH_SCALAR:
		return true;
	case GQE_PATH_SUBGROUP:
		/* The kernels take depth in steps of a subgroup and weights in fours. */
		return capabilities->subgroup_broadcast && subgroup >= 4 && subgroup <= 64 &&
		       subgroup <= capabilities->max_workgroup_invocations;
	case GQE_PATH_PACKED:
		return capabilities->float16 && capabilities->storage16;
	case GQE_PATH_MATRIX: /* whose shapes include those two */
		return capabilities->matrix_shape_count > 0 && !(capabilities->quirks & GQE_QUIRK_SLOW_MATRIX);
	case GQE_PATH_MATRIX2:
		return capabilities->matrix_rows_known && gqe_matrix_shape_of(capabilities, path).m > 0;
	default:
		return false;
	}
}

uint32_t gqe_ladder(const struct gqe_capabilities *capabilities, gqe_path paths[8])
{
	static const gqe_path upwards[] = {GQE_PATH_SCALAR, GQE_PATH_SUBGROUP, GQE_PATH_PACKED, GQE_PATH_MATRIX, GQE_PATH_MATRIX2};
	uint32_t count = 0;
	while (count < GQE_COUNT(upwards) && adds_path(capabilities, upwards[count])) {
		paths[count] = upwards[count];
		count++;
	}
	/* On a CPU the upper paths are there to be tested. */
	if (count > 2 && capabilities->is_cpu) {
		memmove(&paths[1], &paths[2], (count - 2) * sizeof(paths[0]));
		paths[count - 1] = GQE_PATH_SUBGROUP;
	}
	return count;
}

static struct gqe_prepared prepare(const struct gqe_recorder *recorder, enum gqe_kernel kernel, gqe_dtype weights,
				   uint32_t work_rows, uint32_t head_dim)
{
	return gqe_prepare(recorder->capabilities, recorder->tuning, recorder->verdicts, kernel, recorder->path, weights, work_rows,
			   head_dim);
}

static struct gqe_prepared prepare_product(const struct gqe_recorder *recorder, enum gqe_kernel kernel, gqe_dtype weights,
					   uint32_t w_lanes, uint32_t work_rows)
{
	struct gqe_recorder reading = *recorder;
	if (w_lanes > 1)
		reading.path = GQE_PATH_SUBGROUP;
	struct gqe_prepared prepared = prepare(&reading, kernel, weights, work_rows, 0);
	assert(w_lanes == 1 || prepared.tile.subgroup == w_lanes);
	prepared.specialization.values[GQE_CONFIG_w_lanes] = w_lanes;
	return prepared;
}

static void dispatch(const struct gqe_recorder *recorder, const struct gqe_prepared *prepared, const void *push,
		     uint64_t workgroups, const struct gqe_buffer *indirect, double work)
{
	gqe_steps_dispatch(recorder->steps, &(struct gqe_dispatch){
						    .variant = prepared->choice.variant,
						    .specialization = prepared->specialization,
						    .push = push,
						    .workgroups = workgroups,
						    .indirect = indirect,
						    .work = work,
					    });
}

/* A kernel that handles one item an invocation, with about `work` operations on each. */
static void record_items(const struct gqe_recorder *recorder, enum gqe_kernel kernel, gqe_dtype weights, const void *push,
			 uint64_t items, double work)
{
	struct gqe_prepared prepared = prepare(recorder, kernel, weights, 0, 0);
	assert(items <= UINT32_MAX);
	uint64_t workgroups = (items + prepared.tile.workgroup - 1) / prepared.tile.workgroup;
	dispatch(recorder, &prepared, push, workgroups, NULL, (double)items * work);
}

/* A kernel that handles one item a workgroup. */
static void record_workgroups(const struct gqe_recorder *recorder, enum gqe_kernel kernel, gqe_dtype weights, const void *push,
			      uint64_t workgroups, double work)
{
	struct gqe_prepared prepared = prepare(recorder, kernel, weights, 0, 0);
	dispatch(recorder, &prepared, push, workgroups, NULL, (double)workgroups * work);
}

void gqe_record_embed(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_embed *push)
{
	record_items(recorder, GQE_KERNEL_EMBED, weights, push, (uint64_t)push->rows * push->width, 1);
}

void gqe_record_norm(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_norm *push)
{
	record_workgroups(recorder, GQE_KERNEL_NORM, weights, push, push->rows, 6.0 * push->width);
}

/* Columns of a tile of a product. */
static uint32_t gemm_columns(const struct gqe_prepared *prepared)
{
	if (gqe_is_matrix_path(prepared->choice.path))
		return prepared->tile.columns;
	bool is_subgroup = prepared->choice.path == GQE_PATH_SUBGROUP;
	return prepared->tile.columns * (is_subgroup ? prepared->tile.subgroup : GQE_GEMM_SCALAR_LANES);
}

/* Loop iterations that a product may make before and after the depth: whether a tile is wanted, storing its rows. */
#define GEMM_LOOPS_AROUND 512

/*
 * Depth that one dispatch may handle, so that the driver's loop limit does not stop it. Iterations are counted from the loops of
 * gemm_subgroup.glsl and gemm_scalar.glsl, each with one more for its end; Mesa 22.3 does not unroll those that load a slice.
 */
static uint32_t gemm_depth_at_once(const struct gqe_recorder *recorder, const struct gqe_prepared *prepared)
{
	if (recorder->capabilities->max_loop_iterations == UINT32_MAX)
		return UINT32_MAX;
	const struct gqe_tile *tile = &prepared->tile;
	uint32_t block_iterations;
	if (prepared->specialization.values[GQE_CONFIG_w_lanes] > 1) {
		block_iterations = 1 + GQE_GEMM_BLOCK / GQE_GEMM_PASS + 1 + (GQE_GEMM_PASS - 1) + 1;
	} else if (prepared->choice.path == GQE_PATH_SUBGROUP) {
		block_iterations = 1 + GQE_GEMM_BLOCK / tile->subgroup + 1;
	} else {
		const uint32_t slice = GQE_GEMM_SCALAR_SLICE;
		uint32_t load = gqe_div_up(tile->rows * slice, tile->workgroup) + 1 +
				gqe_div_up(gemm_columns(prepared) * slice, tile->workgroup) + 1;
		uint32_t multiply = slice / 4 * (1 + 4 + 1) + 1;
		block_iterations = GQE_GEMM_BLOCK / slice * (1 + load + multiply);
	}
	return (recorder->capabilities->max_loop_iterations - GEMM_LOOPS_AROUND) / (block_iterations + 1) * GQE_GEMM_BLOCK;
}

void gqe_record_gemm(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_gemm *push)
{
	struct gqe_prepared prepared = prepare_product(recorder, GQE_KERNEL_GEMM, weights, push->w_lanes, push->rows);
	const struct gqe_gemm_layout layout = {
		.a = push->a,
		.w = push->w,
		.cols = push->cols,
		.depth = push->depth,
		.a_stride = push->a_stride,
		.w_stride = push->w_stride,
	};
	prepared.specialization.values[GQE_CONFIG_staged] = gqe_gemm_is_staged(&prepared, &layout);
	uint64_t row_tiles = gqe_div_up(push->rows, prepared.tile.rows);
	uint64_t column_tiles = gqe_div_up(push->cols, gemm_columns(&prepared));
	const uint32_t at_once = gemm_depth_at_once(recorder, &prepared);
	struct gqe_push_gemm range = *push;
	for (uint32_t first = 0; first < push->depth; first += range.depth) {
		range.a = push->a + (uint64_t)first * sizeof(float);
		range.w = push->w + (uint64_t)first * push->w_lanes * gqe_dtype_size(weights);
		range.depth = gqe_min_u32(at_once, push->depth - first);
		if (first > 0) {
			range.has_bias = 0;
			range.has_residual = 1;
			range.residual = push->c;
		}
		dispatch(recorder, &prepared, &range, row_tiles * column_tiles, NULL, 2.0 * range.rows * range.cols * range.depth);
	}
}

/* What cannot be split over its depth, as it ends with more than a sum. */
static bool fits_depth(const struct gqe_recorder *recorder, const struct gqe_prepared *prepared, uint32_t depth)
{
	if (depth <= gemm_depth_at_once(recorder, prepared))
		return true;
	gqe_error error;
	gqe_fail(&error, GQE_ERROR_USAGE, "a hidden size of %u is more than loops of this driver handle on the %s path", depth,
		 gqe_path_name(prepared->choice.path));
	gqe_steps_fail(recorder->steps, &error);
	return false;
}

void gqe_record_gemm_heads(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_gemm_heads *push)
{
	struct gqe_prepared prepared = prepare_product(recorder, GQE_KERNEL_GEMM_HEADS, weights, push->w_lanes, push->rows);
	if (!fits_depth(recorder, &prepared, push->depth))
		return;
	const struct gqe_gemm_layout layout = {
		.a = push->a,
		.w = push->w,
		.cols = push->heads * push->head_size,
		.head_size = push->head_size,
		.depth = push->depth,
		.a_stride = push->a_stride,
		.w_stride = push->w_stride,
	};
	prepared.specialization.values[GQE_CONFIG_staged] = gqe_gemm_is_staged(&prepared, &layout);
	struct gqe_push_gemm_heads filled = *push;
	filled.tokens_inverse = GQE_INVERSE(push->tokens);
	filled.pairs_inverse = GQE_INVERSE(push->head_size / 2);
	uint64_t workgroups =
		(uint64_t)gqe_div_up(push->rows, prepared.tile.rows) * gqe_div_up(layout.cols, gemm_columns(&prepared));
	dispatch(recorder, &prepared, &filled, workgroups, NULL, 2.0 * push->rows * layout.cols * push->depth);
}

struct gqe_gathered_tile gqe_gathered_tile_of(const struct gqe_recorder *recorder, gqe_dtype weights, uint32_t w_lanes,
					      uint32_t rows, uint32_t width)
{
	struct gqe_prepared prepared = prepare_product(recorder, GQE_KERNEL_GEMM_GATHERED, weights, w_lanes, rows);
	return (struct gqe_gathered_tile){
		.rows = prepared.tile.rows,
		.column_tiles = gqe_div_up(width, gemm_columns(&prepared)),
	};
}

uint32_t gqe_gathered_tiles_bound(uint32_t rows, uint32_t groups, uint32_t top_k, uint32_t experts)
{
	return gqe_tile_gathered_bound(rows, groups * top_k, experts);
}

void gqe_record_gemm_gathered(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_gemm_gathered *push,
			      const struct gqe_buffer *dispatch_buffer, uint32_t rows, uint32_t entries_per_row)
{
	struct gqe_prepared prepared = prepare_product(recorder, GQE_KERNEL_GEMM_GATHERED, weights, push->w_lanes, rows);
	if (!fits_depth(recorder, &prepared, push->depth))
		return;
	const struct gqe_gemm_layout layout = {
		.a = push->a,
		.w = push->w,
		.cols = push->head_size,
		.head_size = push->head_size,
		.depth = push->depth,
		.a_stride = push->a_stride,
		.w_stride = push->w_stride,
	};
	prepared.specialization.values[GQE_CONFIG_staged] = gqe_gemm_is_staged(&prepared, &layout);
	struct gqe_push_gemm_gathered filled = *push;
	filled.q_slots_inverse = GQE_INVERSE(push->q_slots);
	double work = 2.0 * rows * entries_per_row * push->head_size * push->depth;
	/* Every expert may have one tile that is not full. */
	uint64_t entries = (uint64_t)rows * entries_per_row, tiles = entries / prepared.tile.rows + GQE_MAX_EXPERTS;
	tiles = tiles < entries ? tiles : entries;
	uint64_t column_tiles = gqe_div_up(push->head_size, gemm_columns(&prepared));
	dispatch(recorder, &prepared, &filled, tiles * column_tiles, dispatch_buffer, work);
}

void gqe_record_route(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_route *push)
{
	double experts = (double)push->groups * push->experts_per_group;
	record_items(recorder, GQE_KERNEL_ROUTE, weights, push, push->rows, experts * (30 + push->top_k));
}

/* expert_count and expert_scatter: items are (block of tokens, expert). */
static uint64_t list_items(uint32_t rows, uint32_t groups, uint32_t experts_per_group)
{
	return (uint64_t)gqe_div_up(rows, GQE_LIST_BLOCK) * groups * experts_per_group;
}

void gqe_record_expert_count(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_expert_count *push)
{
	uint64_t items = list_items(push->rows, push->groups, push->experts_per_group);
	record_items(recorder, GQE_KERNEL_EXPERT_COUNT, weights, push, items, GQE_LIST_BLOCK * push->top_k);
}

void gqe_record_expert_scan(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_expert_scan *push)
{
	assert(push->experts_total <= GQE_MAX_EXPERTS);
	record_workgroups(recorder, GQE_KERNEL_EXPERT_SCAN, weights, push, 1, 2.0 * push->blocks * push->experts_total);
}

void gqe_record_expert_scatter(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_expert_scatter *push)
{
	uint64_t items = list_items(push->rows, push->groups, push->experts_per_group);
	record_items(recorder, GQE_KERNEL_EXPERT_SCATTER, weights, push, items, GQE_LIST_BLOCK * push->top_k);
}

void gqe_record_balance(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_balance *push)
{
	uint64_t experts = (uint64_t)push->groups * push->experts_per_group;
	record_workgroups(recorder, GQE_KERNEL_BALANCE, weights, push, experts, (double)push->rows * (1 + push->top_k));
}

void gqe_record_rope_turns(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_rope_turns *push)
{
	uint64_t items = (uint64_t)gqe_div_up(push->rows, GQE_ROPE_ROWS) * (push->head_size / 2);
	record_items(recorder, GQE_KERNEL_ROPE_TURNS, weights, push, items, 10 * GQE_ROPE_ROWS);
}

void gqe_record_kv_mean(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_kv_mean *push)
{
	record_items(recorder, GQE_KERNEL_KV_MEAN, weights, push, (uint64_t)push->rows * push->head_size, 4.0 * push->source_heads);
}

void gqe_record_kv_panels(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_kv_panels *push)
{
	assert(push->panel_keys % 2 == 0 && push->panel_capacity % push->panel_keys == 0);
	const uint32_t keys = GQE_PANELS * push->panel_keys;
	uint64_t workgroups = 2 * (uint64_t)push->heads * gqe_div_up(push->keys, keys);
	record_workgroups(recorder, GQE_KERNEL_KV_PANELS, weights, push, workgroups, 2.0 * keys * push->head_size);
}

/* Slots of the KV head that serves most. */
static uint32_t attention_slots(const struct gqe_push_attention *push)
{
	bool shares_a_group = push->shared_head != GQE_NONE && push->shared_head < push->groups;
	return push->slots_per_group + (shares_a_group ? 1 : 0);
}

/*
 * Most work of one dispatch, in floating-point operations: a device of 1 TFLOP/s takes a quarter of a second, safe from the
 * watchdogs that end anything longer than 2 s.
 */
#define ATTENTION_DISPATCH_WORK 2.5e11

/*
 * Most keys of one dispatch: a sum over n of them is off by about n^0.5 * 2^-26, here 2.7e-6, and adding up the ranges' sums costs
 * little more, so that a million keys stay below 1e-5.
 */
#define ATTENTION_DISPATCH_KEYS 32768

static bool has_lane_rows(const struct gqe_prepared *prepared)
{
	return prepared->specialization.values[GQE_CONFIG_lane_rows] != 0;
}

/* Keys that a tile handles at a time; key ranges begin at multiples of it. */
static uint32_t attention_pass_keys(const struct gqe_prepared *prepared)
{
	if (gqe_is_matrix_path(prepared->choice.path) || has_lane_rows(prepared))
		return prepared->tile.columns;
	bool is_scalar = prepared->choice.path == GQE_PATH_SCALAR;
	return is_scalar ? GQE_ATTENTION_SCALAR_KEYS : prepared->tile.subgroup * prepared->tile.columns;
}

/*
 * Iterations that all loops of attention's invocations make for so many keys, at most; unrolled loops make none. Counted from the
 * loops in the .comp files and common/attention_lane_rows.glsl, each with one more for its end.
 */
static uint32_t attention_pass_iterations(const struct gqe_prepared *prepared, uint32_t head_dim)
{
	const struct gqe_tile *tile = &prepared->tile;
	if (gqe_is_matrix_path(prepared->choice.path) && tile->is_transposed) {
		uint32_t channels = gqe_matrix_channels(tile, head_dim), factor = tile->matrix.m * tile->matrix.k;
		uint32_t pairs = tile->columns / 2 * channels / 8, factors = 2 * tile->columns * channels / factor;
		return 1 + (gqe_div_up(pairs, tile->workgroup) + 1) + (gqe_div_up(factors, tile->workgroup / tile->subgroup) + 1);
	}
	if (gqe_is_matrix_path(prepared->choice.path)) {
		uint32_t pairs = tile->columns * gqe_matrix_channels(tile, head_dim) / 2;
		bool is_staged = prepared->specialization.values[GQE_CONFIG_staged] != 0;
		uint32_t products = gqe_matrix_channels(tile, head_dim) / tile->matrix.k + 1 + tile->columns / tile->matrix.k + 1;
		return 1 + (is_staged ? 2 * (gqe_div_up(pairs, tile->subgroup) + 1) : 0) + (tile->is_rolled ? products : 0);
	}
	if (has_lane_rows(prepared))
		return tile->columns + 2; /* if all keys are at the edge, one at a time */
	if (prepared->choice.path == GQE_PATH_PACKED)
		return 1 + gqe_div_up(head_dim / 2, tile->subgroup) * (tile->subgroup / 4 + 1) + (tile->subgroup / 2 + 1);
	if (prepared->choice.path == GQE_PATH_SUBGROUP) {
		/* On the diagonal a key at a time if `rolled`. */
		bool is_rolled = prepared->specialization.values[GQE_CONFIG_rolled] != 0;
		uint32_t products = is_rolled ? attention_pass_keys(prepared) : tile->subgroup;
		uint32_t largest = is_rolled ? tile->subgroup + 1 : 0;
		return 1 + (gqe_div_up(head_dim, tile->subgroup) + 1) + largest + (products + 1);
	}
	const uint32_t keys = GQE_ATTENTION_SCALAR_KEYS, channels = GQE_ATTENTION_SCALAR_CHANNELS;
	uint32_t row_lanes = tile->workgroup / tile->rows;
	uint32_t chunk = 1 + (keys * channels / tile->workgroup + 1) + (channels + 1);
	uint32_t softmax = 2 * (gqe_div_up(keys, row_lanes) + 1) + (row_lanes + 1);
	return 1 + gqe_div_up(head_dim, channels) * chunk + 1 + softmax + (keys + 1);
}

/* Keys that one dispatch may handle: for accuracy, and so that neither the driver's loop limit nor a watchdog stops it. */
static uint32_t attention_keys_at_once(const struct gqe_recorder *recorder, const struct gqe_prepared *prepared, uint32_t head_dim,
				       uint32_t keys, double work)
{
	const uint32_t pass_keys = attention_pass_keys(prepared);
	uint64_t passes = gqe_div_up(gqe_min_u32(keys, ATTENTION_DISPATCH_KEYS), pass_keys);
	work *= (double)passes * pass_keys / keys;
	if (work > ATTENTION_DISPATCH_WORK)
		passes = (uint64_t)ceil((double)passes * ATTENTION_DISPATCH_WORK / work);
	if (recorder->capabilities->max_loop_iterations != UINT32_MAX) {
		uint32_t left = recorder->capabilities->max_loop_iterations - GQE_ATTENTION_LOOPS_AROUND;
		uint32_t limit = left / attention_pass_iterations(prepared, head_dim);
		assert(limit > 0);
		passes = passes < limit ? passes : limit;
	}
	return gqe_min_u32(keys, (uint32_t)(passes * pass_keys));
}

/*
 * A cache in f16 is put into panels when at least so many rows share the result, and at least so many keys, or all of them, find
 * room: a range costs every row a merge.
 */
#define PANELS_LEAST_ROWS 32
#define PANELS_LEAST_KEYS 256

/*
 * Keys that panels of `panel_keys` hold at a time, whole panels; 0: there are none. With a row in each lane an operand from
 * memory is f32 for nothing, whereas an f16 is loaded, moved to a vector register, converted and broadcast, again for every tile.
 * And what lies in the order in which it is read comes faster from caches beyond the first.
 */
static uint32_t panel_capacity_of(const struct gqe_push_attention *push, const struct gqe_panel_scratch *panels,
				  uint32_t panel_keys, uint32_t head_dim)
{
	uint32_t rows = push->tokens * attention_slots(push), keys = push->position + push->tokens;
	if (rows < PANELS_LEAST_ROWS || panel_keys % 2 != 0 || panel_keys > GQE_MOST_PANEL_KEYS)
		return 0;
	uint64_t room = panels->elements / ((uint64_t)push->batch * push->kv_heads * head_dim) / panel_keys * panel_keys;
	if (room >= keys)
		return (uint32_t)gqe_align_up(keys, panel_keys);
	return room < PANELS_LEAST_KEYS ? 0 : (uint32_t)room;
}

static struct gqe_prepared prepare_attention(const struct gqe_recorder *recorder, gqe_dtype weights, uint32_t head_dim,
					     const struct gqe_push_attention *push)
{
	uint32_t rows = push->tokens * attention_slots(push), keys = push->position + push->tokens;
	struct gqe_prepared prepared = prepare(recorder, GQE_KERNEL_ATTENTION, weights, rows, head_dim);
	prepared.specialization.values[GQE_CONFIG_staged] = gqe_attention_is_staged(&prepared, head_dim, keys);
	return prepared;
}

uint32_t gqe_attention_pass_iterations(const struct gqe_recorder *recorder, gqe_dtype weights, uint32_t head_dim,
				       const struct gqe_push_attention *push)
{
	struct gqe_prepared prepared = prepare_attention(recorder, weights, head_dim, push);
	return attention_pass_iterations(&prepared, head_dim);
}

/* Puts the keys of a range into panels, and has the range's attention read them there. */
static void use_panels(const struct gqe_recorder *recorder, gqe_dtype weights, uint32_t head_dim,
		       const struct gqe_panel_scratch *panels, uint32_t panel_keys, uint32_t panel_capacity,
		       struct gqe_push_attention *range)
{
	gqe_record_kv_panels(recorder, weights,
			     &(struct gqe_push_kv_panels){
				     .k_cache = range->k_cache,
				     .v_cache = range->v_cache,
				     .k = panels->k,
				     .v = panels->v,
				     .heads = range->batch * range->kv_heads,
				     .capacity = range->capacity,
				     .first_key = range->first_key,
				     .keys = range->key_end - range->first_key,
				     .panel_keys = panel_keys,
				     .panel_capacity = panel_capacity,
				     .head_size = head_dim,
			     });
	range->k_cache = panels->k;
	range->v_cache = panels->v;
	range->capacity = panel_capacity;
	range->cache_first = range->first_key;
}

/* As tile_of_workgroup numbers them. */
static uint64_t attention_workgroups(const struct gqe_prepared *prepared, const struct gqe_push_attention *push)
{
	const uint32_t most = gqe_div_up(push->tokens * attention_slots(push), prepared->tile.rows);
	const uint32_t usual = gqe_div_up(push->tokens * push->slots_per_group, prepared->tile.rows);
	const bool is_spread = prepared->specialization.values[GQE_CONFIG_spread] != 0;
	const uint32_t block = is_spread ? usual + gqe_div_up(most - usual, push->kv_heads) : most;
	return (uint64_t)push->batch * push->kv_heads * block;
}

void gqe_record_attention(const struct gqe_recorder *recorder, gqe_dtype weights, uint32_t head_dim,
			  const struct gqe_push_attention *push, const struct gqe_panel_scratch *panels)
{
	assert(head_dim % 2 == 0 && head_dim <= GQE_MAX_HEAD_DIM);
	const uint32_t keys = push->position + push->tokens;
	struct gqe_prepared prepared = prepare_attention(recorder, weights, head_dim, push);
	uint32_t panel_capacity = 0;
	if (weights == GQE_DTYPE_F16 && has_lane_rows(&prepared)) {
		const struct gqe_prepared wide = prepare_attention(recorder, GQE_DTYPE_F32, head_dim, push);
		if (has_lane_rows(&wide))
			panel_capacity = panel_capacity_of(push, panels, wide.tile.columns, head_dim);
		if (panel_capacity > 0)
			prepared = wide;
	}
	prepared.specialization.values[GQE_CONFIG_panels] = panel_capacity > 0;
	double pairs = (double)push->tokens * push->position + 0.5 * push->tokens * (push->tokens + 1.0);
	double work = 4.0 * head_dim * pairs * push->q_slots * push->batch;
	uint32_t at_once = attention_keys_at_once(recorder, &prepared, head_dim, keys, work);
	if (panel_capacity > 0)
		at_once = gqe_min_u32(at_once, panel_capacity);

	const uint64_t workgroups = attention_workgroups(&prepared, push);
	for (uint32_t first = 0; first < keys; first += at_once) {
		struct gqe_push_attention range = *push;
		range.first_key = first;
		range.key_end = first + gqe_min_u32(at_once, keys - first);
		if (panel_capacity > 0)
			use_panels(recorder, weights, head_dim, panels, prepared.tile.columns, panel_capacity, &range);
		dispatch(recorder, &prepared, &range, workgroups, NULL, work * (range.key_end - first) / keys);
	}
}

void gqe_record_combine(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_combine *push)
{
	record_workgroups(recorder, GQE_KERNEL_COMBINE, weights, push, push->rows, 3.0 * push->hard_slots * push->head_size);
}

void gqe_record_activation(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_activation *push)
{
	record_items(recorder, GQE_KERNEL_ACTIVATION, weights, push, push->count, 30);
}

void gqe_record_nll(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_nll *push)
{
	record_workgroups(recorder, GQE_KERNEL_NLL, weights, push, push->rows, 20.0 * push->vocab);
}
