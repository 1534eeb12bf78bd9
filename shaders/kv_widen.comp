#version 460
#extension GL_GOOGLE_include_directive : require

/* A range of keys of the cache in f32, for attention that would convert them again for every tile: two channels an invocation. */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_KV_WIDEN)

void main()
{
	uint pairs = push.head_size / 2;
	uint i = linear_invocation();
	uint pair = i % pairs, key = i / pairs % push.keys, head = i / pairs / push.keys;
	if (head >= push.heads)
		return;
	uint from = head * push.capacity + push.first_key + key;
	uint to = (head * push.wide_capacity + key) * push.head_size + 2 * pair;
	vec2 k = vec2(Weights2(address(uvec2(push.k_cache), from, push.head_size * WEIGHT_BYTES)).at[pair]);
	vec2 v = vec2(Weights2(address(uvec2(push.v_cache), from, push.head_size * WEIGHT_BYTES)).at[pair]);
	push.k.at[to] = k.x;
	push.k.at[to + 1] = k.y;
	push.v.at[to] = v.x;
	push.v.at[to + 1] = v.y;
}
