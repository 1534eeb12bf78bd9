/*
 * Device memory from arenas. A plan is static: reserve everything, then commit once; the same reservations without a device give
 * the exact estimate. Every byte is accounted for in vulkan->memory and checked against its limit before it is allocated.
 */
#ifndef GQE_VULKAN_MEMORY_H
#define GQE_VULKAN_MEMORY_H

#include "vulkan/device.h"

/* A piece of device memory that holds one tensor. Zero-initialized before reserving; filled by gqe_arena_commit. */
struct gqe_buffer {
	uint64_t address; /* buffer device address; what push constants hold */
	uint64_t size;    /* as reserved */
	VkBuffer handle;
	VkDeviceSize offset; /* in handle */
	void *host;          /* mapped, for UPLOAD and DOWNLOAD arenas (coherent); else NULL */
};

enum gqe_memory_kind {
	GQE_MEMORY_DEVICE,  /* device-local */
	GQE_MEMORY_UPLOAD,  /* host-visible, coherent: written by the host, read by the device */
	GQE_MEMORY_DOWNLOAD /* host-visible, coherent, cached if possible: written by the device, read by the host */
};

struct gqe_arena;

/* `vulkan` NULL: an arena that can only plan. */
gqe_status gqe_arena_create(struct gqe_vulkan *vulkan, enum gqe_memory_kind kind, struct gqe_arena **arena, gqe_error *error);
/* Frees the memory; buffers reserved from it are dead. Nothing may be in flight. */
void gqe_arena_destroy(struct gqe_arena **arena);

/*
 * Reserves `bytes` (0 is allowed: nothing is reserved, the buffer stays zero) for `*buffer`, which must stay where it is until
 * commit; NULL when only planning. 256-byte aligned; with guard bands switched on (self-test), gaps lie between buffers.
 */
void gqe_arena_reserve(struct gqe_arena *arena, struct gqe_buffer *buffer, uint64_t bytes);
/*
 * Self-test: from now on at least `bytes` (rounded up to 256) that belong to no buffer lie before and after every reserved one.
 * To be called before the first reservation.
 */
void gqe_arena_set_guard(struct gqe_arena *arena, uint64_t bytes);
/*
 * Bytes that commit will allocate for what is reserved so far; the same with and without a device. (Commit accounts for what the
 * driver takes: a driver that pads whole buffers may take a little more.) UINT64_MAX: the plan itself is impossible.
 */
uint64_t gqe_arena_planned(const struct gqe_arena *arena);
/*
 * Allocates, binds, maps, and fills in every reserved buffer; splits into VkBuffers of at most max_allocation_bytes (one reserved
 * buffer never spans two; if it alone is larger: GQE_ERROR_OUT_OF_MEMORY). Over the limit: GQE_ERROR_OUT_OF_MEMORY, with what was
 * asked, used and allowed. Content is undefined.
 */
gqe_status gqe_arena_commit(struct gqe_arena *arena, gqe_error *error);

/*
 * Self-test, after commit: number `index` of the blocks that hold the reserved buffers, guard bands and padding included, as one
 * buffer; false when there are fewer. A reserved buffer lies at [buffer.offset - block.offset, + size) of the block with its
 * handle.
 */
bool gqe_arena_block(const struct gqe_arena *arena, uint32_t index, struct gqe_buffer *block);

bool gqe_buffers_overlap(const struct gqe_buffer *a, const struct gqe_buffer *b);

/* The application's, `bytes` for a tensor that `name` names in messages. It is not in the map of addresses. */
gqe_status gqe_buffer_import(const struct gqe_vulkan *vulkan, const gqe_vulkan_buffer *from, uint64_t bytes, const char *name,
			     struct gqe_buffer *buffer, gqe_error *error);

/* The live buffer that contains `address`, or false. */
bool gqe_address_find(struct gqe_vulkan *vulkan, uint64_t address, struct gqe_buffer *buffer);

/* Blocking copies between host memory and a device buffer through a staging buffer of bounded size (for loading and tests).
 * Nothing that uses the buffer may be in flight, which gqe_steps_run guarantees. */
gqe_status gqe_buffer_upload(struct gqe_vulkan *vulkan, const struct gqe_buffer *buffer, uint64_t offset, const void *data,
			     uint64_t bytes, gqe_error *error);
gqe_status gqe_buffer_download(struct gqe_vulkan *vulkan, const struct gqe_buffer *buffer, uint64_t offset, void *data,
			       uint64_t bytes, gqe_error *error);
/* Blocking fill with a 32-bit word; offset and bytes multiples of 4. */
gqe_status gqe_buffer_fill(struct gqe_vulkan *vulkan, const struct gqe_buffer *buffer, uint64_t offset, uint64_t bytes,
			   uint32_t word, gqe_error *error);

/* Device memory that the first upload, download or fill of a context takes, and keeps: part of every estimate. */
uint64_t gqe_staging_bytes(void);
void gqe_staging_destroy(struct gqe_vulkan *vulkan);

#endif
