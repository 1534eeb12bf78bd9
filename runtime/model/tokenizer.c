/* Text to token ids and back. */
#include "common/common.h"

#include <inttypes.h>
#include <string.h>

static gqe_status require_bytes(const gqe_model_config *config, gqe_error *error)
{
	if (strcmp(config->tokenizer, "bytes") == 0)
		return GQE_OK;
	return gqe_fail(
		error, GQE_ERROR_BAD_INPUT,
		"the model's tokenizer is '%s'; this version has only \"bytes\" (a token is a byte): give the text as token ids "
		"(--tokens)",
		config->tokenizer[0] ? config->tokenizer : "(none)");
}

gqe_status gqe_tokenize(const gqe_model_config *config, const char *text, size_t bytes, int32_t *ids, size_t capacity,
			size_t *count, gqe_error *error)
{
	if (!config || !count || (bytes && !text) || (capacity && !ids))
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_tokenize: config, text, ids or count is NULL");
	gqe_status status = require_bytes(config, error);
	if (status != GQE_OK)
		return status;
	for (size_t i = 0; i < bytes; i++) {
		uint8_t byte = (uint8_t)text[i];
		if (byte >= config->vocab_size)
			return gqe_fail(error, GQE_ERROR_BAD_INPUT,
					"byte %zu of the text is %u, but the model's vocab_size is only %" PRIu32, i, byte,
					config->vocab_size);
		if (i < capacity)
			ids[i] = byte;
	}
	*count = bytes;
	return GQE_OK;
}

gqe_status gqe_detokenize(const gqe_model_config *config, int32_t id, char *text, size_t capacity, size_t *count, gqe_error *error)
{
	if (!config || !count || (capacity && !text))
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_detokenize: config, text or count is NULL");
	gqe_status status = require_bytes(config, error);
	if (status != GQE_OK)
		return status;
	if (id < 0 || (uint32_t)id >= config->vocab_size)
		return gqe_fail(error, GQE_ERROR_USAGE, "token id %" PRId32 " is not in the vocabulary of %" PRIu32, id,
				config->vocab_size);
	*count = id < 256; /* ids beyond the bytes are a model's own marks and have no text */
	if (*count && capacity)
		text[0] = (char)(uint8_t)id;
	return GQE_OK;
}
