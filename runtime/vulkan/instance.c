#include "vulkan/instance.h"

#include <stdlib.h>
#include <string.h>

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"
#define MAX_EXTENSIONS 4

/* The version that gqe is written for: the highest one whose features are looked at. Devices of version 1.2 will do. */
#define WRITTEN_FOR VK_API_VERSION_1_3

static VkBool32 VKAPI_PTR on_validation_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
						VkDebugUtilsMessageTypeFlagsEXT types,
						const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
	struct gqe_vulkan *vulkan = user;
	(void)types;
	if (severity & VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT) {
		atomic_fetch_add(&vulkan->validation_errors, 1);
		gqe_log_write(&vulkan->log, GQE_LOG_ERROR, "validation: %s", data->pMessage);
	} else {
		gqe_log_write(&vulkan->log, GQE_LOG_WARNING, "validation: %s", data->pMessage);
	}
	return VK_FALSE;
}

bool gqe_extension_listed(const VkExtensionProperties *extensions, uint32_t count, const char *name)
{
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(extensions[i].extensionName, name) == 0) {
			return true;
		}
	}
	return false;
}

/* Whether the loader (layer NULL) or a layer has an instance extension. */
static gqe_status find_extension(const struct gqe_vulkan *vulkan, const char *layer, const char *name, bool *found,
				 gqe_error *error)
{
	gqe_status status = GQE_OK;
	uint32_t count = 0;
	VkExtensionProperties *extensions = NULL;
	*found = false;
	VK(vulkan, error, vkEnumerateInstanceExtensionProperties, layer, &count, NULL);
	if (count == 0) {
		return GQE_OK;
	}
	extensions = calloc(count, sizeof(*extensions));
	if (!extensions) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a list of %u instance extensions", count);
	}
	VK_LIST(vulkan, error, vkEnumerateInstanceExtensionProperties, layer, &count, extensions);
	*found = gqe_extension_listed(extensions, count, name);
fail:
	free(extensions);
	return status;
}

static gqe_status find_layer(const struct gqe_vulkan *vulkan, const char *name, bool *found, gqe_error *error)
{
	gqe_status status = GQE_OK;
	uint32_t count = 0;
	VkLayerProperties *layers = NULL;
	*found = false;
	VK(vulkan, error, vkEnumerateInstanceLayerProperties, &count, NULL);
	if (count == 0) {
		return GQE_OK;
	}
	layers = calloc(count, sizeof(*layers));
	if (!layers) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a list of %u layers", count);
	}
	VK_LIST(vulkan, error, vkEnumerateInstanceLayerProperties, &count, layers);
	for (uint32_t i = 0; i < count && !*found; i++) {
		*found = strcmp(layers[i].layerName, name) == 0;
	}
fail:
	free(layers);
	return status;
}

/* GQE_ERROR_NO_DEVICE when validation was asked for and its layer, or what is needed of it, is not there. */
static gqe_status check_validation(const struct gqe_vulkan *vulkan, gqe_error *error)
{
	bool found = false;
	gqe_status status = find_layer(vulkan, VALIDATION_LAYER, &found, error);
	if (status == GQE_OK && found) {
		status = find_extension(vulkan, VALIDATION_LAYER, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME, &found, error);
	}
	if (status == GQE_OK && !found) {
		status = gqe_fail(error, GQE_ERROR_NO_DEVICE,
				  "validation was asked for, but the layer %s is not installed or too old; install it (Debian: "
				  "vulkan-validationlayers) or run without validation",
				  VALIDATION_LAYER);
	}
	return status;
}

gqe_status gqe_instance_open(struct gqe_vulkan *vulkan, bool validation, gqe_error *error)
{
	gqe_status status = gqe_loader_open(vulkan, error);
	if (status != GQE_OK) {
		return status;
	}

	const char *extensions[MAX_EXTENSIONS];
	const char *layer = VALIDATION_LAYER;
	VkApplicationInfo application = {
		.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
		.pEngineName = "gqe",
		.engineVersion = GQE_VERSION,
		.apiVersion = WRITTEN_FOR,
	};
	VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pApplicationInfo = &application,
		.ppEnabledExtensionNames = extensions,
	};
	/* Without this the loader hides drivers that are not fully conformant: MoltenVK. */
	bool has_portability;
	status = find_extension(vulkan, NULL, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME, &has_portability, error);
	if (status != GQE_OK) {
		return status;
	}
	if (has_portability) {
		extensions[info.enabledExtensionCount++] = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
		info.flags |= VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR;
	}

	VkValidationFeatureEnableEXT synchronization = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
	VkDebugUtilsMessengerCreateInfoEXT messenger = {
		.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
		.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT,
		.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
		.pfnUserCallback = on_validation_message,
		.pUserData = vulkan,
	};
	VkValidationFeaturesEXT features = {
		.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
		.pNext = &messenger, /* also covers vkCreateInstance and vkDestroyInstance */
		.enabledValidationFeatureCount = 1,
		.pEnabledValidationFeatures = &synchronization,
	};
	if (validation) {
		status = check_validation(vulkan, error);
		if (status != GQE_OK) {
			return status;
		}
		extensions[info.enabledExtensionCount++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
		extensions[info.enabledExtensionCount++] = VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME;
		info.ppEnabledLayerNames = &layer;
		info.enabledLayerCount = 1;
		info.pNext = &features;
	}

	vulkan->instance_version = WRITTEN_FOR;
	VkResult result = vulkan->fn.vkCreateInstance(&info, NULL, &vulkan->instance);
	if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
		vulkan->instance = VK_NULL_HANDLE; /* the loader's way to say that no driver is installed */
		return GQE_OK;
	}
	if (result != VK_SUCCESS) {
		vulkan->instance = VK_NULL_HANDLE;
		return gqe_vulkan_fail(vulkan, result, "vkCreateInstance", error);
	}
	status = gqe_loader_instance_functions(vulkan, error);
	if (status != GQE_OK) {
		return status;
	}
	if (validation && vulkan->fn.vkCreateDebugUtilsMessengerEXT) {
		VK_MAKE(vulkan, error, &vulkan->messenger, vkCreateDebugUtilsMessengerEXT, vulkan->instance, &messenger, NULL);
	}
	return GQE_OK;
fail:
	return status;
}

void gqe_instance_close(struct gqe_vulkan *vulkan)
{
	if (vulkan->messenger) {
		vulkan->fn.vkDestroyDebugUtilsMessengerEXT(vulkan->instance, vulkan->messenger, NULL);
		vulkan->messenger = VK_NULL_HANDLE;
	}
	if (vulkan->instance && !vulkan->instance_is_imported && vulkan->fn.vkDestroyInstance) {
		vulkan->fn.vkDestroyInstance(vulkan->instance, NULL);
	}
	vulkan->instance = VK_NULL_HANDLE;
	gqe_loader_close(vulkan);
}

/*
 * Vulkan does not tell an instance's version. Not stated, it is the lowest that will do, unless the device was made with a struct
 * that only later ones have.
 */
static uint32_t imported_instance_version(const gqe_vulkan_import *import)
{
	if (import->api_version != 0) {
		return import->api_version;
	}
	const VkBaseInStructure *next = import->device_info ? import->device_info->pNext : NULL;
	for (; next; next = next->pNext) {
		if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES) {
			return VK_API_VERSION_1_3;
		}
	}
	return VK_API_VERSION_1_2;
}

gqe_status gqe_physical_device_import(struct gqe_vulkan *vulkan, const gqe_vulkan_import *import,
				      struct gqe_physical_device *physical, gqe_error *error)
{
	*physical = (struct gqe_physical_device){.handle = import->physical_device};
	if (!import->instance || !import->physical_device) {
		return gqe_fail(error, GQE_ERROR_USAGE,
				"gqe_vulkan_import: with a device, or to ask what one needs, its instance and physical_device are "
				"required");
	}
	vulkan->instance_version = imported_instance_version(import);
	if (vulkan->instance_version < VK_API_VERSION_1_2) {
		return gqe_fail(
			error, GQE_ERROR_USAGE,
			"gqe_vulkan_import: api_version says that the instance is of Vulkan %u.%u; make it with 1.2 or later",
			VK_API_VERSION_MAJOR(vulkan->instance_version), VK_API_VERSION_MINOR(vulkan->instance_version));
	}
	gqe_status status = gqe_loader_open(vulkan, error);
	if (status == GQE_OK) {
		vulkan->instance = import->instance;
		vulkan->instance_is_imported = true;
		status = gqe_loader_instance_functions(vulkan, error);
	}
	if (status != GQE_OK) {
		return status;
	}
	gqe_capabilities_read(vulkan, physical);
	if (!physical->info.usable) {
		return gqe_fail(error, GQE_ERROR_NO_DEVICE, "the device '%s' cannot be used: %s", physical->info.name,
				physical->info.rejected);
	}
	return GQE_OK;
}
