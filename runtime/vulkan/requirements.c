/* What an application's device should be made with: the same request that the library makes devices with. */
#include "vulkan/device_request.h"

#include <stdlib.h>

struct requirements {
	gqe_vulkan_requirements visible; /* what the caller sees; first, so that its address is this struct's */
	struct gqe_device_request request;
};

gqe_status gqe_vulkan_requirements_create(const gqe_vulkan_import *caller_import, gqe_vulkan_requirements **requirements,
					  gqe_error *error)
{
	gqe_vulkan_import import;
	if (!requirements) {
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_vulkan_requirements_create: requirements is NULL");
	}
	*requirements = NULL;
	gqe_status status = gqe_copy_params(&import, sizeof(import), caller_import, error);
	if (status != GQE_OK) {
		return status;
	}
	struct gqe_vulkan vulkan = {.fn.vkGetInstanceProcAddr = import.get_instance_proc_addr};
	struct gqe_physical_device physical;
	struct requirements *made = calloc(1, sizeof(*made));
	if (!made) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a device's requirements");
	}
	status = gqe_physical_device_import(&vulkan, &import, &physical, error);
	gqe_instance_close(&vulkan);
	if (status != GQE_OK) {
		free(made);
		return status;
	}
	gqe_device_request_init(&made->request, &physical, false, false);
	made->visible = (gqe_vulkan_requirements){
		.api_version = VK_API_VERSION_1_2,
		.queue_family = physical.queue_family,
		.extension_count = made->request.extension_count,
		.extensions = made->request.extensions,
		.features = made->request.features,
	};
	*requirements = &made->visible;
	return GQE_OK;
}

void gqe_vulkan_requirements_destroy(gqe_vulkan_requirements **requirements)
{
	if (requirements && *requirements) {
		free(*requirements);
		*requirements = NULL;
	}
}
