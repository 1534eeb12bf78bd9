#include "vulkan/instance.h"

#include <stdio.h>
#include <stdlib.h>

gqe_status gqe_physical_devices_list(const struct gqe_vulkan *vulkan, struct gqe_physical_device **devices, uint32_t *count,
				     gqe_error *error)
{
	VkPhysicalDevice *handles = NULL;
	struct gqe_physical_device *list = NULL;
	uint32_t found = 0;
	VkResult result = VK_SUCCESS;

	if (vulkan->instance) {
		result = vulkan->fn.vkEnumeratePhysicalDevices(vulkan->instance, &found, NULL);
	}
	if (result == VK_SUCCESS && found > 0) {
		handles = calloc(found, sizeof(*handles));
		if (!handles) {
			goto no_memory;
		}
		result = vulkan->fn.vkEnumeratePhysicalDevices(vulkan->instance, &found, handles);
		if (result == VK_INCOMPLETE) {
			result = VK_SUCCESS; /* one was plugged in meanwhile; `found` is what was written */
		}
	}
	if (result != VK_SUCCESS) {
		found = 0;
	}
	/* Room for one more: the entry that stands for a driver that failed. Never empty, so that the result is not NULL. */
	list = calloc((size_t)found + 1, sizeof(*list));
	if (!list) {
		goto no_memory;
	}
	for (uint32_t i = 0; i < found; i++) {
		list[i].handle = handles[i];
		list[i].info.index = i;
		gqe_capabilities_read(vulkan, &list[i]);
	}
	if (result != VK_SUCCESS) {
		char number[32];
		gqe_device_info *info = &list[found++].info;
		info->type = GQE_DEVICE_OTHER;
		snprintf(info->name, sizeof(info->name), "unknown");
		snprintf(info->rejected, sizeof(info->rejected), "a driver failed: vkEnumeratePhysicalDevices gave %s",
			 gqe_result_name(result, number));
	}
	free(handles);
	*devices = list;
	*count = found;
	return GQE_OK;

no_memory:
	free(handles);
	return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a list of %u devices", found);
}

gqe_status gqe_vulkan_list(gqe_device_info **devices, struct gqe_capabilities **capabilities, uint32_t *count, gqe_error *error)
{
	struct gqe_vulkan vulkan = {0};
	struct gqe_physical_device *physical = NULL;
	gqe_device_info *info_list = NULL;
	struct gqe_capabilities *capability_list = NULL;
	uint32_t found = 0;

	gqe_status status = gqe_instance_open(&vulkan, false, error);
	if (status == GQE_OK) {
		status = gqe_physical_devices_list(&vulkan, &physical, &found, error);
	}
	gqe_instance_close(&vulkan);
	if (status != GQE_OK) {
		return status;
	}
	if (found > 0) {
		info_list = calloc(found, sizeof(*info_list));
		capability_list = calloc(found, sizeof(*capability_list));
	}
	if (found > 0 && (!info_list || !capability_list)) {
		free(info_list);
		free(capability_list);
		free(physical);
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a list of %u devices", found);
	}
	for (uint32_t i = 0; i < found; i++) {
		info_list[i] = physical[i].info;
		if (physical[i].info.usable) {
			capability_list[i] = physical[i].capabilities;
		}
	}
	free(physical);
	*devices = info_list;
	*capabilities = capability_list;
	*count = found;
	return GQE_OK;
}
