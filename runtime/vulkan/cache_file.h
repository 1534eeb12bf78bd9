/*
 * Files that keep what a device taught us between runs: pipelines, tiles. One file a device and kind. A file that is missing, stale
 * (other driver, library or key), too large or damaged is a miss, never an error; writing is atomic.
 */
#ifndef GQE_VULKAN_CACHE_FILE_H
#define GQE_VULKAN_CACHE_FILE_H

#include "vulkan/device.h"

struct gqe_cache_file {
	const char *kind;     /* begins the file's name; at most 15 characters, static */
	uint64_t key;         /* what else the content depends on, such as the shaders' hash */
	char *path;           /* NULL: no file */
	uint64_t loaded_hash; /* of the content that was read; 0: nothing was read */
};

/* `cache_dir` as gqe_context_params.cache_dir. Never fails: without memory or folder there is no file. */
void gqe_cache_file_init(struct gqe_cache_file *cache, const struct gqe_vulkan *vulkan, const char *cache_dir, const char *kind,
			 uint64_t key);
void gqe_cache_file_release(struct gqe_cache_file *cache);

/* The content, malloc'ed, when it is whole and meant for this device, driver, library and key; else NULL. */
uint8_t *gqe_cache_file_read(struct gqe_cache_file *cache, const struct gqe_vulkan *vulkan, size_t *bytes);
/* A temporary file beside it, then renamed; nothing when it holds that already. False: it could not be written, which is logged. */
bool gqe_cache_file_write(struct gqe_cache_file *cache, const struct gqe_vulkan *vulkan, const uint8_t *content, size_t bytes);

/* Finds damage, is no protection against intent. Eight bytes at a time: a file of binaries has megabytes. */
uint64_t gqe_cache_hash(const uint8_t *bytes, size_t count);

#endif
