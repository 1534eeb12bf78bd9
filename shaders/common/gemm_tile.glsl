/*
 * One tile of a product c = a w^T, for all kernels that compute one. The kernel that includes this has push.a, w, depth, a_stride
 * and w_stride, and says what the tile's rows and columns are:
 *
 *   uint tile_a_row(uint row)      the row of `a` behind row `row` of the tile; for one past its end any valid row
 *
 * and, unless its columns are pairs of channels (GQE_PAIRS; common/gemm_pairs.glsl says the rest then):
 *
 *   uint tile_w_row(uint column)   the same for `w` and a column
 *   float tile_bias(uint column)   what is added to a column; past its end anything
 *   void tile_store(uint row, uint column, float value)   keeps the element, or drops it when it is past the end
 *   uint tile_word(uint row)       any word of what tile_store will overwrite, in a row that exists
 *
 * Then gemm_tile() computes and stores config_rows x gemm_columns elements.
 *
 * In f32, sums run over GQE_GEMM_BLOCK products at a time and are added up in a second step: the rounding error of a plain sum
 * grows with the root of its length and would reach 1e-6 at a depth of 8192. The order does not depend on the tile, so a row comes
 * out the same whatever tile it is in.
 */
#ifndef GQE_COMMON_GEMM_TILE_GLSL
#define GQE_COMMON_GEMM_TILE_GLSL

uint tile_a_row(uint row);
uint tile_w_row(uint column);
#ifdef GQE_PAIRS
#include "common/gemm_pairs.glsl"
#else
float tile_bias(uint column);
void tile_store(uint row, uint column, float value);
uint tile_word(uint row);
#endif

uvec2 w_row_address(uint column)
{
	return address(uvec2(push.w), tile_w_row(column), push.w_stride * WEIGHT_BYTES);
}

#if defined GQE_MATRIX
#include "common/gemm_matrix.glsl"
#elif defined GQE_SUBGROUP
#include "common/gemm_subgroup.glsl"
#else
#include "common/gemm_scalar.glsl"
#endif

#ifdef GQE_PAIRS
uint tile_w_row(uint column)
{
	HeadPair pair = tile_pair(column % (gemm_columns / 2));
	return pair.head * push.head_size + (column < gemm_columns / 2 ? pair.channels.x : pair.channels.y);
}
#endif

#endif
