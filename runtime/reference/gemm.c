#include "reference/reference.h"

#include "common/threads.h"
#include "reference/wide.h"

#include <string.h>

/* One block of outputs: its operands in float64 (64 KiB each) and its sums are on the stack and stay in the second-level cache. */
#define BLOCK_ROWS 32
#define BLOCK_COLS 32
#define BLOCK_DEPTH 256

static uint32_t row_blocks(const struct gqe_wide_product *p)
{
	return gqe_div_up(p->rows, BLOCK_ROWS);
}

static uint32_t col_blocks(const struct gqe_wide_product *p)
{
	return gqe_div_up(p->cols, BLOCK_COLS);
}

static void load_rows(const struct gqe_wide_product *p, uint32_t first_row, uint32_t rows, uint32_t first_depth, uint32_t depth,
		      double block[BLOCK_ROWS][BLOCK_DEPTH])
{
	for (uint32_t r = 0; r < rows; r++) {
		size_t row = p->entries ? p->entries[first_row + r] / p->entries_per_row : first_row + r;
		size_t start = row * p->a_stride + first_depth;
		if (p->a_wide) {
			memcpy(block[r], p->a_wide + start, depth * sizeof(double));
			continue;
		}
		for (uint32_t i = 0; i < depth; i++)
			block[r][i] = p->a[start + i];
	}
}

/* panel [depth, cols] */
static void load_weights_transposed(const struct gqe_wide_product *p, uint32_t first_col, uint32_t cols, uint32_t first_depth,
				    uint32_t depth, double *panel)
{
	for (uint32_t c = 0; c < cols; c++) {
		const float *w = p->w + (first_col + c) * p->w_stride + first_depth;
		for (uint32_t i = 0; i < depth; i++)
			panel[i * cols + c] = w[i];
	}
}

static void store_rows(const struct gqe_wide_product *p, uint32_t first_row, uint32_t rows, uint32_t first_col, uint32_t cols,
		       const double *sums)
{
	for (uint32_t r = 0; r < rows; r++) {
		size_t row = p->entries ? p->entries[first_row + r] : first_row + r;
		size_t start = row * p->c_stride + first_col;
		for (uint32_t c = 0; c < cols; c++) {
			double sum = sums[r * BLOCK_COLS + c];
			if (p->bias)
				sum += p->bias[first_col + c];
			if (p->residual)
				sum += p->residual[start + c];
			if (p->c_wide)
				p->c_wide[start + c] = sum;
			else
				p->c[start + c] = (float)sum;
		}
	}
}

/* Blocks first...last-1 of the output, all columns of a row block in sequence. */
static void compute_blocks(void *user, uint64_t first, uint64_t last)
{
	const struct gqe_wide_product *p = user;
	double a[BLOCK_ROWS][BLOCK_DEPTH], panel[BLOCK_DEPTH * BLOCK_COLS], sums[BLOCK_ROWS * BLOCK_COLS];
	for (uint64_t block = first; block < last; block++) {
		uint32_t row = (uint32_t)(block / col_blocks(p)) * BLOCK_ROWS;
		uint32_t col = (uint32_t)(block % col_blocks(p)) * BLOCK_COLS;
		uint32_t rows = gqe_min_u32(BLOCK_ROWS, p->rows - row), cols = gqe_min_u32(BLOCK_COLS, p->cols - col);
		memset(sums, 0, sizeof sums);
		for (uint32_t i = 0; i < p->depth; i += BLOCK_DEPTH) {
			uint32_t depth = gqe_min_u32(BLOCK_DEPTH, p->depth - i);
			load_rows(p, row, rows, i, depth, a);
			load_weights_transposed(p, col, cols, i, depth, panel);
			for (uint32_t r = 0; r < rows; r++)
				gqe_wide_multiply_add(depth, cols, a[r], panel, sums + r * BLOCK_COLS);
		}
		store_rows(p, row, rows, col, cols, sums);
	}
}

void gqe_wide_product(const struct gqe_wide_product *product)
{
	compute_blocks((void *)product, 0, (uint64_t)row_blocks(product) * col_blocks(product));
}

void gqe_wide_product_threads(uint32_t threads, const struct gqe_wide_product *product)
{
	gqe_parallel_for(threads, (uint64_t)row_blocks(product) * col_blocks(product), 0, compute_blocks, (void *)product);
}

void gqe_reference_gemm(uint32_t threads, uint32_t rows, uint32_t cols, uint32_t depth, const float *a, uint32_t a_stride,
			const float *w, uint32_t w_stride, const float *bias, const float *residual, float *c, uint32_t c_stride)
{
	struct gqe_wide_product product = {
		.rows = rows,
		.cols = cols,
		.depth = depth,
		.a = a,
		.a_stride = a_stride,
		.w = w,
		.w_stride = w_stride,
		.bias = bias,
		.residual = residual,
		.c = c,
		.c_stride = c_stride,
	};
	gqe_wide_product_threads(threads, &product);
}
