/* Inside the Vulkan storey: how long the steps of each label take, by the device's timestamps or, without them, the wall clock. */
#ifndef GQE_VULKAN_STEP_CLOCK_H
#define GQE_VULKAN_STEP_CLOCK_H

#include "vulkan/commands.h"
#include "vulkan/steps.h"

/* Most marks in one submit; bounds the query pool. */
#define GQE_STEP_CLOCK_MARKS 255

struct gqe_step_clock {
	struct gqe_vulkan *vulkan;
	VkQueryPool pool;    /* VK_NULL_HANDLE: the device has no timestamps */
	uint32_t mark_count; /* in the running submit; timestamp i + 1 belongs to mark i, timestamp 0 to its beginning */
	uint32_t labels[GQE_STEP_CLOCK_MARKS];
	struct gqe_step_times times;
};

gqe_status gqe_step_clock_create(struct gqe_vulkan *vulkan, struct gqe_step_clock **clock, gqe_error *error);
void gqe_step_clock_destroy(struct gqe_step_clock **clock);

void gqe_step_clock_reset(struct gqe_step_clock *clock);
/* Around the commands of a submit: the beginning, and a mark after the last of consecutive steps of a label. */
void gqe_step_clock_begin(struct gqe_step_clock *clock, const struct gqe_commands *commands);
void gqe_step_clock_mark(struct gqe_step_clock *clock, const struct gqe_commands *commands, uint32_t label);
/* After the submit was waited for: adds what its marks say; without timestamps its one mark took `wall_seconds`. */
gqe_status gqe_step_clock_read(struct gqe_step_clock *clock, double wall_seconds, gqe_error *error);

#endif
