/* What a transformer has around its attention layers. */
#include "reference/reference.h"

#include "common/threads.h"

#include <math.h>
#include <string.h>

void gqe_reference_embed(const int32_t *tokens, const float *table, uint32_t rows, uint32_t width, float *x)
{
	for (size_t row = 0; row < rows; row++)
		memcpy(x + row * width, table + (size_t)tokens[row] * width, width * sizeof(float));
}

struct norm {
	gqe_norm kind;
	double eps;
	uint32_t width;
	const float *x, *weight, *bias;
	float *y;
};

static void norm_rows(void *user, uint64_t first, uint64_t last)
{
	const struct norm *norm = user;
	uint32_t width = norm->width;
	for (uint64_t row = first; row < last; row++) {
		const float *x = norm->x + row * width;
		double mean = 0, squares = 0;
		if (norm->kind == GQE_NORM_LAYERNORM) {
			for (uint32_t i = 0; i < width; i++)
				mean += x[i];
			mean /= width;
		}
		for (uint32_t i = 0; i < width; i++)
			squares += (x[i] - mean) * (x[i] - mean);
		double scale = 1 / sqrt(squares / width + norm->eps);
		for (uint32_t i = 0; i < width; i++) {
			double bias = norm->bias ? norm->bias[i] : 0;
			norm->y[row * width + i] = (float)((x[i] - mean) * scale * norm->weight[i] + bias);
		}
	}
}

void gqe_reference_norm(uint32_t threads, gqe_norm kind, double eps, uint32_t rows, uint32_t width, const float *x,
			const float *weight, const float *bias, float *y)
{
	struct norm norm = {kind, eps, width, x, weight, bias, y};
	gqe_parallel_for(threads, rows, 0, norm_rows, &norm);
}

void gqe_reference_activation(gqe_mlp kind, uint64_t count, const float *gate, const float *up, float *out)
{
	const double sqrt_half = 0.70710678118654752440;
	for (uint64_t i = 0; i < count; i++) {
		if (kind == GQE_MLP_SWIGLU)
			out[i] = (float)(gate[i] / (1 + exp(-(double)gate[i])) * up[i]);
		else
			out[i] = (float)(0.5 * up[i] * (1 + erf(up[i] * sqrt_half)));
	}
}

struct nll {
	uint32_t vocab;
	const float *logits;
	const int32_t *targets;
	float *nll;
};

static void nll_rows(void *user, uint64_t first, uint64_t last)
{
	const struct nll *nll = user;
	for (uint64_t row = first; row < last; row++) {
		const float *logits = nll->logits + row * nll->vocab;
		nll->nll[row] = 0;
		if (nll->targets[row] < 0)
			continue;
		double maximum = logits[0], sum = 0;
		for (uint32_t i = 1; i < nll->vocab; i++)
			maximum = fmax(maximum, logits[i]);
		for (uint32_t i = 0; i < nll->vocab; i++)
			sum += exp(logits[i] - maximum);
		nll->nll[row] = (float)(maximum + log(sum) - logits[nll->targets[row]]);
	}
}

void gqe_reference_nll(uint32_t threads, uint32_t rows, uint32_t vocab, const float *logits, const int32_t *targets, float *nll)
{
	struct nll work = {vocab, logits, targets, nll};
	gqe_parallel_for(threads, rows, 0, nll_rows, &work);
}
