#include "report.h"

#include "bench_measure.h"
#include "interrupt.h"
#include "platform.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Part of the budget that is planned with; what is left is for compiling, which no deadline stops. */
#define PLANNED_PART 0.90

bool report_must_stop(void *user)
{
	struct report *report = user;
	const double now = now_seconds();
	progress_draw(&report->progress, (now - report->began) / report->budget);
	return interrupt_seen() || now > report->deadline;
}

gqe_status report_skip(struct report *report, const char *reason, gqe_error *error, const char *format, ...)
{
	struct record *record = report->record;
	struct record_skip *skip = record_grow(&record->skips, &record->skip_count, sizeof(*skip));
	if (!skip)
		return error_no_memory(error);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(skip->what, sizeof(skip->what), format, arguments);
	va_end(arguments);
	snprintf(skip->reason, sizeof(skip->reason), "%s", reason);
	return GQE_OK;
}

static bool append(double **values, uint32_t count, double value)
{
	double *grown = realloc(*values, (count + 1) * sizeof(*grown));
	if (!grown)
		return false;
	grown[count] = value;
	*values = grown;
	return true;
}

gqe_status report_add_sample(const struct report *report, struct record_samples *samples, const gqe_bench_times *times,
			     bool on_device, gqe_error *error)
{
	uint32_t *rounds = realloc(samples->rounds, (samples->count + 1) * sizeof(*rounds));
	if (!rounds)
		return error_no_memory(error);
	rounds[samples->count] = report->round;
	samples->rounds = rounds;
	if ((on_device && !append(&samples->gpu_ms, samples->count, times->gpu_ms)) ||
	    !append(&samples->wall_ms, samples->count, times->wall_ms) || !append(&samples->cpu_ms, samples->count, times->cpu_ms))
		return error_no_memory(error);
	samples->count++;
	return GQE_OK;
}

/* ------------------------------------------------------------------------------------------------------------- self-test -- */

struct selftest {
	struct report *report;
	bool no_memory;
};

static void on_case(void *user, const gqe_selftest_case *result)
{
	struct selftest *selftest = user;
	struct record *record = selftest->report->record;
	struct record_check *check = record->check_count ? &record->checks[record->check_count - 1] : NULL;
	const char *path = gqe_path_name(result->path), *dtype = gqe_dtype_name(result->dtype);
	if (!check || strcmp(check->kernel, result->kernel) != 0 || strcmp(check->path, path) != 0 ||
	    strcmp(check->dtype, dtype) != 0) {
		check = record_grow(&record->checks, &record->check_count, sizeof(*check));
		if (!check) {
			selftest->no_memory = true;
			return;
		}
		snprintf(check->kernel, sizeof(check->kernel), "%s", result->kernel);
		snprintf(check->path, sizeof(check->path), "%s", path);
		snprintf(check->dtype, sizeof(check->dtype), "%s", dtype);
		check->tolerance = result->tolerance;
	}
	check->cases++;
	check->failed += !result->passed;
	/* By products, as an exact kernel's tolerance is 0; a NaN is the worst. */
	if (!(result->error * check->tolerance <= check->error * result->tolerance)) {
		check->error = result->error;
		check->tolerance = result->tolerance;
	}
	report_must_stop(selftest->report);
}

static gqe_status check_path(struct report *report, gqe_context *context, gqe_path path, gqe_error *error)
{
	struct selftest selftest = {.report = report};
	const gqe_selftest_params params = {.size = sizeof(params),
					    .cases = report->full ? 4 : 1,
					    .max_tokens = report->full ? 300 : 64,
					    .on_case = on_case,
					    .user = &selftest,
					    .path = path};
	gqe_status status = gqe_selftest(context, &params, error);
	if (selftest.no_memory)
		return error_no_memory(error);
	report->checked |= 1u << path;
	/* A failure is part of the record, not the end of it: who compares it will see. */
	return status == GQE_ERROR_VERIFICATION ? GQE_OK : status;
}

bool report_is_checked(const struct report *report, gqe_path path)
{
	return (report->checked & 1u << path) != 0;
}

gqe_status report_selftest(struct report *report, const gqe_device_info *device, gqe_path path, gqe_error *error)
{
	const char *label = report->progress.label;
	gqe_context *context = NULL;
	report->progress.label = "selftest";
	report->record->selftest_done = false;
	gqe_status status = program_context(report->program, &context, error);
	for (uint32_t i = 0; i < device->path_count && status == GQE_OK; i++)
		if (device->paths[i] <= path && !report_is_checked(report, device->paths[i]))
			status = interrupt_seen() ? error_set(error, GQE_CANCELLED, "cancelled")
						  : check_path(report, context, device->paths[i], error);
	gqe_context_destroy(&context);
	report->record->selftest_done = status == GQE_OK;
	report->progress.label = label;
	return status;
}

/* ------------------------------------------------------------------------------------------------------------ the record -- */

/* The one that was asked for, or that the device prefers. */
static gqe_path first_path(const struct report *report, const gqe_device_info *device)
{
	return report->program->path ? (gqe_path)report->program->path : device->paths[device->path_count - 1];
}

static void describe_device(struct record *record, const struct report *report, const gqe_device_info *device)
{
	snprintf(record->device.name, sizeof(record->device.name), "%s", device->name);
	snprintf(record->device.type, sizeof(record->device.type), "%s", device_type_name(device->type));
	snprintf(record->device.driver, sizeof(record->device.driver), "%s", device->driver_name);
	snprintf(record->device.driver_info, sizeof(record->device.driver_info), "%s", device->driver_info);
	snprintf(record->device.api_version, sizeof(record->device.api_version), "%u.%u.%u", device->api_version >> 22 & 0x7f,
		 device->api_version >> 12 & 0x3ff, device->api_version & 0xfff);
	for (size_t i = 0; i < 16; i++)
		snprintf(record->device.uuid + 2 * i, 3, "%02x", device->uuid[i]);
	snprintf(record->device.path, sizeof(record->device.path), "%s", gqe_path_name(first_path(report, device)));
	record->device.vendor_id = device->vendor_id;
	record->device.device_id = device->device_id;
	record->device.driver_version = device->driver_version;
	record->device.subgroup_size = device->subgroup_size;
	record->device.heap_bytes = (double)device->heap_bytes;
	record->device.has_timestamps = device->has_timestamps;
}

static void describe(struct record *record, const struct report *report, const gqe_device_info *device)
{
	const uint32_t version = gqe_version();
	const time_t now = time(NULL);
	const struct tm *utc = gmtime(&now);
	record->schema_version = RECORD_SCHEMA_VERSION;
	if (utc)
		strftime(record->created, sizeof(record->created), "%Y-%m-%dT%H:%M:%SZ", utc);
	snprintf(record->mode, sizeof(record->mode), "%s", report->full ? "full" : "quick");
	snprintf(record->version, sizeof(record->version), "%u.%u.%u", version >> 16, version >> 8 & 0xff, version & 0xff);
	snprintf(record->commit, sizeof(record->commit), "%s", gqe_commit());
	snprintf(record->shader_hash, sizeof(record->shader_hash), "%016" PRIx64, gqe_shader_hash());
	if (!describe_system(record->os, sizeof(record->os)))
		record->os[0] = 0;
	describe_device(record, report, device);
}

gqe_status report_measure(struct report *report, gqe_error *error)
{
	gqe_context *context = NULL;
	report->began = now_seconds();
	report->deadline = report->began + report->budget;
	report->progress = progress_begin("report", true);
	gqe_status status = program_context(report->program, &context, error);
	if (status != GQE_OK)
		return status;
	if (!gqe_context_device(context)) {
		gqe_context_destroy(&context);
		return error_set(error, GQE_ERROR_USAGE, "the reference has no speed worth recording: choose a Vulkan device");
	}
	const gqe_device_info device = *gqe_context_device(context);
	describe(report->record, report, &device);
	gqe_context_destroy(&context);
	status = report_model_open(report, error);
	if (status == GQE_OK)
		status = report_selftest(report, &device, first_path(report, &device), error);
	if (status == GQE_OK)
		status = report_ladders(report, &device, report->began + PLANNED_PART * report->budget, error);
	report_model_close(report);
	progress_end(&report->progress);
	if (status == GQE_OK && interrupt_seen())
		status = error_set(error, GQE_CANCELLED, "cancelled");
	report->record->complete = status == GQE_OK;
	report->record->seconds = now_seconds() - report->began;
	return status;
}
