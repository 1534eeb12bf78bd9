/*
 * What an application pays for embedding gqe: prefill on its own device against the library's, the length of submits in a long
 * prefill, and how long a cancel takes. Prints, judges nothing:
 *   bench_embedding [MODEL [TOKENS [WHAT]]]      default: models/gqe-2m, 32768, all of import, submits, cancel
 * The device is the first one (VK_DRIVER_FILES chooses a driver).
 */
#include "support/support.h"
#include "support/vulkan_app.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IMPORT_TOKENS = 2048, IMPORT_PAIRS = 11, CANCELS = 20, CANCEL_TOKENS = 8192 };

static double now_ms(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return 1e3 * (double)time.tv_sec + 1e-6 * (double)time.tv_nsec;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double sort_for_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return values[count / 2];
}

/* A model on a device, ready to read. */
struct reader {
	gqe_context *context;
	gqe_model *model;
	gqe_session *session;
	int32_t *tokens;
	uint32_t count;
};

static struct reader open_reader(gqe_context_params params, const char *folder, uint32_t count)
{
	struct reader reader = {.count = count};
	gqe_error error = {0};
	gqe_model_files *files = NULL;
	params.size = sizeof(params);
	assert_ok(gqe_context_create(&params, &reader.context, &error), &error);
	assert_ok(gqe_model_files_open(folder, &files, &error), &error);
	assert_ok(gqe_model_load(reader.context, files, NULL, &reader.model, &error), &error);
	gqe_model_files_destroy(&files);
	gqe_session_params session = {.size = sizeof(session), .max_tokens = count};
	assert_ok(gqe_session_create(reader.model, &session, &reader.session, &error), &error);
	reader.tokens = must_allocate(count * sizeof(*reader.tokens));
	const uint32_t vocab = gqe_model_get_config(reader.model)->vocab_size;
	struct random random = {7};
	for (uint32_t i = 0; i < count; i++)
		reader.tokens[i] = (int32_t)random_between(&random, 0, vocab - 1);
	return reader;
}

static void close_reader(struct reader *reader)
{
	free(reader->tokens);
	gqe_session_destroy(&reader->session);
	gqe_model_destroy(&reader->model);
	gqe_context_destroy(&reader->context);
}

static gqe_status prefill(struct reader *reader)
{
	gqe_error error = {0};
	gqe_prefill_params params = {.size = sizeof(params), .tokens = reader->tokens, .count = reader->count};
	assert_ok(gqe_session_rewind(reader->session, 0, &error), &error);
	return gqe_session_prefill(reader->session, &params, &error);
}

/* Own device and the application's, in turn. */
static void measure_import(const char *folder)
{
	struct vulkan_app app = {0};
	gqe_vulkan_requirements *requirements = NULL;
	gqe_error error = {0};
	app_init(&app);
	gqe_vulkan_import import = app_import(&app);
	assert_ok(gqe_vulkan_requirements_create(&import, &requirements, &error), &error);
	app.queue_family = requirements->queue_family;
	VkDeviceCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
		.pNext = requirements->features,
		.enabledExtensionCount = requirements->extension_count,
		.ppEnabledExtensionNames = requirements->extensions,
	};
	app_make_device(&app, info);
	import = app_import(&app);
	import.device_info = &info;
	struct reader readers[2] = {
		open_reader((gqe_context_params){0}, folder, IMPORT_TOKENS),
		open_reader((gqe_context_params){.vulkan = &import}, folder, IMPORT_TOKENS),
	};
	gqe_vulkan_requirements_destroy(&requirements);
	double wall[2][IMPORT_PAIRS], cpu[2][IMPORT_PAIRS], ratio[IMPORT_PAIRS];
	for (int pair = -1; pair < IMPORT_PAIRS; pair++) { /* the first makes pipelines */
		for (int i = 0; i < 2; i++) {
			const double wall_began = now_ms(CLOCK_MONOTONIC), cpu_began = now_ms(CLOCK_PROCESS_CPUTIME_ID);
			assert_int_equal(prefill(&readers[i]), GQE_OK);
			if (pair < 0)
				continue;
			wall[i][pair] = now_ms(CLOCK_MONOTONIC) - wall_began;
			cpu[i][pair] = now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu_began;
		}
		if (pair >= 0)
			ratio[pair] = cpu[1][pair] / cpu[0][pair];
	}
	printf("prefill of %u tokens, %u pairs, medians: own device %.1f ms (processor %.1f), the application's %.1f ms (processor "
	       "%.1f), "
	       "ratio of processor times %.3f\n",
	       IMPORT_TOKENS, IMPORT_PAIRS, sort_for_median(wall[0], IMPORT_PAIRS), sort_for_median(cpu[0], IMPORT_PAIRS),
	       sort_for_median(wall[1], IMPORT_PAIRS), sort_for_median(cpu[1], IMPORT_PAIRS), sort_for_median(ratio, IMPORT_PAIRS));
	for (int i = 0; i < 2; i++)
		close_reader(&readers[i]);
	app_free(&app);
}

struct over_cap {
	uint32_t count;
	double began; /* the prefill */
};

/* The library reports a submit over the cap, and nothing else of its length. */
static void on_log(void *user, gqe_log_level level, const char *message)
{
	struct over_cap *over_cap = user;
	(void)level;
	if (strstr(message, "a submit took") != NULL) {
		over_cap->count++;
		printf("  after %.1f s: %s\n", 1e-3 * (now_ms(CLOCK_MONOTONIC) - over_cap->began), message);
	}
}

/* Of a whole prefill, after one chunk, in which CPU drivers compile, a pipeline in its first submit. */
static void measure_submits(const char *folder, uint32_t tokens)
{
	struct over_cap over_cap = {0};
	struct reader reader = open_reader(
		(gqe_context_params){.submit_cap_ms = 500, .log = on_log, .log_user = &over_cap, .log_level = GQE_LOG_INFO}, folder,
		tokens);
	const uint32_t chunk = gqe_session_chunk(reader.session);
	double took = 0;
	uint32_t of_first_runs = 0;
	for (int i = 0; i < 2; i++) {
		reader.count = i == 0 && chunk < tokens ? chunk : tokens;
		of_first_runs = over_cap.count;
		over_cap.began = now_ms(CLOCK_MONOTONIC);
		assert_int_equal(prefill(&reader), GQE_OK);
		took = now_ms(CLOCK_MONOTONIC) - over_cap.began;
	}
	printf("prefill of %u tokens with the cap at 500 ms: %.1f s, %u submits over the cap; before, when pipelines ran first: "
	       "%u\n",
	       tokens, 1e-3 * took, over_cap.count - of_first_runs, of_first_runs);
	close_reader(&reader);
}

struct running {
	struct reader *reader;
	gqe_status status;
	double ended;
};

static void *run_prefill(void *user)
{
	struct running *running = user;
	running->status = prefill(running->reader);
	running->ended = now_ms(CLOCK_MONOTONIC);
	return NULL;
}

/* Cancels at moments spread over a whole prefill. */
static void measure_cancel(const char *folder)
{
	struct reader reader = open_reader((gqe_context_params){0}, folder, CANCEL_TOKENS);
	assert_int_equal(prefill(&reader), GQE_OK); /* makes pipelines */
	const double began = now_ms(CLOCK_MONOTONIC);
	assert_int_equal(prefill(&reader), GQE_OK);
	const double prefill_ms = now_ms(CLOCK_MONOTONIC) - began;
	double latency[CANCELS];
	for (int i = 0; i < CANCELS; i++) {
		struct running running = {.reader = &reader};
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, run_prefill, &running), 0);
		const double wait = prefill_ms * 0.8 * (i + 0.5) / CANCELS;
		nanosleep(&(struct timespec){(time_t)(wait / 1e3), (long)(1e6 * (wait - 1e3 * (double)(time_t)(wait / 1e3)))},
			  NULL);
		const double asked = now_ms(CLOCK_MONOTONIC);
		gqe_session_cancel(reader.session);
		pthread_join(thread, NULL);
		if (running.status != GQE_CANCELLED)
			printf("  the prefill ended before cancel %d\n", i);
		latency[i] = running.ended - asked;
	}
	const double median = sort_for_median(latency, CANCELS);
	printf("%u cancels during a prefill of %u tokens: median %.1f ms, longest %.1f ms; a slice should take 50 ms\n", CANCELS,
	       CANCEL_TOKENS, median, latency[CANCELS - 1]);
	close_reader(&reader);
}

int main(int argc, char **argv)
{
	const char *folder = argc > 1 ? argv[1] : GQE_MODELS "/gqe-2m";
	const uint32_t tokens = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 32768;
	const char *what = argc > 3 ? argv[3] : NULL;
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!what || strcmp(what, "import") == 0)
		measure_import(folder);
	if (!what || strcmp(what, "submits") == 0)
		measure_submits(folder, tokens);
	if (!what || strcmp(what, "cancel") == 0)
		measure_cancel(folder);
	return 0;
}
