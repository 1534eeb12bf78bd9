#include "program.h"

#include "platform.h"
#include "terminal.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct option_choice query_choices[] = {{"gathered", GQE_QUERIES_GATHERED}, {"dense", GQE_QUERIES_DENSE}, {0}};
static const struct option_choice path_choices[] = {{"scalar", GQE_PATH_SCALAR},   {"subgroup", GQE_PATH_SUBGROUP},
						    {"packed", GQE_PATH_PACKED},   {"matrix", GQE_PATH_MATRIX},
						    {"matrix2", GQE_PATH_MATRIX2}, {0}};
const struct option_choice dtype_choices[] = {{"f32", GQE_DTYPE_F32}, {"f16", GQE_DTYPE_F16}, {0}};

#define AT(field) offsetof(struct program, field)
const struct option program_options[] = {
	{"--device", 0, "WHICH", OPTION_TEXT, AT(device), 0, 0, NULL,
	 "auto, an index, a UUID prefix, part of the name, or reference (also: GQE_DEVICE)"},
	{"--memory-limit", 0, "BYTES", OPTION_BYTES, AT(memory_limit), 0, 0, NULL,
	 "most device memory to use, such as 512M or 2G (default: 90% of the heap)"},
	{"--path", 0, "PATH", OPTION_CHOICE, AT(path), 0, 0, path_choices,
	 "kernel path: scalar, subgroup, packed, matrix or matrix2 (default: the best; see gqe devices)"},
	{"--queries", 0, "MODE", OPTION_CHOICE, AT(queries), 0, 0, query_choices,
	 "gathered or dense: how GQE layers compute queries (default: the faster, as far as was measured)"},
	{"--threads", 0, "N", OPTION_NUMBER, AT(threads), 1, 1024, NULL,
	 "host threads of the reference and for pipelines (default: all processors)"},
	{"--cache-dir", 0, "DIR", OPTION_TEXT, AT(cache_dir), 0, 0, NULL,
	 "folder of the pipeline cache; '' for none (default: ~/.cache/gqe)"},
	{"--validate", 0, NULL, OPTION_FLAG, AT(validate), 0, 0, NULL, "run under the Khronos validation layer; errors are fatal"},
	{"--json", 0, NULL, OPTION_FLAG, AT(json), 0, 0, NULL, "print one JSON document instead of text"},
	{"--verbose", 'v', NULL, OPTION_REPEAT, AT(verbose), 0, 0, NULL, "log to stderr; twice for more"},
	{0},
};
#undef AT

const char *program_device(const struct program *program)
{
	const char *environment = getenv("GQE_DEVICE");
	if (program->device)
		return program->device;
	return environment && environment[0] ? environment : NULL;
}

void program_warn(const struct program *program, const char *format, ...)
{
	fprintf(stderr, "gqe %s: %swarning:%s ", program->command, style(stderr, STYLE_WARNING), style(stderr, STYLE_PLAIN));
	va_list arguments;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

gqe_status program_fail(const struct program *program, const gqe_error *error)
{
	char message[sizeof(error->message)];
	memcpy(message, error->message, sizeof(message));
	plain_text(message); /* names of files are in it */
	fflush(stdout);
	fprintf(stderr, "%sgqe %s:%s %s\n", style(stderr, STYLE_ERROR), program->command, style(stderr, STYLE_PLAIN), message);
	if (program->json) {
		cJSON *document = cJSON_CreateObject();
		cJSON *details = cJSON_AddObjectToObject(document, "error");
		char *message = valid_utf8(error->message, strlen(error->message));
		cJSON_AddNumberToObject(details, "status", error->status);
		cJSON_AddStringToObject(details, "name", gqe_status_name(error->status));
		cJSON_AddStringToObject(details, "message", message ? message : "");
		free(message);
		program_print_json(program, document);
	}
	return error->status;
}

gqe_status program_fail_with(const struct program *program, gqe_status status, const char *format, ...)
{
	gqe_error error = {.status = status};
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(error.message, sizeof(error.message), format, arguments);
	va_end(arguments);
	return program_fail(program, &error);
}

gqe_status error_set(gqe_error *error, gqe_status status, const char *format, ...)
{
	error->status = status;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(error->message, sizeof(error->message), format, arguments);
	va_end(arguments);
	return status;
}

gqe_status error_no_memory(gqe_error *error)
{
	return error_set(error, GQE_ERROR_OUT_OF_MEMORY, "out of host memory");
}

static void log_to_stderr(void *user, gqe_log_level level, const char *message)
{
	static const char *const names[] = {
		[GQE_LOG_ERROR] = "error", [GQE_LOG_WARNING] = "warning", [GQE_LOG_INFO] = "info", [GQE_LOG_DEBUG] = "debug"};
	const struct program *program = user;
	fprintf(stderr, "gqe %s: %s: %s\n", program->command, names[level], message);
}

gqe_status program_context(const struct program *program, gqe_context **context, gqe_error *error)
{
	gqe_log_level level = program->verbose >= 2 ? GQE_LOG_DEBUG : program->verbose == 1 ? GQE_LOG_INFO : GQE_LOG_WARNING;
	gqe_context_params params = {
		.size = sizeof(params),
		.device = program_device(program),
		.memory_limit = program->memory_limit,
		.force_path = (gqe_path)program->path,
		.force_queries = (gqe_query_mode)program->queries,
		.cache_dir = program->cache_dir,
		.validation = program->validate,
		.threads = program->threads,
		.log = log_to_stderr,
		.log_user = (void *)program,
		.log_level = level,
	};
	return gqe_context_create(&params, context, error);
}

gqe_status program_check_validation(const struct program *program, const gqe_context *context, gqe_error *error)
{
	uint32_t count = program->validate ? gqe_context_validation_errors(context) : 0;
	if (count == 0)
		return GQE_OK;
	return error_set(error, GQE_ERROR_VERIFICATION, "the validation layer reported %u error%s", count, count == 1 ? "" : "s");
}

gqe_status program_check_writable(const char *option, const char *path, gqe_error *error)
{
	FILE *existing = file_open(path, "rb");
	FILE *file = file_open(path, "ab");
	int reason = errno;
	if (existing)
		fclose(existing);
	if (!file)
		return error_set(error, GQE_ERROR_USAGE, "%s: cannot write '%s': %s", option, path, strerror(reason));
	fclose(file);
	if (!existing)
		file_remove(path);
	return GQE_OK;
}

gqe_status program_print_json(const struct program *program, cJSON *document)
{
	char *text = document ? cJSON_Print(document) : NULL;
	cJSON_Delete(document);
	if (!text) {
		fprintf(stderr, "gqe %s: out of host memory\n", program->command);
		return GQE_ERROR_OUT_OF_MEMORY;
	}
	puts(text);
	cJSON_free(text);
	return GQE_OK;
}

void json_add_number(cJSON *object, const char *key, double number)
{
	if (isfinite(number))
		cJSON_AddNumberToObject(object, key, number);
	else
		cJSON_AddNullToObject(object, key);
}

const char *device_type_name(gqe_device_type type)
{
	switch (type) {
	case GQE_DEVICE_DISCRETE:
		return "discrete GPU";
	case GQE_DEVICE_INTEGRATED:
		return "integrated GPU";
	case GQE_DEVICE_VIRTUAL:
		return "virtual GPU";
	case GQE_DEVICE_CPU:
		return "CPU driver";
	case GQE_DEVICE_OTHER:
		break;
	}
	return "other";
}

cJSON *json_device(const gqe_device_info *device)
{
	cJSON *object = cJSON_CreateObject();
	char uuid[33];
	if (!device) {
		cJSON_AddStringToObject(object, "name", "reference");
		cJSON_AddStringToObject(object, "type", "C reference, float64 accumulation");
		return object;
	}
	for (size_t i = 0; i < 16; i++)
		snprintf(uuid + 2 * i, 3, "%02x", device->uuid[i]);
	cJSON_AddNumberToObject(object, "index", device->index);
	cJSON_AddStringToObject(object, "name", device->name);
	cJSON_AddStringToObject(object, "type", device_type_name(device->type));
	cJSON_AddStringToObject(object, "driver", device->driver_name);
	cJSON_AddStringToObject(object, "driver_info", device->driver_info);
	cJSON_AddNumberToObject(object, "driver_version", device->driver_version);
	cJSON_AddNumberToObject(object, "vendor_id", device->vendor_id);
	cJSON_AddNumberToObject(object, "device_id", device->device_id);
	cJSON_AddStringToObject(object, "uuid", uuid);
	return object;
}
