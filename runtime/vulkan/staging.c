/* Blocking copies between host memory and device buffers, through one bounded staging buffer per context. */
#include "vulkan/commands.h"
#include "vulkan/memory.h"

#include <stdlib.h>
#include <string.h>

/* One block of an arena, to the byte, together with the alignment that the arena keeps free. */
#define STAGING_BYTES (((uint64_t)8 << 20) - 256)

struct gqe_staging {
	struct gqe_commands commands;
	struct gqe_arena *arena;
	struct gqe_buffer buffer;
};

uint64_t gqe_staging_bytes(void)
{
	return gqe_align_up(STAGING_BYTES, 64 << 10);
}

/* Makes vulkan->staging if it is not there. */
static gqe_status need_staging(struct gqe_vulkan *vulkan, gqe_error *error)
{
	if (vulkan->staging) {
		return GQE_OK;
	}
	vulkan->staging = calloc(1, sizeof(*vulkan->staging));
	if (!vulkan->staging) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for the staging buffer");
	}
	struct gqe_staging *staging = vulkan->staging;
	gqe_status status = gqe_commands_create(vulkan, &staging->commands, error);
	if (status == GQE_OK) {
		status = gqe_arena_create(vulkan, GQE_MEMORY_DOWNLOAD, &staging->arena, error);
	}
	if (status == GQE_OK) {
		gqe_arena_reserve(staging->arena, &staging->buffer, STAGING_BYTES);
		status = gqe_arena_commit(staging->arena, error);
	}
	if (status != GQE_OK) {
		gqe_staging_destroy(vulkan);
	}
	return status;
}

void gqe_staging_destroy(struct gqe_vulkan *vulkan)
{
	if (vulkan->staging) {
		gqe_arena_destroy(&vulkan->staging->arena);
		gqe_commands_destroy(&vulkan->staging->commands);
		free(vulkan->staging);
		vulkan->staging = NULL;
	}
}

static gqe_status check_range(const struct gqe_buffer *buffer, uint64_t offset, uint64_t bytes, gqe_error *error)
{
	if (offset > buffer->size || bytes > buffer->size - offset) {
		return gqe_fail(error, GQE_ERROR_INTERNAL, "a transfer of %llu bytes at %llu leaves its buffer of %llu bytes",
				(unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)buffer->size);
	}
	return GQE_OK;
}

static gqe_status copy_and_wait(struct gqe_staging *staging, const struct gqe_buffer *from, uint64_t from_offset,
				const struct gqe_buffer *to, uint64_t to_offset, uint64_t bytes, gqe_error *error)
{
	gqe_status status = gqe_commands_begin(&staging->commands, error);
	if (status != GQE_OK) {
		return status;
	}
	VkBufferCopy region = {
		.srcOffset = from->offset + from_offset,
		.dstOffset = to->offset + to_offset,
		.size = bytes,
	};
	staging->commands.vulkan->fn.vkCmdCopyBuffer(staging->commands.buffer, from->handle, to->handle, 1, &region);
	return gqe_commands_finish(&staging->commands, error);
}

/* The three transfers hold the lock of `staging`. */
static gqe_status upload(struct gqe_vulkan *vulkan, const struct gqe_buffer *buffer, uint64_t offset, const void *data,
			 uint64_t bytes, gqe_error *error)
{
	gqe_status status = need_staging(vulkan, error);
	for (uint64_t done = 0; status == GQE_OK && done < bytes;) {
		uint64_t piece = bytes - done < STAGING_BYTES ? bytes - done : STAGING_BYTES;
		memcpy(vulkan->staging->buffer.host, (const uint8_t *)data + done, piece);
		status = copy_and_wait(vulkan->staging, &vulkan->staging->buffer, 0, buffer, offset + done, piece, error);
		done += piece;
	}
	return status;
}

static gqe_status download(struct gqe_vulkan *vulkan, const struct gqe_buffer *buffer, uint64_t offset, void *data, uint64_t bytes,
			   gqe_error *error)
{
	gqe_status status = need_staging(vulkan, error);
	for (uint64_t done = 0; status == GQE_OK && done < bytes;) {
		uint64_t piece = bytes - done < STAGING_BYTES ? bytes - done : STAGING_BYTES;
		status = copy_and_wait(vulkan->staging, buffer, offset + done, &vulkan->staging->buffer, 0, piece, error);
		if (status == GQE_OK) {
			memcpy((uint8_t *)data + done, vulkan->staging->buffer.host, piece);
		}
		done += piece;
	}
	return status;
}

static gqe_status fill_words(struct gqe_vulkan *vulkan, const struct gqe_buffer *buffer, uint64_t offset, uint64_t bytes,
			     uint32_t word, gqe_error *error)
{
	gqe_status status = need_staging(vulkan, error);
	if (status == GQE_OK) {
		status = gqe_commands_begin(&vulkan->staging->commands, error);
	}
	if (status == GQE_OK) {
		vulkan->fn.vkCmdFillBuffer(vulkan->staging->commands.buffer, buffer->handle, buffer->offset + offset, bytes, word);
		status = gqe_commands_finish(&vulkan->staging->commands, error);
	}
	return status;
}

gqe_status gqe_buffer_upload(struct gqe_vulkan *vulkan, const struct gqe_buffer *buffer, uint64_t offset, const void *data,
			     uint64_t bytes, gqe_error *error)
{
	gqe_status status = check_range(buffer, offset, bytes, error);
	if (status != GQE_OK || bytes == 0) {
		return status;
	}
	if (buffer->host) {
		memcpy((uint8_t *)buffer->host + offset, data, bytes);
		return GQE_OK;
	}
	pthread_mutex_lock(&vulkan->locks.staging);
	status = upload(vulkan, buffer, offset, data, bytes, error);
	pthread_mutex_unlock(&vulkan->locks.staging);
	return status;
}

gqe_status gqe_buffer_download(struct gqe_vulkan *vulkan, const struct gqe_buffer *buffer, uint64_t offset, void *data,
			       uint64_t bytes, gqe_error *error)
{
	gqe_status status = check_range(buffer, offset, bytes, error);
	if (status != GQE_OK || bytes == 0) {
		return status;
	}
	if (buffer->host) {
		memcpy(data, (const uint8_t *)buffer->host + offset, bytes);
		return GQE_OK;
	}
	pthread_mutex_lock(&vulkan->locks.staging);
	status = download(vulkan, buffer, offset, data, bytes, error);
	pthread_mutex_unlock(&vulkan->locks.staging);
	return status;
}

gqe_status gqe_buffer_fill(struct gqe_vulkan *vulkan, const struct gqe_buffer *buffer, uint64_t offset, uint64_t bytes,
			   uint32_t word, gqe_error *error)
{
	gqe_status status = check_range(buffer, offset, bytes, error);
	if (status == GQE_OK && (offset % 4 || bytes % 4)) {
		status = gqe_fail(error, GQE_ERROR_INTERNAL, "a fill must begin and end at multiples of 4");
	}
	if (status != GQE_OK || bytes == 0) {
		return status;
	}
	pthread_mutex_lock(&vulkan->locks.staging);
	status = fill_words(vulkan, buffer, offset, bytes, word, error);
	pthread_mutex_unlock(&vulkan->locks.staging);
	return status;
}
