#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * A projection of every token to the channels of heads, rotated: dense queries, K and V into the KV cache, and, as dense-and-select,
 * the queries of all experts, of which a token's slots get those that it chose.
 */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_GEMM_HEADS)

#define GQE_PAIRS
#include "common/gemm_tile.glsl"
#include "common/gemm_panels.glsl"
#include "common/divide.glsl"

uint first_row, first_column;

uint tile_a_row(uint row)
{
	return min(first_row + row, push.rows - 1);
}

HeadPair tile_pair(uint column)
{
	uint number = first_column / 2 + column, last = push.heads * (push.head_size / 2) - 1;
	uvec2 place = divide(min(number, last), push.head_size / 2, push.pairs_inverse);
	return HeadPair(number <= last, place.x, place.y, rope_channels(place.y));
}

/* The slot, of the token's, for a head; negative: none. Not a branch for the shared head, as every row of a tile would have it. */
int chosen_slot(uint row, uint head)
{
	int slot = push.expert_slots.at[row * push.experts + min(head, push.experts - 1)];
	return head < push.experts ? slot : int(push.shared_slot + head - push.experts);
}

void store_pair(uint row, HeadPair pair, vec2 value)
{
	row += first_row;
	int head_slot = int(pair.head);
	if (push.experts != 0)
		head_slot = chosen_slot(min(row, push.rows - 1), pair.head);
	if (row >= push.rows || !pair.exists || head_slot < 0)
		return;
	uvec2 place = divide(row, push.tokens, push.tokens_inverse); /* sequence, token */
	uint slot = place.x * push.sequence_stride + place.y * push.token_stride + uint(head_slot) * push.head_stride;
	value *= push.scale;
	if (WEIGHT_BYTES == 2 && push.is_cache != 0) {
		Weights head = Weights(address(uvec2(push.result), slot, push.head_size * WEIGHT_BYTES));
		head.at[pair.channels.x] = WEIGHT(value.x);
		head.at[pair.channels.y] = WEIGHT(value.y);
	} else {
		Floats head = Floats(address(uvec2(push.result), slot, push.head_size * 4));
		head.at[pair.channels.x] = value.x;
		head.at[pair.channels.y] = value.y;
	}
}

/* Whether a token of the tile chose one of the tile's heads. */
bool is_wanted()
{
	uint last_row = min(first_row + config_rows, push.rows) - 1;
	uint last_head = min((first_column + gemm_columns - 1) / push.head_size, push.heads - 1);
	for (uint head = first_column / push.head_size; head <= last_head; head++)
		for (uint row = first_row; row <= last_row; row++)
			if (chosen_slot(row, head) >= 0)
				return true;
	return false;
}

void main()
{
	if (!find_tile(push.rows, push.heads * push.head_size, first_row, first_column))
		return;
	if (push.experts != 0 && !is_wanted())
		return;
	gemm_tile();
}
