/* Tile sizes: data, per class of device, each row saying what it was tuned on. */
#ifndef GQE_ATTENTION_TILES_H
#define GQE_ATTENTION_TILES_H

#include "attention/kernels.h"

/* What specializes a kernel; names as in GQE_SPECIALIZATION. */
struct gqe_tile {
	uint32_t workgroup, subgroup, rows, columns;
	/* Matrix paths only, else zeros. */
	gqe_matrix_shape matrix;
	uint32_t is_rolled; /* loops stay loops */
	/*
	 * Attention, path matrix: a lane has a row, and the subgroups of a workgroup share K and V. workgroup / rows of them have
	 * the same rows and each a part of the outputs' channels.
	 */
	uint32_t is_transposed;
};

/* No tile has more rows or columns. */
#define GQE_MAX_TILE_SIDE 512

static inline bool gqe_is_matrix_path(gqe_path path)
{
	return path == GQE_PATH_MATRIX || path == GQE_PATH_MATRIX2;
}

/* Of the shapes that the device has for kernels of a matrix path, the one with the most products; zeros: there is none. */
gqe_matrix_shape gqe_matrix_shape_of(const struct gqe_capabilities *capabilities, gqe_path path);

/* `head_dim` rounded up to what whole matrices of the tile hold. */
uint32_t gqe_matrix_channels(const struct gqe_tile *tile, uint32_t head_dim);

/* Shared memory of attention with a transposed tile. */
uint64_t gqe_tile_transposed_bytes(const struct gqe_tile *tile, uint32_t head_dim);

/* The subgroup size that subgroup kernels are built with on this device. */
uint32_t gqe_tile_subgroup(const struct gqe_capabilities *capabilities);
/* The same for kernels of the matrix paths, and of the packed one. */
uint32_t gqe_matrix_subgroup(const struct gqe_capabilities *capabilities);

/*
 * Whether kernels should load what all lanes need with a uniform load where they have the choice. GPUs broadcast: not measured on
 * one.
 */
bool gqe_tile_uniform_loads(const struct gqe_capabilities *capabilities);

/*
 * The tile of a kernel's variant for `path` when there are `work_rows` rows of work (tokens, for attention (token, slot) pairs of
 * one KV head). `head_dim`: attention's; 0 for other kernels. 0 rows: no tile of that path fits the device, use the path below.
 */
struct gqe_tile gqe_tile_choose(const struct gqe_capabilities *capabilities, enum gqe_kernel kernel, gqe_path path,
				uint32_t work_rows, uint32_t head_dim);

/*
 * How queries are computed faster when an expert has so many of a pass's tokens on average, and that many there are in all: by what
 * was measured on devices of the class.
 */
gqe_query_mode gqe_tile_query_mode(const struct gqe_capabilities *capabilities, gqe_path path, uint32_t rows,
				   double rows_per_expert);

/*
 * Whether attention with this tile has a row of it in each lane (specialization constant lane_rows): on a CPU driver for which what
 * all lanes load alike is one load, when the tile has as many rows as lanes.
 */
bool gqe_tile_has_lane_rows(const struct gqe_capabilities *capabilities, enum gqe_kernel kernel, gqe_path path,
			    const struct gqe_tile *tile);

/*
 * Whether the device may run the kernel's variant for `path` with this tile, for work of at most `up_to` rows (0: any): for tiles
 * that do not come from the table.
 */
bool gqe_tile_is_legal(const struct gqe_capabilities *capabilities, enum gqe_kernel kernel, gqe_path path, uint32_t up_to,
		       const struct gqe_tile *tile);

/* Most tiles that gemm_gathered's lists of `entries_per_row` * rows entries over `experts` experts may need, for any tile here. */
uint32_t gqe_tile_gathered_bound(uint32_t rows, uint32_t entries_per_row, uint32_t experts);

#endif
