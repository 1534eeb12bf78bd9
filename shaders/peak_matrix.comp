#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * The peak of cooperative matrix products, from registers alone: chains of sum = a b + sum that do not depend on each other. A driver
 * that emulates matrices computes nothing twice and nothing that is not used, so nothing may be equal as far as it can see: factors
 * come from memory, every chain has its own a, b changes with every link (by zeros that are only known at run time), and every element
 * of every sum is used in the end.
 */
#include "common/kernel.glsl"
#include "common/matrix.glsl"
#include "shared/bench.h"

layout(constant_id = GQE_BENCH_CHAINS_ID) const uint config_chains = 4;

GQE_DECLARE_PUSH(GQE_PUSH_PEAK_MATRIX)

void main()
{
	MatrixA a[config_chains];
	MatrixB b, change;
	MatrixSum sum[config_chains];
	[[unroll]] for (uint c = 0; c < config_chains; c++) {
		coopMatLoad(a[c], push.factors.at, c * config_matrix_m * config_matrix_k / HALVES_PER_VECTOR,
			    config_matrix_k / HALVES_PER_VECTOR, ROW_MAJOR);
		sum[c] = MatrixSum(float(c));
	}
	coopMatLoad(b, push.factors.at, 0, config_matrix_k / HALVES_PER_VECTOR, COLUMN_MAJOR);
	coopMatLoad(change, push.zeros.at, 0, config_matrix_k / HALVES_PER_VECTOR, COLUMN_MAJOR);
	for (uint i = 0; i < push.iterations; i++) {
		[[unroll]] for (uint c = 0; c < config_chains; c++)
			sum[c] = coopMatMulAdd(a[c], b, sum[c]);
		b += change;
	}
	float total = 0.0;
	[[unroll]] for (uint c = 0; c < config_chains; c++)
		for (uint e = 0; e < sum[c].length(); e++)
			total += sum[c][e];
	push.ends.at[linear_invocation()] = total;
}
