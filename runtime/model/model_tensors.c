#include "model/model_tensors.h"

#include "model/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Goes through the names that the config asks for and remembers which tensors they took. */
struct matching {
	const char *folder;
	const gqe_model_config *config;
	const gqe_tensor *tensors; /* [count], sorted by name */
	size_t count;
	bool *taken; /* [count] */
	gqe_error *error;
};

/* Index of the first tensor whose name is not before `name`. */
static size_t lower_bound(const struct matching *matching, const char *name)
{
	size_t first = 0, last = matching->count;

	while (first < last) {
		size_t middle = first + (last - first) / 2;
		if (strcmp(matching->tensors[middle].name, name) < 0)
			first = middle + 1;
		else
			last = middle;
	}
	return first;
}

static gqe_status check_tensor(const struct matching *matching, const gqe_tensor *tensor, uint64_t rows, uint64_t cols)
{
	uint32_t rank = cols ? 2 : 1;

	if (tensor->dtype != GQE_DTYPE_F32 && tensor->dtype != GQE_DTYPE_F16 && tensor->dtype != GQE_DTYPE_BF16)
		return gqe_fail(matching->error, GQE_ERROR_BAD_INPUT,
				"'%s': tensor '%s' is of dtype %s; save it as F32, F16 or BF16", tensor->file,
				gqe_show(tensor->name).text, gqe_dtype_name(tensor->dtype));
	if (tensor->rank == rank && tensor->shape[0] == rows && (rank == 1 || tensor->shape[1] == cols))
		return GQE_OK;

	char shape[GQE_MAX_RANK * 24] = "", wanted[64];
	for (uint32_t i = 0, length = 0; i < tensor->rank; i++)
		length += (uint32_t)snprintf(shape + length, sizeof(shape) - length, "%s%" PRIu64, i ? ", " : "", tensor->shape[i]);
	if (rank == 2)
		snprintf(wanted, sizeof(wanted), "%" PRIu64 ", %" PRIu64, rows, cols);
	else
		snprintf(wanted, sizeof(wanted), "%" PRIu64, rows);
	return gqe_fail(matching->error, GQE_ERROR_BAD_INPUT,
			"'%s': tensor '%s' has shape [%s], by config.json "
			"it should be [%s]; config and weights do not belong together",
			tensor->file, gqe_show(tensor->name).text, shape, wanted);
}

/* A tensor [rows, cols], or [rows] when `cols` is 0. *found is NULL when it is absent, which only an `optional` one may be. */
static gqe_status take(struct matching *matching, const char *name, uint64_t rows, uint64_t cols, bool optional,
		       const gqe_tensor **found)
{
	size_t i = lower_bound(matching, name);
	const gqe_tensor *tensor =
		i < matching->count && strcmp(matching->tensors[i].name, name) == 0 ? &matching->tensors[i] : NULL;

	*found = tensor;
	if (!tensor && optional)
		return GQE_OK;
	if (!tensor)
		return gqe_fail(matching->error, GQE_ERROR_BAD_INPUT,
				"'%s': tensor '%s' is missing; config and weights do not belong together, or a file is incomplete",
				matching->folder, name);
	matching->taken[i] = true;
	return check_tensor(matching, tensor, rows, cols);
}

/* `stem`.weight [rows, cols] and, where the kind of tensor may have one, `stem`.bias [rows]. */
static gqe_status take_pair(struct matching *matching, const char *stem, uint64_t rows, uint64_t cols, bool may_have_bias,
			    struct gqe_weight_tensors *pair)
{
	char name[96];

	snprintf(name, sizeof(name), "%s.weight", stem);
	gqe_status status = take(matching, name, rows, cols, false, &pair->weight);
	if (status != GQE_OK || !may_have_bias)
		return status;
	snprintf(name, sizeof(name), "%s.bias", stem);
	return take(matching, name, rows, 0, true, &pair->bias);
}

static gqe_status take_attention(struct matching *matching, uint32_t block, struct gqe_layer_tensors *attention)
{
	const gqe_layer_config *layer = &matching->config->layer;
	char prefix[64], past[64];

	snprintf(prefix, sizeof(prefix), "model.layers.%" PRIu32 ".self_attn.", block);
	snprintf(past, sizeof(past), "model.layers.%" PRIu32 ".self_attn/", block); /* '/' follows '.' */
	size_t first = lower_bound(matching, prefix), last = lower_bound(matching, past);
	for (size_t i = first; i < last; i++)
		matching->taken[i] = true;
	if (first == last) /* all missing: looked for in the whole list, so that the message has a file to name */
		return gqe_layer_tensors_find(layer, prefix, matching->tensors, matching->count, false, attention, matching->error);
	return gqe_layer_tensors_find(layer, prefix, matching->tensors + first, last - first, true, attention, matching->error);
}

static gqe_status take_block(struct matching *matching, uint32_t block, struct gqe_block_tensors *tensors)
{
	const gqe_model_config *config = matching->config;
	uint64_t width = config->layer.hidden_size, inner = config->intermediate_size;
	bool layernorm = config->norm == GQE_NORM_LAYERNORM;
	const struct {
		const char *name;
		uint64_t rows, cols;
		bool may_have_bias;
		struct gqe_weight_tensors *pair;
	} rows[] = {
		{"input_layernorm", width, 0, layernorm, &tensors->input_norm},
		{"post_attention_layernorm", width, 0, layernorm, &tensors->post_attention_norm},
		{"mlp.up_proj", inner, width, true, &tensors->up},
		{"mlp.down_proj", width, inner, true, &tensors->down},
		{"mlp.gate_proj", inner, width, true, &tensors->gate}, /* the last: GELU has none */
	};
	size_t count = config->mlp == GQE_MLP_SWIGLU ? GQE_COUNT(rows) : GQE_COUNT(rows) - 1;

	gqe_status status = take_attention(matching, block, &tensors->attention);
	for (size_t i = 0; i < count && status == GQE_OK; i++) {
		char stem[64];
		snprintf(stem, sizeof(stem), "model.layers.%" PRIu32 ".%s", block, rows[i].name);
		status = take_pair(matching, stem, rows[i].rows, rows[i].cols, rows[i].may_have_bias, rows[i].pair);
	}
	return status;
}

static gqe_status take_head(struct matching *matching, struct gqe_model_tensors *model)
{
	const gqe_model_config *config = matching->config;
	uint64_t width = config->layer.hidden_size, vocabulary = config->vocab_size;

	if (!config->tie_word_embeddings)
		return take_pair(matching, "lm_head", vocabulary, width, true, &model->lm_head);

	/* Some checkpoints store the tied matrix a second time. */
	const gqe_tensor *copy = NULL;
	gqe_status status = take(matching, "lm_head.weight", vocabulary, width, true, &copy);
	if (status == GQE_OK)
		status = take(matching, "lm_head.bias", vocabulary, 0, true, &model->lm_head.bias);
	model->lm_head.weight = model->embed;
	return status;
}

static gqe_status take_all(struct matching *matching, struct gqe_model_tensors *model)
{
	const gqe_model_config *config = matching->config;
	uint64_t width = config->layer.hidden_size;
	bool layernorm = config->norm == GQE_NORM_LAYERNORM;

	gqe_status status = take(matching, "model.embed_tokens.weight", config->vocab_size, width, false, &model->embed);
	for (uint32_t i = 0; i < config->layers && status == GQE_OK; i++)
		status = take_block(matching, i, &model->blocks[i]);
	if (status == GQE_OK)
		status = take_pair(matching, "model.norm", width, 0, layernorm, &model->norm);
	if (status == GQE_OK)
		status = take_head(matching, model);
	for (size_t i = 0; i < matching->count && status == GQE_OK; i++) {
		if (!matching->taken[i])
			status = gqe_fail(matching->error, GQE_ERROR_BAD_INPUT,
					  "'%s': tensor '%s' is unknown: a model of this config has none of that name",
					  matching->tensors[i].file, gqe_show(matching->tensors[i].name).text);
	}
	return status;
}

gqe_status gqe_model_tensors_match(const char *folder, const gqe_model_config *config, const gqe_tensor *tensors, size_t count,
				   struct gqe_model_tensors *model, gqe_error *error)
{
	/* Before anything is allocated by it: a block has several tensors, so the files bound the number of blocks. */
	if (config->layers > count)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT,
				"'%s': num_hidden_layers is %" PRIu32 ", but there are only %zu tensors; config and weights do not "
				"belong together",
				folder, config->layers, count);

	struct gqe_model_tensors found = {.blocks = calloc(config->layers, sizeof(*found.blocks))};
	bool *taken = calloc(count, sizeof(*taken));
	struct matching matching = {folder, config, tensors, count, taken, error};
	gqe_status status = found.blocks && taken ? take_all(&matching, &found)
						  : gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for '%s'", folder);
	free(taken);
	if (status == GQE_OK)
		*model = found;
	else
		gqe_model_tensors_free(&found);
	return status;
}

void gqe_model_tensors_free(struct gqe_model_tensors *model)
{
	free(model->blocks);
	*model = (struct gqe_model_tensors){0};
}
