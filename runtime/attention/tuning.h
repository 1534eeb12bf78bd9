/*
 * Tiles and modes of queries that were measured on this very device: they come before the tables' rows. Made by gqe_tune, kept in a
 * cache file that is keyed by device, driver, library and shaders, so that a file from another time is a miss.
 */
#ifndef GQE_ATTENTION_TUNING_H
#define GQE_ATTENTION_TUNING_H

#include "attention/tiles.h"

#define GQE_MAX_TUNED_TILES 256
#define GQE_MAX_TUNED_QUERIES 64

/* A measured tile and what it is for. Fixed-size members only. */
struct gqe_tuned_tile {
	uint32_t kernel;   /* enum gqe_kernel */
	uint32_t path;     /* gqe_path: the variant's own */
	uint32_t weights;  /* gqe_dtype */
	uint32_t head_dim; /* attention's; 0 for other kernels */
	uint32_t above;    /* it is for more rows of work than that */
	uint32_t up_to;    /* and for at most so many; 0: any */
	struct gqe_tile tile;
};

/* A measured mode of queries and what it is for. Fixed-size members only. */
struct gqe_tuned_queries {
	uint32_t path;              /* gqe_path: the context's */
	uint32_t weights;           /* gqe_dtype */
	uint32_t experts_per_group; /* M */
	uint32_t top_k;
	uint32_t above; /* it is for more tokens than that */
	uint32_t up_to; /* and for at most so many; 0: any */
	uint32_t mode;  /* gqe_query_mode */
};

/* The cache file's content, as far as it is used. */
struct gqe_tuning {
	uint32_t query_count;
	struct gqe_tuned_queries queries[GQE_MAX_TUNED_QUERIES];
	uint32_t count;
	struct gqe_tuned_tile tiles[GQE_MAX_TUNED_TILES];
};

/* What was measured for that much work; NULL: nothing. `tuning` may be NULL. */
const struct gqe_tile *gqe_tuning_find(const struct gqe_tuning *tuning, enum gqe_kernel kernel, gqe_path path, gqe_dtype weights,
				       uint32_t work_rows, uint32_t head_dim);
/* What was measured for that many tokens; 0: nothing. `tuning` may be NULL. */
gqe_query_mode gqe_tuning_find_queries(const struct gqe_tuning *tuning, gqe_path path, gqe_dtype weights,
				       uint32_t experts_per_group, uint32_t top_k, uint32_t tokens);
/* As gqe_tuning_set; mode 0 removes the entry. */
bool gqe_tuning_set_queries(struct gqe_tuning *tuning, const struct gqe_tuned_queries *entry);
/* Adds an entry, or replaces the one for the same kernel, path, dtype, head size and work. False: there is no room. */
bool gqe_tuning_set(struct gqe_tuning *tuning, const struct gqe_tuned_tile *entry);
/* Removes the entry for the same, if there is one: the tile table decides again. */
void gqe_tuning_remove(struct gqe_tuning *tuning, const struct gqe_tuned_tile *entry);

/* Reads the cache file; empty when there is none that fits. Entries that this device cannot run are dropped. */
void gqe_tuning_load(struct gqe_tuning *tuning, const struct gqe_vulkan *vulkan, const char *cache_dir);
/* False: there is no cache folder, or it cannot be written (logged). */
bool gqe_tuning_save(const struct gqe_tuning *tuning, const struct gqe_vulkan *vulkan, const char *cache_dir);

#endif
