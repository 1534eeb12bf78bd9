/*
 * Attention with `transposed`, for devices whose subgroups are as wide as a matrix of sums: Intel's. K Q^T and V^T P^T are computed, so
 * that a lane has a row: its scores are in the lane's own registers, and so are its outputs.
 *
 * A subgroup has config_matrix_n rows. Those of a workgroup share K and V, which lie in shared memory; where a row has more channels
 * than registers hold, several subgroups have the same rows, and each a part of the outputs' channels (config_workgroup / config_rows
 * parts). Matrices that are loaded in every pass lie there as each lane holds them, in 16 bytes a message: which elements those are is
 * not known, and need not be. One thing is taken for granted: element i of a lane's sums is row i of the column that has the lane's
 * number. The first use of the path checks it (attention/path_checks.c).
 */
#ifndef GQE_COMMON_ATTENTION_MATRIX_TRANSPOSED_GLSL
#define GQE_COMMON_ATTENTION_MATRIX_TRANSPOSED_GLSL

#include "common/attention_matrix.glsl"
#extension GL_EXT_spirv_intrinsics : require

/*
 * In GLSL every access to shared memory makes it visible to the workgroup anew, which ANV does with a fence a load. These leave that
 * to the barriers: OpLoad, OpStore and OpCooperativeMatrixLoadKHR with the memory operand NonPrivatePointer alone.
 */
#define NON_PRIVATE_POINTER 0x20
spirv_instruction(id = 61) uvec4 load_vector(spirv_by_reference uvec4 from, spirv_literal uint operands);
spirv_instruction(id = 61) uint load_word(spirv_by_reference uint from, spirv_literal uint operands);
spirv_instruction(id = 62) void store_vector(spirv_by_reference uvec4 to, uvec4 value, spirv_literal uint operands);
spirv_instruction(id = 62) void store_word(spirv_by_reference uint to, uint value, spirv_literal uint operands);
spirv_instruction(extensions = ["SPV_KHR_cooperative_matrix"], capabilities = [6022], id = 4457)
MatrixA load_first_factor(spirv_by_reference uvec4 from, int matrix_layout, uint stride, spirv_literal uint operands);
spirv_instruction(extensions = ["SPV_KHR_cooperative_matrix"], capabilities = [6022], id = 4457)
MatrixB load_second_factor(spirv_by_reference uvec4 from, int matrix_layout, uint stride, spirv_literal uint operands);

void workgroup_exchange()
{
	controlBarrier(gl_ScopeWorkgroup, gl_ScopeWorkgroup, gl_StorageSemanticsShared,
		       gl_SemanticsAcquireRelease | gl_SemanticsMakeAvailable | gl_SemanticsMakeVisible);
}

void lanes_exchange()
{
	controlBarrier(gl_ScopeSubgroup, gl_ScopeSubgroup, gl_StorageSemanticsShared,
		       gl_SemanticsAcquireRelease | gl_SemanticsMakeAvailable | gl_SemanticsMakeVisible);
}

const bool is_here = config_transposed != 0;
const uint subgroups = config_workgroup / config_subgroup;
const uint row_blocks = is_here ? config_rows / config_matrix_n : 1;
const uint parts = is_here ? config_workgroup / config_rows : 1;
const uint all_tiles = channels / config_matrix_m; /* of the outputs, by config_matrix_m channels */
const uint part_tiles = (all_tiles + parts - 1) / parts;
const uint score_tiles = is_here ? config_columns / config_matrix_m : 1;
const uint vectors = channels / HALVES_PER_VECTOR; /* of a key */
const uint step_vectors = config_matrix_k / HALVES_PER_VECTOR; /* of a row of a first factor */
const uint factor_vectors = config_matrix_m * step_vectors + 1; /* one more, against bank conflicts */

/* So few channels leave registers for q from the first pass to the last. */
const bool keeps_q = is_here && channels <= GQE_KEPT_QUERY_CHANNELS;

/* Vectors of a lane's share of a factor. */
const uint first_vectors = config_matrix_m * config_matrix_k / config_subgroup / HALVES_PER_VECTOR;
const uint second_vectors = config_matrix_k * config_matrix_n / config_subgroup / HALVES_PER_VECTOR;

/*
 * A pass's first factors: those of K, each some keys by some channels, and those of V, some channels by some keys; row by row, then as
 * lanes hold them. One loop for both: the lanes' parts of addresses, were they used in two, would take registers in all passes.
 */
const uint k_factors = channel_steps * score_tiles, v_factors = key_steps * all_tiles;
shared uvec4 factor_lines[is_here ? (k_factors + v_factors) * factor_vectors : 1];
shared uvec4 factor_shares[is_here ? (k_factors + v_factors) * first_vectors * config_subgroup : 1];
shared uvec4 q_shares[is_here && !keeps_q ? channel_steps * second_vectors * config_rows : 1];

/* What would take registers from the first pass to the last. */
shared uint row_ends[is_here ? config_workgroup : 1]; /* pass_key of the first key that each lane's row does not see */
shared Tile own_tile;
shared KeyRange own_range;
shared uvec4 staging[2]; /* addresses of the range's first keys in K and V; of the first pass, which key is the last; 0 */
shared uint zero_word;   /* 0, and no compiler knows */

MatrixB q_factors[keeps_q ? channel_steps : 1];
MatrixSum outputs[part_tiles]; /* channels x rows */
float reference;               /* of the lane's row */
float lane_sum;                /* of its probabilities; 0: it has seen no key, and the reference is none */

/*
 * What an invocation has of the tile, by the number of its subgroup. Outside of the passes that is gl_SubgroupID + zero_word: values that
 * passes compute as well would otherwise be computed once and stay in registers.
 */
uint row_block(uint subgroup)
{
	return parts == 1 ? subgroup : subgroup % row_blocks;
}

uint channel_part(uint subgroup)
{
	return parts == 1 ? 0 : subgroup / row_blocks;
}

uint lane_row(uint subgroup)
{
	return row_block(subgroup) * config_matrix_n + lane();
}

/*
 * `sum` as the result of a product. ANV keeps sums where they are from pass to pass as long as only products write them; if a loop or a
 * branch may leave anything else there, it takes them apart and copies them, and they spill. Zeros that the compiler knew would stay in
 * registers all the time.
 */
MatrixSum as_product(MatrixSum sum)
{
	float16_t zero = unpackFloat2x16(load_word(zero_word, NON_PRIVATE_POINTER)).x;
	return coopMatMulAdd(MatrixA(zero), MatrixB(zero), sum);
}

#define PACK_EIGHT(matrix, first)                                                                                      \
	uvec4(packFloat2x16(f16vec2(matrix[first], matrix[first + 1])),                                                \
	      packFloat2x16(f16vec2(matrix[first + 2], matrix[first + 3])),                                            \
	      packFloat2x16(f16vec2(matrix[first + 4], matrix[first + 5])),                                            \
	      packFloat2x16(f16vec2(matrix[first + 6], matrix[first + 7])))

#define UNPACK_EIGHT(matrix, first, halves)                                                                            \
	[[unroll]] for (uint j = 0; j < 4; j++) {                                                                      \
		f16vec2 pair = unpackFloat2x16(halves[j]);                                                             \
		matrix[first + 2 * j] = pair.x;                                                                        \
		matrix[first + 2 * j + 1] = pair.y;                                                                    \
	}

/* Where a lane's share of a factor lies: neighbouring lanes have neighbouring vectors. */
uint share(uint factor, uint factor_vectors, uint vector)
{
	return (factor * factor_vectors + vector) * config_subgroup + lane();
}

/* The same of q: the address is that of the lane's row and a constant. */
uint q_share(uint subgroup, uint step, uint vector)
{
	return (step * second_vectors + vector) * config_rows + lane_row(subgroup);
}

/* A step of the subgroup's rows of q, by way of its rows of `lines`. */
MatrixB make_q_factor(Tile tile, uint subgroup, uint s)
{
	const uint block_line = subgroup * config_subgroup * p_vectors, line = block_line + lane() * p_vectors;
	[[unroll]] for (uint v = 0; v < step_vectors; v++)
		store_vector(lines[line + v], load_q(tile, lane_row(subgroup), s * config_matrix_k + v * HALVES_PER_VECTOR),
			     NON_PRIVATE_POINTER);
	lanes_exchange();
	/* Were the distance known to be that of a pass's load, the addresses would be the same and stay in registers. */
	uint distance = p_vectors + load_word(zero_word, NON_PRIVATE_POINTER);
	MatrixB q_factor = load_second_factor(lines[block_line], COLUMN_MAJOR, distance, NON_PRIVATE_POINTER);
	lanes_exchange();
	return q_factor;
}

void share_queries(Tile tile, uint subgroup)
{
	if (keeps_q) {
		[[unroll]] for (uint s = 0; s < channel_steps; s++)
			q_factors[s] = make_q_factor(tile, subgroup, s);
		return;
	}
	[[dont_unroll]] for (uint s = 0; s < channel_steps; s++) {
		MatrixB q_factor = make_q_factor(tile, subgroup, s);
		[[unroll]] for (uint v = 0; v < second_vectors; v++)
			if (channel_part(subgroup) == 0)
				store_vector(q_shares[q_share(subgroup, s, v)], PACK_EIGHT(q_factor, v * HALVES_PER_VECTOR),
					     NON_PRIVATE_POINTER);
	}
}

MatrixB load_q_factor(uint subgroup, uint s)
{
	if (keeps_q)
		return q_factors[s];
	MatrixB q_factor;
	[[unroll]] for (uint v = 0; v < second_vectors; v++) {
		uvec4 halves = load_vector(q_shares[q_share(subgroup, s, v)], NON_PRIVATE_POINTER);
		UNPACK_EIGHT(q_factor, v * HALVES_PER_VECTOR, halves)
	}
	return q_factor;
}

/* Keys of tile t, channels of step s. */
MatrixA load_k_factor(uint t, uint s)
{
	MatrixA k;
	[[unroll]] for (uint v = 0; v < first_vectors; v++) {
		uvec4 halves = load_vector(factor_shares[share(s * score_tiles + t, first_vectors, v)], NON_PRIVATE_POINTER);
		UNPACK_EIGHT(k, v * HALVES_PER_VECTOR, halves)
	}
	return k;
}

/* Channels of tile c, keys of step s; past the last channel others come again, and no output is one of those. */
MatrixA load_v_factor(uint c, uint s)
{
	MatrixA v_factor;
	if (parts * part_tiles > all_tiles)
		c = min(c, all_tiles - 1);
	[[unroll]] for (uint v = 0; v < first_vectors; v++) {
		uvec4 halves = load_vector(factor_shares[share(k_factors + s * all_tiles + c, first_vectors, v)], NON_PRIVATE_POINTER);
		UNPACK_EIGHT(v_factor, v * HALVES_PER_VECTOR, halves)
	}
	return v_factor;
}

/* Eight channels, `vector`, of a key: its distance from the range's first in the cache that begins there. */
uvec4 load_key(uvec2 cache, uint key, uint vector)
{
	const uint line = config_head_dim / HALVES_PER_VECTOR;
	if (config_head_dim % HALVES_PER_VECTOR != 0) {
		uvec2 own = address(cache, key, config_head_dim * WEIGHT_BYTES);
		uvec4 halves;
		[[unroll]] for (uint j = 0; j < 4; j++)
			halves[j] = HalfPairs(own).at[min(4 * vector + j, config_head_dim / 2 - 1)];
		return halves;
	}
	/* In units of 16 bytes the distance has 32 bits, and takes two shifts to become 64. */
	uint at = key * line + (config_head_dim == channels ? vector : min(vector, line - 1)), carry;
	uint low = uaddCarry(cache.x, at << 4, carry);
	return Vectors(uvec2(low, cache.y + (at >> 28) + carry)).at[0];
}

/* Where eight channels, `vector`, of a key of the pass lie. */
uint k_line(uint key, uint vector)
{
	return (vector / step_vectors * score_tiles + key / config_matrix_m) * factor_vectors + key % config_matrix_m * step_vectors +
	       vector % step_vectors;
}

/* Where channel 8 * vector + more of eight keys, `keys`, lies; what does not depend on `more` comes first. */
uint v_line(uint keys, uint vector, uint more)
{
	uint first = k_factors * factor_vectors;
	if (config_matrix_m > HALVES_PER_VECTOR)
		first += vector * HALVES_PER_VECTOR / config_matrix_m * factor_vectors +
			 vector * HALVES_PER_VECTOR % config_matrix_m * step_vectors;
	else
		first += vector * (HALVES_PER_VECTOR / config_matrix_m * factor_vectors);
	first += key_steps == 1 ? keys : keys / step_vectors * all_tiles * factor_vectors + keys % step_vectors;
	return first + more / config_matrix_m * factor_vectors + more % config_matrix_m * step_vectors;
}

/*
 * An invocation's part of `factor_lines`: eight channels of two neighbouring keys. Keys past the last there is are that one
 * again; past the last channel others come again. No row sees those keys, q is 0 in those channels, and no output is one of them.
 */
void stage_pair(int pass, uint i)
{
	uvec4 from = load_vector(staging[0], NON_PRIVATE_POINTER), ends = load_vector(staging[1], NON_PRIVATE_POINTER);
	i += ends.y; /* what follows from i would take registers in all passes, if that were known to be the same */
	uint pair = i / vectors, key = 2 * pair, vector = i % vectors, last = ends.x - uint(pass);
	uint first = uint(pass + 1) + min(key, last), second = uint(pass + 1) + min(key + 1, last);
	uint line = k_line(key, vector);
	store_vector(factor_lines[line], load_key(from.xy, first, vector), NON_PRIVATE_POINTER);
	store_vector(factor_lines[line + step_vectors], load_key(from.xy, second, vector), NON_PRIVATE_POINTER);
	uvec4 halves[2] = {load_key(from.zw, first, vector), load_key(from.zw, second, vector)};
	const uint pairs_of_eight = HALVES_PER_VECTOR / 2;
	uint keys = pair / pairs_of_eight, word = pair % pairs_of_eight;
	[[unroll]] for (uint j = 0; j < 4; j++) {
		uint low = bitfieldInsert(halves[0][j], halves[1][j], 16, 16);
		uint high = bitfieldInsert(halves[1][j], halves[0][j] >> 16, 0, 16);
		store_word(factor_lines[v_line(keys, vector, 2 * j)][word], low, NON_PRIVATE_POINTER);
		store_word(factor_lines[v_line(keys, vector, 2 * j + 1)][word], high, NON_PRIVATE_POINTER);
	}
}

/* A factor as the lanes of the subgroup hold it. */
void stage_factor(uint i)
{
	MatrixA a = load_first_factor(factor_lines[i * factor_vectors], ROW_MAJOR, step_vectors, NON_PRIVATE_POINTER);
	[[unroll]] for (uint v = 0; v < first_vectors; v++)
		store_vector(factor_shares[share(i, first_vectors, v)], PACK_EIGHT(a, v * HALVES_PER_VECTOR), NON_PRIVATE_POINTER);
}

/*
 * TASK(i) for the i below `count` that are the subgroup's or the invocation's, which has number `own` of `owners`. A loop only where it
 * runs more than once: unrolled it would take registers.
 */
#define SHARE_OUT(count, own, owners, TASK)                                                                            \
	if (count <= owners) {                                                                                         \
		if (count == owners || own < count)                                                                    \
			TASK(own);                                                                                     \
	} else if (count == 2 * owners) {                                                                              \
		TASK(own);                                                                                             \
		TASK(own + owners);                                                                                    \
	} else {                                                                                                       \
		[[dont_unroll]] for (uint i = own; i < count; i += owners)                                             \
			TASK(i);                                                                                       \
	}

/* The keys of a pass; all subgroups together. */
void stage_pass(int pass)
{
	const uint pairs = config_columns / 2 * vectors;
	uint own = gl_SubgroupID * config_subgroup + lane();
#define STAGE_PAIR(i) stage_pair(pass, i)
	SHARE_OUT(pairs, own, config_workgroup, STAGE_PAIR)
	workgroup_exchange();
	SHARE_OUT(k_factors + v_factors, gl_SubgroupID, subgroups, stage_factor)
	workgroup_exchange();
}

/* Keys x rows, plus `start`. */
void scores_of_lanes(uint subgroup, float start, out MatrixSum scores[score_tiles])
{
	[[unroll]] for (uint t = 0; t < score_tiles; t++)
		[[unroll]] for (uint i = 0; i < config_matrix_m; i++)
			scores[t][i] = start;
	[[unroll]] for (uint s = 0; s < channel_steps; s++) {
		MatrixB q_factor = load_q_factor(subgroup, s);
		[[unroll]] for (uint t = 0; t < score_tiles; t++)
			scores[t] = coopMatMulAdd(load_k_factor(t, s), q_factor, scores[t]);
	}
}

/* Leaves probabilities relative to a reference higher by `rise` in `lines`; returns their sum. */
float store_probabilities(uint subgroup, MatrixSum scores[score_tiles], float rise)
{
	float sum = 0.0;
	[[unroll]] for (uint v = 0; v < p_vectors; v++) {
		uvec4 halves;
		[[unroll]] for (uint j = 0; j < 4; j++) {
			const uint i = v * HALVES_PER_VECTOR + 2 * j;
			float low = exp2(scores[i / config_matrix_m][i % config_matrix_m] - rise);
			float high = exp2(scores[i / config_matrix_m][i % config_matrix_m + 1] - rise);
			sum += low + high;
			halves[j] = packHalf2x16(vec2(low, high));
		}
		store_vector(lines[(subgroup * config_subgroup + lane()) * p_vectors + v], halves, NON_PRIVATE_POINTER);
	}
	return sum;
}

/*
 * Makes the largest score so far the row's reference; returns the sum of the probabilities, stored anew. Before the first key the sums
 * are 0, and the first reference may lie anywhere.
 */
float raise_reference(uint subgroup, MatrixSum scores[score_tiles])
{
	float largest = no_score;
	[[unroll]] for (uint i = 0; i < config_columns; i++)
		largest = max(largest, scores[i / config_matrix_m][i % config_matrix_m]);
	bool sees = largest > 0.5 * no_score, is_set = lane_sum > 0.0;
	float rise = sees ? (is_set ? max(largest, 0.0) : largest) : 0.0;
	float rescale = is_set ? exp2(-rise) : 1.0;
	reference += rise;
	lane_sum *= rescale;
	float sum = store_probabilities(subgroup, scores, rise); /* the scores' registers are free afterwards */
	[[unroll]] for (uint c = 0; c < part_tiles; c++) {
		MatrixSum scaled;
		[[unroll]] for (uint i = 0; i < config_matrix_m; i++)
			scaled[i] = outputs[c][i] * rescale;
		outputs[c] = as_product(scaled);
	}
	return sum;
}

/*
 * Probabilities of a row and pass may add up to this relative to the row's reference; a lane then need not know the largest score,
 * and no f16 overflows.
 */
const float most_sum = 4096.0;

/*
 * The pass's keys from `key` on. Only with `is_edge` there may be keys that a row does not see, or rows without a reference; without
 * `is_seen` the subgroup's rows see none of them, and all probabilities are 0. (A branch around all this would have the outputs copied.)
 */
void handle_staged_keys(int pass, bool is_edge, bool is_seen)
{
	MatrixSum scores[score_tiles];
	uint subgroup = parts > 1 ? gl_SubgroupID + (uint(pass + 1) & 1) : gl_SubgroupID;
	scores_of_lanes(subgroup, is_seen ? -reference : no_score, scores);
	float sum = store_probabilities(subgroup, scores, 0.0);
	if (subgroupAny(is_edge || !(sum <= most_sum))) {
		int keys = int(load_word(row_ends[subgroup * config_subgroup + lane()], NON_PRIVATE_POINTER)) - pass;
		[[unroll]] for (uint t = 0; t < score_tiles; t++) {
			MatrixSum seen;
			[[unroll]] for (uint i = 0; i < config_matrix_m; i++)
				seen[i] = int(t * config_matrix_m + i) < keys ? scores[t][i] : no_score;
			scores[t] = seen;
		}
		sum = raise_reference(subgroup, scores);
	}
	lane_sum += sum;
	lanes_exchange();
	[[unroll]] for (uint s = 0; s < key_steps; s++) {
		MatrixB p = load_second_factor(lines[subgroup * config_subgroup * p_vectors +
						       s * config_matrix_k / HALVES_PER_VECTOR],
					       COLUMN_MAJOR, p_vectors, NON_PRIVATE_POINTER);
		[[unroll]] for (uint c = 0; c < part_tiles; c++)
			outputs[c] = coopMatMulAdd(load_v_factor(channel_part(subgroup) * part_tiles + c, s), p, outputs[c]);
	}
}

/* All keys of the range. */
void attend_transposed(Tile tile, KeyRange range, uint cached)
{
	if (gl_LocalInvocationIndex == 0) {
		own_tile = tile;
		own_range = range;
		store_word(zero_word, 0, NON_PRIVATE_POINTER);
		store_vector(staging[0],
			     uvec4(address(tile.k, range.first, config_head_dim * WEIGHT_BYTES),
				   address(tile.v, range.first, config_head_dim * WEIGHT_BYTES)),
			     NON_PRIVATE_POINTER);
		store_vector(staging[1], uvec4(cached - 1 - (range.first + 1), 0, 0, 0), NON_PRIVATE_POINTER);
	}
	workgroup_exchange();
	uint subgroup = gl_SubgroupID + load_word(zero_word, NON_PRIVATE_POINTER);
	const uint origin = range.first + 1;
	store_word(row_ends[subgroup * config_subgroup + lane()], row_keys(tile, lane_row(subgroup)) - origin, NON_PRIVATE_POINTER);
	share_queries(tile, subgroup);
	workgroup_exchange();
	reference = 0.0;
	lane_sum = 0.0;
	[[unroll]] for (uint c = 0; c < part_tiles; c++)
		outputs[c] = as_product(MatrixSum(0.0));
	/*
	 * A pass is known by its first key, as a distance from `origin`: -1 is the first, and unsigned that is past all others. What is not
	 * below `edges` has keys that not all rows of the subgroup see, or is the first; what is not below `own_end` has none that any sees.
	 */
	uint own_seen = row_keys(tile, row_block(subgroup) * config_matrix_n);
	uint edges = max(own_seen, range.first + config_columns) - range.first - config_columns;
	int own_end = int(row_keys(tile, row_block(subgroup) * config_matrix_n + config_matrix_n - 1) - origin);
	int end = int(range.end - origin);
	[[dont_unroll]] for (int pass = -1; pass < end; pass += int(config_columns)) {
		stage_pass(pass);
		bool is_seen = pass < own_end;
		handle_staged_keys(pass, is_seen && uint(pass) >= edges, is_seen);
	}
}

/* Adds what the earlier key ranges left, and leaves the sums to the next, or divides if there is none. */
void store_transposed()
{
	Tile tile = own_tile;
	KeyRange range = own_range;
	uint subgroup = gl_SubgroupID + load_word(zero_word, NON_PRIVATE_POINTER), row = lane_row(subgroup);
	/* As the other paths leave it: a row that saw no key has `no_score` and no sum. */
	float largest = lane_sum > 0.0 ? reference : no_score;
	RowMerge merge = row_merge(tile, range, row, largest, lane_sum);
	if (!range.is_last)
		barrier(); /* every lane has read `state` */
	if (!row_exists(tile, row))
		return; /* it would merge the last one twice */
	if (!range.is_last && channel_part(subgroup) == 0)
		store_state(tile, row, merge);
	uint base = row_o(tile, row), first = channel_part(subgroup) * part_tiles * config_matrix_m;
	[[unroll]] for (uint c = 0; c < part_tiles; c++)
		[[unroll]] for (uint i = 0; i < config_matrix_m; i++)
			if (first + c * config_matrix_m + i < config_head_dim)
				merge_output(range, base + first + c * config_matrix_m + i, merge, outputs[c][i]);
}

#endif
