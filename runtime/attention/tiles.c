#include "attention/tiles.h"

#include <assert.h>

/*
 * A GPU that has subgroups of 8, or of 16 but not of 8, has a register of that many lanes as its unit, and 128 of them a thread:
 * wider subgroups only take more registers a value, and fewer fit. A CPU driver that loads lane by lane gets rows for that, or else
 * those for any CPU driver.
 */
enum device_class { ANY_DEVICE, CPU_DRIVER, CPU_LANE_LOADS, LANES_8, LANES_16 };

#define ANY_KERNEL GQE_KERNEL_COUNT

/*
 * The first row that fits is taken, so specific rows come before general ones. `up_to`: the row is for that many rows of work at
 * most, a power of two; 0: any. `workgroup` 0: one subgroup. `registers`: f32 values a lane may spend on a tile of attention; rows
 * are halved until they fit. A CPU driver spills to its stack, which is cheap; its limit is the time that a large kernel takes to
 * compile.
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
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, CPU_DRIVER, 64, 0, 4, 4, 192, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, CPU_DRIVER, 0, 0, 8, 4, 192, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, LANES_8, 0, 0, 4, 1, 56, "no spill on Intel skl, tgl, dg2, mtl"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, LANES_16, 0, 0, 4, 2, 39, "no spill on Intel lnl, bmg"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SUBGROUP, ANY_DEVICE, 0, 0, 8, 4, 88, "RADV's and NVK's estimates, no spill there"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SCALAR, ANY_DEVICE, 2, 64, 2, 1, 0, "not tuned"},
	{GQE_KERNEL_ATTENTION, GQE_PATH_SCALAR, ANY_DEVICE, 0, 64, 8, 1, 0, "not tuned"},

	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 1, 0, 1, 4, 0, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 64, 0, 4, 4, 0, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 0, 0, 8, 4, 0, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_DRIVER, 1, 0, 1, 4, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_DRIVER, 8, 0, 4, 4, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_DRIVER, 64, 0, 16, 2, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_DRIVER, 1024, 0, 32, 2, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, CPU_DRIVER, 0, 0, 48, 2, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, ANY_DEVICE, 1, 0, 1, 2, 0, "not tuned"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, ANY_DEVICE, 4, 0, 4, 2, 0, "not tuned"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, LANES_8, 0, 0, 8, 2, 0, "no spill on Intel skl, tgl, dg2, mtl"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, LANES_16, 0, 0, 8, 2, 0, "no spill on Intel lnl, bmg"},
	{GQE_KERNEL_GEMM, GQE_PATH_SUBGROUP, ANY_DEVICE, 0, 0, 8, 4, 0, "RADV's and NVK's estimates, no spill there"},
	{GQE_KERNEL_GEMM, GQE_PATH_SCALAR, ANY_DEVICE, 4, 64, 4, 2, 0, "not tuned"},
	{GQE_KERNEL_GEMM, GQE_PATH_SCALAR, ANY_DEVICE, 0, 64, 32, 2, 0, "not tuned"},

	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 1, 0, 1, 4, 0, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 64, 0, 4, 4, 0, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, CPU_LANE_LOADS, 0, 0, 8, 4, 0, "lavapipe 22.3; bench/NOTES.md"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, CPU_DRIVER, 1, 0, 1, 4, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, CPU_DRIVER, 64, 0, 4, 4, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, CPU_DRIVER, 0, 0, 32, 2, 0, "lavapipe 26.1; bench/NOTES.md"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, ANY_DEVICE, 1, 0, 1, 2, 0, "not tuned"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, ANY_DEVICE, 8, 0, 4, 2, 0, "not tuned"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, LANES_8, 0, 0, 8, 2, 0, "no spill on Intel skl, tgl, dg2, mtl"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, LANES_16, 0, 0, 8, 2, 0, "no spill on Intel lnl, bmg"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SUBGROUP, ANY_DEVICE, 0, 0, 16, 2, 0, "no spill on AMD and NVIDIA"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SCALAR, ANY_DEVICE, 8, 64, 4, 2, 0, "not tuned"},
	{GQE_KERNEL_GEMM_GATHERED, GQE_PATH_SCALAR, ANY_DEVICE, 0, 64, 32, 2, 0, "not tuned"},

	/* Reductions over a row: enough invocations to hide memory latency, few enough for every Vulkan device. */
	{GQE_KERNEL_NORM, GQE_PATH_SCALAR, ANY_DEVICE, 0, 128, 1, 1, 0, "not tuned"},
	{GQE_KERNEL_NLL, GQE_PATH_SCALAR, ANY_DEVICE, 0, 128, 1, 1, 0, "not tuned"},
	{GQE_KERNEL_BALANCE, GQE_PATH_SCALAR, ANY_DEVICE, 0, 128, 1, 1, 0, "not tuned"},
	{GQE_KERNEL_EXPERT_SCAN, GQE_PATH_SCALAR, ANY_DEVICE, 0, 128, 1, 1, 0, "not tuned"},
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
	return ANY_DEVICE;
}

static bool fits_device(const struct tile_row *row, enum device_class device)
{
	return row->device == ANY_DEVICE || row->device == device || (row->device == CPU_DRIVER && device == CPU_LANE_LOADS);
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

/* f32 values a lane holds for each row of an attention tile: o by channel, the scores, running maximum and sum. */
static uint32_t attention_row_registers(uint32_t subgroup, uint32_t columns, uint32_t head_dim)
{
	return gqe_div_up(head_dim, subgroup) + columns + 2;
}

struct gqe_tile gqe_tile_choose(const struct gqe_capabilities *capabilities, enum gqe_kernel kernel, gqe_path path,
				uint32_t work_rows, uint32_t head_dim)
{
	uint32_t subgroup = path == GQE_PATH_SUBGROUP ? gqe_tile_subgroup(capabilities) : 1;
	enum device_class device = device_class_of(capabilities);
	const struct tile_row *row = tile_rows;
	for (;; row++) {
		assert(row < tile_rows + GQE_COUNT(tile_rows));
		bool fits_work = row->up_to == 0 || work_rows <= row->up_to;
		if ((row->kernel == kernel || row->kernel == ANY_KERNEL) && row->path == path && fits_device(row, device) &&
		    fits_work)
			break;
	}
	struct gqe_tile tile = {
		.workgroup = row->workgroup ? row->workgroup : subgroup,
		.subgroup = subgroup,
		.rows = row->rows,
		.columns = row->columns,
	};
	if (row->registers > 0) {
		uint32_t row_registers = attention_row_registers(subgroup, tile.columns, head_dim);
		while (tile.rows > 1 && (tile.rows * row_registers > row->registers || tile.rows / 2 >= work_rows))
			tile.rows /= 2;
	}
	return tile;
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
	if (path == GQE_PATH_SCALAR)
		return tile->subgroup == 1 && tile->workgroup % tile->rows == 0;
	bool size_exists = capabilities->subgroup_size_control ? tile->subgroup >= capabilities->subgroup_size_min &&
									 tile->subgroup <= capabilities->subgroup_size_max
							       : tile->subgroup == capabilities->subgroup_size;
	bool is_power = tile->subgroup >= 4 && tile->subgroup <= 64 && (tile->subgroup & (tile->subgroup - 1)) == 0;
	return size_exists && is_power && tile->workgroup == tile->subgroup;
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
