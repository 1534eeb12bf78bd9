#include "reference/reference.h"

#include "reference/wide.h"

#include <math.h>
#include <string.h>

#define BLOCK_KEYS 32

/* Keys and values of one block in float64, the keys transposed, and the running softmax of every query. About 270 KiB. */
struct tile {
	double q[GQE_WIDE_QUERIES][GQE_MAX_HEAD_DIM];
	double o[GQE_WIDE_QUERIES][GQE_MAX_HEAD_DIM]; /* not yet divided by `sum` */
	double maximum[GQE_WIDE_QUERIES];             /* of the scores so far */
	double sum[GQE_WIDE_QUERIES];                 /* of exp(score - maximum) */
	double k[GQE_MAX_HEAD_DIM * BLOCK_KEYS];      /* [head_dim, keys of the block] */
	double v[BLOCK_KEYS * GQE_MAX_HEAD_DIM];      /* [keys of the block, head_dim] */
};

static void load_block(const struct gqe_wide_attention *a, uint32_t first_key, uint32_t keys, struct tile *tile)
{
	for (uint32_t key = 0; key < keys; key++) {
		const float *k = a->k + (size_t)(first_key + key) * a->head_dim;
		const float *v = a->v + (size_t)(first_key + key) * a->head_dim;
		for (uint32_t i = 0; i < a->head_dim; i++)
			tile->k[i * keys + key] = k[i];
		for (uint32_t i = 0; i < a->head_dim; i++)
			tile->v[key * a->head_dim + i] = v[i];
	}
}

/* One query against the first `visible` of the block's `keys`: online softmax. */
static void attend_block(uint32_t head_dim, uint32_t query, uint32_t keys, uint32_t visible, struct tile *tile)
{
	double weight[BLOCK_KEYS] = {0}; /* the scores, then exp(score - maximum) */
	gqe_wide_multiply_add(head_dim, keys, tile->q[query], tile->k, weight);

	double maximum = tile->maximum[query];
	for (uint32_t key = 0; key < visible; key++)
		maximum = fmax(maximum, weight[key]);
	if (maximum > tile->maximum[query]) {
		double shrink = exp(tile->maximum[query] - maximum);
		tile->maximum[query] = maximum;
		tile->sum[query] *= shrink;
		for (uint32_t i = 0; i < head_dim; i++)
			tile->o[query][i] *= shrink;
	}
	for (uint32_t key = 0; key < visible; key++) {
		weight[key] = exp(weight[key] - maximum);
		tile->sum[query] += weight[key];
	}
	/* Values of keys after the query are not even multiplied by 0: they may be NaN. */
	gqe_wide_multiply_add(visible, head_dim, weight, tile->v, tile->o[query]);
}

void gqe_wide_attend(const struct gqe_wide_attention *a)
{
	struct tile tile;
	for (uint32_t query = 0; query < a->queries; query++) {
		memcpy(tile.q[query], a->q + query * a->q_stride, a->head_dim * sizeof(double));
		memset(tile.o[query], 0, a->head_dim * sizeof(double));
		tile.maximum[query] = -INFINITY;
		tile.sum[query] = 0;
	}
	uint32_t all_keys = a->first_keys + a->queries - 1;
	for (uint32_t first_key = 0; first_key < all_keys; first_key += BLOCK_KEYS) {
		uint32_t keys = gqe_min_u32(BLOCK_KEYS, all_keys - first_key);
		load_block(a, first_key, keys, &tile);
		/* The first query that sees any key of this block; the later ones see more. */
		uint32_t query = first_key < a->first_keys ? 0 : first_key - a->first_keys + 1;
		for (; query < a->queries; query++)
			attend_block(a->head_dim, query, keys, gqe_min_u32(keys, a->first_keys + query - first_key), &tile);
	}
	for (uint32_t query = 0; query < a->queries; query++) {
		for (uint32_t i = 0; i < a->head_dim; i++)
			a->o[query * a->o_stride + i] = tile.o[query][i] / tile.sum[query];
	}
}

void gqe_reference_attend(uint32_t head_dim, uint32_t keys, const float *q, const float *k, const float *v, float *out)
{
	double wide_q[GQE_MAX_HEAD_DIM], wide_out[GQE_MAX_HEAD_DIM];
	for (uint32_t i = 0; i < head_dim; i++)
		wide_q[i] = q[i];
	struct gqe_wide_attention attention = {
		.head_dim = head_dim,
		.queries = 1,
		.first_keys = keys,
		.q = wide_q,
		.k = k,
		.v = v,
		.o = wide_out,
	};
	gqe_wide_attend(&attention);
	for (uint32_t i = 0; i < head_dim; i++)
		out[i] = (float)wide_out[i];
}
