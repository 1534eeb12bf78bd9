#version 460
#extension GL_GOOGLE_include_directive : require

/* A product with a weight matrix. */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_GEMM)

#include "common/gemm_tile.glsl"
#include "common/gemm_panels.glsl"

uint first_row, first_column;

uint tile_a_row(uint row)
{
	return min(first_row + row, push.rows - 1);
}

uint tile_w_row(uint column)
{
	return min(first_column + column, push.cols - 1);
}

float tile_bias(uint column)
{
	return push.has_bias != 0 ? push.bias.at[tile_w_row(column)] : 0.0;
}

uint tile_word(uint row)
{
	return floatBitsToUint(push.c.at[tile_a_row(row) * push.c_stride + first_column]);
}

void tile_store(uint row, uint column, float value)
{
	row += first_row;
	column += first_column;
	if (row >= push.rows || column >= push.cols)
		return;
	uint at = row * push.c_stride + column;
	if (push.has_residual != 0)
		value += push.residual.at[at];
	push.c.at[at] = value;
}

void main()
{
	if (find_tile(push.rows, push.cols, first_row, first_column))
		gemm_tile();
}
