#version 460
#extension GL_GOOGLE_include_directive : require

/* The Q projection of the tokens that selected an expert, rotated, one tile of one expert's list a workgroup. */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_GEMM_GATHERED)

#define GQE_PAIRS
#include "common/gemm_tile.glsl"
#include "common/divide.glsl"

uint expert;
uint first_entry, entry_count;
uint first_column; /* in the expert's columns */

uint tile_entry(uint row)
{
	return uint(push.entries.at[first_entry + min(row, entry_count - 1)]);
}

uint tile_a_row(uint row)
{
	return divide(tile_entry(row), push.q_slots, push.q_slots_inverse).x;
}

HeadPair tile_pair(uint column)
{
	uint number = first_column / 2 + column, last = push.head_size / 2 - 1;
	uint pair = min(number, last);
	return HeadPair(number <= last, expert, pair, rope_channels(pair));
}

void store_pair(uint row, HeadPair pair, vec2 value)
{
	if (row >= entry_count || !pair.exists)
		return;
	uint base = tile_entry(row) * push.head_size;
	push.q.at[base + pair.channels.x] = value.x * push.scale;
	push.q.at[base + pair.channels.y] = value.y * push.scale;
}

void main()
{
	uint column_tiles = (push.head_size + gemm_columns - 1) / gemm_columns;
	uint number = linear_workgroup();
	uint tile = number / column_tiles;
	if (tile >= uint(push.tile_count.at[0]))
		return;
	first_column = number % column_tiles * gemm_columns;
	expert = uint(push.tiles.at[3 * tile]);
	first_entry = uint(push.tiles.at[3 * tile + 1]);
	entry_count = uint(push.tiles.at[3 * tile + 2]);
	gemm_tile();
}
