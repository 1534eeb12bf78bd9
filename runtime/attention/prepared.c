#include "attention/prepared.h"

#include <string.h>

#include "attention/matrix.h"

/* Dense products share their tiles. */
static enum gqe_kernel tiled_like(enum gqe_kernel kernel)
{
	return kernel == GQE_KERNEL_GEMM_HEADS ? GQE_KERNEL_GEMM : kernel;
}

/* GQE_CONFIG_rolled. */
static uint32_t rolled_loops(const struct gqe_capabilities *capabilities, gqe_path path, const struct gqe_tile *tile)
{
	if (path != GQE_PATH_SUBGROUP)
		return tile->is_rolled ? GQE_ROLLED : 0;
	if (capabilities->quirks & GQE_QUIRK_SLOW_LONG_LOOP)
		return GQE_ROLLED_KEYS;
	return capabilities->quirks & GQE_QUIRK_SLOW_COMPILER ? GQE_ROLLED : 0;
}

struct gqe_prepared gqe_prepare(const struct gqe_capabilities *capabilities, const struct gqe_tuning *tuning,
				struct gqe_verdicts *verdicts, enum gqe_kernel kernel, gqe_path path, gqe_dtype weights,
				uint32_t work_rows, uint32_t head_dim)
{
	struct gqe_prepared prepared;
	for (;; path = (gqe_path)(prepared.choice.path - 1)) {
		prepared.choice = gqe_kernel_choose(kernel, path, weights);
		if (prepared.choice.path >= GQE_PATH_PACKED &&
		    gqe_verdicts_forbid(verdicts, kernel, prepared.choice.path, head_dim))
			continue;
		const struct gqe_tile *tuned =
			gqe_tuning_find(tuning, tiled_like(kernel), prepared.choice.path, weights, work_rows, head_dim);
		prepared.tile = tuned != NULL ? *tuned
					      : gqe_tile_choose(capabilities, tiled_like(kernel), prepared.choice.path, work_rows,
								head_dim);
		if (prepared.tile.rows > 0)
			break;
	}
	prepared.specialization = (struct gqe_specialization){
		.count = GQE_CONFIG_COUNT,
		.values =
			{
				[GQE_CONFIG_workgroup] = prepared.tile.workgroup,
				[GQE_CONFIG_subgroup] = prepared.tile.subgroup,
				[GQE_CONFIG_rows] = prepared.tile.rows,
				[GQE_CONFIG_columns] = prepared.tile.columns,
				[GQE_CONFIG_head_dim] = head_dim,
				[GQE_CONFIG_uniform_loads] = gqe_tile_uniform_loads(capabilities),
				[GQE_CONFIG_matrix_m] = prepared.tile.matrix.m,
				[GQE_CONFIG_matrix_n] = prepared.tile.matrix.n,
				[GQE_CONFIG_matrix_k] = prepared.tile.matrix.k,
				[GQE_CONFIG_rolled] = rolled_loops(capabilities, prepared.choice.path, &prepared.tile),
				[GQE_CONFIG_w_lanes] = 1,
				[GQE_CONFIG_spread] = (capabilities->quirks & GQE_QUIRK_GRID_IN_PARTS) != 0,
				[GQE_CONFIG_transposed] = prepared.tile.is_transposed,
				[GQE_CONFIG_lane_rows] =
					gqe_tile_has_lane_rows(capabilities, kernel, prepared.choice.path, &prepared.tile),
			},
	};
	if (prepared.choice.variant->uses_subgroups && capabilities->subgroup_size_control)
		prepared.specialization.subgroup_size = prepared.tile.subgroup;
	return prepared;
}

static bool same_tile(const struct gqe_tile *a, const struct gqe_tile *b)
{
	return a->workgroup == b->workgroup && a->subgroup == b->subgroup && a->rows == b->rows && a->columns == b->columns &&
	       a->is_rolled == b->is_rolled && a->is_transposed == b->is_transposed;
}

uint32_t gqe_weight_lanes(const struct gqe_weight_reader *reader, gqe_dtype weights, uint32_t head_size)
{
	const struct gqe_capabilities *capabilities = reader->capabilities;
	if (capabilities == NULL || !gqe_tile_uniform_loads(capabilities) ||
	    gqe_kernel_choose(GQE_KERNEL_GEMM, reader->path, weights).path != GQE_PATH_SUBGROUP)
		return 1;
	uint32_t lanes = gqe_tile_subgroup(capabilities);
	return lanes <= GQE_MATRIX_MOST_LANES && head_size / 2 % lanes == 0 ? lanes : 1;
}

bool gqe_attention_is_staged(const struct gqe_prepared *prepared, uint32_t head_dim, uint32_t keys)
{
	if (!gqe_is_matrix_path(prepared->choice.path))
		return false;
	return prepared->tile.is_transposed || gqe_matrix_channels(&prepared->tile, head_dim) != head_dim ||
	       keys < prepared->tile.columns;
}

/* Whether every matrix of the tile has rows of w at equal distances. */
static bool has_whole_pairs(const struct gqe_tile *tile, const struct gqe_gemm_layout *layout)
{
	return layout->head_size == 0 || (tile->columns / 2 % tile->matrix.n == 0 && layout->head_size / 2 % tile->matrix.n == 0);
}

bool gqe_gemm_is_staged(const struct gqe_prepared *prepared, const struct gqe_gemm_layout *layout)
{
	if (!gqe_is_matrix_path(prepared->choice.path))
		return false;
	bool is_whole = layout->cols % prepared->tile.columns == 0 && layout->depth % GQE_GEMM_MATRIX_SLICE == 0;
	/* Loads of 16 bytes: four f32 of `a`, eight f16 of w. */
	bool is_aligned = layout->a % 16 == 0 && layout->w % 16 == 0 && layout->a_stride % 4 == 0 && layout->w_stride % 8 == 0;
	return !is_whole || !is_aligned || !has_whole_pairs(&prepared->tile, layout);
}

static void visit_forms(const struct gqe_prepared_case *found,
			void (*visit)(void *user, const struct gqe_prepared_case *prepared_case), void *user)
{
	if (found->prepared.choice.path != found->path)
		return; /* it runs a lower path's pipeline, which that path's visit shows */
	bool is_attention = found->kernel == GQE_KERNEL_ATTENTION;
	bool needs_stage = is_attention && gqe_attention_is_staged(&found->prepared, found->head_dim, UINT32_MAX);
	bool can_stage = gqe_is_matrix_path(found->path);
	bool may_have_panels = found->weights == GQE_DTYPE_F32 && found->prepared.specialization.values[GQE_CONFIG_lane_rows] != 0;
	for (uint32_t staged = needs_stage; staged <= can_stage; staged++)
		for (uint32_t panels = 0; panels <= may_have_panels; panels++) {
			struct gqe_prepared_case form = *found;
			form.is_staged = staged;
			form.has_panels = panels;
			form.prepared.specialization.values[GQE_CONFIG_w_lanes] = form.w_lanes;
			form.prepared.specialization.values[GQE_CONFIG_staged] = staged;
			form.prepared.specialization.values[GQE_CONFIG_panels] = panels;
			visit(user, &form);
		}
}

/* Every tile of one kernel. Work is limited by powers of two in the tile table, so between them nothing changes. */
static void visit_tiles(const struct gqe_capabilities *capabilities, struct gqe_prepared_case *found,
			void (*visit)(void *user, const struct gqe_prepared_case *prepared_case), void *user)
{
	for (unsigned exponent = 0; exponent < 32; exponent++) {
		uint32_t work_rows = UINT32_C(1) << exponent;
		struct gqe_prepared prepared = gqe_prepare(capabilities, NULL, NULL, found->kernel, found->path, found->weights,
							   work_rows, found->head_dim);
		if (exponent > 0 && !same_tile(&prepared.tile, &found->prepared.tile))
			visit_forms(found, visit, user);
		found->prepared = prepared;
		found->work_rows = work_rows;
	}
	visit_forms(found, visit, user);
}

/* Whether the kernel meets weights in blocks of so many rows where heads have one of these sizes. */
static bool meets_lanes(const struct gqe_capabilities *capabilities, const struct gqe_prepared_case *found,
			const uint32_t *head_dims, size_t head_dim_count, uint32_t lanes)
{
	const struct gqe_weight_reader reader = {.capabilities = capabilities, .path = found->path};
	switch (found->kernel) {
	case GQE_KERNEL_GEMM:
		return gqe_weight_lanes(&reader, found->weights, 0) == lanes;
	case GQE_KERNEL_GEMM_HEADS:
	case GQE_KERNEL_GEMM_GATHERED:
		for (size_t i = 0; i < head_dim_count; i++)
			if (gqe_weight_lanes(&reader, found->weights, head_dims[i]) == lanes)
				return true;
		return false;
	default:
		return lanes == 1;
	}
}

void gqe_prepared_visit(const struct gqe_capabilities *capabilities, const uint32_t *head_dims, size_t head_dim_count,
			void (*visit)(void *user, const struct gqe_prepared_case *prepared_case), void *user)
{
	static const gqe_dtype dtypes[] = {GQE_DTYPE_F32, GQE_DTYPE_F16};
	static const uint32_t no_head_dim[] = {0};
	const uint32_t lanes[] = {1, gqe_tile_subgroup(capabilities)};
	const size_t lanes_count = lanes[1] > 1 ? 2 : 1;
	gqe_path paths[8];
	uint32_t path_count = gqe_ladder(capabilities, paths);
	size_t dtype_count = capabilities->storage16 ? 2 : 1;
	for (enum gqe_kernel kernel = 0; kernel < GQE_KERNEL_COUNT; kernel++) {
		bool by_head_dim = kernel == GQE_KERNEL_ATTENTION;
		const uint32_t *sizes = by_head_dim ? head_dims : no_head_dim;
		size_t size_count = by_head_dim ? head_dim_count : 1;
		for (uint32_t p = 0; p < path_count; p++)
			for (size_t d = 0; d < dtype_count; d++)
				for (size_t s = 0; s < size_count && gqe_kernel_has(kernel, paths[p], dtypes[d]); s++) {
					struct gqe_prepared_case found = {
						.kernel = kernel,
						.path = paths[p],
						.weights = dtypes[d],
						.head_dim = sizes[s],
					};
					for (size_t l = 0; l < lanes_count; l++) {
						found.w_lanes = lanes[l];
						if (meets_lanes(capabilities, &found, head_dims, head_dim_count, lanes[l]))
							visit_tiles(capabilities, &found, visit, user);
					}
				}
	}
}
