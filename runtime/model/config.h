/* Layer and model configs from JSON, with the checks that gqe.h describes. */
#ifndef GQE_MODEL_CONFIG_H
#define GQE_MODEL_CONFIG_H

#include "common/common.h"

/* Real ones have a few kilobytes. */
#define GQE_MAX_CONFIG_BYTES ((size_t)16 << 20)

/*
 * Parses config.json text (not necessarily NUL-terminated) into a model config; `file` is for messages. `layer_only`: only the
 * layer keys are required, and every other field is left zero. Hugging Face Llama-family configs load as GQA. The result has passed
 * gqe_layer_config_check. `tokenizer` is "" when the config names none, as Hugging Face's never do.
 */
gqe_status gqe_config_parse(const char *file, const char *text, size_t bytes, bool layer_only, gqe_model_config *config,
			    gqe_error *error);

#endif
