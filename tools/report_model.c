/* A model end to end: a prompt read, tokens generated. */
#include "report.h"

#include "interrupt.h"
#include "platform.h"
#include "prompt.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT_TOKENS = 512, GENERATED_TOKENS = 16, LEAST_ROUNDS = 3, MOST_ROUNDS = 12 };

struct model_run {
	struct report *report;
	gqe_model_files *files;
	gqe_context *context;
	gqe_model *model;
	gqe_session *session;
	int32_t *tokens;
	uint32_t token_count;
	struct record_model *result; /* in the record */
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
	struct model_run *run = user;
	return !report_must_stop(run->report);
}

static void describe_model(struct model_run *run)
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
		result->parameters += (double)(tensors[i].bytes / gqe_dtype_size(tensors[i].dtype));
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
	result->prompt_tokens = run->token_count;
	result->generated_tokens = GENERATED_TOKENS;
}

static gqe_status load(struct model_run *run, gqe_error *error)
{
	const struct prompt_source prompt = {.text_file = run->report->prompt_file};
	gqe_status status = gqe_model_files_open(run->report->model_folder, &run->files, error);
	if (status == GQE_OK)
		status = prompt_read(&prompt, gqe_model_files_config(run->files), &run->tokens, &run->token_count, error);
	if (status == GQE_OK)
		status = program_context(run->report->program, &run->context, error);
	if (status != GQE_OK)
		return status;
	if (run->token_count > PROMPT_TOKENS)
		run->token_count = PROMPT_TOKENS;
	describe_model(run);
	const gqe_model_params params = {
		.size = sizeof(params), .dtype = GQE_DTYPE_F32, .progress = on_progress, .progress_user = run};
	const gqe_session_params session = {.size = sizeof(session), .max_tokens = run->token_count + GENERATED_TOKENS};
	status = gqe_model_load(run->context, run->files, &params, &run->model, error);
	return status == GQE_OK ? gqe_session_create(run->model, &session, &run->session, error) : status;
}

/* Appends tokens, timed into `samples`; NULL: not kept. */
static gqe_status append(struct model_run *run, const int32_t *tokens, uint32_t count, float *nll, struct record_samples *samples,
			 gqe_error *error)
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

static gqe_status score(struct model_run *run, gqe_error *error)
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
static gqe_status generate(struct model_run *run, gqe_error *error)
{
	gqe_status status = GQE_OK;
	for (uint32_t i = 0; i < GENERATED_TOKENS && status == GQE_OK; i++)
		status = append(run, &run->tokens[i % run->token_count], 1, NULL, &run->result->decode, error);
	return status;
}

static gqe_status measure(struct model_run *run, double until, gqe_error *error)
{
	gqe_status status = score(run, error); /* the first pass warms up, too */
	for (uint32_t round = 0; round < MOST_ROUNDS && status == GQE_OK; round++) {
		if (round >= LEAST_ROUNDS && now_seconds() > until)
			break;
		run->report->round++;
		status = gqe_session_rewind(run->session, 0, error);
		if (status == GQE_OK)
			status = append(run, run->tokens, run->token_count, NULL, &run->result->prefill, error);
		if (status == GQE_OK)
			status = generate(run, error);
	}
	return status;
}

gqe_status report_model(struct report *report, double seconds, gqe_error *error)
{
	struct record *record = report->record;
	struct model_run run = {.report = report};
	gqe_error cause = {0};
	if (!report->model_folder)
		return report_skip(report, "no model was found; --model gives one", error, "a model's run");
	run.result = record_grow(&record->models, &record->model_count, sizeof(*run.result));
	if (!run.result)
		return error_no_memory(error);
	const double began = now_seconds();
	report->progress.label = "model";
	report->deadline = began + seconds;
	gqe_status status = load(&run, &cause);
	if (status == GQE_OK)
		status = measure(&run, began + 0.6 * seconds, &cause);
	gqe_session_destroy(&run.session);
	gqe_model_destroy(&run.model);
	gqe_context_destroy(&run.context);
	gqe_model_files_destroy(&run.files);
	free(run.tokens);
	if (status == GQE_OK)
		return GQE_OK;
	/* Half a run is none: its entry goes. */
	record_samples_free(&run.result->prefill);
	record_samples_free(&run.result->decode);
	record->model_count--;
	if (status == GQE_CANCELLED && !interrupt_seen())
		return report_skip(report, "took longer than the time left", error, "the run of %s", report->model_folder);
	*error = cause;
	return status;
}
