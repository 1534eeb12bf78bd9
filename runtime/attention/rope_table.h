/* cos and sin of the RoPE angles, made in double, in the two-table form of shaders/shared/kernels.h. */
#ifndef GQE_ATTENTION_ROPE_TABLE_H
#define GQE_ATTENTION_ROPE_TABLE_H

#include "vulkan/memory.h"

struct gqe_rope_tables {
	struct gqe_buffer high, low;
	uint32_t high_count; /* entries of `high` */
	uint32_t pairs;      /* head_dim / 2 */
	double theta;
};

/* For positions 0...capacity-1. */
void gqe_rope_tables_reserve(struct gqe_arena *arena, struct gqe_rope_tables *tables, const gqe_layer_config *config,
			     uint32_t capacity);
gqe_status gqe_rope_tables_upload(struct gqe_vulkan *vulkan, const struct gqe_rope_tables *tables, gqe_error *error);

/* Fills `out` [count, pairs, 2] with (cos, sin) of the angles of positions i * step. Pure. */
void gqe_rope_table_fill(double theta, uint32_t pairs, uint64_t step, uint32_t count, float *out);

#endif
