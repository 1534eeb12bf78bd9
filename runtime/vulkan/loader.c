#include "vulkan/instance.h"

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
static const char *const library_names[] = {"vulkan-1.dll"};
#else
#include <dlfcn.h>
#ifdef __APPLE__
static const char *const library_names[] = {"libvulkan.1.dylib", "libvulkan.dylib", "libMoltenVK.dylib"};
#else
static const char *const library_names[] = {"libvulkan.so.1", "libvulkan.so"};
#endif
#endif

static void *library_open(const char *name)
{
#ifdef _WIN32
	return (void *)LoadLibraryA(name);
#else
	return dlopen(name, RTLD_NOW | RTLD_LOCAL);
#endif
}

static void library_close(void *library)
{
#ifdef _WIN32
	FreeLibrary((HMODULE)library);
#else
	dlclose(library);
#endif
}

static PFN_vkGetInstanceProcAddr library_entry(void *library)
{
	PFN_vkGetInstanceProcAddr entry;
#ifdef _WIN32
	entry = (PFN_vkGetInstanceProcAddr)(void (*)(void))GetProcAddress((HMODULE)library, "vkGetInstanceProcAddr");
#else
	/* POSIX allows this way, and ISO C no direct cast, from an object pointer to a function pointer. */
	*(void **)&entry = dlsym(library, "vkGetInstanceProcAddr");
#endif
	return entry;
}

static gqe_status missing(const char *name, gqe_error *error)
{
	return gqe_fail(error, GQE_ERROR_NO_DEVICE, "the Vulkan loader or driver lacks the function %s; update it", name);
}

static gqe_status open_library(struct gqe_vulkan *vulkan, gqe_error *error)
{
	for (size_t i = 0; i < GQE_COUNT(library_names) && !vulkan->loader; i++) {
		vulkan->loader = library_open(library_names[i]);
	}
	if (!vulkan->loader) {
		return gqe_fail(error, GQE_ERROR_NO_DEVICE,
				"there is no Vulkan loader (%s) on this machine; install it (Debian: libvulkan1) and a driver "
				"(Debian: mesa-vulkan-drivers), or use the device \"reference\"",
				library_names[0]);
	}
	vulkan->fn.vkGetInstanceProcAddr = library_entry(vulkan->loader);
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
#undef LOAD
	return GQE_OK;
}

void gqe_loader_close(struct gqe_vulkan *vulkan)
{
	if (vulkan->loader) {
		library_close(vulkan->loader);
		vulkan->loader = NULL;
	}
}
