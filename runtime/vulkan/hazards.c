/* The barrier planner: ranges in, "a barrier is needed" out. Knows no Vulkan. */
#include "vulkan/steps.h"

#include <stdlib.h>
#include <string.h>

/* Written so that a range may end at 2^64. */
static bool overlap(const struct gqe_range *a, const struct gqe_range *b)
{
	return a->address < b->address ? b->address - a->address < a->size : a->address - b->address < b->size;
}

static bool conflict(const struct gqe_range *a, const struct gqe_range *b)
{
	return ((a->access | b->access) & GQE_ACCESS_WRITE) && a->size && b->size && overlap(a, b);
}

static bool conflicts_with_pending(const struct gqe_hazards *hazards, const struct gqe_range *ranges, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t j = 0; j < hazards->count; j++) {
			if (conflict(&ranges[i], &hazards->ranges[j])) {
				return true;
			}
		}
	}
	return false;
}

static void append(struct gqe_hazards *hazards, const struct gqe_range *ranges, uint32_t count)
{
	if (count > hazards->capacity - hazards->count) {
		uint32_t capacity = gqe_max_u32(hazards->capacity * 2, hazards->count + gqe_max_u32(count, 16));
		struct gqe_range *grown = realloc(hazards->ranges, capacity * sizeof(*grown));
		if (!grown) {
			hazards->failed = true;
			return;
		}
		hazards->ranges = grown;
		hazards->capacity = capacity;
	}
	memcpy(&hazards->ranges[hazards->count], ranges, count * sizeof(*ranges));
	hazards->count += count;
}

bool gqe_hazards_add(struct gqe_hazards *hazards, const struct gqe_range *ranges, uint32_t count)
{
	bool barrier = hazards->failed || conflicts_with_pending(hazards, ranges, count);
	if (barrier) {
		hazards->count = 0;
	}
	if (!hazards->failed && count > 0) {
		append(hazards, ranges, count);
	}
	return barrier;
}

void gqe_hazards_clear(struct gqe_hazards *hazards)
{
	hazards->count = 0;
}

void gqe_hazards_free(struct gqe_hazards *hazards)
{
	free(hazards->ranges);
	*hazards = (struct gqe_hazards){0};
}
