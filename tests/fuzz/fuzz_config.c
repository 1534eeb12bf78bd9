/* libFuzzer: any bytes as a config.json, as a layer's and as a model's. What is accepted has to be computable. */
#include "model/config.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const uint8_t *data, size_t size, bool layer_only)
{
	gqe_model_config config;
	gqe_error error = {0};
	gqe_status status = gqe_config_parse("fuzz.json", (const char *)data, size, layer_only, &config, &error);

	if (status == GQE_ERROR_BAD_INPUT && strstr(error.message, "fuzz.json") && !strchr(error.message, '\n'))
		return;
	if (status != GQE_OK || gqe_layer_config_check(&config.layer, NULL) != GQE_OK)
		abort();
	if (layer_only)
		return;
	if (!config.layers || !config.intermediate_size || !config.vocab_size || !(config.norm_eps > 0) ||
	    !isfinite(config.norm_eps) || !config.norm || !config.mlp || !config.max_position_embeddings ||
	    !memchr(config.tokenizer, 0, sizeof(config.tokenizer)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	parse(data, size, true);
	parse(data, size, false);
	return 0;
}
