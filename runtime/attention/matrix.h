/* A weight matrix on the device: rows padded with zeros, in the dtype the kernels read. A bias is one of one row. */
#ifndef GQE_ATTENTION_MATRIX_H
#define GQE_ATTENTION_MATRIX_H

#include "vulkan/memory.h"

struct gqe_matrix {
	struct gqe_buffer buffer;
	uint32_t rows, cols; /* rows == 0: absent */
	uint32_t stride;     /* elements from row to row, a multiple of 4 */
	gqe_dtype dtype;     /* F32 or F16 */
};

/* Sets the shape and reserves the memory. */
void gqe_matrix_reserve(struct gqe_arena *arena, struct gqe_matrix *matrix, uint64_t rows, uint64_t cols, gqe_dtype dtype);

/* Converts the tensor (its element count is rows*cols) and copies it; a matrix that is absent is left alone. Blocks. */
gqe_status gqe_matrix_upload(struct gqe_vulkan *vulkan, const struct gqe_matrix *matrix, const gqe_tensor *tensor,
			     gqe_error *error);

/* Address of a row; 0 for an absent matrix. */
uint64_t gqe_matrix_row(const struct gqe_matrix *matrix, uint32_t row);

#endif
