#version 460
#extension GL_GOOGLE_include_directive : require

/* One element an invocation: SwiGLU's product or GELU. */
#include "common/kernel.glsl"
#include "common/math.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_ACTIVATION)

void main()
{
	uint i = linear_invocation();
	if (i >= push.count)
		return;
	float up = push.up.at[i];
	push.y.at[i] = push.kind == GQE_MLP_KIND_SWIGLU ? silu(push.gate.at[i]) * up : gelu(up);
}
