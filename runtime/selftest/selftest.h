/* The self-test of one tile, for those who want to use it. */
#ifndef GQE_SELFTEST_SELFTEST_H
#define GQE_SELFTEST_SELFTEST_H

#include "attention/tuning.h"

/* Runs the entry's kernel with its tile on random shapes against the reference. GQE_ERROR_VERIFICATION when they do not agree. */
gqe_status gqe_selftest_tile(gqe_context *context, const struct gqe_tuned_tile *entry, gqe_error *error);

#endif
