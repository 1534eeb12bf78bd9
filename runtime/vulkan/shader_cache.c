#include "vulkan/shader_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the file's content. All kernels at one head size, in f32 and f16 with every tile, take 4 MB. */
#define MOST_BYTES ((size_t)16 << 20)

/* What Vulkan asks for where a binary goes to or comes from. */
#define ALIGNMENT 16

/* What stands before a binary in the file; both begin at multiples of ALIGNMENT. */
struct entry {
	struct gqe_shader_key key;
	uint64_t bytes;
};
#define ENTRY_BYTES ((sizeof(struct entry) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT)

static size_t whole_bytes(size_t binary_bytes)
{
	return ENTRY_BYTES + (size_t)gqe_align_up(binary_bytes, ALIGNMENT);
}

struct gqe_shader_key gqe_shader_key(const struct gqe_pipeline *pipeline, uint32_t flags, uint32_t subgroup_size)
{
	const struct gqe_kernel_variant *variant = pipeline->variant;
	struct gqe_shader_key key = {
		.spirv_hash = gqe_cache_hash((const uint8_t *)variant->spirv.words, variant->spirv.bytes),
		.spirv_bytes = (uint32_t)variant->spirv.bytes,
		.flags = flags,
		.subgroup_size = subgroup_size,
		.value_count = pipeline->specialization.count,
	};
	snprintf(key.kernel, sizeof(key.kernel), "%s (%s)", variant->kernel, variant->variant);
	memcpy(key.values, pipeline->specialization.values, key.value_count * sizeof(key.values[0]));
	return key;
}

void gqe_shader_cache_open(const struct gqe_vulkan *vulkan, const char *cache_dir, struct gqe_shader_cache *cache)
{
	const struct gqe_capabilities *capabilities = &vulkan->capabilities;
	const uint64_t key = gqe_cache_hash(capabilities->shader_binary_uuid, sizeof(capabilities->shader_binary_uuid)) ^
			     (uint64_t)capabilities->shader_binary_version << 32 ^ sizeof(struct entry);
	*cache = (struct gqe_shader_cache){0};
	gqe_cache_file_init(&cache->file, vulkan, cache_dir, "shaders", key);
}

/* malloc aligns so on 64-bit systems; where it happens not to, there is no cache. */
static bool is_aligned(const void *memory)
{
	return (uintptr_t)memory % ALIGNMENT == 0;
}

static uint8_t *read_file(const struct gqe_vulkan *vulkan, struct gqe_cache_file *file, size_t *bytes)
{
	*bytes = 0;
	uint8_t *content = gqe_cache_file_read(file, vulkan, bytes);
	if (!is_aligned(content)) {
		free(content);
		content = NULL;
		*bytes = 0;
	}
	return content;
}

void gqe_shader_cache_read(const struct gqe_vulkan *vulkan, struct gqe_shader_cache *cache)
{
	if (!cache->is_read) {
		cache->content = read_file(vulkan, &cache->file, &cache->bytes);
		cache->is_read = true;
	}
}

/* The entry at `*offset`, which becomes that of the next one; NULL past the last. */
static const struct entry *next_entry(const uint8_t *content, size_t bytes, size_t *offset)
{
	const size_t left = bytes - *offset;
	if (left < ENTRY_BYTES) {
		return NULL;
	}
	const struct entry *entry = (const void *)(content + *offset);
	if (entry->bytes == 0 || entry->bytes > left - ENTRY_BYTES || whole_bytes((size_t)entry->bytes) > left) {
		return NULL;
	}
	*offset += whole_bytes((size_t)entry->bytes);
	return entry;
}

const void *gqe_shader_cache_find(const struct gqe_shader_cache *cache, const struct gqe_shader_key *key, size_t *bytes)
{
	size_t offset = 0;
	for (const struct entry *entry; (entry = next_entry(cache->content, cache->bytes, &offset));) {
		if (memcmp(&entry->key, key, sizeof(*key)) == 0) {
			*bytes = (size_t)entry->bytes;
			return (const uint8_t *)entry + ENTRY_BYTES;
		}
	}
	return NULL;
}

/* What is written: whole entries, as many as fit. */
struct writing {
	uint8_t *content; /* [MOST_BYTES] */
	size_t bytes;
};

static bool has_room(const struct writing *writing, size_t binary_bytes)
{
	return binary_bytes <= MOST_BYTES && whole_bytes(binary_bytes) <= MOST_BYTES - writing->bytes;
}

static void append_new(const struct gqe_vulkan *vulkan, struct writing *writing, const struct gqe_new_shader *shader)
{
	size_t bytes = 0;
	VkResult result = vulkan->fn.vkGetShaderBinaryDataEXT(vulkan->device, shader->handle, &bytes, NULL);
	if (result == VK_SUCCESS && (bytes == 0 || !has_room(writing, bytes))) {
		return;
	}
	struct entry *entry = (void *)(writing->content + writing->bytes);
	if (result == VK_SUCCESS) {
		result =
			vulkan->fn.vkGetShaderBinaryDataEXT(vulkan->device, shader->handle, &bytes, (uint8_t *)entry + ENTRY_BYTES);
	}
	if (result != VK_SUCCESS) {
		gqe_vulkan_fail(vulkan, result, "vkGetShaderBinaryDataEXT", NULL);
		return;
	}
	entry->key = shader->key;
	entry->bytes = bytes;
	writing->bytes += whole_bytes(bytes);
}

static bool is_among(const struct gqe_new_shader *shaders, size_t count, const struct gqe_shader_key *key)
{
	for (size_t i = 0; i < count; i++) {
		if (memcmp(&shaders[i].key, key, sizeof(*key)) == 0) {
			return true;
		}
	}
	return false;
}

void gqe_shader_cache_write(const struct gqe_vulkan *vulkan, struct gqe_shader_cache *cache, const struct gqe_new_shader *shaders,
			    size_t count)
{
	struct writing writing = {0};
	if (count == 0 || !cache->file.path) {
		return;
	}
	writing.content = calloc(1, MOST_BYTES); /* what is not written to takes no memory */
	if (!writing.content || !is_aligned(writing.content)) {
		free(writing.content);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		append_new(vulkan, &writing, &shaders[i]);
	}
	size_t bytes, offset = 0;
	uint8_t *content = read_file(vulkan, &cache->file, &bytes);
	for (const struct entry *entry; (entry = next_entry(content, bytes, &offset));) {
		if (has_room(&writing, (size_t)entry->bytes) && !is_among(shaders, count, &entry->key)) {
			memcpy(writing.content + writing.bytes, entry, whole_bytes((size_t)entry->bytes));
			writing.bytes += whole_bytes((size_t)entry->bytes);
		}
	}
	free(content);
	gqe_cache_file_write(&cache->file, vulkan, writing.content, writing.bytes);
	free(writing.content);
}

void gqe_shader_cache_close(struct gqe_shader_cache *cache)
{
	free(cache->content);
	cache->content = NULL;
	cache->bytes = 0;
	gqe_cache_file_release(&cache->file);
}
