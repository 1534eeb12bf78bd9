#include "routes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int32_t routes_expert(const struct routes *routes, uint32_t layer, uint32_t token, uint32_t group)
{
	return routes->selected[(((size_t)layer * routes->count + token) * routes->groups + group) * routes->top_k];
}

gqe_status routes_create(struct routes *routes, const gqe_model_config *config, const int32_t *tokens, uint32_t count,
			 gqe_error *error)
{
	const uint32_t groups = config->layer.kv_heads, top_k = config->layer.top_k;
	const size_t layer_groups = (size_t)config->layers * groups;
	*routes = (struct routes){
		.config = config,
		.tokens = tokens,
		.count = count,
		.groups = groups,
		.experts = config->layer.heads / groups,
		.top_k = top_k,
	};
	if ((size_t)count > SIZE_MAX / sizeof(int32_t) / top_k / layer_groups)
		return error_no_memory(error);
	routes->selected = malloc(layer_groups * count * top_k * sizeof(*routes->selected));
	routes->group = calloc(layer_groups, sizeof(*routes->group));
	routes->shares = calloc(layer_groups * routes->experts, sizeof(*routes->shares));
	if (!routes->selected || !routes->group || !routes->shares)
		return error_no_memory(error);
	for (size_t i = 0; i < layer_groups; i++)
		routes->group[i].share = routes->shares + i * routes->experts;
	return GQE_OK;
}

void routes_free(struct routes *routes)
{
	free(routes->selected);
	free(routes->group);
	free(routes->shares);
	free(routes->token);
	*routes = (struct routes){0};
}

/* Entropy in bits of counts that sum to `total`. */
static double entropy_of(const double *counts, uint32_t size, double total)
{
	double bits = 0;
	for (uint32_t i = 0; i < size; i++)
		if (counts[i] > 0)
			bits -= counts[i] / total * log2(counts[i] / total);
	return bits;
}

static double sum_of_largest(const uint32_t *counts, uint32_t size, uint32_t largest)
{
	/* By rank instead of by sorting: M is at most 64. */
	double sum = 0;
	for (uint32_t i = 0; i < size; i++) {
		uint32_t rank = 0;
		for (uint32_t j = 0; j < size; j++)
			rank += counts[j] > counts[i] || (counts[j] == counts[i] && j < i);
		if (rank < largest)
			sum += counts[i];
	}
	return sum;
}

/* How often each token id occurs [vocab_size]. */
static uint32_t *count_ids(const struct routes *routes)
{
	uint32_t *counts = calloc(routes->config->vocab_size, sizeof(*counts));
	for (uint32_t i = 0; counts && i < routes->count; i++)
		counts[routes->tokens[i]]++;
	return counts;
}

static gqe_status list_tokens(struct routes *routes, const uint32_t *occurrences, gqe_error *error)
{
	const uint32_t vocab = routes->config->vocab_size;
	size_t count = 0;
	for (uint32_t id = 0; id < vocab; id++)
		count += occurrences[id] >= ROUTES_MIN_OCCURRENCES;
	routes->token = calloc(count ? count : 1, sizeof(*routes->token));
	if (!routes->token)
		return error_no_memory(error);
	for (uint32_t id = 0; id < vocab; id++)
		if (occurrences[id] >= ROUTES_MIN_OCCURRENCES)
			routes->token[routes->token_count++] = (struct route_token){.id = (int32_t)id, .count = occurrences[id]};
	return GQE_OK;
}

/* One group: what each token selected, `histogram` [vocab_size, M] being room for it. */
static void weigh_tokens(struct routes *routes, uint32_t layer, uint32_t group, uint32_t *histogram)
{
	const uint32_t experts = routes->experts, top_k = routes->top_k;
	struct route_group *result = &routes->group[(size_t)layer * routes->groups + group];
	double all[64] = {0}, total = 0, left = 0; /* M <= 64: gqe_layer_config_check */
	memset(histogram, 0, (size_t)routes->config->vocab_size * experts * sizeof(*histogram));
	for (uint32_t t = 0; t < routes->count; t++) {
		const int32_t *selected = routes->selected + (((size_t)layer * routes->count + t) * routes->groups + group) * top_k;
		for (uint32_t j = 0; j < top_k; j++)
			histogram[(size_t)routes->tokens[t] * experts + (uint32_t)selected[j]]++;
	}
	for (size_t i = 0; i < routes->token_count; i++) {
		struct route_token *token = &routes->token[i];
		const uint32_t *counts = histogram + (size_t)token->id * experts;
		const double weight = (double)token->count * top_k;
		double as_double[64];
		for (uint32_t m = 0; m < experts; m++) {
			as_double[m] = counts[m];
			all[m] += counts[m];
		}
		total += weight;
		left += weight * entropy_of(as_double, experts, weight);
		token->agreement += sum_of_largest(counts, experts, top_k) / weight;
	}
	const double entropy = total > 0 ? entropy_of(all, experts, total) : 0;
	result->token_decides = entropy > 0 ? 1 - left / total / entropy : NAN;
}

static int by_agreement(const void *a, const void *b)
{
	const struct route_token *x = a, *y = b;
	if (x->agreement != y->agreement)
		return x->agreement < y->agreement ? 1 : -1;
	return (x->id > y->id) - (x->id < y->id);
}

static gqe_status compare_tokens(struct routes *routes, gqe_error *error)
{
	uint32_t *occurrences = count_ids(routes);
	uint32_t *histogram = calloc((size_t)routes->config->vocab_size * routes->experts, sizeof(*histogram));
	gqe_status status = occurrences && histogram ? list_tokens(routes, occurrences, error) : error_no_memory(error);
	for (uint32_t layer = 0; status == GQE_OK && layer < routes->config->layers; layer++)
		for (uint32_t group = 0; group < routes->groups; group++)
			weigh_tokens(routes, layer, group, histogram);
	for (size_t i = 0; i < routes->token_count; i++)
		routes->token[i].agreement /= (double)routes->config->layers * routes->groups;
	if (status == GQE_OK)
		qsort(routes->token, routes->token_count, sizeof(*routes->token), by_agreement);
	free(occurrences);
	free(histogram);
	return status;
}

gqe_status routes_take(struct routes *routes, const gqe_session *session, gqe_error *error)
{
	double balance[1024]; /* G <= N <= 1024: gqe_layer_config_check */
	for (uint32_t layer = 0; layer < routes->config->layers; layer++) {
		const size_t first = (size_t)layer * routes->groups;
		gqe_status status = gqe_session_routing(session, layer, 0, routes->count,
							routes->selected + first * routes->count * routes->top_k, error);
		if (status == GQE_OK)
			status = gqe_session_balance(session, layer, routes->group[first].share, NULL, balance, error);
		if (status != GQE_OK)
			return status;
		for (uint32_t group = 0; group < routes->groups; group++) {
			struct route_group *result = &routes->group[first + group];
			result->balance = balance[group];
			result->entropy = entropy_of(result->share, routes->experts, routes->top_k);
		}
	}
	return compare_tokens(routes, error);
}

void routes_token_text(const gqe_model_config *config, int32_t id, char *text, size_t size)
{
	char bytes[64], *valid = NULL;
	size_t count = 0, used = 0;
	gqe_error ignored;
	if (gqe_detokenize(config, id, bytes, sizeof(bytes), &count, &ignored) == GQE_OK)
		valid = valid_utf8(bytes, count < sizeof(bytes) ? count : sizeof(bytes));
	if (!valid) { /* no text is known, as for ids from a file */
		snprintf(text, size, "%d", id);
		return;
	}
	for (const char *at = valid; *at; at++) {
		const char *shown = *at == '\n' ? "\u21b5" : *at == '\t' ? "\u2192" : *at == ' ' ? "\u2423" : NULL;
		const size_t length = shown ? strlen(shown) : 1;
		if (used + length + 1 > size)
			break;
		if (shown)
			memcpy(text + used, shown, length);
		else
			text[used] = (unsigned char)*at < 0x20 || *at == 0x7f ? '?' : *at;
		used += length;
	}
	text[used] = 0;
	free(valid);
}
