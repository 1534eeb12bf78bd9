/* After Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011), section 4.3. */
#include "common/philox.h"

#include <math.h>

#define MULTIPLIER_0 0xd2511f53u
#define MULTIPLIER_1 0xcd9e8d57u
#define KEY_STEP_0 0x9e3779b9u /* golden ratio */
#define KEY_STEP_1 0xbb67ae85u /* sqrt(3) - 1 */
#define ROUNDS 10

void gqe_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
	uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
	uint32_t k0 = key[0], k1 = key[1];
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t product_0 = (uint64_t)MULTIPLIER_0 * c0;
		uint64_t product_1 = (uint64_t)MULTIPLIER_1 * c2;
		c0 = (uint32_t)(product_1 >> 32) ^ c1 ^ k0;
		c1 = (uint32_t)product_1;
		c2 = (uint32_t)(product_0 >> 32) ^ c3 ^ k1;
		c3 = (uint32_t)product_0;
		k0 += KEY_STEP_0;
		k1 += KEY_STEP_1;
	}
	out[0] = c0;
	out[1] = c1;
	out[2] = c2;
	out[3] = c3;
}

/* The stream is the upper half of the counter: 2^64 blocks each before two streams could meet. */
struct gqe_random gqe_random_seed(uint64_t seed, uint64_t stream)
{
	return (struct gqe_random){
		.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
		.counter = {0, 0, (uint32_t)stream, (uint32_t)(stream >> 32)},
	};
}

uint32_t gqe_random_u32(struct gqe_random *random)
{
	if (random->left == 0) {
		gqe_philox(random->counter, random->key, random->block);
		random->left = 4;
		if (++random->counter[0] == 0)
			random->counter[1]++;
	}
	return random->block[4 - random->left--];
}

/* Lemire's method: the upper half of a 64-bit product, redrawn when the lower half falls where some results have one draw more. */
uint32_t gqe_random_below(struct gqe_random *random, uint32_t bound)
{
	uint32_t uneven = (0u - bound) % bound; /* 2^32 mod bound */
	uint64_t product;
	do
		product = (uint64_t)gqe_random_u32(random) * bound;
	while ((uint32_t)product < uneven);
	return (uint32_t)(product >> 32);
}

double gqe_random_unit(struct gqe_random *random)
{
	uint64_t high = gqe_random_u32(random);
	uint64_t low = gqe_random_u32(random);
	return (double)((high << 32 | low) >> 11) * 0x1p-53;
}

/* Box-Muller, the cosine half. */
float gqe_random_normal(struct gqe_random *random)
{
	double radius = sqrt(-2.0 * log(1.0 - gqe_random_unit(random))); /* 1 - u is in (0, 1] */
	double angle = 6.283185307179586 * gqe_random_unit(random);
	return (float)(radius * cos(angle));
}
