#include "attention/layer_weights.h"

#include "shared/kernels.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *gqe_layer_tensor_name(enum gqe_layer_tensor tensor)
{
	static const char *const names[GQE_LAYER_TENSORS] = {
		[GQE_LAYER_Q] = "q_proj",
		[GQE_LAYER_K] = "k_proj",
		[GQE_LAYER_V] = "v_proj",
		[GQE_LAYER_ROUTER] = "router",
		[GQE_LAYER_O] = "o_proj",
		[GQE_LAYER_K_SHARED] = "k_shared_proj",
		[GQE_LAYER_V_SHARED] = "v_shared_proj",
	};
	return names[tensor];
}

void gqe_layer_tensor_shape(const gqe_layer_config *config, enum gqe_layer_tensor tensor, uint64_t *rows, uint64_t *cols)
{
	struct gqe_layer_shape shape = gqe_layer_shape_of(config);
	bool gqe = config->attention == GQE_ATTENTION_GQE;
	bool dedicated = shape.source_heads > config->kv_heads;
	uint64_t head_dim = config->head_dim;
	*rows = 0;
	*cols = config->hidden_size;
	switch (tensor) {
	case GQE_LAYER_Q:
		*rows = (config->heads + (shape.q_shared != GQE_NONE)) * head_dim;
		break;
	case GQE_LAYER_K:
	case GQE_LAYER_V:
		*rows = config->kv_heads * head_dim;
		break;
	case GQE_LAYER_ROUTER:
		*rows = gqe ? config->heads : 0;
		break;
	case GQE_LAYER_O:
		*rows = config->hidden_size;
		*cols = shape.o_slots * head_dim;
		break;
	case GQE_LAYER_K_SHARED:
	case GQE_LAYER_V_SHARED:
		*rows = dedicated ? head_dim : 0;
		break;
	case GQE_LAYER_TENSORS:
		break;
	}
	if (*rows == 0)
		*cols = 0;
}

/* The search of one layer's tensors, as its parts need it. */
struct search {
	const gqe_layer_config *config;
	const char *prefix;
	const gqe_tensor *tensors;
	size_t count;
	gqe_error *error;
};

/* The file to name in a message about `tensor`, or about a missing one (NULL); "the tensor list" when there is no file. */
static const char *origin(const struct search *search, const gqe_tensor *tensor)
{
	if (!tensor && search->count > 0)
		tensor = &search->tensors[0];
	return tensor && tensor->file ? tensor->file : "the tensor list";
}

static bool is_named(const struct search *search, const gqe_tensor *tensor, const char *name, const char *part)
{
	size_t prefix = strlen(search->prefix), middle = strlen(name);
	return strncmp(tensor->name, search->prefix, prefix) == 0 && strncmp(tensor->name + prefix, name, middle) == 0 &&
	       strcmp(tensor->name + prefix + middle, part) == 0;
}

/* "[3, 4]" */
static void print_shape(char *text, size_t capacity, const uint64_t *shape, uint32_t rank)
{
	size_t used = (size_t)snprintf(text, capacity, "[");
	for (uint32_t i = 0; i < rank && used < capacity; i++)
		used += (size_t)snprintf(text + used, capacity - used, "%s%" PRIu64, i ? ", " : "", shape[i]);
	if (used < capacity)
		snprintf(text + used, capacity - used, "]");
}

/* `rank` 2: a weight [rows, cols]; 1: a bias [rows]. */
static gqe_status check_tensor(const struct search *search, const gqe_tensor *tensor, uint32_t rank, const uint64_t expected[2])
{
	if (tensor->dtype != GQE_DTYPE_F32 && tensor->dtype != GQE_DTYPE_F16 && tensor->dtype != GQE_DTYPE_BF16)
		return gqe_fail(search->error, GQE_ERROR_BAD_INPUT, "%s: tensor \"%s\" is %s, must be F32, F16 or BF16",
				origin(search, tensor), tensor->name, gqe_dtype_name(tensor->dtype));
	bool equal = tensor->rank == rank;
	uint64_t elements = 1;
	for (uint32_t i = 0; equal && i < rank; i++) {
		equal = tensor->shape[i] == expected[i];
		elements *= expected[i];
	}
	if (!equal) {
		char is[192], must[64];
		print_shape(is, sizeof is, tensor->shape, gqe_min_u32(tensor->rank, GQE_MAX_RANK));
		print_shape(must, sizeof must, expected, rank);
		return gqe_fail(search->error, GQE_ERROR_BAD_INPUT, "%s: tensor \"%s\" has shape %s, must be %s by the config",
				origin(search, tensor), tensor->name, is, must);
	}
	if (!tensor->data || tensor->bytes != elements * gqe_dtype_size(tensor->dtype))
		return gqe_fail(search->error, GQE_ERROR_BAD_INPUT,
				"%s: tensor \"%s\" has %" PRIu64 " bytes of data, its shape and dtype need %" PRIu64,
				origin(search, tensor), tensor->name, tensor->data ? tensor->bytes : 0,
				elements * gqe_dtype_size(tensor->dtype));
	return GQE_OK;
}

/* *found is NULL when there is no such tensor, which is an error for a weight only. */
static gqe_status find_tensor(const struct search *search, enum gqe_layer_tensor which, const char *part, const gqe_tensor **found)
{
	const char *name = gqe_layer_tensor_name(which);
	bool is_weight = strcmp(part, ".weight") == 0;
	uint64_t expected[2];
	gqe_layer_tensor_shape(search->config, which, &expected[0], &expected[1]);
	*found = NULL;
	if (expected[0] == 0)
		return GQE_OK;
	for (size_t i = 0; i < search->count; i++) {
		const gqe_tensor *tensor = &search->tensors[i];
		if (!is_named(search, tensor, name, part))
			continue;
		if (*found)
			return gqe_fail(search->error, GQE_ERROR_BAD_INPUT, "%s: tensor \"%s\" is there twice",
					origin(search, tensor), tensor->name);
		*found = tensor;
	}
	if (*found)
		return check_tensor(search, *found, is_weight ? 2 : 1, expected);
	if (is_weight)
		return gqe_fail(search->error, GQE_ERROR_BAD_INPUT,
				"%s: tensor \"%s%s%s\" is missing; the config needs it with shape [%" PRIu64 ", %" PRIu64 "]",
				origin(search, NULL), search->prefix, name, part, expected[0], expected[1]);
	return GQE_OK;
}

static bool is_found(const struct gqe_layer_tensors *found, const gqe_tensor *tensor)
{
	for (int which = 0; which < GQE_LAYER_TENSORS; which++) {
		if (found->weight[which] == tensor || found->bias[which] == tensor)
			return true;
	}
	return false;
}

gqe_status gqe_layer_tensors_find(const gqe_layer_config *config, const char *prefix, const gqe_tensor *tensors, size_t count,
				  bool complete, struct gqe_layer_tensors *found, gqe_error *error)
{
	struct search search = {config, prefix, tensors, count, error};
	struct gqe_layer_tensors result;
	for (int which = 0; which < GQE_LAYER_TENSORS; which++) {
		gqe_status status = find_tensor(&search, which, ".weight", &result.weight[which]);
		if (status == GQE_OK)
			status = find_tensor(&search, which, ".bias", &result.bias[which]);
		if (status != GQE_OK)
			return status;
	}
	for (size_t i = 0; complete && i < count; i++) {
		if (!is_found(&result, &tensors[i]))
			return gqe_fail(error, GQE_ERROR_BAD_INPUT,
					"%s: tensor \"%s\" is unknown: a layer of this config has none of that name",
					origin(&search, &tensors[i]), tensors[i].name);
	}
	*found = result;
	return GQE_OK;
}
