/*
 * One tile of rows and columns a workgroup. Tiles are taken in panels of columns, row after row inside a panel, so that the panel's rows
 * of w stay in a cache of half a megabyte, and a tile's rows of a as long as the panel is wide.
 */
#ifndef GQE_COMMON_GEMM_PANELS_GLSL
#define GQE_COMMON_GEMM_PANELS_GLSL

#define PANEL_COLUMNS 128

/* The workgroup's first row and column; false: it has no tile. */
bool find_tile(uint rows, uint columns, out uint first_row, out uint first_column)
{
	uint row_tiles = (rows + config_rows - 1) / config_rows;
	uint column_tiles = (columns + gemm_columns - 1) / gemm_columns;
	const uint whole_panel = max(PANEL_COLUMNS / gemm_columns, 1);
	uint number = linear_workgroup();
	uint panel = number / (row_tiles * whole_panel);
	uint first_tile = panel * whole_panel;
	uint panel_tiles = first_tile < column_tiles ? min(whole_panel, column_tiles - first_tile) : 1;
	number -= first_tile * row_tiles;
	first_row = number / panel_tiles * config_rows;
	first_column = (first_tile + number % panel_tiles) * gemm_columns;
	return first_tile < column_tiles && first_row < rows;
}

#endif
