#include "statistics.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { MEDIAN = 2, LOWER_QUARTILE = 4, SAMPLES_OF_UNKNOWN_ROUND = 3 };
/* Rounds that other programs left alone lie within this of each other. */
#define QUIET 0.05
/* So that intervals stay finite. */
#define SMALLEST_PART 0.05

static int compare_doubles(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Of the k samples, k > 0; the larger groups are thinned out to what is sorted here. */
static double median_of(const double *samples, uint32_t count)
{
	double values[256];
	const uint32_t used = count < 256 ? count : 256;
	for (uint32_t i = 0; i < used; i++)
		values[i] = samples[(uint64_t)i * count / used];
	qsort(values, used, sizeof(*values), compare_doubles);
	return used % 2 ? values[used / 2] : 0.5 * (values[used / 2 - 1] + values[used / 2]);
}

/* The round of a sample, as a number that grows by one from each to the next. */
static uint32_t count_rounds(const uint32_t *rounds, uint32_t count)
{
	uint32_t different = 1;
	for (uint32_t i = 1; rounds && i < count; i++)
		different += rounds[i] != rounds[i - 1];
	return rounds ? different : (count + SAMPLES_OF_UNKNOWN_ROUND - 1) / SAMPLES_OF_UNKNOWN_ROUND;
}

struct rounds rounds_of(const double *samples, const uint32_t *rounds, uint32_t count)
{
	struct rounds result = {0};
	const uint32_t different = count_rounds(rounds, count);
	const uint32_t together = (different + STATISTICS_MOST_ROUNDS - 1) / STATISTICS_MOST_ROUNDS;
	uint32_t begin = 0, round = 0;
	for (uint32_t i = 1; i <= count; i++) {
		const bool ended = i == count || (rounds ? rounds[i] != rounds[i - 1] : i % SAMPLES_OF_UNKNOWN_ROUND == 0);
		round += ended;
		if (i < count && (!ended || round % together != 0))
			continue;
		result.values[result.count++] = median_of(samples + begin, i - begin);
		begin = i;
	}
	qsort(result.values, result.count, sizeof(*result.values), compare_doubles);
	return result;
}

/* The number, from 1, of the order statistic. */
static uint32_t order_of(uint32_t count, uint32_t part)
{
	return (count + part - 1) / part;
}

/* At least `least` of `count` independent trials with `probability`. */
static double at_least(uint32_t count, uint32_t least, double probability)
{
	double sum = 0;
	if (probability <= 0 || probability >= 1)
		return probability >= 1;
	for (uint32_t i = least; i <= count; i++)
		sum += exp(lgamma(count + 1.0) - lgamma(i + 1.0) - lgamma(count - i + 1.0) + i * log(probability) +
			   (count - i) * log1p(-probability));
	return fmin(sum, 1);
}

/* weights[i]: how probably the order statistic of a resample is values[i]. */
static void weigh(uint32_t count, uint32_t part, double weights[STATISTICS_MOST_ROUNDS])
{
	double below = 0;
	for (uint32_t i = 0; i < count; i++) {
		/* It is one of the first i + 1 when that many draws, or more, were from them. */
		const double up_to = at_least(count, order_of(count, part), (i + 1.0) / count);
		weights[i] = fmax(up_to - below, 0);
		below = up_to;
	}
}

struct atom {
	double value, weight;
};

static int compare_atoms(const void *a, const void *b)
{
	return compare_doubles(&((const struct atom *)a)->value, &((const struct atom *)b)->value);
}

static struct interval bootstrap(const struct rounds *over, const struct rounds *under, uint32_t part, double error)
{
	double over_weights[STATISTICS_MOST_ROUNDS], under_weights[STATISTICS_MOST_ROUNDS];
	struct interval interval = {over->values[order_of(over->count, part) - 1] / under->values[order_of(under->count, part) - 1],
				    NAN, NAN};
	const size_t count = (size_t)over->count * under->count;
	struct atom *atoms = malloc(count * sizeof(*atoms));
	if (!atoms)
		return interval;
	weigh(over->count, part, over_weights);
	weigh(under->count, part, under_weights);
	for (size_t i = 0; i < count; i++)
		atoms[i] = (struct atom){over->values[i / under->count] / under->values[i % under->count],
					 over_weights[i / under->count] * under_weights[i % under->count]};
	qsort(atoms, count, sizeof(*atoms), compare_atoms);
	double sum = 0;
	size_t low = 0, high = count - 1;
	while (low < high && (sum += atoms[low].weight) < 0.5 * error)
		low++;
	sum = 0;
	while (high > low && (sum += atoms[high].weight) < 0.5 * error)
		high--;
	interval.low = atoms[low].value;
	interval.high = atoms[high].value;
	free(atoms);
	return interval;
}

double rounds_time(const struct rounds *rounds)
{
	return rounds->values[order_of(rounds->count, LOWER_QUARTILE) - 1];
}

/*
 * What part of the least round the quartile may be, when all rounds were disturbed. A resample knows nothing below the least one,
 * yet all of n rounds lie above the true quartile with probability (3/4)^n: 18% for six. Where that is more than the `tail`
 * allowed, the bound goes further down, by what an exponential excess says, whose mean is taken from the median. Quiet rounds lie
 * close together, and where most do, those are quiet; where most lie far above the least one, it may be disturbed, too.
 */
static double below_the_least(const struct rounds *rounds, double tail)
{
	const double least = rounds->values[0], median = rounds->values[order_of(rounds->count, MEDIAN) - 1];
	const double mean_excess = fmax(median - (1 + QUIET) * least, 0) / log(2);
	const double depth = fmax(-log(tail) / rounds->count - log(4.0 / 3), 0);
	return least > 0 ? fmax(1 - depth * mean_excess / least, SMALLEST_PART) : 1;
}

struct interval rounds_ratio(const struct rounds *over, const struct rounds *under, double error)
{
	struct interval interval = bootstrap(over, under, LOWER_QUARTILE, error);
	interval.low *= below_the_least(over, 0.5 * error);
	interval.high /= below_the_least(under, 0.5 * error);
	return interval;
}

struct interval rounds_median(const struct rounds *rounds, double error)
{
	const struct rounds one = {1, {1}};
	return bootstrap(rounds, &one, MEDIAN, error);
}
