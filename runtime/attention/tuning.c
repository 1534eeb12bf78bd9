#include "attention/tuning.h"

#include <stdlib.h>
#include <string.h>

#include "attention/kernel_table.h"
#include "vulkan/cache_file.h"

static bool is_for(const struct gqe_tuned_tile *entry, enum gqe_kernel kernel, gqe_path path, gqe_dtype weights, uint32_t head_dim)
{
	return entry->kernel == (uint32_t)kernel && entry->path == (uint32_t)path && entry->weights == (uint32_t)weights &&
	       entry->head_dim == head_dim;
}

const struct gqe_tile *gqe_tuning_find(const struct gqe_tuning *tuning, enum gqe_kernel kernel, gqe_path path, gqe_dtype weights,
				       uint32_t work_rows, uint32_t head_dim)
{
	for (uint32_t i = 0; tuning != NULL && i < tuning->count; i++) {
		const struct gqe_tuned_tile *entry = &tuning->tiles[i];
		bool holds_work = work_rows > entry->above && (entry->up_to == 0 || work_rows <= entry->up_to);
		if (holds_work && is_for(entry, kernel, path, weights, head_dim))
			return &entry->tile;
	}
	return NULL;
}

/* Where the entry for the same as this one is; `count`: nowhere. */
static uint32_t place_of(const struct gqe_tuning *tuning, const struct gqe_tuned_tile *entry)
{
	uint32_t place = 0;
	for (; place < tuning->count; place++) {
		const struct gqe_tuned_tile *known = &tuning->tiles[place];
		if (is_for(known, (enum gqe_kernel)entry->kernel, (gqe_path)entry->path, (gqe_dtype)entry->weights,
			   entry->head_dim) &&
		    known->above == entry->above && known->up_to == entry->up_to)
			break;
	}
	return place;
}

bool gqe_tuning_set(struct gqe_tuning *tuning, const struct gqe_tuned_tile *entry)
{
	uint32_t place = place_of(tuning, entry);
	if (place == GQE_MAX_TUNED_TILES)
		return false;
	tuning->tiles[place] = *entry;
	if (place == tuning->count)
		tuning->count++;
	return true;
}

void gqe_tuning_remove(struct gqe_tuning *tuning, const struct gqe_tuned_tile *entry)
{
	uint32_t place = place_of(tuning, entry);
	if (place < tuning->count)
		tuning->tiles[place] = tuning->tiles[--tuning->count];
}

static bool queries_are_for(const struct gqe_tuned_queries *entry, gqe_path path, gqe_dtype weights, uint32_t experts_per_group,
			    uint32_t top_k)
{
	return entry->path == (uint32_t)path && entry->weights == (uint32_t)weights &&
	       entry->experts_per_group == experts_per_group && entry->top_k == top_k;
}

gqe_query_mode gqe_tuning_find_queries(const struct gqe_tuning *tuning, gqe_path path, gqe_dtype weights,
				       uint32_t experts_per_group, uint32_t top_k, uint32_t tokens)
{
	for (uint32_t i = 0; tuning != NULL && i < tuning->query_count; i++) {
		const struct gqe_tuned_queries *entry = &tuning->queries[i];
		if (tokens > entry->above && (entry->up_to == 0 || tokens <= entry->up_to) &&
		    queries_are_for(entry, path, weights, experts_per_group, top_k))
			return (gqe_query_mode)entry->mode;
	}
	return 0;
}

bool gqe_tuning_set_queries(struct gqe_tuning *tuning, const struct gqe_tuned_queries *entry)
{
	uint32_t place = 0;
	for (; place < tuning->query_count; place++) {
		const struct gqe_tuned_queries *known = &tuning->queries[place];
		if (queries_are_for(known, (gqe_path)entry->path, (gqe_dtype)entry->weights, entry->experts_per_group,
				    entry->top_k) &&
		    known->above == entry->above && known->up_to == entry->up_to)
			break;
	}
	if (entry->mode == 0) {
		if (place < tuning->query_count)
			tuning->queries[place] = tuning->queries[--tuning->query_count];
		return true;
	}
	if (place == GQE_MAX_TUNED_QUERIES)
		return false;
	tuning->queries[place] = *entry;
	if (place == tuning->query_count)
		tuning->query_count++;
	return true;
}

static void cache_file(struct gqe_cache_file *file, const struct gqe_vulkan *vulkan, const char *cache_dir)
{
	gqe_cache_file_init(file, vulkan, cache_dir, "tiles", gqe_kernel_table_hash() ^ sizeof(struct gqe_tuning));
}

/* The file is ours and whole; still, nothing that comes from a file may make a pipeline that the device does not allow. */
static bool is_usable(const struct gqe_tuned_tile *entry, const struct gqe_vulkan *vulkan)
{
	return entry->kernel < GQE_KERNEL_COUNT && (entry->weights == GQE_DTYPE_F32 || entry->weights == GQE_DTYPE_F16) &&
	       entry->path < 32 &&
	       gqe_kernel_has((enum gqe_kernel)entry->kernel, (gqe_path)entry->path, (gqe_dtype)entry->weights) &&
	       gqe_tile_is_legal(&vulkan->capabilities, (enum gqe_kernel)entry->kernel, (gqe_path)entry->path, entry->up_to,
				 &entry->tile);
}

void gqe_tuning_load(struct gqe_tuning *tuning, const struct gqe_vulkan *vulkan, const char *cache_dir)
{
	struct gqe_cache_file file;
	size_t bytes = 0;
	tuning->count = tuning->query_count = 0;
	cache_file(&file, vulkan, cache_dir);
	uint8_t *content = gqe_cache_file_read(&file, vulkan, &bytes);
	const size_t tiles_at = offsetof(struct gqe_tuning, tiles);
	struct gqe_tuning *stored = calloc(1, sizeof(*stored));
	if (stored != NULL && content != NULL && bytes >= tiles_at && bytes <= sizeof(*stored))
		memcpy(stored, content, bytes);
	if (stored != NULL && stored->count <= GQE_MAX_TUNED_TILES && stored->query_count <= GQE_MAX_TUNED_QUERIES &&
	    bytes == tiles_at + stored->count * sizeof(stored->tiles[0])) {
		for (uint32_t i = 0; i < stored->count; i++)
			if (is_usable(&stored->tiles[i], vulkan))
				gqe_tuning_set(tuning, &stored->tiles[i]);
		for (uint32_t i = 0; i < stored->query_count; i++)
			if (stored->queries[i].mode == GQE_QUERIES_GATHERED || stored->queries[i].mode == GQE_QUERIES_DENSE)
				gqe_tuning_set_queries(tuning, &stored->queries[i]);
	}
	free(stored);
	free(content);
	gqe_cache_file_release(&file);
}

bool gqe_tuning_save(const struct gqe_tuning *tuning, const struct gqe_vulkan *vulkan, const char *cache_dir)
{
	struct gqe_cache_file file;
	cache_file(&file, vulkan, cache_dir);
	/* Without entries the file says so, instead of an older one that says more. */
	bool written = gqe_cache_file_write(&file, vulkan, (const uint8_t *)tuning,
					    offsetof(struct gqe_tuning, tiles) + tuning->count * sizeof(tuning->tiles[0]));
	gqe_cache_file_release(&file);
	return written;
}
