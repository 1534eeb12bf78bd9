/*
 * One subgroup a workgroup: a lane owns `columns` columns, and all lanes need the same elements of a. Where w lies row by row, a
 * lane reads its rows in fours, and a is loaded contiguously over the lanes and travels by broadcast. Where w lies in blocks of as
 * many rows as a subgroup has lanes (config_w_lanes), a load serves the whole subgroup: contiguous for w, from one address for a.
 */
#extension GL_KHR_shader_subgroup_ballot : require

const uint gemm_columns = config_subgroup * config_columns;

/* Two f16 weights share a word. */
#define WEIGHTS_PER_WORD (4 / WEIGHT_BYTES)

/*
 * A row of a, which may begin anywhere, pass by pass of the depth. A pass begins equally far from each row's beginning, and what it loads
 * lies at constant distances from there, so that it computes no addresses.
 */
struct FloatPass {
	float at[GQE_GEMM_PASS];
};
layout(buffer_reference, std430, buffer_reference_align = 4) buffer FloatPasses
{
	FloatPass pass[];
};

/* Rows of a whose sums go on in turn: a row's own sum is a chain of additions, each of which waits for the one before. */
#define GEMM_ROWS_IN_TURN 4

float sum[config_rows * config_columns];       /* [rows, columns] */
float block_sum[config_rows * config_columns]; /* the same of a block of the depth */
float a_lanes[config_rows];                    /* broadcast: lane = element of the depth */
uint a_first[config_rows];                     /* broadcast: index of a row's first element */
uvec2 w_row[config_columns];                   /* address of the lane's row of w */
uvec2 w_block[config_columns];                 /* with blocks: their addresses; the same in all lanes */

/* Adds the products of depth first...first + subgroup - 1. Past the end a counts as 0, and any w will do that is in its row. */
void multiply_broadcast(uint first)
{
	uint own = first + gl_SubgroupInvocationID;
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		float value = push.a.at[a_first[r] + min(own, push.depth - 1)];
		a_lanes[r] = own < push.depth ? value : 0.0;
	}
	[[unroll]] for (uint i = 0; i < config_subgroup; i += 4) {
		uint four = min(first + i, push.w_stride - 4) / 4;
		vec4 w[config_columns];
		[[unroll]] for (uint c = 0; c < config_columns; c++)
			w[c] = vec4(Weights4(w_row[c]).at[four]);
		[[unroll]] for (uint j = 0; j < 4; j++)
			[[unroll]] for (uint r = 0; r < config_rows; r++) {
				float x = subgroupBroadcast(a_lanes[r], i + j);
				[[unroll]] for (uint c = 0; c < config_columns; c++)
					block_sum[r * config_columns + c] += x * w[c][j];
			}
	}
}

/*
 * The lanes' words number `at` after an address in a block: one load a lane, each from one address. `at` is a constant, so that a
 * CPU driver's compiler makes them one contiguous load, which it does not see in addresses that differ from lane to lane.
 */
uint block_word(uvec2 block, uint at)
{
	Ints words = Ints(block);
	uint word = uint(words.at[at * config_subgroup]);
	[[unroll]] for (uint lane = 1; lane < config_subgroup; lane++) {
		uint other = uint(words.at[at * config_subgroup + lane]);
		word = gl_SubgroupInvocationID == lane ? other : word;
	}
	return word;
}

/* The address of a block's words from a depth on, a multiple of a word's weights. */
uvec2 block_from(uint c, uint depth)
{
	return address(w_block[c], depth / WEIGHTS_PER_WORD, config_subgroup * 4);
}

/* Depth of w that is in registers at a time. */
#define GEMM_EIGHT 8

/* Adds the products of the depths that number `at` and seven more in a pass; `block`: where the pass begins in w's blocks. */
void multiply_eight(FloatPasses a[config_rows], uint pass, uvec2 block[config_columns], uint at)
{
	float w[config_columns * GEMM_EIGHT];
	[[unroll]] for (uint c = 0; c < config_columns; c++)
		[[unroll]] for (uint i = 0; i < GEMM_EIGHT; i += WEIGHTS_PER_WORD) {
			uint word = block_word(block[c], (at + i) / WEIGHTS_PER_WORD);
#ifdef GQE_F16
			vec2 pair = unpackHalf2x16(word);
			w[c * GEMM_EIGHT + i] = pair.x;
			w[c * GEMM_EIGHT + i + 1] = pair.y;
#else
			w[c * GEMM_EIGHT + i] = uintBitsToFloat(word);
#endif
		}
	/* One loop, not three, as a driver takes much longer to unroll loops in each other. */
	const uint groups = (config_rows + GEMM_ROWS_IN_TURN - 1) / GEMM_ROWS_IN_TURN;
	[[unroll]] for (uint n = 0; n < groups * GEMM_EIGHT * GEMM_ROWS_IN_TURN; n++) {
		uint r = n / (GEMM_EIGHT * GEMM_ROWS_IN_TURN) * GEMM_ROWS_IN_TURN + n % GEMM_ROWS_IN_TURN;
		uint i = n / GEMM_ROWS_IN_TURN % GEMM_EIGHT;
		if (r < config_rows) {
			float x = a[r].pass[pass].at[at + i];
			[[unroll]] for (uint c = 0; c < config_columns; c++)
				block_sum[r * config_columns + c] += x * w[c * GEMM_EIGHT + i];
		}
	}
}

/* Adds the products of pass number `pass` of the depth, all of which exist. */
void multiply_pass(FloatPasses a[config_rows], uint pass)
{
	uvec2 block[config_columns];
	[[unroll]] for (uint c = 0; c < config_columns; c++)
		block[c] = block_from(c, pass * GQE_GEMM_PASS);
	[[unroll]] for (uint at = 0; at < GQE_GEMM_PASS; at += GEMM_EIGHT)
		multiply_eight(a, pass, block, at);
}

/* Adds the products of one depth. */
void multiply_one(FloatPasses a[config_rows], uint at)
{
	float w[config_columns];
	[[unroll]] for (uint c = 0; c < config_columns; c++) {
		uint word = block_word(block_from(c, at), 0);
#ifdef GQE_F16
		w[c] = unpackHalf2x16(word)[at % 2];
#else
		w[c] = uintBitsToFloat(word);
#endif
	}
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		float x = Floats(uvec2(a[r])).at[at];
		[[unroll]] for (uint c = 0; c < config_columns; c++)
			block_sum[r * config_columns + c] += x * w[c];
	}
}

/*
 * Adds the products of depth first...end - 1. Depths are clamped, in case the driver runs what is behind a branch with no lane active:
 * it loads a uniform address even then.
 */
void multiply_range(FloatPasses a[config_rows], uint first, uint end)
{
	if (end >= GQE_GEMM_PASS) {
		if (first + GQE_GEMM_PASS <= end) {
			do {
				multiply_pass(a, min(first, end - GQE_GEMM_PASS) / GQE_GEMM_PASS);
				first += GQE_GEMM_PASS;
			} while (first + GQE_GEMM_PASS <= end);
		}
	}
	if (first < end) {
		do {
			multiply_one(a, min(first, end - 1));
			first++;
		} while (first < end);
	}
}

/* The lane's sum of a row, which may be a variable. */
float row_sum(uint row, uint column)
{
	float own = sum[column];
	[[unroll]] for (uint r = 1; r < config_rows; r++)
		own = row == r ? sum[r * config_columns + column] : own;
	return own;
}

#ifdef GQE_PAIRS

const uint pair_columns = config_columns / 2;                                  /* of a lane */
shared float lane_sums[config_columns == 1 ? config_rows * config_subgroup : 1]; /* [rows, lanes] */

/* With one column a lane, the pair is with another lane. Afterwards half of them have the upper rows of all pairs, half the lower ones. */
void store_tile_of_one_column()
{
	const uint pairs = config_subgroup / 2, own_rows = (config_rows + 1) / 2;
	[[unroll]] for (uint r = 0; r < config_rows; r++)
		lane_sums[r * config_subgroup + gl_SubgroupInvocationID] = sum[r * config_columns];
	barrier();
	HeadPair pair = tile_pair(gl_SubgroupInvocationID % pairs);
	uint first_row = gl_SubgroupInvocationID / pairs * own_rows;
	for (uint row = first_row; row < min(first_row + own_rows, config_rows); row++) {
		uint at = row * config_subgroup + gl_SubgroupInvocationID % pairs;
		vec2 value = vec2(lane_sums[at], lane_sums[at + pairs]) + pair_bias(pair);
		store_pair(row, pair, turn_pair(row, pair, value));
	}
}

/* Stores `count` rows of the tile from `first` on. */
void store_rows(uint first, const uint count)
{
	[[unroll]] for (uint c = 0; c < pair_columns; c++) {
		HeadPair pair = tile_pair(c * config_subgroup + gl_SubgroupInvocationID);
		vec2 bias = pair_bias(pair);
		vec2 value[config_rows];
		[[unroll]] for (uint r = 0; r < count; r++)
			value[r] = vec2(row_sum(first + r, c), row_sum(first + r, pair_columns + c)) + bias;
		if (push.rope_kind != GQE_ROPE_KIND_NONE)
			[[unroll]] for (uint r = 0; r < count; r++)
				value[r] = rope_rotate(pair_turn(first + r, pair), value[r]);
		[[unroll]] for (uint r = 0; r < count; r++)
			store_pair(first + r, pair, value[r]);
	}
}

#else

void store_rows(uint first, const uint count)
{
	[[unroll]] for (uint c = 0; c < config_columns; c++) {
		uint column = c * config_subgroup + gl_SubgroupInvocationID;
		float bias = tile_bias(column);
		[[unroll]] for (uint r = 0; r < count; r++)
			tile_store(first + r, column, row_sum(first + r, c) + bias);
	}
}

#endif

void store_tile()
{
#ifdef GQE_PAIRS
	if (config_columns == 1) {
		store_tile_of_one_column();
		return;
	}
#endif
	if (config_rolled == 0) {
		store_rows(0, config_rows);
		return;
	}
	uint row = 0;
	[[dont_unroll]] do {
		store_rows(row, 1);
		row++;
	} while (row < config_rows);
}

/* The block with the rows that the lanes have as their columns number c. */
uint w_block_number(uint c)
{
#ifdef GQE_PAIRS
	/* Blocks of first channels and of their partners take turns. */
	HeadPair pair = tile_pair(c * config_subgroup % (gemm_columns / 2));
	uint number = (pair.head * (push.head_size / 2) + pair.pair) / config_subgroup;
	return 2 * number + (c * config_subgroup < gemm_columns / 2 ? 0 : 1);
#else
	return tile_w_row(c * config_subgroup) / config_subgroup;
#endif
}

void start_block()
{
	[[unroll]] for (uint i = 0; i < config_rows * config_columns; i++)
		block_sum[i] = 0.0;
}

void end_block()
{
	[[unroll]] for (uint i = 0; i < config_rows * config_columns; i++)
		sum[i] += block_sum[i];
}

/* The tile's sums, w lying row by row. */
void multiply_rows()
{
	[[unroll]] for (uint r = 0; r < config_rows; r++)
		a_first[r] = tile_a_row(r) * push.a_stride;
	[[unroll]] for (uint c = 0; c < config_columns; c++)
		w_row[c] = w_row_address(c * config_subgroup + gl_SubgroupInvocationID);
	uint block = 0;
	do {
		start_block();
		uint first = block, end = min(block + GQE_GEMM_BLOCK, push.depth);
		do {
			multiply_broadcast(first);
			first += config_subgroup;
		} while (first < end);
		end_block();
		block += GQE_GEMM_BLOCK;
	} while (block < push.depth);
}

/*
 * 0, but the tile's places in the result are on their way into a cache then: its rows are often pages apart, and all are stored at once.
 * The compiler cannot know that it is 0, and so keeps the loads.
 */
uint first_block()
{
	uint words = 0;
#ifndef GQE_PAIRS
	[[unroll]] for (uint r = 0; r < config_rows; r++)
		words |= tile_word(r);
#endif
	return words & push.depth >> 31;
}

/* The same with w in blocks. */
void multiply_blocks()
{
	FloatPasses a[config_rows]; /* the same in all lanes */
	[[unroll]] for (uint r = 0; r < config_rows; r++)
		a[r] = FloatPasses(address(uvec2(push.a), tile_a_row(r), push.a_stride * 4));
	[[unroll]] for (uint c = 0; c < config_columns; c++)
		w_block[c] = address(uvec2(push.w), w_block_number(c), config_subgroup * push.w_stride * WEIGHT_BYTES);
	uint block = first_block();
	do {
		start_block();
		multiply_range(a, block, min(block + GQE_GEMM_BLOCK, push.depth));
		end_block();
		block += GQE_GEMM_BLOCK;
	} while (block < push.depth);
}

void gemm_tile()
{
	[[unroll]] for (uint i = 0; i < config_rows * config_columns; i++)
		sum[i] = 0.0;
	if (config_w_lanes == 1)
		multiply_rows();
	else
		multiply_blocks();
	store_tile();
}
