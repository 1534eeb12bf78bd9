/* Inside the Vulkan storey: the loader library, the instance, and what is known of each physical device before one is opened. */
#ifndef GQE_VULKAN_INSTANCE_H
#define GQE_VULKAN_INSTANCE_H

#include "vulkan/device.h"

/*
 * Opens the system's Vulkan loader, unless vkGetInstanceProcAddr is the caller's, and loads the global functions.
 * GQE_ERROR_NO_DEVICE when there is none or it is 1.0.
 */
gqe_status gqe_loader_open(struct gqe_vulkan *vulkan, gqe_error *error);
gqe_status gqe_loader_instance_functions(struct gqe_vulkan *vulkan, gqe_error *error);
gqe_status gqe_loader_device_functions(struct gqe_vulkan *vulkan, gqe_error *error);
void gqe_loader_close(struct gqe_vulkan *vulkan);

/*
 * Opens loader and instance; with `validation` also the validation layer and a messenger that counts errors and logs. No driver
 * on the machine is not an error: `vulkan->instance` stays VK_NULL_HANDLE then. On failure call gqe_instance_close.
 */
gqe_status gqe_instance_open(struct gqe_vulkan *vulkan, bool validation, gqe_error *error);
void gqe_instance_close(struct gqe_vulkan *vulkan);

bool gqe_extension_listed(const VkExtensionProperties *extensions, uint32_t count, const char *name);

/* A physical device as enumerated. */
struct gqe_physical_device {
	VkPhysicalDevice handle; /* VK_NULL_HANDLE: the driver failed before it could name its devices */
	gqe_device_info info;
	struct gqe_capabilities capabilities;
	uint32_t queue_family;
	VkPhysicalDeviceMemoryProperties memory;
	uint32_t version;                      /* what may be used of it: the instance's or its own, whichever is lower */
	bool enable_subgroup_size_control;     /* VK_EXT_subgroup_size_control is there; enabled, it does whatever the version */
	const char *global_priority_extension; /* NULL: queues have no priority among processes */
	bool enable_portability_subset;        /* VK_KHR_portability_subset must be enabled: the device has it */
	bool enable_dynamic_rendering;         /* for shader objects; where it is core it need not be */
};

/*
 * Every physical device, the unusable ones included, in the loader's order; malloc'ed. A driver whose calls fail gives a rejected
 * entry. Needs gqe_instance_open.
 */
gqe_status gqe_physical_devices_list(const struct gqe_vulkan *vulkan, struct gqe_physical_device **devices, uint32_t *count,
				     gqe_error *error);

/* The application's: loads its functions and reads its physical device. */
gqe_status gqe_physical_device_import(struct gqe_vulkan *vulkan, const gqe_vulkan_import *import,
				      struct gqe_physical_device *physical, gqe_error *error);

/* Fills everything but `info.index` of `device` from `device->handle`. */
void gqe_capabilities_read(const struct gqe_vulkan *vulkan, struct gqe_physical_device *device);

/* The queue that work goes to; GQE_ERROR_USAGE when it does not exist or has no compute. */
gqe_status gqe_capabilities_use_queue(const struct gqe_vulkan *vulkan, struct gqe_physical_device *device, uint32_t family,
				      uint32_t index, gqe_error *error);

/* "VK_ERROR_DEVICE_LOST", ...; "VkResult -5" for one that this source does not know. `buffer` holds at least 32 bytes. */
const char *gqe_result_name(VkResult result, char *buffer);

/* "discrete GPU", ... */
const char *gqe_device_type_name(gqe_device_type type);

#endif
