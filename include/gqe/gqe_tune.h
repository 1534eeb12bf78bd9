/*
 * gqe_tune: measures, on the device itself, which tiles its kernels are fastest with, and remembers it.
 *
 * The library's own tiles come from compile reports and from a few devices. What gqe_tune finds is used at once by the context it
 * ran in, and is stored in the cache folder, keyed by device, driver, library version and shaders: every later context on this
 * device loads it. Symbols and rules are those of gqe.h.
 */
#ifndef GQE_GQE_TUNE_H
#define GQE_GQE_TUNE_H

#include <gqe/gqe.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How a kernel divides its work; what the sizes mean differs by kernel and path. */
typedef struct gqe_tile_info {
	uint32_t workgroup; /* invocations */
	uint32_t subgroup;  /* lanes; 1 on the scalar path */
	uint32_t rows;      /* of the tile of results */
	uint32_t columns;   /* of it; attention: keys in a block */
} gqe_tile_info;

/* What came out for one kernel, dtype and amount of work. Valid during the call. */
typedef struct gqe_tune_result {
	const char *kernel;            /* "attention", "gemm", "gemm_gathered"; "queries": which of gqe_query_mode */
	gqe_path path;                 /* of the variant measured */
	gqe_dtype dtype;               /* of weights and KV cache */
	uint32_t head_dim;             /* attention's; 0 for other kernels */
	uint32_t above;                /* for more rows of work than that: tokens; attention: tokens times slots of a KV head */
	uint32_t up_to;                /* and at most so many; 0: any number */
	uint32_t candidates;           /* tiles, or modes, that were tried, the library's own included */
	uint32_t rejected;             /* of them: did not build, or did not agree with the reference */
	gqe_tile_info before;          /* the library's own tile */
	gqe_tile_info after;           /* the winner; the same when nothing is clearly faster */
	double before_ms;              /* median of the library's own tile; samples of both are taken in turn */
	double after_ms;               /* median of the winner */
	gqe_query_mode queries_before; /* of "queries", whose tiles are those of the modes; else 0 */
	gqe_query_mode queries_after;  /* the winner */
} gqe_tune_result;

/* For gqe_tune. */
typedef struct gqe_tune_params {
	size_t size;                    /* sizeof(gqe_tune_params) */
	const gqe_layer_config *config; /* the layer to tune for; required. Its head size is the only one tuned for attention */
	gqe_dtype dtype;                /* 0: F32, and F16 where the device has it */
	double budget_seconds;          /* 0: 60. Exceeded by at most one compilation and one self-test */
	/* Called after every result, on the calling thread. May be NULL. */
	void (*on_result)(void *user, const gqe_tune_result *result);
	/* Seconds used and the budget; false stops, and keeps what is finished. May be NULL. */
	gqe_progress_fn progress;
	void *user; /* of both */
} gqe_tune_params;

/*
 * Tunes attention, products and, for GQE, the gathered products, for one token, few and many. A tile is kept only if it is at least
 * 3% faster than the library's own and its kernel passes the self-test against the reference. `stored` (may be NULL): whether the
 * result was written for later contexts; false without a cache folder. GQE_CANCELLED when `progress` said so: what was finished is
 * in use and stored. [context]
 */
GQE_API gqe_status gqe_tune(gqe_context *context, const gqe_tune_params *params, bool *stored, gqe_error *error);

/* Tuned entries that the context has loaded or found; 0 for the reference. [any] */
GQE_API uint32_t gqe_context_tuned_count(const gqe_context *context);

#ifdef __cplusplus
}
#endif

#endif
