#version 460
#extension GL_GOOGLE_include_directive : require

/* The Q projection of the tokens that selected an expert, one tile of one expert's list a workgroup. */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_GEMM_GATHERED)

#include "common/gemm_tile.glsl"

uint first_w_row;  /* of the expert */
uint first_entry, entry_count;
uint first_column; /* in the expert's columns */

uint tile_entry(uint row)
{
	return uint(push.entries.at[first_entry + min(row, entry_count - 1)]);
}

uint tile_a_row(uint row)
{
	return tile_entry(row) / push.q_slots;
}

uint tile_w_row(uint column)
{
	return first_w_row + min(first_column + column, push.width_per_expert - 1);
}

float tile_bias(uint column)
{
	return push.has_bias != 0 ? push.bias.at[tile_w_row(column)] : 0.0;
}

void tile_store(uint row, uint column, float value)
{
	column += first_column;
	if (row >= entry_count || column >= push.width_per_expert)
		return;
	push.q.at[tile_entry(row) * push.width_per_expert + column] = value;
}

void main()
{
	uint column_tiles = (push.width_per_expert + gemm_columns - 1) / gemm_columns;
	uint number = linear_workgroup();
	uint tile = number / column_tiles;
	if (tile >= uint(push.tile_count.at[0]))
		return;
	first_column = number % column_tiles * gemm_columns;
	first_w_row = uint(push.tiles.at[3 * tile]) * push.width_per_expert;
	first_entry = uint(push.tiles.at[3 * tile + 1]);
	entry_count = uint(push.tiles.at[3 * tile + 2]);
	gemm_tile();
}
