/*
 * How long something takes, and how sure that is, from samples taken in rounds.
 *
 * Two facts about timings decide the method. Samples of one moment agree with each other better than with those of the next, so
 * rounds are resampled, not samples. And what disturbs a timing, such as another program, only ever adds to it, for seconds on end
 * and often to twice the time: the lower quartile over the rounds stays where it is while up to three quarters of them are
 * disturbed, the median only up to half.
 *
 * The bootstrap is computed, not drawn: an order statistic of a resample is the i-th of the sorted values with a binomial
 * probability, and the ratio of two takes each pair of values with the product of theirs. So the same input gives the same interval
 * on every machine, far out in the tails too. It knows nothing below the least round, though, which may be disturbed as well when
 * rounds are few: where most rounds lie far above the least one, the interval goes beyond it.
 */
#ifndef GQE_TOOLS_STATISTICS_H
#define GQE_TOOLS_STATISTICS_H

#include <stdint.h>

enum {
	/* Rounds beyond that many are put together with their neighbours. */
	STATISTICS_MOST_ROUNDS = 64,
	/* Of fewer, even those that lie clear of each other may do so by chance. */
	STATISTICS_LEAST_ROUNDS = 5
};

struct interval {
	double value, low, high;
};

/* One value a round, sorted. */
struct rounds {
	uint32_t count;
	double values[STATISTICS_MOST_ROUNDS];
};

/*
 * The median of each round's samples. rounds [count], never falling, says in which round each sample was taken; NULL: it is not
 * known, and three samples that follow each other are taken for a round. count > 0.
 */
struct rounds rounds_of(const double *samples, const uint32_t *rounds, uint32_t count);
/* The lower quartile: the ceil(count / 4)-th smallest. */
double rounds_time(const struct rounds *rounds);
/* Of the ratio of the lower quartiles. `error`: the probability, 0.05 for 95%, that it lies outside of the interval. */
struct interval rounds_ratio(const struct rounds *over, const struct rounds *under, double error);
/* Of the median of the rounds. */
struct interval rounds_median(const struct rounds *rounds, double error);

#endif
