#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * Causal attention with cooperative matrices whose rows can be reduced and whose elements know their row and column
 * (VK_NV_cooperative_matrix2): the softmax stays in the matrices, and nothing but q goes through shared memory. Row maxima are
 * matrices with the same value all along a row. Subgroup scope, no tensor addressing, no block loads; the shape has n = k, so that
 * a matrix of scores becomes a first factor of the second product.
 *
 * As in attention_matrix.comp the outputs are only rescaled when a row's maximum rises by more than `lazy_rise` above its reference.
 */
#include "common/kernel.glsl"
#include "common/attention_matrix.glsl"
#extension GL_NV_cooperative_matrix2 : require

const float lazy_rise = 8.0;

MatrixSum reference[row_tiles]; /* a score the row has seen, or no_score before the first; [rows, n], the same all along a row */
MatrixSum row_sum[row_tiles];   /* of every n-th key: the sum over the columns is the row's */

Tile tile;
KeyRange range;

float larger(const in float a, const in float b)
{
	return max(a, b);
}

float total(const in float a, const in float b)
{
	return a + b;
}

float keep_larger(const in uint row, const in uint column, const in float a, const in float b)
{
	return max(a, b);
}

/* `first_key`: of the matrix; keys before `from` were handled in an earlier pass. */
float mask(const in uint row, const in uint column, const in float value, const in uint first_row, const in uint first_key,
	   const in uint from)
{
	uint key = first_key + column;
	return key >= from && key < row_keys(tile, first_row + row) ? value : no_score;
}

float probability(const in uint row, const in uint column, const in float value, const in float row_reference)
{
	/* A row without a visible key so far would have exp2(0). */
	return value == no_score ? 0.0 : exp2(value - row_reference);
}

float rescale_factor(const in uint row, const in uint column, const in float before, const in float after)
{
	return exp2(before - after);
}

void start_rows()
{
	[[unroll]] for (uint r = 0; r < row_tiles; r++) {
		reference[r] = MatrixSum(no_score);
		row_sum[r] = MatrixSum(0.0);
		[[unroll]] for (uint c = 0; c < channel_tiles; c++)
			o[r * channel_tiles + c] = MatrixSum(0.0);
	}
}

void compute_scores(uvec2 keys, uint start, uint first, bool is_edge)
{
	[[unroll]] for (uint i = 0; i < row_tiles * key_tiles; i++)
		score[i] = MatrixSum(0.0);
	multiply_keys(keys);
	if (is_edge)
		[[unroll]] for (uint r = 0; r < row_tiles; r++)
			[[unroll]] for (uint t = 0; t < key_tiles; t++)
				coopMatPerElementNV(score[r * key_tiles + t], score[r * key_tiles + t], mask, r * config_matrix_m,
						    start + t * config_matrix_n, first);
}

/* Scores become probabilities; what was summed under a lower maximum is rescaled if that is much lower. */
void softmax(bool is_edge)
{
	MatrixSum largest[row_tiles];
	bool rises = is_edge;
	[[unroll]] for (uint r = 0; r < row_tiles; r++) {
		MatrixSum columns_largest = score[r * key_tiles];
		[[unroll]] for (uint t = 1; t < key_tiles; t++)
			coopMatPerElementNV(columns_largest, columns_largest, keep_larger, score[r * key_tiles + t]);
		coopMatReduceNV(largest[r], columns_largest, gl_CooperativeMatrixReduceRowNV, larger);
		coopMatPerElementNV(largest[r], largest[r], keep_larger, reference[r]);
		[[unroll]] for (uint i = 0; i < largest[r].length(); i++)
			rises = rises || largest[r][i] - reference[r][i] > lazy_rise;
	}
	if (subgroupAny(rises))
		[[unroll]] for (uint r = 0; r < row_tiles; r++) {
			MatrixSum factor;
			coopMatPerElementNV(factor, reference[r], rescale_factor, largest[r]);
			reference[r] = largest[r];
			row_sum[r] = row_sum[r] * factor;
			[[unroll]] for (uint c = 0; c < channel_tiles; c++)
				o[r * channel_tiles + c] = o[r * channel_tiles + c] * factor;
		}
	[[unroll]] for (uint r = 0; r < row_tiles; r++)
		[[unroll]] for (uint t = 0; t < key_tiles; t++) {
			coopMatPerElementNV(score[r * key_tiles + t], score[r * key_tiles + t], probability, reference[r]);
			row_sum[r] = row_sum[r] + score[r * key_tiles + t];
		}
}

/* o += P V. */
void accumulate_output(uvec2 keys)
{
	[[unroll]] for (uint s = 0; s < key_steps; s++) {
		MatrixA p[row_tiles];
		[[unroll]] for (uint r = 0; r < row_tiles; r++)
			p[r] = MatrixA(score[r * key_tiles + s]);
		[[unroll]] for (uint c = 0; c < channel_tiles; c++) {
			MatrixB v = load_v(keys, s, c);
			[[unroll]] for (uint r = 0; r < row_tiles; r++)
				o[r * channel_tiles + c] = coopMatMulAdd(p[r], v, o[r * channel_tiles + c]);
		}
	}
}

/* The parts of a RowMerge, element by element. */
float merge_own(const in uint row, const in uint column, const in float largest, const in float sum, const in uint first_row)
{
	return row_merge(tile, range, first_row + row, largest, sum).own;
}

float store_state_once(const in uint row, const in uint column, const in float largest, const in float sum, const in uint first_row)
{
	if (column == 0 && row_exists(tile, first_row + row))
		store_state(tile, first_row + row, row_merge(tile, range, first_row + row, largest, sum));
	return largest;
}

float merge_before(const in uint row, const in uint column, const in float largest, const in float sum, const in uint first_row)
{
	return row_merge(tile, range, first_row + row, largest, sum).before;
}

float store_output(const in uint row, const in uint column, const in float value, const in float own, const in float before,
		   const in uint first_row, const in uint first_channel)
{
	uint channel = first_channel + column;
	/* A row past the last would merge the last one twice. */
	if (row_exists(tile, first_row + row) && channel < config_head_dim)
		merge_output(range, row_o(tile, first_row + row) + channel, RowMerge(0.0, 0.0, own, before), value);
	return value;
}

/* Adds what the earlier key ranges left, and leaves the sums to the next, or divides if there is none. */
void store_rows()
{
	[[unroll]] for (uint r = 0; r < row_tiles; r++) {
		const uint first_row = r * config_matrix_m;
		MatrixSum sum, own, before;
		coopMatReduceNV(sum, row_sum[r], gl_CooperativeMatrixReduceRowNV, total);
		coopMatPerElementNV(own, reference[r], merge_own, sum, first_row);
		coopMatPerElementNV(before, reference[r], merge_before, sum, first_row);
		if (!range.is_last) {
			subgroup_exchange(); /* every lane has read `state` */
			coopMatPerElementNV(sum, reference[r], store_state_once, sum, first_row);
		}
		[[unroll]] for (uint c = 0; c < channel_tiles; c++)
			coopMatPerElementNV(o[r * channel_tiles + c], o[r * channel_tiles + c], store_output, own, before, first_row,
					    c * config_matrix_n);
	}
}

void main()
{
	if (!tile_of_workgroup(tile) || !key_range_of(tile, range))
		return;
	load_queries(tile);
	start_rows();
	const uint cached = push.position + push.tokens; /* keys there are */
	const uint seen_by_all = row_keys(tile, 0);
	for (uint key = range.first; key < range.end; key += config_columns) {
		uint start = pass_start(key, cached);
		bool is_edge = key == range.first || key + config_columns > seen_by_all;
		if (config_staged != 0)
			stage_keys(tile.k, start, cached);
		compute_scores(address(tile.k, start, config_head_dim * WEIGHT_BYTES), start, key, is_edge);
		softmax(is_edge);
		if (config_staged != 0)
			stage_keys(tile.v, start, cached);
		accumulate_output(address(tile.v, start, config_head_dim * WEIGHT_BYTES));
	}
	store_rows();
}
