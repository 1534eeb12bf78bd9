/*
 * Two neighbouring words as one load or store of 64 bits: a CPU driver loads and stores lane by lane, and 64 bits cost it as much as 32.
 * A pointer that is never followed is the one type of 64 bits that needs no 64-bit integers. It is in a struct, as glslang takes an array
 * of pointers for one of descriptors and declares a capability for it.
 */
#ifndef GQE_COMMON_TWO_WORDS_GLSL
#define GQE_COMMON_TWO_WORDS_GLSL

layout(buffer_reference, std430, buffer_reference_align = 8) buffer TwoWords
{
	uint unused;
};
struct TwoWordsElement {
	TwoWords both;
};
layout(buffer_reference, std430, buffer_reference_align = 8) buffer TwoWordsList
{
	TwoWordsElement at[];
};

/* Elements 2 * pair and 2 * pair + 1 of a list that begins at a multiple of 8 bytes. */
vec2 load_two(Floats list, uint pair)
{
	return uintBitsToFloat(uvec2(TwoWordsList(uvec2(list)).at[pair].both));
}

/* SwiftShader loads a pointer, but ends the process at a store of one: hence only where a CPU driver has config_uniform_loads. */
void store_two(Floats list, uint pair, vec2 value)
{
	if (config_uniform_loads != 0) {
		TwoWordsList(uvec2(list)).at[pair].both = TwoWords(floatBitsToUint(value));
	} else {
		list.at[2 * pair] = value.x;
		list.at[2 * pair + 1] = value.y;
	}
}

#endif
