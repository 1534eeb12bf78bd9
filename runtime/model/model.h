/* A loaded model, on a Vulkan device or the reference. */
#ifndef GQE_MODEL_MODEL_H
#define GQE_MODEL_MODEL_H

#include "model/device_model.h"
#include "model/host_model.h"

struct gqe_model {
	gqe_context *context;
	gqe_model_config config;
	gqe_dtype dtype;
	struct gqe_device_model device; /* used when the context has a Vulkan device */
	struct gqe_host_model host;     /* used when it is the reference */
};

#define GQE_DEFAULT_CHUNK 512
#define GQE_SMALLEST_CHUNK 16

/*
 * The tokens of one pass: `wanted`, or for 0 GQE_DEFAULT_CHUNK, halved until the session fits into `available` bytes. At most
 * max_tokens, and such that no tensor of a pass has more than GQE_MAX_ELEMENTS. *total gets the bytes of the session.
 */
gqe_status gqe_choose_chunk(const gqe_model_config *config, gqe_dtype dtype, const gqe_session_params *params, uint64_t available,
			    uint32_t *chunk, uint64_t *total, gqe_error *error);

#endif
