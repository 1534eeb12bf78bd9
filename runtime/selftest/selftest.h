/* The self-test of one tile, or one path, for those who want to use it. */
#ifndef GQE_SELFTEST_SELFTEST_H
#define GQE_SELFTEST_SELFTEST_H

#include "attention/tuning.h"

/* Runs the entry's kernel with its tile on random shapes against the reference. GQE_ERROR_VERIFICATION when they do not agree. */
gqe_status gqe_selftest_tile(gqe_context *context, const struct gqe_tuned_tile *entry, gqe_error *error);

/* A span of time in which pipelines do not count: neither making them, nor running them for the first time. */
struct gqe_budget {
	struct gqe_steps *steps; /* what all work is done with */
	uint64_t began;
	double seconds;
};

/* Begins with an empty list of steps. */
struct gqe_budget gqe_budget_begin(struct gqe_steps *steps, double seconds);
/* Negative when it is over. */
double gqe_budget_left(const struct gqe_budget *budget);

/*
 * Runs the kernel's variant for that path and f16 weights, with the tiles that the context uses, on a few small shapes: the first
 * whatever is left of the budget, another only if there is time for the longest so far. `worst` (text members aside): the case that
 * failed first, else the one that came nearest to failing. GQE_ERROR_VERIFICATION as soon as one fails; `is_complete`: all passed.
 */
gqe_status gqe_selftest_path(gqe_context *context, enum gqe_kernel kernel, gqe_path path, uint32_t head_dim,
			     const struct gqe_budget *budget, gqe_selftest_case *worst, bool *is_complete, gqe_error *error);

#endif
