#include "vulkan/address_map.h"

#include <stdlib.h>
#include <string.h>

struct gqe_address_map {
	struct gqe_buffer *buffers; /* [count], by ascending address; they do not overlap */
	size_t count, capacity;
};

/* The first buffer that starts at or after `address`. */
static size_t lower_bound(const struct gqe_address_map *map, uint64_t address)
{
	size_t first = 0, end = map->count;
	while (first < end) {
		size_t middle = first + (end - first) / 2;
		if (map->buffers[middle].address < address) {
			first = middle + 1;
		} else {
			end = middle;
		}
	}
	return first;
}

gqe_status gqe_address_map_create(struct gqe_vulkan *vulkan, gqe_error *error)
{
	vulkan->addresses = calloc(1, sizeof(*vulkan->addresses));
	return vulkan->addresses ? GQE_OK : gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for the address map");
}

void gqe_address_map_destroy(struct gqe_vulkan *vulkan)
{
	if (vulkan->addresses) {
		free(vulkan->addresses->buffers);
		free(vulkan->addresses);
		vulkan->addresses = NULL;
	}
}

gqe_status gqe_address_map_add(struct gqe_vulkan *vulkan, const struct gqe_buffer *buffer, gqe_error *error)
{
	struct gqe_address_map *map = vulkan->addresses;
	if (map->count == map->capacity) {
		size_t capacity = map->capacity ? map->capacity * 2 : 64;
		struct gqe_buffer *buffers = realloc(map->buffers, capacity * sizeof(*buffers));
		if (!buffers) {
			return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for the address map");
		}
		map->buffers = buffers;
		map->capacity = capacity;
	}
	size_t at = lower_bound(map, buffer->address);
	memmove(&map->buffers[at + 1], &map->buffers[at], (map->count - at) * sizeof(*map->buffers));
	map->buffers[at] = *buffer;
	map->count++;
	return GQE_OK;
}

void gqe_address_map_remove(struct gqe_vulkan *vulkan, uint64_t address, uint64_t bytes)
{
	struct gqe_address_map *map = vulkan->addresses;
	size_t first = lower_bound(map, address);
	size_t end = first;
	while (end < map->count && map->buffers[end].address - address < bytes) {
		end++;
	}
	if (end == first) {
		return; /* also the map without an array */
	}
	memmove(&map->buffers[first], &map->buffers[end], (map->count - end) * sizeof(*map->buffers));
	map->count -= end - first;
}

static bool find(const struct gqe_address_map *map, uint64_t address, struct gqe_buffer *buffer)
{
	size_t after = lower_bound(map, address);
	if (after < map->count && map->buffers[after].address == address) {
		*buffer = map->buffers[after];
		return true;
	}
	if (after == 0 || address - map->buffers[after - 1].address >= map->buffers[after - 1].size) {
		return false;
	}
	*buffer = map->buffers[after - 1];
	return true;
}

bool gqe_address_find(struct gqe_vulkan *vulkan, uint64_t address, struct gqe_buffer *buffer)
{
	pthread_mutex_lock(&vulkan->locks.memory);
	bool found = find(vulkan->addresses, address, buffer);
	pthread_mutex_unlock(&vulkan->locks.memory);
	return found;
}
