#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * Causal attention, one subgroup a workgroup, no shared memory, no workgroup barrier. For the scores a lane is a key: it loads its own
 * key's row, and q travels by broadcast. For the output a lane is a channel: rows of V are loaded contiguously over the lanes, and
 * the probabilities travel by broadcast. The outputs of `rows` queries stay in registers through the whole pass over the keys.
 * With config_lane_rows, on some CPU drivers, everything is otherwise: common/attention_lane_rows.glsl.
 */
#include "common/kernel.glsl"
#include "common/attention_tile.glsl"
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "common/attention_lane_rows.glsl"

/* Channels are dealt to lanes in blocks: lane l has channels l, l + subgroup, ... */
const uint blocks = (config_head_dim + config_subgroup - 1) / config_subgroup;
const uint pass_keys = config_subgroup * config_columns;

/* Keys in the body of the loop of P V. */
const uint keys_at_once = config_rolled == GQE_ROLLED_KEYS ? 1 : config_columns;
const uint diagonal_keys_at_once = config_rolled != 0 ? 1 : config_columns;

uint q_base[config_rows];                  /* index in q of each row's first channel */
float score[config_rows * config_columns]; /* [rows, columns]: lane = key; later probabilities */
float o[config_rows * blocks];             /* [rows, blocks]: lane = channel */
float row_max[config_rows];                /* the same in all lanes */
float row_sum[config_rows];                /* of the lane's keys only */

uint lane()
{
	return gl_SubgroupInvocationID;
}

/*
 * Maximum and sum over the lanes, of each row's value; the same in all lanes. Up to 8 lanes broadcasts do it: they are cheaper than
 * the steps of a butterfly, and on CPU drivers a single shuffle costs the whole kernel half its speed.
 */
#define ROWS_REDUCE(name, COMBINE)                                                                                     \
	void name(inout float value[config_rows])                                                                      \
	{                                                                                                              \
		if (config_subgroup > 8) {                                                                             \
			[[unroll]] for (uint r = 0; r < config_rows; r++)                                              \
				[[unroll]] for (uint step = 1; step < config_subgroup; step *= 2)                      \
					value[r] = COMBINE(value[r], subgroupShuffleXor(value[r], step));              \
			return;                                                                                        \
		}                                                                                                      \
		float own[config_rows];                                                                                \
		[[unroll]] for (uint r = 0; r < config_rows; r++) {                                                    \
			own[r] = value[r];                                                                             \
			value[r] = subgroupBroadcast(own[r], 0);                                                       \
		}                                                                                                      \
		if (config_rolled != 0) {                                                                              \
			uint l = 1;                                                                                    \
			[[dont_unroll]] do {                                                                           \
				[[unroll]] for (uint r = 0; r < config_rows; r++)                                      \
					value[r] = COMBINE(value[r], subgroupBroadcast(own[r], l));                    \
				l++;                                                                                   \
			} while (l < config_subgroup);                                                                 \
		} else {                                                                                               \
			[[unroll]] for (uint r = 0; r < config_rows; r++)                                              \
				[[unroll]] for (uint l = 1; l < config_subgroup; l++)                                  \
					value[r] = COMBINE(value[r], subgroupBroadcast(own[r], l));                    \
		}                                                                                                      \
	}

#define COMBINE_MAX(a, b) max(a, b)
#define COMBINE_SUM(a, b) ((a) + (b))
ROWS_REDUCE(lanes_max, COMBINE_MAX)
ROWS_REDUCE(lanes_sum, COMBINE_SUM)

/* Channels 4 * i ... 4 * i + 3 of a row of K; past head_dim zeros. Rows are aligned to four channels only if head_dim is. */
vec4 load_key(uvec2 row, uint i)
{
	if (config_head_dim % 4 == 0)
		return vec4(Weights4(row).at[i]);
	Weights2 pairs = Weights2(row);
	bool has_second = 4 * i + 2 < config_head_dim;
	return vec4(vec2(pairs.at[2 * i]), has_second ? vec2(pairs.at[2 * i + 1]) : vec2(0.0));
}

void start_rows(Tile tile)
{
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		q_base[r] = row_q(tile, r);
		row_max[r] = no_score;
		row_sum[r] = 0.0;
		[[unroll]] for (uint b = 0; b < blocks; b++)
			o[r * blocks + b] = 0.0;
	}
}

/* Scores of keys key...key + pass_keys - 1; keys past `end` repeat the last one. */
void compute_scores(Tile tile, uint key, uint end)
{
	uvec2 k_row[config_columns];
	[[unroll]] for (uint c = 0; c < config_columns; c++) {
		uint own_key = min(key + c * config_subgroup + lane(), end - 1);
		k_row[c] = address(tile.k, own_key, config_head_dim * WEIGHT_BYTES);
	}
	[[unroll]] for (uint i = 0; i < config_rows * config_columns; i++)
		score[i] = 0.0;
	uint block = 0;
	[[dont_unroll]] do {
		/* Channels past the end get q = 0, and the last k there is. */
		bool has_channel = block + lane() < config_head_dim;
		float q[config_rows];
		[[unroll]] for (uint r = 0; r < config_rows; r++)
			q[r] = has_channel ? push.q.at[q_base[r] + block + lane()] : 0.0;
		[[unroll]] for (uint i = 0; i < config_subgroup; i += 4) {
			vec4 k[config_columns];
			[[unroll]] for (uint c = 0; c < config_columns; c++)
				k[c] = load_key(k_row[c], min(block + i, (config_head_dim - 1) / 4 * 4) / 4);
			[[unroll]] for (uint j = 0; j < 4; j++)
				[[unroll]] for (uint r = 0; r < config_rows; r++) {
					float x = subgroupBroadcast(q[r], i + j);
					[[unroll]] for (uint c = 0; c < config_columns; c++)
						score[r * config_columns + c] += x * k[c][j];
				}
		}
		block += config_subgroup;
	} while (block < config_head_dim);
}

/* Turns scores into exp2(score - maximum so far), and rescales what was summed under a lower maximum. */
void update_softmax(Tile tile, uint key, bool is_diagonal)
{
	if (is_diagonal) {
		[[unroll]] for (uint r = 0; r < config_rows; r++)
			[[unroll]] for (uint c = 0; c < config_columns; c++) {
				bool is_visible = key + c * config_subgroup + lane() < row_keys(tile, r);
				uint i = r * config_columns + c;
				score[i] = is_visible ? score[i] : no_score;
			}
	}
	float pass_max[config_rows];
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		pass_max[r] = score[r * config_columns];
		[[unroll]] for (uint c = 1; c < config_columns; c++)
			pass_max[r] = max(pass_max[r], score[r * config_columns + c]);
	}
	lanes_max(pass_max);
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		float largest = max(pass_max[r], row_max[r]);
		float rescale = exp2(row_max[r] - largest);
		row_max[r] = largest;
		row_sum[r] *= rescale;
		[[unroll]] for (uint b = 0; b < blocks; b++)
			o[r * blocks + b] *= rescale;
		[[unroll]] for (uint c = 0; c < config_columns; c++) {
			uint i = r * config_columns + c;
			/* A row without a visible key so far would have exp2(0) here. */
			score[i] = score[i] == no_score ? 0.0 : exp2(score[i] - largest);
			row_sum[r] += score[i];
		}
	}
}

/*
 * o += P V over the keys of the pass, `at_once` of them in the body of the loop, 1 or config_columns. On the diagonal a row's later
 * keys are left out, whatever they hold: their probability is 0, but 0 times infinity is not.
 */
void accumulate_output(Tile tile, uint key, uint end, bool is_diagonal, const uint at_once)
{
	Weights v = Weights(tile.v);
	const bool in_turn = at_once < config_columns; /* l goes over all columns */
	uint l = 0;
	[[dont_unroll]] do {
		[[unroll]] for (uint i = 0; i < at_once; i++) {
			uint row_key = key + i * config_subgroup + l;
			uint base = min(row_key, end - 1) * config_head_dim;
			float value[blocks];
			[[unroll]] for (uint b = 0; b < blocks; b++)
				value[b] = float(v.at[base + min(b * config_subgroup + lane(), config_head_dim - 1)]);
			[[unroll]] for (uint r = 0; r < config_rows; r++) {
				float own = score[r * config_columns + i];
				[[unroll]] for (uint c = 1; c < config_columns; c++)
					own = in_turn && l / config_subgroup == c ? score[r * config_columns + c] : own;
				float p = subgroupBroadcast(own, in_turn ? l % config_subgroup : l);
				bool is_visible = !is_diagonal || row_key < row_keys(tile, r);
				[[unroll]] for (uint b = 0; b < blocks; b++)
					o[r * blocks + b] += is_visible ? p * value[b] : 0.0;
			}
		}
		l++;
	} while (l < pass_keys / at_once);
}

/* A block of channels of all rows' outputs. */
void store_block(KeyRange range, uint base[config_rows], RowMerge merge[config_rows], uint b)
{
	uint channel = b * config_subgroup + lane();
	float value[config_rows];
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		value[r] = o[r * blocks];
		[[unroll]] for (uint j = 1; j < blocks; j++)
			value[r] = b == j ? o[r * blocks + j] : value[r];
		value[r] *= merge[r].own;
	}
	if (channel >= config_head_dim)
		return;
	if (range.first > 0)
		[[unroll]] for (uint r = 0; r < config_rows; r++)
			value[r] += push.o.at[base[r] + channel] * merge[r].before;
	/* What earlier ranges left has been read: a row past the last stores what the last one does. */
	[[unroll]] for (uint r = 0; r < config_rows; r++)
		push.o.at[base[r] + channel] = value[r];
}

/* Adds what the earlier key ranges left, and leaves the sums to the next, or divides if there is none. */
void store_rows(Tile tile, KeyRange range)
{
	uint base[config_rows];
	RowMerge merge[config_rows];
	lanes_sum(row_sum);
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		base[r] = row_o(tile, r);
		merge[r] = row_merge(tile, range, r, row_max[r], row_sum[r]);
	}
	if (!range.is_last) {
		subgroupBarrier(); /* every lane has read `state` */
		[[unroll]] for (uint r = 0; r < config_rows; r++)
			if (lane() == 0)
				store_state(tile, r, merge[r]);
	}
	if (config_rolled != 0) {
		uint b = 0;
		[[dont_unroll]] do {
			store_block(range, base, merge, b);
			b++;
		} while (b < blocks);
	} else {
		[[unroll]] for (uint b = 0; b < blocks; b++)
			store_block(range, base, merge, b);
	}
}

void main()
{
	Tile tile;
	KeyRange range;
	if (!tile_of_workgroup(tile) || !key_range_of(tile, range))
		return;
	if (config_lane_rows != 0) {
		attend_in_lanes(tile, range);
		return;
	}
	start_rows(tile);
	uint seen_by_all = row_keys(tile, 0);
	for (uint key = range.first; key < range.end; key += pass_keys) {
		compute_scores(tile, key, range.end);
		bool is_diagonal = key + pass_keys > seen_by_all;
		update_softmax(tile, key, is_diagonal);
		if (is_diagonal)
			accumulate_output(tile, key, range.end, true, diagonal_keys_at_once);
		else
			accumulate_output(tile, key, range.end, false, keys_at_once);
	}
	store_rows(tile, range);
}
