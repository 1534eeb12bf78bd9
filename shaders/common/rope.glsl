/* Rotary position embedding from the two tables of shared/kernels.h. */
#ifndef GQE_COMMON_ROPE_GLSL
#define GQE_COMMON_ROPE_GLSL

/* The two channels of a head that pair `pair` rotates. */
uvec2 rope_channels(uint kind, uint head_size, uint pair)
{
	return kind == GQE_ROPE_KIND_HALF ? uvec2(pair, pair + head_size / 2) : uvec2(2 * pair, 2 * pair + 1);
}

/* (cos, sin) of the angle of `pair` at `position`; GQE_ROPE_KIND_NONE: of no angle, and the tables are not read. */
vec2 rope_turn(uint kind, Floats high, Floats low, uint head_size, uint position, uint pair)
{
	if (kind == GQE_ROPE_KIND_NONE)
		return vec2(1.0, 0.0);
	uint from_high = 2 * (position / GQE_ROPE_LOW * (head_size / 2) + pair);
	uint from_low = 2 * (position % GQE_ROPE_LOW * (head_size / 2) + pair);
	vec2 a = vec2(high.at[from_high], high.at[from_high + 1]);
	vec2 b = vec2(low.at[from_low], low.at[from_low + 1]);
	return vec2(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

vec2 rope_rotate(vec2 turn, vec2 value)
{
	return vec2(value.x * turn.x - value.y * turn.y, value.x * turn.y + value.y * turn.x);
}

#endif
