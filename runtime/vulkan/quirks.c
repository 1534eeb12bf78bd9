#include "vulkan/device.h"

/* NVIDIA's own packing of driver_version: 10 bits major, 8 bits minor, 8 bits patch, 6 bits branch. */
#define NVIDIA_VERSION(major, minor, patch) (((uint32_t)(major) << 22) | ((uint32_t)(minor) << 14) | ((uint32_t)(patch) << 6))

#define VENDOR_AMD 0x1002
#define VENDOR_INTEL 0x8086

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
