/* A weight matrix on the device: rows padded with zeros, in the dtype the kernels read. A bias is one of one row. */
#ifndef GQE_ATTENTION_MATRIX_H
#define GQE_ATTENTION_MATRIX_H

#include "vulkan/memory.h"

/* How rows lie in memory; shaders/shared/kernels.h describes it. */
struct gqe_matrix_layout {
	uint32_t lanes;      /* rows of a block; 1: every row by itself */
	uint32_t head_size;  /* with blocks: rows are channels of heads, stored in pairs; 0: they are just rows */
	bool is_interleaved; /* a pair is channels 2i and 2i + 1, not i and i + head_size / 2 */
};

struct gqe_matrix {
	struct gqe_buffer buffer;
	uint32_t rows, cols; /* rows == 0: absent */
	uint32_t stride;     /* elements from row to row, a multiple of 4 */
	gqe_dtype dtype;     /* F32 or F16 */
	struct gqe_matrix_layout layout;
};

/* Most rows of a block. A matrix has room for a multiple of so many rows, so that its size does not depend on the device. */
#define GQE_MATRIX_MOST_LANES 16

/* Sets the shape and reserves the memory: of rows by themselves, or in any layout, which must divide heads into whole blocks. */
void gqe_matrix_reserve(struct gqe_arena *arena, struct gqe_matrix *matrix, uint64_t rows, uint64_t cols, gqe_dtype dtype);
void gqe_matrix_reserve_blocks(struct gqe_arena *arena, struct gqe_matrix *matrix, uint64_t rows, uint64_t cols, gqe_dtype dtype,
			       const struct gqe_matrix_layout *layout);

/* Converts the tensor (its element count is rows*cols) and copies it; a matrix that is absent is left alone. Blocks. */
gqe_status gqe_matrix_upload(struct gqe_vulkan *vulkan, const struct gqe_matrix *matrix, const gqe_tensor *tensor,
			     gqe_error *error);

/* Which row is stored as row `stored` of all blocks; a number past the matrix's `rows`: none. */
uint64_t gqe_matrix_row_at(const struct gqe_matrix_layout *layout, uint64_t stored);

/* Puts `row` of a row's words where they belong: row `stored` of the blocks, of which `blocks` holds those from a multiple of lanes
 * on. */
void gqe_matrix_place_row(const struct gqe_matrix_layout *layout, const uint32_t *row, uint32_t words, uint64_t stored,
			  uint32_t *blocks);

/* Address of a row, with blocks of the first one of a block or head; 0 for an absent matrix. */
uint64_t gqe_matrix_row(const struct gqe_matrix *matrix, uint32_t row);

#endif
