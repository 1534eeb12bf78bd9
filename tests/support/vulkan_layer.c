#include "vulkan_layer.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOST VK_ERROR_OUT_OF_HOST_MEMORY
#define MEMORY VK_ERROR_OUT_OF_HOST_MEMORY, VK_ERROR_OUT_OF_DEVICE_MEMORY
#define LOST VK_ERROR_DEVICE_LOST
#define NO_INIT VK_ERROR_INITIALIZATION_FAILED

#define MAX_ASKED 128

#ifndef VK_KHR_cooperative_matrix /* headers older than 1.3.255 */
typedef VkResult(VKAPI_PTR *PFN_vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR)(VkPhysicalDevice device, uint32_t *count,
										   void *properties);
#endif

#ifndef VK_EXT_shader_object /* headers older than 1.3.246 */
VK_DEFINE_NON_DISPATCHABLE_HANDLE(VkShaderEXT)
typedef struct VkShaderCreateInfoEXT VkShaderCreateInfoEXT; /* passed on */
typedef VkResult(VKAPI_PTR *PFN_vkCreateShadersEXT)(VkDevice device, uint32_t count, const VkShaderCreateInfoEXT *infos,
						    const VkAllocationCallbacks *allocator, VkShaderEXT *made);
typedef void(VKAPI_PTR *PFN_vkDestroyShaderEXT)(VkDevice device, VkShaderEXT shader, const VkAllocationCallbacks *allocator);
typedef VkResult(VKAPI_PTR *PFN_vkGetShaderBinaryDataEXT)(VkDevice device, VkShaderEXT shader, size_t *bytes, void *data);
#endif

/* What objects are counted as. */
#define OBJECTS(O)                  \
	O(VkInstance)               \
	O(VkDebugUtilsMessengerEXT) \
	O(VkDevice)                 \
	O(VkDeviceMemory)           \
	O(VkBuffer)                 \
	O(VkShaderModule)           \
	O(VkPipelineLayout)         \
	O(VkPipelineCache) O(VkPipeline) O(VkShaderEXT) O(VkCommandPool) O(VkFence) O(VkSemaphore) O(VkQueryPool)

/*
 * FALLIBLE(name, parameters, arguments, pointer to the handle it makes, class of that object, what it may fail with). NONE: it
 * makes no object that is counted: command buffers go with their pool.
 */
#define FALLIBLE_FUNCTIONS(FALLIBLE)                                                                                               \
	FALLIBLE(vkCreateInstance, (const VkInstanceCreateInfo *info, const VkAllocationCallbacks *allocator, VkInstance *made),   \
		 (info, allocator, made), made, VkInstance, MEMORY, NO_INIT)                                                       \
	FALLIBLE(vkEnumerateInstanceExtensionProperties,                                                                           \
		 (const char *of_layer, uint32_t *count, VkExtensionProperties *properties), (of_layer, count, properties), NULL,  \
		 NONE, MEMORY)                                                                                                     \
	FALLIBLE(vkEnumerateInstanceLayerProperties, (uint32_t * count, VkLayerProperties * properties), (count, properties),      \
		 NULL, NONE, MEMORY)                                                                                               \
	FALLIBLE(vkEnumeratePhysicalDevices, (VkInstance instance, uint32_t * count, VkPhysicalDevice * devices),                  \
		 (instance, count, devices), NULL, NONE, MEMORY, NO_INIT)                                                          \
	FALLIBLE(vkEnumerateDeviceExtensionProperties,                                                                             \
		 (VkPhysicalDevice device, const char *of_layer, uint32_t *count, VkExtensionProperties *properties),              \
		 (device, of_layer, count, properties), NULL, NONE, MEMORY)                                                        \
	FALLIBLE(vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR, (VkPhysicalDevice device, uint32_t * count, void *properties), \
		 (device, count, properties), NULL, NONE, MEMORY)                                                                  \
	FALLIBLE(vkCreateDebugUtilsMessengerEXT,                                                                                   \
		 (VkInstance instance, const VkDebugUtilsMessengerCreateInfoEXT *info, const VkAllocationCallbacks *allocator,     \
		  VkDebugUtilsMessengerEXT *made),                                                                                 \
		 (instance, info, allocator, made), made, VkDebugUtilsMessengerEXT, HOST)                                          \
	FALLIBLE(vkCreateDevice,                                                                                                   \
		 (VkPhysicalDevice physical, const VkDeviceCreateInfo *info, const VkAllocationCallbacks *allocator,               \
		  VkDevice *made),                                                                                                 \
		 (physical, info, allocator, made), made, VkDevice, MEMORY, NO_INIT, LOST)                                         \
	FALLIBLE(                                                                                                                  \
		vkAllocateMemory,                                                                                                  \
		(VkDevice device, const VkMemoryAllocateInfo *info, const VkAllocationCallbacks *allocator, VkDeviceMemory *made), \
		(device, info, allocator, made), made, VkDeviceMemory, MEMORY, VK_ERROR_TOO_MANY_OBJECTS)                          \
	FALLIBLE(vkMapMemory,                                                                                                      \
		 (VkDevice device, VkDeviceMemory memory, VkDeviceSize offset, VkDeviceSize size, VkMemoryMapFlags flags,          \
		  void **data),                                                                                                    \
		 (device, memory, offset, size, flags, data), NULL, NONE, MEMORY, VK_ERROR_MEMORY_MAP_FAILED)                      \
	FALLIBLE(vkCreateBuffer,                                                                                                   \
		 (VkDevice device, const VkBufferCreateInfo *info, const VkAllocationCallbacks *allocator, VkBuffer *made),        \
		 (device, info, allocator, made), made, VkBuffer, MEMORY)                                                          \
	FALLIBLE(vkBindBufferMemory, (VkDevice device, VkBuffer buffer, VkDeviceMemory memory, VkDeviceSize offset),               \
		 (device, buffer, memory, offset), NULL, NONE, MEMORY)                                                             \
	FALLIBLE(vkCreateShaderModule,                                                                                             \
		 (VkDevice device, const VkShaderModuleCreateInfo *info, const VkAllocationCallbacks *allocator,                   \
		  VkShaderModule *made),                                                                                           \
		 (device, spoilt(info), allocator, made), made, VkShaderModule, MEMORY)                                            \
	FALLIBLE(vkCreatePipelineLayout,                                                                                           \
		 (VkDevice device, const VkPipelineLayoutCreateInfo *info, const VkAllocationCallbacks *allocator,                 \
		  VkPipelineLayout *made),                                                                                         \
		 (device, info, allocator, made), made, VkPipelineLayout, MEMORY)                                                  \
	FALLIBLE(vkCreatePipelineCache,                                                                                            \
		 (VkDevice device, const VkPipelineCacheCreateInfo *info, const VkAllocationCallbacks *allocator,                  \
		  VkPipelineCache *made),                                                                                          \
		 (device, info, allocator, made), made, VkPipelineCache, MEMORY)                                                   \
	FALLIBLE(vkGetPipelineCacheData, (VkDevice device, VkPipelineCache cache, size_t * bytes, void *data),                     \
		 (device, cache, bytes, data), NULL, NONE, MEMORY)                                                                 \
	FALLIBLE(vkCreateComputePipelines,                                                                                         \
		 (VkDevice device, VkPipelineCache cache, uint32_t count, const VkComputePipelineCreateInfo *infos,                \
		  const VkAllocationCallbacks *allocator, VkPipeline *made),                                                       \
		 (device, cache, count, infos, allocator, made), made, VkPipeline, MEMORY)                                         \
	FALLIBLE(vkCreateShadersEXT,                                                                                               \
		 (VkDevice device, uint32_t count, const VkShaderCreateInfoEXT *infos, const VkAllocationCallbacks *allocator,     \
		  VkShaderEXT *made),                                                                                              \
		 (device, count, infos, allocator, made), made, VkShaderEXT, MEMORY, NO_INIT)                                      \
	FALLIBLE(vkGetShaderBinaryDataEXT, (VkDevice device, VkShaderEXT shader, size_t * bytes, void *data),                      \
		 (device, shader, bytes, data), NULL, NONE, MEMORY)                                                                \
	FALLIBLE(vkCreateCommandPool,                                                                                              \
		 (VkDevice device, const VkCommandPoolCreateInfo *info, const VkAllocationCallbacks *allocator,                    \
		  VkCommandPool *made),                                                                                            \
		 (device, info, allocator, made), made, VkCommandPool, MEMORY)                                                     \
	FALLIBLE(vkResetCommandPool, (VkDevice device, VkCommandPool pool, VkCommandPoolResetFlags flags), (device, pool, flags),  \
		 NULL, NONE, MEMORY)                                                                                               \
	FALLIBLE(vkAllocateCommandBuffers, (VkDevice device, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *made),      \
		 (device, info, made), NULL, NONE, MEMORY)                                                                         \
	FALLIBLE(vkBeginCommandBuffer, (VkCommandBuffer commands, const VkCommandBufferBeginInfo *info), (commands, info), NULL,   \
		 NONE, MEMORY)                                                                                                     \
	FALLIBLE(vkEndCommandBuffer, (VkCommandBuffer commands), (commands), NULL, NONE, MEMORY)                                   \
	FALLIBLE(vkCreateFence,                                                                                                    \
		 (VkDevice device, const VkFenceCreateInfo *info, const VkAllocationCallbacks *allocator, VkFence *made),          \
		 (device, info, allocator, made), made, VkFence, MEMORY)                                                           \
	FALLIBLE(vkResetFences, (VkDevice device, uint32_t count, const VkFence *fences), (device, count, fences), NULL, NONE,     \
		 MEMORY)                                                                                                           \
	FALLIBLE(vkQueueSubmit, (VkQueue queue, uint32_t count, const VkSubmitInfo *submits, VkFence fence),                       \
		 (queue, count, submits, fence), NULL, NONE, MEMORY, LOST)                                                         \
	FALLIBLE(vkWaitForFences, (VkDevice device, uint32_t count, const VkFence *fences, VkBool32 all, uint64_t timeout),        \
		 (device, count, fences, all, timeout), NULL, NONE, MEMORY, LOST)                                                  \
	FALLIBLE(vkQueueWaitIdle, (VkQueue queue), (queue), NULL, NONE, MEMORY, LOST)                                              \
	FALLIBLE(vkCreateSemaphore,                                                                                                \
		 (VkDevice device, const VkSemaphoreCreateInfo *info, const VkAllocationCallbacks *allocator, VkSemaphore *made),  \
		 (device, info, allocator, made), made, VkSemaphore, MEMORY)                                                       \
	FALLIBLE(vkCreateQueryPool,                                                                                                \
		 (VkDevice device, const VkQueryPoolCreateInfo *info, const VkAllocationCallbacks *allocator, VkQueryPool *made),  \
		 (device, info, allocator, made), made, VkQueryPool, MEMORY)                                                       \
	FALLIBLE(vkGetQueryPoolResults,                                                                                            \
		 (VkDevice device, VkQueryPool pool, uint32_t first, uint32_t count, size_t bytes, void *data,                     \
		  VkDeviceSize stride, VkQueryResultFlags flags),                                                                  \
		 (device, pool, first, count, bytes, data, stride, flags), NULL, NONE, MEMORY, LOST)

/* DESTROYING(name, first parameter, class of the object) */
#define DESTROYING_FUNCTIONS(DESTROYING)                                                  \
	DESTROYING(vkDestroyDebugUtilsMessengerEXT, VkInstance, VkDebugUtilsMessengerEXT) \
	DESTROYING(vkFreeMemory, VkDevice, VkDeviceMemory)                                \
	DESTROYING(vkDestroyBuffer, VkDevice, VkBuffer)                                   \
	DESTROYING(vkDestroyShaderModule, VkDevice, VkShaderModule)                       \
	DESTROYING(vkDestroyPipelineLayout, VkDevice, VkPipelineLayout)                   \
	DESTROYING(vkDestroyPipelineCache, VkDevice, VkPipelineCache)                     \
	DESTROYING(vkDestroyPipeline, VkDevice, VkPipeline)                               \
	DESTROYING(vkDestroyShaderEXT, VkDevice, VkShaderEXT)                             \
	DESTROYING(vkDestroyCommandPool, VkDevice, VkCommandPool)                         \
	DESTROYING(vkDestroyFence, VkDevice, VkFence)                                     \
	DESTROYING(vkDestroySemaphore, VkDevice, VkSemaphore)                             \
	DESTROYING(vkDestroyQueryPool, VkDevice, VkQueryPool)

/* These cannot fail and make nothing; they go straight to the driver. */
static const char *const passed_on[] = {
	"vkEnumerateInstanceVersion",
	"vkGetPhysicalDeviceFeatures2",
	"vkGetPhysicalDeviceMemoryProperties",
	"vkGetPhysicalDeviceQueueFamilyProperties",
	"vkGetDeviceQueue",
	"vkGetBufferMemoryRequirements",
	"vkGetBufferDeviceAddress",
	"vkCmdBindPipeline",
	"vkCmdBindShadersEXT",
	"vkCmdPushConstants",
	"vkCmdDispatch",
	"vkCmdDispatchBase",
	"vkCmdDispatchIndirect",
	"vkCmdCopyBuffer",
	"vkCmdFillBuffer",
	"vkCmdPipelineBarrier",
	"vkCmdResetQueryPool",
	"vkCmdWriteTimestamp",
};

/* Of extensions that the Vulkan headers may be older than; a driver may lack them. */
static const char optional[] = "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR";

enum object {
#define ENUM(class) OBJECT_##class,
	OBJECTS(ENUM) OBJECT_NONE
#undef ENUM
};

enum function {
#define ENUM(name, ...) FUNCTION_##name,
	FALLIBLE_FUNCTIONS(ENUM) FUNCTION_COUNT
#undef ENUM
};

const struct layer_function layer_functions[] = {
#define ROW(name, parameters, arguments, made, class, ...) {#name, {__VA_ARGS__}},
	FALLIBLE_FUNCTIONS(ROW)
#undef ROW
};
const uint32_t layer_function_count = FUNCTION_COUNT;

static struct {
	PFN_vkGetInstanceProcAddr get_instance_proc_addr;
	PFN_vkGetDeviceProcAddr get_device_proc_addr;
	PFN_vkGetPhysicalDeviceProperties vkGetPhysicalDeviceProperties;
	PFN_vkGetPhysicalDeviceProperties2 vkGetPhysicalDeviceProperties2;
	PFN_vkDestroyInstance vkDestroyInstance;
	PFN_vkDestroyDevice vkDestroyDevice;
	PFN_vkDeviceWaitIdle vkDeviceWaitIdle;
#define MEMBER(name, ...) PFN_##name name;
	FALLIBLE_FUNCTIONS(MEMBER)
	DESTROYING_FUNCTIONS(MEMBER)
#undef MEMBER
} driver;

/* A module as the driver got it instead. */
struct spoilt {
	struct spoilt *next;
	VkShaderModuleCreateInfo info;
	uint32_t words[];
};

static struct {
	/* Pipelines are made on several threads. */
	atomic_uint calls[FUNCTION_COUNT];
	atomic_int objects[OBJECT_NONE + 1];
	uint32_t function, call; /* the one that is to fail; FUNCTION_COUNT: none */
	VkResult result;
	atomic_bool failed, lost;
	const char *hidden, *hidden_extension;
	VkPhysicalDeviceType disguise; /* VK_PHYSICAL_DEVICE_TYPE_OTHER: none */
	uint32_t spoilt_capability;    /* 0: none */
	_Atomic(struct spoilt *) spoilt;
	uint32_t delay; /* of submits, milliseconds */
	VkDevice device;
	char unknown[512];
	const char *asked[MAX_ASKED]; /* [asked_count] */
	uint32_t asked_count;
} layer = {.function = FUNCTION_COUNT};

void layer_reset(void)
{
	for (uint32_t i = 0; i < FUNCTION_COUNT; i++)
		layer.calls[i] = 0;
	layer.function = FUNCTION_COUNT;
	layer.failed = layer.lost = false;
}

void layer_fail_call(uint32_t function, uint32_t call, VkResult result)
{
	layer_reset();
	layer.function = function;
	layer.call = call;
	layer.result = result;
}

void layer_hide(const char *name)
{
	layer.hidden = name;
}

void layer_hide_extension(const char *name)
{
	layer.hidden_extension = name;
}

void layer_disguise(VkPhysicalDeviceType type)
{
	layer.disguise = type;
}

void layer_spoil(uint32_t capability)
{
	layer.spoilt_capability = capability;
	for (struct spoilt *spoilt = atomic_exchange(&layer.spoilt, NULL), *next; spoilt; spoilt = next) {
		next = spoilt->next;
		free(spoilt);
	}
}

void layer_delay(uint32_t milliseconds)
{
	layer.delay = milliseconds;
}

uint32_t layer_calls(uint32_t function)
{
	return layer.calls[function];
}

bool layer_has_failed(void)
{
	return layer.failed;
}

const char *layer_unknown(void)
{
	return layer.unknown;
}

const char *layer_asked(uint32_t index)
{
	return index < layer.asked_count ? layer.asked[index] : NULL;
}

/* `name` is one of this file's own strings. What a driver may lack is not noted. */
static void note_asked(const char *name)
{
	for (uint32_t i = 0; i < layer.asked_count; i++)
		if (layer.asked[i] == name)
			return;
	if (strcmp(name, optional) == 0)
		return;
	if (layer.asked_count < MAX_ASKED)
		layer.asked[layer.asked_count++] = name;
}

const char *layer_leaks(void)
{
	static const char *const names[] = {
#define NAME(class) #class,
		OBJECTS(NAME)
#undef NAME
	};
	static char text[512];
	size_t length = 0;
	text[0] = 0;
	for (int i = 0; i < OBJECT_NONE; i++)
		if (layer.objects[i] != 0 && length < sizeof(text))
			length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%d %s", length ? ", " : "",
						   layer.objects[i], names[i]);
	return text;
}

/*
 * The module, or, if it declares the capability that is to be spoilt, one in which a cooperative matrix product gives its third
 * operand, so that nothing is ever summed up: valid SPIR-V, and wrong.
 */
static const VkShaderModuleCreateInfo *spoilt(const VkShaderModuleCreateInfo *info)
{
	enum { HEADER_WORDS = 5, CAPABILITY = 17, MATRIX_PRODUCT = 4459, COPY = 83, COPY_WORDS = 4, NO_OPERATION = 1 << 16 };
	const size_t words = info->codeSize / sizeof(uint32_t);
	bool is_meant = false;
	for (size_t at = HEADER_WORDS; layer.spoilt_capability && at < words; at += info->pCode[at] >> 16)
		is_meant |= (info->pCode[at] & 0xffff) == CAPABILITY && info->pCode[at + 1] == layer.spoilt_capability;
	if (!is_meant)
		return info;
	struct spoilt *spoilt = malloc(sizeof(*spoilt) + info->codeSize);
	if (!spoilt)
		abort();
	memcpy(spoilt->words, info->pCode, info->codeSize);
	for (size_t at = HEADER_WORDS, length; at < words; at += length) {
		uint32_t *word = &spoilt->words[at];
		length = word[0] >> 16;
		if ((word[0] & 0xffff) != MATRIX_PRODUCT)
			continue;
		word[0] = COPY_WORDS << 16 | COPY;
		word[3] = word[5];
		for (size_t i = COPY_WORDS; i < length; i++)
			word[i] = NO_OPERATION;
	}
	spoilt->info = *info;
	spoilt->info.pCode = spoilt->words;
	spoilt->next = layer.spoilt;
	while (!atomic_compare_exchange_weak(&layer.spoilt, &spoilt->next, spoilt))
		;
	return &spoilt->info;
}

static void VKAPI_PTR layer_vkGetPhysicalDeviceProperties(VkPhysicalDevice device, VkPhysicalDeviceProperties *properties)
{
	driver.vkGetPhysicalDeviceProperties(device, properties);
	if (layer.disguise)
		properties->deviceType = layer.disguise;
}

static void VKAPI_PTR layer_vkGetPhysicalDeviceProperties2(VkPhysicalDevice device, VkPhysicalDeviceProperties2 *properties)
{
	driver.vkGetPhysicalDeviceProperties2(device, properties);
	if (layer.disguise)
		properties->properties.deviceType = layer.disguise;
}

static bool can_notice_loss(enum function function)
{
	return function == FUNCTION_vkQueueSubmit || function == FUNCTION_vkWaitForFences || function == FUNCTION_vkQueueWaitIdle;
}

/* What the call is to fail with; VK_SUCCESS: it goes on to the driver. A lost device stays lost, and nothing runs on it. */
static VkResult before(enum function function)
{
	uint32_t call = layer.calls[function]++;
	if (function == FUNCTION_vkQueueSubmit && layer.delay > 0)
		nanosleep(&(struct timespec){.tv_nsec = (long)layer.delay * 1000000}, NULL);
	if (layer.lost && can_notice_loss(function))
		return VK_ERROR_DEVICE_LOST;
	if (function != layer.function || call != layer.call)
		return VK_SUCCESS;
	layer.failed = true;
	layer.lost = layer.result == VK_ERROR_DEVICE_LOST;
	if (layer.lost && layer.device)
		driver.vkDeviceWaitIdle(layer.device);
	return layer.result;
}

/* What a failing call leaves in the handle is undefined: this one would crash whoever uses it. */
static void leave_garbage(void *made, size_t bytes)
{
	if (made)
		memset(made, 0xa5, bytes);
}

#define WRAP(name, parameters, arguments, made, class, ...)    \
	static VkResult VKAPI_PTR layer_##name parameters      \
	{                                                      \
		VkResult result = before(FUNCTION_##name);     \
		if (result != VK_SUCCESS) {                    \
			leave_garbage((made), sizeof(void *)); \
			return result;                         \
		}                                              \
		result = driver.name arguments;                \
		if (result == VK_SUCCESS)                      \
			layer.objects[OBJECT_##class]++;       \
		return result;                                 \
	}
FALLIBLE_FUNCTIONS(WRAP)
#undef WRAP

#define WRAP(name, parent_type, class)                                                                               \
	static void VKAPI_PTR layer_##name(parent_type parent, class object, const VkAllocationCallbacks *allocator) \
	{                                                                                                            \
		layer.objects[OBJECT_##class] -= object != VK_NULL_HANDLE;                                           \
		driver.name(parent, object, allocator);                                                              \
	}
DESTROYING_FUNCTIONS(WRAP)
#undef WRAP

/* Modules are what is spoilt: a binary would not be, or would stay so on disk. */
static bool is_hidden(const char *extension)
{
	return (layer.hidden_extension && strcmp(extension, layer.hidden_extension) == 0) ||
	       (layer.spoilt_capability && strcmp(extension, "VK_EXT_shader_object") == 0);
}

static VkResult VKAPI_PTR layer_list_device_extensions(VkPhysicalDevice device, const char *of_layer, uint32_t *count,
						       VkExtensionProperties *properties)
{
	VkResult result = layer_vkEnumerateDeviceExtensionProperties(device, of_layer, count, properties);
	for (uint32_t i = 0; properties && result >= VK_SUCCESS && i < *count; i++)
		if (is_hidden(properties[i].extensionName))
			properties[i].extensionName[0] = 0;
	return result;
}

static void VKAPI_PTR layer_vkDestroyInstance(VkInstance instance, const VkAllocationCallbacks *allocator)
{
	layer.objects[OBJECT_VkInstance]--;
	driver.vkDestroyInstance(instance, allocator);
}

static void VKAPI_PTR layer_vkDestroyDevice(VkDevice device, const VkAllocationCallbacks *allocator)
{
	layer.objects[OBJECT_VkDevice]--;
	layer.device = VK_NULL_HANDLE;
	driver.vkDestroyDevice(device, allocator);
}

static PFN_vkVoidFunction VKAPI_PTR layer_get_device_proc_addr(VkDevice device, const char *name);

/* The layer's function of that name, with the driver's behind it. */
static PFN_vkVoidFunction wrap(const char *name, PFN_vkVoidFunction found)
{
	if (!found || (layer.hidden && strcmp(name, layer.hidden) == 0))
		return NULL;
#define RETURN(function, ...)                                \
	if (strcmp(name, #function) == 0) {                  \
		note_asked(#function);                       \
		driver.function = (PFN_##function)found;     \
		return (PFN_vkVoidFunction)layer_##function; \
	}
	if (strcmp(name, "vkEnumerateDeviceExtensionProperties") == 0) {
		note_asked(layer_functions[FUNCTION_vkEnumerateDeviceExtensionProperties].name);
		driver.vkEnumerateDeviceExtensionProperties = (PFN_vkEnumerateDeviceExtensionProperties)found;
		return (PFN_vkVoidFunction)layer_list_device_extensions;
	}
	FALLIBLE_FUNCTIONS(RETURN)
	DESTROYING_FUNCTIONS(RETURN)
	RETURN(vkGetPhysicalDeviceProperties)
	RETURN(vkGetPhysicalDeviceProperties2)
	RETURN(vkDestroyInstance)
	RETURN(vkDestroyDevice)
#undef RETURN
	static const char get_device_proc_addr[] = "vkGetDeviceProcAddr";
	if (strcmp(name, get_device_proc_addr) == 0) {
		note_asked(get_device_proc_addr);
		driver.get_device_proc_addr = (PFN_vkGetDeviceProcAddr)found;
		return (PFN_vkVoidFunction)layer_get_device_proc_addr;
	}
	for (size_t i = 0; i < sizeof(passed_on) / sizeof(passed_on[0]); i++)
		if (strcmp(name, passed_on[i]) == 0) {
			note_asked(passed_on[i]);
			return found;
		}
	size_t length = strlen(layer.unknown);
	snprintf(layer.unknown + length, sizeof(layer.unknown) - length, " %s", name);
	return found;
}

static PFN_vkVoidFunction VKAPI_PTR layer_get_device_proc_addr(VkDevice device, const char *name)
{
	layer.device = device;
	driver.vkDeviceWaitIdle = (PFN_vkDeviceWaitIdle)driver.get_device_proc_addr(device, "vkDeviceWaitIdle");
	return wrap(name, driver.get_device_proc_addr(device, name));
}

static PFN_vkVoidFunction VKAPI_PTR layer_get_instance_proc_addr(VkInstance instance, const char *name)
{
	return wrap(name, driver.get_instance_proc_addr(instance, name));
}

/* The loader unloads drivers and layers with their last instance; then a leak checker cannot say which leaks are their own. */
static void keep_driver_loaded(void)
{
	const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
	static VkInstance instance;
	PFN_vkCreateInstance create = (PFN_vkCreateInstance)driver.get_instance_proc_addr(VK_NULL_HANDLE, "vkCreateInstance");
	if (create)
		create(&info, NULL, &instance);
	dlopen("libVkLayer_khronos_validation.so", RTLD_NOW | RTLD_LOCAL); /* if it is there */
}

PFN_vkGetInstanceProcAddr layer_entry(void)
{
	if (!driver.get_instance_proc_addr) {
		void *library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
		if (!library)
			return NULL;
		*(void **)&driver.get_instance_proc_addr = dlsym(library, "vkGetInstanceProcAddr");
		keep_driver_loaded();
	}
	return layer_get_instance_proc_addr;
}
