/* Inside the Vulkan storey: one reusable command buffer, submitted and waited for, and barriers named by what they are for. */
#ifndef GQE_VULKAN_COMMANDS_H
#define GQE_VULKAN_COMMANDS_H

#include "vulkan/device.h"

#define GQE_MAX_SEMAPHORES 16 /* to wait for, and to signal, in one submit */

struct gqe_commands {
	struct gqe_vulkan *vulkan;
	VkCommandPool pool;
	VkCommandBuffer buffer;
	VkFence fence;
	bool in_flight; /* submitted and not waited for */
};

gqe_status gqe_commands_create(struct gqe_vulkan *vulkan, struct gqe_commands *commands, gqe_error *error);
/* Nothing may be in flight; takes half-made and zeroed ones. */
void gqe_commands_destroy(struct gqe_commands *commands);

/* Starts recording anew; everything that earlier submits wrote is visible to what is recorded. */
gqe_status gqe_commands_begin(struct gqe_commands *commands, gqe_error *error);
/* Ends, submits and waits; then nothing is in flight, after a failure too. Device writes are visible to the host afterwards. */
gqe_status gqe_commands_finish(struct gqe_commands *commands, gqe_error *error);

/* Ends and submits, between those semaphores, and does not wait. */
gqe_status gqe_commands_submit(struct gqe_commands *commands, const gqe_vulkan_submit *semaphores, gqe_error *error);
/* Until nothing of a gqe_commands_submit is in flight, as far as the driver can say. */
gqe_status gqe_commands_wait(struct gqe_commands *commands, gqe_error *error);

/* What follows may read and overwrite what the dispatches, copies and fills before have read and written. */
void gqe_barrier_after_write_before_use(const struct gqe_commands *commands);

#endif
