/*
 * Rotary position embedding. A kernel that includes this has push.turns, the (cos, sin) of the angle of every row of the pass and
 * pair of channels, push.head_size and push.rope_kind.
 */
#ifndef GQE_COMMON_ROPE_GLSL
#define GQE_COMMON_ROPE_GLSL

/*
 * Two words at a time, as a pointer that is never followed: a CPU driver loads lane by lane, and 64 bits cost it as much as 32. It is
 * the one type of 64 bits that needs no 64-bit integers. In a struct, as glslang takes an array of pointers for one of descriptors and
 * declares a capability for it.
 */
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Turn
{
	uint unused;
};
struct TurnWords {
	Turn both;
};
layout(buffer_reference, std430, buffer_reference_align = 8) buffer Turns
{
	TurnWords at[];
};

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
	uvec2 words = uvec2(Turns(uvec2(push.turns)).at[row * (push.head_size / 2) + pair].both);
	return uintBitsToFloat(words);
}

vec2 rope_rotate(vec2 turn, vec2 value)
{
	return vec2(value.x * turn.x - value.y * turn.y, value.x * turn.y + value.y * turn.x);
}

#endif
