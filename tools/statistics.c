#include "statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RESAMPLES = 1000 };

/* splitmix64: one constant seed for every interval, so that a comparison can be repeated to the digit. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint32_t random_below(uint64_t *state, uint32_t bound)
{
	return (uint32_t)((next_random(state) >> 32) * bound >> 32);
}

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double sort_and_take_median(double *values, uint32_t count)
{
	qsort(values, count, sizeof(*values), compare_doubles);
	return count % 2 ? values[count / 2] : 0.5 * (values[count / 2 - 1] + values[count / 2]);
}

double median_of(const double *values, uint32_t count)
{
	double *copy = malloc(count * sizeof(*copy));
	if (!copy)
		return NAN;
	memcpy(copy, values, count * sizeof(*copy));
	const double median = sort_and_take_median(copy, count);
	free(copy);
	return median;
}

/* The median of one resample; `room` [count]. */
static double resampled_median(const struct sampled *sampled, double *room, uint64_t *random)
{
	for (uint32_t i = 0; i < sampled->count; i++)
		room[i] = sampled->values[random_below(random, sampled->count)];
	const double median = sort_and_take_median(room, sampled->count);
	return sampled->drift_count ? median * sampled->drift[random_below(random, sampled->drift_count)] : median;
}

/* `under` NULL: the median of `over` alone. */
static struct interval bootstrap(const struct sampled *over, const struct sampled *under)
{
	const uint32_t most = under && under->count > over->count ? under->count : over->count;
	struct interval interval = {NAN, NAN, NAN};
	double *room = malloc((most + (size_t)RESAMPLES) * sizeof(*room));
	if (!room)
		return interval;
	double *results = room + most;
	uint64_t random = 1;
	interval.value = median_of(over->values, over->count) / (under ? median_of(under->values, under->count) : 1);
	for (int i = 0; i < RESAMPLES; i++) {
		results[i] = resampled_median(over, room, &random);
		if (under)
			results[i] /= resampled_median(under, room, &random);
	}
	qsort(results, RESAMPLES, sizeof(*results), compare_doubles);
	interval.low = results[RESAMPLES / 40];
	interval.high = results[RESAMPLES - 1 - RESAMPLES / 40];
	free(room);
	return interval;
}

struct interval median_interval(const struct sampled *sampled)
{
	return bootstrap(sampled, NULL);
}

struct interval ratio_interval(const struct sampled *over, const struct sampled *under)
{
	return bootstrap(over, under);
}
