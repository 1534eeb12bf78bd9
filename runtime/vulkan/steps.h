/*
 * The step list: the spine. Whoever computes something appends steps; this one place turns them into barriers, command buffers and
 * submits. A step's reads and writes follow from its kernel's table row (which push pointers it reads and writes), so a hazard
 * cannot be forgotten. Appending never fails: the first error is kept and gqe_steps_run returns it.
 */
#ifndef GQE_VULKAN_STEPS_H
#define GQE_VULKAN_STEPS_H

#include "vulkan/commands.h"
#include "vulkan/memory.h"
#include "vulkan/pipeline.h"

struct gqe_steps;

gqe_status gqe_steps_create(struct gqe_vulkan *vulkan, struct gqe_steps **steps, gqe_error *error);
void gqe_steps_destroy(struct gqe_steps **steps);

struct gqe_dispatch {
	const struct gqe_kernel_variant *variant;
	struct gqe_specialization specialization;
	const void *push; /* the variant's push struct; copied */
	/*
	 * Workgroups, as one linear count: it is laid over x and y within the device's limits, and the kernel's linear_workgroup()
	 * undoes that (and may see a few numbers past the end). 0: the step is dropped.
	 */
	uint64_t workgroups;
	/*
	 * Not NULL: a VkDispatchIndirectCommand lies at its start; workgroups is then 0, or a number that is never less, of which
	 * those too many do nothing: what the step may be split by.
	 */
	const struct gqe_buffer *indirect;
	double work; /* estimate in floating-point operations, for slicing and progress */
};

void gqe_steps_dispatch(struct gqe_steps *steps, const struct gqe_dispatch *dispatch);
void gqe_steps_copy(struct gqe_steps *steps, const struct gqe_buffer *from, uint64_t from_offset, const struct gqe_buffer *to,
		    uint64_t to_offset, uint64_t bytes);
/* offset and bytes multiples of 4 */
void gqe_steps_fill(struct gqe_steps *steps, const struct gqe_buffer *buffer, uint64_t offset, uint64_t bytes, uint32_t word);
/* Pointers into that buffer, which is of no arena, are good until the list is emptied. At most GQE_MAX_LENT_BUFFERS. */
#define GQE_MAX_LENT_BUFFERS 4
void gqe_steps_lend(struct gqe_steps *steps, const struct gqe_buffer *buffer);
/* Keeps the first error; for those who append. */
void gqe_steps_fail(struct gqe_steps *steps, const gqe_error *error);

/* Work of the steps appended since the last run. */
double gqe_steps_work(const struct gqe_steps *steps);

/*
 * Submits everything appended, in slices of bounded estimated time (from the rate measured so far), waits, and empties the list,
 * also after a failure. Host writes before the call are visible to the device, device writes are visible to the host after it.
 * `cancelled` (may be NULL) is asked between slices, and between pipelines that are made first: true ends with GQE_CANCELLED once
 * nothing is in flight.
 */
gqe_status gqe_steps_run(struct gqe_steps *steps, bool (*cancelled)(void *user), void *user, gqe_error *error);

/*
 * Seconds that this list has spent on pipelines so far: making them, and submits in which one runs for the first time, when some
 * drivers compile it.
 */
double gqe_steps_pipeline_seconds(const struct gqe_steps *steps);

/* --- timing --- */

/* Labels are 0...GQE_STEP_LABELS-1; what one means is the affair of those who append. */
#define GQE_STEP_LABELS 16

/* Steps appended from now on carry this label; a list begins with label 0. */
void gqe_steps_label(struct gqe_steps *steps, uint32_t label);
/* From now on runs are timed, which costs a timestamp wherever the label changes. Without this call labels cost nothing. */
gqe_status gqe_steps_enable_timing(struct gqe_steps *steps, gqe_error *error);

struct gqe_step_times {
	bool by_device; /* the device's timestamps; false: wall clock, a submit for every change of the label */
	double seconds[GQE_STEP_LABELS];
};

/* How long the steps of each label took in the last run. Gaps between submits count nowhere. Needs gqe_steps_enable_timing. */
struct gqe_step_times gqe_steps_times(const struct gqe_steps *steps);

/*
 * Records everything appended into a command buffer that is being recorded, as one piece, and empties the list, also after a
 * failure. It begins with a barrier after earlier commands of that queue, and ends without one.
 */
gqe_status gqe_steps_record(struct gqe_steps *steps, const struct gqe_commands *commands, gqe_error *error);

/* Empties the list without running it. */
void gqe_steps_discard(struct gqe_steps *steps);

/* --- the barrier planner, pure, so that it can be tested without a device --- */

struct gqe_range {
	uint64_t address, size;
	uint32_t access; /* enum gqe_access */
};

struct gqe_hazards {
	struct gqe_range *ranges; /* touched since the last barrier */
	uint32_t count, capacity;
	bool failed; /* out of memory: behave as if every step needed a barrier */
};

/* True when a step with these ranges must wait for an earlier one (RAW, WAR, WAW); then the pending ranges are forgotten first. */
bool gqe_hazards_add(struct gqe_hazards *hazards, const struct gqe_range *ranges, uint32_t count);
void gqe_hazards_clear(struct gqe_hazards *hazards);
void gqe_hazards_free(struct gqe_hazards *hazards);

#endif
