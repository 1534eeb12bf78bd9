/* The context: a Vulkan device with the kernel path chosen for it, or the C reference. Everything else is made from one. */
#ifndef GQE_ATTENTION_CONTEXT_H
#define GQE_ATTENTION_CONTEXT_H

#include "attention/kernels.h"
#include "attention/tuning.h"
#include "attention/verdicts.h"

/* NULL for the reference device. */
struct gqe_vulkan *gqe_context_vulkan(const gqe_context *context);
/* The path that kernels are recorded with, as far as nothing is known against it. */
gqe_path gqe_context_path(const gqe_context *context);
bool gqe_context_path_is_forced(const gqe_context *context);
/* What the context's kernels are recorded with, into these steps. Not for the reference. */
struct gqe_recorder gqe_context_recorder(const gqe_context *context, struct gqe_steps *steps);
/* For what lays out weights that such a recorder's products read. Not for the reference. */
struct gqe_weight_reader gqe_context_weight_reader(const gqe_context *context);
/* What gqe_tune has measured on this device, in this context or before; NULL for the reference. */
struct gqe_tuning *gqe_context_tuning(const gqe_context *context);
/* What is known of the device's upper paths; NULL for the reference. */
struct gqe_verdicts *gqe_context_verdicts(const gqe_context *context);
/* As in gqe_context_params. */
const char *gqe_context_cache_dir(const gqe_context *context);
/* Host threads of the reference. */
uint32_t gqe_context_threads(const gqe_context *context);
/* GQE_OK when weights and KV cache of that dtype work on this device (0 is replaced by F32). */
gqe_status gqe_context_check_dtype(const gqe_context *context, gqe_dtype *dtype, gqe_error *error);
/* Fills in what the capability ladder says about a device. */
void gqe_device_info_paths(gqe_device_info *info, const struct gqe_capabilities *capabilities);

#endif
