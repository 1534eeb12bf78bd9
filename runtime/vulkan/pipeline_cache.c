#include "vulkan/pipeline_cache.h"
#include "vulkan/instance.h"

#include <stdlib.h>

void gqe_pipeline_cache_open(struct gqe_vulkan *vulkan, const char *cache_dir, struct gqe_pipeline_cache *cache)
{
	*cache = (struct gqe_pipeline_cache){0};
	if (vulkan->capabilities.quirks & GQE_QUIRK_NO_PIPELINE_CACHE) {
		return;
	}
	size_t bytes = 0;
	gqe_cache_file_init(&cache->file, vulkan, cache_dir, "pipelines", 0);
	uint8_t *content = gqe_cache_file_read(&cache->file, vulkan, &bytes);
	VkPipelineCacheCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
		.initialDataSize = content ? bytes : 0,
		.pInitialData = content,
	};
	VkResult result = vulkan->fn.vkCreatePipelineCache(vulkan->device, &info, NULL, &cache->handle);
	free(content);
	if (result != VK_SUCCESS) {
		char number[32];
		cache->handle = VK_NULL_HANDLE;
		gqe_log_write(&vulkan->log, GQE_LOG_WARNING, "pipeline cache: vkCreatePipelineCache failed with %s",
			      gqe_result_name(result, number));
	}
}

static void save(struct gqe_vulkan *vulkan, struct gqe_pipeline_cache *cache)
{
	size_t bytes = 0;
	VkResult result = vulkan->fn.vkGetPipelineCacheData(vulkan->device, cache->handle, &bytes, NULL);
	uint8_t *content = result == VK_SUCCESS && bytes > 0 ? malloc(bytes) : NULL;
	if (!content) {
		return;
	}
	result = vulkan->fn.vkGetPipelineCacheData(vulkan->device, cache->handle, &bytes, content);
	if (result == VK_SUCCESS) {
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
