/*
 * What both attention kernels with cooperative matrices share: q as matrices, K and V from the cache, and the first product. One
 * subgroup is a workgroup and owns a tile's rows; a pass handles config_columns keys.
 *
 * K and V are loaded straight from the cache. With `staged` they go through shared memory, zeros behind the last channel and key:
 * for head sizes that are no multiple of the shape, and for fewer keys than one pass takes.
 */
#ifndef GQE_COMMON_ATTENTION_MATRIX_GLSL
#define GQE_COMMON_ATTENTION_MATRIX_GLSL

#include "common/matrix.glsl"
#include "common/attention_tile.glsl"

const uint channel_step = config_matrix_n > config_matrix_k ? config_matrix_n : config_matrix_k;
const uint channels = (config_head_dim + channel_step - 1) / channel_step * channel_step;
const uint row_tiles = config_rows / config_matrix_m;
const uint key_tiles = config_columns / config_matrix_n;     /* of the scores */
const uint key_steps = config_columns / config_matrix_k;     /* of the second product */
const uint channel_steps = channels / config_matrix_k;       /* of the first product */
const uint channel_tiles = channels / config_matrix_n;       /* of the outputs */

/*
 * Rows of q, as f16 by the step, and what else a kernel exchanges by rows: scores, one vector more than needed, against bank conflicts;
 * with `transposed` a subgroup's rows of probabilities, p_vectors each. The first use is the first of all shared memory, as an address
 * of 0 is an addition less.
 */
const uint line_vectors = config_columns / FLOATS_PER_VECTOR + 1;
const uint p_vectors = config_columns / HALVES_PER_VECTOR;
shared uvec4 lines[config_transposed != 0 ? config_workgroup * p_vectors : config_rows * line_vectors];

/* K, then V; and, with `rolled`, q. */
const uint channel_vectors = channels / HALVES_PER_VECTOR + 1;
shared uvec4 stage[config_staged != 0 && config_transposed == 0 ? config_columns * channel_vectors : 1];
shared uvec4 q_lines[config_rolled != 0 ? config_rows * channel_vectors : 1];

MatrixA q[row_tiles * channel_steps];
MatrixSum o[row_tiles * channel_tiles];
MatrixSum score[row_tiles * key_tiles];

/* Eight channels of q as f16, zeros past the last. */
uvec4 load_q(Tile tile, uint row, uint channel)
{
	uvec4 halves;
	[[unroll]] for (uint j = 0; j < 4; j++) {
		uint at = row_q(tile, row) + min(channel + 2 * j, config_head_dim - 2);
		uint pair = pack_halves(push.q.at[at], push.q.at[at + 1]);
		halves[j] = channel + 2 * j < config_head_dim ? pair : 0;
	}
	return halves;
}

/* q of the tile becomes matrices, by way of `lines` in blocks of as many channels as a matrix has; or stays in `q_lines`. */
void load_queries(Tile tile)
{
	if (config_rolled == 0) {
		const uint vectors = config_matrix_k / HALVES_PER_VECTOR;
		/* A loop that stayed one would keep the one around it, and q would lie in memory. */
		[[unroll]] for (uint s = 0; s < channel_steps; s++) {
			[[unroll]] for (uint first = 0; first < config_rows * vectors; first += config_subgroup) {
				uint i = min(first + lane(), config_rows * vectors - 1);
				lines[i / vectors * line_vectors + i % vectors] =
					load_q(tile, i / vectors, s * config_matrix_k + i % vectors * HALVES_PER_VECTOR);
			}
			subgroup_exchange();
			[[unroll]] for (uint r = 0; r < row_tiles; r++)
				coopMatLoad(q[r * channel_steps + s], lines, r * config_matrix_m * line_vectors, line_vectors,
					    ROW_MAJOR);
			subgroup_exchange();
		}
		return;
	}
	const uint vectors = channels / HALVES_PER_VECTOR;
	[[dont_unroll]] for (uint i = lane(); i < config_rows * vectors; i += config_subgroup)
		q_lines[i / vectors * channel_vectors + i % vectors] = load_q(tile, i / vectors, i % vectors * HALVES_PER_VECTOR);
	subgroup_exchange();
}

/* Keys first...first + columns - 1 of a cache into `stage`. */
void stage_keys(uvec2 cache, uint first, uint end)
{
	subgroup_exchange();
	[[dont_unroll]] for (uint i = lane(); i < config_columns * (channels / 2); i += config_subgroup) {
		uint key = i / (channels / 2), pair = i % (channels / 2);
		bool exists = first + key < end && 2 * pair < config_head_dim;
		uvec2 line = address(cache, min(first + key, end - 1), config_head_dim * WEIGHT_BYTES);
		uint halves = HalfPairs(line).at[min(pair, config_head_dim / 2 - 1)];
		stage[key * channel_vectors + pair / 4][pair % 4] = exists ? halves : 0;
	}
	subgroup_exchange();
}

/* Channels step * k... of keys tile * n...: the first product's second factor. `keys`: where the pass begins in K. */
MatrixB load_k(uvec2 keys, uint tile, uint step)
{
	MatrixB k;
	const uint line = config_head_dim / HALVES_PER_VECTOR, column = step * config_matrix_k / HALVES_PER_VECTOR;
	if (config_staged != 0)
		coopMatLoad(k, stage, tile * config_matrix_n * channel_vectors + column, channel_vectors, COLUMN_MAJOR);
	else
		coopMatLoad(k, Vectors(keys).at, tile * config_matrix_n * line + column, line, COLUMN_MAJOR);
	return k;
}

MatrixB load_v(uvec2 keys, uint step, uint tile)
{
	MatrixB v;
	const uint line = config_head_dim / HALVES_PER_VECTOR, column = tile * config_matrix_n / HALVES_PER_VECTOR;
	if (config_staged != 0)
		coopMatLoad(v, stage, step * config_matrix_k * channel_vectors + column, channel_vectors, ROW_MAJOR);
	else
		coopMatLoad(v, Vectors(keys).at, step * config_matrix_k * line + column, line, ROW_MAJOR);
	return v;
}

/* Adds q K^T to the scores. */
void multiply_keys(uvec2 keys)
{
	if (config_rolled != 0) {
		[[dont_unroll]] for (uint s = 0; s < channel_steps; s++)
			[[unroll]] for (uint r = 0; r < row_tiles; r++) {
				MatrixA own_q;
				coopMatLoad(own_q, q_lines, r * config_matrix_m * channel_vectors + s * config_matrix_k / HALVES_PER_VECTOR,
					    channel_vectors, ROW_MAJOR);
				[[unroll]] for (uint t = 0; t < key_tiles; t++)
					score[r * key_tiles + t] =
						coopMatMulAdd(own_q, load_k(keys, t, s), score[r * key_tiles + t]);
			}
	} else {
		[[unroll]] for (uint t = 0; t < key_tiles; t++)
			[[unroll]] for (uint s = 0; s < channel_steps; s++) {
				MatrixB k = load_k(keys, t, s);
				[[unroll]] for (uint r = 0; r < row_tiles; r++)
					score[r * key_tiles + t] =
						coopMatMulAdd(q[r * channel_steps + s], k, score[r * key_tiles + t]);
			}
	}
}

/* Where a pass over the keys from `key` loads them. Past `cached`, the keys there are, nothing is read: some before come again. */
uint pass_start(uint key, uint cached)
{
	return config_staged != 0 ? key : min(key, cached - config_columns);
}

#endif
