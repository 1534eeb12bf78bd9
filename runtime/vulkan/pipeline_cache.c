#include "vulkan/pipeline_cache.h"
#include "vulkan/instance.h"

#include <stdlib.h>

gqe_status gqe_pipeline_cache_open(struct gqe_vulkan *vulkan, const char *cache_dir, struct gqe_pipeline_cache *cache,
				   gqe_error *error)
{
	gqe_status status = GQE_OK;
	*cache = (struct gqe_pipeline_cache){0};
	if (vulkan->capabilities.quirks & GQE_QUIRK_NO_PIPELINE_CACHE) {
		return GQE_OK;
	}
	size_t bytes = 0;
	gqe_cache_file_init(&cache->file, vulkan, cache_dir, "pipelines", 0);
	uint8_t *content = gqe_cache_file_read(&cache->file, vulkan, &bytes);
	VkPipelineCacheCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
		.initialDataSize = content ? bytes : 0,
		.pInitialData = content,
	};
	VK_MAKE(vulkan, error, &cache->handle, vkCreatePipelineCache, vulkan->device, &info, NULL);
fail:
	free(content);
	return status;
}

/* The driver's content, malloc'ed; NULL, and logged if it is the driver's fault: there is none. */
static uint8_t *driver_content(const struct gqe_vulkan *vulkan, VkPipelineCache handle, size_t *bytes)
{
	*bytes = 0;
	VkResult result = vulkan->fn.vkGetPipelineCacheData(vulkan->device, handle, bytes, NULL);
	uint8_t *content = result == VK_SUCCESS && *bytes > 0 ? malloc(*bytes) : NULL;
	if (content) {
		result = vulkan->fn.vkGetPipelineCacheData(vulkan->device, handle, bytes, content);
	}
	if (result != VK_SUCCESS) {
		gqe_vulkan_fail(vulkan, result, "vkGetPipelineCacheData", NULL);
		free(content);
		content = NULL;
	}
	return content;
}

static void save(struct gqe_vulkan *vulkan, struct gqe_pipeline_cache *cache)
{
	size_t bytes;
	uint8_t *content = driver_content(vulkan, cache->handle, &bytes);
	if (content) {
		gqe_cache_file_write(&cache->file, vulkan, content, bytes);
	}
	free(content);
}

void gqe_pipeline_cache_close(struct gqe_vulkan *vulkan, struct gqe_pipeline_cache *cache)
{
	if (cache->handle) {
		if (cache->file.path) {
			save(vulkan, cache);
		}
		vulkan->fn.vkDestroyPipelineCache(vulkan->device, cache->handle, NULL);
		cache->handle = VK_NULL_HANDLE;
	}
	gqe_cache_file_release(&cache->file);
}
