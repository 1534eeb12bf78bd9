/* A kernel prepared for a device: its variant, tile and specialization; and the list of all that a device may be given. */
#ifndef GQE_ATTENTION_PREPARED_H
#define GQE_ATTENTION_PREPARED_H

#include "attention/kernel_table.h"
#include "attention/tuning.h"
#include "attention/verdicts.h"

struct gqe_prepared {
	struct gqe_kernel_choice choice;
	struct gqe_tile tile;
	struct gqe_specialization specialization;
};

/*
 * What the record functions run. `work_rows` and `head_dim` as in gqe_tile_choose; `tuning` NULL: the tile table's choice;
 * `verdicts` NULL: every path may be used.
 */
struct gqe_prepared gqe_prepare(const struct gqe_capabilities *capabilities, const struct gqe_tuning *tuning,
				struct gqe_verdicts *verdicts, enum gqe_kernel kernel, gqe_path path, gqe_dtype weights,
				uint32_t work_rows, uint32_t head_dim);

/* Matrix paths: whether K and V must go through shared memory, for this head size or so few keys. Other paths: false. */
bool gqe_attention_is_staged(const struct gqe_prepared *prepared, uint32_t head_dim, uint32_t keys);

/* Where the factors of a product lie; `cols` of gemm_gathered: of one expert. */
struct gqe_gemm_layout {
	uint64_t a, w; /* addresses */
	uint32_t cols, depth, a_stride, w_stride;
	uint32_t head_size; /* of the columns, which are pairs of channels then; 0: they are just columns */
};
/* Matrix paths: whether the weights must go through shared memory. Other paths: false. */
bool gqe_gemm_is_staged(const struct gqe_prepared *prepared, const struct gqe_gemm_layout *layout);

struct gqe_prepared_case {
	enum gqe_kernel kernel;
	gqe_path path;
	gqe_dtype weights;
	uint32_t head_dim;  /* 0: the kernel does not depend on it */
	uint32_t w_lanes;   /* products: rows of a block of w */
	bool has_panels;    /* attention: K and V in kv_panels' order */
	bool is_staged;     /* matrix paths: the second factor goes through shared memory */
	uint32_t work_rows; /* the largest power of two that gets this tile, hence UINT32_MAX / 2 + 1 for any amount of work */
	struct gqe_prepared prepared;
};

/*
 * Calls `visit` for each different pipeline that the record functions may ask for on a device with these capabilities: every path
 * of its ladder, weights of every dtype it can read, any amount of work, each of the given head sizes, K and V in panels or not,
 * matrix paths with and without staging, products with weights as they lie for these heads.
 */
void gqe_prepared_visit(const struct gqe_capabilities *capabilities, const uint32_t *head_dims, size_t head_dim_count,
			void (*visit)(void *user, const struct gqe_prepared_case *prepared_case), void *user);

#endif
