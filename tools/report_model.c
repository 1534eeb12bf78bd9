/* A model end to end: a prompt read, tokens generated; once in each round of the first path, as the rungs are. */
#include "report.h"

#include "interrupt.h"
#include "platform.h"
#include "prompt.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT_TOKENS = 256, GENERATED_TOKENS = 16 };

struct report_model {
	struct report *report;
	gqe_model_files *files;
	gqe_model *model;
	gqe_session *session;
	int32_t *tokens;
	uint32_t token_count;
	double parameters;
	double seconds;              /* of the last round */
	struct record_model *result; /* in the record; NULL: not begun */
};

/* FNV-1a, 64 bits, over one piece after another. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
	const unsigned char *at = bytes;
	for (size_t i = 0; i < count; i++)
		hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
	return hash;
}
#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)

static bool on_progress(void *user, double done, double total)
{
	(void)done;
	(void)total;
	struct report_model *run = user;
	return !report_must_stop(run->report);
}

static void describe_model(struct report_model *run)
{
	const gqe_model_config *config = gqe_model_files_config(run->files);
	const struct record *record = run->report->record;
	struct record_model *result = run->result;
	const char *folder = run->report->model_folder, *name = folder;
	uint64_t hash = HASH_BEGIN;
	size_t count;
	const gqe_tensor *tensors = gqe_model_files_tensors(run->files, &count);
	for (size_t i = 0; i < count; i++) {
		hash = hash_bytes(hash, tensors[i].name, strlen(tensors[i].name));
		hash = hash_bytes(hash, tensors[i].data, (size_t)tensors[i].bytes);
	}
	for (const char *at = folder; *at; at++) /* the folder's own name, without those above it */
		if (*at == '/' && at[1] && at[1] != '/')
			name = at + 1;
	snprintf(result->name, sizeof(result->name), "%s", name);
	snprintf(result->weights_hash, sizeof(result->weights_hash), "%016" PRIx64, hash);
	snprintf(result->prompt_hash, sizeof(result->prompt_hash), "%016" PRIx64,
		 hash_bytes(HASH_BEGIN, run->tokens, run->token_count * sizeof(*run->tokens)));
	snprintf(result->attention, sizeof(result->attention), "%s", config->layer.attention == GQE_ATTENTION_GQE ? "gqe" : "gqa");
	snprintf(result->path, sizeof(result->path), "%s", record->device.path);
	snprintf(result->dtype, sizeof(result->dtype), "f32");
	result->parameters = run->parameters;
	result->prompt_tokens = run->token_count;
	result->generated_tokens = GENERATED_TOKENS;
}

gqe_status report_model_open(struct report *report, gqe_error *error)
{
	const struct prompt_source prompt = {.text_file = report->prompt_file};
	if (!report->model_folder)
		return report_skip(report, "no model was found; --model gives one", error, "a model's run");
	struct report_model *run = calloc(1, sizeof(*run));
	if (!run)
		return error_no_memory(error);
	report->model = run;
	run->report = report;
	gqe_status status = gqe_model_files_open(report->model_folder, &run->files, error);
	if (status == GQE_OK)
		status = prompt_read(&prompt, gqe_model_files_config(run->files), &run->tokens, &run->token_count, error);
	if (status != GQE_OK)
		return status;
	if (run->token_count > PROMPT_TOKENS)
		run->token_count = PROMPT_TOKENS;
	size_t count;
	const gqe_tensor *tensors = gqe_model_files_tensors(run->files, &count);
	for (size_t i = 0; i < count; i++)
		run->parameters += (double)(tensors[i].bytes / gqe_dtype_size(tensors[i].dtype));
	return GQE_OK;
}

static gqe_status load(struct report_model *run, gqe_context *context, gqe_error *error)
{
	const gqe_model_params params = {
		.size = sizeof(params), .dtype = GQE_DTYPE_F32, .progress = on_progress, .progress_user = run};
	const gqe_session_params session = {.size = sizeof(session), .max_tokens = run->token_count + GENERATED_TOKENS};
	gqe_status status = gqe_model_load(context, run->files, &params, &run->model, error);
	return status == GQE_OK ? gqe_session_create(run->model, &session, &run->session, error) : status;
}

/* Appends tokens, timed into `samples`; NULL: not kept. */
static gqe_status append(struct report_model *run, const int32_t *tokens, uint32_t count, float *nll,
			 struct record_samples *samples, gqe_error *error)
{
	const gqe_prefill_params params = {.size = sizeof(params),
					   .tokens = tokens,
					   .count = count,
					   .nll = nll,
					   .progress = on_progress,
					   .progress_user = run};
	const double began = now_seconds();
	const double cpu_began = processor_seconds();
	gqe_status status = gqe_session_prefill(run->session, &params, error);
	const gqe_bench_times times = {.wall_ms = 1e3 * (now_seconds() - began), .cpu_ms = 1e3 * (processor_seconds() - cpu_began)};
	return status == GQE_OK && samples ? report_add_sample(run->report, samples, &times, false, error) : status;
}

static gqe_status score(struct report_model *run, gqe_error *error)
{
	float *nll = calloc(run->token_count, sizeof(*nll));
	if (!nll)
		return error_no_memory(error);
	double sum = 0;
	gqe_status status = append(run, run->tokens, run->token_count, nll, NULL, error);
	for (uint32_t i = 0; i + 1 < run->token_count; i++)
		sum += nll[i];
	run->result->bits_per_token = run->token_count > 1 ? sum / (run->token_count - 1) / log(2) : NAN;
	free(nll);
	return status;
}

/* The text goes on as the prompt began: the time of a step does not depend on which token it is. */
static gqe_status generate(struct report_model *run, gqe_error *error)
{
	gqe_status status = GQE_OK;
	for (uint32_t i = 0; i < GENERATED_TOKENS && status == GQE_OK; i++)
		status = append(run, &run->tokens[i % run->token_count], 1, NULL, &run->result->decode, error);
	return status;
}

gqe_status report_model_round(struct report_model *run, gqe_error *error)
{
	const double began = now_seconds();
	gqe_status status = gqe_session_rewind(run->session, 0, error);
	if (status == GQE_OK)
		status = append(run, run->tokens, run->token_count, NULL, &run->result->prefill, error);
	if (status == GQE_OK)
		status = generate(run, error);
	run->seconds = now_seconds() - began;
	return status;
}

double report_model_seconds(const struct report_model *run)
{
	return run && run->result ? run->seconds : 0;
}

static void unload(struct report_model *run)
{
	gqe_session_destroy(&run->session);
	gqe_model_destroy(&run->model);
}

/* Twice the parameters for each token, two operations each: the first pass and a round's. */
static bool may_fit(const struct report_model *run, double seconds, double seconds_per_flop)
{
	return 4 * run->parameters * run->token_count * seconds_per_flop < seconds;
}

gqe_status report_model_begin(struct report_model *run, gqe_context *context, double seconds, double seconds_per_flop,
			      gqe_error *error)
{
	struct report *report = run->report;
	struct record *record = report->record;
	gqe_error cause = {0};
	if (!may_fit(run, seconds, seconds_per_flop))
		return report_skip(report, "no time was left", error, "the run of %s", report->model_folder);
	run->result = record_grow(&record->models, &record->model_count, sizeof(*run->result));
	if (!run->result)
		return error_no_memory(error);
	describe_model(run);
	report->deadline = now_seconds() + seconds;
	gqe_status status = load(run, context, &cause);
	if (status == GQE_OK)
		status = score(run, &cause); /* warms up, too */
	if (status == GQE_OK)
		status = report_model_round(run, &cause);
	if (status == GQE_OK)
		return GQE_OK;
	/* Half a run is none: its entry goes. */
	record_samples_free(&run->result->prefill);
	record_samples_free(&run->result->decode);
	run->result = NULL;
	record->model_count--;
	unload(run);
	if (status == GQE_CANCELLED && !interrupt_seen())
		return report_skip(report, "took longer than its part of the time", error, "the run of %s", report->model_folder);
	if (status == GQE_ERROR_OUT_OF_MEMORY)
		return report_skip(report, cause.message, error, "the run of %s", report->model_folder);
	*error = cause;
	return status;
}

void report_model_end(struct report_model *run)
{
	if (run)
		unload(run);
}

void report_model_close(struct report *report)
{
	struct report_model *run = report->model;
	if (!run)
		return;
	unload(run);
	gqe_model_files_destroy(&run->files);
	free(run->tokens);
	free(run);
	report->model = NULL;
}
