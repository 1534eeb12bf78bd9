#include "vulkan/pace.h"

#include <math.h>

#include "common/platform.h"

/*
 * How long a submit should take: far below the watchdogs (2 s on Windows, and on Linux with recent kernels), short enough for a
 * cancel to feel immediate, long enough for the gap between submits not to matter.
 */
#define TARGET_SECONDS 0.05
#define CAP_SECONDS 0.5
/* A desktop that draws 60 frames a second on the same queue loses at most one to a submit of this length. */
#define LOW_IMPACT_SECONDS 0.01
/* And gets the queue for itself for this part of the time. */
#define LOW_IMPACT_PAUSE 0.25
/* Predictions may be wrong by this factor without a submit going over the cap: other programs come and go. */
#define SAFETY 4.0
/* A step so much longer than the target is not worth cutting in the low-impact mode. */
#define LOW_IMPACT_EXCESS 2.0
/* While nothing is known: the slowest driver known does 1 GFLOP/s. */
#define SLOWEST_RATE 1e9
/* A rate falls at once and grows by bounded factors: small submits underestimate it, and too long a submit is worse than too short.
 */
#define RATE_GROWTH 4.0
/* A kernel that is slower than that threatens the cap once more, in its second submit. */
#define FIRST_RUN_FALL SAFETY

double gqe_pace_target(const struct gqe_pace *pace)
{
	double target = pace->target_seconds > 0 ? pace->target_seconds : TARGET_SECONDS;
	return pace->low_impact && target > LOW_IMPACT_SECONDS ? LOW_IMPACT_SECONDS : target;
}

double gqe_pace_cap(const struct gqe_pace *pace)
{
	return pace->cap_seconds > 0 ? pace->cap_seconds : CAP_SECONDS;
}

static double rate_or_guess(const struct gqe_pace *pace, const gqe_rate *rate)
{
	double known = atomic_load_explicit(rate, memory_order_relaxed);
	if (known <= 0)
		known = atomic_load_explicit(&pace->typical, memory_order_relaxed);
	return known > 0 ? known : SLOWEST_RATE;
}

double gqe_pace_predict(const struct gqe_pace *pace, const gqe_rate *rate, double work)
{
	return work / rate_or_guess(pace, rate);
}

uint32_t gqe_pace_units(const struct gqe_pace *pace, double seconds, uint32_t units)
{
	double cap = gqe_pace_cap(pace);
	double target = gqe_pace_target(pace);
	/* A cap near the target would cut steps that are only a little longer than it. */
	double limit = pace->low_impact ? target * LOW_IMPACT_EXCESS : fmax(cap / SAFETY, target);
	if (!(seconds > limit) || units <= 1)
		return units;
	double fitting = units * (target / seconds);
	return fitting < 1 ? 1 : (uint32_t)fitting;
}

void gqe_pace_learn(const struct gqe_pace *pace, gqe_rate *rate, double part, double predicted, double seconds)
{
	if (!(predicted > 0) || !(seconds > 0))
		return;
	double factor = fmin(predicted / seconds, RATE_GROWTH);
	atomic_store_explicit(rate, rate_or_guess(pace, rate) * pow(factor, part), memory_order_relaxed);
}

void gqe_pace_learn_first(const struct gqe_pace *pace, gqe_rate *rate, double part, double predicted, double seconds)
{
	gqe_pace_learn(pace, rate, part, predicted, fmin(seconds, predicted * FIRST_RUN_FALL));
}

/*
 * The parts of a step are not alike: attention's heaviest tiles come first, and at the end there may be workgroups without work. So
 * a part alone only tells that it is slower than expected; how fast the step is, all parts so far tell.
 */
void gqe_pace_learn_part(const struct gqe_pace *pace, gqe_rate *rate, struct gqe_pace_cut *cut, double work, double predicted,
			 double seconds)
{
	cut->work += work;
	cut->seconds += seconds;
	if (seconds > predicted)
		gqe_pace_learn(pace, rate, 1, predicted, seconds);
	else
		gqe_pace_learn(pace, rate, 1, gqe_pace_predict(pace, rate, cut->work), cut->seconds);
}

void gqe_pace_learn_typical(struct gqe_pace *pace, double work, double seconds)
{
	if (!(work > 0) || !(seconds > 0))
		return;
	double known = atomic_load_explicit(&pace->typical, memory_order_relaxed), measured = work / seconds;
	if (known > 0)
		measured = fmin(measured, known * RATE_GROWTH);
	atomic_store_explicit(&pace->typical, measured, memory_order_relaxed);
}

void gqe_pace_pause(const struct gqe_pace *pace, double seconds)
{
	if (pace->low_impact)
		gqe_sleep(seconds * LOW_IMPACT_PAUSE);
}
