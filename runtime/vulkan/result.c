/* What a driver's answers are called. */
#include "vulkan/instance.h"

#include <stdio.h>

const char *gqe_result_name(VkResult result, char *buffer)
{
	switch (result) {
#define NAME(value) \
	case value: \
		return #value;
		NAME(VK_SUCCESS)
		NAME(VK_NOT_READY)
		NAME(VK_TIMEOUT)
		NAME(VK_INCOMPLETE)
		NAME(VK_PIPELINE_COMPILE_REQUIRED)
		NAME(VK_ERROR_OUT_OF_HOST_MEMORY)
		NAME(VK_ERROR_OUT_OF_DEVICE_MEMORY)
		NAME(VK_ERROR_INITIALIZATION_FAILED)
		NAME(VK_ERROR_DEVICE_LOST)
		NAME(VK_ERROR_MEMORY_MAP_FAILED)
		NAME(VK_ERROR_LAYER_NOT_PRESENT)
		NAME(VK_ERROR_EXTENSION_NOT_PRESENT)
		NAME(VK_ERROR_FEATURE_NOT_PRESENT)
		NAME(VK_ERROR_INCOMPATIBLE_DRIVER)
		NAME(VK_ERROR_TOO_MANY_OBJECTS)
		NAME(VK_ERROR_NOT_PERMITTED_KHR)
		NAME(VK_ERROR_INVALID_EXTERNAL_HANDLE)
		NAME(VK_ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS)
		NAME(VK_ERROR_INVALID_SHADER_NV)
		NAME(VK_ERROR_FRAGMENTATION)
		NAME(VK_ERROR_UNKNOWN)
#undef NAME
	default:
		snprintf(buffer, 32, "VkResult %d", (int)result);
		return buffer;
	}
}

gqe_status gqe_vulkan_fail(const struct gqe_vulkan *vulkan, VkResult result, const char *call, gqe_error *error)
{
	char number[32];
	const char *name = gqe_result_name(result, number);
	const char *device = vulkan && vulkan->info.name[0] ? vulkan->info.name : "the Vulkan loader";
	gqe_status status;
	const char *remedy;
	char message[sizeof(((gqe_error *)0)->message)];
	switch (result) {
	case VK_ERROR_OUT_OF_HOST_MEMORY:
	case VK_ERROR_OUT_OF_DEVICE_MEMORY:
	case VK_ERROR_MEMORY_MAP_FAILED:
	case VK_ERROR_FRAGMENTATION:
	case VK_ERROR_TOO_MANY_OBJECTS:
		status = GQE_ERROR_OUT_OF_MEMORY;
		remedy = "close other programs, or use fewer tokens, a smaller chunk or 16-bit weights";
		break;
	case VK_ERROR_DEVICE_LOST:
		status = GQE_ERROR_DEVICE_LOST;
		remedy = "the driver reset the device (the system's log may say why): create another context";
		break;
	case VK_ERROR_LAYER_NOT_PRESENT:
	case VK_ERROR_EXTENSION_NOT_PRESENT:
	case VK_ERROR_FEATURE_NOT_PRESENT:
	case VK_ERROR_INCOMPATIBLE_DRIVER:
	case VK_ERROR_INITIALIZATION_FAILED:
	case VK_ERROR_NOT_PERMITTED_KHR:
		status = GQE_ERROR_NO_DEVICE;
		remedy = "update or reinstall its driver, or use another device";
		break;
	default:
		status = GQE_ERROR_INTERNAL;
		remedy = "try again, then update its driver or use another device";
		break;
	}
	snprintf(message, sizeof(message), "%s failed with %s on %s; %s", call, name, device, remedy);
	if (vulkan) {
		gqe_log_write(&vulkan->log, GQE_LOG_ERROR, "%s", message);
	}
	return gqe_fail(error, status, "%s", message);
}

const char *gqe_device_type_name(gqe_device_type type)
{
	switch (type) {
	case GQE_DEVICE_DISCRETE:
		return "discrete GPU";
	case GQE_DEVICE_INTEGRATED:
		return "integrated GPU";
	case GQE_DEVICE_VIRTUAL:
		return "virtual GPU";
	case GQE_DEVICE_CPU:
		return "CPU driver";
	case GQE_DEVICE_OTHER:
		break;
	}
	return "other";
}
