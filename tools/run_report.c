#include "run_report.h"

#include "terminal.h"

#include <math.h>

static const double LN2 = 0.693147180559945309417;

static double mean_nll(const struct run_result *result)
{
	return result->nll_sum / (double)result->scored_tokens;
}

static double rate(uint64_t count, double seconds)
{
	return seconds > 0 ? (double)count / seconds : 0;
}

/* M * sum_m share * probability. `share`, `probability` [M] are sums over tokens. */
static double balance(const struct run_routing *routing, const double *share, const double *probability, uint32_t experts)
{
	double sum = 0, tokens = (double)routing->tokens;
	for (uint32_t m = 0; m < experts; m++)
		sum += share[m] / tokens * (probability[m] / tokens);
	return experts * sum;
}

static void print_heading(const char *text)
{
	printf("\n%s%s%s\n", style(stdout, STYLE_BOLD), text, style(stdout, STYLE_PLAIN));
}

/* One row for each layer and group with every expert's share. */
static void print_routing_full(const struct run_result *result, uint32_t groups, uint32_t experts)
{
	const struct run_routing *routing = &result->routing;
	printf("  layer group balance  share of tokens by expert\n");
	for (uint32_t layer = 0; layer < result->config->layers; layer++)
		for (uint32_t group = 0; group < groups; group++) {
			size_t first = ((size_t)layer * groups + group) * experts;
			printf("  %5u %5u %7.3f ", layer, group,
			       balance(routing, routing->share + first, routing->probability + first, experts));
			for (uint32_t m = 0; m < experts; m++)
				printf(" %.3f", routing->share[first + m] / (double)routing->tokens);
			printf("\n");
		}
}

/* One row for each layer: the extremes over its groups. */
static void print_routing_compact(const struct run_result *result, uint32_t groups, uint32_t experts)
{
	const struct run_routing *routing = &result->routing;
	printf("  layer  balance mean  worst   share of tokens least  most\n");
	for (uint32_t layer = 0; layer < result->config->layers; layer++) {
		double mean = 0, worst = 0, least = 1, most = 0;
		for (uint32_t group = 0; group < groups; group++) {
			size_t first = ((size_t)layer * groups + group) * experts;
			double value = balance(routing, routing->share + first, routing->probability + first, experts);
			mean += value / groups;
			worst = fmax(worst, value);
			for (uint32_t m = 0; m < experts; m++) {
				double share = routing->share[first + m] / (double)routing->tokens;
				least = fmin(least, share);
				most = fmax(most, share);
			}
		}
		printf("  %5u  %12.3f  %5.3f   %21.3f  %.3f\n", layer, mean, worst, least, most);
	}
}

static void print_routing(const struct run_result *result)
{
	enum { FULL_TABLE_ROWS = 48, FULL_TABLE_EXPERTS = 8 };
	const gqe_layer_config *layer = &result->config->layer;
	uint32_t groups = layer->kv_heads, experts = layer->heads / groups;
	if (layer->attention != GQE_ATTENTION_GQE) {
		print_heading("Routing");
		printf("  none: dense grouped-query attention runs all %u heads\n", layer->heads);
		return;
	}
	if (result->routing.tokens == 0)
		return;
	char heading[160];
	snprintf(heading, sizeof(heading), "Routing (%u of %u experts in each of %u groups; balance is %u when even, at most %u)",
		 layer->top_k, experts, groups, layer->top_k, experts);
	print_heading(heading);
	if ((uint64_t)result->config->layers * groups <= FULL_TABLE_ROWS && experts <= FULL_TABLE_EXPERTS)
		print_routing_full(result, groups, experts);
	else
		print_routing_compact(result, groups, experts);
}

static void print_score(const struct run_result *result)
{
	const char *unit = result->tokens_given ? "token" : "byte";
	if (result->scored_tokens == 0) {
		printf("  perplexity  nothing to score: %s\n",
		       result->cancelled ? "no window was completed"
		       : result->prompt_tokens == 1
			       ? "the prompt has one token, and the first has nothing before it to be predicted from"
			       : "every window has one token, and the first has nothing before it to be predicted from");
		return;
	}
	printf("  perplexity  %.4f\n  bits/%-5s  %.4f  (%llu tokens predicted)\n", exp(mean_nll(result)), unit,
	       mean_nll(result) / LN2, (unsigned long long)result->scored_tokens);
}

void run_report_prompt(const struct run_result *result)
{
	const gqe_model_config *config = result->config;
	bool gqe = config->layer.attention == GQE_ATTENTION_GQE;
	printf("%sgqe run%s\n", style(stdout, STYLE_BOLD), style(stdout, STYLE_PLAIN));
	printf("  model       %s (%s, %u layers, hidden size %u, %u heads, %u KV heads)\n", result->model_folder,
	       gqe ? "GQE" : "dense GQA", config->layers, config->layer.hidden_size, config->layer.heads, config->layer.kv_heads);
	if (result->device) {
		printf("  device      %s (%s)\n", result->device->name, device_type_name(result->device->type));
		printf("  driver      %s %s\n", result->device->driver_name, result->device->driver_info);
		printf("  path        %s, %s\n", gqe_path_name(result->path), gqe_dtype_name(result->dtype));
	} else {
		printf("  device      reference (C, float64 accumulation), %s\n", gqe_dtype_name(result->dtype));
	}
	print_heading("Prompt");
	printf("  tokens      %u", result->prompt_tokens);
	if (result->window < result->prompt_tokens)
		printf(" in windows of %u", result->window);
	printf(", chunk %u\n", result->chunk);
	if (result->cancelled && result->prefilled_tokens < result->prompt_tokens)
		printf("  cancelled   after %u tokens\n", result->prefilled_tokens);
	printf("  prefill     %.3f s, %.1f tokens/s  (load %.3f s)\n", result->prefill_seconds,
	       rate(result->prefilled_tokens, result->prefill_seconds), result->load_seconds);
	print_score(result);
	printf("  memory      %s of device memory (peak %s", format_bytes(result->memory.used).text,
	       format_bytes(result->memory.peak).text);
	if (result->memory.limit && result->memory.limit != UINT64_MAX)
		printf(", limit %s", format_bytes(result->memory.limit).text);
	printf(")\n");
	print_routing(result);
}

void run_report_generated(const struct run_result *result)
{
	printf("\n\n  generated   %u tokens in %.3f s, %.1f tokens/s%s\n", result->generated_count, result->generate_seconds,
	       rate(result->generated_count, result->generate_seconds), result->cancelled ? " (cancelled)" : "");
}

static cJSON *routing_json(const struct run_result *result)
{
	const struct run_routing *routing = &result->routing;
	uint32_t groups = result->config->layer.kv_heads, experts = result->config->layer.heads / groups;
	cJSON *layers = cJSON_CreateArray();
	for (uint32_t layer = 0; layer < result->config->layers; layer++) {
		cJSON *row = cJSON_CreateObject();
		cJSON_AddNumberToObject(row, "layer", layer);
		cJSON *list = cJSON_AddArrayToObject(row, "groups");
		for (uint32_t group = 0; group < groups; group++) {
			size_t first = ((size_t)layer * groups + group) * experts;
			cJSON *object = cJSON_CreateObject();
			json_add_number(object, "balance",
					balance(routing, routing->share + first, routing->probability + first, experts));
			cJSON *share = cJSON_AddArrayToObject(object, "share");
			cJSON *probability = cJSON_AddArrayToObject(object, "probability");
			for (uint32_t m = 0; m < experts; m++) {
				double tokens = (double)routing->tokens;
				cJSON_AddItemToArray(share, cJSON_CreateNumber(routing->share[first + m] / tokens));
				cJSON_AddItemToArray(probability, cJSON_CreateNumber(routing->probability[first + m] / tokens));
			}
			cJSON_AddItemToArray(list, object);
		}
		cJSON_AddItemToArray(layers, row);
	}
	return layers;
}

static cJSON *prompt_json(const struct run_result *result)
{
	cJSON *object = cJSON_CreateObject();
	bool scored = result->scored_tokens > 0;
	cJSON_AddNumberToObject(object, "tokens", result->prompt_tokens);
	cJSON_AddNumberToObject(object, "window", result->window);
	cJSON_AddNumberToObject(object, "chunk", result->chunk);
	cJSON_AddNumberToObject(object, "prefilled_tokens", result->prefilled_tokens);
	json_add_number(object, "prefill_seconds", result->prefill_seconds);
	json_add_number(object, "tokens_per_second", rate(result->prefilled_tokens, result->prefill_seconds));
	cJSON_AddNumberToObject(object, "predicted_tokens", (double)result->scored_tokens);
	json_add_number(object, "mean_nll", scored ? mean_nll(result) : NAN);
	json_add_number(object, "perplexity", scored ? exp(mean_nll(result)) : NAN);
	json_add_number(object, result->tokens_given ? "bits_per_token" : "bits_per_byte", scored ? mean_nll(result) / LN2 : NAN);
	return object;
}

cJSON *run_report_json(const struct run_result *result)
{
	cJSON *document = cJSON_CreateObject();
	cJSON_AddStringToObject(document, "model", result->model_folder);
	cJSON_AddStringToObject(document, "attention", result->config->layer.attention == GQE_ATTENTION_GQE ? "gqe" : "gqa");
	cJSON_AddItemToObject(document, "device", json_device(result->device));
	cJSON_AddStringToObject(document, "path", result->device ? gqe_path_name(result->path) : "reference");
	cJSON_AddStringToObject(document, "dtype", gqe_dtype_name(result->dtype));
	json_add_number(document, "load_seconds", result->load_seconds);
	cJSON_AddItemToObject(document, "prompt", prompt_json(result));
	cJSON *memory = cJSON_AddObjectToObject(document, "memory");
	cJSON_AddNumberToObject(memory, "used", (double)result->memory.used);
	cJSON_AddNumberToObject(memory, "peak", (double)result->memory.peak);
	cJSON_AddNumberToObject(memory, "limit", (double)result->memory.limit);
	if (result->routing.tokens > 0)
		cJSON_AddItemToObject(document, "routing", routing_json(result));
	if (result->generated_wanted > 0) {
		cJSON *generated = cJSON_AddObjectToObject(document, "generated");
		cJSON_AddNumberToObject(generated, "count", result->generated_count);
		cJSON_AddItemToObject(generated, "ids", cJSON_CreateIntArray(result->generated, (int)result->generated_count));
		if (result->generated_text)
			cJSON_AddStringToObject(generated, "text", result->generated_text);
		json_add_number(generated, "seconds", result->generate_seconds);
		json_add_number(generated, "tokens_per_second", rate(result->generated_count, result->generate_seconds));
	}
	cJSON_AddBoolToObject(document, "cancelled", result->cancelled);
	return document;
}
