#include "vulkan/memory.h"
#include "vulkan/address_map.h"

#include <assert.h>
#include <stdlib.h>

/* Reserved buffers begin at multiples of this, in memory as well as in their VkBuffer. */
#define BUFFER_ALIGNMENT 256

/* Of what kernels read at once. */
#define IMPORT_ALIGNMENT 16

/*
 * Sizes of VkBuffers are multiples of this, more than any driver's own padding of a buffer, so that a plan without a device is what
 * a device allocates.
 */
#define BLOCK_ALIGNMENT ((uint64_t)64 << 10)

/*
 * Buffers are packed into VkBuffers of up to this size, which every Vulkan device can allocate (maxMemoryAllocationSize is at least
 * 2^30), so that a plan does not depend on the device. A buffer larger than this gets a VkBuffer of its own.
 */
#define BLOCK_LIMIT ((uint64_t)1 << 30)

/* Larger sizes cannot be meant; this keeps every sum below from overflowing. */
#define BUFFER_LIMIT ((uint64_t)1 << 60)

#define MIB (1024.0 * 1024.0)

struct reservation {
	struct gqe_buffer *buffer;
	uint64_t bytes;
	uint64_t offset; /* in its block */
	uint32_t block;
};

struct block {
	uint64_t end; /* of the last reservation and its guard */
	VkBuffer handle;
	VkDeviceMemory memory;
	VkMemoryRequirements requirements; /* size 0: not yet known */
	uint64_t allocated;                /* accounted for */
	uint64_t address;
	uint64_t shift; /* what reservations move by so that their addresses are aligned */
	void *host;
};

struct gqe_arena {
	struct gqe_vulkan *vulkan;
	enum gqe_memory_kind kind;
	uint64_t guard;
	struct reservation *reservations;
	size_t reservation_count, reservation_capacity;
	struct block *blocks;
	uint32_t block_count, block_capacity;
	bool host_memory_failed; /* while reserving, which cannot fail */
	bool too_large;
	bool committed;
};

gqe_status gqe_arena_create(struct gqe_vulkan *vulkan, enum gqe_memory_kind kind, struct gqe_arena **arena, gqe_error *error)
{
	*arena = calloc(1, sizeof(**arena));
	if (!*arena) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for an arena");
	}
	(*arena)->vulkan = vulkan;
	(*arena)->kind = kind;
	return GQE_OK;
}

/* Holds the lock of `memory`, as do all functions of this file that touch what is allocated. */
static void release_blocks(struct gqe_arena *arena)
{
	struct gqe_vulkan *vulkan = arena->vulkan;
	for (uint32_t i = 0; i < arena->block_count; i++) {
		struct block *block = &arena->blocks[i];
		if (block->address) {
			gqe_address_map_remove(vulkan, block->address, block->requirements.size);
			block->address = 0;
		}
		if (block->handle) {
			vulkan->fn.vkDestroyBuffer(vulkan->device, block->handle, NULL);
			block->handle = VK_NULL_HANDLE;
		}
		if (block->memory) {
			vulkan->fn.vkFreeMemory(vulkan->device, block->memory, NULL); /* unmaps */
			block->memory = VK_NULL_HANDLE;
			vulkan->memory.used -= block->allocated;
		}
	}
}

void gqe_arena_destroy(struct gqe_arena **arena_in)
{
	struct gqe_arena *arena = *arena_in;
	if (!arena) {
		return;
	}
	if (arena->vulkan) {
		pthread_mutex_lock(&arena->vulkan->locks.memory);
		release_blocks(arena);
		pthread_mutex_unlock(&arena->vulkan->locks.memory);
	}
	free(arena->blocks);
	free(arena->reservations);
	free(arena);
	*arena_in = NULL;
}

void gqe_arena_set_guard(struct gqe_arena *arena, uint64_t bytes)
{
	assert(arena->reservation_count == 0 && bytes <= BUFFER_LIMIT);
	arena->guard = gqe_align_up(bytes, BUFFER_ALIGNMENT);
}

static uint64_t block_bytes(const struct block *block)
{
	return gqe_align_up(block->end + BUFFER_ALIGNMENT, BLOCK_ALIGNMENT); /* room for `shift` */
}

/* The block that takes `bytes` more, a new one when the last is full; NULL: no host memory. */
static struct block *block_with_room(struct gqe_arena *arena, uint64_t bytes)
{
	struct block *last = arena->block_count ? &arena->blocks[arena->block_count - 1] : NULL;
	if (last && last->end + bytes <= BLOCK_LIMIT - BUFFER_ALIGNMENT) {
		return last;
	}
	if (arena->block_count == arena->block_capacity) {
		uint32_t capacity = arena->block_capacity ? arena->block_capacity * 2 : 4;
		struct block *blocks = realloc(arena->blocks, capacity * sizeof(*blocks));
		if (!blocks) {
			return NULL;
		}
		arena->blocks = blocks;
		arena->block_capacity = capacity;
	}
	last = &arena->blocks[arena->block_count++];
	*last = (struct block){.end = arena->guard};
	return last;
}

void gqe_arena_reserve(struct gqe_arena *arena, struct gqe_buffer *buffer, uint64_t bytes)
{
	assert(!arena->committed);
	if (bytes == 0) {
		return;
	}
	if (bytes > BUFFER_LIMIT) {
		arena->too_large = true;
		return;
	}
	if (arena->reservation_count == arena->reservation_capacity) {
		size_t capacity = arena->reservation_capacity ? arena->reservation_capacity * 2 : 32;
		struct reservation *reservations = realloc(arena->reservations, capacity * sizeof(*reservations));
		if (!reservations) {
			arena->host_memory_failed = true;
			return;
		}
		arena->reservations = reservations;
		arena->reservation_capacity = capacity;
	}
	uint64_t taken = gqe_align_up(bytes, BUFFER_ALIGNMENT) + arena->guard;
	struct block *block = block_with_room(arena, taken);
	if (!block) {
		arena->host_memory_failed = true;
		return;
	}
	arena->reservations[arena->reservation_count++] = (struct reservation){
		.buffer = buffer,
		.bytes = bytes,
		.offset = block->end,
		.block = arena->block_count - 1,
	};
	block->end += taken;
}

uint64_t gqe_arena_planned(const struct gqe_arena *arena)
{
	if (arena->host_memory_failed || arena->too_large) {
		return UINT64_MAX;
	}
	uint64_t total = 0;
	for (uint32_t i = 0; i < arena->block_count; i++) {
		uint64_t bytes = block_bytes(&arena->blocks[i]);
		total = total > UINT64_MAX - bytes ? UINT64_MAX : total + bytes;
	}
	return total;
}

/* How well a memory type serves; negative: not at all. Heap size decides between equals. */
static int type_score(enum gqe_memory_kind kind, VkMemoryPropertyFlags flags)
{
	const VkMemoryPropertyFlags host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
	const VkMemoryPropertyFlags special = VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT | VK_MEMORY_PROPERTY_PROTECTED_BIT |
					      VK_MEMORY_PROPERTY_DEVICE_COHERENT_BIT_AMD |
					      VK_MEMORY_PROPERTY_DEVICE_UNCACHED_BIT_AMD | VK_MEMORY_PROPERTY_RDMA_CAPABLE_BIT_NV;
	if (flags & special) {
		return -1;
	}
	if (kind == GQE_MEMORY_DEVICE) {
		return flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT ? 1 : -1;
	}
	if ((flags & host) != host) {
		return -1;
	}
	/* Reads from uncached memory crawl; and small windows into device memory are left to those who need them. */
	int score = flags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT ? 0 : 1;
	if (kind == GQE_MEMORY_DOWNLOAD && (flags & VK_MEMORY_PROPERTY_HOST_CACHED_BIT)) {
		score += 2;
	}
	return score;
}

static bool find_memory_type(const struct gqe_vulkan *vulkan, enum gqe_memory_kind kind, uint32_t allowed, uint32_t *type)
{
	const VkPhysicalDeviceMemoryProperties *memory = &vulkan->memory_properties;
	int best_score = -1;
	uint64_t best_heap = 0;
	for (uint32_t i = 0; i < memory->memoryTypeCount; i++) {
		int score = allowed & (1u << i) ? type_score(kind, memory->memoryTypes[i].propertyFlags) : -1;
		uint64_t heap = memory->memoryHeaps[memory->memoryTypes[i].heapIndex].size;
		if (score > best_score || (score >= 0 && score == best_score && heap > best_heap)) {
			best_score = score;
			best_heap = heap;
			*type = i;
		}
	}
	return best_score >= 0;
}

static gqe_status create_block_buffer(struct gqe_arena *arena, struct block *block, gqe_error *error)
{
	gqe_status status = GQE_OK;
	struct gqe_vulkan *vulkan = arena->vulkan;
	uint64_t bytes = block_bytes(block);
	if (bytes > vulkan->capabilities.max_allocation_bytes) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY,
				"a buffer of %.1f MiB is needed, but %s allocates at most %.1f MiB at once; use fewer tokens",
				bytes / MIB, vulkan->info.name, vulkan->capabilities.max_allocation_bytes / MIB);
	}
	VkBufferCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
		.size = bytes,
		.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT |
			 VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT,
		.sharingMode = VK_SHARING_MODE_EXCLUSIVE,
	};
	VK_MAKE(vulkan, error, &block->handle, vkCreateBuffer, vulkan->device, &info, NULL);
	vulkan->fn.vkGetBufferMemoryRequirements(vulkan->device, block->handle, &block->requirements);
fail:
	return status;
}

static gqe_status allocate_block(struct gqe_arena *arena, struct block *block, gqe_error *error)
{
	gqe_status status = GQE_OK;
	struct gqe_vulkan *vulkan = arena->vulkan;
	VkMemoryAllocateFlagsInfo flags = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
		.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT,
	};
	VkMemoryAllocateInfo info = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
		.pNext = &flags,
		.allocationSize = block->requirements.size,
	};
	if (!find_memory_type(vulkan, arena->kind, block->requirements.memoryTypeBits, &info.memoryTypeIndex)) {
		return gqe_fail(error, GQE_ERROR_NO_DEVICE, "%s has no %s memory for storage buffers", vulkan->info.name,
				arena->kind == GQE_MEMORY_DEVICE ? "device-local" : "host-visible coherent");
	}
	VK_MAKE(vulkan, error, &block->memory, vkAllocateMemory, vulkan->device, &info, NULL);
	block->allocated = block->requirements.size;
	vulkan->memory.used += block->allocated;
	if (vulkan->memory.used > vulkan->memory.peak) {
		vulkan->memory.peak = vulkan->memory.used;
	}
	VK(vulkan, error, vkBindBufferMemory, vulkan->device, block->handle, block->memory, 0);
	if (arena->kind != GQE_MEMORY_DEVICE) {
		VK(vulkan, error, vkMapMemory, vulkan->device, block->memory, 0, VK_WHOLE_SIZE, 0, &block->host);
	}
	VkBufferDeviceAddressInfo address = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, .buffer = block->handle};
	block->address = vulkan->fn.vkGetBufferDeviceAddress(vulkan->device, &address);
	block->shift = gqe_align_up(block->address, BUFFER_ALIGNMENT) - block->address;
fail:
	return status;
}

/* Creates the VkBuffers, so that what the driver takes is known, and checks it against the limit before any memory is taken. */
static gqe_status create_buffers_within_limit(struct gqe_arena *arena, gqe_error *error)
{
	struct gqe_memory_accounting *memory = &arena->vulkan->memory;
	uint64_t needed = gqe_arena_planned(arena);
	if (arena->host_memory_failed) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for the plan of an arena");
	}
	if (!arena->too_large && needed <= memory->limit - (memory->used < memory->limit ? memory->used : memory->limit)) {
		needed = 0;
		for (uint32_t i = 0; i < arena->block_count; i++) {
			gqe_status status = create_block_buffer(arena, &arena->blocks[i], error);
			if (status != GQE_OK) {
				return status;
			}
			needed += arena->blocks[i].requirements.size;
		}
		if (needed <= memory->limit - memory->used) {
			return GQE_OK;
		}
	}
	return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY,
			"%.1f MiB (%llu bytes) of device memory are needed, but of the limit of %.1f MiB %.1f MiB are in use and "
			"%llu bytes free; use fewer tokens, a smaller chunk or 16-bit weights, or raise the memory limit",
			needed / MIB, (unsigned long long)needed, memory->limit / MIB, memory->used / MIB,
			(unsigned long long)(memory->used < memory->limit ? memory->limit - memory->used : 0));
}

static gqe_status fill_in_buffers(struct gqe_arena *arena, gqe_error *error)
{
	for (size_t i = 0; i < arena->reservation_count; i++) {
		const struct reservation *reservation = &arena->reservations[i];
		const struct block *block = &arena->blocks[reservation->block];
		uint64_t offset = reservation->offset + block->shift;
		struct gqe_buffer buffer = {
			.address = block->address + offset,
			.size = reservation->bytes,
			.handle = block->handle,
			.offset = offset,
			.host = block->host ? (uint8_t *)block->host + offset : NULL,
		};
		gqe_status status = gqe_address_map_add(arena->vulkan, &buffer, error);
		if (status != GQE_OK) {
			return status;
		}
		*reservation->buffer = buffer;
	}
	return GQE_OK;
}

gqe_status gqe_arena_commit(struct gqe_arena *arena, gqe_error *error)
{
	assert(arena->vulkan && !arena->committed);
	arena->committed = true;
	pthread_mutex_lock(&arena->vulkan->locks.memory);
	gqe_status status = create_buffers_within_limit(arena, error);
	for (uint32_t i = 0; status == GQE_OK && i < arena->block_count; i++) {
		status = allocate_block(arena, &arena->blocks[i], error);
	}
	if (status == GQE_OK) {
		status = fill_in_buffers(arena, error);
	}
	if (status != GQE_OK) {
		release_blocks(arena);
	}
	pthread_mutex_unlock(&arena->vulkan->locks.memory);
	return status;
}

bool gqe_arena_block(const struct gqe_arena *arena, uint32_t index, struct gqe_buffer *block)
{
	if (index >= arena->block_count || !arena->blocks[index].memory) {
		return false;
	}
	const struct block *from = &arena->blocks[index];
	*block = (struct gqe_buffer){
		.address = from->address,
		.size = block_bytes(from),
		.handle = from->handle,
		.host = from->host,
	};
	return true;
}

bool gqe_buffers_overlap(const struct gqe_buffer *a, const struct gqe_buffer *b)
{
	return a->address < b->address + b->size && b->address < a->address + a->size;
}

/*
 * Vulkan does not tell a buffer's size, but what memory it requires: all of the buffer and the driver's padding. So nothing that
 * lies in the buffer is refused, and a piece that ends in the padding, mostly less than 256 bytes, is let through. The question is
 * a computation for the driver, like that for the address.
 */
static bool leaves_buffer(const struct gqe_vulkan *vulkan, const gqe_vulkan_buffer *piece, uint64_t *most)
{
	VkMemoryRequirements requirements;
	vulkan->fn.vkGetBufferMemoryRequirements(vulkan->device, piece->buffer, &requirements);
	*most = requirements.size;
	return piece->offset > requirements.size || piece->size > requirements.size - piece->offset;
}

gqe_status gqe_buffer_import(const struct gqe_vulkan *vulkan, const gqe_vulkan_buffer *from, uint64_t bytes, const char *name,
			     struct gqe_buffer *buffer, gqe_error *error)
{
	if (!from->buffer || from->offset % IMPORT_ALIGNMENT != 0 || from->size < bytes) {
		return gqe_fail(error, GQE_ERROR_USAGE,
				"%s: a buffer of at least %llu bytes at a multiple of %d is required, not one of %llu at %llu",
				name, (unsigned long long)bytes, IMPORT_ALIGNMENT, (unsigned long long)from->size,
				(unsigned long long)from->offset);
	}
	uint64_t most;
	if (leaves_buffer(vulkan, from, &most)) {
		return gqe_fail(error, GQE_ERROR_USAGE,
				"%s: %llu bytes at %llu leave their buffer, which has at most %llu; give the piece's own size",
				name, (unsigned long long)from->size, (unsigned long long)from->offset, (unsigned long long)most);
	}
	VkBufferDeviceAddressInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO, .buffer = from->buffer};
	*buffer = (struct gqe_buffer){
		.address = vulkan->fn.vkGetBufferDeviceAddress(vulkan->device, &info) + from->offset,
		.size = bytes,
		.handle = from->buffer,
		.offset = from->offset,
	};
	if (buffer->address % IMPORT_ALIGNMENT != 0) {
		return gqe_fail(error, GQE_ERROR_USAGE, "%s: the buffer's memory is not aligned to %d bytes", name,
				IMPORT_ALIGNMENT);
	}
	return GQE_OK;
}
