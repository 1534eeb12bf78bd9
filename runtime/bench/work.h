/* Counted operations of a layer and its parts, as include/gqe/gqe_bench.h defines them. Pure. */
#ifndef GQE_BENCH_WORK_H
#define GQE_BENCH_WORK_H

#include <gqe/gqe_bench.h>

/* Of one pass over `tokens` tokens at `position` of one sequence. */
void gqe_layer_flop(const gqe_layer_config *config, uint32_t tokens, uint32_t position, double flop[GQE_LAYER_STEP_COUNT]);
/* Of the one product that GQE_BENCH_GEMM is. */
double gqe_projection_flop(const gqe_layer_config *config, uint32_t tokens);

#endif
