/* Medians and how sure they are, by bootstrap; the same input gives the same result on every machine. */
#ifndef GQE_TOOLS_STATISTICS_H
#define GQE_TOOLS_STATISTICS_H

#include <stdint.h>

struct interval {
	double value, low, high; /* 95% */
};

/*
 * Raw samples, and how the machine itself drifted while they were taken: factors around 1, of which each resample draws one.
 * Samples that follow each other in one second agree better with each other than with those of the next run; the drift makes up for
 * it.
 */
struct sampled {
	const double *values; /* [count], count > 0 */
	uint32_t count;
	const double *drift; /* [drift_count]; drift_count 0: none is known */
	uint32_t drift_count;
};

double median_of(const double *values, uint32_t count); /* NaN without memory */
/* NaN throughout without memory. */
struct interval median_interval(const struct sampled *sampled);
struct interval ratio_interval(const struct sampled *over, const struct sampled *under);

#endif
