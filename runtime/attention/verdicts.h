/*
 * What came of checking the upper paths (packed, matrix, matrix2) on this very device: on first use each is compared with the
 * reference and timed against the subgroup path. One that is wrong or slow is not used. Kept in a cache file like that of
 * tuning.h, so that a device and driver are checked once.
 */
#ifndef GQE_ATTENTION_VERDICTS_H
#define GQE_ATTENTION_VERDICTS_H

#include <pthread.h>

#include "attention/kernels.h"

/* Every head size of attention on three paths, and the products. */
#define GQE_MAX_VERDICTS (3 * GQE_MAX_HEAD_DIM / 2 + 8)
/* A path whose checks began so often and never ended is taken for one that takes the process with it. */
#define GQE_MOST_ATTEMPTS 2
/* What the checks for a layer may take, pipelines aside. */
#define GQE_CHECK_SECONDS 0.2
/* A path that takes this many times as long as the subgroup path is slow. */
#define GQE_SLOW_RATIO 5.0

/* The kernels that have upper paths. */
#define GQE_CHECKED_KERNELS 4
extern const enum gqe_kernel gqe_checked_kernels[GQE_CHECKED_KERNELS];

/* Fixed-size members only. */
struct gqe_verdict {
	uint32_t kernel;         /* enum gqe_kernel */
	uint32_t path;           /* gqe_path: the variant's own, packed or above */
	uint32_t head_dim;       /* attention's; 0 for other kernels */
	uint32_t verdict;        /* gqe_path_verdict; UNCHECKED: a check began */
	uint32_t attempts;       /* checks that began */
	uint32_t is_transient;   /* of this context alone: the file only has the attempts, and the next context checks again */
	double error, tolerance; /* relative L2, of the case that came nearest to failing */
	double slowdown;         /* seconds over those of the subgroup path; 0: not measured */
};

/* Of a context; layers on several threads look into it while another one is checked. */
struct gqe_verdicts {
	pthread_mutex_t lock;     /* of the list */
	pthread_mutex_t checking; /* held for a whole check */
	uint32_t count;
	struct gqe_verdict list[GQE_MAX_VERDICTS];
};

gqe_status gqe_verdicts_create(struct gqe_verdicts **verdicts, gqe_error *error);
void gqe_verdicts_destroy(struct gqe_verdicts **verdicts);

/* The entry for that; false: there is none. */
bool gqe_verdicts_find(struct gqe_verdicts *verdicts, enum gqe_kernel kernel, gqe_path path, uint32_t head_dim,
		       struct gqe_verdict *found);
/* Adds the entry or replaces the one for the same. */
void gqe_verdicts_set(struct gqe_verdicts *verdicts, const struct gqe_verdict *entry);
/* Whether that path must not be used: its check failed, or never ended. `verdicts` NULL: all may be used. */
bool gqe_verdicts_forbid(struct gqe_verdicts *verdicts, enum gqe_kernel kernel, gqe_path path, uint32_t head_dim);

/* Reads the cache file; what could not be from this library is dropped, and logged. */
void gqe_verdicts_load(struct gqe_verdicts *verdicts, const struct gqe_vulkan *vulkan, const char *cache_dir);
void gqe_verdicts_save(struct gqe_verdicts *verdicts, const struct gqe_vulkan *vulkan, const char *cache_dir);

/* One entry for each kernel and upper path of the device; of attention's head sizes the one with the worst verdict. */
uint32_t gqe_verdicts_report(struct gqe_verdicts *verdicts, const struct gqe_capabilities *capabilities,
			     gqe_path_check checks[GQE_MAX_PATH_CHECKS]);
/* "disabled: wrong by 0.3 (at most 0.001)", ... */
void gqe_verdict_describe(const struct gqe_verdict *entry, char *text, size_t size);

/* What figures mean: seconds of the same work on the checked path and on the subgroup path; 0: not measured. Pure. */
gqe_path_verdict gqe_verdict_judge(bool is_right, double seconds, double subgroup_seconds);

/*
 * Makes sure that the upper paths that a layer with f16 weights and that head size would use have a verdict. A path that the caller
 * forced is not checked; what is known against it is logged. Fails only when the device is lost. To be called before anything of
 * the layer is made.
 */
gqe_status gqe_context_check_paths(gqe_context *context, gqe_dtype dtype, uint32_t head_dim, gqe_error *error);
/*
 * Checks one path of one kernel and fills in the rest of `entry`; transient when there was no time to come to an end. `seconds`:
 * how long it may take; then, how long it took. The only call up the house: selftest/path_check.c, which has the kernels' cases,
 * implements it.
 */
gqe_status gqe_check_path(gqe_context *context, struct gqe_verdict *entry, double *seconds, gqe_error *error);

#endif
