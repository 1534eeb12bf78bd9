#include "bench/routing.h"

#include <stdlib.h>
#include <string.h>

#include "common/common.h"
#include "shared/kernels.h"

static uint32_t experts_per_group(const gqe_layer_config *config)
{
	return config->heads / config->kv_heads;
}

/* A random order of 0...count-1. */
static void shuffle(struct gqe_random *random, uint32_t count, int32_t *order)
{
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t j = gqe_random_below(random, i + 1);
		order[i] = order[j];
		order[j] = (int32_t)i;
	}
}

/*
 * One group, M tokens at a time: token i takes the k experts from place i of a random order on, around its end, so that each
 * expert is taken k times.
 */
static void choose_uniform(const gqe_layer_config *config, uint32_t group, struct gqe_random *random, uint32_t tokens,
			   int32_t *experts)
{
	const uint32_t per_group = experts_per_group(config);
	int32_t order[GQE_MAX_EXPERTS_PER_GROUP];
	for (uint32_t token = 0; token < tokens; token++) {
		if (token % per_group == 0)
			shuffle(random, per_group, order);
		int32_t *chosen = experts + ((uint64_t)token * config->kv_heads + group) * config->top_k;
		for (uint32_t rank = 0; rank < config->top_k; rank++)
			chosen[rank] = order[(token + rank) % per_group];
	}
}

void gqe_bench_choose_experts(const gqe_layer_config *config, gqe_bench_routing routing, const int32_t *given,
			      struct gqe_random *random, uint32_t tokens, int32_t *experts)
{
	const uint64_t count = (uint64_t)tokens * config->kv_heads * config->top_k;
	switch (routing) {
	case GQE_BENCH_UNIFORM:
		for (uint32_t group = 0; group < config->kv_heads; group++)
			choose_uniform(config, group, random, tokens, experts);
		break;
	case GQE_BENCH_SKEWED:
		for (uint64_t i = 0; i < count; i++)
			experts[i] = (int32_t)(i % config->top_k);
		break;
	case GQE_BENCH_GIVEN:
		memcpy(experts, given, count * sizeof(*experts));
		break;
	}
}

gqe_status gqe_bench_check_experts(const gqe_layer_config *config, const int32_t *experts, uint32_t tokens, gqe_error *error)
{
	const uint32_t per_group = experts_per_group(config);
	for (uint64_t i = 0; i < (uint64_t)tokens * config->kv_heads; i++) {
		const int32_t *chosen = experts + i * config->top_k;
		bool taken[GQE_MAX_EXPERTS_PER_GROUP] = {false};
		for (uint32_t rank = 0; rank < config->top_k; rank++) {
			const bool is_expert = chosen[rank] >= 0 && (uint32_t)chosen[rank] < per_group;
			if (!is_expert || taken[chosen[rank]])
				return gqe_fail(
					error, GQE_ERROR_BAD_INPUT,
					"the routing of token %llu, group %llu is not %u different experts 0...%u (there is a %d)",
					(unsigned long long)(i / config->kv_heads), (unsigned long long)(i % config->kv_heads),
					config->top_k, per_group - 1, (int)chosen[rank]);
			taken[chosen[rank]] = true;
		}
	}
	return GQE_OK;
}

void gqe_bench_encode_experts(const gqe_layer_config *config, const int32_t *experts, uint32_t tokens, float *x)
{
	const uint32_t per_group = experts_per_group(config);
	for (uint32_t token = 0; token < tokens; token++) {
		float *code = x + (uint64_t)token * config->hidden_size;
		for (uint32_t expert = 0; expert < config->heads; expert++)
			code[expert] = -1.0f;
		for (uint32_t group = 0; group < config->kv_heads; group++) {
			const int32_t *chosen = experts + ((uint64_t)token * config->kv_heads + group) * config->top_k;
			for (uint32_t rank = 0; rank < config->top_k; rank++)
				code[group * per_group + (uint32_t)chosen[rank]] = 1.0f - (float)rank / (float)config->top_k;
		}
	}
}

void gqe_bench_fill_router(const gqe_layer_config *config, float *weights)
{
	for (uint32_t expert = 0; expert < config->heads; expert++) {
		float *row = weights + (uint64_t)expert * config->hidden_size;
		for (uint32_t channel = 0; channel < config->hidden_size; channel++)
			row[channel] = channel == expert ? 1.0f : 0.0f;
	}
}

static int compare_ints(const void *a, const void *b)
{
	const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	return (x > y) - (x < y);
}

gqe_status gqe_bench_compare_experts(const gqe_layer_config *config, const int32_t *experts, const int32_t *routed, uint32_t tokens,
				     gqe_error *error)
{
	const uint32_t k = config->top_k;
	for (uint64_t i = 0; i < (uint64_t)tokens * config->kv_heads; i++) {
		int32_t wanted[GQE_MAX_EXPERTS_PER_GROUP];
		memcpy(wanted, experts + i * k, k * sizeof(*wanted));
		if (config->slot_order == GQE_SLOT_ORDER_EXPERT)
			qsort(wanted, k, sizeof(*wanted), compare_ints);
		for (uint32_t slot = 0; slot < k; slot++)
			if (routed[i * k + slot] != wanted[slot])
				return gqe_fail(
					error, GQE_ERROR_VERIFICATION,
					"the router chose expert %d for token %llu, group %llu, slot %u where %d was asked for",
					(int)routed[i * k + slot], (unsigned long long)(i / config->kv_heads),
					(unsigned long long)(i % config->kv_heads), slot, (int)wanted[slot]);
	}
	return GQE_OK;
}
