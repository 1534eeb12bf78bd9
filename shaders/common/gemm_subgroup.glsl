/*
 * One subgroup a workgroup: a lane owns `columns` columns and reads their rows of w in fours or eights. All lanes need the same
 * elements of a. Where one load serves a whole subgroup (config_uniform_loads) they are loaded when they are needed; elsewhere
 * they are loaded contiguously over the lanes and travel by broadcast.
 */
#extension GL_KHR_shader_subgroup_ballot : require

const uint gemm_columns = config_subgroup * config_columns;

#define GEMM_EIGHT 8

/*
 * Rows of a and w in eights; a's may begin anywhere. An eight is a struct, as an array of arrays makes glslang declare a capability of
 * descriptors that nothing here needs.
 */
struct FloatEight {
	float at[GEMM_EIGHT];
};
layout(buffer_reference, std430, buffer_reference_align = 4) buffer FloatEights
{
	FloatEight eight[];
};
/*
 * Two words of weights at a time, as pointers that are never followed: the one type of 64 bits that needs no 64-bit integers. A CPU
 * driver loads lane by lane, and 64 bits cost it as much as 32. What they point to says that they lie at multiples of 8.
 */
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Words
{
	uint unused;
};
struct WeightEight {
	Words at[GEMM_EIGHT * WEIGHT_BYTES / 8];
};
layout(buffer_reference, std430, buffer_reference_align = 8) buffer WeightEights
{
	WeightEight eight[];
};

float block_sum[config_rows * config_columns]; /* [rows, columns] */
float a_lanes[config_rows];                    /* broadcast: lane = element of the depth */
uint a_first[config_rows];                     /* broadcast: index of a row's first element */
uvec2 a_row[config_rows];                      /* uniform loads: address of a row; the same in all lanes */
uvec2 w_row[config_columns];                   /* address of the lane's row of w */

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

/* Adds the products of depth 8 * eight...8 * eight + 7, all of which exist. */
void multiply_eight(uint eight)
{
	float w[config_columns * GEMM_EIGHT];
	[[unroll]] for (uint c = 0; c < config_columns; c++) {
		WeightEights row = WeightEights(w_row[c]);
#ifdef GQE_F16
		uvec2 words0 = uvec2(row.eight[eight].at[0]), words1 = uvec2(row.eight[eight].at[1]);
		vec4 low = vec4(unpackHalf2x16(words0.x), unpackHalf2x16(words0.y));
		vec4 high = vec4(unpackHalf2x16(words1.x), unpackHalf2x16(words1.y));
#else
		vec4 low = uintBitsToFloat(uvec4(uvec2(row.eight[eight].at[0]), uvec2(row.eight[eight].at[1])));
		vec4 high = uintBitsToFloat(uvec4(uvec2(row.eight[eight].at[2]), uvec2(row.eight[eight].at[3])));
#endif
		/* Not in a loop: a component chosen by a variable, even of an unrolled loop, can make a CPU driver 60 times slower. */
		w[c * GEMM_EIGHT] = low.x;
		w[c * GEMM_EIGHT + 1] = low.y;
		w[c * GEMM_EIGHT + 2] = low.z;
		w[c * GEMM_EIGHT + 3] = low.w;
		w[c * GEMM_EIGHT + 4] = high.x;
		w[c * GEMM_EIGHT + 5] = high.y;
		w[c * GEMM_EIGHT + 6] = high.z;
		w[c * GEMM_EIGHT + 7] = high.w;
	}
	[[unroll]] for (uint r = 0; r < config_rows; r++)
		[[unroll]] for (uint i = 0; i < GEMM_EIGHT; i++) {
			float x = FloatEights(a_row[r]).eight[eight].at[i];
			[[unroll]] for (uint c = 0; c < config_columns; c++)
				block_sum[r * config_columns + c] += x * w[c * GEMM_EIGHT + i];
		}
}

/* Adds the products of one depth. */
void multiply_one(uint at)
{
	float w[config_columns];
	[[unroll]] for (uint c = 0; c < config_columns; c++)
		w[c] = float(Weights(w_row[c]).at[at]);
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		float x = Floats(a_row[r]).at[at];
		[[unroll]] for (uint c = 0; c < config_columns; c++)
			block_sum[r * config_columns + c] += x * w[c];
	}
}

/*
 * Adds the products of depth first...end - 1. Addresses are clamped, and the loop of eights is behind a branch, as the driver may run a
 * loop's body once more with no lane active, and loads a uniform address even then.
 */
void multiply_range(uint first, uint end)
{
	if (config_uniform_loads == 0) {
		for (; first < end; first += config_subgroup)
			multiply_broadcast(first);
		return;
	}
	/* Two eights an iteration: on a CPU driver an iteration's end costs as much as a dozen products of the tile. */
	if (end >= 2 * GEMM_EIGHT) {
		for (; first + 2 * GEMM_EIGHT <= end; first += 2 * GEMM_EIGHT) {
			uint eight = min(first, end - 2 * GEMM_EIGHT) / GEMM_EIGHT;
			multiply_eight(eight);
			multiply_eight(eight + 1);
		}
	}
	for (; first < end; first++)
		multiply_one(min(first, end - 1));
}

void gemm_tile()
{
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		uint row = tile_a_row(r);
		a_first[r] = row * push.a_stride;
		a_row[r] = address(uvec2(push.a), row, push.a_stride * 4);
	}
	[[unroll]] for (uint c = 0; c < config_columns; c++)
		w_row[c] = w_row_address(c * config_subgroup + gl_SubgroupInvocationID);
	float sum[config_rows * config_columns];
	[[unroll]] for (uint i = 0; i < config_rows * config_columns; i++)
		sum[i] = 0.0;

	for (uint block = 0; block < push.depth; block += GQE_GEMM_BLOCK) {
		[[unroll]] for (uint i = 0; i < config_rows * config_columns; i++)
			block_sum[i] = 0.0;
		multiply_range(block, min(block + GQE_GEMM_BLOCK, push.depth));
		[[unroll]] for (uint i = 0; i < config_rows * config_columns; i++)
			sum[i] += block_sum[i];
	}
	[[unroll]] for (uint c = 0; c < config_columns; c++) {
		uint column = c * config_subgroup + gl_SubgroupInvocationID;
		float bias = tile_bias(column);
		[[unroll]] for (uint r = 0; r < config_rows; r++)
			tile_store(r, column, sum[r * config_columns + c] + bias);
	}
}
