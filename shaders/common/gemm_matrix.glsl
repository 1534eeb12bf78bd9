/*
 * One subgroup a workgroup, with cooperative matrices: a tile of config_columns columns. A slice of `a` at a time becomes f16 in shared
 * memory; w is loaded straight from memory, or with `staged` goes through shared memory as well, zeros behind the end of the depth.
 */
#include "common/matrix.glsl"

const uint gemm_columns = config_columns;
const uint slice_vectors = GQE_GEMM_MATRIX_SLICE / HALVES_PER_VECTOR + 1; /* one more against bank conflicts */
const uint row_tiles = config_rows / config_matrix_m;
const uint column_tiles = config_columns / config_matrix_n;
const uint sum_vectors = config_matrix_n / FLOATS_PER_VECTOR + 1;

shared uvec4 a_slice[config_rows * slice_vectors];
shared uvec4 w_slice[config_staged != 0 ? config_columns * slice_vectors : 1];
#ifdef GQE_PAIRS
const uint pair_columns = config_columns / 2;
/* A tile of one matrix across: it holds both channels of its pairs. */
const bool pairs_in_matrix = pair_columns % config_matrix_n != 0;
shared uvec4 sums[2 * config_rows * sum_vectors]; /* [2, rows, matrix_n] of the result, f32: first channels, partners */
#else
shared uvec4 sums[config_rows * sum_vectors]; /* [rows, matrix_n] of the result, f32 */
#endif

MatrixSum sum[row_tiles * column_tiles];

POINTER(FloatVectors, vec4, 16);

/* Elements at...at + 7 of a row of `a` as f16, zeros past the depth. Unless staged the row has them all, at a multiple of 16 bytes. */
uvec4 load_a(uint row, uint at)
{
	uint base = tile_a_row(row) * push.a_stride;
	if (config_staged == 0) {
		FloatVectors a = FloatVectors(uvec2(push.a));
		vec4 low = a.at[(base + at) / 4], high = a.at[(base + at) / 4 + 1];
		return uvec4(pack_halves(low.x, low.y), pack_halves(low.z, low.w), pack_halves(high.x, high.y),
			     pack_halves(high.z, high.w));
	}
	uvec4 halves;
	[[unroll]] for (uint i = 0; i < 4; i++) {
		float low = push.a.at[base + min(at + 2 * i, push.depth - 1)];
		float high = push.a.at[base + min(at + 2 * i + 1, push.depth - 1)];
		halves[i] = pack_halves(at + 2 * i < push.depth ? low : 0.0, at + 2 * i + 1 < push.depth ? high : 0.0);
	}
	return halves;
}

/* Elements at...at + 7 of a row of w; the row is padded with zeros to a multiple of four. */
uvec4 load_w(uint column, uint at)
{
	HalfPairs row = HalfPairs(w_row_address(column));
	uvec4 halves;
	[[unroll]] for (uint i = 0; i < 4; i++) {
		uint pair = row.at[min(at / 2 + i, push.w_stride / 2 - 1)];
		halves[i] = at + 2 * i < push.depth ? pair : 0;
	}
	return halves;
}

void load_slice(uint first)
{
	const uint vectors = GQE_GEMM_MATRIX_SLICE / HALVES_PER_VECTOR;
	subgroup_exchange(); /* the last slice has been used */
	[[dont_unroll]] for (uint i = lane(); i < config_rows * vectors; i += config_subgroup)
		a_slice[i / vectors * slice_vectors + i % vectors] =
			load_a(i / vectors, first + i % vectors * HALVES_PER_VECTOR);
	if (config_staged != 0)
		[[dont_unroll]] for (uint i = lane(); i < config_columns * vectors; i += config_subgroup)
			w_slice[i / vectors * slice_vectors + i % vectors] =
				load_w(i / vectors, first + i % vectors * HALVES_PER_VECTOR);
	subgroup_exchange();
}

uvec2 w_tile; /* address of the first column's row of w */
#ifdef GQE_PAIRS
uint w_offsets[column_tiles]; /* of the matrices' first rows from there, in elements; a tile's heads are not far apart */
#endif

/* Not when staged: then all of a matrix's rows need not even be of one head. */
void find_w_tiles()
{
	w_tile = w_row_address(0);
#ifdef GQE_PAIRS
	[[unroll]] for (uint c = 0; c < column_tiles; c++)
		w_offsets[c] = (tile_w_row(c * config_matrix_n) - tile_w_row(0)) * push.w_stride;
#endif
}

MatrixB load_w_matrix(uint tile, uint at, uint first)
{
	MatrixB w;
	if (config_staged != 0)
		coopMatLoad(w, w_slice, tile * config_matrix_n * slice_vectors + at / HALVES_PER_VECTOR, slice_vectors,
			    COLUMN_MAJOR);
	else
#ifdef GQE_PAIRS
		coopMatLoad(w, Vectors(w_tile).at, (w_offsets[tile] + first + at) / HALVES_PER_VECTOR,
			    rope_pair_step() * push.w_stride / HALVES_PER_VECTOR, COLUMN_MAJOR);
#else
		coopMatLoad(w, Vectors(w_tile).at, (tile * config_matrix_n * push.w_stride + first + at) / HALVES_PER_VECTOR,
			    push.w_stride / HALVES_PER_VECTOR, COLUMN_MAJOR);
#endif
	return w;
}

/* Adds the products of depth first + at...first + at + k - 1. */
void gemm_step(uint first, uint at)
{
	MatrixA a[row_tiles];
	[[unroll]] for (uint r = 0; r < row_tiles; r++)
		coopMatLoad(a[r], a_slice, r * config_matrix_m * slice_vectors + at / HALVES_PER_VECTOR, slice_vectors, ROW_MAJOR);
	[[unroll]] for (uint c = 0; c < column_tiles; c++) {
		MatrixB w = load_w_matrix(c, at, first);
		[[unroll]] for (uint r = 0; r < row_tiles; r++)
			sum[r * column_tiles + c] = coopMatMulAdd(a[r], w, sum[r * column_tiles + c]);
	}
}

float load_sum(uint row, uint column)
{
	return uintBitsToFloat(sums[row * sum_vectors + column / FLOATS_PER_VECTOR][column % FLOATS_PER_VECTOR]);
}

/* Puts the sums of a column of matrices into shared memory, from row `first_row` of `sums` on. */
void share_sums(uint c, uint first_row)
{
	[[unroll]] for (uint r = 0; r < row_tiles; r++)
		coopMatStore(sum[r * column_tiles + c], sums, (first_row + r * config_matrix_m) * sum_vectors, sum_vectors, ROW_MAJOR);
}

#ifdef GQE_PAIRS

const uint pair_matrices = pairs_in_matrix ? 1 : column_tiles / 2; /* across the tile's pairs */
const uint matrix_pairs = pairs_in_matrix ? config_matrix_n / 2 : config_matrix_n;

/* Pair `first` + lane of those in shared memory, row after row. */
void store_shared_pair(uint c, uint first)
{
	uint row = (first + lane()) / matrix_pairs; /* the subgroup divides them: the smallest shape has 64 */
	uint n = (first % matrix_pairs + lane()) % matrix_pairs;
	HeadPair pair = tile_pair(c * config_matrix_n + n);
	vec2 value = vec2(load_sum(row, n), pairs_in_matrix ? load_sum(row, n + matrix_pairs) : load_sum(config_rows + row, n));
	store_pair(row, pair, turn_pair(row, pair, value + pair_bias(pair)));
}

void share_pairs(uint c)
{
	share_sums(c, 0);
	if (!pairs_in_matrix)
		share_sums(c + column_tiles / 2, config_rows);
	subgroup_exchange();
}

/* A loop that stayed one would keep the one around it, and the sums would lie in memory: only where there is none around. */
void store_tile()
{
	if (config_rolled != 0 && pair_matrices == 1) {
		share_pairs(0);
		[[dont_unroll]] for (uint first = 0; first < config_rows * matrix_pairs; first += config_subgroup)
			store_shared_pair(0, first);
		return;
	}
	[[unroll]] for (uint c = 0; c < pair_matrices; c++) {
		share_pairs(c);
		[[unroll]] for (uint first = 0; first < config_rows * matrix_pairs; first += config_subgroup)
			store_shared_pair(c, first);
		subgroup_exchange();
	}
}

#else

/* A loop that stayed one would keep the one around it, and the sums would lie in memory. */
void store_tile()
{
	[[unroll]] for (uint c = 0; c < column_tiles; c++) {
		share_sums(c, 0);
		subgroup_exchange();
		[[unroll]] for (uint first = 0; first < config_rows * config_matrix_n; first += config_subgroup) {
			uint i = first + lane(); /* the subgroup divides them: the smallest shape has 64 */
			uint row = i / config_matrix_n, n = i % config_matrix_n, column = c * config_matrix_n + n;
			tile_store(row, column, load_sum(row, n) + tile_bias(column));
		}
		subgroup_exchange();
	}
}

#endif

void gemm_tile()
{
	[[unroll]] for (uint i = 0; i < row_tiles * column_tiles; i++)
		sum[i] = MatrixSum(0.0);
	find_w_tiles();
	for (uint first = 0; first < push.depth; first += GQE_GEMM_MATRIX_SLICE) {
		load_slice(first);
		if (config_rolled != 0) {
			[[dont_unroll]] for (uint at = 0; at < GQE_GEMM_MATRIX_SLICE; at += config_matrix_k)
				gemm_step(first, at);
		} else {
			[[unroll]] for (uint at = 0; at < GQE_GEMM_MATRIX_SLICE; at += config_matrix_k)
				gemm_step(first, at);
		}
	}
	store_tile();
}
