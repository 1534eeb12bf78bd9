/* The result of `gqe routes` as text and as JSON. */
#include "routes.h"

#include "terminal.h"

#include <math.h>
#include <stdlib.h>

enum { LISTED_TOKENS = 8, LISTED_EXPERTS = 8 };

static void print_groups(const struct routes *routes)
{
	printf("  layer group balance entropy  token    share of tokens by expert\n"
	       "                      of %-5.4g decides\n",
	       log2(routes->experts));
	for (uint32_t layer = 0; layer < routes->config->layers; layer++)
		for (uint32_t g = 0; g < routes->groups; g++) {
			const struct route_group *group = &routes->group[(size_t)layer * routes->groups + g];
			char decides[16] = "      -";
			if (isfinite(group->token_decides))
				snprintf(decides, sizeof(decides), "%6.1f%%", 100 * group->token_decides);
			printf("  %5u %5u %7.3f %7.3f %s  ", layer, g, group->balance, group->entropy, decides);
			for (uint32_t m = 0; m < routes->experts && m < LISTED_EXPERTS; m++)
				printf(" %.3f", group->share[m]);
			printf("%s\n", routes->experts > LISTED_EXPERTS ? " ..." : "");
		}
}

static void print_token(const struct routes *routes, const struct route_token *token)
{
	char text[48];
	routes_token_text(routes->config, token->id, text, sizeof(text));
	printf("  %9.1f%% %8u  %s\n", 100 * token->agreement, token->count, text);
}

static void print_tokens(const struct routes *routes)
{
	const size_t count = routes->token_count, most = count < LISTED_TOKENS ? count : LISTED_TOKENS;
	const size_t least = count - most < LISTED_TOKENS ? count - most : LISTED_TOKENS;
	if (count == 0)
		return;
	printf("\n%sTokens that choose alike%s (their usual experts, over all layers and groups; any choice would be %.0f%%)\n"
	       "  agreement   occurs  token\n",
	       style(stdout, STYLE_BOLD), style(stdout, STYLE_PLAIN), 100.0 * routes->top_k / routes->experts);
	for (size_t i = 0; i < most; i++)
		print_token(routes, &routes->token[i]);
	if (least > 0 && count > most + least)
		printf("  ...\n");
	for (size_t i = count - least; i < count; i++)
		print_token(routes, &routes->token[i]);
}

void routes_print(const struct routes *routes, const struct routes_origin *origin)
{
	printf("%s%s%s, %u tokens, on %s\n%u of %u experts in each of %u groups; balance is %u when even, at most %u\n\n",
	       style(stdout, STYLE_BOLD), origin->model_folder, style(stdout, STYLE_PLAIN), routes->count,
	       origin->device ? origin->device->name : "the reference", routes->top_k, routes->experts, routes->groups,
	       routes->top_k, routes->experts);
	print_groups(routes);
	print_tokens(routes);
}

static cJSON *group_json(const struct routes *routes, uint32_t layer, uint32_t g)
{
	const struct route_group *group = &routes->group[(size_t)layer * routes->groups + g];
	cJSON *object = cJSON_CreateObject();
	cJSON_AddNumberToObject(object, "layer", layer);
	cJSON_AddNumberToObject(object, "group", g);
	cJSON_AddItemToObject(object, "share", cJSON_CreateDoubleArray(group->share, (int)routes->experts));
	json_add_number(object, "balance", group->balance);
	json_add_number(object, "entropy_bits", group->entropy);
	json_add_number(object, "token_decides", group->token_decides);
	return object;
}

cJSON *routes_json(const struct routes *routes, const struct routes_origin *origin)
{
	cJSON *document = cJSON_CreateObject();
	cJSON_AddStringToObject(document, "model", origin->model_folder);
	cJSON_AddItemToObject(document, "device", json_device(origin->device));
	cJSON_AddStringToObject(document, "dtype", gqe_dtype_name(origin->dtype));
	cJSON_AddNumberToObject(document, "tokens", routes->count);
	cJSON_AddNumberToObject(document, "experts", routes->experts);
	cJSON_AddNumberToObject(document, "top_k", routes->top_k);
	json_add_number(document, "entropy_bits_at_most", log2(routes->experts));
	cJSON *groups = cJSON_AddArrayToObject(document, "groups");
	for (uint32_t layer = 0; layer < routes->config->layers; layer++)
		for (uint32_t g = 0; g < routes->groups; g++)
			cJSON_AddItemToArray(groups, group_json(routes, layer, g));
	cJSON *tokens = cJSON_AddArrayToObject(document, "agreement");
	for (size_t i = 0; i < routes->token_count; i++) {
		const struct route_token *token = &routes->token[i];
		char text[48];
		cJSON *object = cJSON_CreateObject();
		routes_token_text(routes->config, token->id, text, sizeof(text));
		cJSON_AddNumberToObject(object, "id", token->id);
		cJSON_AddStringToObject(object, "text", text);
		cJSON_AddNumberToObject(object, "occurs", token->count);
		json_add_number(object, "agreement", token->agreement);
		cJSON_AddItemToArray(tokens, object);
	}
	return document;
}
