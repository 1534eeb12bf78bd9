/* The limits of a layer's config, each with a message that names the key as config.json spells it, and the field in brackets. */
#include "common/common.h"
#include "shared/kernels.h"

#include <inttypes.h>
#include <math.h>

#define MAX_HIDDEN_SIZE 65536

static gqe_status check_sizes(const gqe_layer_config *config, gqe_error *error)
{
	const struct {
		const char *key;
		uint32_t value, most;
	} sizes[] = {
		{"hidden_size", config->hidden_size, MAX_HIDDEN_SIZE},
		{"num_attention_heads (heads)", config->heads, GQE_MAX_EXPERTS},
		{"num_key_value_heads (kv_heads)", config->kv_heads, GQE_MAX_EXPERTS},
		{"head_dim", config->head_dim, GQE_MAX_HEAD_DIM},
	};
	for (size_t i = 0; i < GQE_COUNT(sizes); i++) {
		if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
			return gqe_fail(error, GQE_ERROR_BAD_INPUT, "%s is %" PRIu32 ", must be 1...%" PRIu32, sizes[i].key,
					sizes[i].value, sizes[i].most);
	}
	if (config->head_dim % 2 != 0)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT, "head_dim is %" PRIu32 ", must be even", config->head_dim);
	if (config->heads % config->kv_heads != 0)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT,
				"num_key_value_heads (kv_heads) is %" PRIu32 ", must divide num_attention_heads (%" PRIu32 ")",
				config->kv_heads, config->heads);
	uint32_t group = config->heads / config->kv_heads;
	if (group > GQE_MAX_EXPERTS_PER_GROUP)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT,
				"num_attention_heads / num_key_value_heads (heads / kv_heads) is %" PRIu32 ", must be at most %d",
				group, GQE_MAX_EXPERTS_PER_GROUP);
	return GQE_OK;
}

static gqe_status check_rope(const gqe_layer_config *config, gqe_error *error)
{
	if (config->rope < GQE_ROPE_HALF || config->rope > GQE_ROPE_NONE)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT,
				"rope_style (rope) is %d, must be GQE_ROPE_HALF, GQE_ROPE_INTERLEAVED or GQE_ROPE_NONE",
				(int)config->rope);
	if (!isfinite(config->rope_theta) || config->rope_theta <= 0)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT, "rope_theta is %g, must be finite and above 0", config->rope_theta);
	return GQE_OK;
}

static gqe_status check_shared_head(const gqe_layer_config *config, gqe_error *error)
{
	if (!config->shared_head)
		return GQE_OK;
	if (config->shared_kv < GQE_SHARED_KV_GROUP || config->shared_kv > GQE_SHARED_KV_MEAN)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT,
				"gqe.shared_kv is %d, must be GQE_SHARED_KV_GROUP, GQE_SHARED_KV_DEDICATED or GQE_SHARED_KV_MEAN",
				(int)config->shared_kv);
	if (config->shared_kv == GQE_SHARED_KV_GROUP && config->shared_kv_group >= config->kv_heads)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT,
				"gqe.shared_kv (shared_kv_group) is group_%" PRIu32 ", must be group_0...group_%" PRIu32
				" (num_key_value_heads - 1)",
				config->shared_kv_group, config->kv_heads - 1);
	return GQE_OK;
}

static gqe_status check_routing(const gqe_layer_config *config, gqe_error *error)
{
	uint32_t group = config->heads / config->kv_heads;
	if (config->top_k < 1 || config->top_k > group)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT,
				"gqe.top_k is %" PRIu32 ", must be 1...%" PRIu32 " (num_attention_heads / num_key_value_heads)",
				config->top_k, group);
	if (config->slot_order < GQE_SLOT_ORDER_RANK || config->slot_order > GQE_SLOT_ORDER_EXPERT)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT,
				"gqe.slot_order is %d, must be GQE_SLOT_ORDER_RANK or GQE_SLOT_ORDER_EXPERT",
				(int)config->slot_order);
	return GQE_OK;
}

gqe_status gqe_layer_config_check(const gqe_layer_config *config, gqe_error *error)
{
	if (!config)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_config_check: config is NULL");
	if (config->attention != GQE_ATTENTION_GQE && config->attention != GQE_ATTENTION_GQA)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT, "attention is %d, must be GQE_ATTENTION_GQE or GQE_ATTENTION_GQA",
				(int)config->attention);
	gqe_status status = check_sizes(config, error);
	if (status == GQE_OK)
		status = check_rope(config, error);
	if (status == GQE_OK && config->attention == GQE_ATTENTION_GQE)
		status = check_routing(config, error);
	if (status == GQE_OK && config->attention == GQE_ATTENTION_GQE)
		status = check_shared_head(config, error);
	return status;
}
