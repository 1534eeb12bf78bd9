/* What the host and the kernels that measure a device's peaks agree on; as shared/kernels.h for those that compute something. */
#ifndef GQE_SHARED_BENCH_H
#define GQE_SHARED_BENCH_H

#include "types.h"

/* The tables are laid out in columns. */
/* clang-format off */

/*
 * Specialization constant: independent chains, of vec4 in an invocation (peak_fma), of matrices in a subgroup (peak_matrix); vec4 that
 * an invocation moves (peak_copy).
 */
#define GQE_BENCH_CHAINS_ID 18

/* Links of every chain in one iteration of peak_fma's loop, so that the loop itself costs nothing one can measure. */
#define GQE_BENCH_FMA_LINKS 8

/* peak_fma: chains of x = fma(x, scale, offset), for `iterations` * GQE_BENCH_FMA_LINKS links each. */
#define GQE_PUSH_PEAK_FMA(IN, OUT, INOUT, U32, F32)                                                                    \
	OUT(Floats, ends)   /* [invocations]: what the chains end in, so that they cannot be left out */               \
	U32(iterations) F32(scale) F32(offset)

/* peak_matrix: chains of sum = a b + sum, for `iterations` links each. */
#define GQE_PUSH_PEAK_MATRIX(IN, OUT, INOUT, U32, F32)                                                                 \
	IN(Vectors, factors) /* f16: a [chains, m, k]; and b [k, n], from the beginning too */                         \
	IN(Vectors, zeros)   /* f16: [k, n] */                                                                         \
	OUT(Floats, ends)    /* [invocations] */                                                                       \
	U32(iterations)

/* peak_copy: to = from, `vectors` vec4. */
#define GQE_PUSH_PEAK_COPY(IN, OUT, INOUT, U32, F32)                                                                   \
	IN(Vectors, from)                                                                                               \
	OUT(Vectors, to)                                                                                               \
	U32(vectors)

/* Every one of them: KERNEL(name, NAME). */
#define GQE_BENCH_KERNELS(KERNEL)                                                                                      \
	KERNEL(peak_fma, PEAK_FMA)                                                                                     \
	KERNEL(peak_matrix, PEAK_MATRIX)                                                                               \
	KERNEL(peak_copy, PEAK_COPY)

#endif
