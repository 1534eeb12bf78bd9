#include "support.h"

#include <dirent.h>
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
/* Keeps the driver in memory to the end, so that the leak checker can name whose a leak is: see leak_suppressions.txt. */
__attribute__((constructor)) static void keep_driver_loaded(void)
{
	dlopen("libvulkan_lvp.so", RTLD_LAZY | RTLD_NODELETE);
}
#endif

static bool environment_is(const char *name, const char *value)
{
	const char *found = getenv(name);
	return found && strcmp(found, value) == 0;
}

bool small_scale(void)
{
	return environment_is("GQE_TEST_SCALE", "small");
}

static void log_message(void *user, gqe_log_level level, const char *message)
{
	(void)user;
	fprintf(stderr, "log %d: %s\n", (int)level, message);
}

gqe_path path_under_test(void)
{
	const char *name = getenv("GQE_TEST_PATH");
	if (!name || !name[0])
		return 0;
	for (gqe_path path = GQE_PATH_SCALAR; path <= GQE_PATH_MATRIX2; path++)
		if (strcmp(name, gqe_path_name(path)) == 0)
			return path;
	fail_msg("GQE_TEST_PATH: there is no path '%s'", name);
	return 0;
}

gqe_context *open_device(const gqe_context_params *params)
{
	gqe_context_params with = params ? *params : (gqe_context_params){0};
	gqe_context *context = NULL;
	gqe_error error = {0};
	const char *device = getenv("GQE_DEVICE");
	with.size = sizeof(with);
	with.device = device && device[0] ? device : NULL;
	if (path_under_test() != 0)
		with.force_path = path_under_test();
	with.validation = environment_is("GQE_TEST_VALIDATION", "1") && !environment_is("GQE_DEVICE", "reference");
	if (!with.log)
		with.log = log_message;
	assert_ok(gqe_context_create(&with, &context, &error), &error);
	return context;
}

gqe_context *open_reference(void)
{
	gqe_context *context = NULL;
	gqe_error error = {0};
	gqe_context_params params = {.size = sizeof(params), .device = "reference"};
	assert_ok(gqe_context_create(&params, &context, &error), &error);
	return context;
}

void close_context(gqe_context **context)
{
	uint32_t errors = gqe_context_validation_errors(*context);
	gqe_context_destroy(context);
	assert_null(*context);
	if (errors)
		fail_msg("the validation layer reported %u errors", errors);
}

bool can_f16(const gqe_context *context)
{
	const gqe_device_info *device = gqe_context_device(context);
	return !device || device->has_16bit_storage;
}

void check_status(gqe_status status, gqe_status expected, const gqe_error *error, const char *call, const char *file, int line)
{
	if (status == expected)
		return;
	print_error("%s\n  gave %s, not %s: %s\n", call, gqe_status_name(status), gqe_status_name(expected),
		    status != GQE_OK ? error->message : "");
	_fail(file, line);
}

double relative_error(const float *got, const float *want, size_t count)
{
	double difference = 0, norm = 0;
	for (size_t i = 0; i < count; i++) {
		if (!isfinite(got[i]))
			return INFINITY;
		difference += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
		norm += (double)want[i] * want[i];
	}
	return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

void assert_close(const float *got, const float *want, size_t count, double tolerance, const char *format, ...)
{
	double error = relative_error(got, want, count);
	if (error <= tolerance)
		return;
	size_t worst = 0;
	double worst_difference = -1;
	for (size_t i = 0; i < count; i++) {
		double difference = isfinite(got[i]) ? fabs((double)got[i] - want[i]) : INFINITY;
		if (difference > worst_difference) {
			worst = i;
			worst_difference = difference;
		}
	}
	char what[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	fail_msg("%s: relative error %.3e, tolerance %.1e; worst at %zu of %zu: got %.9g, want %.9g", what, error, tolerance, worst,
		 count, (double)got[worst], (double)want[worst]);
}

uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

uint32_t random_between(struct random *random, uint32_t lowest, uint32_t highest)
{
	return lowest + (uint32_t)((random_next(random) >> 32) * ((uint64_t)highest - lowest + 1) >> 32);
}

float random_normal(struct random *random)
{
	double u = (double)((random_next(random) >> 11) + 1) * 0x1p-53, v = (double)(random_next(random) >> 11) * 0x1p-53;
	return (float)(sqrt(-2 * log(u)) * cos(6.28318530717958647693 * v));
}

void fill_normal(struct random *random, float *values, size_t count, float deviation)
{
	for (size_t i = 0; i < count; i++)
		values[i] = deviation * random_normal(random);
}

void *must_allocate(size_t bytes)
{
	void *memory = malloc(bytes ? bytes : 1);
	assert_non_null(memory);
	return memory;
}

void poison(void *memory, size_t bytes)
{
	memset(memory, 0x7f, bytes);
	for (size_t i = 0; i + 4 <= bytes; i += 4)
		memcpy((char *)memory + i, "\xad\xde\xc0\x7f", 4); /* a quiet NaN with a recognizable payload */
}

void make_folder(char path[256])
{
	const char *base = getenv("TMPDIR");
	snprintf(path, 256, "%s/gqe-test-XXXXXX", base && base[0] ? base : "/tmp");
	assert_non_null(mkdtemp(path));
}

void remove_folder(const char *path)
{
	DIR *folder = opendir(path);
	if (!folder)
		return;
	for (struct dirent *entry; (entry = readdir(folder));) {
		char file[768];
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && remove(file) != 0)
			remove_folder(file);
	}
	closedir(folder);
	rmdir(path);
}

void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}
