#include "attention/tiles.h"

#include <assert.h>

/*
 * A GPU that has subgroups of 8, or of 16 but not of 8, has a register of that many lanes as its unit, and 128 of them a thread:
 * wider subgroups only take more registers a value, and fewer fit. A CPU driver that loads lane by lane gets rows for that, or else
 * those for any CPU driver. Where a subgroup has 64 lanes, two columns a lane are more than a head of 64 channels has. Beside its
 * class a device has a family of hardware.
 */
#define FAMILY(name) FAMILY_##name = 0x100 + GQE_ARCHITECTURE_##name
enum device_class {
	ANY_DEVICE,
	CPU_DRIVER,
	CPU_LANE_LOADS,
	LANES_8,
	LANES_16,
	LANES_64,
	FAMILY(OTHER),
	FAMILY(GCN),
	FAMILY(RDNA1),
	FAMILY(RDNA2),
	FAMILY(RDNA3),
	FAMILY(RDNA4),
	FAMILY(XE_LP),
	FAMILY(XE_HPG),
	FAMILY(XE2),
	FAMILY(TURING),
	FAMILY(AMPERE)
};

#define ANY_KERNEL GQE_KERNEL_COUNT

/* `rows` of a tile with a row in each lane, if it has columns. */
#define LANE_ROWS 0

/*
 * Most columns * head_dim of such a tile: each is two multiplications and additions in the unrolled code of a pass, which has to
 * stay in a CPU's cache of some 6,000 decoded instructions. But never less than LEAST_LANE_COLUMNS, as each pass rescales the
 * output.
 */
#define MOST_LANE_PRODUCTS 768
#define LEAST_LANE_COLUMNS 4

/*
 * The first row that fits is taken, so specific rows come before general ones. `up_to`: the row is for that many rows of work at
 * most, a power of two; 0: any. `workgroup` 0: one subgroup; on the subgroup path, another size of it. `registers`: f32 values a
 * lane may spend on a tile of attention; rows are halved until they fit, and on a matrix path there is no tile if none does. Where
 * the matrix path has scores transposed, `rows` is how many invocations a workgroup has at most, and `registers` how many channels
 * of the outputs a subgroup has. Rows and columns 0: there is no tile, and the path below is taken. A CPU driver spills to its
 * stack, which is cheap; its limit is the time that a large kernel takes to compile.
 */
static const struct tile_row {
	enum gqe_kernel kernel;
	gqe_path path;
	enum device_class device;
	uint32_t up_to;
	uint32_t workgroup, rows, columns;
	uint32_t registers;
	const char *tuned_on;
} tile_rows[] = {
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 64, 0, 4, 4, 192, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 0, 0, 8, 4, 192, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, CPU_DRIVER, 4, 0, 4, 4, 192, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, CPU_DRIVER, 0, 0, LANE_ROWS, 16, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, LANES_8, 0, 0, 4, 1, 56, "no spill on Intel skl, tgl, dg2, mtl"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, LANES_16, 0, 0, 4, 2, 39, "no spill on Intel lnl, bmg"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, FAMILY_GCN, 0, 0, 4, 4, 88, "vega10: 64 VGPRs, 4 waves; 8 x 4 has 2"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, FAMILY_RDNA1, 0, 0, 8, 4, 88, "navi10: 116 VGPRs, 8 waves"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, FAMILY_RDNA2, 0, 0, 8, 4, 88, "navi21: 120 VGPRs, 8 waves"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, FAMILY_RDNA3, 0, 0, 8, 4, 88, "navi31: 108 VGPRs, 14 waves; bench/NOTES.md"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, FAMILY_RDNA4, 0, 0, 8, 4, 88, "gfx1200: 108 VGPRs, 8 waves"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, FAMILY_TURING, 0, 0, 8, 4, 88, "NVK 162: 112 registers, 16 warps"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, FAMILY_AMPERE, 0, 0, 8, 4, 88, "NVK 172: 112 registers, 16 warps"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, ANY_DEVICE, 0, 0, 8, 4, 88, "RADV's and NVK's estimates, no spill there"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_PACKED, CPU_DRIVER, 0, 0, 4, 4, 192, "lavapipe 26.1: time to make it; bench/NOTES.md"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_PACKED, LANES_8, 0, 0, 0, 0, 0, "none: spills on Intel skl, tgl, dg2"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_PACKED, LANES_16, 0, 0, 0, 0, 0, "none: spills on Intel bmg"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_PACKED, ANY_DEVICE, 0, 0, 4, 4, 88, "RADV's and NVK's estimates, no spill there"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_MATRIX2, CPU_DRIVER, 0, 0, 8, 8, 0, "lavapipe 26.1's compile time"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_MATRIX2, ANY_DEVICE, 0, 0, 32, 32, 200, "not tuned: no compiler here takes it"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_MATRIX, CPU_DRIVER, 0, 0, 8, 16, 0, "not tuned"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_MATRIX, LANES_8, 4096, 0, 128, 16, 64, "no spill on Intel dg2; bench/NOTES.md"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_MATRIX, LANES_8, 0, 0, 256, 16, 64, "no spill on Intel dg2; bench/NOTES.md"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_MATRIX, LANES_16, 0, 0, 128, 16, 64, "no spill on Intel bmg; bench/NOTES.md"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_MATRIX, ANY_DEVICE, 0, 0, 32, 32, 200, "RADV's and NVK's estimates, no spill there"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SCALAR, ANY_DEVICE, 2, 64, 2, 1, 0, "not tuned"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SCALAR, ANY_DEVICE, 0, 64, 8, 1, 0, "not tuned"},

	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 1, 0, 1, 4, 0, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 64, 0, 4, 4, 0, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 0, 0, 8, 4, 0, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_DRIVER, 1, 0, 1, 4, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_DRIVER, 4, 0, 4, 4, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_DRIVER, 0, 0, 8, 2, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, ANY_DEVICE, 1, 0, 1, 2, 0, "not tuned"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, ANY_DEVICE, 4, 0, 4, 2, 0, "not tuned"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, LANES_8, 0, 0, 8, 2, 0, "no spill on Intel skl, tgl, dg2, mtl"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, LANES_16, 0, 0, 8, 2, 0, "no spill on Intel lnl, bmg"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, FAMILY_GCN, 0, 0, 8, 2, 0, "vega10: 64 VGPRs, 4 waves; 8 x 4 has 2"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, FAMILY_RDNA1, 0, 0, 8, 4, 0, "navi10: 128 VGPRs, 8 waves"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, FAMILY_RDNA2, 0, 0, 8, 4, 0, "navi21: 128 VGPRs, 8 waves"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, FAMILY_RDNA3, 0, 0, 8, 4, 0, "navi31: 120 VGPRs, 12 waves; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, FAMILY_RDNA4, 0, 0, 8, 4, 0, "gfx1200: 120 VGPRs, 8 waves"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, FAMILY_TURING, 0, 0, 8, 4, 0, "NVK 162: 120 registers, 16 warps"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, FAMILY_AMPERE, 0, 0, 8, 4, 0, "NVK 172: 120 registers, 16 warps"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, ANY_DEVICE, 0, 0, 8, 4, 0, "RADV's and NVK's estimates, no spill there"},
	{GQE_KERNEL_GEMM, GQE_PATH_MATRIX, CPU_DRIVER, 0, 0, 16, 16, 0, "not tuned"},
	{GQE_KERNEL_GEMM, GQE_PATH_MATRIX, LANES_8, 0, 0, 16, 16, 0, "no spill on Intel dg2"},
	{GQE_KERNEL_GEMM, GQE_PATH_MATRIX, LANES_16, 0, 0, 16, 16, 0, "no spill on Intel bmg"},
	{GQE_KERNEL_GEMM, GQE_PATH_MATRIX, ANY_DEVICE, 0, 0, 32, 64, 0, "RADV's and NVK's estimates, no spill there"},
	{GQE_KERNEL_GEMM, GQE_PATH_SCALAR, ANY_DEVICE, 4, 64, 4, 2, 0, "not tuned"},
	{GQE_KERNEL_GEMM, GQE_PATH_SCALAR, ANY_DEVICE, 0, 64, 32, 2, 0, "not tuned"},

	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 1, 0, 1, 4, 0, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 64, 0, 4, 4, 0, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 0, 0, 8, 4, 0, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, CPU_DRIVER, 1, 0, 1, 4, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, CPU_DRIVER, 8, 0, 4, 4, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, CPU_DRIVER, 0, 0, 8, 2, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, LANES_64, 1, 0, 1, 1, 0, "not tuned"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, LANES_64, 8, 0, 4, 1, 0, "not tuned"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, LANES_64, 0, 0, 16, 1, 0, "no spill on AMD"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, ANY_DEVICE, 1, 0, 1, 2, 0, "not tuned"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, ANY_DEVICE, 8, 0, 4, 2, 0, "not tuned"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, LANES_8, 0, 0, 8, 2, 0, "no spill on Intel skl, tgl, dg2, mtl"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, LANES_16, 0, 0, 8, 2, 0, "no spill on Intel lnl, bmg"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, ANY_DEVICE, 0, 0, 16, 2, 0, "no spill on AMD and NVIDIA"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_MATRIX, CPU_DRIVER, 0, 0, 16, 16, 0, "not tuned"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_MATRIX, LANES_8, 0, 0, 16, 16, 0, "no spill on Intel dg2"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_MATRIX, LANES_16, 0, 0, 16, 16, 0, "no spill on Intel bmg"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_MATRIX, ANY_DEVICE, 0, 0, 32, 64, 0, "RADV's and NVK's estimates, no spill there"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SCALAR, ANY_DEVICE, 8, 64, 4, 2, 0, "not tuned"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SCALAR, ANY_DEVICE, 0, 64, 32, 2, 0, "not tuned"},

	/* Reductions over a row: enough invocations to hide memory latency, few enough for every Vulkan device. */
	{GQE_KERNEL_NORM, GQE_PATH_SCALAR, ANY_DEVICE, 0, 128, 1, 1, 0, "not tuned"},
	{GQE_KERNEL_NLL, GQE_PATH_SCALAR, ANY_DEVICE, 0, 128, 1, 1, 0, "not tuned"},
	{GQE_KERNEL_BALANCE, GQE_PATH_SCALAR, ANY_DEVICE, 0, 128, 1, 1, 0, "not tuned"},
	{GQE_KERNEL_EXPERT_SCAN, GQE_PATH_SCALAR, ANY_DEVICE, 0, 128, 1, 1, 0, "not tuned"},
	/* Lanes are neighbouring channels of one token or key. */
	{GQE_KERNEL_COMBINE, GQE_PATH_SCALAR, CPU_DRIVER, 0, 8, 1, 8, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_KV_PANELS, GQE_PATH_SCALAR, CPU_DRIVER, 0, 8, 1, 1, 0, "lavapipe 26.1; bench/NOTES.md"},
	/* One item an invocation. */
	{ANY_KERNEL, GQE_PATH_SCALAR, ANY_DEVICE, 0, 64, 1, 1, 0, "not tuned"},
};

static enum device_class device_class_of(const struct gqe_capabilities *capabilities)
{
	if (capabilities->is_cpu)
		return capabilities->quirks & GQE_QUIRK_SLOW_UNIFORM_LOAD ? CPU_LANE_LOADS : CPU_DRIVER;
	uint32_t smallest = capabilities->subgroup_size_min, largest = capabilities->subgroup_size_max;
	if (capabilities->subgroup_size_control && smallest <= 8 && largest >= 8)
		return LANES_8;
	if (capabilities->subgroup_size_control && smallest <= 16 && largest >= 16)
		return LANES_16;
	return capabilities->subgroup_size == 64 ? LANES_64 : ANY_DEVICE;
}

/* A GPU with subgroups of 32 or 64 lanes, whose lanes have many registers. */
static bool is_wide(enum device_class device)
{
	return device == ANY_DEVICE || device == LANES_64;
}

static bool fits_device(const struct tile_row *row, const struct gqe_capabilities *capabilities)
{
	enum device_class device = device_class_of(capabilities);
	return row->device == ANY_DEVICE || row->device == device || (row->device == CPU_DRIVER && device == CPU_LANE_LOADS) ||
	       row->device == FAMILY_OTHER + (capabilities->architecture - GQE_ARCHITECTURE_OTHER);
}

bool gqe_tile_uniform_loads(const struct gqe_capabilities *capabilities)
{
	return device_class_of(capabilities) == CPU_DRIVER;
}

uint32_t gqe_tile_subgroup(const struct gqe_capabilities *capabilities)
{
	switch (device_class_of(capabilities)) {
	case LANES_8:
		return 8;
	case LANES_16:
		return 16;
	default:
		return capabilities->subgroup_size;
	}
}

uint32_t gqe_matrix_subgroup(const struct gqe_capabilities *capabilities)
{
	/* Where 64 lanes can be had as well, a matrix product on them takes twice as long, and so does all else. */
	bool has_32 = capabilities->subgroup_size_control && capabilities->subgroup_size_min <= 32 &&
		      capabilities->subgroup_size_max >= 32;
	return is_wide(device_class_of(capabilities)) && has_32 ? 32 : gqe_tile_subgroup(capabilities);
}

uint32_t gqe_matrix_channels(const struct gqe_tile *tile, uint32_t head_dim)
{
	return (uint32_t)gqe_align_up(head_dim, gqe_max_u32(tile->matrix.n, tile->matrix.k));
}

gqe_matrix_shape gqe_matrix_shape_of(const struct gqe_capabilities *capabilities, gqe_path path)
{
	gqe_matrix_shape best = {0};
	for (uint32_t i = 0; i < capabilities->matrix_shape_count; i++) {
		const gqe_matrix_shape *shape = &capabilities->matrix_shapes[i];
		/* Scores, m x n, become a first factor, m x k, where they are. */
		bool fits_path = path != GQE_PATH_MATRIX2 || shape->n == shape->k;
		if (fits_path && shape->m * shape->n * shape->k > best.m * best.n * best.k)
			best = *shape;
	}
	return best;
}

/* What a tile's columns are a multiple of: whole matrices; lanes that share a row of scores take eight each. */
static uint32_t matrix_column_step(enum gqe_kernel kernel, const struct gqe_tile *tile)
{
	uint32_t step = gqe_max_u32(tile->matrix.n, tile->matrix.k);
	uint32_t row_lanes = kernel == GQE_KERNEL_ATTENTION && tile->subgroup > tile->rows ? tile->subgroup / tile->rows : 1;
	return gqe_max_u32(step, 8 * row_lanes);
}

/* f32 values a lane holds in matrices of an attention tile: outputs, scores, and q unless it stays in shared memory. */
static uint32_t matrix_registers(const struct gqe_tile *tile, uint32_t head_dim, bool is_rolled)
{
	/* AMD holds every f16 of a first factor twice, so q takes as much as the outputs. */
	uint32_t values = gqe_matrix_channels(tile, head_dim) * (is_rolled ? 1 : 2) + tile->columns;
	return tile->rows * values / tile->subgroup;
}

uint64_t gqe_tile_transposed_bytes(const struct gqe_tile *tile, uint32_t head_dim)
{
	const uint32_t vector = 16, halves = 8, own_bytes = 256; /* of the tile, the range and arrays that only others use */
	uint64_t channels = gqe_matrix_channels(tile, head_dim), factor = tile->matrix.m * tile->matrix.k;
	uint64_t factors = 2 * tile->columns * channels / factor * (factor / halves + 1 + factor / halves);
	uint64_t queries = channels > GQE_KEPT_QUERY_CHANNELS ? tile->rows * channels / halves : 0;
	return vector * (factors + tile->workgroup * tile->columns / halves + queries) + tile->workgroup * sizeof(uint32_t) +
	       own_bytes;
}

/*
 * Makes a tile of attention one of transposed scores, where a lane has a row: as many rows as `rows` invocations allow and the work
 * needs, but two subgroups at least, as one alone would stage all keys (and spills on bmg). A subgroup holds `channels` of its
 * rows' outputs at most.
 */
static void fit_transposed(const struct gqe_capabilities *capabilities, uint32_t work_rows, uint32_t head_dim, uint32_t channels,
			   struct gqe_tile *tile)
{
	const uint32_t own_channels = gqe_matrix_channels(tile, head_dim), parts = gqe_div_up(own_channels, channels);
	/* Half of the outputs leave registers for the scores of twice as many keys, and shared memory for twice as many rows. */
	const uint32_t factor = 2 * own_channels <= channels ? 2 : 1;
	const uint32_t most_invocations = gqe_min_u32(factor * tile->rows, capabilities->max_workgroup_invocations);
	const uint32_t least_rows = parts > 1 ? tile->matrix.n : 2 * tile->matrix.n;
	tile->rows *= factor;
	tile->columns = (uint32_t)gqe_align_up(factor * tile->columns, tile->matrix.k);
	tile->workgroup = tile->rows * parts;
	while (tile->rows > least_rows && (tile->workgroup > most_invocations || tile->rows / 2 >= work_rows)) {
		tile->rows /= 2;
		tile->workgroup /= 2;
	}
	/* As many as shared memory has room for; where parts share rows, a power of two, as each pass divides by them. */
	while (tile->rows > least_rows && gqe_tile_transposed_bytes(tile, head_dim) > capabilities->shared_memory_bytes) {
		tile->rows = parts == 1 ? tile->rows - tile->matrix.n : tile->rows / 2;
		tile->workgroup = tile->rows * parts;
	}
	if (tile->workgroup > most_invocations || tile->matrix.n != tile->subgroup ||
	    gqe_tile_transposed_bytes(tile, head_dim) > capabilities->shared_memory_bytes)
		tile->rows = 0;
}

/* Makes a tile one of whole matrices that fits the registers (0: any does). If none does, it has no rows. */
static void fit_to_matrices(const struct gqe_capabilities *capabilities, enum gqe_kernel kernel, gqe_path path, uint32_t work_rows,
			    uint32_t head_dim, uint32_t registers, struct gqe_tile *tile)
{
	tile->matrix = gqe_matrix_shape_of(capabilities, path);
	if (tile->matrix.m == 0) {
		tile->rows = 0;
		return;
	}
	const enum device_class device = device_class_of(capabilities);
	tile->is_transposed =
		kernel == GQE_KERNEL_ATTENTION && path == GQE_PATH_MATRIX && (device == LANES_8 || device == LANES_16);
	if (tile->is_transposed) {
		fit_transposed(capabilities, work_rows, head_dim, registers, tile);
		return;
	}
	tile->is_rolled = !is_wide(device);
	tile->rows = (uint32_t)gqe_align_up(tile->rows, tile->matrix.m);
	while (kernel == GQE_KERNEL_ATTENTION && registers > 0 && tile->rows > tile->matrix.m &&
	       (matrix_registers(tile, head_dim, tile->is_rolled) > registers || tile->rows / 2 >= work_rows))
		tile->rows /= 2;
	tile->columns = (uint32_t)gqe_align_up(tile->columns, matrix_column_step(kernel, tile));
	if (kernel == GQE_KERNEL_ATTENTION && registers > 0) {
		tile->is_rolled |= matrix_registers(tile, head_dim, false) > registers;
		if (matrix_registers(tile, head_dim, tile->is_rolled) > registers)
			tile->rows = 0;
	}
}

static bool fits_matrices(const struct gqe_capabilities *capabilities, enum gqe_kernel kernel, const struct gqe_tile *tile)
{
	const gqe_matrix_shape *own = &tile->matrix;
	bool has_shape = false;
	for (uint32_t i = 0; i < capabilities->matrix_shape_count; i++) {
		const gqe_matrix_shape *shape = &capabilities->matrix_shapes[i];
		has_shape |= shape->m == own->m && shape->n == own->n && shape->k == own->k;
	}
	/* Rows and lanes divide each other; a lane of transposed scores has one row. */
	bool rows_fit_lanes = tile->is_transposed || (tile->rows & (tile->rows - 1)) == 0;
	/* Pairs of channels are in one matrix or in two. */
	bool has_pairs = kernel == GQE_KERNEL_ATTENTION || tile->columns == own->n || tile->columns % (2 * own->n) == 0;
	/* A lane has a row, and a share of at least 16 bytes of each factor. */
	uint32_t share = tile->subgroup * 8;
	bool can_transpose = own->n == tile->subgroup && tile->rows % own->n == 0 && own->m * own->k % share == 0 &&
			     own->k % 8 == 0 && own->m % 2 == 0;
	return has_shape && has_pairs && rows_fit_lanes && tile->rows % own->m == 0 && (!tile->is_transposed || can_transpose) &&
	       tile->columns % matrix_column_step(kernel, tile) == 0;
}

/* f32 values a lane holds for each row of an attention tile: o by channel, the scores, running maximum and sum. */
static uint32_t attention_row_registers(uint32_t subgroup, uint32_t columns, uint32_t head_dim)
{
	return gqe_div_up(head_dim, subgroup) + columns + 2;
}

struct gqe_tile gqe_tile_choose(const struct gqe_capabilities *capabilities, enum gqe_kernel kernel, gqe_path path,
				uint32_t work_rows, uint32_t head_dim)
{
	uint32_t subgroup = path == GQE_PATH_SCALAR   ? 1
			    : path >= GQE_PATH_PACKED ? gqe_matrix_subgroup(capabilities)
						      : gqe_tile_subgroup(capabilities);
	const struct tile_row *row = tile_rows;
	for (;; row++) {
		assert(row < tile_rows + GQE_COUNT(tile_rows));
		bool fits_work = row->up_to == 0 || work_rows <= row->up_to;
		if ((row->kernel == kernel || row->kernel == ANY_KERNEL) && row->path == path && fits_device(row, capabilities) &&
		    fits_work)
			break;
	}
	if (path == GQE_PATH_SUBGROUP && row->workgroup != 0)
		subgroup = row->workgroup;
	struct gqe_tile tile = {
		.workgroup = row->workgroup ? row->workgroup : subgroup,
		.subgroup = subgroup,
		.rows = row->rows,
		.columns = row->columns,
	};
	if (row->rows == LANE_ROWS && row->columns > 0) {
		tile.rows = subgroup;
		while (tile.columns > LEAST_LANE_COLUMNS && tile.columns * head_dim > MOST_LANE_PRODUCTS)
			tile.columns /= 2;
	}
	if (gqe_is_matrix_path(path))
		fit_to_matrices(capabilities, kernel, path, work_rows, head_dim, row->registers, &tile);
	else if (row->registers > 0) {
		uint32_t row_registers = attention_row_registers(subgroup, tile.columns, head_dim);
		while (tile.rows > 1 && (tile.rows * row_registers > row->registers || tile.rows / 2 >= work_rows))
			tile.rows /= 2;
	}
	return tile;
}

/*
 * Queries of all experts in one product cost no lists, and are better for few tokens; `up_to`: that many for an expert. The first
 * row that fits is taken.
 */
static const struct query_row {
	gqe_path path; /* 0: any */
	enum device_class device;
	double up_to;
	const char *measured_on;
} query_rows[] = {
	{GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 2, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_PATH_SUBGROUP, CPU_DRIVER, 2, "lavapipe 26.1; bench/NOTES.md"},
	{0, ANY_DEVICE, 0.5, "not measured: for one token the lists are three dispatches more, and the products are the same"},
};

gqe_query_mode gqe_tile_query_mode(const struct gqe_capabilities *capabilities, gqe_path path, uint32_t rows,
				   double rows_per_expert)
{
	enum device_class device = device_class_of(capabilities);
	const struct query_row *row = query_rows;
	while ((row->path != 0 && row->path != path) ||
	       !(row->device == ANY_DEVICE || row->device == device || (row->device == CPU_DRIVER && device == CPU_LANE_LOADS)))
		row++;
	bool all_are_selected = rows_per_expert == rows;
	return all_are_selected || rows_per_expert <= row->up_to ? GQE_QUERIES_DENSE : GQE_QUERIES_GATHERED;
}

bool gqe_tile_has_lane_rows(const struct gqe_capabilities *capabilities, enum gqe_kernel kernel, gqe_path path,
			    const struct gqe_tile *tile)
{
	return kernel == GQE_KERNEL_ATTENTION && path == GQE_PATH_SUBGROUP && gqe_tile_uniform_loads(capabilities) &&
	       tile->rows == tile->subgroup;
}

/* Tiles with fewer rows would need more room in gemm_gathered's list of tiles than gqe_tile_gathered_bound says. */
static uint32_t gathered_least_rows(uint32_t up_to)
{
	uint32_t least = UINT32_MAX;
	for (const struct tile_row *row = tile_rows; row < tile_rows + GQE_COUNT(tile_rows); row++) {
		bool covers = row->up_to == 0 || (up_to != 0 && row->up_to >= up_to);
		if (row->kernel == GQE_KERNEL_GEMM_GATHERED && covers)
			least = gqe_min_u32(least, row->rows);
	}
	return least;
}

bool gqe_tile_is_legal(const struct gqe_capabilities *capabilities, enum gqe_kernel kernel, gqe_path path, uint32_t up_to,
		       const struct gqe_tile *tile)
{
	if (tile->rows == 0 || tile->rows > GQE_MAX_TILE_SIDE || tile->columns == 0 || tile->columns > GQE_MAX_TILE_SIDE)
		return false;
	if (tile->workgroup == 0 || tile->workgroup > capabilities->max_workgroup_invocations)
		return false;
	if (kernel == GQE_KERNEL_GEMM_GATHERED && tile->rows < gathered_least_rows(up_to))
		return false;
	/* Pairs of channels are in one lane, or in two that have nothing else. */
	bool is_product = kernel == GQE_KERNEL_GEMM || kernel == GQE_KERNEL_GEMM_GATHERED;
	bool may_have_one = path == GQE_PATH_SUBGROUP && !gqe_tile_uniform_loads(capabilities);
	if (is_product && tile->columns % 2 != 0 && !(tile->columns == 1 && may_have_one))
		return false;
	/* Weights lie in blocks of that many rows there. */
	if (is_product && path == GQE_PATH_SUBGROUP && gqe_tile_uniform_loads(capabilities) &&
	    tile->subgroup != gqe_tile_subgroup(capabilities))
		return false;
	if (gqe_is_matrix_path(path) && !fits_matrices(capabilities, kernel, tile))
		return false;
	if (path == GQE_PATH_SCALAR)
		return tile->subgroup == 1 && tile->workgroup % tile->rows == 0;
	bool size_exists = capabilities->subgroup_size_control ? tile->subgroup >= capabilities->subgroup_size_min &&
									 tile->subgroup <= capabilities->subgroup_size_max
							       : tile->subgroup == capabilities->subgroup_size;
	bool is_power = tile->subgroup >= 4 && tile->subgroup <= 64 && (tile->subgroup & (tile->subgroup - 1)) == 0;
	bool is_whole = tile->is_transposed ? tile->workgroup % tile->rows == 0 : tile->workgroup == tile->subgroup;
	return size_exists && is_power && is_whole;
}

uint32_t gqe_tile_gathered_bound(uint32_t rows, uint32_t entries_per_row, uint32_t experts)
{
	uint64_t bound = 0;
	for (const struct tile_row *row = tile_rows; row < tile_rows + GQE_COUNT(tile_rows); row++) {
		if (row->kernel != GQE_KERNEL_GEMM_GATHERED)
			continue;
		uint32_t pass_rows = row->up_to == 0 ? rows : gqe_min_u32(rows, row->up_to);
		uint64_t entries = (uint64_t)pass_rows * entries_per_row;
		/* Every expert that has entries may have one tile that is not full. */
		uint64_t tiles = entries / row->rows + (entries < experts ? entries : experts);
		bound = tiles > bound ? tiles : bound;
	}
	assert(bound <= UINT32_MAX);
	return (uint32_t)bound;
}
