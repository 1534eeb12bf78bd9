/*
 * For products whose columns are channels of heads: a tile has them in pairs, gemm_columns / 2 first channels and then their
 * partners, so that RoPE finds both in registers. The kernel has push.bias, has_bias, head_size, rope_kind, turns and scale, and says
 *
 *   HeadPair tile_pair(uint column)   what column `column`, below gemm_columns / 2, and its partner are; past the end a valid pair,
 *                                     marked so
 *   void store_pair(uint row, HeadPair pair, vec2 value)   keeps what has been rotated, times push.scale, or drops it past the end
 */
#ifndef GQE_COMMON_GEMM_PAIRS_GLSL
#define GQE_COMMON_GEMM_PAIRS_GLSL

#include "common/rope.glsl"

struct HeadPair {
	bool exists;
	uint head;      /* of the weight matrix */
	uint pair;      /* in the head */
	uvec2 channels; /* of the head */
};

HeadPair tile_pair(uint column);
void store_pair(uint row, HeadPair pair, vec2 value);

/* The bias is added before rotation. */
vec2 pair_bias(HeadPair pair)
{
	uvec2 rows = pair.head * push.head_size + pair.channels;
	return push.has_bias != 0 ? vec2(push.bias.at[rows.x], push.bias.at[rows.y]) : vec2(0.0);
}

/* (cos, sin) for the pair in row `row` of the tile; not without RoPE. */
vec2 pair_turn(uint row, HeadPair pair)
{
	return rope_turn(tile_a_row(row), pair.pair);
}

vec2 turn_pair(uint row, HeadPair pair, vec2 value)
{
	if (push.rope_kind != GQE_ROPE_KIND_NONE)
		value = rope_rotate(pair_turn(row, pair), value);
	return value;
}

#endif
