/* Philox4x32-10: counter-based random numbers, the same on every machine. Checked against Random123's test vectors. */
#ifndef GQE_PHILOX_H
#define GQE_PHILOX_H

#include <stdint.h>

struct gqe_random {
	uint32_t key[2];
	uint32_t counter[4];
	uint32_t block[4]; /* unused outputs of the last block */
	uint32_t left;
};

void gqe_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

struct gqe_random gqe_random_seed(uint64_t seed, uint64_t stream);
uint32_t gqe_random_u32(struct gqe_random *random);
/* Uniform in 0...bound-1 without modulo bias; bound > 0. */
uint32_t gqe_random_below(struct gqe_random *random, uint32_t bound);
/* Uniform in [0, 1). */
double gqe_random_unit(struct gqe_random *random);
/* Standard normal. */
float gqe_random_normal(struct gqe_random *random);

#endif
