#include "vulkan/instance.h"

#include "common/platform.h"

static gqe_status missing(const char *name, gqe_error *error)
{
	return gqe_fail(error, GQE_ERROR_NO_DEVICE, "the Vulkan loader or driver lacks the function %s; update it", name);
}

static gqe_status open_library(struct gqe_vulkan *vulkan, gqe_error *error)
{
	const char *name;
	vulkan->loader = gqe_vulkan_library_open(&name);
	if (!vulkan->loader) {
		return gqe_fail(error, GQE_ERROR_NO_DEVICE,
				"there is no Vulkan loader (%s) on this machine; install it (Debian: libvulkan1) and a driver "
				"(Debian: mesa-vulkan-drivers), or use the device \"reference\"",
				name);
	}
	vulkan->fn.vkGetInstanceProcAddr = (PFN_vkGetInstanceProcAddr)gqe_vulkan_library_entry(vulkan->loader);
	return vulkan->fn.vkGetInstanceProcAddr ? GQE_OK : missing("vkGetInstanceProcAddr", error);
}

gqe_status gqe_loader_open(struct gqe_vulkan *vulkan, gqe_error *error)
{
	struct gqe_vulkan_functions *fn = &vulkan->fn;
	gqe_status status = fn->vkGetInstanceProcAddr ? GQE_OK : open_library(vulkan, error);
	if (status != GQE_OK) {
		return status;
	}
#define LOAD(name)                                                               \
	fn->name = (PFN_##name)fn->vkGetInstanceProcAddr(VK_NULL_HANDLE, #name); \
	if (!fn->name) {                                                         \
		return missing(#name, error);                                    \
	}
	GQE_GLOBAL_FUNCTIONS(LOAD)
#undef LOAD
	/* A 1.0 loader lacks this function and everything that gqe asks of an instance; later ones take any version of it. */
	if (!fn->vkGetInstanceProcAddr(VK_NULL_HANDLE, "vkEnumerateInstanceVersion")) {
		return gqe_fail(error, GQE_ERROR_NO_DEVICE, "the Vulkan loader is version 1.0; 1.1 or later is needed");
	}
	return GQE_OK;
}

gqe_status gqe_loader_instance_functions(struct gqe_vulkan *vulkan, gqe_error *error)
{
	struct gqe_vulkan_functions *fn = &vulkan->fn;
#define LOAD_IF_PRESENT(name) fn->name = (PFN_##name)fn->vkGetInstanceProcAddr(vulkan->instance, #name);
#define LOAD(name)                            \
	LOAD_IF_PRESENT(name)                 \
	if (!fn->name) {                      \
		return missing(#name, error); \
	}
	GQE_INSTANCE_FUNCTIONS(LOAD)
	GQE_OPTIONAL_INSTANCE_FUNCTIONS(LOAD_IF_PRESENT)
	GQE_DEBUG_FUNCTIONS(LOAD_IF_PRESENT)
#undef LOAD
#undef LOAD_IF_PRESENT
	return GQE_OK;
}

gqe_status gqe_loader_device_functions(struct gqe_vulkan *vulkan, gqe_error *error)
{
	struct gqe_vulkan_functions *fn = &vulkan->fn;
#define LOAD(name)                                                             \
	fn->name = (PFN_##name)fn->vkGetDeviceProcAddr(vulkan->device, #name); \
	if (!fn->name) {                                                       \
		return missing(#name, error);                                  \
	}
	GQE_DEVICE_FUNCTIONS(LOAD)
	if (vulkan->reports_pipelines) {
		GQE_REPORT_FUNCTIONS(LOAD)
	}
	if (vulkan->capabilities.shader_objects) {
		GQE_SHADER_OBJECT_FUNCTIONS(LOAD)
	}
#undef LOAD
	return GQE_OK;
}

void gqe_loader_close(struct gqe_vulkan *vulkan)
{
	if (vulkan->loader) {
		gqe_vulkan_library_close(vulkan->loader);
		vulkan->loader = NULL;
	}
}
