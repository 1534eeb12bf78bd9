/* Small random models as folders on disk, and running them. */
#ifndef GQE_TESTS_MODEL_FIXTURE_H
#define GQE_TESTS_MODEL_FIXTURE_H

#include "support.h"

struct model_fixture {
	gqe_model_config config; /* of which config.json is written */
	bool biases;             /* also in every projection, and for layernorm */
	bool hugging_face;       /* config.json as a Hugging Face Llama has it */
	bool sharded;            /* two files and an index */
	uint64_t seed;
	char folder[256];
	gqe_model_files *files; /* opened from the folder */
};

/* 2 layers, hidden size 36, 4 experts in 2 groups, vocabulary 61: GQE, rmsnorm, swiglu. */
gqe_model_config small_model_config(void);
/* Writes the folder and opens it. */
void model_fixture_init(struct model_fixture *fixture);
void model_fixture_free(struct model_fixture *fixture);

/* Random ids; released with free. */
int32_t *draw_tokens(const gqe_model_config *config, uint32_t count, struct random *random);

gqe_model *load_model(gqe_context *context, const gqe_model_files *files, gqe_dtype dtype);
gqe_session *make_session(gqe_model *model, uint32_t max_tokens, uint32_t chunk, bool keep_routing);
/* One gqe_session_prefill that must succeed; logits [count, vocab] and nll [count] may be NULL. */
void prefill(gqe_session *session, const int32_t *tokens, uint32_t count, float *logits, float *nll);

#endif
