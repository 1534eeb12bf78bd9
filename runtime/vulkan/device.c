#include "vulkan/device.h"
#include "vulkan/address_map.h"
#include "vulkan/device_request.h"
#include "vulkan/instance.h"
#include "vulkan/memory.h"
#include "vulkan/pipeline.h"

#include <stdlib.h>
#include <string.h>

static gqe_status take_queue(struct gqe_vulkan *vulkan, uint32_t family, uint32_t index, gqe_error *error)
{
	gqe_status status = gqe_loader_device_functions(vulkan, error);
	if (status == GQE_OK) {
		vulkan->queue_family = family;
		vulkan->fn.vkGetDeviceQueue(vulkan->device, family, index, &vulkan->queue);
	}
	return status;
}

/* Opens the logical device with exactly the features that the kernels use. */
static gqe_status open_device(struct gqe_vulkan *vulkan, const struct gqe_physical_device *physical, gqe_error *error)
{
	gqe_status status = GQE_OK;
	struct gqe_device_request request;
	bool low_priority = vulkan->pace.low_impact && physical->global_priority_extension;
	gqe_device_request_init(&request, physical, vulkan->reports_pipelines, low_priority);
	VkDeviceQueueGlobalPriorityCreateInfoKHR global_priority = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_GLOBAL_PRIORITY_CREATE_INFO_KHR,
		.globalPriority = VK_QUEUE_GLOBAL_PRIORITY_LOW_KHR,
	};
	float priority = 1.0f;
	VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.pNext = low_priority ? &global_priority : NULL,
		.queueFamilyIndex = physical->queue_family,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.pNext = request.features,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = request.extension_count,
		.ppEnabledExtensionNames = request.extensions,
	};
	if (low_priority) {
		if (vulkan->fn.vkCreateDevice(physical->handle, &info, NULL, &vulkan->device) == VK_SUCCESS) {
			return take_queue(vulkan, physical->queue_family, 0, error);
		}
		queue.pNext = NULL; /* a driver may have the extension and not this priority */
	}
	VK_MAKE(vulkan, error, &vulkan->device, vkCreateDevice, physical->handle, &info, NULL);
	status = take_queue(vulkan, physical->queue_family, 0, error);
fail:
	return status;
}

static void take_over(struct gqe_vulkan *vulkan, const struct gqe_physical_device *physical)
{
	vulkan->physical = physical->handle;
	vulkan->memory_properties = physical->memory;
	vulkan->capabilities = physical->capabilities;
	vulkan->info = physical->info;
}

/* Chooses the physical device and takes over what is known of it. */
static gqe_status choose_device(struct gqe_vulkan *vulkan, const char *selector, struct gqe_physical_device *chosen,
				gqe_error *error)
{
	struct gqe_physical_device *devices = NULL;
	gqe_device_info *infos = NULL;
	uint32_t count = 0, index = 0;
	gqe_status status = gqe_physical_devices_list(vulkan, &devices, &count, error);
	if (status != GQE_OK) {
		goto done;
	}
	infos = calloc((size_t)count + 1, sizeof(*infos));
	if (!infos) {
		status = gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a list of %u devices", count);
		goto done;
	}
	for (uint32_t i = 0; i < count; i++) {
		infos[i] = devices[i].info;
	}
	status = gqe_device_select(infos, count, selector, &index, error);
	if (status == GQE_OK) {
		*chosen = devices[index];
		take_over(vulkan, chosen);
	}
done:
	free(infos);
	free(devices);
	return status;
}

/* Uses a device that the application has made, as far as it was made for that. */
static gqe_status import_device(struct gqe_vulkan *vulkan, const gqe_vulkan_import *import, gqe_error *error)
{
	struct gqe_physical_device physical;
	if (!import->lock_queue != !import->unlock_queue) {
		return gqe_fail(error, GQE_ERROR_USAGE,
				"gqe_vulkan_import: lock_queue and unlock_queue are both required, or neither");
	}
	gqe_status status = gqe_physical_device_import(vulkan, import, &physical, error);
	if (status == GQE_OK) {
		status = gqe_capabilities_use_queue(vulkan, &physical, import->queue_family, import->queue_index, error);
	}
	if (status == GQE_OK) {
		status = gqe_device_request_restrict(&physical, import->device_info, error);
	}
	if (status != GQE_OK) {
		return status;
	}
	take_over(vulkan, &physical);
	vulkan->device = import->device;
	vulkan->device_is_imported = true;
	vulkan->lock_queue = import->lock_queue;
	vulkan->unlock_queue = import->unlock_queue;
	vulkan->lock_user = import->lock_user;
	return take_queue(vulkan, import->queue_family, import->queue_index, error);
}

static gqe_status open_or_import(struct gqe_vulkan *vulkan, const struct gqe_vulkan_params *params, gqe_error *error)
{
	if (params->import && params->import->device) {
		return import_device(vulkan, params->import, error);
	}
	struct gqe_physical_device physical = {0};
	gqe_status status = gqe_instance_open(vulkan, params->validation, error);
	if (status == GQE_OK) {
		status = choose_device(vulkan, params->device, &physical, error);
	}
	if (status == GQE_OK) {
		status = open_device(vulkan, &physical, error);
	}
	return status;
}

static gqe_status create_locks(struct gqe_vulkan_locks *locks, gqe_error *error)
{
	pthread_mutex_t *const all[] = {&locks->staging, &locks->memory, &locks->pipelines, &locks->queue};
	for (size_t i = 0; i < GQE_COUNT(all); i++) {
		if (pthread_mutex_init(all[i], NULL) != 0) {
			while (i > 0) {
				pthread_mutex_destroy(all[--i]);
			}
			return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for the locks of a context");
		}
	}
	return GQE_OK;
}

static void destroy_locks(struct gqe_vulkan_locks *locks)
{
	pthread_mutex_destroy(&locks->staging);
	pthread_mutex_destroy(&locks->memory);
	pthread_mutex_destroy(&locks->pipelines);
	pthread_mutex_destroy(&locks->queue);
}

void gqe_queue_lock(struct gqe_vulkan *vulkan)
{
	pthread_mutex_lock(&vulkan->locks.queue);
	if (vulkan->lock_queue) {
		vulkan->lock_queue(vulkan->lock_user);
	}
}

void gqe_queue_unlock(struct gqe_vulkan *vulkan)
{
	if (vulkan->unlock_queue) {
		vulkan->unlock_queue(vulkan->lock_user);
	}
	pthread_mutex_unlock(&vulkan->locks.queue);
}

struct gqe_memory_accounting gqe_vulkan_memory(struct gqe_vulkan *vulkan)
{
	pthread_mutex_lock(&vulkan->locks.memory);
	struct gqe_memory_accounting memory = vulkan->memory;
	pthread_mutex_unlock(&vulkan->locks.memory);
	return memory;
}

gqe_status gqe_vulkan_create(const struct gqe_vulkan_params *params, struct gqe_vulkan **vulkan_out, gqe_error *error)
{
	*vulkan_out = NULL;
	struct gqe_vulkan *vulkan = calloc(1, sizeof(*vulkan));
	if (!vulkan) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a context");
	}
	vulkan->log = params->log;
	vulkan->pace.target_seconds = params->target_seconds;
	vulkan->pace.cap_seconds = params->cap_seconds;
	vulkan->pace.low_impact = params->low_impact;
	vulkan->threads = params->threads;
	gqe_status status = create_locks(&vulkan->locks, error);
	if (status != GQE_OK) {
		free(vulkan);
		return status;
	}
	vulkan->reports_pipelines = params->report_pipelines;
	if (params->import) {
		vulkan->fn.vkGetInstanceProcAddr = params->import->get_instance_proc_addr;
	}

	status = open_or_import(vulkan, params, error);
	if (status == GQE_OK) {
		vulkan->memory.limit = params->memory_limit ? params->memory_limit : vulkan->info.heap_bytes / 10 * 9;
		status = gqe_address_map_create(vulkan, error);
	}
	if (status == GQE_OK) {
		status = gqe_pipelines_create(vulkan, params->cache_dir, error);
	}
	if (status != GQE_OK) {
		gqe_vulkan_destroy(&vulkan);
		return status;
	}
	gqe_log_write(&vulkan->log, GQE_LOG_INFO, "device %u: %s, driver %s %s", vulkan->info.index, vulkan->info.name,
		      vulkan->info.driver_name, vulkan->info.driver_info);
	*vulkan_out = vulkan;
	return GQE_OK;
}

void gqe_vulkan_destroy(struct gqe_vulkan **vulkan_in)
{
	struct gqe_vulkan *vulkan = *vulkan_in;
	if (!vulkan) {
		return;
	}
	gqe_staging_destroy(vulkan);
	gqe_pipelines_destroy(vulkan);
	gqe_address_map_destroy(vulkan);
	if (vulkan->device && !vulkan->device_is_imported && vulkan->fn.vkDestroyDevice) {
		vulkan->fn.vkDestroyDevice(vulkan->device, NULL);
	}
	gqe_instance_close(vulkan);
	destroy_locks(&vulkan->locks);
	free(vulkan);
	*vulkan_in = NULL;
}
