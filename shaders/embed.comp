#version 460
#extension GL_GOOGLE_include_directive : require

/* One element an invocation: x[row] = table[tokens[row]]. */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_EMBED)

void main()
{
	uint i = linear_invocation();
	if (i >= push.rows * push.width)
		return;
	uint token = uint(push.tokens.at[i / push.width]);
	const uint word = 4 / WEIGHT_BYTES;
	uint lanes = push.table_lanes, column = i % push.width;
	Weights block = Weights(address(uvec2(push.table), token / lanes, lanes * push.table_stride * WEIGHT_BYTES));
	push.x.at[i] = float(block.at[(column / word * lanes + token % lanes) * word + column % word]);
}
