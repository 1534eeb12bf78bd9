/*
 * One tile of rows and columns a workgroup. Tiles are taken in panels of rows, column after column inside a panel, so that the panel's
 * rows of a stay in a cache of half a megabyte, and a tile's columns of w as long as the panel is high.
 */
#ifndef GQE_COMMON_GEMM_PANELS_GLSL
#define GQE_COMMON_GEMM_PANELS_GLSL

#define PANEL_ROWS 64

/* The workgroup's first row and column; false: it has no tile. */
bool find_tile(uint rows, uint columns, out uint first_row, out uint first_column)
{
	uint row_tiles = (rows + config_rows - 1) / config_rows;
	uint column_tiles = (columns + gemm_columns - 1) / gemm_columns;
	const uint whole_panel = max(PANEL_ROWS / config_rows, 1);
	uint number = linear_workgroup();
	uint panel = number / (column_tiles * whole_panel);
	uint first_tile = panel * whole_panel;
	uint panel_tiles = first_tile < row_tiles ? min(whole_panel, row_tiles - first_tile) : 1;
	number -= first_tile * column_tiles;
	first_row = (first_tile + number % panel_tiles) * config_rows;
	first_column = number / panel_tiles * gemm_columns;
	return first_tile < row_tiles && first_column < columns;
}

#endif
