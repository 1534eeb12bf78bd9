/*
 * Inside the Vulkan storey: how long work takes, learnt from the submits so far, and how much of it one submit may hold. A rate is
 * in operations of the steps' work estimates a second; 0: nothing is known. Rates are shared by the sessions of a context: a lost
 * update of one costs nothing but accuracy.
 */
#ifndef GQE_VULKAN_PACE_H
#define GQE_VULKAN_PACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef _Atomic double gqe_rate;

struct gqe_pace {
	double target_seconds; /* how long a submit should take; 0: the default */
	double cap_seconds;    /* how long it may take; 0: the default */
	bool low_impact;       /* short submits with pauses between them */
	gqe_rate typical;      /* of the last submits, for kernels of which nothing is known */
	gqe_rate transfers;    /* of copies and fills */
};

double gqe_pace_target(const struct gqe_pace *pace);
double gqe_pace_cap(const struct gqe_pace *pace);
/* Seconds that so much work of something with that rate is expected to take. */
double gqe_pace_predict(const struct gqe_pace *pace, const gqe_rate *rate, double work);
/*
 * Into how many units of a step's `units` one submit goes when all of them would take `seconds`: all, unless that threatens the
 * cap. 1...units.
 */
uint32_t gqe_pace_units(const struct gqe_pace *pace, double seconds, uint32_t units);
/* Updates the rate of something that was expected to be that part (0...1) of a submit of `predicted` seconds, which took `seconds`.
 */
void gqe_pace_learn(const struct gqe_pace *pace, gqe_rate *rate, double part, double predicted, double seconds);
/*
 * The same, of a submit in which a pipeline ran for the first time: compiling may be most of what it took, so the rate falls by a
 * bounded factor.
 */
void gqe_pace_learn_first(const struct gqe_pace *pace, gqe_rate *rate, double part, double predicted, double seconds);
/* What was done so far of a step that is cut. Zeros: nothing. */
struct gqe_pace_cut {
	double work, seconds;
};
/* As gqe_pace_learn, of a part that holds so much of the step's work and is added to `cut`. */
void gqe_pace_learn_part(const struct gqe_pace *pace, gqe_rate *rate, struct gqe_pace_cut *cut, double work, double predicted,
			 double seconds);
void gqe_pace_learn_typical(struct gqe_pace *pace, double work, double seconds);
/* After a submit of that length: lets others have the device, if that was asked for. */
void gqe_pace_pause(const struct gqe_pace *pace, double seconds);

#endif
