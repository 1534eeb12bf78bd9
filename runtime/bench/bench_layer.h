/* What a bench of a layer, its attention or its projection runs on: tensors filled with random numbers, and what it records. */
#ifndef GQE_BENCH_BENCH_LAYER_H
#define GQE_BENCH_BENCH_LAYER_H

#include <gqe/gqe_bench.h>

#include "attention/layer_device.h"

struct gqe_bench_layer;

/* `params` are complete and checked. `steps` is used, and empty afterwards. Fills in `info`. Runs the first pass. */
gqe_status gqe_bench_layer_create(const struct gqe_recorder *recorder, struct gqe_vulkan *vulkan, const gqe_bench_params *params,
				  struct gqe_bench_layer **layer, gqe_bench_info *info, gqe_error *error);
void gqe_bench_layer_destroy(struct gqe_bench_layer **layer);
/* Appends one sample. */
void gqe_bench_layer_record(const struct gqe_bench_layer *layer, const struct gqe_recorder *recorder);

#endif
