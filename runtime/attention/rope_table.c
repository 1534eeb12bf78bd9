#include "attention/rope_table.h"

#include <math.h>
#include <stdlib.h>

#include "shared/kernels.h"

void gqe_rope_table_fill(double theta, uint32_t pairs, uint64_t step, uint32_t count, float *out)
{
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t pair = 0; pair < pairs; pair++) {
			const double angle = (double)(i * step) * pow(theta, -(double)pair / pairs);
			*out++ = (float)cos(angle);
			*out++ = (float)sin(angle);
		}
	}
}

void gqe_rope_tables_reserve(struct gqe_arena *arena, struct gqe_rope_tables *tables, const gqe_layer_config *config,
			     uint32_t capacity)
{
	*tables = (struct gqe_rope_tables){
		.high_count = gqe_div_up(capacity, GQE_ROPE_LOW),
		.pairs = config->head_dim / 2,
		.theta = config->rope_theta,
	};
	const uint64_t entry_bytes = (uint64_t)tables->pairs * 2 * sizeof(float);
	gqe_arena_reserve(arena, &tables->high, tables->high_count * entry_bytes);
	gqe_arena_reserve(arena, &tables->low, GQE_ROPE_LOW * entry_bytes);
}

gqe_status gqe_rope_tables_upload(struct gqe_vulkan *vulkan, const struct gqe_rope_tables *tables, gqe_error *error)
{
	const struct {
		const struct gqe_buffer *buffer;
		uint64_t step;
		uint32_t count;
	} parts[] = {
		{&tables->high, GQE_ROPE_LOW, tables->high_count},
		{&tables->low, 1, GQE_ROPE_LOW},
	};
	const uint32_t most = gqe_max_u32(tables->high_count, GQE_ROPE_LOW);
	float *values = malloc((size_t)most * tables->pairs * 2 * sizeof(float));
	if (values == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for RoPE tables");
	gqe_status status = GQE_OK;
	for (size_t i = 0; i < GQE_COUNT(parts) && status == GQE_OK; i++) {
		gqe_rope_table_fill(tables->theta, tables->pairs, parts[i].step, parts[i].count, values);
		status = gqe_buffer_upload(vulkan, parts[i].buffer, 0, values, parts[i].buffer->size, error);
	}
	free(values);
	return status;
}
