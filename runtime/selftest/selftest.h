/* The self-test of one tile, or one path, for those who want to use it. */
#ifndef GQE_SELFTEST_SELFTEST_H
#define GQE_SELFTEST_SELFTEST_H

#include "attention/tuning.h"

/* Runs the entry's kernel with its tile on random shapes against the reference. GQE_ERROR_VERIFICATION when they do not agree. */
gqe_status gqe_selftest_tile(gqe_context *context, const struct gqe_tuned_tile *entry, gqe_error *error);
/*
 * Runs the kernel's variant for that path and f16 weights, with the tiles that the context uses, on a few small shapes. `worst`
 * (text members aside): the case that failed first, else the one that came nearest to failing.
 */
gqe_status gqe_selftest_path(gqe_context *context, enum gqe_kernel kernel, gqe_path path, uint32_t head_dim,
			     gqe_selftest_case *worst, gqe_error *error);

#endif
