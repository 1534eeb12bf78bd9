/*
 * One subgroup a workgroup: a lane owns `columns` columns and reads their rows of w in fours; a's elements are loaded contiguously
 * over the lanes and travel by broadcast.
 */
#extension GL_KHR_shader_subgroup_ballot : require

const uint gemm_columns = config_subgroup * config_columns;

float block_sum[config_rows * config_columns]; /* [rows, columns] */
float a_lanes[config_rows];                    /* lane = element of the depth */
uint a_base[config_rows];
uvec2 w_base[config_columns];

/* Adds the products of depth first...first + subgroup - 1; `is_tail`: some of them are past the end. */
void gemm_step(uint first, bool is_tail)
{
	uint own = first + gl_SubgroupInvocationID;
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		a_lanes[r] = 0.0;
		if (!is_tail || own < push.depth)
			a_lanes[r] = push.a.at[a_base[r] + own];
	}
	[[unroll]] for (uint i = 0; i < config_subgroup; i += 4) {
		/* Past the end a is 0, so any w will do that is in its row. */
		uint four = is_tail ? min(first + i, push.w_stride - 4) / 4 : (first + i) / 4;
		vec4 w[config_columns];
		[[unroll]] for (uint c = 0; c < config_columns; c++)
			w[c] = vec4(Weights4(w_base[c]).at[four]);
		[[unroll]] for (uint j = 0; j < 4; j++)
			[[unroll]] for (uint r = 0; r < config_rows; r++) {
				float x = subgroupBroadcast(a_lanes[r], i + j);
				[[unroll]] for (uint c = 0; c < config_columns; c++)
					block_sum[r * config_columns + c] += x * w[c][j];
			}
	}
}

void gemm_tile()
{
	[[unroll]] for (uint r = 0; r < config_rows; r++)
		a_base[r] = tile_a_row(r) * push.a_stride;
	[[unroll]] for (uint c = 0; c < config_columns; c++)
		w_base[c] = w_row_address(c * config_subgroup + gl_SubgroupInvocationID);
	float sum[config_rows * config_columns];
	[[unroll]] for (uint i = 0; i < config_rows * config_columns; i++)
		sum[i] = 0.0;

	for (uint block = 0; block < push.depth; block += GEMM_BLOCK) {
		[[unroll]] for (uint i = 0; i < config_rows * config_columns; i++)
			block_sum[i] = 0.0;
		uint end = min(block + GEMM_BLOCK, push.depth);
		uint first = block;
		for (; first + config_subgroup <= end; first += config_subgroup)
			gemm_step(first, false);
		if (first < end)
			gemm_step(first, true);
		[[unroll]] for (uint i = 0; i < config_rows * config_columns; i++)
			sum[i] += block_sum[i];
	}
	[[unroll]] for (uint r = 0; r < config_rows; r++)
		[[unroll]] for (uint c = 0; c < config_columns; c++)
			tile_store(r, c * config_subgroup + gl_SubgroupInvocationID, sum[r * config_columns + c]);
}
