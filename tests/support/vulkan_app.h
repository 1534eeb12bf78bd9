/* An application that owns a Vulkan device: what the tests of gqe_vulkan.h are. */
#ifndef GQE_TESTS_VULKAN_APP_H
#define GQE_TESTS_VULKAN_APP_H

#include <gqe/gqe_vulkan.h>
#include <stdbool.h>

/* The functions that it calls, found like any application finds them that does not link to the loader. */
#define APP_FUNCTIONS(FUNCTION)                       \
	FUNCTION(vkCreateInstance)                    \
	FUNCTION(vkDestroyInstance)                   \
	FUNCTION(vkEnumeratePhysicalDevices)          \
	FUNCTION(vkGetPhysicalDeviceMemoryProperties) \
	FUNCTION(vkGetPhysicalDeviceFeatures2)        \
	FUNCTION(vkCreateDevice)                      \
	FUNCTION(vkDestroyDevice)                     \
	FUNCTION(vkGetDeviceQueue)                    \
	FUNCTION(vkQueueSubmit)                       \
	FUNCTION(vkQueueWaitIdle)                     \
	FUNCTION(vkCreateBuffer)                      \
	FUNCTION(vkDestroyBuffer)                     \
	FUNCTION(vkGetBufferMemoryRequirements)       \
	FUNCTION(vkAllocateMemory)                    \
	FUNCTION(vkFreeMemory)                        \
	FUNCTION(vkBindBufferMemory)                  \
	FUNCTION(vkMapMemory)                         \
	FUNCTION(vkCreateCommandPool)                 \
	FUNCTION(vkDestroyCommandPool)                \
	FUNCTION(vkAllocateCommandBuffers)            \
	FUNCTION(vkBeginCommandBuffer)                \
	FUNCTION(vkEndCommandBuffer)                  \
	FUNCTION(vkCmdPipelineBarrier)                \
	FUNCTION(vkCreateSemaphore)                   \
	FUNCTION(vkDestroySemaphore)                  \
	FUNCTION(vkSignalSemaphore)                   \
	FUNCTION(vkWaitSemaphores)                    \
	FUNCTION(vkCreateDebugUtilsMessengerEXT)      \
	FUNCTION(vkDestroyDebugUtilsMessengerEXT)

#define APP_MEMBER(name) PFN_##name name;
struct vulkan_app {
	PFN_vkGetInstanceProcAddr get_instance_proc_addr;
	APP_FUNCTIONS(APP_MEMBER)
	VkInstance instance;
	VkDebugUtilsMessengerEXT messenger; /* with validation */
	VkPhysicalDevice physical;
	VkDevice device;
	VkQueue queue;
	uint32_t queue_family;
	uint32_t validation_errors;
	int queue_users;     /* at this moment: the lock's callbacks count */
	uint32_t queue_uses; /* so far */
};
#undef APP_MEMBER

/* Host-visible memory in a buffer of its own. */
struct app_buffer {
	gqe_vulkan_buffer piece;
	VkDeviceMemory memory;
	void *host;
};

/* Instance, of Vulkan 1.3 unless said otherwise, and first physical device; then a device that is made as `info` says, but for its
 * queue. */
void app_init(struct vulkan_app *app);
void app_init_version(struct vulkan_app *app, uint32_t api_version);
void app_make_device(struct vulkan_app *app, VkDeviceCreateInfo info);
/* Fails the test if the validation layer had something to say. */
void app_free(struct vulkan_app *app);

/* With the queue's lock. */
gqe_vulkan_import app_import(struct vulkan_app *app);

/* `bytes` that begin at `offset` in their buffer. */
struct app_buffer app_make_buffer(struct vulkan_app *app, uint64_t bytes, uint64_t offset);
void app_free_buffer(struct vulkan_app *app, struct app_buffer *buffer);

#endif
