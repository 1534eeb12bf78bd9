#include "vulkan/step_clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

gqe_status gqe_step_clock_create(struct gqe_vulkan *vulkan, struct gqe_step_clock **clock, gqe_error *error)
{
	gqe_status status = GQE_OK;
	VkQueryPoolCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
		.queryType = VK_QUERY_TYPE_TIMESTAMP,
		.queryCount = GQE_STEP_CLOCK_MARKS + 1,
	};
	*clock = calloc(1, sizeof(**clock));
	if (!*clock) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to time steps");
	}
	(*clock)->vulkan = vulkan;
	(*clock)->times.by_device = vulkan->capabilities.timestamps;
	if (vulkan->capabilities.timestamps) {
		VK_MAKE(vulkan, error, &(*clock)->pool, vkCreateQueryPool, vulkan->device, &info, NULL);
	}
	return GQE_OK;
fail:
	gqe_step_clock_destroy(clock);
	return status;
}

void gqe_step_clock_destroy(struct gqe_step_clock **clock)
{
	if (!*clock) {
		return;
	}
	struct gqe_vulkan *vulkan = (*clock)->vulkan;
	if ((*clock)->pool) {
		vulkan->fn.vkDestroyQueryPool(vulkan->device, (*clock)->pool, NULL);
	}
	free(*clock);
	*clock = NULL;
}

void gqe_step_clock_reset(struct gqe_step_clock *clock)
{
	memset(clock->times.seconds, 0, sizeof(clock->times.seconds));
}

/* Taken when everything before it is complete, so that differences add up to the whole, whatever overlaps. */
static void write_timestamp(const struct gqe_step_clock *clock, const struct gqe_commands *commands, uint32_t index)
{
	if (clock->pool) {
		clock->vulkan->fn.vkCmdWriteTimestamp(commands->buffer, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, clock->pool, index);
	}
}

void gqe_step_clock_begin(struct gqe_step_clock *clock, const struct gqe_commands *commands)
{
	clock->mark_count = 0;
	if (clock->pool) {
		clock->vulkan->fn.vkCmdResetQueryPool(commands->buffer, clock->pool, 0, GQE_STEP_CLOCK_MARKS + 1);
	}
	write_timestamp(clock, commands, 0);
}

void gqe_step_clock_mark(struct gqe_step_clock *clock, const struct gqe_commands *commands, uint32_t label)
{
	assert(clock->mark_count < GQE_STEP_CLOCK_MARKS);
	clock->labels[clock->mark_count++] = label;
	write_timestamp(clock, commands, clock->mark_count);
}

gqe_status gqe_step_clock_read(struct gqe_step_clock *clock, double wall_seconds, gqe_error *error)
{
	gqe_status status = GQE_OK;
	const struct gqe_vulkan *vulkan = clock->vulkan;
	uint64_t ticks[GQE_STEP_CLOCK_MARKS + 1];
	if (!clock->pool) {
		assert(clock->mark_count == 1);
		clock->times.seconds[clock->labels[0]] += wall_seconds;
		return GQE_OK;
	}
	VK(vulkan, error, vkGetQueryPoolResults, vulkan->device, clock->pool, 0, clock->mark_count + 1, sizeof(ticks), ticks,
	   sizeof(ticks[0]), VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT);
	/* The counter has only so many bits and may wrap between two timestamps. */
	uint32_t bits = vulkan->capabilities.timestamp_bits;
	uint64_t mask = bits >= 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
	for (uint32_t i = 0; i < clock->mark_count; i++) {
		uint64_t elapsed = (ticks[i + 1] - ticks[i]) & mask;
		clock->times.seconds[clock->labels[i]] += 1e-9 * vulkan->capabilities.timestamp_period * (double)elapsed;
	}
fail:
	return status;
}
