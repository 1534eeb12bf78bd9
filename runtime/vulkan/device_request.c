#include "vulkan/device_request.h"

#include <string.h>

static void add_extension(struct gqe_device_request *request, const char *name)
{
	request->extensions[request->extension_count++] = name;
}

static void request_extensions(struct gqe_device_request *request, const struct gqe_physical_device *physical,
			       bool reports_pipelines, bool low_priority)
{
	const struct gqe_capabilities *capabilities = &physical->capabilities;
	if (reports_pipelines) {
		add_extension(request, VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME);
	}
	if (physical->enable_subgroup_size_control) {
		add_extension(request, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
	}
	if (physical->enable_portability_subset) {
		add_extension(request, "VK_KHR_portability_subset");
	}
	if (capabilities->matrix_shape_count > 0) {
		add_extension(request, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
	}
	if (capabilities->matrix_rows_known) {
		add_extension(request, VK_NV_COOPERATIVE_MATRIX_2_EXTENSION_NAME);
	}
	if (capabilities->shader_objects) {
		add_extension(request, VK_EXT_SHADER_OBJECT_EXTENSION_NAME);
		if (physical->enable_dynamic_rendering) {
			add_extension(request, VK_KHR_DYNAMIC_RENDERING_EXTENSION_NAME);
		}
	}
	if (low_priority) {
		add_extension(request, physical->global_priority_extension);
	}
}

void gqe_device_request_init(struct gqe_device_request *request, const struct gqe_physical_device *physical, bool reports_pipelines,
			     bool low_priority)
{
	const struct gqe_capabilities *capabilities = &physical->capabilities;
	*request = (struct gqe_device_request){
		.features11 =
			{
				.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
				.pNext = &request->features12,
				.storageBuffer16BitAccess = capabilities->storage16,
			},
		.features12 =
			{
				.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
				.bufferDeviceAddress = VK_TRUE,
				.timelineSemaphore = VK_TRUE,
				.shaderFloat16 = capabilities->float16,
				.subgroupBroadcastDynamicId = capabilities->subgroup_broadcast,
				.vulkanMemoryModel = capabilities->memory_model,
			},
		.subgroup_sizes =
			{
				.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES,
				.subgroupSizeControl = capabilities->subgroup_size_control,
				.computeFullSubgroups = capabilities->full_subgroups,
			},
		.matrix =
			{
				.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
				.pNext = capabilities->matrix_rows_known ? &request->matrix2 : NULL,
				.cooperativeMatrix = VK_TRUE,
			},
		.matrix2 =
			{
				.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV,
				.pNext = &request->maintenance4,
				.cooperativeMatrixReductions = VK_TRUE,
				.cooperativeMatrixConversions = VK_TRUE,
				.cooperativeMatrixPerElementOperations = VK_TRUE,
			},
		/* Core in 1.3, which matrix_rows_known includes; SPIR-V 1.6 says a workgroup's size in a way that needs it. */
		.maintenance4 =
			{
				.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES,
				.maintenance4 = VK_TRUE,
			},
		.reports =
			{
				.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
				.pNext = &request->features11,
				.pipelineExecutableInfo = VK_TRUE,
			},
		.shader_objects =
			{
				.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_OBJECT_FEATURES_EXT,
				.shaderObject = VK_TRUE,
			},
	};
	request->features = reports_pipelines ? (const void *)&request->reports : &request->features11;
	void **end = &request->features12.pNext;
	if (capabilities->subgroup_size_control || capabilities->full_subgroups) {
		*end = &request->subgroup_sizes;
		end = &request->subgroup_sizes.pNext;
	}
	if (capabilities->shader_objects) {
		*end = &request->shader_objects;
		end = &request->shader_objects.pNext;
	}
	if (capabilities->matrix_shape_count > 0) {
		*end = &request->matrix;
	}
	request_extensions(request, physical, reports_pipelines, low_priority);
}

/* What was enabled, whichever of the structs for it says so. */
struct enabled {
	bool address, storage16, float16, broadcast, memory_model, size_control, full_subgroups, matrix, matrix2, maintenance4,
		shader_objects;
};

static struct enabled read_chain(const VkBaseInStructure *next)
{
	struct enabled enabled = {0};
	for (; next; next = next->pNext) {
		const void *features = next;
		switch (next->sType) {
		case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES:
			enabled.storage16 |= ((const VkPhysicalDeviceVulkan11Features *)features)->storageBuffer16BitAccess;
			break;
		case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES:
			enabled.storage16 |= ((const VkPhysicalDevice16BitStorageFeatures *)features)->storageBuffer16BitAccess;
			break;
		case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES: {
			const VkPhysicalDeviceVulkan12Features *core12 = features;
			enabled.address |= core12->bufferDeviceAddress;
			enabled.float16 |= core12->shaderFloat16;
			enabled.broadcast |= core12->subgroupBroadcastDynamicId;
			enabled.memory_model |= core12->vulkanMemoryModel;
			break;
		}
		case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_BUFFER_DEVICE_ADDRESS_FEATURES:
			enabled.address |= ((const VkPhysicalDeviceBufferDeviceAddressFeatures *)features)->bufferDeviceAddress;
			break;
		case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES:
			enabled.float16 |= ((const VkPhysicalDeviceShaderFloat16Int8Features *)features)->shaderFloat16;
			break;
		case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES:
			enabled.memory_model |= ((const VkPhysicalDeviceVulkanMemoryModelFeatures *)features)->vulkanMemoryModel;
			break;
		case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES: {
			const VkPhysicalDeviceVulkan13Features *core13 = features;
			enabled.size_control |= core13->subgroupSizeControl;
			enabled.full_subgroups |= core13->computeFullSubgroups;
			enabled.maintenance4 |= core13->maintenance4;
			break;
		}
		case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES:
			enabled.maintenance4 |= ((const VkPhysicalDeviceMaintenance4Features *)features)->maintenance4;
			break;
		case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES: {
			const VkPhysicalDeviceSubgroupSizeControlFeatures *sizes = features;
			enabled.size_control |= sizes->subgroupSizeControl;
			enabled.full_subgroups |= sizes->computeFullSubgroups;
			break;
		}
		default:
			/* Not all of these are values of the enum in older Vulkan headers. */
			if (next->sType == (VkStructureType)VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR) {
				enabled.matrix |=
					((const VkPhysicalDeviceCooperativeMatrixFeaturesKHR *)features)->cooperativeMatrix;
			} else if (next->sType ==
				   (VkStructureType)VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_2_FEATURES_NV) {
				const VkPhysicalDeviceCooperativeMatrix2FeaturesNV *matrix2 = features;
				enabled.matrix2 |= matrix2->cooperativeMatrixReductions && matrix2->cooperativeMatrixConversions &&
						   matrix2->cooperativeMatrixPerElementOperations;
			} else if (next->sType == (VkStructureType)VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_OBJECT_FEATURES_EXT) {
				enabled.shader_objects |= ((const VkPhysicalDeviceShaderObjectFeaturesEXT *)features)->shaderObject;
			}
			break;
		}
	}
	return enabled;
}

gqe_status gqe_device_request_restrict(struct gqe_physical_device *physical, const VkDeviceCreateInfo *info, gqe_error *error)
{
	struct gqe_capabilities *capabilities = &physical->capabilities;
	if (!info) {
		return GQE_OK;
	}
	const struct enabled enabled = read_chain(info->pNext);
	if (!enabled.address) {
		return gqe_fail(error, GQE_ERROR_NO_DEVICE,
				"the application's device '%s' was made without the feature bufferDeviceAddress; make it with what "
				"gqe_vulkan_requirements_create lists",
				physical->info.name);
	}
	capabilities->storage16 &= enabled.storage16;
	capabilities->float16 &= enabled.float16;
	capabilities->memory_model &= enabled.memory_model;
	capabilities->subgroup_size_control &= enabled.size_control;
	capabilities->full_subgroups &= enabled.full_subgroups;
	bool known_size = (capabilities->subgroup_size_control && capabilities->full_subgroups) ||
			  capabilities->subgroup_size_min == capabilities->subgroup_size_max;
	capabilities->subgroup_broadcast &= enabled.broadcast && known_size;
	if (!enabled.matrix || !capabilities->memory_model) {
		capabilities->matrix_shape_count = 0;
	}
	capabilities->matrix_rows_known &= enabled.matrix2 && enabled.maintenance4 && capabilities->matrix_shape_count > 0;
	capabilities->shader_objects &= enabled.shader_objects;
	physical->info.has_16bit_storage = capabilities->storage16;
	physical->info.has_float16 = capabilities->float16;
	return GQE_OK;
}
