#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * (cos, sin) of the angles of a pass, from the tables of the capacity: one pair of channels an invocation, at GQE_ROPE_ROWS rows, which
 * share the divisions. Every head of every layer of the pass turns by them.
 */
#include "common/kernel.glsl"
#include "common/two_words.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_ROPE_TURNS)

void main()
{
	uint pairs = push.head_size / 2;
	uint i = linear_invocation();
	uint pair = i % pairs;
	uint first_row = i / pairs * GQE_ROPE_ROWS;
	if (first_row >= push.rows)
		return;
	uint token = first_row % push.tokens;
	[[unroll]] for (uint row = first_row; row < first_row + GQE_ROPE_ROWS; row++) {
		if (row >= push.rows)
			break;
		uint position = push.position + token;
		vec2 a = load_two(push.rope_high, position / GQE_ROPE_LOW * pairs + pair);
		vec2 b = load_two(push.rope_low, position % GQE_ROPE_LOW * pairs + pair);
		store_two(push.turns, row * pairs + pair, vec2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x));
		token = token + 1 == push.tokens ? 0 : token + 1;
	}
}
