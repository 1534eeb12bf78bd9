#include "vulkan/steps.h"
#include "vulkan/commands.h"
#include "vulkan/step_clock.h"

#include "common/platform.h"
#include "shared/types.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A grid of more than one row is this wide where it can be: rows are what a step is split by. */
#define SPLITTABLE_WIDTH 4096
/* Bounds the recording time and the command buffer's memory. */
#define SLICE_STEPS 4096
/* Room that the first run of a pipeline gets in a submit: with the usual target it is one of its own. Not for predicting. */
#define FIRST_RUN_SECONDS 0.05
/* A copy or fill weighs as much as this many operations a byte. */
#define WORK_PER_BYTE 0.25

/* Pointers of a push struct and the indirect command; a push struct of 128 bytes has at most 16 pointers. */
#define MAX_RANGES (GQE_MAX_PUSH_BYTES / sizeof(uint64_t) + 1)

enum step_kind { STEP_DISPATCH, STEP_DISPATCH_INDIRECT, STEP_COPY, STEP_FILL };

struct step {
	enum step_kind kind;
	uint32_t label;
	uint32_t range_count;
	size_t first_range; /* in steps->ranges */
	double work;
	double seconds; /* as predicted when it was put into a slice */
	union {
		struct {
			struct gqe_pipeline *pipeline;
			uint32_t x, y; /* the grid; of an indirect dispatch, one that is large enough, or 0 */
			VkBuffer indirect;
			VkDeviceSize indirect_offset;
			uint8_t push[GQE_MAX_PUSH_BYTES];
		} dispatch;
		struct {
			VkBuffer from, to;
			VkBufferCopy region;
		} copy;
		struct {
			VkBuffer buffer;
			VkDeviceSize offset, bytes;
			uint32_t word;
		} fill;
	};
};

struct gqe_steps {
	struct gqe_vulkan *vulkan;
	struct gqe_commands commands;
	struct step *list;
	size_t count, capacity;
	struct gqe_range *ranges; /* of all steps, in order */
	size_t range_count, range_capacity;
	struct gqe_hazards hazards;
	struct gqe_buffer lent[GQE_MAX_LENT_BUFFERS]; /* [lent_count] */
	uint32_t lent_count;
	struct gqe_pipeline *unmade[GQE_PIPELINES_AT_ONCE]; /* [unmade_count]: what steps need and is to be made before they run */
	uint32_t unmade_count;
	gqe_error error; /* the first one while appending; status GQE_OK: none */
	double work;
	double pipeline_seconds;      /* that pipelines took, and submits in which one ran first */
	uint64_t making_since;        /* when those that are being made were begun; 0: none are */
	uint32_t label;               /* of the next step */
	struct gqe_step_clock *clock; /* NULL: runs are not timed */
};

gqe_status gqe_steps_create(struct gqe_vulkan *vulkan, struct gqe_steps **steps, gqe_error *error)
{
	*steps = calloc(1, sizeof(**steps));
	if (!*steps) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a step list");
	}
	(*steps)->vulkan = vulkan;
	gqe_status status = gqe_commands_create(vulkan, &(*steps)->commands, error);
	if (status != GQE_OK) {
		gqe_steps_destroy(steps);
	}
	return status;
}

void gqe_steps_destroy(struct gqe_steps **steps_in)
{
	struct gqe_steps *steps = *steps_in;
	if (!steps) {
		return;
	}
	gqe_step_clock_destroy(&steps->clock);
	gqe_commands_destroy(&steps->commands);
	gqe_hazards_free(&steps->hazards);
	free(steps->ranges);
	free(steps->list);
	free(steps);
	*steps_in = NULL;
}

/* --- appending --- */

void gqe_steps_fail(struct gqe_steps *steps, const gqe_error *error)
{
	if (steps->error.status == GQE_OK) {
		steps->error = *error;
	}
}

static void fail_out_of_memory(struct gqe_steps *steps)
{
	gqe_error error;
	gqe_fail(&error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a list of %zu steps", steps->count);
	gqe_steps_fail(steps, &error);
}

static bool room_for_step(struct gqe_steps *steps, uint32_t range_count)
{
	if (steps->count == steps->capacity) {
		size_t capacity = steps->capacity ? steps->capacity * 2 : 64;
		struct step *list = realloc(steps->list, capacity * sizeof(*list));
		if (!list) {
			return false;
		}
		steps->list = list;
		steps->capacity = capacity;
	}
	if (steps->range_capacity - steps->range_count < range_count) {
		size_t capacity = steps->range_capacity * 2 + MAX_RANGES;
		struct gqe_range *ranges = realloc(steps->ranges, capacity * sizeof(*ranges));
		if (!ranges) {
			return false;
		}
		steps->ranges = ranges;
		steps->range_capacity = capacity;
	}
	return true;
}

static void append(struct gqe_steps *steps, const struct step *step, const struct gqe_range *ranges, uint32_t range_count)
{
	if (!room_for_step(steps, range_count)) {
		fail_out_of_memory(steps);
		return;
	}
	struct step *added = &steps->list[steps->count++];
	*added = *step;
	added->label = steps->label;
	added->first_range = steps->range_count;
	added->range_count = range_count;
	memcpy(&steps->ranges[steps->range_count], ranges, range_count * sizeof(*ranges));
	steps->range_count += range_count;
	steps->work += step->work;
}

void gqe_steps_lend(struct gqe_steps *steps, const struct gqe_buffer *buffer)
{
	assert(steps->lent_count < GQE_MAX_LENT_BUFFERS);
	steps->lent[steps->lent_count++] = *buffer;
}

static bool find_lent(const struct gqe_steps *steps, uint64_t address, struct gqe_buffer *buffer)
{
	for (uint32_t i = 0; i < steps->lent_count; i++) {
		if (address >= steps->lent[i].address && address - steps->lent[i].address < steps->lent[i].size) {
			*buffer = steps->lent[i];
			return true;
		}
	}
	return false;
}

/*
 * The whole buffers that the push constants point into: how far a kernel reaches from a pointer is its own affair, but it stays in
 * that buffer. A pointer into no live buffer is a mistake of the caller that would corrupt memory or lose the device.
 */
static bool resolve_pointers(struct gqe_steps *steps, const struct gqe_dispatch *dispatch, struct gqe_range ranges[MAX_RANGES],
			     uint32_t *count)
{
	const struct gqe_kernel_variant *variant = dispatch->variant;
	for (uint32_t i = 0; i < variant->pointer_count; i++) {
		const struct gqe_push_pointer *pointer = &variant->pointers[i];
		uint64_t address;
		struct gqe_buffer buffer;
		memcpy(&address, (const uint8_t *)dispatch->push + pointer->offset, sizeof(address));
		if (address == 0) {
			continue;
		}
		if (!find_lent(steps, address, &buffer) && !gqe_address_find(steps->vulkan, address, &buffer)) {
			gqe_error error;
			gqe_fail(&error, GQE_ERROR_INTERNAL, "kernel %s: the pointer %s (0x%llx) is in no live buffer",
				 variant->kernel, pointer->name, (unsigned long long)address);
			gqe_steps_fail(steps, &error);
			return false;
		}
		ranges[(*count)++] = (struct gqe_range){buffer.address, buffer.size, pointer->access};
	}
	return true;
}

/* Lays a linear workgroup count over x and y, as linear_workgroup() of the kernels undoes it. */
static bool lay_out_grid(struct gqe_steps *steps, const struct gqe_dispatch *dispatch, struct step *step)
{
	const struct gqe_capabilities *capabilities = &steps->vulkan->capabilities;
	uint64_t widest = gqe_min_u32(capabilities->max_workgroup_count_x, GQE_MAX_WORKGROUPS_X);
	uint64_t x = dispatch->workgroups < widest ? dispatch->workgroups : gqe_min_u32((uint32_t)widest, SPLITTABLE_WIDTH);
	while (x < widest && dispatch->workgroups / x >= capabilities->max_workgroup_count_y) {
		x = x * 2 < widest ? x * 2 : widest;
	}
	uint64_t y = dispatch->workgroups / x + (dispatch->workgroups % x != 0);
	if (y > capabilities->max_workgroup_count_y) {
		gqe_error error;
		gqe_fail(&error, GQE_ERROR_INTERNAL, "kernel %s: %llu workgroups are more than %s takes; use a smaller chunk",
			 dispatch->variant->kernel, (unsigned long long)dispatch->workgroups, steps->vulkan->info.name);
		gqe_steps_fail(steps, &error);
		return false;
	}
	step->dispatch.x = (uint32_t)x;
	step->dispatch.y = (uint32_t)y;
	return true;
}

/* CPU drivers compile a pipeline when it first runs. */
static double first_run_seconds(const struct step *step)
{
	bool dispatches = step->kind == STEP_DISPATCH || step->kind == STEP_DISPATCH_INDIRECT;
	return dispatches && !atomic_load_explicit(&step->dispatch.pipeline->has_run, memory_order_relaxed) ? FIRST_RUN_SECONDS : 0;
}

/* Those that the steps so far need. */
static gqe_status make_pipelines(struct gqe_steps *steps, bool (*cancelled)(void *user), void *user, gqe_error *error)
{
	if (steps->unmade_count == 0) {
		return GQE_OK;
	}
	steps->making_since = gqe_wall_nanoseconds();
	gqe_status status = gqe_pipelines_make(steps->vulkan, steps->unmade, steps->unmade_count, cancelled, user, error);
	steps->pipeline_seconds += gqe_seconds_since(steps->making_since);
	steps->making_since = 0;
	steps->unmade_count = 0;
	return status;
}

/* All that a list needs is made at once when it runs, as making one takes long; or when there is no room to remember more. */
static bool need_pipeline(struct gqe_steps *steps, const struct gqe_dispatch *dispatch, struct gqe_pipeline **pipeline)
{
	gqe_error error;
	gqe_status status = gqe_pipeline_get(steps->vulkan, dispatch->variant, &dispatch->specialization, pipeline, &error);
	bool is_known = status != GQE_OK || atomic_load(&(*pipeline)->is_made);
	for (uint32_t i = 0; i < steps->unmade_count && !is_known; i++) {
		is_known = steps->unmade[i] == *pipeline;
	}
	if (!is_known && steps->unmade_count == GQE_PIPELINES_AT_ONCE) {
		status = make_pipelines(steps, NULL, NULL, &error);
	}
	if (status != GQE_OK) {
		gqe_steps_fail(steps, &error);
		return false;
	}
	if (!is_known) {
		steps->unmade[steps->unmade_count++] = *pipeline;
	}
	return true;
}

void gqe_steps_dispatch(struct gqe_steps *steps, const struct gqe_dispatch *dispatch)
{
	if (steps->error.status != GQE_OK || (!dispatch->indirect && dispatch->workgroups == 0)) {
		return;
	}
	struct step step = {.kind = STEP_DISPATCH, .work = dispatch->work};
	struct gqe_range ranges[MAX_RANGES];
	uint32_t range_count = 0;
	if (!resolve_pointers(steps, dispatch, ranges, &range_count)) {
		return;
	}
	if (dispatch->indirect) {
		step.kind = STEP_DISPATCH_INDIRECT;
		step.dispatch.indirect = dispatch->indirect->handle;
		step.dispatch.indirect_offset = dispatch->indirect->offset;
		ranges[range_count++] = (struct gqe_range){dispatch->indirect->address, dispatch->indirect->size, GQE_ACCESS_READ};
	}
	if (dispatch->workgroups > 0 && !lay_out_grid(steps, dispatch, &step)) {
		return;
	}
	if (!need_pipeline(steps, dispatch, &step.dispatch.pipeline)) {
		return;
	}
	memcpy(step.dispatch.push, dispatch->push, dispatch->variant->push_bytes);
	append(steps, &step, ranges, range_count);
}

static bool inside(struct gqe_steps *steps, const struct gqe_buffer *buffer, uint64_t offset, uint64_t bytes)
{
	if (offset <= buffer->size && bytes <= buffer->size - offset) {
		return true;
	}
	gqe_error error;
	gqe_fail(&error, GQE_ERROR_INTERNAL, "a copy or fill of %llu bytes at %llu leaves its buffer of %llu bytes",
		 (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)buffer->size);
	gqe_steps_fail(steps, &error);
	return false;
}

void gqe_steps_copy(struct gqe_steps *steps, const struct gqe_buffer *from, uint64_t from_offset, const struct gqe_buffer *to,
		    uint64_t to_offset, uint64_t bytes)
{
	if (steps->error.status != GQE_OK || bytes == 0 || !inside(steps, from, from_offset, bytes) ||
	    !inside(steps, to, to_offset, bytes)) {
		return;
	}
	struct step step = {.kind = STEP_COPY, .work = WORK_PER_BYTE * (double)bytes};
	step.copy.from = from->handle;
	step.copy.to = to->handle;
	step.copy.region = (VkBufferCopy){from->offset + from_offset, to->offset + to_offset, bytes};
	struct gqe_range ranges[] = {
		{from->address + from_offset, bytes, GQE_ACCESS_READ},
		{to->address + to_offset, bytes, GQE_ACCESS_WRITE},
	};
	append(steps, &step, ranges, GQE_COUNT(ranges));
}

void gqe_steps_fill(struct gqe_steps *steps, const struct gqe_buffer *buffer, uint64_t offset, uint64_t bytes, uint32_t word)
{
	if (steps->error.status != GQE_OK || bytes == 0 || !inside(steps, buffer, offset, bytes)) {
		return;
	}
	assert(offset % 4 == 0 && bytes % 4 == 0);
	struct step step = {.kind = STEP_FILL, .work = WORK_PER_BYTE * (double)bytes};
	step.fill.buffer = buffer->handle;
	step.fill.offset = buffer->offset + offset;
	step.fill.bytes = bytes;
	step.fill.word = word;
	struct gqe_range range = {buffer->address + offset, bytes, GQE_ACCESS_WRITE};
	append(steps, &step, &range, 1);
}

double gqe_steps_work(const struct gqe_steps *steps)
{
	return steps->work;
}

double gqe_steps_pipeline_seconds(const struct gqe_steps *steps)
{
	return steps->pipeline_seconds + (steps->making_since != 0 ? gqe_seconds_since(steps->making_since) : 0);
}

void gqe_steps_label(struct gqe_steps *steps, uint32_t label)
{
	assert(label < GQE_STEP_LABELS);
	steps->label = label;
}

gqe_status gqe_steps_enable_timing(struct gqe_steps *steps, gqe_error *error)
{
	return steps->clock ? GQE_OK : gqe_step_clock_create(steps->vulkan, &steps->clock, error);
}

struct gqe_step_times gqe_steps_times(const struct gqe_steps *steps)
{
	return steps->clock->times;
}

/* --- running --- */

/* What a step can be split by: rows of its grid, or, where that is one row, workgroups. */
static uint32_t units_of(const struct step *step)
{
	bool dispatches = step->kind == STEP_DISPATCH || step->kind == STEP_DISPATCH_INDIRECT;
	if (!dispatches || step->dispatch.x == 0) {
		return 1;
	}
	return step->dispatch.y > 1 ? step->dispatch.y : step->dispatch.x;
}

/* What one submit holds: whole steps, or a part of one. */
struct slice {
	size_t first, length;
	uint32_t first_unit, units; /* of the only step; units 0: whole steps */
	double work, seconds;       /* seconds as predicted */
	bool has_first_run;         /* of a pipeline */
};

/* Kernels see the grid that they would see as a whole: see linear_workgroup() in the shaders. */
static void record_part(const struct gqe_commands *commands, const struct step *step, const struct slice *slice)
{
	const struct gqe_vulkan_functions *fn = &commands->vulkan->fn;
	if (step->dispatch.y > 1) {
		fn->vkCmdDispatchBase(commands->buffer, 0, slice->first_unit, 0, step->dispatch.x, slice->units, 1);
	} else {
		fn->vkCmdDispatchBase(commands->buffer, slice->first_unit, 0, 0, slice->units, 1, 1);
	}
}

static void record(struct gqe_steps *steps, const struct gqe_commands *target, const struct step *step, const struct slice *slice)
{
	const struct gqe_vulkan_functions *fn = &steps->vulkan->fn;
	VkCommandBuffer commands = target->buffer;
	if (gqe_hazards_add(&steps->hazards, &steps->ranges[step->first_range], step->range_count)) {
		gqe_barrier_after_write_before_use(target);
	}
	switch (step->kind) {
	case STEP_DISPATCH:
	case STEP_DISPATCH_INDIRECT:
		gqe_pipeline_bind(step->dispatch.pipeline, target);
		if (step->dispatch.pipeline->variant->push_bytes > 0) {
			fn->vkCmdPushConstants(commands, step->dispatch.pipeline->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
					       step->dispatch.pipeline->variant->push_bytes, step->dispatch.push);
		}
		if (slice->units > 0) {
			record_part(target, step, slice);
		} else if (step->kind == STEP_DISPATCH) {
			fn->vkCmdDispatch(commands, step->dispatch.x, step->dispatch.y, 1);
		} else {
			fn->vkCmdDispatchIndirect(commands, step->dispatch.indirect, step->dispatch.indirect_offset);
		}
		break;
	case STEP_COPY:
		fn->vkCmdCopyBuffer(commands, step->copy.from, step->copy.to, 1, &step->copy.region);
		break;
	case STEP_FILL:
		fn->vkCmdFillBuffer(commands, step->fill.buffer, step->fill.offset, step->fill.bytes, step->fill.word);
		break;
	}
}

/* Changes of the label that one slice may have. */
static uint32_t slice_label_changes(const struct gqe_steps *steps)
{
	if (!steps->clock) {
		return SLICE_STEPS;
	}
	return steps->clock->times.by_device ? GQE_STEP_CLOCK_MARKS - 1 : 0;
}

static gqe_rate *rate_of(struct gqe_steps *steps, const struct step *step)
{
	bool transfers = step->kind == STEP_COPY || step->kind == STEP_FILL;
	return transfers ? &steps->vulkan->pace.transfers : &step->dispatch.pipeline->rate;
}

static double predict(struct gqe_steps *steps, const struct step *step)
{
	return gqe_pace_predict(&steps->vulkan->pace, rate_of(steps, step), step->work);
}

/* Whole steps from slice->first on, as many as a submit should hold; at least one. */
static void take_steps(struct gqe_steps *steps, struct slice *slice)
{
	const double target = gqe_pace_target(&steps->vulkan->pace);
	const uint32_t most_changes = slice_label_changes(steps);
	uint32_t changes = 0;
	double first_runs = 0;
	while (slice->first + slice->length < steps->count && slice->length < SLICE_STEPS) {
		struct step *next = &steps->list[slice->first + slice->length];
		next->seconds = predict(steps, next);
		first_runs += first_run_seconds(next);
		changes += slice->length > 0 && next->label != next[-1].label;
		if (slice->length > 0 && (slice->seconds + next->seconds + first_runs > target || changes > most_changes)) {
			break;
		}
		slice->work += next->work;
		slice->seconds += next->seconds;
		slice->has_first_run = first_runs > 0;
		slice->length++;
	}
}

/* The next submit after one that ended at step `first`, before its unit `first_unit`. */
static struct slice next_slice(struct gqe_steps *steps, size_t first, uint32_t first_unit)
{
	struct slice slice = {.first = first, .first_unit = first_unit};
	const struct step *step = &steps->list[first];
	uint32_t units = units_of(step);
	double seconds = predict(steps, step);
	uint32_t fitting = gqe_pace_units(&steps->vulkan->pace, seconds, units);
	if (first_unit == 0 && fitting == units) {
		take_steps(steps, &slice);
		return slice;
	}
	slice.length = 1;
	slice.has_first_run = first_run_seconds(step) > 0;
	slice.units = gqe_min_u32(fitting, units - first_unit);
	slice.work = step->work * slice.units / units;
	slice.seconds = seconds * slice.units / units;
	return slice;
}

static void learn(struct gqe_steps *steps, const struct slice *slice, double seconds, struct gqe_pace_cut *cut)
{
	struct gqe_pace *pace = &steps->vulkan->pace;
	if (slice->first_unit == 0) {
		*cut = (struct gqe_pace_cut){0};
	}
	if (slice->units > 0 && !slice->has_first_run) {
		gqe_pace_learn_part(pace, rate_of(steps, &steps->list[slice->first]), cut, slice->work, slice->seconds, seconds);
		gqe_pace_learn_typical(pace, cut->work, cut->seconds);
		return;
	}
	for (size_t i = slice->first; i < slice->first + slice->length; i++) {
		const struct step *step = &steps->list[i];
		double part = slice->units > 0 ? 1 : step->seconds / fmax(slice->seconds, DBL_MIN);
		if (slice->has_first_run) {
			gqe_pace_learn_first(pace, rate_of(steps, step), part, slice->seconds, seconds);
		} else {
			gqe_pace_learn(pace, rate_of(steps, step), part, slice->seconds, seconds);
		}
	}
	if (!slice->has_first_run) {
		gqe_pace_learn_typical(pace, slice->work, seconds);
	}
}

static gqe_status run_slice(struct gqe_steps *steps, const struct slice *slice, gqe_error *error)
{
	gqe_status status = gqe_commands_begin(&steps->commands, error);
	if (status != GQE_OK) {
		return status;
	}
	gqe_hazards_clear(&steps->hazards);
	if (steps->clock) {
		gqe_step_clock_begin(steps->clock, &steps->commands);
	}
	const size_t end = slice->first + slice->length;
	for (size_t i = slice->first; i < end; i++) {
		const struct step *step = &steps->list[i];
		record(steps, &steps->commands, step, slice);
		if (step->kind == STEP_DISPATCH || step->kind == STEP_DISPATCH_INDIRECT) {
			atomic_store_explicit(&step->dispatch.pipeline->has_run, true, memory_order_relaxed);
		}
		if (steps->clock && (i + 1 == end || step[1].label != step->label)) {
			gqe_step_clock_mark(steps->clock, &steps->commands, step->label);
		}
	}
	return gqe_commands_finish(&steps->commands, error);
}

void gqe_steps_discard(struct gqe_steps *steps)
{
	steps->count = 0;
	steps->range_count = 0;
	steps->lent_count = 0;
	steps->unmade_count = 0;
	steps->work = 0;
	steps->label = 0;
	steps->error.status = GQE_OK;
}

/* Whether everything could be appended; then its pipelines are made. */
static gqe_status prepare(struct gqe_steps *steps, bool (*cancelled)(void *user), void *user, gqe_error *error)
{
	if (steps->error.status == GQE_OK) {
		return make_pipelines(steps, cancelled, user, error);
	}
	return gqe_fail(error, steps->error.status, "%s", steps->error.message);
}

gqe_status gqe_steps_record(struct gqe_steps *steps, const struct gqe_commands *commands, gqe_error *error)
{
	gqe_status status = prepare(steps, NULL, NULL, error);
	const struct slice whole = {.length = steps->count};
	gqe_hazards_clear(&steps->hazards);
	if (status == GQE_OK) {
		gqe_barrier_after_write_before_use(commands);
	}
	for (size_t i = 0; status == GQE_OK && i < steps->count; i++) {
		record(steps, commands, &steps->list[i], &whole);
	}
	gqe_steps_discard(steps);
	return status;
}

static void log_long_submit(const struct gqe_steps *steps, const struct slice *slice, double seconds)
{
	const struct step *first = &steps->list[slice->first];
	bool dispatches = first->kind == STEP_DISPATCH || first->kind == STEP_DISPATCH_INDIRECT;
	gqe_log_write(&steps->vulkan->log, GQE_LOG_INFO, "a submit took %.0f ms, %.0f were expected: %s%s%s", seconds * 1e3,
		      slice->seconds * 1e3, slice->units > 0 ? "a part of " : "",
		      dispatches ? first->dispatch.pipeline->variant->kernel : "a transfer",
		      slice->length > 1 ? " and what follows it" : "");
}

gqe_status gqe_steps_run(struct gqe_steps *steps, bool (*cancelled)(void *user), void *user, gqe_error *error)
{
	gqe_status status = prepare(steps, cancelled, user, error);
	if (steps->clock) {
		gqe_step_clock_reset(steps->clock);
	}
	size_t first = 0;
	uint32_t first_unit = 0;
	struct gqe_pace_cut cut = {0};
	while (status == GQE_OK && first < steps->count) {
		if (cancelled && cancelled(user)) {
			status = gqe_fail(error, GQE_CANCELLED, "cancelled");
			break;
		}
		const struct slice slice = next_slice(steps, first, first_unit);
		uint64_t start = gqe_wall_nanoseconds();
		status = run_slice(steps, &slice, error);
		double seconds = gqe_seconds_since(start);
		learn(steps, &slice, seconds, &cut);
		steps->pipeline_seconds += slice.has_first_run ? seconds : 0;
		if (seconds > gqe_pace_cap(&steps->vulkan->pace)) {
			log_long_submit(steps, &slice, seconds);
		}
		if (steps->clock && status == GQE_OK) {
			status = gqe_step_clock_read(steps->clock, seconds, error);
		}
		bool is_part = slice.units > 0 && slice.first_unit + slice.units < units_of(&steps->list[first]);
		first_unit = is_part ? slice.first_unit + slice.units : 0;
		first += is_part ? 0 : slice.length;
		if (first < steps->count) {
			gqe_pace_pause(&steps->vulkan->pace, seconds);
		}
	}
	gqe_steps_discard(steps);
	return status;
}
