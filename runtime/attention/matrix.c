#include "attention/matrix.h"

#include <stdlib.h>
#include <string.h>

#include "common/half.h"

/* Bytes converted on the host at a time. */
#define SLAB_BYTES (4u << 20)

/*
 * Whole vec4s. Rows whose first bytes are a multiple of a kilobyte apart fall into the same few sets of a cache, and a product
 * reads many rows at once; a cache line more spreads them.
 */
static uint32_t padded_stride(uint64_t cols, gqe_dtype dtype)
{
	const uint64_t stride = gqe_align_up(cols, 4), element = gqe_dtype_size(dtype);
	const bool collides = stride > 0 && stride * element % 1024 == 0;
	return (uint32_t)(stride + (collides ? 64 / element : 0));
}

void gqe_matrix_reserve(struct gqe_arena *arena, struct gqe_matrix *matrix, uint64_t rows, uint64_t cols, gqe_dtype dtype)
{
	*matrix = (struct gqe_matrix){
		.rows = (uint32_t)rows,
		.cols = (uint32_t)cols,
		.stride = padded_stride(cols, dtype),
		.dtype = dtype,
	};
	gqe_arena_reserve(arena, &matrix->buffer, rows * matrix->stride * gqe_dtype_size(dtype));
}

gqe_status gqe_matrix_upload(struct gqe_vulkan *vulkan, const struct gqe_matrix *matrix, const gqe_tensor *tensor, gqe_error *error)
{
	if (matrix->rows == 0)
		return GQE_OK;
	const size_t element = gqe_dtype_size(matrix->dtype);
	const size_t row_bytes = matrix->stride * element;
	const uint32_t slab_rows = (uint32_t)(row_bytes < SLAB_BYTES ? SLAB_BYTES / row_bytes : 1);
	const uint32_t most_rows = gqe_min_u32(slab_rows, matrix->rows);
	unsigned char *slab = calloc(most_rows, row_bytes);
	if (slab == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory to convert the tensor '%s'", tensor->name);
	gqe_status status = GQE_OK;
	for (uint32_t first = 0; first < matrix->rows && status == GQE_OK; first += most_rows) {
		const uint32_t rows = gqe_min_u32(most_rows, matrix->rows - first);
		for (uint32_t row = 0; row < rows; row++) {
			const uint64_t from = (uint64_t)(first + row) * matrix->cols;
			void *to = slab + row * row_bytes; /* the padding stays zero */
			if (matrix->dtype == GQE_DTYPE_F16)
				gqe_tensor_to_f16(tensor, from, matrix->cols, to);
			else
				gqe_tensor_to_f32(tensor, from, matrix->cols, to);
		}
		status = gqe_buffer_upload(vulkan, &matrix->buffer, first * row_bytes, slab, rows * row_bytes, error);
	}
	free(slab);
	return status;
}

uint64_t gqe_matrix_row(const struct gqe_matrix *matrix, uint32_t row)
{
	return matrix->rows == 0 ? 0 : matrix->buffer.address + (uint64_t)row * matrix->stride * gqe_dtype_size(matrix->dtype);
}
