/* Layers to test with: a config, random weights, random input whose routing is clear-cut, and running them. */
#ifndef GQE_TESTS_LAYER_FIXTURE_H
#define GQE_TESTS_LAYER_FIXTURE_H

#include "support.h"

#define FIXTURE_TENSORS 16

struct layer_fixture {
	gqe_layer_config config;
	bool biases;
	char names[FIXTURE_TENSORS][32];
	gqe_tensor tensors[FIXTURE_TENSORS];
	size_t tensor_count;
};

/* The paper's layout in small: 8 query experts in 4 groups, k 1, shared head on group 0, weighted-sum slot. */
gqe_layer_config small_layer_config(void);
/* Any config that gqe_layer_config_check accepts with a small hidden size: all options, d_h 16...256 in steps of 16, M 1...8. */
gqe_layer_config random_layer_config(struct random *random);
/* "d=48 N=8 G=4 d_h=16 k=1 ...", for messages. */
void describe_layer_config(const gqe_layer_config *config, char *text, size_t size);

/* Weights of deviation 1/sqrt(inputs). Released with fixture_free. */
void fixture_init(struct layer_fixture *fixture, const gqe_layer_config *config, bool biases, struct random *random);
void fixture_free(struct layer_fixture *fixture);
/* Elements of the slots that a token's experts fill: G*k, 0 for dense GQA. */
size_t fixture_selected(const struct layer_fixture *fixture);

/*
 * Normal values x [rows, d], each row redrawn until, in float64, no two logits that decide about the selection or its order
 * are nearer than 1e-3: arithmetic in f32 must then select the same experts. Released with free.
 */
float *draw_input(const struct layer_fixture *fixture, size_t rows, struct random *random);

struct layer_output {
	float *y;         /* [B, T, d] */
	int32_t *experts; /* [B, T, G, k]; NULL for dense GQA */
	float *gate;      /* [B, T, G, k]; NULL for dense GQA */
};

/* Runs x [B, T, d] in passes of at most `chunk` tokens (0: one pass) in a layer made for it. Outputs are poisoned before. */
void run_layer(gqe_context *context, const struct layer_fixture *fixture, gqe_dtype dtype, const float *x, uint32_t batch,
	       uint32_t tokens, uint32_t chunk, struct layer_output *output);
void output_free(struct layer_output *output);

/* A layer with the fixture's weights. */
gqe_layer *make_layer(gqe_context *context, const struct layer_fixture *fixture, gqe_dtype dtype, uint32_t batch,
		      uint32_t max_tokens, uint32_t chunk);
/* One gqe_layer_forward that must succeed; y, experts and gate may be NULL. */
void forward(gqe_layer *layer, uint32_t tokens, const float *x, float *y, int32_t *experts, float *gate);

#endif
