/* Inside the Vulkan storey: the VkPipelineCache and its file. A file that is missing, stale, too large or damaged is a miss. */
#ifndef GQE_VULKAN_PIPELINE_CACHE_H
#define GQE_VULKAN_PIPELINE_CACHE_H

#include "vulkan/cache_file.h"

struct gqe_pipeline_cache {
	VkPipelineCache handle; /* VK_NULL_HANDLE: pipelines are made without a cache */
	struct gqe_cache_file file;
};

/* `cache_dir` as gqe_context_params.cache_dir. Without a folder, or on a driver whose cache is broken, there is no cache. */
gqe_status gqe_pipeline_cache_open(struct gqe_vulkan *vulkan, const char *cache_dir, struct gqe_pipeline_cache *cache,
				   gqe_error *error);
/* Writes the file when its content would change: a temporary file beside it, then renamed. Frees everything. */
void gqe_pipeline_cache_close(struct gqe_vulkan *vulkan, struct gqe_pipeline_cache *cache);

#endif
