/* First use: which paths a layer is about to use, and what is done about those that nobody has checked on this device yet. */
#include "attention/context.h"

#include <stdio.h>

#include "attention/prepared.h"
#include "common/platform.h"

/* The path that the kernel's large work runs on, as far as is known. */
static gqe_path path_in_use(const gqe_context *context, struct gqe_verdicts *verdicts, enum gqe_kernel kernel, uint32_t head_dim)
{
	return gqe_prepare(&gqe_context_vulkan(context)->capabilities, gqe_context_tuning(context), verdicts, kernel,
			   gqe_context_path(context), GQE_DTYPE_F16, UINT32_MAX, head_dim)
		.choice.path;
}

static void log_verdict(const gqe_context *context, gqe_log_level level, const char *what, const struct gqe_verdict *entry)
{
	char text[160], head_dim[32] = "";
	gqe_verdict_describe(entry, text, sizeof(text));
	if (entry->head_dim != 0)
		snprintf(head_dim, sizeof(head_dim), ", head size %u", entry->head_dim);
	gqe_log_write(&gqe_context_vulkan(context)->log, level, "%s: %s, path %s%s: %s", what,
		      gqe_kernel_name((enum gqe_kernel)entry->kernel), gqe_path_name((gqe_path)entry->path), head_dim, text);
}

static void keep(const gqe_context *context, const struct gqe_verdict *entry)
{
	struct gqe_verdicts *verdicts = gqe_context_verdicts(context);
	gqe_verdicts_set(verdicts, entry);
	gqe_verdicts_save(verdicts, gqe_context_vulkan(context), gqe_context_cache_dir(context));
}

/*
 * The cache file says before the check that it began: should the driver take the process with it, the next process knows. Takes
 * what it used from `*left` seconds.
 */
static gqe_status check_one(gqe_context *context, struct gqe_verdict *entry, double share, double *left, gqe_error *error)
{
	gqe_error cause = {0};
	const uint64_t began = gqe_wall_nanoseconds();
	double seconds = share;
	entry->verdict = GQE_PATH_UNCHECKED;
	entry->attempts++;
	keep(context, entry);
	gqe_status status = gqe_check_path(context, entry, &seconds, &cause);
	*left -= seconds;
	if (status == GQE_ERROR_OUT_OF_MEMORY) {
		/* It says nothing about the path. This context does without; another one may try again. */
		entry->is_transient = true;
		entry->verdict = GQE_PATH_FAILED;
	} else if (status != GQE_OK) {
		/* A device may be lost for other reasons; when the next check does not end either, that is answer enough. */
		entry->verdict = status == GQE_ERROR_DEVICE_LOST ? GQE_PATH_UNCHECKED : GQE_PATH_FAILED;
	}
	if (entry->is_transient)
		entry->attempts--; /* it ended */
	if (status != GQE_OK)
		gqe_log_write(&gqe_context_vulkan(context)->log, GQE_LOG_WARNING, "%s, path %s: %s",
			      gqe_kernel_name((enum gqe_kernel)entry->kernel), gqe_path_name((gqe_path)entry->path), cause.message);
	keep(context, entry);
	log_verdict(context, entry->verdict == GQE_PATH_CHECKED ? GQE_LOG_INFO : GQE_LOG_WARNING, "first use on this device",
		    entry);
	gqe_log_write(&gqe_context_vulkan(context)->log, GQE_LOG_DEBUG, "the check took %.0f ms, and pipelines for it %.0f ms",
		      1e3 * seconds, 1e3 * (gqe_seconds_since(began) - seconds));
	return status == GQE_ERROR_DEVICE_LOST ? gqe_fail(error, status, "%s", cause.message) : GQE_OK;
}

/* From the path in use down, until one has passed or needs no check; in as many equal parts of `*left` as `shares` says. */
static gqe_status check_kernel(gqe_context *context, enum gqe_kernel kernel, uint32_t head_dim, uint32_t shares, double *left,
			       gqe_error *error)
{
	struct gqe_verdicts *verdicts = gqe_context_verdicts(context);
	for (;;) {
		gqe_path path = path_in_use(context, verdicts, kernel, head_dim);
		struct gqe_verdict entry = {.kernel = (uint32_t)kernel, .path = (uint32_t)path, .head_dim = head_dim};
		bool is_known = gqe_verdicts_find(verdicts, kernel, path, head_dim, &entry);
		if (path < GQE_PATH_PACKED || (is_known && entry.verdict != GQE_PATH_UNCHECKED))
			return GQE_OK;
		gqe_status status = check_one(context, &entry, *left / shares, left, error);
		if (status != GQE_OK)
			return status;
	}
}

/* Whoever forces a path gets it. */
static void log_forced(const gqe_context *context, enum gqe_kernel kernel, uint32_t head_dim)
{
	struct gqe_verdict entry;
	gqe_path path = path_in_use(context, NULL, kernel, head_dim);
	struct gqe_verdicts *verdicts = gqe_context_verdicts(context);
	if (path >= GQE_PATH_PACKED && gqe_verdicts_forbid(verdicts, kernel, path, head_dim) &&
	    gqe_verdicts_find(verdicts, kernel, path, head_dim, &entry))
		log_verdict(context, GQE_LOG_WARNING, "used because it is forced", &entry);
}

gqe_status gqe_context_check_paths(gqe_context *context, gqe_dtype dtype, uint32_t head_dim, gqe_error *error)
{
	if (gqe_context_vulkan(context) == NULL || dtype != GQE_DTYPE_F16 || gqe_context_path(context) < GQE_PATH_PACKED)
		return GQE_OK;
	struct gqe_verdicts *verdicts = gqe_context_verdicts(context);
	gqe_status status = GQE_OK;
	double left = GQE_CHECK_SECONDS;
	pthread_mutex_lock(&verdicts->checking);
	for (size_t k = 0; k < GQE_CHECKED_KERNELS && status == GQE_OK; k++) {
		uint32_t size = gqe_checked_kernels[k] == GQE_KERNEL_ATTENTION ? head_dim : 0;
		if (gqe_context_path_is_forced(context))
			log_forced(context, gqe_checked_kernels[k], size);
		else
			status = check_kernel(context, gqe_checked_kernels[k], size, (uint32_t)(GQE_CHECKED_KERNELS - k), &left,
					      error);
	}
	pthread_mutex_unlock(&verdicts->checking);
	return status;
}
