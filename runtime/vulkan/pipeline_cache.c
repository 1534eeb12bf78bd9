#include "vulkan/pipeline_cache.h"
#include "vulkan/instance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <direct.h>
#include <process.h>
#include <windows.h>
#define make_folder(path) _mkdir(path)
#define process_id() ((unsigned)_getpid())
#define IS_SEPARATOR(c) ((c) == '/' || (c) == '\\')
#else
#include <sys/stat.h>
#include <unistd.h>
#define make_folder(path) mkdir(path, 0700)
#define process_id() ((unsigned)getpid())
#define IS_SEPARATOR(c) ((c) == '/')
#endif

/* A file beyond this is not worth reading: it has collected pipelines of many versions, and starts anew. */
#define MAX_FILE_BYTES ((size_t)64 << 20)

/*
 * What a file begins with. All of it but the last two fields must be as expected for the driver to see the rest: not every driver
 * checks what it is given. Read and written by the same machine, so in its byte order.
 */
struct file_header {
	char magic[8];
	uint32_t library_version;
	uint32_t vendor_id, device_id, driver_version;
	uint8_t device_uuid[16];
	uint8_t pipeline_cache_uuid[VK_UUID_SIZE];
	uint64_t content_bytes;
	uint64_t content_hash;
};

static struct file_header expected_header(const struct gqe_vulkan *vulkan)
{
	struct file_header header;
	memset(&header, 0, sizeof(header)); /* padding too: headers are compared as bytes */
	memcpy(header.magic, "gqepipe1", sizeof(header.magic));
	header.library_version = GQE_VERSION;
	header.vendor_id = vulkan->info.vendor_id;
	header.device_id = vulkan->info.device_id;
	header.driver_version = vulkan->info.driver_version;
	memcpy(header.device_uuid, vulkan->info.uuid, sizeof(header.device_uuid));
	memcpy(header.pipeline_cache_uuid, vulkan->pipeline_cache_uuid, sizeof(header.pipeline_cache_uuid));
	return header;
}

/* FNV-1a: finds damage, is no protection against intent. */
static uint64_t hash_bytes(const uint8_t *bytes, size_t count)
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (size_t i = 0; i < count; i++) {
		hash = (hash ^ bytes[i]) * 0x100000001b3u;
	}
	return hash;
}

/* malloc'ed "<folder><middle><name>"; NULL when a part is missing or there is no memory. */
static char *join(const char *folder, const char *middle, const char *name)
{
	if (!folder || !folder[0]) {
		return NULL;
	}
	size_t size = strlen(folder) + strlen(middle) + strlen(name) + 1;
	char *path = malloc(size);
	if (path) {
		snprintf(path, size, "%s%s%s", folder, middle, name);
	}
	return path;
}

/* The user's folder for such files, malloc'ed; NULL: none is known. */
static char *default_folder(void)
{
#ifdef _WIN32
	return join(getenv("LOCALAPPDATA"), "\\", "gqe");
#else
	const char *cache = getenv("XDG_CACHE_HOME");
	if (cache && cache[0] == '/') { /* the XDG specification ignores relative ones */
		return join(cache, "/", "gqe");
	}
	return join(getenv("HOME"), "/", ".cache/gqe");
#endif
}

/* Named by device, so that several devices of a machine do not overwrite each other's. */
static char *file_path(const struct gqe_vulkan *vulkan, const char *cache_dir)
{
	char name[128];
	int length = snprintf(name, sizeof(name), "pipelines-%04x-%04x-", vulkan->info.vendor_id, vulkan->info.device_id);
	for (size_t i = 0; i < sizeof(vulkan->info.uuid); i++) {
		length += snprintf(name + length, sizeof(name) - (size_t)length, "%02x", vulkan->info.uuid[i]);
	}
	snprintf(name + length, sizeof(name) - (size_t)length, ".bin");

	char *folder = cache_dir ? join(cache_dir, "", "") : default_folder();
	char *path = join(folder, "/", name);
	free(folder);
	return path;
}

/* The content of the file, malloc'ed, when it is whole and meant for this device and driver; else NULL. */
static uint8_t *read_file(const struct gqe_vulkan *vulkan, const char *path, size_t *bytes, uint64_t *hash)
{
	FILE *file = fopen(path, "rb");
	if (!file) {
		return NULL;
	}
	struct file_header header, expected = expected_header(vulkan);
	uint8_t *content = NULL;
	bool good = fread(&header, sizeof(header), 1, file) == 1;
	if (good) {
		expected.content_bytes = header.content_bytes;
		expected.content_hash = header.content_hash;
		good = memcmp(&header, &expected, sizeof(header)) == 0 && header.content_bytes > 0 &&
		       header.content_bytes <= MAX_FILE_BYTES;
	}
	if (good) {
		content = malloc((size_t)header.content_bytes);
		good = content && fread(content, 1, (size_t)header.content_bytes, file) == header.content_bytes &&
		       fgetc(file) == EOF && hash_bytes(content, (size_t)header.content_bytes) == header.content_hash;
	}
	fclose(file);
	if (!good) {
		free(content);
		gqe_log_write(&vulkan->log, GQE_LOG_DEBUG, "pipeline cache: %s is stale or damaged and is not used", path);
		return NULL;
	}
	*bytes = (size_t)header.content_bytes;
	*hash = header.content_hash;
	return content;
}

void gqe_pipeline_cache_open(struct gqe_vulkan *vulkan, const char *cache_dir, struct gqe_pipeline_cache *cache)
{
	*cache = (struct gqe_pipeline_cache){0};
	if (vulkan->capabilities.quirks & GQE_QUIRK_NO_PIPELINE_CACHE) {
		return;
	}
	size_t bytes = 0;
	uint8_t *content = NULL;
	if (!cache_dir || cache_dir[0]) {
		cache->path = file_path(vulkan, cache_dir);
	}
	if (cache->path) {
		content = read_file(vulkan, cache->path, &bytes, &cache->loaded_hash);
	}
	VkPipelineCacheCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
		.initialDataSize = bytes,
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

/* Creates every missing folder above the file. What cannot be created shows when the file is opened. */
static void make_folders_above(char *path)
{
	for (char *c = path + 1; *c; c++) {
		if (IS_SEPARATOR(*c)) {
			char separator = *c;
			*c = 0;
			make_folder(path);
			*c = separator;
		}
	}
}

static bool replace_file(const char *from, const char *to)
{
#ifdef _WIN32
	return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING) != 0;
#else
	return rename(from, to) == 0;
#endif
}

static void write_file(struct gqe_vulkan *vulkan, char *path, const uint8_t *content, size_t bytes, uint64_t hash)
{
	struct file_header header = expected_header(vulkan);
	header.content_bytes = bytes;
	header.content_hash = hash;

	/* Contexts of this process and of others may do the same at the same time: each has a file of its own. */
	char suffix[64];
	snprintf(suffix, sizeof(suffix), ".%u-%p.tmp", process_id(), (void *)vulkan);
	char *temporary = join(path, suffix, "");
	if (!temporary) {
		return;
	}
	make_folders_above(path);
	FILE *file = fopen(temporary, "wb");
	bool good = file && fwrite(&header, sizeof(header), 1, file) == 1 && fwrite(content, 1, bytes, file) == bytes;
	if (file && fclose(file) != 0) {
		good = false;
	}
	if (!good || !replace_file(temporary, path)) {
		gqe_log_write(&vulkan->log, GQE_LOG_WARNING, "pipeline cache: cannot write %s: %s", path, strerror(errno));
		if (file) {
			remove(temporary);
		}
	}
	free(temporary);
}

static void save(struct gqe_vulkan *vulkan, struct gqe_pipeline_cache *cache)
{
	size_t bytes = 0;
	VkResult result = vulkan->fn.vkGetPipelineCacheData(vulkan->device, cache->handle, &bytes, NULL);
	if (result != VK_SUCCESS || bytes == 0 || bytes > MAX_FILE_BYTES) {
		return;
	}
	uint8_t *content = malloc(bytes);
	if (!content) {
		return;
	}
	result = vulkan->fn.vkGetPipelineCacheData(vulkan->device, cache->handle, &bytes, content);
	uint64_t hash = result == VK_SUCCESS ? hash_bytes(content, bytes) : 0;
	if (result == VK_SUCCESS && hash != cache->loaded_hash) {
		write_file(vulkan, cache->path, content, bytes, hash);
	}
	free(content);
}

void gqe_pipeline_cache_close(struct gqe_vulkan *vulkan, struct gqe_pipeline_cache *cache)
{
	if (cache->handle) {
		if (cache->path) {
			save(vulkan, cache);
		}
		vulkan->fn.vkDestroyPipelineCache(vulkan->device, cache->handle, NULL);
		cache->handle = VK_NULL_HANDLE;
	}
	free(cache->path);
	cache->path = NULL;
}
