#include "vulkan/device.h"

/* NVIDIA's own packing of driver_version: 10 bits major, 8 bits minor, 8 bits patch, 6 bits branch. */
#define NVIDIA_VERSION(major, minor, patch) (((uint32_t)(major) << 22) | ((uint32_t)(minor) << 14) | ((uint32_t)(patch) << 6))

#define VENDOR_AMD 0x1002

uint32_t gqe_quirks(uint32_t vendor_id, VkDriverId driver_id, uint32_t driver_version, uint32_t api_version)
{
	uint32_t quirks = 0;
	(void)api_version;

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
	return quirks;
}
