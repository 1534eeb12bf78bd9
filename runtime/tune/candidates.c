#include "tune/candidates.h"

/*
 * f32 values that a lane may hold. A GPU lane has at most 256 registers; one with subgroups of 8 or 16 has 128 registers of that
 * many lanes a thread, which wider subgroups share. What needs more spills for certain, and takes long to compile. A CPU driver
 * puts the values on its stack; what grows is the time to compile.
 */
static uint32_t most_lane_values(const struct gqe_capabilities *capabilities, uint32_t subgroup)
{
	uint32_t smallest = capabilities->subgroup_size_min;
	if (capabilities->is_cpu || smallest > 16)
		return 256;
	return 128 * smallest / subgroup;
}

struct candidates {
	const struct gqe_capabilities *capabilities;
	enum gqe_kernel kernel;
	gqe_path path;
	uint32_t up_to, head_dim;
	const struct gqe_tile *own;
	struct gqe_tile *tiles;
	uint32_t count;
};

/* Of two powers of two. */
static uint32_t doublings_between(uint32_t a, uint32_t b)
{
	uint32_t count = 0;
	for (uint32_t small = a < b ? a : b, large = a < b ? b : a; small < large; small *= 2)
		count++;
	return count;
}

static uint32_t distance(const struct gqe_tile *a, const struct gqe_tile *b)
{
	bool same_matrix = a->matrix.m == b->matrix.m && a->matrix.n == b->matrix.n && a->matrix.k == b->matrix.k;
	return doublings_between(a->rows, b->rows) + doublings_between(a->columns, b->columns) +
	       doublings_between(a->subgroup, b->subgroup) + doublings_between(a->workgroup, b->workgroup) + (same_matrix ? 0 : 1) +
	       (a->is_rolled == b->is_rolled ? 0 : 1);
}

/* Keeps the list in order; of tiles at the same distance the one offered first stays first. */
static void offer(struct candidates *candidates, struct gqe_tile tile)
{
	bool fits_work = candidates->up_to == 0 || tile.rows == 1 || tile.rows <= candidates->up_to;
	uint32_t own_distance = distance(&tile, candidates->own), place = candidates->count;
	if (own_distance == 0 || candidates->count == GQE_MAX_CANDIDATES || !fits_work ||
	    !gqe_tile_is_legal(candidates->capabilities, candidates->kernel, candidates->path, candidates->up_to, &tile))
		return;
	for (; place > 0 && distance(&candidates->tiles[place - 1], candidates->own) > own_distance; place--)
		candidates->tiles[place] = candidates->tiles[place - 1];
	candidates->tiles[place] = tile;
	candidates->count++;
}

/* Sums of a tile, and of attention also the outputs, by lane. */
static uint32_t lane_values(const struct candidates *candidates, const struct gqe_tile *tile)
{
	uint32_t outputs = candidates->kernel == GQE_KERNEL_ATTENTION ? gqe_div_up(candidates->head_dim, tile->subgroup) + 2 : 1;
	return tile->rows * (tile->columns + outputs);
}

static void offer_subgroup_tiles(struct candidates *candidates)
{
	const struct gqe_capabilities *capabilities = candidates->capabilities;
	for (uint32_t subgroup = 4; subgroup <= 64; subgroup *= 2)
		for (uint32_t rows = 1; rows <= 32; rows *= 2)
			for (uint32_t columns = 1; columns <= 8; columns *= 2) {
				struct gqe_tile tile = {
					.workgroup = subgroup, .subgroup = subgroup, .rows = rows, .columns = columns};
				if (lane_values(candidates, &tile) <= most_lane_values(capabilities, subgroup))
					offer(candidates, tile);
			}
}

/* What the scalar kernels ask of a workgroup is said at the head of attention_scalar.comp and common/gemm_scalar.glsl. */
static bool fits_scalar_kernel(const struct candidates *candidates, const struct gqe_tile *tile)
{
	const struct gqe_capabilities *capabilities = candidates->capabilities;
	uint32_t shared_bytes = 0;
	if (candidates->kernel == GQE_KERNEL_ATTENTION) {
		uint32_t keys = GQE_ATTENTION_SCALAR_KEYS;
		shared_bytes = 4 * (tile->rows * (candidates->head_dim + keys + 1) + keys * (GQE_ATTENTION_SCALAR_CHANNELS + 1) +
				    tile->workgroup);
		return tile->columns == 1 && tile->workgroup % keys == 0 && tile->workgroup <= keys * tile->rows &&
		       shared_bytes <= capabilities->shared_memory_bytes;
	}
	uint32_t lanes = GQE_GEMM_SCALAR_LANES, slice = GQE_GEMM_SCALAR_SLICE, threads = tile->workgroup / lanes;
	shared_bytes = 4 * (tile->rows + lanes * tile->columns) * (slice + 1);
	return tile->workgroup % lanes == 0 && tile->rows % threads == 0 && tile->rows * slice % tile->workgroup == 0 &&
	       lanes * tile->columns * slice % tile->workgroup == 0 && shared_bytes <= capabilities->shared_memory_bytes;
}

static void offer_scalar_tiles(struct candidates *candidates)
{
	for (uint32_t workgroup = 32; workgroup <= 256; workgroup *= 2)
		for (uint32_t rows = 2; rows <= 64; rows *= 2)
			for (uint32_t columns = 1; columns <= 4; columns *= 2) {
				struct gqe_tile tile = {.workgroup = workgroup, .subgroup = 1, .rows = rows, .columns = columns};
				if (fits_scalar_kernel(candidates, &tile))
					offer(candidates, tile);
			}
}

/* Bytes of shared memory that the matrix kernels take at most, that is with `staged`: see the heads of their sources. */
static uint64_t matrix_shared_bytes(const struct candidates *candidates, const struct gqe_tile *tile)
{
	const uint32_t vector = 16, halves = 8, floats = 4;
	uint64_t rows = tile->rows, columns = tile->columns;
	if (candidates->kernel != GQE_KERNEL_ATTENTION) {
		uint32_t slice_vectors = GQE_GEMM_MATRIX_SLICE / halves + 1;
		return vector * ((rows + columns) * slice_vectors + rows * (tile->matrix.n / floats + 1));
	}
	if (tile->is_transposed)
		return gqe_tile_transposed_bytes(tile, candidates->head_dim);
	uint64_t channels = gqe_matrix_channels(tile, candidates->head_dim), channel_vectors = channels / halves + 1;
	uint64_t stage = columns * channel_vectors;
	return vector * (rows * (columns / floats + 1) + stage + rows * channel_vectors) + 2 * rows * sizeof(float);
}

static void offer_matrix_tiles(struct candidates *candidates)
{
	const struct gqe_capabilities *capabilities = candidates->capabilities;
	for (uint32_t i = 0; i < capabilities->matrix_shape_count; i++)
		for (uint32_t rows = 8; rows <= GQE_MAX_TILE_SIDE; rows *= 2)
			for (uint32_t columns = 16; columns <= 128; columns *= 2)
				for (uint32_t is_rolled = 0; is_rolled <= 1; is_rolled++) {
					struct gqe_tile tile = *candidates->own; /* its subgroup size */
					if (tile.is_transposed)
						tile.workgroup = tile.workgroup / tile.rows * rows;
					if (tile.is_transposed ? is_rolled : rows > 64)
						continue;
					tile.matrix = capabilities->matrix_shapes[i];
					tile.rows = rows;
					tile.columns = columns;
					tile.is_rolled = is_rolled;
					if (matrix_shared_bytes(candidates, &tile) <= capabilities->shared_memory_bytes)
						offer(candidates, tile);
				}
}

uint32_t gqe_tile_candidates(const struct gqe_capabilities *capabilities, enum gqe_kernel kernel, gqe_path path, uint32_t up_to,
			     uint32_t head_dim, const struct gqe_tile *own, struct gqe_tile tiles[GQE_MAX_CANDIDATES])
{
	struct candidates candidates = {
		.capabilities = capabilities,
		.kernel = kernel,
		.path = path,
		.up_to = up_to,
		.head_dim = head_dim,
		.own = own,
		.tiles = tiles,
	};
	if (path == GQE_PATH_SCALAR)
		offer_scalar_tiles(&candidates);
	else if (path == GQE_PATH_SUBGROUP || path == GQE_PATH_PACKED)
		offer_subgroup_tiles(&candidates);
	else if (gqe_is_matrix_path(path))
		offer_matrix_tiles(&candidates);
	return candidates.count;
}
