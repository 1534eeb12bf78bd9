#include "vulkan/cache_file.h"

#include "common/platform.h"
#include "common/temporary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file beyond this is not worth reading: it has collected pipelines of many versions, and starts anew. */
#define MAX_FILE_BYTES ((size_t)64 << 20)

/*
 * Files that killed processes leave behind, at most. Beyond that one is taken over: should its owner be alive after all, the worst
 * is a damaged file, which is a miss.
 */
#define MOST_TEMPORARIES 4

/*
 * What a file begins with. All of it but the last two fields must be as expected for the content to be used: not every driver
 * checks what it is given. Read and written by the same machine, so in its byte order.
 */
struct file_header {
	char magic[8];
	char kind[16];
	uint32_t library_version;
	uint32_t vendor_id, device_id, driver_version;
	uint8_t device_uuid[16];
	uint8_t pipeline_cache_uuid[VK_UUID_SIZE];
	uint64_t key;
	uint64_t content_bytes;
	uint64_t content_hash;
};

static struct file_header expected_header(const struct gqe_vulkan *vulkan, const struct gqe_cache_file *cache)
{
	struct file_header header;
	memset(&header, 0, sizeof(header)); /* padding too: headers are compared as bytes */
	memcpy(header.magic, "gqecach4", sizeof(header.magic));
	snprintf(header.kind, sizeof(header.kind), "%s", cache->kind);
	header.library_version = GQE_VERSION;
	header.vendor_id = vulkan->info.vendor_id;
	header.device_id = vulkan->info.device_id;
	header.driver_version = vulkan->info.driver_version;
	memcpy(header.device_uuid, vulkan->info.uuid, sizeof(header.device_uuid));
	memcpy(header.pipeline_cache_uuid, vulkan->capabilities.pipeline_cache_uuid, sizeof(header.pipeline_cache_uuid));
	header.key = cache->key;
	return header;
}

/* One to one, so that a change of one word always shows; the shift brings high bits down, which the product only moves up. */
static uint64_t mixed(uint64_t value)
{
	value *= 0x9e3779b97f4a7c15u;
	return value ^ value >> 32;
}

uint64_t gqe_cache_hash(const uint8_t *bytes, size_t count)
{
	uint64_t hash = count, word;
	for (; count >= sizeof(word); bytes += sizeof(word), count -= sizeof(word)) {
		memcpy(&word, bytes, sizeof(word));
		hash = mixed(hash ^ word);
	}
	word = 0;
	memcpy(&word, bytes, count);
	return mixed(hash ^ word);
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

void gqe_cache_file_init(struct gqe_cache_file *cache, const struct gqe_vulkan *vulkan, const char *cache_dir, const char *kind,
			 uint64_t key)
{
	*cache = (struct gqe_cache_file){.kind = kind, .key = key};
	if (cache_dir && !cache_dir[0]) {
		return;
	}
	/* Named by device, so that several devices of a machine do not overwrite each other's. */
	char name[128];
	int length = snprintf(name, sizeof(name), "%.15s-%04x-%04x-", kind, vulkan->info.vendor_id, vulkan->info.device_id);
	for (size_t i = 0; i < sizeof(vulkan->info.uuid); i++) {
		length += snprintf(name + length, sizeof(name) - (size_t)length, "%02x", vulkan->info.uuid[i]);
	}
	snprintf(name + length, sizeof(name) - (size_t)length, ".bin");

	char *folder = cache_dir ? NULL : gqe_cache_folder();
	cache->path = cache_dir ? join(cache_dir, "/", name) : join(folder, "/gqe/", name);
	free(folder);
}

void gqe_cache_file_release(struct gqe_cache_file *cache)
{
	free(cache->path);
	cache->path = NULL;
}

uint8_t *gqe_cache_file_read(struct gqe_cache_file *cache, const struct gqe_vulkan *vulkan, size_t *bytes)
{
	FILE *file = cache->path ? gqe_file_open(cache->path) : NULL;
	if (!file) {
		return NULL;
	}
	struct file_header header, expected = expected_header(vulkan, cache);
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
		       fgetc(file) == EOF && gqe_cache_hash(content, (size_t)header.content_bytes) == header.content_hash;
	}
	fclose(file);
	if (!good) {
		free(content);
		gqe_log_write(&vulkan->log, GQE_LOG_DEBUG, "cache of %s: %s is stale or damaged and is not used", cache->kind,
			      cache->path);
		return NULL;
	}
	*bytes = (size_t)header.content_bytes;
	cache->loaded_hash = header.content_hash;
	return content;
}

/* Creates every missing folder above the file. What cannot be created shows when the file is opened. */
static void make_folders_above(char *path)
{
	for (char *c = path + 1; *c; c++) {
		if (gqe_path_is_separator(*c)) {
			char separator = *c;
			*c = 0;
			gqe_folder_create(path);
			*c = separator;
		}
	}
}

bool gqe_cache_file_write(struct gqe_cache_file *cache, const struct gqe_vulkan *vulkan, const uint8_t *content, size_t bytes)
{
	if (!cache->path || bytes == 0 || bytes > MAX_FILE_BYTES) {
		return false;
	}
	struct file_header header = expected_header(vulkan, cache);
	header.content_bytes = bytes;
	header.content_hash = gqe_cache_hash(content, bytes);
	if (header.content_hash == cache->loaded_hash) {
		return true;
	}
	make_folders_above(cache->path);
	char *temporary;
	FILE *file = gqe_temporary_create(cache->path, MOST_TEMPORARIES, true, &temporary);
	bool good = file && fwrite(&header, sizeof(header), 1, file) == 1 && fwrite(content, 1, bytes, file) == bytes;
	if (file && fclose(file) != 0) {
		good = false;
	}
	good = good && gqe_file_replace(temporary, cache->path);
	if (!good) {
		gqe_log_write(&vulkan->log, GQE_LOG_WARNING, "cache of %s: cannot write %s: %s", cache->kind, cache->path,
			      strerror(errno));
		if (file) {
			gqe_file_remove(temporary);
		}
	}
	free(temporary);
	return good;
}
