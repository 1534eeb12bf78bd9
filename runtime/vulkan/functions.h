/*
 * The Vulkan entry points that gqe calls, as lists: the struct of pointers and the loading code follow from them, so that a new
 * entry point is one line here. Every context has its own table; the library never links to a Vulkan loader.
 */
#ifndef GQE_VULKAN_FUNCTIONS_H
#define GQE_VULKAN_FUNCTIONS_H

#include "vulkan/headers.h"

/* Known before there is an instance. vkEnumerateInstanceVersion is absent from 1.0 loaders and is handled by gqe_loader_open. */
#define GQE_GLOBAL_FUNCTIONS(FUNCTION)                   \
	FUNCTION(vkCreateInstance)                       \
	FUNCTION(vkEnumerateInstanceExtensionProperties) \
	FUNCTION(vkEnumerateInstanceLayerProperties)

#define GQE_INSTANCE_FUNCTIONS(FUNCTION)                   \
	FUNCTION(vkDestroyInstance)                        \
	FUNCTION(vkEnumeratePhysicalDevices)               \
	FUNCTION(vkEnumerateDeviceExtensionProperties)     \
	FUNCTION(vkGetPhysicalDeviceProperties)            \
	FUNCTION(vkGetPhysicalDeviceProperties2)           \
	FUNCTION(vkGetPhysicalDeviceFeatures2)             \
	FUNCTION(vkGetPhysicalDeviceMemoryProperties)      \
	FUNCTION(vkGetPhysicalDeviceQueueFamilyProperties) \
	FUNCTION(vkCreateDevice)                           \
	FUNCTION(vkGetDeviceProcAddr)

/* NULL when neither the loader nor a driver knows the extension. */
#define GQE_OPTIONAL_INSTANCE_FUNCTIONS(FUNCTION) FUNCTION(vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)

/* VK_EXT_debug_utils: NULL without validation. */
#define GQE_DEBUG_FUNCTIONS(FUNCTION)            \
	FUNCTION(vkCreateDebugUtilsMessengerEXT) \
	FUNCTION(vkDestroyDebugUtilsMessengerEXT)

#define GQE_DEVICE_FUNCTIONS(FUNCTION)          \
	FUNCTION(vkDestroyDevice)               \
	FUNCTION(vkGetDeviceQueue)              \
	FUNCTION(vkQueueWaitIdle)               \
	FUNCTION(vkQueueSubmit)                 \
	FUNCTION(vkAllocateMemory)              \
	FUNCTION(vkFreeMemory)                  \
	FUNCTION(vkMapMemory)                   \
	FUNCTION(vkCreateBuffer)                \
	FUNCTION(vkDestroyBuffer)               \
	FUNCTION(vkBindBufferMemory)            \
	FUNCTION(vkGetBufferMemoryRequirements) \
	FUNCTION(vkGetBufferDeviceAddress)      \
	FUNCTION(vkCreateShaderModule)          \
	FUNCTION(vkDestroyShaderModule)         \
	FUNCTION(vkCreatePipelineLayout)        \
	FUNCTION(vkDestroyPipelineLayout)       \
	FUNCTION(vkCreatePipelineCache)         \
	FUNCTION(vkDestroyPipelineCache)        \
	FUNCTION(vkGetPipelineCacheData)        \
	FUNCTION(vkCreateComputePipelines)      \
	FUNCTION(vkDestroyPipeline)             \
	FUNCTION(vkCreateCommandPool)           \
	FUNCTION(vkDestroyCommandPool)          \
	FUNCTION(vkResetCommandPool)            \
	FUNCTION(vkAllocateCommandBuffers)      \
	FUNCTION(vkBeginCommandBuffer)          \
	FUNCTION(vkEndCommandBuffer)            \
	FUNCTION(vkCreateFence)                 \
	FUNCTION(vkDestroyFence)                \
	FUNCTION(vkResetFences)                 \
	FUNCTION(vkWaitForFences)               \
	FUNCTION(vkCreateQueryPool)             \
	FUNCTION(vkDestroyQueryPool)            \
	FUNCTION(vkGetQueryPoolResults)         \
	FUNCTION(vkCmdResetQueryPool)           \
	FUNCTION(vkCmdWriteTimestamp)           \
	FUNCTION(vkCmdBindPipeline)             \
	FUNCTION(vkCmdPushConstants)            \
	FUNCTION(vkCmdDispatch)                 \
	FUNCTION(vkCmdDispatchBase)             \
	FUNCTION(vkCmdDispatchIndirect)         \
	FUNCTION(vkCmdCopyBuffer)               \
	FUNCTION(vkCmdFillBuffer)               \
	FUNCTION(vkCmdPipelineBarrier)

/* VK_KHR_pipeline_executable_properties: NULL unless gqe_vulkan.reports_pipelines. */
#define GQE_REPORT_FUNCTIONS(FUNCTION)                 \
	FUNCTION(vkGetPipelineExecutablePropertiesKHR) \
	FUNCTION(vkGetPipelineExecutableStatisticsKHR) \
	FUNCTION(vkGetPipelineExecutableInternalRepresentationsKHR)

/* VK_EXT_shader_object: NULL unless gqe_capabilities.shader_objects. */
#define GQE_SHADER_OBJECT_FUNCTIONS(FUNCTION) \
	FUNCTION(vkCreateShadersEXT)          \
	FUNCTION(vkDestroyShaderEXT)          \
	FUNCTION(vkGetShaderBinaryDataEXT)    \
	FUNCTION(vkCmdBindShadersEXT)

#define GQE_FUNCTION_MEMBER(name) PFN_##name name;
struct gqe_vulkan_functions {
	PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
	GQE_GLOBAL_FUNCTIONS(GQE_FUNCTION_MEMBER)
	GQE_INSTANCE_FUNCTIONS(GQE_FUNCTION_MEMBER)
	GQE_OPTIONAL_INSTANCE_FUNCTIONS(GQE_FUNCTION_MEMBER)
	GQE_DEBUG_FUNCTIONS(GQE_FUNCTION_MEMBER)
	GQE_DEVICE_FUNCTIONS(GQE_FUNCTION_MEMBER)
	GQE_REPORT_FUNCTIONS(GQE_FUNCTION_MEMBER)
	GQE_SHADER_OBJECT_FUNCTIONS(GQE_FUNCTION_MEMBER)
};
#undef GQE_FUNCTION_MEMBER

#endif
