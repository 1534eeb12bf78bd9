/* The public gqe_session: a prompt in chunks, statistics of the routing, and the logits to continue from. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

#define MIB (1024.0 * 1024.0)

struct gqe_session {
	gqe_model *model;
	uint32_t max_tokens, chunk;
	uint32_t position;
	atomic_bool cancelled;
	struct gqe_device_session device; /* used when the context has a Vulkan device */
	struct gqe_host_session host;     /* used when it is the reference */
	int32_t *targets;                 /* [chunk] */
	float *logits;                    /* [vocab_size], after the last token */
	bool has_logits;
	/* routing; NULL for dense GQA */
	double *stats;       /* [layers, 2, N], sums over stats_tokens tokens */
	double *chunk_stats; /* the same of the running chunk, which counts only when it is completed */
	uint64_t stats_tokens;
	int32_t *chunk_experts; /* [layers, chunk, G, k]; with keep_routing */
	int32_t *experts;       /* [layers, max_tokens, G, k]; with keep_routing */
};

static bool routes(const gqe_session *session)
{
	return session->model->config.layer.attention == GQE_ATTENTION_GQE;
}

static size_t slots_per_token(const gqe_session *session)
{
	const gqe_layer_config *layer = &session->model->config.layer;
	return (size_t)layer->kv_heads * layer->top_k;
}

static size_t stats_count(const gqe_session *session)
{
	return (size_t)session->model->config.layers * 2 * session->model->config.layer.heads;
}

static gqe_status create_on_device(gqe_session *session, const gqe_session_params *params, gqe_error *error)
{
	const gqe_model *model = session->model;
	struct gqe_vulkan *vulkan = gqe_context_vulkan(model->context);
	const struct gqe_memory_accounting memory = gqe_vulkan_memory(vulkan);
	const uint64_t available = memory.limit - memory.used;
	uint64_t total;
	gqe_status status = gqe_kv_cache_check(&model->config.layer, 1, params->max_tokens, error);
	if (status == GQE_OK)
		status = gqe_choose_chunk(&model->config, model->dtype, params, available, &session->chunk, &total, error);
	if (status != GQE_OK)
		return status;
	if (total > available)
		return gqe_fail(
			error, GQE_ERROR_OUT_OF_MEMORY,
			"a session of %u tokens in chunks of %u needs %.1f MiB (%llu bytes) on '%s'; %.1f MiB (%llu bytes) of "
			"the limit of %.1f MiB are free; use a shorter context, a smaller chunk, f16, or a higher memory limit",
			params->max_tokens, session->chunk, total / MIB, (unsigned long long)total, vulkan->info.name,
			available / MIB, (unsigned long long)available, memory.limit / MIB);
	return gqe_device_session_create(vulkan, &session->device, &model->device, params->max_tokens, session->chunk,
					 params->keep_routing, error);
}

static gqe_status create_host_side(gqe_session *session, const gqe_session_params *params, gqe_error *error)
{
	const gqe_model_config *config = &session->model->config;
	session->targets = calloc(session->chunk, sizeof(int32_t));
	session->logits = calloc(config->vocab_size, sizeof(float));
	bool complete = session->targets != NULL && session->logits != NULL;
	if (routes(session)) {
		session->stats = calloc(stats_count(session), sizeof(double));
		session->chunk_stats = calloc(stats_count(session), sizeof(double));
		complete = complete && session->stats != NULL && session->chunk_stats != NULL;
	}
	if (routes(session) && params->keep_routing) {
		const size_t per_token = config->layers * slots_per_token(session);
		session->chunk_experts = calloc(session->chunk * per_token, sizeof(int32_t));
		session->experts = calloc(session->max_tokens * per_token, sizeof(int32_t));
		complete = complete && session->chunk_experts != NULL && session->experts != NULL;
	}
	if (!complete)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a session of %u tokens", session->max_tokens);
	return GQE_OK;
}

gqe_status gqe_session_create(gqe_model *model, const gqe_session_params *caller_params, gqe_session **session, gqe_error *error)
{
	if (session == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_session_create: session is NULL");
	*session = NULL;
	gqe_session_params params;
	gqe_status status = gqe_copy_params(&params, sizeof(params), caller_params, error);
	if (status != GQE_OK)
		return status;
	if (model == NULL || params.max_tokens == 0)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_session_create: model and params.max_tokens are required");
	gqe_session *made = calloc(1, sizeof(*made));
	if (made == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a session");
	made->model = model;
	made->max_tokens = params.max_tokens;
	atomic_init(&made->cancelled, false);
	if (gqe_context_vulkan(model->context) != NULL) {
		status = create_on_device(made, &params, error);
	} else {
		made->chunk = gqe_min_u32(params.chunk == 0 ? GQE_DEFAULT_CHUNK : params.chunk, params.max_tokens);
		status = gqe_host_session_create(&made->host, &model->host, gqe_context_threads(model->context), params.max_tokens,
						 made->chunk, error);
	}
	if (status == GQE_OK)
		status = create_host_side(made, &params, error);
	if (status != GQE_OK) {
		gqe_session_destroy(&made);
		return status;
	}
	*session = made;
	return GQE_OK;
}

void gqe_session_destroy(gqe_session **session)
{
	if (session == NULL || *session == NULL)
		return;
	gqe_device_session_destroy(&(*session)->device);
	gqe_host_session_destroy(&(*session)->host);
	free((*session)->targets);
	free((*session)->logits);
	free((*session)->stats);
	free((*session)->chunk_stats);
	free((*session)->chunk_experts);
	free((*session)->experts);
	free(*session);
	*session = NULL;
}

static bool is_cancelled(void *user)
{
	gqe_session *session = user;
	return atomic_load(&session->cancelled);
}

/* Appends a completed chunk's experts to what is kept. */
static void keep_experts(gqe_session *session, uint32_t count)
{
	const size_t slots = slots_per_token(session);
	for (uint32_t layer = 0; layer < session->model->config.layers; layer++)
		memcpy(session->experts + ((size_t)layer * session->max_tokens + session->position) * slots,
		       session->chunk_experts + (size_t)layer * count * slots, count * slots * sizeof(int32_t));
}

/* Adds a completed chunk's routing statistics to those of the sequence. */
static void keep_stats(gqe_session *session, uint32_t count)
{
	for (size_t i = 0; i < stats_count(session); i++)
		session->stats[i] += session->chunk_stats[i];
	session->stats_tokens += count;
}

/* Tokens first...first+count-1 of the call, which has `params->count`. */
static gqe_status prefill_chunk(gqe_session *session, const gqe_prefill_params *params, uint32_t first, uint32_t count,
				gqe_error *error)
{
	const uint32_t vocab = session->model->config.vocab_size;
	for (uint32_t i = 0; i < count; i++)
		session->targets[i] = first + i + 1 < params->count ? params->tokens[first + i + 1] : -1;
	const struct gqe_chunk chunk = {
		.tokens = params->tokens + first,
		.targets = session->targets,
		.count = count,
		.position = session->position,
		.nll = params->nll != NULL ? params->nll + first : NULL,
		.logits = params->logits != NULL ? params->logits + (size_t)first * vocab : NULL,
		.last_logits = session->logits,
		.stats = session->chunk_stats,
		.experts = session->chunk_experts,
		.cancelled = is_cancelled,
		.user = session,
	};
	if (session->chunk_stats != NULL)
		memset(session->chunk_stats, 0, stats_count(session) * sizeof(double));
	gqe_status status;
	if (gqe_context_vulkan(session->model->context) != NULL)
		status = gqe_device_chunk(session->model->context, &session->device, &chunk, error);
	else
		status = gqe_host_chunk(&session->host, &chunk, error);
	if (status != GQE_OK)
		return status;
	if (session->experts != NULL)
		keep_experts(session, count);
	if (session->stats != NULL)
		keep_stats(session, count);
	session->position += count;
	session->has_logits = true;
	return GQE_OK;
}

static gqe_status check_prefill(const gqe_session *session, const gqe_prefill_params *params, gqe_error *error)
{
	const uint32_t vocab = session->model->config.vocab_size;
	if (params->tokens == NULL || params->count == 0)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_session_prefill: at least one token is required");
	if (params->count > session->max_tokens - session->position)
		return gqe_fail(error, GQE_ERROR_USAGE,
				"gqe_session_prefill: %u tokens do not fit: %u of the session's %u are in use", params->count,
				session->position, session->max_tokens);
	for (uint32_t i = 0; i < params->count; i++)
		if (params->tokens[i] < 0 || (uint32_t)params->tokens[i] >= vocab)
			return gqe_fail(error, GQE_ERROR_USAGE,
					"gqe_session_prefill: token %u is %d, but the vocabulary has %u (0 to %u)", i,
					params->tokens[i], vocab, vocab - 1);
	return GQE_OK;
}

gqe_status gqe_session_prefill(gqe_session *session, const gqe_prefill_params *caller_params, gqe_error *error)
{
	if (session == NULL || caller_params == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_session_prefill: session and params are required");
	gqe_prefill_params params;
	gqe_status status = gqe_copy_params(&params, sizeof(params), caller_params, error);
	if (status == GQE_OK)
		status = check_prefill(session, &params, error);
	for (uint32_t first = 0; status == GQE_OK && first < params.count; first += session->chunk) {
		if (is_cancelled(session)) {
			status = gqe_fail(error, GQE_CANCELLED, "the prefill was cancelled after %u of %u tokens", first,
					  params.count);
			break;
		}
		const uint32_t count = gqe_min_u32(session->chunk, params.count - first);
		status = prefill_chunk(session, &params, first, count, error);
		if (status == GQE_OK && params.progress != NULL &&
		    !params.progress(params.progress_user, first + count, params.count))
			status = gqe_fail(error, GQE_CANCELLED, "the prefill was cancelled after %u of %u tokens", first + count,
					  params.count);
	}
	if (status == GQE_CANCELLED) /* one that came too late is for the next call */
		atomic_store(&session->cancelled, false);
	return status;
}

const float *gqe_session_logits(const gqe_session *session)
{
	return session != NULL && session->has_logits ? session->logits : NULL;
}

uint32_t gqe_session_position(const gqe_session *session)
{
	return session != NULL ? session->position : 0;
}

uint32_t gqe_session_chunk(const gqe_session *session)
{
	return session != NULL ? session->chunk : 0;
}

gqe_status gqe_session_rewind(gqe_session *session, uint32_t position, gqe_error *error)
{
	if (session == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_session_rewind: session is NULL");
	if (position > session->position)
		return gqe_fail(error, GQE_ERROR_USAGE,
				"gqe_session_rewind: the sequence has %u tokens, it cannot be shortened to %u", session->position,
				position);
	session->position = position;
	session->has_logits = false;
	if (position == 0 && session->stats != NULL) {
		memset(session->stats, 0, stats_count(session) * sizeof(double));
		session->stats_tokens = 0;
	}
	return GQE_OK;
}

void gqe_session_cancel(gqe_session *session)
{
	if (session != NULL)
		atomic_store(&session->cancelled, true);
}

static gqe_status check_routing(const gqe_session *session, uint32_t layer, const char *function, gqe_error *error)
{
	if (session == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "%s: session is NULL", function);
	if (!routes(session))
		return gqe_fail(error, GQE_ERROR_USAGE, "%s: dense GQA has no routing", function);
	if (layer >= session->model->config.layers)
		return gqe_fail(error, GQE_ERROR_USAGE, "%s: the model has no layer %u, only 0 to %u", function, layer,
				session->model->config.layers - 1);
	return GQE_OK;
}

gqe_status gqe_session_balance(const gqe_session *session, uint32_t layer, double *share, double *probability, double *balance,
			       gqe_error *error)
{
	gqe_status status = check_routing(session, layer, "gqe_session_balance", error);
	if (status != GQE_OK)
		return status;
	if (session->stats_tokens == 0)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_session_balance: nothing has been prefilled yet");
	const gqe_layer_config *config = &session->model->config.layer;
	const uint32_t per_group = config->heads / config->kv_heads;
	const double *selections = session->stats + (size_t)layer * 2 * config->heads;
	const double *sums = selections + config->heads;
	const double tokens = (double)session->stats_tokens;
	for (uint32_t group = 0; group < config->kv_heads; group++) {
		double product = 0.0;
		for (uint32_t expert = group * per_group; expert < (group + 1) * per_group; expert++) {
			if (share != NULL)
				share[expert] = selections[expert] / tokens;
			if (probability != NULL)
				probability[expert] = sums[expert] / tokens;
			product += selections[expert] / tokens * (sums[expert] / tokens);
		}
		if (balance != NULL)
			balance[group] = per_group * product;
	}
	return GQE_OK;
}

gqe_status gqe_session_routing(const gqe_session *session, uint32_t layer, uint32_t first, uint32_t count, int32_t *experts,
			       gqe_error *error)
{
	gqe_status status = check_routing(session, layer, "gqe_session_routing", error);
	if (status != GQE_OK)
		return status;
	if (session->experts == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_session_routing: create the session with keep_routing");
	if (experts == NULL || first > session->position || count > session->position - first)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_session_routing: tokens %u to %u are not in the sequence of %u", first,
				first + count, session->position);
	const size_t slots = slots_per_token(session);
	memcpy(experts, session->experts + ((size_t)layer * session->max_tokens + first) * slots, count * slots * sizeof(int32_t));
	return GQE_OK;
}
