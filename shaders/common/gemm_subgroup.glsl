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

/* Adds the products of depth first...first + subgroup - 1. Past the end a counts as 0, and any w will do that is in its row. */
void gemm_step(uint first)
{
	uint own = first + gl_SubgroupInvocationID;
	[[unroll]] for (uint r = 0; r < config_rows; r++) {
		float value = push.a.at[a_base[r] + min(own, push.depth - 1)];
		a_lanes[r] = own < push.depth ? value : 0.0;
	}
	[[unroll]] for (uint i = 0; i < config_subgroup; i += 4) {
		uint four = min(first + i, push.w_stride - 4) / 4;
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
		for (uint first = block; first < end; first += config_subgroup)
			gemm_step(first);
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
