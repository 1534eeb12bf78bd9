#include "vulkan_app.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

static VkBool32 VKAPI_PTR count_error(VkDebugUtilsMessageSeverityFlagBitsEXT severity, VkDebugUtilsMessageTypeFlagsEXT types,
				      const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
	struct vulkan_app *app = user;
	(void)severity, (void)types;
	print_error("validation: %s\n", data->pMessage);
	app->validation_errors++;
	return VK_FALSE;
}

void app_init(struct vulkan_app *app)
{
	app_init_version(app, VK_API_VERSION_1_3);
}

void app_init_version(struct vulkan_app *app, uint32_t api_version)
{
	const char *validation = getenv("GQE_TEST_VALIDATION"), *layer = "VK_LAYER_KHRONOS_validation";
	const char *extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME};
	const bool validates = validation && validation[0] == '1';
	*app = (struct vulkan_app){0};
	void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
	assert_non_null(library);
	*(void **)&app->get_instance_proc_addr = dlsym(library, "vkGetInstanceProcAddr");
	app->vkCreateInstance = (PFN_vkCreateInstance)app->get_instance_proc_addr(VK_NULL_HANDLE, "vkCreateInstance");

	const VkValidationFeatureEnableEXT synchronization = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
	const VkValidationFeaturesEXT features = {
		.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
		.enabledValidationFeatureCount = 1,
		.pEnabledValidationFeatures = &synchronization,
	};
	const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = api_version};
	const VkInstanceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
		.pNext = validates ? &features : NULL,
		.pApplicationInfo = &application,
		.enabledLayerCount = validates,
		.ppEnabledLayerNames = &layer,
		.enabledExtensionCount = validates ? 2 : 0,
		.ppEnabledExtensionNames = extensions,
	};
	assert_int_equal(app->vkCreateInstance(&info, NULL, &app->instance), VK_SUCCESS);
#define LOAD(name) app->name = (PFN_##name)app->get_instance_proc_addr(app->instance, #name);
	APP_FUNCTIONS(LOAD)
#undef LOAD
	const VkDebugUtilsMessengerCreateInfoEXT messenger = {
		.sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
		.messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT,
		.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT,
		.pfnUserCallback = count_error,
		.pUserData = app,
	};
	if (validates)
		assert_int_equal(app->vkCreateDebugUtilsMessengerEXT(app->instance, &messenger, NULL, &app->messenger), VK_SUCCESS);
	uint32_t count = 1;
	assert_true(app->vkEnumeratePhysicalDevices(app->instance, &count, &app->physical) >= 0);
	assert_int_equal(count, 1);
}

void app_make_device(struct vulkan_app *app, VkDeviceCreateInfo info)
{
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
		.queueFamilyIndex = app->queue_family,
		.queueCount = 1,
		.pQueuePriorities = &priority,
	};
	info.queueCreateInfoCount = 1;
	info.pQueueCreateInfos = &queue;
	assert_int_equal(app->vkCreateDevice(app->physical, &info, NULL, &app->device), VK_SUCCESS);
	app->vkGetDeviceQueue(app->device, app->queue_family, 0, &app->queue);
}

void app_free(struct vulkan_app *app)
{
	if (app->device)
		app->vkDestroyDevice(app->device, NULL);
	if (app->messenger)
		app->vkDestroyDebugUtilsMessengerEXT(app->instance, app->messenger, NULL);
	app->vkDestroyInstance(app->instance, NULL);
	assert_int_equal(app->validation_errors, 0);
}

static void lock_queue(void *user)
{
	struct vulkan_app *app = user;
	app->queue_users++;
	app->queue_uses++;
}

static void unlock_queue(void *user)
{
	struct vulkan_app *app = user;
	app->queue_users--;
}

gqe_vulkan_import app_import(struct vulkan_app *app)
{
	return (gqe_vulkan_import){
		.size = sizeof(gqe_vulkan_import),
		.get_instance_proc_addr = app->get_instance_proc_addr,
		.instance = app->instance,
		.physical_device = app->physical,
		.device = app->device,
		.queue_family = app->queue_family,
		.lock_queue = lock_queue,
		.unlock_queue = unlock_queue,
		.lock_user = app,
	};
}

static uint32_t host_memory_type(const struct vulkan_app *app, uint32_t allowed)
{
	const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
	VkPhysicalDeviceMemoryProperties memory;
	app->vkGetPhysicalDeviceMemoryProperties(app->physical, &memory);
	for (uint32_t i = 0; i < memory.memoryTypeCount; i++)
		if ((allowed & 1u << i) && (memory.memoryTypes[i].propertyFlags & wanted) == wanted)
			return i;
	fail_msg("no host-visible memory");
	return 0;
}

struct app_buffer app_make_buffer(struct vulkan_app *app, uint64_t bytes, uint64_t offset)
{
	struct app_buffer made = {.piece = {.offset = offset, .size = bytes}};
	const VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = offset + bytes,
		.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT,
	};
	VkMemoryRequirements requirements;
	assert_int_equal(app->vkCreateBuffer(app->device, &info, NULL, &made.piece.buffer), VK_SUCCESS);
	app->vkGetBufferMemoryRequirements(app->device, made.piece.buffer, &requirements);
	const VkMemoryAllocateFlagsInfo flags = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
		.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT,
	};
	const VkMemoryAllocateInfo allocation = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &flags,
		.allocationSize = requirements.size,
		.memoryTypeIndex = host_memory_type(app, requirements.memoryTypeBits),
	};
	void *memory;
	assert_int_equal(app->vkAllocateMemory(app->device, &allocation, NULL, &made.memory), VK_SUCCESS);
	assert_int_equal(app->vkBindBufferMemory(app->device, made.piece.buffer, made.memory, 0), VK_SUCCESS);
	assert_int_equal(app->vkMapMemory(app->device, made.memory, 0, VK_WHOLE_SIZE, 0, &memory), VK_SUCCESS);
	made.host = (char *)memory + offset;
	poison(made.host, bytes);
	return made;
}

void app_free_buffer(struct vulkan_app *app, struct app_buffer *buffer)
{
	app->vkDestroyBuffer(app->device, buffer->piece.buffer, NULL);
	app->vkFreeMemory(app->device, buffer->memory, NULL);
}
