#include "attention/context.h"

#include <stdlib.h>
#include <string.h>

#include "common/platform.h"

struct gqe_context {
	struct gqe_vulkan *vulkan; /* NULL: the reference */
	gqe_path path;
	bool path_is_forced;
	gqe_query_mode queries; /* 0: not forced */
	uint32_t threads;
	char *cache_dir; /* NULL: the user's */
	struct gqe_tuning *tuning;
	struct gqe_verdicts *verdicts;
	struct gqe_log log;
};

uint32_t gqe_version(void)
{
	return GQE_VERSION;
}

const char *gqe_path_name(gqe_path path)
{
	switch (path) {
	case GQE_PATH_SCALAR:
		return "scalar";
	case GQE_PATH_SUBGROUP:
		return "subgroup";
	case GQE_PATH_PACKED:
		return "packed";
	case GQE_PATH_MATRIX:
		return "matrix";
	case GQE_PATH_MATRIX2:
		return "matrix2";
	}
	return "?";
}

const char *gqe_query_mode_name(gqe_query_mode mode)
{
	switch (mode) {
	case GQE_QUERIES_GATHERED:
		return "gathered";
	case GQE_QUERIES_DENSE:
		return "dense";
	}
	return "?";
}

void gqe_device_info_paths(gqe_device_info *info, const struct gqe_capabilities *capabilities)
{
	info->path_count = gqe_ladder(capabilities, info->paths);
}

/* Takes the best path of the ladder, or the one the caller insists on. */
static gqe_status choose_path(const gqe_device_info *info, gqe_path wanted, gqe_path *path, gqe_error *error)
{
	for (uint32_t i = 0; i < info->path_count; i++) {
		if (wanted == 0 || info->paths[i] == wanted) {
			*path = info->paths[i];
			if (wanted != 0)
				return GQE_OK;
		}
	}
	if (wanted == 0 && info->path_count > 0)
		return GQE_OK;
	return gqe_fail(error, GQE_ERROR_USAGE,
			"the device '%s' does not have the kernel path '%s'; leave the path out to get its best", info->name,
			gqe_path_name(wanted));
}

/* What the cache folder knows of the device. */
static gqe_status load_knowledge(gqe_context *context, const char *cache_dir, gqe_error *error)
{
	context->tuning = calloc(1, sizeof(*context->tuning));
	size_t bytes = cache_dir != NULL ? strlen(cache_dir) + 1 : 0;
	if (cache_dir != NULL)
		context->cache_dir = malloc(bytes);
	if (context->tuning == NULL || (cache_dir != NULL && context->cache_dir == NULL))
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a context");
	if (cache_dir != NULL)
		memcpy(context->cache_dir, cache_dir, bytes);
	gqe_tuning_load(context->tuning, context->vulkan, cache_dir);
	if (context->tuning->count + context->tuning->query_count > 0)
		gqe_log_write(&context->log, GQE_LOG_INFO, "%u choices measured on this device by gqe tune",
			      context->tuning->count + context->tuning->query_count);
	gqe_status status = gqe_verdicts_create(&context->verdicts, error);
	if (status != GQE_OK)
		return status;
	gqe_device_info *info = &context->vulkan->info;
	gqe_verdicts_load(context->verdicts, context->vulkan, cache_dir);
	info->path_check_count = gqe_verdicts_report(context->verdicts, &context->vulkan->capabilities, info->path_checks);
	return GQE_OK;
}

static gqe_status open_device(gqe_context *context, const gqe_context_params *params, gqe_error *error)
{
	gqe_vulkan_import import;
	gqe_status status = gqe_copy_params(&import, sizeof(import), params->vulkan, error);
	if (status != GQE_OK)
		return status;
	const struct gqe_vulkan_params vulkan_params = {
		.import = &import,
		.device = params->device,
		.memory_limit = params->memory_limit,
		.cache_dir = params->cache_dir,
		.validation = params->validation,
		.target_seconds = 1e-3 * params->submit_target_ms,
		.cap_seconds = 1e-3 * params->submit_cap_ms,
		.low_impact = params->low_impact,
		.threads = params->low_impact ? 1 : context->threads,
		.log = context->log,
	};
	status = gqe_vulkan_create(&vulkan_params, &context->vulkan, error);
	if (status != GQE_OK)
		return status;
	gqe_device_info *info = &context->vulkan->info;
	gqe_device_info_paths(info, &context->vulkan->capabilities);
	context->path_is_forced = params->force_path != 0;
	context->queries = params->force_queries;
	status = choose_path(info, params->force_path, &context->path, error);
	if (status == GQE_OK)
		status = load_knowledge(context, params->cache_dir, error);
	if (status == GQE_OK)
		gqe_log_write(&context->log, GQE_LOG_INFO, "kernel path %s", gqe_path_name(context->path));
	return status;
}

gqe_status gqe_context_create(const gqe_context_params *caller_params, gqe_context **context, gqe_error *error)
{
	if (context == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_context_create: context is NULL");
	*context = NULL;
	gqe_context_params params;
	gqe_status status = gqe_copy_params(&params, sizeof(params), caller_params, error);
	if (status != GQE_OK)
		return status;
	if (params.force_queries > GQE_QUERIES_DENSE)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_context_create: there is no mode %d of queries",
				(int)params.force_queries);
	gqe_context *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a context");
	made->log = (struct gqe_log){
		.fn = params.log,
		.user = params.log_user,
		.level = params.log_level == 0 ? GQE_LOG_WARNING : params.log_level,
	};
	made->threads = params.threads == 0 ? gqe_processor_count() : params.threads;
	if (params.device != NULL && strcmp(params.device, "reference") == 0) {
		if (params.force_path != 0)
			status = gqe_fail(error, GQE_ERROR_USAGE, "the reference device has no kernel paths");
		else
			gqe_log_write(&made->log, GQE_LOG_INFO, "C reference, float64 accumulation, %u threads", made->threads);
	} else {
		status = open_device(made, &params, error);
	}
	if (status != GQE_OK) {
		gqe_context_destroy(&made);
		return status;
	}
	*context = made;
	return GQE_OK;
}

void gqe_context_destroy(gqe_context **context)
{
	if (context == NULL || *context == NULL)
		return;
	gqe_vulkan_destroy(&(*context)->vulkan);
	free((*context)->tuning);
	gqe_verdicts_destroy(&(*context)->verdicts);
	free((*context)->cache_dir);
	free(*context);
	*context = NULL;
}

const gqe_device_info *gqe_context_device(const gqe_context *context)
{
	return context != NULL && context->vulkan != NULL ? &context->vulkan->info : NULL;
}

void gqe_context_memory(const gqe_context *context, gqe_memory_info *info)
{
	if (info == NULL)
		return;
	*info = (gqe_memory_info){0};
	if (context != NULL && context->vulkan != NULL) {
		const struct gqe_memory_accounting memory = gqe_vulkan_memory(context->vulkan);
		*info = (gqe_memory_info){.used = memory.used, .peak = memory.peak, .limit = memory.limit};
	}
}

uint32_t gqe_context_validation_errors(const gqe_context *context)
{
	return context != NULL && context->vulkan != NULL ? context->vulkan->validation_errors : 0;
}

struct gqe_vulkan *gqe_context_vulkan(const gqe_context *context)
{
	return context->vulkan;
}

gqe_path gqe_context_path(const gqe_context *context)
{
	return context->path;
}

bool gqe_context_path_is_forced(const gqe_context *context)
{
	return context->path_is_forced;
}

struct gqe_recorder gqe_context_recorder(const gqe_context *context, struct gqe_steps *steps)
{
	return (struct gqe_recorder){
		.steps = steps,
		.capabilities = &context->vulkan->capabilities,
		.path = context->path,
		.queries = context->queries,
		.tuning = context->tuning,
		.verdicts = context->path_is_forced ? NULL : context->verdicts,
	};
}

struct gqe_weight_reader gqe_context_weight_reader(const gqe_context *context)
{
	return (struct gqe_weight_reader){.capabilities = &context->vulkan->capabilities, .path = context->path};
}

struct gqe_verdicts *gqe_context_verdicts(const gqe_context *context)
{
	return context->verdicts;
}

uint32_t gqe_context_path_checks(const gqe_context *context, gqe_path_check checks[GQE_MAX_PATH_CHECKS])
{
	if (context == NULL || context->vulkan == NULL || checks == NULL)
		return 0;
	return gqe_verdicts_report(context->verdicts, &context->vulkan->capabilities, checks);
}

struct gqe_tuning *gqe_context_tuning(const gqe_context *context)
{
	return context->tuning;
}

const char *gqe_context_cache_dir(const gqe_context *context)
{
	return context->cache_dir;
}

uint32_t gqe_context_threads(const gqe_context *context)
{
	return context->threads;
}

gqe_status gqe_context_check_dtype(const gqe_context *context, gqe_dtype *dtype, gqe_error *error)
{
	if (*dtype == 0)
		*dtype = GQE_DTYPE_F32;
	if (*dtype != GQE_DTYPE_F32 && *dtype != GQE_DTYPE_F16)
		return gqe_fail(error, GQE_ERROR_USAGE, "dtype %s cannot be computed with; use f32 or f16", gqe_dtype_name(*dtype));
	const bool lacks_f16 = *dtype == GQE_DTYPE_F16 && context->vulkan != NULL && !context->vulkan->capabilities.storage16;
	if (lacks_f16 && context->vulkan->device_is_imported)
		return gqe_fail(
			error, GQE_ERROR_NO_DEVICE,
			"the feature storageBuffer16BitAccess, which f16 needs, is not enabled on the application's device '%s'; "
			"enable it where gqe_vulkan_requirements_create lists it, or use f32",
			context->vulkan->info.name);
	if (lacks_f16)
		return gqe_fail(error, GQE_ERROR_NO_DEVICE,
				"the device '%s' has no 16-bit storage, which f16 needs; use f32 or another device",
				context->vulkan->info.name);
	return GQE_OK;
}

/* What the user's cache folder knows of a device that is only listed. */
static void list_path_checks(gqe_device_info *info, const struct gqe_capabilities *capabilities)
{
	struct gqe_verdicts *verdicts;
	struct gqe_vulkan vulkan = {.info = *info, .capabilities = *capabilities};
	if (gqe_verdicts_create(&verdicts, NULL) == GQE_OK)
		gqe_verdicts_load(verdicts, &vulkan, NULL);
	info->path_check_count = gqe_verdicts_report(verdicts, capabilities, info->path_checks);
	gqe_verdicts_destroy(&verdicts);
}

gqe_status gqe_device_list_create(gqe_device_list **list, gqe_error *error)
{
	if (list == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_device_list_create: list is NULL");
	*list = NULL;
	gqe_device_list *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a list of devices");
	gqe_device_info *devices = NULL;
	struct gqe_capabilities *capabilities = NULL;
	gqe_status status = gqe_vulkan_list(&devices, &capabilities, &made->count, error);
	if (status != GQE_OK) {
		free(made);
		return status;
	}
	for (uint32_t i = 0; i < made->count; i++)
		if (devices[i].usable) {
			gqe_device_info_paths(&devices[i], &capabilities[i]);
			list_path_checks(&devices[i], &capabilities[i]);
		}
	free(capabilities);
	made->devices = devices;
	*list = made;
	return GQE_OK;
}

void gqe_device_list_destroy(gqe_device_list **list)
{
	if (list == NULL || *list == NULL)
		return;
	free((gqe_device_info *)(*list)->devices);
	free(*list);
	*list = NULL;
}
