#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * A product with a weight matrix, one tile a workgroup. Tiles are taken in panels of columns, row after row inside a panel, so that
 * the panel's rows of w stay in a cache of half a megabyte, and a tile's rows of a as long as the panel is wide.
 */
#define PANEL_COLUMNS 128

#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_GEMM)

#include "common/gemm_tile.glsl"

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
	uint row_tiles = (push.rows + config_rows - 1) / config_rows;
	uint column_tiles = (push.cols + gemm_columns - 1) / gemm_columns;
	const uint whole_panel = max(PANEL_COLUMNS / gemm_columns, 1);
	uint number = linear_workgroup();
	uint panel = number / (row_tiles * whole_panel);
	uint first_tile = panel * whole_panel;
	if (first_tile >= column_tiles)
		return;
	uint panel_tiles = min(whole_panel, column_tiles - first_tile);
	number -= first_tile * row_tiles;
	first_row = number / panel_tiles * config_rows;
	first_column = (first_tile + number % panel_tiles) * gemm_columns;
	if (first_row < push.rows)
		gemm_tile();
}
