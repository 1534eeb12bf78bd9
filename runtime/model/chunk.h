/* One pass of the transformer over consecutive tokens of one sequence: what goes in and what comes out, on either device. */
#ifndef GQE_MODEL_CHUNK_H
#define GQE_MODEL_CHUNK_H

#include "common/common.h"

struct gqe_chunk {
	const int32_t *tokens;  /* [count] */
	const int32_t *targets; /* [count], the successor of each token, -1 where unknown; NULL when nll is NULL */
	uint32_t count;
	uint32_t position;  /* of the first token */
	float *nll;         /* out [count] or NULL */
	float *logits;      /* out [count, vocab_size] or NULL */
	float *last_logits; /* out [vocab_size], of the last token */
	/* GQE only, else NULL */
	double *stats;    /* added to [layers, 2, N]: selections, sum of router probabilities; after a failure anything */
	int32_t *experts; /* out [layers, count, G, k] or NULL */
	/* asked now and then; true cancels; may be NULL */
	bool (*cancelled)(void *user);
	void *user;
};

#endif
