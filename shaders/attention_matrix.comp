#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * Causal attention with cooperative matrices, f16 factors and f32 sums. One subgroup is a workgroup and owns `rows` queries through
 * the whole pass over the keys: scores, outputs and sums stay in its registers, and no workgroup waits for another.
 *
 * Which lane holds which element of a matrix is unknown, so a pass over `columns` keys sends its scores through shared memory once:
 * there a lane (or a few) has a row, turns its scores into probabilities and leaves them as f16 for the second product. Scores are
 * computed relative to a reference of their row, so that nothing is subtracted. The outputs are only rescaled when a row's maximum
 * rises by more than `lazy_rise` above its reference: until then probabilities are up to 2^lazy_rise and just as exact.
 *
 * With `transposed` all of this is otherwise: common/attention_matrix_transposed.glsl.
 */
#include "common/kernel.glsl"
#include "common/attention_matrix.glsl"
#extension GL_KHR_shader_subgroup_shuffle : require

const float lazy_rise = 8.0;

/* A row belongs to row_lanes neighbouring lanes, or a lane has own_rows neighbouring rows. */
const uint row_lanes = config_subgroup > config_rows ? config_subgroup / config_rows : 1;
const uint own_rows = config_rows > config_subgroup ? config_rows / config_subgroup : 1;
const uint own_vectors = config_columns / FLOATS_PER_VECTOR / row_lanes; /* of a row's scores */

shared float row_offset[config_transposed != 0 ? 1 : config_rows]; /* -reference */
shared float row_rescale[config_transposed != 0 ? 1 : config_rows];

float row_sum[own_rows];   /* of the lane's keys only */
float row_rise[own_rows];  /* by how much the reference was last raised */
bool row_is_set[own_rows]; /* the row has seen a key, and its reference is a score */

uint own_row(uint i)
{
	return config_subgroup > config_rows ? lane() / row_lanes : lane() * own_rows + i;
}

uint own_part()
{
	return config_subgroup > config_rows ? lane() % row_lanes : 0;
}

/* Over the lanes that share a row. */
float row_lanes_max(float value)
{
	[[unroll]] for (uint step = 1; step < row_lanes; step *= 2)
		value = max(value, subgroupShuffleXor(value, step));
	return value;
}

float row_lanes_sum(float value)
{
	[[unroll]] for (uint step = 1; step < row_lanes; step *= 2)
		value += subgroupShuffleXor(value, step);
	return value;
}

void start_rows()
{
	[[unroll]] for (uint i = 0; i < own_rows; i++) {
		row_offset[own_row(i)] = 0.0;
		row_sum[i] = 0.0;
		row_is_set[i] = false;
	}
	[[unroll]] for (uint i = 0; i < row_tiles * channel_tiles; i++)
		o[i] = MatrixSum(0.0);
}

/* Scores minus their row's reference. */
void compute_scores(uvec2 keys)
{
	[[unroll]] for (uint r = 0; r < row_tiles; r++) {
		MatrixSum offset;
		coopMatLoad(offset, row_offset, r * config_matrix_m, 0, COLUMN_MAJOR);
		[[unroll]] for (uint t = 0; t < key_tiles; t++)
			score[r * key_tiles + t] = offset;
	}
	multiply_keys(keys);
	[[unroll]] for (uint r = 0; r < row_tiles; r++)
		[[unroll]] for (uint t = 0; t < key_tiles; t++)
			coopMatStore(score[r * key_tiles + t], lines,
				     r * config_matrix_m * line_vectors + t * config_matrix_n / FLOATS_PER_VECTOR, line_vectors,
				     ROW_MAJOR);
	subgroup_exchange();
}

/* Makes the largest score so far each row's reference; `largest` is of this pass, relative to the old one. */
void raise_references(float largest[own_rows])
{
	[[unroll]] for (uint i = 0; i < own_rows; i++) {
		float row_largest = row_lanes_max(largest[i]);
		bool sees = row_largest > 0.5 * no_score;
		row_rise[i] = sees ? (row_is_set[i] ? max(row_largest, 0.0) : row_largest) : 0.0;
		/* Before the first score the sums are 0, and the first reference may lie anywhere. */
		float rescale = row_is_set[i] ? exp2(-row_rise[i]) : 1.0;
		row_is_set[i] = row_is_set[i] || sees;
		row_sum[i] *= rescale;
		row_rescale[own_row(i)] = rescale;
		row_offset[own_row(i)] -= row_rise[i];
	}
	subgroup_exchange();
	[[unroll]] for (uint r = 0; r < row_tiles; r++) {
		MatrixSum rescale;
		coopMatLoad(rescale, row_rescale, r * config_matrix_m, 0, COLUMN_MAJOR);
		[[unroll]] for (uint c = 0; c < channel_tiles; c++)
			o[r * channel_tiles + c] = o[r * channel_tiles + c] * rescale;
	}
}

/*
 * `lines` from scores to probabilities. Only with `is_edge` there may be keys that a row does not see, or rows without a reference:
 * the pass begins at `start`, and keys from `first` up to what the row sees count.
 */
void softmax(Tile tile, uint start, uint first, bool is_edge)
{
	vec4 x[own_rows * own_vectors];
	float largest[own_rows];
	bool rises = is_edge;
	[[unroll]] for (uint i = 0; i < own_rows; i++) {
		uint line = own_row(i) * line_vectors + own_part() * own_vectors;
		uint own_key = start + own_part() * own_vectors * FLOATS_PER_VECTOR;
		largest[i] = no_score;
		[[unroll]] for (uint v = 0; v < own_vectors; v++) {
			vec4 four = uintBitsToFloat(lines[line + v]);
			if (is_edge) {
				uvec4 key = own_key + v * FLOATS_PER_VECTOR + uvec4(0, 1, 2, 3);
				uint end = row_keys(tile, own_row(i));
				[[unroll]] for (uint j = 0; j < 4; j++)
					four[j] = key[j] >= first && key[j] < end ? four[j] : no_score;
			}
			x[i * own_vectors + v] = four;
			largest[i] = max(max(largest[i], max(four.x, four.y)), max(four.z, four.w));
		}
		rises = rises || largest[i] > lazy_rise;
	}
	if (subgroupAny(rises)) {
		raise_references(largest);
		[[unroll]] for (uint i = 0; i < own_rows * own_vectors; i++)
			x[i] -= row_rise[i / own_vectors];
	}
	if (row_lanes > 1)
		subgroup_exchange(); /* probabilities go where the neighbour's scores were */
	[[unroll]] for (uint i = 0; i < own_rows; i++) {
		uint line = own_row(i) * line_vectors + own_part() * own_vectors / 2;
		[[unroll]] for (uint v = 0; v < own_vectors; v += 2) {
			vec4 a = exp2(x[i * own_vectors + v]), b = exp2(x[i * own_vectors + v + 1]);
			lines[line + v / 2] = uvec4(pack_halves(a.x, a.y), pack_halves(a.z, a.w), pack_halves(b.x, b.y),
						    pack_halves(b.z, b.w));
			row_sum[i] += ((a.x + a.y) + (a.z + a.w)) + ((b.x + b.y) + (b.z + b.w));
		}
	}
	subgroup_exchange();
}

void accumulate_output_step(uvec2 keys, uint step)
{
	MatrixA p[row_tiles];
	[[unroll]] for (uint r = 0; r < row_tiles; r++)
		coopMatLoad(p[r], lines, r * config_matrix_m * line_vectors + step * config_matrix_k / HALVES_PER_VECTOR,
			    line_vectors, ROW_MAJOR);
	[[unroll]] for (uint c = 0; c < channel_tiles; c++) {
		MatrixB v = load_v(keys, step, c);
		[[unroll]] for (uint r = 0; r < row_tiles; r++)
			o[r * channel_tiles + c] = coopMatMulAdd(p[r], v, o[r * channel_tiles + c]);
	}
}

/* o += P V. */
void accumulate_output(uvec2 keys)
{
	if (config_rolled != 0) {
		[[dont_unroll]] for (uint s = 0; s < key_steps; s++)
			accumulate_output_step(keys, s);
	} else {
		[[unroll]] for (uint s = 0; s < key_steps; s++)
			accumulate_output_step(keys, s);
	}
	subgroup_exchange();
}

/* Adds what the earlier key ranges left, and leaves the sums to the next, or divides if there is none. */
void store_rows(Tile tile, KeyRange range)
{
	RowMerge merge[own_rows];
	[[unroll]] for (uint i = 0; i < own_rows; i++) {
		float sum = row_lanes_sum(row_sum[i]);
		/* As the other paths leave it: a row that saw no key has `no_score` and no sum. */
		float largest = row_is_set[i] ? -row_offset[own_row(i)] : no_score;
		merge[i] = row_merge(tile, range, own_row(i), largest, sum);
	}
	if (!range.is_last) {
		subgroup_exchange(); /* every lane has read `state` */
		[[unroll]] for (uint i = 0; i < own_rows; i++)
			if (row_exists(tile, own_row(i)) && own_part() == 0)
				store_state(tile, own_row(i), merge[i]);
	}
	[[unroll]] for (uint c = 0; c < channel_tiles; c++) {
		[[unroll]] for (uint r = 0; r < row_tiles; r++)
			coopMatStore(o[r * channel_tiles + c], lines, r * config_matrix_m * line_vectors, line_vectors, ROW_MAJOR);
		subgroup_exchange();
		[[unroll]] for (uint i = 0; i < own_rows; i++) {
			uint base = row_o(tile, own_row(i));
			/* A row past the last would merge the last one twice. */
			bool exists = row_exists(tile, own_row(i));
			[[unroll]] for (uint v = 0; v < config_matrix_n / FLOATS_PER_VECTOR; v += row_lanes) {
				uint vector = v + own_part();
				uint channel = c * config_matrix_n + vector * FLOATS_PER_VECTOR;
				vec4 four = uintBitsToFloat(lines[own_row(i) * line_vectors + vector]);
				[[unroll]] for (uint j = 0; j < FLOATS_PER_VECTOR; j++)
					if (exists && vector < config_matrix_n / FLOATS_PER_VECTOR && channel + j < config_head_dim)
						merge_output(range, base + channel + j, merge[i], four[j]);
			}
		}
		subgroup_exchange();
	}
}

/* The keys of one pass; `is_edge` as of `softmax`, known when compiling, so that what only edges need is in no other pass. */
#define KEY_PASS(name, IS_EDGE)                                                                                        \
	void name(Tile tile, uint key, uint cached)                                                                    \
	{                                                                                                              \
		uint start = pass_start(key, cached);                                                                  \
		uvec2 k = address(tile.k, start, config_head_dim * WEIGHT_BYTES);                                      \
		uvec2 v = address(tile.v, start, config_head_dim * WEIGHT_BYTES);                                      \
		if (config_staged != 0)                                                                                \
			stage_keys(tile.k, start, cached);                                                             \
		compute_scores(k);                                                                                     \
		softmax(tile, start, key, IS_EDGE);                                                                    \
		if (config_staged != 0)                                                                                \
			stage_keys(tile.v, start, cached);                                                             \
		accumulate_output(v);                                                                                  \
	}

KEY_PASS(handle_keys, false)
KEY_PASS(handle_edge_keys, true)

#include "common/attention_matrix_transposed.glsl"

void main()
{
	Tile tile;
	KeyRange range;
	if (!tile_of_workgroup(tile) || !key_range_of(tile, range))
		return;
	if (config_transposed != 0) {
		attend_transposed(tile, range, push.position + push.tokens);
		store_transposed();
		return;
	}
	load_queries(tile);
	start_rows();
	const uint cached = push.position + push.tokens; /* keys there are */
	const uint seen_by_all = min(row_keys(tile, 0), range.end);
	/* The first pass sets the references; then those that all rows see; then, one by one, those on the diagonal. */
	for (uint key = range.first; key < range.end;) {
		handle_edge_keys(tile, key, cached);
		key += config_columns;
		[[dont_unroll]] for (; key + config_columns <= seen_by_all; key += config_columns)
			handle_keys(tile, key, cached);
	}
	store_rows(tile, range);
}
