/* Loads of contiguous elements by a workgroup, one an invocation. */
#ifndef GQE_COMMON_LANES_GLSL
#define GQE_COMMON_LANES_GLSL

#extension GL_KHR_shader_subgroup_basic : require

/*
 * The invocation's number in the workgroup. Where that is one subgroup, a CPU driver's compiler knows a lane's number as a constant. To
 * be asked for before a loop, not in it: what a loop computes and later code uses too is no constant there any more.
 */
uint lane_number()
{
	return config_uniform_loads != 0 && gl_SubgroupSize == config_workgroup ? gl_SubgroupInvocationID : gl_LocalInvocationIndex;
}

/*
 * Element first + `own`, the lane_number(), all of which exist; `first` is best a constant. With config_uniform_loads one load an invocation,
 * each of one address: a CPU driver's compiler makes them one contiguous load, which it does not see in addresses that differ from lane
 * to lane.
 */
uint load_lane_word(Ints list, uint first, uint own)
{
	if (config_uniform_loads == 0)
		return uint(list.at[first + own]);
	uint word = uint(list.at[first]);
	[[unroll]] for (uint lane = 1; lane < config_workgroup; lane++) {
		uint other = uint(list.at[first + lane]);
		word = own == lane ? other : word;
	}
	return word;
}

float load_lane(Floats list, uint first, uint own)
{
	return uintBitsToFloat(load_lane_word(Ints(uvec2(list)), first, own));
}

#endif
