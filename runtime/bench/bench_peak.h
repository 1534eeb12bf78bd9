/* The most a device does: fused multiply-adds from registers, copies of memory. */
#ifndef GQE_BENCH_BENCH_PEAK_H
#define GQE_BENCH_BENCH_PEAK_H

#include <gqe/gqe_bench.h>

#include "vulkan/steps.h"

struct gqe_bench_peak;

/*
 * Tries several kernels (numbers of independent chains, ways to copy) and keeps the fastest; then sizes a sample so that it takes
 * long enough to be measured. `steps` is timed, and empty afterwards. Fills in `info`.
 */
gqe_status gqe_bench_peak_create(struct gqe_vulkan *vulkan, struct gqe_steps *steps, const gqe_bench_params *params,
				 struct gqe_bench_peak **peak, gqe_bench_info *info, gqe_error *error);
void gqe_bench_peak_destroy(struct gqe_bench_peak **peak);
/* Appends one sample. */
void gqe_bench_peak_record(const struct gqe_bench_peak *peak, struct gqe_steps *steps);

#endif
