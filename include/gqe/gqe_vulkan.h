/*
 * gqe beside an application's own Vulkan: what a context takes from the application instead of making it.
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
	size_t size;
	/*
	 * How Vulkan's functions are found. NULL: the library opens the system's loader. It is called, and what it returns is
	 * called, until gqe_context_destroy has returned.
	 */
	PFN_vkGetInstanceProcAddr get_instance_proc_addr;
} gqe_vulkan_import;

#ifdef __cplusplus
}
#endif

#endif
