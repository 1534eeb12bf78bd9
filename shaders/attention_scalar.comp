#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * Causal attention for any Vulkan 1.2 device: a tile of queries against 32 keys at a time, scores and probabilities through shared
 * memory. An invocation computes the scores of some rows for one key, and the outputs of all rows for some channels.
 *
 * config_rows divides gl_WorkGroupSize.x, which is a multiple of 32 and at most 32 * config_rows. With 8 rows and head_dim 256
 * this takes 13.7 KB of shared memory.
 */
#include "common/kernel.glsl"
#include "common/attention_tile.glsl"

#define PASS_KEYS GQE_ATTENTION_SCALAR_KEYS
#define CHUNK GQE_ATTENTION_SCALAR_CHANNELS

const uint score_rows = config_rows * PASS_KEYS / gl_WorkGroupSize.x;
const uint row_lanes = gl_WorkGroupSize.x / config_rows; /* invocations that share a row of the softmax */
const uint blocks = (config_head_dim + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;

shared float q_tile[config_rows * config_head_dim];
shared float k_tile[PASS_KEYS * (CHUNK + 1)]; /* one more a row, against bank conflicts */
shared float score[config_rows * PASS_KEYS]; /* later probabilities */
shared float partial[gl_WorkGroupSize.x];
shared float rescale[config_rows];

float o[config_rows * blocks]; /* [rows, blocks] */

void load_queries(Tile tile)
{
	for (uint i = gl_LocalInvocationIndex; i < config_rows * config_head_dim; i += gl_WorkGroupSize.x)
		q_tile[i] = push.q.at[row_q(tile, i / config_head_dim) + i % config_head_dim];
}

void load_key_chunk(Tile tile, uint key, uint end, uint chunk)
{
	barrier(); /* the last chunk has been used */
	for (uint i = gl_LocalInvocationIndex; i < PASS_KEYS * CHUNK; i += gl_WorkGroupSize.x) {
		uint row = min(key + i / CHUNK, end - 1);
		uint channel = chunk + i % CHUNK;
		float value = 0.0;
		if (channel < config_head_dim)
			value = float(Weights(tile.k).at[row * config_head_dim + channel]);
		k_tile[i / CHUNK * (CHUNK + 1) + i % CHUNK] = value;
	}
	barrier();
}

void compute_scores(Tile tile, uint key, uint end)
{
	uint column = gl_LocalInvocationIndex % PASS_KEYS;
	uint first_row = gl_LocalInvocationIndex / PASS_KEYS * score_rows;
	float sum[score_rows];
	[[unroll]] for (uint r = 0; r < score_rows; r++)
		sum[r] = 0.0;
	for (uint chunk = 0; chunk < config_head_dim; chunk += CHUNK) {
		load_key_chunk(tile, key, end, chunk);
		uint count = min(CHUNK, config_head_dim - chunk);
		for (uint i = 0; i < count; i++) {
			float k = k_tile[column * (CHUNK + 1) + i];
			[[unroll]] for (uint r = 0; r < score_rows; r++)
				sum[r] += q_tile[(first_row + r) * config_head_dim + chunk + i] * k;
		}
	}
	[[unroll]] for (uint r = 0; r < score_rows; r++) {
		bool is_visible = key + column < row_keys(tile, first_row + r);
		score[(first_row + r) * PASS_KEYS + column] = is_visible ? sum[r] : no_score;
	}
	barrier();
}

/* One row of the softmax, in the invocations that share it: its maximum so far, and the sum over the keys of this invocation. */
struct Softmax {
	float largest, sum;
};

/* Turns scores into exp2(score - maximum so far), and leaves in `rescale` what earlier sums are to be multiplied by. */
void update_softmax(inout Softmax row)
{
	uint index = gl_LocalInvocationIndex / row_lanes;
	uint lane = gl_LocalInvocationIndex % row_lanes;
	float largest = row.largest;
	for (uint i = lane; i < PASS_KEYS; i += row_lanes)
		largest = max(largest, score[index * PASS_KEYS + i]);
	partial[gl_LocalInvocationIndex] = largest;
	barrier();
	for (uint i = 0; i < row_lanes; i++)
		largest = max(largest, partial[index * row_lanes + i]);
	float factor = exp2(row.largest - largest);
	row.largest = largest;
	row.sum *= factor;
	for (uint i = lane; i < PASS_KEYS; i += row_lanes) {
		uint at = index * PASS_KEYS + i;
		/* A row without a visible key so far would have exp2(0) here. */
		float p = score[at] == no_score ? 0.0 : exp2(score[at] - largest);
		score[at] = p;
		row.sum += p;
	}
	if (lane == 0)
		rescale[index] = factor;
	barrier();
}

/*
 * o += P V over keys key + first...key + last - 1 of the pass. On the diagonal a row's later keys are left out, whatever they hold:
 * their probability is 0, but 0 times infinity is not.
 */
void accumulate_keys(Tile tile, uint key, uint first, uint last, bool is_diagonal)
{
	for (uint i = first; i < last; i++)
		[[unroll]] for (uint b = 0; b < blocks; b++) {
			uint channel = min(b * gl_WorkGroupSize.x + gl_LocalInvocationIndex, config_head_dim - 1);
			float v = float(Weights(tile.v).at[(key + i) * config_head_dim + channel]);
			[[unroll]] for (uint r = 0; r < config_rows; r++) {
				bool is_visible = !is_diagonal || key + i < row_keys(tile, r);
				o[r * blocks + b] += is_visible ? score[r * PASS_KEYS + i] * v : 0.0;
			}
		}
}

/* o = o * rescale + P V. */
void accumulate_output(Tile tile, uint key, uint end)
{
	[[unroll]] for (uint r = 0; r < config_rows; r++)
		[[unroll]] for (uint b = 0; b < blocks; b++)
			o[r * blocks + b] *= rescale[r];
	uint count = min(PASS_KEYS, end - key);
	uint seen_by_all = clamp(row_keys(tile, 0), key, key + count) - key;
	accumulate_keys(tile, key, 0, seen_by_all, false);
	accumulate_keys(tile, key, seen_by_all, count, true);
}

/* Sum of a row over the invocations that share it. */
float row_total(uint index)
{
	float sum = 0.0;
	for (uint i = 0; i < row_lanes; i++)
		sum += partial[index * row_lanes + i];
	return sum;
}

/* Adds what the earlier key ranges left, and leaves the sums to the next, or divides if there is none. */
void store_rows(Tile tile, KeyRange range)
{
	RowMerge merge[config_rows];
	[[unroll]] for (uint r = 0; r < config_rows; r++)
		merge[r] = row_merge(tile, range, r, rescale[r], row_total(r));
	if (!range.is_last)
		barrier(); /* every invocation has read `state` */
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		/* A row past the last would merge the last one twice. */
		if (!row_exists(tile, r))
			continue;
		if (!range.is_last && gl_LocalInvocationIndex == 0)
			store_state(tile, r, merge[r]);
		uint base = row_o(tile, r);
		[[unroll]] for (uint b = 0; b < blocks; b++) {
			uint channel = b * gl_WorkGroupSize.x + gl_LocalInvocationIndex;
			if (channel < config_head_dim)
				merge_output(range, base + channel, merge[r], o[r * blocks + b]);
		}
	}
}

void main()
{
	Tile tile;
	KeyRange range;
	if (!tile_of_workgroup(tile) || !key_range_of(tile, range))
		return;
	load_queries(tile);
	[[unroll]] for (uint i = 0; i < config_rows * blocks; i++)
		o[i] = 0.0;
	Softmax row = Softmax(no_score, 0.0);
	for (uint key = range.first; key < range.end; key += PASS_KEYS) {
		compute_scores(tile, key, range.end);
		update_softmax(row);
		accumulate_output(tile, key, range.end);
	}

	partial[gl_LocalInvocationIndex] = row.sum;
	barrier(); /* also: `rescale` has been used and may hold the maxima now */
	if (gl_LocalInvocationIndex % row_lanes == 0)
		rescale[gl_LocalInvocationIndex / row_lanes] = row.largest;
	barrier();
	store_rows(tile, range);
}
