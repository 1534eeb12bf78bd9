/* Loads of contiguous elements by a workgroup, one an invocation. */
#ifndef GQE_COMMON_LANES_GLSL
#define GQE_COMMON_LANES_GLSL

/*
 * Element first + gl_LocalInvocationIndex, all of which exist; `first` is the same in the whole workgroup. With config_uniform_loads
 * one load an invocation, each of one address: a CPU driver's compiler makes them one contiguous load, which it does not see in
 * addresses that differ from lane to lane.
 */
uint load_lane_word(Ints list, uint first)
{
	if (config_uniform_loads == 0)
		return uint(list.at[first + gl_LocalInvocationIndex]);
	Ints words = Ints(address(uvec2(list), first, 4));
	uint word = uint(words.at[0]);
	[[unroll]] for (uint lane = 1; lane < config_workgroup; lane++) {
		uint other = uint(words.at[lane]);
		word = gl_LocalInvocationIndex == lane ? other : word;
	}
	return word;
}

float load_lane(Floats list, uint first)
{
	return uintBitsToFloat(load_lane_word(Ints(uvec2(list)), first));
}

#endif
