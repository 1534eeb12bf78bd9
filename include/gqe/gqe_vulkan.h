/*
 * gqe beside an application's own Vulkan: a context on the application's device and queue, its buffers as inputs, outputs and KV
 * cache, and layers in its command buffers.
 *
 * The rules of gqe.h hold here too. Needs the Vulkan headers, version 1.2 or later.
 */
#ifndef GQE_GQE_VULKAN_H
#define GQE_GQE_VULKAN_H

#include <gqe/gqe.h>
#include <vulkan/vulkan_core.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For gqe_context_params.vulkan. Whatever is left zero, the library makes itself. */
typedef struct gqe_vulkan_import {
	size_t size; /* sizeof(gqe_vulkan_import) */
	/*
	 * How Vulkan's functions are found. NULL: the library opens the system's loader. It is called, and what it returns is
	 * called, until gqe_context_destroy has returned.
	 */
	PFN_vkGetInstanceProcAddr get_instance_proc_addr;
	/*
	 * The application's device, of Vulkan 1.2 or later as its instance is, with the instance and physical device that it was
	 * made from; all three outlive the context. gqe_context_params.device and .validation are ignored then.
	 */
	VkInstance instance;
	VkPhysicalDevice physical_device; /* of instance */
	VkDevice device;                  /* of physical_device; NULL for gqe_vulkan_requirements_create */
	/*
	 * What the device was made with: its features and extensions say what may be used. Read during gqe_context_create only.
	 * NULL: everything that gqe_vulkan_requirements_create lists for this physical device.
	 */
	const VkDeviceCreateInfo *device_info;
	uint32_t queue_family; /* which of its queues; with compute, else GQE_ERROR_USAGE */
	uint32_t queue_index;  /* within the family */
	/*
	 * Called before and after every use of the queue, on the thread that uses it, and never nested; NULL: the application does
	 * not use that queue while a function of this library runs.
	 */
	void (*lock_queue)(void *user);
	void (*unlock_queue)(void *user); /* both or neither */
	void *lock_user;                  /* `user` of both */
	/*
	 * VkApplicationInfo.apiVersion of the instance, which Vulkan does not tell; the same here for
	 * gqe_vulkan_requirements_create and for the device made by them. What is core beyond it is not used, whatever the device
	 * has. 0: at least 1.2, or 1.3 with a VkPhysicalDeviceVulkan13Features in device_info. Of a 1.3 instance say so: the path
	 * matrix2 needs it, and everything else where a driver has a part of 1.3 in core only. Below 1.2: GQE_ERROR_USAGE.
	 */
	uint32_t api_version;
} gqe_vulkan_import;

/* What a device should be made with so that every kernel path of its hardware can be used. */
typedef struct gqe_vulkan_requirements {
	uint32_t api_version;     /* VkApplicationInfo.apiVersion: at least this; more is to be stated in the import */
	uint32_t queue_family;    /* one with compute, without graphics where there is such */
	uint32_t extension_count; /* of extensions */
	/*
	 * Extensions to enable, [extension_count], as VkDeviceCreateInfo takes them; the device has them all, some in core too.
	 * None is indispensable: without one, its kernel path is not used. Without VK_EXT_shader_object, which is listed where a
	 * driver's VkPipelineCache keeps nothing (lavapipe), pipelines are made as if there were no cache folder.
	 */
	const char *const *extensions;
	/*
	 * VkDeviceCreateInfo.pNext: a chain of feature structs with what to enable and nothing else; the device has it all. An
	 * application that has structs of these types itself sets in them what is set here. Vulkan allows no struct beside one
	 * that it was merged into: beside VkPhysicalDeviceVulkan11Features and VkPhysicalDeviceVulkan12Features, which are here,
	 * none of VkPhysicalDevice16BitStorageFeatures, VkPhysicalDeviceTimelineSemaphoreFeatures and the like, whose members are
	 * set in them instead; and with a VkPhysicalDeviceVulkan13Features of the application's, what is in
	 * VkPhysicalDeviceSubgroupSizeControlFeatures and VkPhysicalDeviceMaintenance4Features here is set there, and these are
	 * left out. Of all these only bufferDeviceAddress is indispensable, and timelineSemaphore for gqe_layer_submit with
	 * semaphores.
	 */
	const void *features;
} gqe_vulkan_requirements;

/*
 * What to ask of a device before it is made. Needs import->instance and import->physical_device. GQE_ERROR_NO_DEVICE with the
 * reason when the device is no use.
 */
GQE_API gqe_status gqe_vulkan_requirements_create(const gqe_vulkan_import *import, gqe_vulkan_requirements **requirements,
						  gqe_error *error);
/* Releases them, and what they point to. [any] */
GQE_API void gqe_vulkan_requirements_destroy(gqe_vulkan_requirements **requirements);

/*
 * A piece of a buffer of the application, made with VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT and bound to memory with
 * VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT.
 *
 * Detected, GQE_ERROR_USAGE: VK_NULL_HANDLE, a piece that is too small or not aligned, one that ends beyond the memory that
 * vkGetBufferMemoryRequirements asks for (a piece that leaves the buffer by less than the driver's padding is let through),
 * and x, y, K and V that overlap. Cannot be detected: a buffer of another device, or destroyed, or made without that usage, or
 * bound to no memory or memory without that flag, and memory that something else uses at the same time.
 */
typedef struct gqe_vulkan_buffer {
	VkBuffer buffer;     /* of the import's device */
	VkDeviceSize offset; /* a multiple of 16 */
	VkDeviceSize size;   /* at least what the tensor needs; not VK_WHOLE_SIZE */
} gqe_vulkan_buffer;

/*
 * For gqe_layer_params.kv_cache: K and V of every head, [B, heads, max_tokens, d_h] each, in the layer's dtype; heads are the G
 * groups', and last the shared head's with GQE_SHARED_KV_DEDICATED or GQE_SHARED_KV_MEAN. Owned by the
 * application, which keeps them as long as the layer. For gqe_layer_seek to a greater position they also need
 * VK_BUFFER_USAGE_TRANSFER_DST_BIT. Passes write them in VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT with VK_ACCESS_SHADER_WRITE_BIT,
 * gqe_layer_seek in VK_PIPELINE_STAGE_TRANSFER_BIT with VK_ACCESS_TRANSFER_WRITE_BIT: a barrier from there stands before commands
 * of the application's that read or copy them, unless they wait for a signal of gqe_layer_submit.
 */
typedef struct gqe_vulkan_kv_cache {
	gqe_vulkan_buffer k; /* the keys */
	gqe_vulkan_buffer v; /* the values */
} gqe_vulkan_kv_cache;

/* Bytes of K, and of V, of a layer with those params (tensors are not looked at). [any] */
GQE_API gqe_status gqe_vulkan_kv_cache_bytes(const gqe_layer_params *params, uint64_t *bytes, gqe_error *error);

/* One pass of gqe_layer_record or gqe_layer_submit. */
typedef struct gqe_vulkan_layer_io {
	size_t size;         /* sizeof(gqe_vulkan_layer_io) */
	uint32_t tokens;     /* T: tokens appended to each of the B sequences, 1...chunk */
	gqe_vulkan_buffer x; /* in  [B, T, d] f32 */
	gqe_vulkan_buffer y; /* out [B, T, d] f32; apart from x; both apart from the kv_cache */
} gqe_vulkan_layer_io;

/*
 * Records one pass of a layer into a command buffer of the application that is being recorded, outside a render pass, of the
 * import's queue family. The layer's position advances at once: what is recorded is to be executed once, in the order of recording,
 * before any other function computes with the layer, and before the layer is destroyed.
 *
 * Barriers. Before: writes of x, or of an imported KV cache, by other stages than compute shaders and transfers must be made
 * visible to VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_READ_BIT; this pass waits for earlier compute and transfer
 * commands by itself. After: y, and K and V of the new tokens in an imported KV cache, are written by
 * VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_ACCESS_SHADER_WRITE_BIT, and no barrier follows: the application makes one before
 * anything of its own reads or copies them, and before it writes x again an execution barrier from
 * VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT (no access) to the stage that writes, as this pass may still read x.
 *
 * The work is not divided into short submits: the application that submits it decides.
 */
GQE_API gqe_status gqe_layer_record(gqe_layer *layer, VkCommandBuffer commands, const gqe_vulkan_layer_io *io, gqe_error *error);

/*
 * A timeline semaphore and the value that is waited for, or that it is set to. Before it is destroyed the queue must be idle
 * (vkQueueWaitIdle): Mesa 25.0 still reads it for a moment after its last value can be seen.
 */
typedef struct gqe_vulkan_semaphore {
	VkSemaphore semaphore; /* of type VK_SEMAPHORE_TYPE_TIMELINE; VK_NULL_HANDLE is GQE_ERROR_USAGE */
	uint64_t value;        /* waited for, or set */
} gqe_vulkan_semaphore;

/* What gqe_layer_submit waits for and signals; NULL: nothing, which a device without timelineSemaphore can do too. */
typedef struct gqe_vulkan_submit {
	size_t size;                         /* sizeof(gqe_vulkan_submit) */
	uint32_t wait_count;                 /* at most 16 */
	uint32_t signal_count;               /* at most 16 */
	const gqe_vulkan_semaphore *waits;   /* [wait_count] */
	const gqe_vulkan_semaphore *signals; /* [signal_count] */
} gqe_vulkan_submit;

/*
 * Submits one pass of a layer to the import's queue, after the waits, and returns before it has run; the signals follow it, and
 * with them y, and what it wrote to an imported KV cache, are visible to all that waits for them; x may be written again then.
 * Waits on the host until the layer's gqe_layer_submit before has finished, as does gqe_layer_destroy. Functions that compute with
 * the layer afterwards use the same queue and so come after it.
 */
GQE_API gqe_status gqe_layer_submit(gqe_layer *layer, const gqe_vulkan_layer_io *io, const gqe_vulkan_submit *submit,
				    gqe_error *error);

#ifdef __cplusplus
}
#endif

#endif
