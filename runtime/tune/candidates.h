/* The tiles worth measuring. */
#ifndef GQE_TUNE_CANDIDATES_H
#define GQE_TUNE_CANDIDATES_H

#include "attention/tiles.h"

#define GQE_MAX_CANDIDATES 128

/*
 * Tiles that the device may run the kernel's variant for `path` with, for work of at most `up_to` rows (0: any), other than `own`,
 * and those most like it first: there may not be time for all. `head_dim`: attention's; 0 for other kernels.
 */
uint32_t gqe_tile_candidates(const struct gqe_capabilities *capabilities, enum gqe_kernel kernel, gqe_path path, uint32_t up_to,
			     uint32_t head_dim, const struct gqe_tile *own, struct gqe_tile tiles[GQE_MAX_CANDIDATES]);

#endif
