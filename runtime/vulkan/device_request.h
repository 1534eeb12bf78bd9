/*
 * Inside the Vulkan storey: what a device is asked for when it is made, by this library or by an application for it, and what may
 * be used of one that an application has made.
 */
#ifndef GQE_VULKAN_DEVICE_REQUEST_H
#define GQE_VULKAN_DEVICE_REQUEST_H

#include "vulkan/instance.h"

#define GQE_MAX_DEVICE_EXTENSIONS 8

/* Holds pointers into itself: it must stay where it is. */
struct gqe_device_request {
	const void *features; /* the chain for VkDeviceCreateInfo.pNext */
	const char *extensions[GQE_MAX_DEVICE_EXTENSIONS];
	uint32_t extension_count;
	VkPhysicalDeviceVulkan11Features features11;
	VkPhysicalDeviceVulkan12Features features12;
	VkPhysicalDeviceSubgroupSizeControlFeatures subgroup_sizes;
	VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix;
	VkPhysicalDeviceCooperativeMatrix2FeaturesNV matrix2;
	VkPhysicalDeviceMaintenance4Features maintenance4;
	VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR reports;
	VkPhysicalDeviceShaderObjectFeaturesEXT shader_objects;
};

/* Everything that the kernels can use of that device, and nothing else. */
void gqe_device_request_init(struct gqe_device_request *request, const struct gqe_physical_device *physical, bool reports_pipelines,
			     bool low_priority);

/*
 * Takes out of a physical device's capabilities what a device that was made so cannot do; `info` NULL: it was made with the whole
 * request. GQE_ERROR_NO_DEVICE when nothing can be computed without what is missing.
 */
gqe_status gqe_device_request_restrict(struct gqe_physical_device *physical, const VkDeviceCreateInfo *info, gqe_error *error);

#endif
