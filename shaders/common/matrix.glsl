/*
 * Cooperative matrices of one subgroup, in the shape that the specialization constants give: f16 factors, f32 sums. They are loaded
 * from memory in rows of 16 bytes, from the device's through Vectors and from the workgroup's as arrays of uvec4 that hold f16 or f32.
 */
#ifndef GQE_COMMON_MATRIX_GLSL
#define GQE_COMMON_MATRIX_GLSL

#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_vote : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require

/* Sizes in 16 bytes. */
#define HALVES_PER_VECTOR 8
#define FLOATS_PER_VECTOR 4

POINTER(Vectors, uvec4, 16);
POINTER(HalfPairs, uint, 4);

#define MatrixA coopmat<float16_t, gl_ScopeSubgroup, config_matrix_m, config_matrix_k, gl_MatrixUseA>
#define MatrixB coopmat<float16_t, gl_ScopeSubgroup, config_matrix_k, config_matrix_n, gl_MatrixUseB>
#define MatrixSum coopmat<float, gl_ScopeSubgroup, config_matrix_m, config_matrix_n, gl_MatrixUseAccumulator>

#define ROW_MAJOR gl_CooperativeMatrixLayoutRowMajor
#define COLUMN_MAJOR gl_CooperativeMatrixLayoutColumnMajor

uint lane()
{
	return gl_SubgroupInvocationID;
}

/* What a lane wrote to shared memory is there for the others afterwards, and what it read may be overwritten. */
void subgroup_exchange()
{
	subgroupBarrier();
}

uint pack_halves(float low, float high)
{
	return packFloat2x16(f16vec2(low, high));
}

#endif
