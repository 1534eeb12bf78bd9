/*
 * Inside the Vulkan storey: binaries of shader objects, and their file. For drivers whose VkPipelineCache keeps nothing. One file
 * a device holds those of every kernel; a file that is missing, stale, too large or damaged is a miss, and none of it reaches the
 * driver.
 */
#ifndef GQE_VULKAN_SHADER_CACHE_H
#define GQE_VULKAN_SHADER_CACHE_H

#include "vulkan/cache_file.h"
#include "vulkan/pipeline.h"

/* All that a binary follows from, beside device and driver. Compared as bytes, and has no padding. */
struct gqe_shader_key {
	char kernel[64]; /* and variant, filled up with zeros */
	uint64_t spirv_hash;
	uint32_t spirv_bytes;
	uint32_t flags;         /* VkShaderCreateFlagsEXT */
	uint32_t subgroup_size; /* that is required; 0: none */
	uint32_t value_count;
	uint32_t values[GQE_MAX_SPECIALIZATION]; /* unused ones 0 */
};
_Static_assert(sizeof(struct gqe_shader_key) == 64 + 8 + 4 * (4 + GQE_MAX_SPECIALIZATION), "no padding");

struct gqe_shader_cache {
	struct gqe_cache_file file;
	bool is_read;
	uint8_t *content; /* [bytes] of the file, from the first shader that is made until the cache is closed; NULL: nothing */
	size_t bytes;
};

struct gqe_shader_key gqe_shader_key(const struct gqe_pipeline *pipeline, uint32_t flags, uint32_t subgroup_size);

/* `cache_dir` as gqe_context_params.cache_dir. Reads nothing. */
void gqe_shader_cache_open(const struct gqe_vulkan *vulkan, const char *cache_dir, struct gqe_shader_cache *cache);
/* Reads the file, once; under a lock. */
void gqe_shader_cache_read(const struct gqe_vulkan *vulkan, struct gqe_shader_cache *cache);
/* The binary for that key, aligned as the driver wants it; NULL: there is none. On any thread once the file was read. */
const void *gqe_shader_cache_find(const struct gqe_shader_cache *cache, const struct gqe_shader_key *key, size_t *bytes);

/* A shader whose binary the file should have. */
struct gqe_new_shader {
	struct gqe_shader_key key;
	VkShaderEXT handle;
};
/*
 * Writes the binaries of these, and behind them what others have written meanwhile or before; the oldest are dropped when the file
 * becomes too large.
 */
void gqe_shader_cache_write(const struct gqe_vulkan *vulkan, struct gqe_shader_cache *cache, const struct gqe_new_shader *shaders,
			    size_t count);
void gqe_shader_cache_close(struct gqe_shader_cache *cache);

#endif
