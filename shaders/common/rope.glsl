/*
 * Rotary position embedding. A kernel that includes this has push.turns, the (cos, sin) of the angle of every row of the pass and
 * pair of channels, push.head_size and push.rope_kind.
 */
#ifndef GQE_COMMON_ROPE_GLSL
#define GQE_COMMON_ROPE_GLSL

#include "common/two_words.glsl"

/* The two channels of a head that pair `pair` rotates; without rotation pairs are only a way to number channels. */
uvec2 rope_channels(uint pair)
{
	return push.rope_kind == GQE_ROPE_KIND_INTERLEAVED ? uvec2(2 * pair, 2 * pair + 1) : uvec2(pair, pair + push.head_size / 2);
}

/* From one pair's first channel to the next one's. */
uint rope_pair_step()
{
	return push.rope_kind == GQE_ROPE_KIND_INTERLEAVED ? 2 : 1;
}

vec2 rope_turn(uint row, uint pair)
{
	return load_two(push.turns, row * (push.head_size / 2) + pair);
}

vec2 rope_rotate(vec2 turn, vec2 value)
{
	return vec2(value.x * turn.x - value.y * turn.y, value.x * turn.y + value.y * turn.x);
}

#endif
