#include "attention/matrix.h"

#include <assert.h>
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

static void reserve(struct gqe_arena *arena, struct gqe_matrix *matrix, uint64_t rows, uint64_t cols, gqe_dtype dtype,
		    uint64_t room_rows, const struct gqe_matrix_layout *layout)
{
	*matrix = (struct gqe_matrix){
		.rows = (uint32_t)rows,
		.cols = (uint32_t)cols,
		.stride = padded_stride(cols, dtype),
		.dtype = dtype,
		.layout = *layout,
	};
	gqe_arena_reserve(arena, &matrix->buffer, room_rows * matrix->stride * gqe_dtype_size(dtype));
}

void gqe_matrix_reserve(struct gqe_arena *arena, struct gqe_matrix *matrix, uint64_t rows, uint64_t cols, gqe_dtype dtype)
{
	reserve(arena, matrix, rows, cols, dtype, rows, &(struct gqe_matrix_layout){.lanes = 1});
}

void gqe_matrix_reserve_blocks(struct gqe_arena *arena, struct gqe_matrix *matrix, uint64_t rows, uint64_t cols, gqe_dtype dtype,
			       const struct gqe_matrix_layout *layout)
{
	assert(layout->lanes >= 1 && GQE_MATRIX_MOST_LANES % layout->lanes == 0);
	assert(layout->lanes == 1 || layout->head_size / 2 % layout->lanes == 0);
	reserve(arena, matrix, rows, cols, dtype, gqe_align_up(rows, GQE_MATRIX_MOST_LANES), layout);
}

uint64_t gqe_matrix_row_at(const struct gqe_matrix_layout *layout, uint64_t stored)
{
	if (layout->lanes == 1 || layout->head_size == 0)
		return stored;
	const uint64_t pairs = layout->head_size / 2;
	const uint64_t block = stored / layout->lanes, lane = stored % layout->lanes;
	const uint64_t number = block / 2 * layout->lanes + lane, side = block % 2;
	const uint64_t head = number / pairs, pair = number % pairs;
	return head * layout->head_size + (layout->is_interleaved ? 2 * pair + side : pair + side * pairs);
}

void gqe_matrix_place_row(const struct gqe_matrix_layout *layout, const uint32_t *row, uint32_t words, uint64_t stored,
			  uint32_t *blocks)
{
	uint32_t *to = blocks + stored / layout->lanes * layout->lanes * words + stored % layout->lanes;
	for (uint32_t i = 0; i < words; i++)
		to[(uint64_t)i * layout->lanes] = row[i];
}

static void convert_row(const struct gqe_matrix *matrix, const gqe_tensor *tensor, uint64_t row, void *to)
{
	if (matrix->dtype == GQE_DTYPE_F16)
		gqe_tensor_to_f16(tensor, row * matrix->cols, matrix->cols, to);
	else
		gqe_tensor_to_f32(tensor, row * matrix->cols, matrix->cols, to);
}

/* Rows first...first + count - 1 as they are stored, in a slab that is zero where no row or a row's padding is; `row` is zero there
 * too. */
static void convert_rows(const struct gqe_matrix *matrix, const gqe_tensor *tensor, uint64_t first, uint32_t count, uint32_t *row,
			 uint32_t *slab)
{
	const uint32_t words = (uint32_t)(matrix->stride * gqe_dtype_size(matrix->dtype) / sizeof(*slab));
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t from = gqe_matrix_row_at(&matrix->layout, first + i);
		if (from >= matrix->rows)
			continue;
		if (matrix->layout.lanes == 1) {
			convert_row(matrix, tensor, from, slab + (uint64_t)i * words);
		} else {
			convert_row(matrix, tensor, from, row);
			gqe_matrix_place_row(&matrix->layout, row, words, i, slab);
		}
	}
}

gqe_status gqe_matrix_upload(struct gqe_vulkan *vulkan, const struct gqe_matrix *matrix, const gqe_tensor *tensor, gqe_error *error)
{
	if (matrix->rows == 0)
		return GQE_OK;
	const uint32_t lanes = matrix->layout.lanes, stored_rows = (uint32_t)gqe_align_up(matrix->rows, lanes);
	const size_t row_bytes = matrix->stride * gqe_dtype_size(matrix->dtype);
	const uint32_t slab_rows = (uint32_t)(SLAB_BYTES / row_bytes) / lanes * lanes;
	const uint32_t most_rows = gqe_min_u32(gqe_max_u32(slab_rows, lanes), stored_rows);
	uint32_t *slab = calloc(most_rows, row_bytes), *row = calloc(1, row_bytes);
	gqe_status status = GQE_OK;
	if (slab == NULL || row == NULL)
		status = gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory to convert the tensor '%s'", tensor->name);
	for (uint32_t first = 0; first < stored_rows && status == GQE_OK; first += most_rows) {
		const uint32_t rows = gqe_min_u32(most_rows, stored_rows - first);
		convert_rows(matrix, tensor, first, rows, row, slab);
		status = gqe_buffer_upload(vulkan, &matrix->buffer, first * row_bytes, slab, rows * row_bytes, error);
	}
	free(slab);
	free(row);
	return status;
}

uint64_t gqe_matrix_row(const struct gqe_matrix *matrix, uint32_t row)
{
	/* Before a block or a head lie as many elements as if every row lay by itself. */
	assert(matrix->layout.lanes == 1 || row % gqe_max_u32(matrix->layout.head_size, matrix->layout.lanes) == 0);
	return matrix->rows == 0 ? 0 : matrix->buffer.address + (uint64_t)row * matrix->stride * gqe_dtype_size(matrix->dtype);
}
