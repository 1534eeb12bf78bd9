#include "vulkan/device.h"
#include "vulkan/address_map.h"
#include "vulkan/instance.h"
#include "vulkan/memory.h"
#include "vulkan/pipeline.h"

#include <stdlib.h>
#include <string.h>

static gqe_status take_queue(struct gqe_vulkan *vulkan, const struct gqe_physical_device *physical, gqe_error *error)
{
	gqe_status status = gqe_loader_device_functions(vulkan, error);
	if (status == GQE_OK) {
		vulkan->fn.vkGetDeviceQueue(vulkan->device, physical->queue_family, 0, &vulkan->queue);
	}
	return status;
}

/* Opens the logical device with exactly the features that the kernels use. */
static gqe_status open_device(struct gqe_vulkan *vulkan, const struct gqe_physical_device *physical, gqe_error *error)
{
	gqe_status status = GQE_OK;
	const struct gqe_capabilities *capabilities = &physical->capabilities;
	VkPhysicalDeviceSubgroupSizeControlFeatures size_features = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
		.subgroupSizeControl = capabilities->subgroup_size_control,
		.computeFullSubgroups = capabilities->full_subgroups,
	};
	VkPhysicalDeviceVulkan12Features features12 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
		.bufferDeviceAddress = VK_TRUE,
		.shaderFloat16 = capabilities->float16,
		.subgroupBroadcastDynamicId = capabilities->subgroup_broadcast,
		.vulkanMemoryModel = capabilities->memory_model,
	};
	/* Part of 1.3, which matrix_rows_known includes; SPIR-V 1.6 says a workgroup's size in a way that needs it. */
	VkPhysicalDeviceMaintenance4Features maintenance4 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES,
		.maintenance4 = VK_TRUE,
	};
	VkPhysicalDeviceCooperativeMatrix2FeaturesNV matrix2_features = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV,
		.pNext = &maintenance4,
		.cooperativeMatrixReductions = VK_TRUE,
		.cooperativeMatrixConversions = VK_TRUE,
		.cooperativeMatrixPerElementOperations = VK_TRUE,
	};
	VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix_features = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
		.pNext = capabilities->matrix_rows_known ? &matrix2_features : NULL,
		.cooperativeMatrix = VK_TRUE,
	};
	void **features_end = &features12.pNext;
	if (capabilities->subgroup_size_control || capabilities->full_subgroups) {
		*features_end = &size_features;
		features_end = &size_features.pNext;
	}
	if (capabilities->matrix_shape_count > 0) {
		*features_end = &matrix_features;
	}
	VkPhysicalDeviceVulkan11Features features11 = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
		.pNext = &features12,
		.storageBuffer16BitAccess = capabilities->storage16,
	};

	VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR report_features = {
		.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
		.pNext = &features11,
		.pipelineExecutableInfo = VK_TRUE,
	};

	const char *extensions[6];
	uint32_t extension_count = 0;
	if (vulkan->reports_pipelines) {
		extensions[extension_count++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
	}
	if (physical->enable_subgroup_size_control) {
		extensions[extension_count++] = VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME;
	}
	if (physical->enable_portability_subset) {
		extensions[extension_count++] = "VK_KHR_portability_subset";
	}
	if (capabilities->matrix_shape_count > 0) {
		extensions[extension_count++] = VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME;
	}
	if (capabilities->matrix_rows_known) {
		extensions[extension_count++] = VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME;
	}
	VkDeviceQueueGlobalPriorityCreateInfoKHR global_priority = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_GLOBAL_PRIORITY_CREATE_INFO_KHR,
		.globalPriority = VK_QUEUE_GLOBAL_PRIORITY_LOW_KHR,
	};
	bool low_priority = vulkan->pace.low_impact && physical->global_priority_extension;
	if (low_priority) {
		extensions[extension_count++] = physical->global_priority_extension;
	}
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
		.pNext = vulkan->reports_pipelines ? (const void *)&report_features : &features11,
		.queueCreateInfoCount = 1,
		.pQueueCreateInfos = &queue,
		.enabledExtensionCount = extension_count,
		.ppEnabledExtensionNames = extensions,
	};
	if (low_priority) {
		if (vulkan->fn.vkCreateDevice(physical->handle, &info, NULL, &vulkan->device) == VK_SUCCESS) {
			return take_queue(vulkan, physical, error);
		}
		queue.pNext = NULL; /* a driver may have the extension and not this priority */
	}
	VK_MAKE(vulkan, error, &vulkan->device, vkCreateDevice, physical->handle, &info, NULL);
	status = take_queue(vulkan, physical, error);
fail:
	return status;
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
		vulkan->physical = chosen->handle;
		vulkan->queue_family = chosen->queue_family;
		vulkan->memory_properties = chosen->memory;
		memcpy(vulkan->pipeline_cache_uuid, chosen->pipeline_cache_uuid, VK_UUID_SIZE);
		vulkan->capabilities = chosen->capabilities;
		vulkan->info = chosen->info;
	}
done:
	free(infos);
	free(devices);
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
	gqe_status status = create_locks(&vulkan->locks, error);
	if (status != GQE_OK) {
		free(vulkan);
		return status;
	}
	vulkan->reports_pipelines = params->report_pipelines;
	if (params->import) {
		vulkan->fn.vkGetInstanceProcAddr = params->import->get_instance_proc_addr;
	}

	struct gqe_physical_device physical = {0};
	status = gqe_instance_open(vulkan, params->validation, error);
	if (status == GQE_OK) {
		status = choose_device(vulkan, params->device, &physical, error);
	}
	if (status == GQE_OK) {
		status = open_device(vulkan, &physical, error);
	}
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
	if (vulkan->device && vulkan->fn.vkDestroyDevice) {
		vulkan->fn.vkDestroyDevice(vulkan->device, NULL);
	}
	gqe_instance_close(vulkan);
	destroy_locks(&vulkan->locks);
	free(vulkan);
	*vulkan_in = NULL;
}
