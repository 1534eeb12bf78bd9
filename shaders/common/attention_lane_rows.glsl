/*
 * Attention with a row in each lane, for drivers that run a subgroup as one CPU vector and load what all lanes want only once
 * (config_lane_rows). Scores, softmax and output of a row stay in its lane, so no value travels between lanes; K and V come as
 * operands straight from memory, the same for all rows. A multiplication and an addition a pair and channel is all that is left:
 * a driver for which uniform loads are not free pays eight loads for each of these.
 *
 * Everything a pass needs is unrolled: only so do q and o have fixed places on the stack. Its code has to fit a CPU's cache of
 * decoded instructions; the host chooses config_columns by head_dim.
 */
#ifndef GQE_COMMON_ATTENTION_LANE_ROWS_GLSL
#define GQE_COMMON_ATTENTION_LANE_ROWS_GLSL

#include "common/two_words.glsl"

/* Elements from a channel to the next, and from a key to the next of its pass. */
const uint channel_step = config_panels != 0 ? config_columns : 1;
const uint key_step = config_panels != 0 ? 1 : config_head_dim;

/* Keys handled at a time where not every row sees them all. */
const uint edge_keys = config_columns < 4 ? config_columns : 4;

float lane_q[config_head_dim];
float lane_o[config_head_dim]; /* in units of exp2(lane_max), as lane_sum */
float lane_max, lane_sum;
uint lane_keys; /* keys that the lane's row sees */

/* Where a key's first channel lies. */
Weights key_in(uvec2 cache, uint key)
{
	uint place = config_panels != 0 ? key % config_columns : 0;
	return Weights(address(address(cache, key - place, config_head_dim * WEIGHT_BYTES), place, WEIGHT_BYTES));
}

/*
 * What earlier key ranges left is where this one goes on. It is loaded even if there are none, as every branch is more for the driver
 * to compile.
 */
void start_lane(Tile tile, KeyRange range)
{
	uint row = gl_SubgroupInvocationID, base = row_q(tile, row), base_o = row_o(tile, row);
	bool goes_on = range.first > 0;
	[[unroll]] for (uint i = 0; i < config_head_dim; i += 2) {
		vec2 channels = load_two(push.q, (base + i) / 2), before = load_two(push.o, (base_o + i) / 2);
		lane_q[i] = channels.x;
		lane_q[i + 1] = channels.y;
		lane_o[i] = goes_on ? before.x : 0.0;
		lane_o[i + 1] = goes_on ? before.y : 0.0;
	}
	lane_max = no_score;
	lane_sum = 0.0;
	if (goes_on) {
		lane_max = push.state.at[row_state(tile, row)];
		lane_sum = push.state.at[row_state(tile, row) + 1];
	}
	lane_keys = row_keys(tile, gl_SubgroupInvocationID);
}

/*
 * Handles keys key...key + KEYS - 1. Without EDGE every row sees them all. With it a row may see only some, and the others must not reach
 * it, whatever they hold: 0 times infinity is not 0. Addresses are clamped either way, in case the driver runs what is behind a branch
 * with no lane active: it loads a uniform address even then. Without EDGE that helps only where there are KEYS keys; lavapipe 26.1, which
 * alone comes here, jumps over such a branch.
 */
#define LANE_PASS(name, KEYS, EDGE)                                                                                    \
	void name(Tile tile, uint key, uint end)                                                                       \
	{                                                                                                              \
		/* One address for all keys that are there; what lies at a constant distance from it costs nothing. */ \
		const uint addresses = EDGE ? KEYS : 1, rows = EDGE ? 1 : KEYS;                                        \
		Weights k[addresses], v[addresses];                                                                    \
		float p[KEYS]; /* scores, then probabilities */                                                        \
		[[unroll]] for (uint c = 0; c < addresses; c++) {                                                      \
			uint row = min(key + c, max(end, rows) - rows);                                                \
			k[c] = key_in(tile.k, row);                                                                    \
			v[c] = key_in(tile.v, row);                                                                    \
		}                                                                                                      \
		[[unroll]] for (uint c = 0; c < KEYS; c++)                                                             \
			p[c] = 0.0;                                                                                    \
		[[unroll]] for (uint i = 0; i < config_head_dim; i++)                                                  \
			[[unroll]] for (uint c = 0; c < KEYS; c++)                                                     \
				p[c] += lane_q[i] * float(k[c / rows].at[c % rows * key_step + i * channel_step]);     \
		float largest = lane_max;                                                                              \
		[[unroll]] for (uint c = 0; c < KEYS; c++) {                                                           \
			if (EDGE)                                                                                      \
				p[c] = key + c < lane_keys ? p[c] : no_score;                                          \
			largest = max(largest, p[c]);                                                                  \
		}                                                                                                      \
		float rescale = exp2(lane_max - largest);                                                              \
		float sum = 0.0;                                                                                       \
		[[unroll]] for (uint c = 0; c < KEYS; c++) {                                                           \
			p[c] = exp2(p[c] - largest);                                                                   \
			if (EDGE)                                                                                      \
				p[c] = key + c < lane_keys ? p[c] : 0.0;                                               \
			sum += p[c];                                                                                   \
		}                                                                                                      \
		lane_max = largest;                                                                                    \
		lane_sum = lane_sum * rescale + sum;                                                                   \
		[[unroll]] for (uint i = 0; i < config_head_dim; i++) {                                                \
			float pv = 0.0;                                                                                \
			[[unroll]] for (uint c = 0; c < KEYS; c++) {                                                   \
				float term = p[c] * float(v[c / rows].at[c % rows * key_step + i * channel_step]);     \
				if (EDGE)                                                                              \
					term = key + c < lane_keys ? term : 0.0;                                       \
				pv += term;                                                                            \
			}                                                                                              \
			lane_o[i] = lane_o[i] * rescale + pv;                                                          \
		}                                                                                                      \
	}

LANE_PASS(handle_keys, config_columns, false)
LANE_PASS(handle_edge_keys, edge_keys, true)

/*
 * Leaves the sums to the next key range, or divides if there is none. A row past the last stores what the last one does: its lane has
 * read the same, as a CPU vector's lanes go in step.
 */
void store_lane(Tile tile, KeyRange range)
{
	uint row = gl_SubgroupInvocationID, base = row_o(tile, row);
	float scale = range.is_last ? 1.0 / lane_sum : 1.0;
	[[unroll]] for (uint i = 0; i < config_head_dim; i += 2)
		store_two(push.o, (base + i) / 2, vec2(lane_o[i], lane_o[i + 1]) * scale);
	if (!range.is_last)
		store_state(tile, row, RowMerge(lane_max, lane_sum, 1.0, 0.0));
}

void attend_in_lanes(Tile tile, KeyRange range)
{
	start_lane(tile, range);
	uint seen_by_all = min(row_keys(tile, 0), range.end), key = range.first;
	if (key + config_columns <= seen_by_all) {
		do {
			handle_keys(tile, key, range.end);
			key += config_columns;
		} while (key + config_columns <= seen_by_all);
	}
	if (key < range.end) {
		do {
			handle_edge_keys(tile, key, range.end);
			key += edge_keys;
		} while (key < range.end);
	}
	store_lane(tile, range);
}

#endif
