/*
 * The device: loader, instance, physical device, capabilities, logical device, function table. Knows no GQE.
 * One struct gqe_vulkan per context; nothing is global.
 */
#ifndef GQE_VULKAN_DEVICE_H
#define GQE_VULKAN_DEVICE_H

#include <pthread.h>
#include <stdatomic.h>

#include "vulkan/headers.h"

#include <gqe/gqe_vulkan.h>

#include "common/common.h"
#include "vulkan/pace.h"
#include "vulkan/functions.h" /* struct gqe_vulkan_functions: X-macro lists of entry points, loaded per context */

/* Property bits that the quirk function derives from vendor, driver and version; nobody else looks at those. */
enum gqe_quirk {
	GQE_QUIRK_NO_PIPELINE_CACHE = 1u << 0, /* broken_pipeline_cache */
	GQE_QUIRK_BROKEN_SUBGROUP = 1u << 1,   /* broken_subgroup: half of a subgroup's invocations never run */
	GQE_QUIRK_LOOP_LIMIT = 1u << 2,        /* loop_limit: loops end early, see gqe_capabilities.max_loop_iterations */
	GQE_QUIRK_SLOW_UNIFORM_LOAD = 1u << 3, /* slow_uniform_load: one address in all lanes costs as many loads as lanes */
	GQE_QUIRK_SLOW_MATRIX = 1u << 4,       /* slow_matrix: cooperative matrices are advertised and emulated */
	GQE_QUIRK_GRID_IN_PARTS = 1u << 5,     /* grid_in_parts: every thread has one contiguous part of a dispatch's workgroups */
	GQE_QUIRK_SLOW_COMPILER = 1u << 6,     /* slow_compiler: compile time grows faster than a kernel's code */
	GQE_QUIRK_SLOW_LONG_LOOP = 1u << 7,    /* slow_long_loop: a long loop body takes longer than short ones that do the same */
	GQE_QUIRK_EMPTY_PIPELINE_CACHE = 1u << 8, /* empty_pipeline_cache: a VkPipelineCache keeps nothing */
	GQE_QUIRK_END = 1u << 9                   /* past the last; gqe_quirk_name has as many names */
};

/*
 * Families of hardware that tiles are chosen for. A device that is none of the known ones is judged by its features alone.
 */
enum gqe_architecture {
	GQE_ARCHITECTURE_OTHER,
	GQE_ARCHITECTURE_CPU,    /* a driver that computes on the processor */
	GQE_ARCHITECTURE_GCN,    /* AMD before RDNA: subgroups of 64 only */
	GQE_ARCHITECTURE_RDNA1,  /* AMD Radeon RX 5000 */
	GQE_ARCHITECTURE_RDNA2,  /* AMD Radeon RX 6000 */
	GQE_ARCHITECTURE_RDNA3,  /* AMD Radeon RX 7000 */
	GQE_ARCHITECTURE_RDNA4,  /* AMD Radeon RX 9000, and what comes after */
	GQE_ARCHITECTURE_XE_LP,  /* Intel Gen9, Xe-LP and Xe-LPG: subgroups of 8, no matrix units */
	GQE_ARCHITECTURE_XE_HPG, /* Intel Arc A: the same with matrix units */
	GQE_ARCHITECTURE_XE2,    /* Intel Lunar Lake, Battlemage, and what comes after: subgroups of 16 and more */
	GQE_ARCHITECTURE_TURING, /* NVIDIA GTX 16, RTX 20, and what cannot be told apart */
	GQE_ARCHITECTURE_AMPERE  /* NVIDIA RTX 30, and what comes after */
};

/* What a device can do, as the kernels care about it. Filled once by gqe_capabilities_read. */
struct gqe_capabilities {
	bool storage16;          /* storageBuffer16BitAccess (16-bit loads and stores through pointers) */
	bool float16;            /* shaderFloat16 */
	bool memory_model;       /* vulkanMemoryModel */
	bool subgroup_broadcast; /* compute-stage basic+ballot/shuffle broadcast with a dynamically uniform index, size controllable
				    or fixed */
	bool subgroup_size_control;
	bool full_subgroups;
	bool timestamps;
	uint32_t timestamp_bits; /* of the queue's counter, 36...64; 0: no timestamps */
	double timestamp_period; /* nanoseconds a tick */
	uint32_t subgroup_size, subgroup_size_min, subgroup_size_max;
	uint32_t max_workgroup_invocations;
	uint32_t max_workgroup_count_x, max_workgroup_count_y;
	uint32_t shared_memory_bytes;
	uint32_t max_push_bytes;
	uint64_t max_allocation_bytes; /* min of maxMemoryAllocationSize and, where known, maxBufferSize */
	/*
	 * Most iterations that all loops of one invocation may make together, nested ones counted each time and one more for every
	 * loop that ends; beyond it the driver leaves loops without a word. UINT32_MAX: no limit.
	 */
	uint32_t max_loop_iterations;
	/*
	 * VK_KHR_cooperative_matrix: shapes with f16 factors and f32 sums that a subgroup multiplies in compute shaders. 0 shapes:
	 * the extension or something it needs is missing.
	 */
	uint32_t matrix_shape_count;
	gqe_matrix_shape matrix_shapes[GQE_MAX_MATRIX_SHAPES];
	bool matrix_rows_known; /* VK_NV_cooperative_matrix2: reductions, conversions, operations per element */
	/*
	 * VK_EXT_shader_object is to be used, with binaries of ours on disk: only where a VkPipelineCache keeps nothing, and never
	 * for reports, which are on pipelines.
	 */
	bool shader_objects;
	uint8_t shader_binary_uuid[VK_UUID_SIZE]; /* with the version: what those binaries are good for */
	uint32_t shader_binary_version;
	uint32_t quirks; /* enum gqe_quirk bits */
	bool is_cpu;
	enum gqe_architecture architecture;
	uint8_t pipeline_cache_uuid[VK_UUID_SIZE]; /* what caches on disk are good for */
};

struct gqe_memory_accounting {
	uint64_t used, peak, limit;
};

/*
 * What the sessions of a context share, as they may run on different threads. A thread that holds more than one takes them in this
 * order. The log callback may be called with one held.
 */
struct gqe_vulkan_locks {
	pthread_mutex_t staging;   /* staging, for a whole transfer */
	pthread_mutex_t memory;    /* memory and addresses */
	pthread_mutex_t pipelines; /* the list of pipelines */
	pthread_mutex_t queue;     /* queue: submits */
};

struct gqe_vulkan {
	struct gqe_vulkan_functions fn;
	void *loader; /* the opened library; NULL: the caller's entry is used */
	VkInstance instance;
	uint32_t instance_version; /* its apiVersion, or what is certain of it: no device is used beyond it */
	VkDebugUtilsMessengerEXT messenger;
	_Atomic uint32_t validation_errors; /* counted by the messenger, on any thread */
	VkPhysicalDevice physical;
	VkDevice device;
	VkQueue queue;
	uint32_t queue_family;
	VkPhysicalDeviceMemoryProperties memory_properties;
	struct gqe_capabilities capabilities;
	gqe_device_info info;
	bool reports_pipelines; /* pipelines are made with statistics and assembly kept */
	struct gqe_memory_accounting memory;
	struct gqe_log log;
	struct gqe_vulkan_locks locks;
	bool device_is_imported, instance_is_imported;
	void (*lock_queue)(void *user), (*unlock_queue)(void *user); /* of an imported queue; may be NULL */
	void *lock_user;
	struct gqe_pace pace;
	uint32_t threads;                  /* as gqe_vulkan_params.threads */
	struct gqe_address_map *addresses; /* memory.h: every live device buffer by address */
	struct gqe_pipelines *pipelines;   /* pipeline.h: created lazily, cached on disk */
	struct gqe_staging *staging;       /* memory.h: made by the first upload, download or fill */
};

struct gqe_vulkan_params {
	const gqe_vulkan_import *import; /* NULL: nothing is the caller's */
	const char *device;              /* as gqe_context_params.device, but never "reference"; NULL: auto */
	uint64_t memory_limit;
	const char *cache_dir;
	bool validation;
	double target_seconds, cap_seconds; /* of a submit; 0: the defaults */
	bool low_impact;
	uint32_t threads; /* that make pipelines; 0: the number of processors */
	/* For devices that need not be there: pipelines keep the compiler's statistics and assembly, nothing can be submitted. */
	bool report_pipelines;
	struct gqe_log log;
};

gqe_status gqe_vulkan_create(const struct gqe_vulkan_params *params, struct gqe_vulkan **vulkan, gqe_error *error);
void gqe_vulkan_destroy(struct gqe_vulkan **vulkan);

/*
 * Lists devices with a short-lived instance. `devices` and `capabilities` (parallel; the latter zeros for an unusable device) are
 * malloc'ed; both NULL for an empty list.
 */
gqe_status gqe_vulkan_list(gqe_device_info **devices, struct gqe_capabilities **capabilities, uint32_t *count, gqe_error *error);

/*
 * Picks from a list by the rules of gqe_context_params.device; pure, so that it can be tested without a driver. GQE_ERROR_NO_DEVICE
 * with a message that lists what exists when nothing fits or the match is rejected.
 */
gqe_status gqe_device_select(const gqe_device_info *devices, uint32_t count, const char *selector, uint32_t *index,
			     gqe_error *error);

/* The one place that reads vendor and driver ids: gqe_quirk bits, each with its driver range and a link in the source. */
uint32_t gqe_quirks(uint32_t vendor_id, uint32_t device_id, VkDriverId driver_id, uint32_t driver_version, uint32_t api_version);

/* Around every use of the queue: other sessions, and an application whose queue it is, use it too. */
void gqe_queue_lock(struct gqe_vulkan *vulkan);
void gqe_queue_unlock(struct gqe_vulkan *vulkan);

/* What is allocated now, consistent while other threads allocate. */
struct gqe_memory_accounting gqe_vulkan_memory(struct gqe_vulkan *vulkan);
/* Which family a device belongs to; with gqe_quirks the only one to read ids. `capabilities`: subgroup sizes and is_cpu are filled.
 */
enum gqe_architecture gqe_architecture_of(uint32_t vendor_id, uint32_t device_id, const struct gqe_capabilities *capabilities);

/* Turns a VkResult into a status with a message that names the call, the result and the device. */
gqe_status gqe_vulkan_fail(const struct gqe_vulkan *vulkan, VkResult result, const char *call, gqe_error *error);

/*
 * VK(vulkan, error, vkResetFences, vulkan->device, 1, &fence): calls through the function table; on failure records call and result
 * in `error` and jumps to the label `fail`, with `status` (a local gqe_status) set.
 */
#define VK(vulkan, error, name, ...)                                                    \
	do {                                                                            \
		VkResult gqe_result = (vulkan)->fn.name(__VA_ARGS__);                   \
		if (gqe_result != VK_SUCCESS) {                                         \
			status = gqe_vulkan_fail((vulkan), gqe_result, #name, (error)); \
			goto fail;                                                      \
		}                                                                       \
	} while (0)

/* The same for a call that fills a list: one that has grown since it was counted is as long as it was. */
#define VK_LIST(vulkan, error, name, ...)                                               \
	do {                                                                            \
		VkResult gqe_result = (vulkan)->fn.name(__VA_ARGS__);                   \
		if (gqe_result != VK_SUCCESS && gqe_result != VK_INCOMPLETE) {          \
			status = gqe_vulkan_fail((vulkan), gqe_result, #name, (error)); \
			goto fail;                                                      \
		}                                                                       \
	} while (0)

/*
 * VK_MAKE(vulkan, error, &fence, vkCreateFence, vulkan->device, &info, NULL): the same for a call whose last argument is the handle
 * that it makes. What a failing call leaves there is undefined; this makes it VK_NULL_HANDLE.
 */
#define VK_MAKE(vulkan, error, made, name, ...)                                         \
	do {                                                                            \
		VkResult gqe_result = (vulkan)->fn.name(__VA_ARGS__, (made));           \
		if (gqe_result != VK_SUCCESS) {                                         \
			*(made) = VK_NULL_HANDLE;                                       \
			status = gqe_vulkan_fail((vulkan), gqe_result, #name, (error)); \
			goto fail;                                                      \
		}                                                                       \
	} while (0)

#endif
