/*
 * What `gqe report` measures, in a bounded time: the self-test; then, for every path and dtype that the device has, layers,
 * attention and projections of GQE and dense GQA in growing lengths, with the device's peaks and a model's run in between.
 *
 * The time is bounded by looking ahead. Each rung of a ladder of lengths is taken only if what the rungs before it took says that
 * it fits, so that a slow device, such as a driver that computes on the CPU, climbs less high; all devices share the lower rungs,
 * and can be compared there.
 */
#ifndef GQE_TOOLS_REPORT_H
#define GQE_TOOLS_REPORT_H

#include "record.h"
#include "terminal.h"

struct report {
	const struct program *program;
	const char *model_folder, *prompt_file; /* NULL: no model's run */
	bool full;
	double budget; /* seconds */
	struct record *record;
	struct progress progress;
	double began;
	double deadline;            /* of what runs now, by now_seconds */
	uint32_t round;             /* number of the present one */
	uint32_t checked;           /* a bit for each path whose self-test was run */
	double prepare_seconds;     /* until the first path had compiled what its first rung needs; 0 before */
	struct report_model *model; /* NULL: none */
};

/* Fills `record` with what was measured, which is kept when the measuring ends early: GQE_CANCELLED after Ctrl-C. */
gqe_status report_measure(struct report *report, gqe_error *error);

/* The parts. */
/*
 * Checks the kernels of a path and of those below it, whose kernels it falls back on; those that were checked before are not
 * checked again.
 */
gqe_status report_selftest(struct report *report, const gqe_device_info *device, gqe_path path, gqe_error *error);
bool report_is_checked(const struct report *report, gqe_path path);
/* Until `end`, by now_seconds. */
gqe_status report_ladders(struct report *report, const gqe_device_info *device, double end, gqe_error *error);

/* The model's run. Open: its files are read, so that what is wrong with them is said at once; none to run is no failure. */
gqe_status report_model_open(struct report *report, gqe_error *error);
/*
 * Loads the model and takes a first round, in `seconds` at most; what is too slow or too large for that is skipped, and then has no
 * further rounds. `seconds_per_flop` is what the device needed so far.
 */
gqe_status report_model_begin(struct report_model *model, gqe_context *context, double seconds, double seconds_per_flop,
			      gqe_error *error);
gqe_status report_model_round(struct report_model *model, gqe_error *error);
/* Of a round; 0: the model was not begun, or skipped. */
double report_model_seconds(const struct report_model *model);
/* Before the context goes. */
void report_model_end(struct report_model *model);
void report_model_close(struct report *report);

/* Draws the progress; true after Ctrl-C or beyond the deadline. For gqe_bench_params, whose `user` is the report. */
bool report_must_stop(void *report);
/* Adds a line to the list of what was left out. */
gqe_status report_skip(struct report *report, const char *reason, gqe_error *error, const char *format, ...) GQE_PRINTF(4, 5);
/* A sample of the present round, with the device's clock when `on_device`; GQE_ERROR_OUT_OF_MEMORY. */
gqe_status report_add_sample(const struct report *report, struct record_samples *samples, const gqe_bench_times *times,
			     bool on_device, gqe_error *error);

#endif
