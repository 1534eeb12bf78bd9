/* What a physical device is and can do. The only place that asks Vulkan for properties and features. */
#include "vulkan/instance.h"
#include "vulkan/pipeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEEDED_API VK_API_VERSION_1_2

/* Subgroup operations that the kernels of the subgroup path use. */
#define NEEDED_SUBGROUP_OPERATIONS \
	(VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_BALLOT_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT)

/* The optional parts of Vulkan that are looked at: an extension, or core in the version that may be used. */
struct optional_parts {
	bool subgroup_size_control;
	bool maintenance4;
	bool portability_subset;
	const char *global_priority; /* the name that the device has it by; NULL: not */
	bool pipeline_executable_properties;
	bool cooperative_matrix;
	bool cooperative_matrix2;
	bool dynamic_rendering; /* which VK_EXT_shader_object depends on; nothing is rendered */
	bool shader_object;
};

/* All the property and feature structs that are read, chained. */
struct device_answers {
	VkPhysicalDeviceProperties2 properties;
	VkPhysicalDeviceVulkan11Properties properties11;
	VkPhysicalDeviceVulkan12Properties properties12;
	VkPhysicalDeviceSubgroupSizeControlProperties size_properties;
	VkPhysicalDeviceMaintenance4Properties maintenance4;
	VkPhysicalDeviceFeatures2 features;
	VkPhysicalDeviceVulkan11Features features11;
	VkPhysicalDeviceVulkan12Features features12;
	VkPhysicalDeviceSubgroupSizeControlFeatures size_features;
	VkPhysicalDeviceCooperativeMatrixPropertiesKHR matrix_properties;
	VkPhysicalDeviceCooperativeMatrixFeaturesKHR matrix_features;
	VkPhysicalDeviceCooperativeMatrix2FeaturesNV matrix2_features;
	VkPhysicalDeviceShaderObjectPropertiesEXT shader_object_properties;
	VkPhysicalDeviceShaderObjectFeaturesEXT shader_object_features;
};

static void reject(struct gqe_physical_device *device, const char *reason)
{
	device->info.usable = false;
	snprintf(device->info.rejected, sizeof(device->info.rejected), "%s", reason);
}

static gqe_device_type device_type(VkPhysicalDeviceType type)
{
	switch (type) {
	case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
		return GQE_DEVICE_DISCRETE;
	case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
		return GQE_DEVICE_INTEGRATED;
	case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
		return GQE_DEVICE_VIRTUAL;
	case VK_PHYSICAL_DEVICE_TYPE_CPU:
		return GQE_DEVICE_CPU;
	default:
		return GQE_DEVICE_OTHER;
	}
}

/* What every Vulkan version answers; enough to show a device that is rejected. */
static void read_basics(const struct gqe_vulkan *vulkan, struct gqe_physical_device *device)
{
	gqe_device_info *info = &device->info;
	VkPhysicalDeviceProperties properties;
	vulkan->fn.vkGetPhysicalDeviceProperties(device->handle, &properties);
	snprintf(info->name, sizeof(info->name), "%s", properties.deviceName);
	info->type = device_type(properties.deviceType);
	info->vendor_id = properties.vendorID;
	info->device_id = properties.deviceID;
	info->api_version = properties.apiVersion;
	info->driver_version = properties.driverVersion;
	info->max_storage_buffer_bytes = properties.limits.maxStorageBufferRange;
	info->shared_memory_bytes = properties.limits.maxComputeSharedMemorySize;
	info->max_workgroup_invocations = properties.limits.maxComputeWorkGroupInvocations;
	memcpy(device->capabilities.pipeline_cache_uuid, properties.pipelineCacheUUID, VK_UUID_SIZE);

	struct gqe_capabilities *capabilities = &device->capabilities;
	capabilities->is_cpu = info->type == GQE_DEVICE_CPU;
	capabilities->max_push_bytes = properties.limits.maxPushConstantsSize;
	capabilities->shared_memory_bytes = properties.limits.maxComputeSharedMemorySize;
	capabilities->max_workgroup_invocations =
		gqe_min_u32(properties.limits.maxComputeWorkGroupInvocations, properties.limits.maxComputeWorkGroupSize[0]);
	capabilities->max_workgroup_count_x = properties.limits.maxComputeWorkGroupCount[0];
	capabilities->max_workgroup_count_y = properties.limits.maxComputeWorkGroupCount[1];
	capabilities->timestamp_period = properties.limits.timestampPeriod;

	vulkan->fn.vkGetPhysicalDeviceMemoryProperties(device->handle, &device->memory);
	for (uint32_t i = 0; i < device->memory.memoryHeapCount; i++) {
		const VkMemoryHeap *heap = &device->memory.memoryHeaps[i];
		if ((heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) && heap->size > info->heap_bytes) {
			info->heap_bytes = heap->size;
		}
	}
}

static void use_family(struct gqe_physical_device *device, const VkQueueFamilyProperties *families, uint32_t family)
{
	device->queue_family = family;
	device->capabilities.timestamp_bits = families[family].timestampValidBits;
	device->capabilities.timestamps = families[family].timestampValidBits > 0 && device->capabilities.timestamp_period > 0;
	device->info.has_timestamps = device->capabilities.timestamps;
}

/* NULL: there is no memory for them. To be freed. */
static VkQueueFamilyProperties *list_families(const struct gqe_vulkan *vulkan, const struct gqe_physical_device *device,
					      uint32_t *count)
{
	vulkan->fn.vkGetPhysicalDeviceQueueFamilyProperties(device->handle, count, NULL);
	VkQueueFamilyProperties *families = calloc((size_t)*count + 1, sizeof(*families));
	if (families) {
		vulkan->fn.vkGetPhysicalDeviceQueueFamilyProperties(device->handle, count, families);
	}
	return families;
}

gqe_status gqe_capabilities_use_queue(const struct gqe_vulkan *vulkan, struct gqe_physical_device *device, uint32_t family,
				      uint32_t index, gqe_error *error)
{
	uint32_t count = 0;
	VkQueueFamilyProperties *families = list_families(vulkan, device, &count);
	if (!families) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a list of the queues of '%s'", device->info.name);
	}
	bool is_there = family < count && index < families[family].queueCount;
	bool fits = is_there && (families[family].queueFlags & VK_QUEUE_COMPUTE_BIT);
	if (fits) {
		use_family(device, families, family);
	}
	free(families);
	return fits ? GQE_OK
		    : gqe_fail(error, GQE_ERROR_USAGE, "gqe_vulkan_import: queue %u of family %u of '%s' %s; name one with compute",
			       index, family, device->info.name, is_there ? "has no compute" : "does not exist");
}

/*
 * The first compute family without graphics, so that long dispatches do not hold up a desktop; else the first with compute. NULL,
 * or why there is none.
 */
static const char *read_queues(const struct gqe_vulkan *vulkan, struct gqe_physical_device *device)
{
	uint32_t count = 0;
	VkQueueFamilyProperties *families = list_families(vulkan, device, &count);
	if (!families) {
		return "there is no memory for a list of its queues";
	}
	bool found = false, found_without_graphics = false;
	for (uint32_t i = 0; i < count && !found_without_graphics; i++) {
		bool graphics = families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT;
		if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) || families[i].queueCount == 0 || (found && graphics)) {
			continue;
		}
		found = true;
		found_without_graphics = !graphics;
		use_family(device, families, i);
	}
	free(families);
	return found ? NULL : "the device has no compute queue";
}

static VkResult read_extensions(const struct gqe_vulkan *vulkan, const struct gqe_physical_device *device,
				struct optional_parts *parts)
{
	uint32_t count = 0;
	VkResult result = vulkan->fn.vkEnumerateDeviceExtensionProperties(device->handle, NULL, &count, NULL);
	if (result != VK_SUCCESS) {
		return result;
	}
	VkExtensionProperties *extensions = calloc(count ? count : 1, sizeof(*extensions));
	if (!extensions) {
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	result = vulkan->fn.vkEnumerateDeviceExtensionProperties(device->handle, NULL, &count, extensions);
	if (result == VK_SUCCESS || result == VK_INCOMPLETE) {
		result = VK_SUCCESS;
		parts->subgroup_size_control = gqe_extension_listed(extensions, count, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
		parts->maintenance4 = gqe_extension_listed(extensions, count, VK_KHR_MAINTENANCE_4_EXTENSION_NAME);
		/* VK_KHR_portability_subset is a beta extension, whose name the headers give only on request. */
		parts->portability_subset = gqe_extension_listed(extensions, count, "VK_KHR_portability_subset");
		static const char *const priorities[] = {VK_EXT_GLOBAL_PRIORITY_EXTENSION_NAME,
							 VK_KHR_GLOBAL_PRIORITY_EXTENSION_NAME};
		for (size_t i = 0; i < GQE_COUNT(priorities); i++) {
			if (gqe_extension_listed(extensions, count, priorities[i])) {
				parts->global_priority = priorities[i];
			}
		}
		parts->pipeline_executable_properties =
			gqe_extension_listed(extensions, count, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
		parts->cooperative_matrix = vulkan->fn.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR != NULL &&
					    gqe_extension_listed(extensions, count, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
		parts->cooperative_matrix2 = parts->cooperative_matrix &&
					     gqe_extension_listed(extensions, count, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME);
		parts->dynamic_rendering = gqe_extension_listed(extensions, count, VK_KHR_DYNAMIC_RENDERING_EXTENSION_NAME);
		parts->shader_object = gqe_extension_listed(extensions, count, VK_EXT_SHADER_OBJECT_EXTENSION_NAME);
	}
	free(extensions);
	return result;
}

/* Asks for everything that the device may be asked for: an unknown struct in the chain would be an error. */
static void ask(const struct gqe_vulkan *vulkan, VkPhysicalDevice handle, const struct optional_parts *parts,
		struct device_answers *answers)
{
	*answers = (struct device_answers){
		.properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2},
		.properties11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES},
		.properties12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES},
		.size_properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES},
		.maintenance4 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES},
		.features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2},
		.features11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES},
		.features12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES},
		.size_features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES},
		.matrix_properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_PROPERTIES_KHR},
		.matrix_features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR},
		.matrix2_features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV},
		.shader_object_properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_OBJECT_PROPERTIES_EXT},
		.shader_object_features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_OBJECT_FEATURES_EXT},
	};
	answers->properties.pNext = &answers->properties11;
	answers->properties11.pNext = &answers->properties12;
	answers->features.pNext = &answers->features11;
	answers->features11.pNext = &answers->features12;
	void **properties_end = &answers->properties12.pNext, **features_end = &answers->features12.pNext;
	if (parts->subgroup_size_control) {
		*properties_end = &answers->size_properties;
		properties_end = &answers->size_properties.pNext;
		*features_end = &answers->size_features;
		features_end = &answers->size_features.pNext;
	}
	if (parts->cooperative_matrix) {
		*properties_end = &answers->matrix_properties;
		properties_end = &answers->matrix_properties.pNext;
		*features_end = &answers->matrix_features;
		features_end = &answers->matrix_features.pNext;
	}
	if (parts->cooperative_matrix2) {
		*features_end = &answers->matrix2_features;
		features_end = &answers->matrix2_features.pNext;
	}
	if (parts->shader_object) {
		*properties_end = &answers->shader_object_properties;
		properties_end = &answers->shader_object_properties.pNext;
		*features_end = &answers->shader_object_features;
	}
	if (parts->maintenance4) {
		*properties_end = &answers->maintenance4;
	}
	vulkan->fn.vkGetPhysicalDeviceProperties2(handle, &answers->properties);
	vulkan->fn.vkGetPhysicalDeviceFeatures2(handle, &answers->features);
}

static void read_subgroups(const struct device_answers *answers, const struct optional_parts *parts,
			   struct gqe_capabilities *capabilities)
{
	const VkPhysicalDeviceVulkan11Properties *subgroup = &answers->properties11;
	capabilities->subgroup_size = subgroup->subgroupSize;
	capabilities->subgroup_size_min = capabilities->subgroup_size_max = subgroup->subgroupSize;
	if (parts->subgroup_size_control) {
		capabilities->subgroup_size_min = answers->size_properties.minSubgroupSize;
		capabilities->subgroup_size_max = answers->size_properties.maxSubgroupSize;
		capabilities->subgroup_size_control =
			answers->size_features.subgroupSizeControl &&
			(answers->size_properties.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT);
		capabilities->full_subgroups = answers->size_features.computeFullSubgroups;
	}
	bool known_size = (capabilities->subgroup_size_control && capabilities->full_subgroups) ||
			  capabilities->subgroup_size_min == capabilities->subgroup_size_max;
	capabilities->subgroup_broadcast =
		(subgroup->subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
		(subgroup->subgroupSupportedOperations & NEEDED_SUBGROUP_OPERATIONS) == NEEDED_SUBGROUP_OPERATIONS &&
		answers->features12.subgroupBroadcastDynamicId && known_size && !(capabilities->quirks & GQE_QUIRK_BROKEN_SUBGROUP);
}

static bool has_shape(const struct gqe_capabilities *capabilities, const VkCooperativeMatrixPropertiesKHR *found)
{
	for (uint32_t i = 0; i < capabilities->matrix_shape_count; i++) {
		const gqe_matrix_shape *shape = &capabilities->matrix_shapes[i];
		if (shape->m == found->MSize && shape->n == found->NSize && shape->k == found->KSize) {
			return true;
		}
	}
	return false;
}

/*
 * The kernels lay a tile out in steps of the shape and load it in 16 bytes, so its sizes have to be powers of two from 8 to 64: all
 * that is known is.
 */
static bool shape_is_usable(const VkCooperativeMatrixPropertiesKHR *shape)
{
	const uint32_t sizes[] = {shape->MSize, shape->NSize, shape->KSize};
	for (size_t i = 0; i < GQE_COUNT(sizes); i++) {
		if (sizes[i] < 8 || sizes[i] > 64 || (sizes[i] & (sizes[i] - 1)) != 0) {
			return false;
		}
	}
	return shape->scope == VK_SCOPE_SUBGROUP_KHR && shape->AType == VK_COMPONENT_TYPE_FLOAT16_KHR &&
	       shape->BType == VK_COMPONENT_TYPE_FLOAT16_KHR && shape->CType == VK_COMPONENT_TYPE_FLOAT32_KHR &&
	       shape->ResultType == VK_COMPONENT_TYPE_FLOAT32_KHR && !shape->saturatingAccumulation;
}

static void read_matrix_shapes(const struct gqe_vulkan *vulkan, const struct device_answers *answers,
			       struct gqe_physical_device *device)
{
	struct gqe_capabilities *capabilities = &device->capabilities;
	bool has_all = answers->matrix_features.cooperativeMatrix &&
		       (answers->matrix_properties.cooperativeMatrixSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) &&
		       capabilities->float16 && capabilities->storage16 && capabilities->memory_model;
	uint32_t count = 0;
	if (!has_all || vulkan->fn.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR(device->handle, &count, NULL) != VK_SUCCESS) {
		return;
	}
	VkCooperativeMatrixPropertiesKHR *shapes = calloc(count ? count : 1, sizeof(*shapes));
	if (!shapes) {
		return; /* the paths below need no matrices */
	}
	for (uint32_t i = 0; i < count; i++) {
		shapes[i].sType = VK_STRUCTURE_TYPE_COOPERATIVE_MATRIX_PROPERTIES_KHR;
	}
	VkResult result = vulkan->fn.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR(device->handle, &count, shapes);
	if (result != VK_SUCCESS && result != VK_INCOMPLETE) {
		count = 0;
	}
	for (uint32_t i = 0; i < count && capabilities->matrix_shape_count < GQE_MAX_MATRIX_SHAPES; i++) {
		if (shape_is_usable(&shapes[i]) && !has_shape(capabilities, &shapes[i])) {
			capabilities->matrix_shapes[capabilities->matrix_shape_count++] =
				(gqe_matrix_shape){shapes[i].MSize, shapes[i].NSize, shapes[i].KSize};
		}
	}
	free(shapes);
	const VkPhysicalDeviceCooperativeMatrix2FeaturesNV *matrix2 = &answers->matrix2_features;
	capabilities->matrix_rows_known = device->version >= VK_API_VERSION_1_3 && capabilities->matrix_shape_count > 0 &&
					  matrix2->cooperativeMatrixReductions && matrix2->cooperativeMatrixConversions &&
					  matrix2->cooperativeMatrixPerElementOperations;
	device->info.matrix_shape_count = capabilities->matrix_shape_count;
	memcpy(device->info.matrix_shapes, capabilities->matrix_shapes, sizeof(device->info.matrix_shapes));
}

static void read_shader_objects(const struct gqe_vulkan *vulkan, const struct device_answers *answers,
				struct gqe_capabilities *capabilities)
{
	const VkPhysicalDeviceShaderObjectPropertiesEXT *properties = &answers->shader_object_properties;
	capabilities->shader_objects = answers->shader_object_features.shaderObject && !vulkan->reports_pipelines &&
				       (capabilities->quirks & GQE_QUIRK_EMPTY_PIPELINE_CACHE);
	memcpy(capabilities->shader_binary_uuid, properties->shaderBinaryUUID, VK_UUID_SIZE);
	capabilities->shader_binary_version = properties->shaderBinaryVersion;
}

/* Turns the answers of a device that passed the version check into capabilities and info. */
static void interpret(const struct device_answers *answers, const struct optional_parts *parts, struct gqe_physical_device *device)
{
	gqe_device_info *info = &device->info;
	struct gqe_capabilities *capabilities = &device->capabilities;

	memcpy(info->uuid, answers->properties11.deviceUUID, sizeof(info->uuid));
	snprintf(info->driver_name, sizeof(info->driver_name), "%s", answers->properties12.driverName);
	snprintf(info->driver_info, sizeof(info->driver_info), "%s", answers->properties12.driverInfo);
	capabilities->quirks = gqe_quirks(info->vendor_id, info->device_id, answers->properties12.driverID, info->driver_version,
					  info->api_version);
	info->quirks = capabilities->quirks;
	capabilities->max_loop_iterations = capabilities->quirks & GQE_QUIRK_LOOP_LIMIT ? 65535 : UINT32_MAX;

	capabilities->max_allocation_bytes = answers->properties11.maxMemoryAllocationSize;
	if (parts->maintenance4 && answers->maintenance4.maxBufferSize < capabilities->max_allocation_bytes) {
		capabilities->max_allocation_bytes = answers->maintenance4.maxBufferSize;
	}
	info->max_allocation_bytes = capabilities->max_allocation_bytes;

	capabilities->storage16 = answers->features11.storageBuffer16BitAccess;
	capabilities->float16 = answers->features12.shaderFloat16;
	capabilities->memory_model = answers->features12.vulkanMemoryModel;
	info->has_16bit_storage = capabilities->storage16;
	info->has_float16 = capabilities->float16;

	read_subgroups(answers, parts, capabilities);
	info->subgroup_size = capabilities->subgroup_size;
	info->subgroup_size_min = capabilities->subgroup_size_min;
	info->subgroup_size_max = capabilities->subgroup_size_max;
	capabilities->architecture = gqe_architecture_of(info->vendor_id, info->device_id, capabilities);
}

void gqe_capabilities_read(const struct gqe_vulkan *vulkan, struct gqe_physical_device *device)
{
	char reason[sizeof(device->info.rejected)];
	read_basics(vulkan, device);
	if (device->info.api_version < NEEDED_API) {
		snprintf(reason, sizeof(reason), "the driver has Vulkan %u.%u, 1.2 is needed",
			 VK_API_VERSION_MAJOR(device->info.api_version), VK_API_VERSION_MINOR(device->info.api_version));
		reject(device, reason);
		return;
	}
	struct optional_parts parts = {0};
	VkResult result = read_extensions(vulkan, device, &parts);
	if (result != VK_SUCCESS) {
		char number[32];
		snprintf(reason, sizeof(reason), "vkEnumerateDeviceExtensionProperties failed with %s",
			 gqe_result_name(result, number));
		reject(device, reason);
		return;
	}
	device->version = gqe_min_u32(device->info.api_version, vulkan->instance_version);
	bool core13 = device->version >= VK_API_VERSION_1_3;
	device->enable_subgroup_size_control = parts.subgroup_size_control;
	device->enable_portability_subset = parts.portability_subset;
	device->global_priority_extension = parts.global_priority;
	parts.subgroup_size_control |= core13;
	parts.maintenance4 |= core13;
	parts.shader_object &= parts.dynamic_rendering || core13;
	device->enable_dynamic_rendering = parts.shader_object && !core13;

	struct device_answers answers;
	ask(vulkan, device->handle, &parts, &answers);
	interpret(&answers, &parts, device);
	read_matrix_shapes(vulkan, &answers, device);
	read_shader_objects(vulkan, &answers, &device->capabilities);

	device->info.usable = true;
	const char *queue_problem = read_queues(vulkan, device);
	if (!answers.features12.bufferDeviceAddress) {
		reject(device, "the driver lacks the feature bufferDeviceAddress");
	} else if (queue_problem) {
		reject(device, queue_problem);
	} else if (device->capabilities.max_push_bytes < GQE_MAX_PUSH_BYTES) {
		reject(device, "the driver's push constants are smaller than 128 bytes");
	} else if (vulkan->reports_pipelines && !parts.pipeline_executable_properties) {
		reject(device, "the driver cannot report on its pipelines");
	} else if (!vulkan->reports_pipelines && device->info.heap_bytes == 0) {
		/* A driver that compiles for hardware that is not there has no memory either. */
		reject(device, "the device has no device-local memory");
	}
}
