#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * Causal attention in f16 arithmetic, two operations in one. As in attention_subgroup.comp a lane is a key for the scores, and q
 * travels by broadcast, here two channels at a time; for the output a lane is two channels, and the probabilities of two keys travel
 * in one broadcast. f16 only adds up a few products, `sum_pairs` or two keys a column, and f32 the sums of those.
 *
 * Each row's q is scaled by a power of two to at most 1, so that products are no larger than k.
 */
#include "common/kernel.glsl"
#include "common/attention_tile.glsl"
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

POINTER(HalfPairs, uint, 4);
POINTER(Vectors, uvec4, 16);

/* Pairs of channels whose products f16 adds up: 16 bytes of a row of K. */
const uint sum_pairs = 4;
const uint pairs = config_head_dim / 2;
/* Pairs are dealt to lanes in blocks: lane l has pairs l, l + subgroup, ... */
const uint blocks = (pairs + config_subgroup - 1) / config_subgroup;
const uint pass_keys = config_subgroup * config_columns;

uint q[config_rows * blocks];              /* [rows, blocks]: lane = pair; two f16, scaled */
float q_unscale[config_rows];              /* what sums of f16 are multiplied by for it */
float score[config_rows * config_columns]; /* [rows, columns]: lane = key; later probabilities */
vec2 o[config_rows * blocks];              /* [rows, blocks]: lane = pair */
float row_max[config_rows];                /* the same in all lanes */
float row_sum[config_rows];                /* of the lane's keys only */

uint lane()
{
	return gl_SubgroupInvocationID;
}

float lanes_max(float value)
{
	[[unroll]] for (uint step = 1; step < config_subgroup; step *= 2)
		value = max(value, subgroupShuffleXor(value, step));
	return value;
}

float lanes_sum(float value)
{
	[[unroll]] for (uint step = 1; step < config_subgroup; step *= 2)
		value += subgroupShuffleXor(value, step);
	return value;
}

/* A pair of channels of q; past the last, zeros. */
vec2 load_q(uint base, uint pair)
{
	uint at = base + 2 * min(pair, pairs - 1);
	return pair < pairs ? vec2(push.q.at[at], push.q.at[at + 1]) : vec2(0.0);
}

void start_rows(Tile tile)
{
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		uint base = row_q(tile, r);
		float largest = 0.0;
		[[unroll]] for (uint b = 0; b < blocks; b++) {
			vec2 own = abs(load_q(base, b * config_subgroup + lane()));
			largest = max(largest, max(own.x, own.y));
		}
		int exponent = int(ceil(log2(max(lanes_max(largest), 1e-30))));
		q_unscale[r] = ldexp(1.0, exponent);
		float scale = ldexp(1.0, -exponent);
		row_max[r] = no_score;
		row_sum[r] = 0.0;
		[[unroll]] for (uint b = 0; b < blocks; b++) {
			q[r * blocks + b] = packFloat2x16(f16vec2(load_q(base, b * config_subgroup + lane()) * scale));
			o[r * blocks + b] = vec2(0.0);
		}
	}
}

/* Pairs 4 * i ... 4 * i + 3 of a row of K; past the last, any. Rows are aligned to 16 bytes only if head_dim is. */
uvec4 load_key(uvec2 row, uint i)
{
	if (config_head_dim % 8 == 0)
		return Vectors(row).at[min(i, config_head_dim / 8 - 1)];
	HalfPairs at = HalfPairs(row);
	uvec4 four;
	[[unroll]] for (uint j = 0; j < 4; j++)
		four[j] = at.at[min(4 * i + j, pairs - 1)];
	return four;
}

/* Scores of keys key...key + pass_keys - 1; keys past `end` repeat the last one. */
void compute_scores(Tile tile, uint key, uint end, bool is_diagonal)
{
	uvec2 k_row[config_columns];
	[[unroll]] for (uint c = 0; c < config_columns; c++) {
		uint own_key = key + c * config_subgroup + lane();
		if (is_diagonal)
			own_key = min(own_key, end - 1);
		k_row[c] = address(tile.k, own_key, config_head_dim * WEIGHT_BYTES);
	}
	[[unroll]] for (uint i = 0; i < config_rows * config_columns; i++)
		score[i] = 0.0;
	[[dont_unroll]] for (uint i = 0; i < config_subgroup; i += sum_pairs)
		[[unroll]] for (uint b = 0; b < blocks; b++) {
			uvec4 k[config_columns];
			[[unroll]] for (uint c = 0; c < config_columns; c++)
				k[c] = load_key(k_row[c], (b * config_subgroup + i) / sum_pairs);
			[[unroll]] for (uint r = 0; r < config_rows; r++) {
				f16vec2 sum[config_columns];
				[[unroll]] for (uint c = 0; c < config_columns; c++)
					sum[c] = f16vec2(0.0);
				[[unroll]] for (uint j = 0; j < sum_pairs; j++) {
					f16vec2 x = unpackFloat2x16(subgroupBroadcast(q[r * blocks + b], i + j));
					[[unroll]] for (uint c = 0; c < config_columns; c++)
						sum[c] = fma(x, unpackFloat2x16(k[c][j]), sum[c]);
				}
				[[unroll]] for (uint c = 0; c < config_columns; c++) {
					uint at = r * config_columns + c;
					score[at] = fma(float(sum[c].x), q_unscale[r], fma(float(sum[c].y), q_unscale[r], score[at]));
				}
			}
		}
}

/* Turns scores into exp2(score - maximum so far), and rescales what was summed under a lower maximum. */
void update_softmax(Tile tile, uint key, bool is_diagonal)
{
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		float largest = row_max[r];
		[[unroll]] for (uint c = 0; c < config_columns; c++) {
			uint i = r * config_columns + c;
			bool is_visible = !is_diagonal || key + c * config_subgroup + lane() < row_keys(tile, r);
			score[i] = is_visible ? score[i] : no_score;
			largest = max(largest, score[i]);
		}
		largest = lanes_max(largest);
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

/* The pair of channels of a row of V, `offset` bytes behind `first`: a 64-bit addition and no more. */
f16vec2 load_v(uvec2 first, uint offset)
{
	uint carry;
	uint low = uaddCarry(first.x, offset, carry);
	return unpackFloat2x16(HalfPairs(uvec2(low, first.y + carry)).at[0]);
}

/*
 * o += P V over the keys of the pass. P is taken four times, so that f16 joins f32 by multiply-adds, which AMD has for both at once;
 * by two it would take a conversion that halves, and an addition. Two columns' probabilities travel as one word; two lanes' keys add
 * up in f16.
 */
void accumulate_output(Tile tile, uint key, uint end, bool is_diagonal)
{
	const uint words = config_columns / 2;
	uint p[config_rows * words];
	[[unroll]] for (uint i = 0; i < config_rows * words; i++)
		p[i] = packFloat2x16(f16vec2(4.0 * vec2(score[2 * i], score[2 * i + 1])));
	uvec2 v[blocks]; /* address of the lane's pair in the pass's first key */
	const uint row_bytes = config_head_dim * WEIGHT_BYTES, last = end - 1 - key;
	[[unroll]] for (uint b = 0; b < blocks; b++)
		v[b] = address(address(tile.v, key, row_bytes), min(b * config_subgroup + lane(), pairs - 1), 4);
	[[dont_unroll]] for (uint l = 0; l < config_subgroup; l += 2) {
		f16vec2 sum[config_rows * blocks];
		[[unroll]] for (uint i = 0; i < config_rows * blocks; i++)
			sum[i] = f16vec2(0.0);
		[[unroll]] for (uint half_index = 0; half_index < 2; half_index++)
			[[unroll]] for (uint w = 0; w < words; w++) {
				f16vec2 low[blocks], high[blocks];
				uint low_key = 2 * w * config_subgroup + l + half_index, high_key = low_key + config_subgroup;
				if (is_diagonal) {
					low_key = min(low_key, last);
					high_key = min(high_key, last);
				}
				[[unroll]] for (uint b = 0; b < blocks; b++) {
					low[b] = load_v(v[b], low_key * row_bytes);
					high[b] = load_v(v[b], high_key * row_bytes);
				}
				[[unroll]] for (uint r = 0; r < config_rows; r++) {
					f16vec2 both = unpackFloat2x16(subgroupBroadcast(p[r * words + w], l + half_index));
					[[unroll]] for (uint b = 0; b < blocks; b++) {
						sum[r * blocks + b] = fma(both.xx, low[b], sum[r * blocks + b]);
						sum[r * blocks + b] = fma(both.yy, high[b], sum[r * blocks + b]);
					}
				}
			}
		[[unroll]] for (uint i = 0; i < config_rows * blocks; i++)
			o[i] = fma(vec2(sum[i]), vec2(0.25), o[i]);
	}
}

void store_rows(Tile tile, KeyRange range)
{
	RowMerge merge[config_rows];
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		float sum = lanes_sum(row_sum[r]);
		merge[r] = row_merge(tile, range, r, row_max[r], sum);
	}
	if (!range.is_last)
		subgroupBarrier(); /* every lane has read `state` */
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		/* A row past the last would merge the last one twice. */
		if (!row_exists(tile, r))
			continue;
		if (!range.is_last && lane() == 0)
			store_state(tile, r, merge[r]);
		uint base = row_o(tile, r);
		[[unroll]] for (uint b = 0; b < blocks; b++) {
			uint pair = b * config_subgroup + lane();
			if (pair >= pairs)
				continue;
			merge_output(range, base + 2 * pair, merge[r], o[r * blocks + b].x);
			merge_output(range, base + 2 * pair + 1, merge[r], o[r * blocks + b].y);
		}
	}
}

void handle_keys(Tile tile, uint key, uint end, bool is_diagonal)
{
	compute_scores(tile, key, end, is_diagonal);
	update_softmax(tile, key, is_diagonal);
	accumulate_output(tile, key, end, is_diagonal);
}

void main()
{
	Tile tile;
	KeyRange range;
	if (!tile_of_workgroup(tile) || !key_range_of(tile, range))
		return;
	start_rows(tile);
	/* Keys that all rows see, then those on the diagonal: two loops, so that what only the diagonal needs is not in the first. */
	const uint seen_by_all = min(row_keys(tile, 0), range.end);
	uint key = range.first;
	for (; key + pass_keys <= seen_by_all; key += pass_keys)
		handle_keys(tile, key, range.end, false);
	for (; key < range.end; key += pass_keys)
		handle_keys(tile, key, range.end, true);
	store_rows(tile, range);
}
