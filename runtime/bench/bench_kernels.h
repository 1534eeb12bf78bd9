/* The kernels that find a device's peaks: their push structs and rows. They compute nothing that a layer needs. */
#ifndef GQE_BENCH_BENCH_KERNELS_H
#define GQE_BENCH_BENCH_KERNELS_H

#include "shared/bench.h"
#include "vulkan/pipeline.h"

/* struct gqe_push_peak_fma, ... */
#define GQE_PUSH_STRUCT(name, NAME) GQE_DECLARE_PUSH_STRUCT(gqe_push_##name, GQE_PUSH_##NAME)
GQE_BENCH_KERNELS(GQE_PUSH_STRUCT)
#undef GQE_PUSH_STRUCT

const struct gqe_kernel_variant *gqe_peak_fma_variant(gqe_dtype dtype);
const struct gqe_kernel_variant *gqe_peak_matrix_variant(void);
const struct gqe_kernel_variant *gqe_peak_copy_variant(void);
struct gqe_specialization gqe_bench_specialization(uint32_t workgroup, uint32_t chains);
/* Of peak_matrix: one subgroup a workgroup. */
struct gqe_specialization gqe_bench_matrix_specialization(const struct gqe_capabilities *capabilities, uint32_t chains,
							  const gqe_matrix_shape *shape);

#endif
