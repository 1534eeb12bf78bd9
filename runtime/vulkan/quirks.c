#include "vulkan/device.h"

/* NVIDIA's own packing of driver_version: 10 bits major, 8 bits minor, 8 bits patch, 6 bits branch. */
#define NVIDIA_VERSION(major, minor, patch) (((uint32_t)(major) << 22) | ((uint32_t)(minor) << 14) | ((uint32_t)(patch) << 6))

#define VENDOR_AMD 0x1002
#define VENDOR_NVIDIA 0x10de
#define VENDOR_INTEL 0x8086

const char *gqe_quirk_name(uint32_t bit)
{
	static const char *const names[] = {"broken_pipeline_cache", "broken_subgroup", "loop_limit",
					    "slow_uniform_load",     "slow_matrix",     "grid_in_parts",
					    "slow_compiler",         "slow_long_loop",  "empty_pipeline_cache"};
	_Static_assert(GQE_QUIRK_END == 1u << GQE_COUNT(names), "a name for every quirk, in the order of the bits");
	return bit < GQE_COUNT(names) ? names[bit] : NULL;
}

/* Intel GPUs with matrix engines that Mesa 25 knows: DG2, Lunar Lake, Battlemage. */
static bool intel_has_matrix_engine(uint32_t device_id)
{
	uint32_t family = device_id >> 8;
	return family == 0x56 || family == 0x64 || family == 0xe2;
}

uint32_t gqe_quirks(uint32_t vendor_id, uint32_t device_id, VkDriverId driver_id, uint32_t driver_version, uint32_t api_version)
{
	uint32_t quirks = 0;

	/*
	 * NVIDIA 470.0 up to, not including, 470.62.02: a VkPipelineCache takes a huge amount of memory.
	 * https://github.com/HansKristian-Work/vkd3d-proton/pull/793 and .../pull/795 (the fixed version)
	 */
	if (driver_id == VK_DRIVER_ID_NVIDIA_PROPRIETARY && driver_version >= NVIDIA_VERSION(470, 0, 0) &&
	    driver_version < NVIDIA_VERSION(470, 62, 2)) {
		quirks |= GQE_QUIRK_NO_PIPELINE_CACHE;
	}

	/*
	 * MoltenVK on AMD, every version so far: a subgroup is reported as 64 invocations but is a 32-lane SIMD-group with the
	 * other half disabled, so values from there are garbage. https://github.com/KhronosGroup/MoltenVK/issues/2750
	 */
	if (driver_id == VK_DRIVER_ID_MOLTENVK && vendor_id == VENDOR_AMD) {
		quirks |= GQE_QUIRK_BROKEN_SUBGROUP;
	}

	/*
	 * llvmpipe leaves every loop once the loops of an invocation have made 65,535 iterations together (gallivm's
	 * LP_MAX_TGSI_LOOP_ITERATIONS); results are then wrong without an error. Measured: present in Mesa 22.3, gone in 25.0 and
	 * 26.1. Those report driver version 1 up to 25.0, so the API version, 1.4 with the good ones, has to tell.
	 * https://github.com/ggml-org/llama.cpp/pull/13813
	 */
	if (driver_id == VK_DRIVER_ID_MESA_LLVMPIPE && api_version < VK_MAKE_API_VERSION(0, 1, 4, 0)) {
		quirks |= GQE_QUIRK_LOOP_LIMIT;
	}

	/*
	 * llvmpipe loads lane by lane even where all lanes have the same address. Measured: so in Mesa 22.3 and 25.0, where a
	 * product that relies on uniform loads takes 1.5 times as long as one that broadcasts; in 26.1 it is one load, and takes
	 * half as long. Mesa up to 25.0 reports driver version 1. SwiftShader loads lane by lane as well.
	 * https://gitlab.freedesktop.org/mesa/mesa/-/blob/mesa-25.0.7/src/gallium/auxiliary/gallivm/lp_bld_nir_soa.c
	 */
	if ((driver_id == VK_DRIVER_ID_MESA_LLVMPIPE && driver_version < VK_MAKE_API_VERSION(0, 26, 1, 0)) ||
	    driver_id == VK_DRIVER_ID_GOOGLE_SWIFTSHADER) {
		quirks |= GQE_QUIRK_SLOW_UNIFORM_LOAD;
	}

	/*
	 * llvmpipe gives each of its threads one contiguous part of a dispatch's workgroups, all of the same size, so a dispatch
	 * takes as long as its heaviest part. Measured: so in Mesa 22.3, 25.0 and 26.1; not in SwiftShader.
	 * https://gitlab.freedesktop.org/mesa/mesa/-/blob/mesa-25.0.7/src/gallium/drivers/llvmpipe/lp_cs_tpool.c
	 */
	if (driver_id == VK_DRIVER_ID_MESA_LLVMPIPE) {
		quirks |= GQE_QUIRK_GRID_IN_PARTS;
	}

	/*
	 * llvmpipe makes every component of a load or store a loop over the lanes, and compile time grows with the square of the
	 * basic blocks: half of attention's went into code that runs once a pass or tile. Measured: so in Mesa 22.3 and 25.0; 26.1
	 * loads differently. In 22.3, not in 25.0, four keys in the body of a loop take 10% longer than one four times as often.
	 * https://gitlab.freedesktop.org/mesa/mesa/-/blob/mesa-25.0.7/src/gallium/auxiliary/gallivm/lp_bld_nir_soa.c
	 */
	if (driver_id == VK_DRIVER_ID_MESA_LLVMPIPE && driver_version < VK_MAKE_API_VERSION(0, 26, 1, 0)) {
		quirks |= GQE_QUIRK_SLOW_COMPILER;
		if (api_version < VK_MAKE_API_VERSION(0, 1, 4, 0)) {
			quirks |= GQE_QUIRK_SLOW_LONG_LOOP;
		}
	}

	/*
	 * llvmpipe has a VkPipelineCache of headers: what takes the time, SPIR-V to NIR, is done again each time. Measured: so in
	 * Mesa 22.3, 25.0 and 26.1, of which the last two give their NIR as the binary of a shader object.
	 * https://gitlab.freedesktop.org/mesa/mesa/-/blob/mesa-25.0.7/src/gallium/frontends/lavapipe/lvp_pipeline_cache.c
	 */
	if (driver_id == VK_DRIVER_ID_MESA_LLVMPIPE) {
		quirks |= GQE_QUIRK_EMPTY_PIPELINE_CACHE;
	}

	/*
	 * Mesa's ANV up to 25 advertises cooperative matrices on GPUs without matrix engines too and emulates them; measured in the
	 * driver lab: present for Skylake, Tiger Lake and Meteor Lake in 25.0, gone in 26.1.
	 * https://docs.mesa3d.org/envvars.html (INTEL_LOWER_DPAS)
	 */
	if (driver_id == VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA && vendor_id == VENDOR_INTEL &&
	    driver_version < VK_MAKE_API_VERSION(0, 26, 0, 0) && !intel_has_matrix_engine(device_id)) {
		quirks |= GQE_QUIRK_SLOW_MATRIX;
	}
	return quirks;
}

struct id_range {
	uint32_t first, last;
	enum gqe_architecture architecture;
};

/* PCI ids, as Mesa and the Linux kernel list them (https://pci-ids.ucw.cz); what is missing is taken for newer than all of them. */
static const struct id_range amd_ranges[] = {
	{0x7310, 0x731f, GQE_ARCHITECTURE_RDNA1}, /* Navi 10 */
	{0x7340, 0x7362, GQE_ARCHITECTURE_RDNA1}, /* Navi 14, 12 */
	{0x73a0, 0x7439, GQE_ARCHITECTURE_RDNA2}, /* Navi 21, 22, 23, 24 */
	{0x13c0, 0x13c0, GQE_ARCHITECTURE_RDNA2}, /* Granite Ridge */
	{0x1435, 0x1435, GQE_ARCHITECTURE_RDNA2}, /* Van Gogh */
	{0x1506, 0x1506, GQE_ARCHITECTURE_RDNA2}, /* Mendocino */
	{0x163f, 0x163f, GQE_ARCHITECTURE_RDNA2}, /* Van Gogh */
	{0x164d, 0x164e, GQE_ARCHITECTURE_RDNA2}, /* Rembrandt, Raphael */
	{0x1681, 0x1681, GQE_ARCHITECTURE_RDNA2}, /* Rembrandt */
	{0x7440, 0x749f, GQE_ARCHITECTURE_RDNA3}, /* Navi 31, 32, 33 */
	{0x1114, 0x1114, GQE_ARCHITECTURE_RDNA3}, /* Krackan Point */
	{0x150e, 0x150e, GQE_ARCHITECTURE_RDNA3}, /* Strix Point */
	{0x1586, 0x1586, GQE_ARCHITECTURE_RDNA3}, /* Strix Halo */
	{0x15bf, 0x15c8, GQE_ARCHITECTURE_RDNA3}, /* Phoenix */
	{0x1900, 0x1901, GQE_ARCHITECTURE_RDNA3}, /* Hawk Point */
};

static enum gqe_architecture amd_architecture(uint32_t device_id, const struct gqe_capabilities *capabilities)
{
	if (capabilities->subgroup_size_min == 64) {
		return GQE_ARCHITECTURE_GCN;
	}
	for (size_t i = 0; i < GQE_COUNT(amd_ranges); i++) {
		if (device_id >= amd_ranges[i].first && device_id <= amd_ranges[i].last) {
			return amd_ranges[i].architecture;
		}
	}
	return GQE_ARCHITECTURE_RDNA4;
}

static enum gqe_architecture intel_architecture(uint32_t device_id, const struct gqe_capabilities *capabilities)
{
	if (capabilities->subgroup_size_min > 8) {
		return GQE_ARCHITECTURE_XE2;
	}
	return intel_has_matrix_engine(device_id) ? GQE_ARCHITECTURE_XE_HPG : GQE_ARCHITECTURE_XE_LP;
}

static enum gqe_architecture nvidia_architecture(uint32_t device_id)
{
	bool is_turing = (device_id >= 0x1e00 && device_id <= 0x1fff) || (device_id >= 0x2180 && device_id <= 0x21ff);
	return device_id >= 0x2000 && !is_turing ? GQE_ARCHITECTURE_AMPERE : GQE_ARCHITECTURE_TURING;
}

enum gqe_architecture gqe_architecture_of(uint32_t vendor_id, uint32_t device_id, const struct gqe_capabilities *capabilities)
{
	if (capabilities->is_cpu) {
		return GQE_ARCHITECTURE_CPU;
	}
	switch (vendor_id) {
	case VENDOR_AMD:
		return amd_architecture(device_id, capabilities);
	case VENDOR_INTEL:
		return intel_architecture(device_id, capabilities);
	case VENDOR_NVIDIA:
		return nvidia_architecture(device_id);
	default:
		return GQE_ARCHITECTURE_OTHER;
	}
}
