/*
 * A workgroup of GQE_GEMM_SCALAR_LANES x n invocations: each computes config_rows / n rows by config_columns columns from a slice of
 * a and w in shared memory. n divides config_rows, and the workgroup's size divides the elements of a slice of a and of w. With 32
 * rows and 2 columns this takes 4.3 KB of shared memory.
 */
#define GEMM_SLICE GQE_GEMM_SCALAR_SLICE /* depth in shared memory at a time; divides GQE_GEMM_BLOCK */

const uint gemm_columns = GQE_GEMM_SCALAR_LANES * config_columns;
const uint own_rows = config_rows * GQE_GEMM_SCALAR_LANES / gl_WorkGroupSize.x;

/* One more element a row, against bank conflicts. */
shared float a_slice[config_rows * (GEMM_SLICE + 1)];
shared float w_slice[gemm_columns * (GEMM_SLICE + 1)];

float block_sum[own_rows * config_columns]; /* [own_rows, columns] */

void load_slice(uint first)
{
	barrier(); /* the last slice has been used */
	[[unroll]] for (uint n = 0; n < config_rows * GEMM_SLICE; n += gl_WorkGroupSize.x) {
		uint i = n + gl_LocalInvocationIndex;
		uint row = i / GEMM_SLICE, at = first + i % GEMM_SLICE;
		float value = at < push.depth ? push.a.at[tile_a_row(row) * push.a_stride + at] : 0.0;
		a_slice[row * (GEMM_SLICE + 1) + i % GEMM_SLICE] = value;
	}
	[[unroll]] for (uint n = 0; n < gemm_columns * GEMM_SLICE; n += gl_WorkGroupSize.x) {
		uint i = n + gl_LocalInvocationIndex;
		uint column = i / GEMM_SLICE, at = first + i % GEMM_SLICE;
		float value = at < push.depth ? float(Weights(w_row_address(column)).at[at]) : 0.0;
		w_slice[column * (GEMM_SLICE + 1) + i % GEMM_SLICE] = value;
	}
	barrier();
}

/* Adds the products of depth i of the slice. */
void multiply(uint own_row, uint own_column, uint i)
{
	[[unroll]] for (uint c = 0; c < config_columns; c++) {
		float w = w_slice[(c * GQE_GEMM_SCALAR_LANES + own_column) * (GEMM_SLICE + 1) + i];
		[[unroll]] for (uint r = 0; r < own_rows; r++)
			block_sum[r * config_columns + c] += a_slice[(own_row + r) * (GEMM_SLICE + 1) + i] * w;
	}
}

void gemm_tile()
{
	uint own_row = gl_LocalInvocationIndex / GQE_GEMM_SCALAR_LANES * own_rows;
	uint own_column = gl_LocalInvocationIndex % GQE_GEMM_SCALAR_LANES;
	float sum[own_rows * config_columns];
	[[unroll]] for (uint i = 0; i < own_rows * config_columns; i++)
		sum[i] = block_sum[i] = 0.0;

	for (uint first = 0; first < push.depth; first += GEMM_SLICE) {
		load_slice(first);
		[[dont_unroll]] for (uint four = 0; four < GEMM_SLICE; four += 4)
			[[unroll]] for (uint i = four; i < four + 4; i++)
				multiply(own_row, own_column, i);
		if ((first + GEMM_SLICE) % GQE_GEMM_BLOCK == 0 || first + GEMM_SLICE >= push.depth)
			[[unroll]] for (uint i = 0; i < own_rows * config_columns; i++) {
				sum[i] += block_sum[i];
				block_sum[i] = 0.0;
			}
	}
#ifdef GQE_PAIRS
	const uint pair_columns = config_columns / 2; /* a tile has two columns an invocation at least */
	[[unroll]] for (uint c = 0; c < pair_columns; c++) {
		HeadPair pair = tile_pair(c * GQE_GEMM_SCALAR_LANES + own_column);
		vec2 bias = pair_bias(pair);
		[[unroll]] for (uint r = 0; r < own_rows; r++) {
			vec2 value = vec2(sum[r * config_columns + c], sum[r * config_columns + pair_columns + c]) + bias;
			store_pair(own_row + r, pair, turn_pair(own_row + r, pair, value));
		}
	}
#else
	[[unroll]] for (uint c = 0; c < config_columns; c++) {
		uint column = c * GQE_GEMM_SCALAR_LANES + own_column;
		float bias = tile_bias(column);
		[[unroll]] for (uint r = 0; r < own_rows; r++)
			tile_store(own_row + r, column, sum[r * config_columns + c] + bias);
	}
#endif
}
