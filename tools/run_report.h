/* What `gqe run` reports: the numbers, and how they look as text and as JSON. */
#ifndef GQE_TOOLS_RUN_REPORT_H
#define GQE_TOOLS_RUN_REPORT_H

#include "program.h"

/* Routing of the prompt's tokens, sums over windows; one array for all layers. NULL arrays for dense GQA. */
struct run_routing {
	uint64_t tokens;
	double *share;       /* [layers, G, M]: tokens that selected the expert */
	double *probability; /* [layers, G, M]: sum of the router's probability */
};

struct run_result {
	const char *model_folder;
	const gqe_model_config *config;
	const gqe_device_info *device; /* NULL: reference */
	gqe_dtype dtype;
	gqe_path path; /* 0 for the reference */
	uint32_t prompt_tokens, window, chunk;
	bool tokens_given;         /* ids, not text: bits per token */
	uint32_t prefilled_tokens; /* less than prompt_tokens after a cancel */
	uint64_t scored_tokens;    /* tokens that were predicted */
	double nll_sum;            /* nats over scored_tokens */
	double load_seconds, prefill_seconds;
	struct run_routing routing;
	gqe_memory_info memory;
	uint32_t generated_wanted, generated_count;
	const int32_t *generated;
	const char *generated_text; /* valid UTF-8, or NULL */
	double generate_seconds;
	bool cancelled;
};

/* Report up to the generation, which streams its text itself. */
void run_report_prompt(const struct run_result *result);
/* The line after the generated text. */
void run_report_generated(const struct run_result *result);
/* Everything in one document. */
cJSON *run_report_json(const struct run_result *result);

#endif
