/* Layer and model configs from JSON, with the checks of spec section 3. */
#ifndef GQE_MODEL_CONFIG_H
#define GQE_MODEL_CONFIG_H

#include "common/common.h"

/*
 * Parses config.json text (not necessarily NUL-terminated) into a model config; `file` is for messages. `layer_only`: only the
 * layer keys are required. Hugging Face Llama-family configs load as GQA. The result has passed gqe_layer_config_check.
 */
gqe_status gqe_config_parse(const char *file, const char *text, size_t bytes, bool layer_only, gqe_model_config *config,
			    gqe_error *error);

/* A file's whole content, malloc'ed; over `limit` bytes is GQE_ERROR_BAD_INPUT. */
gqe_status gqe_file_read(const char *path, size_t limit, char **text, size_t *bytes, gqe_error *error);

#endif
