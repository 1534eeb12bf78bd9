#include "vulkan/commands.h"

#include <string.h>

/* What kernels, copies and fills do to memory. */
#define WORK_STAGES (VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT)
#define WORK_WRITES (VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT)
#define WORK_READS (VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_INDIRECT_COMMAND_READ_BIT)

gqe_status gqe_commands_create(struct gqe_vulkan *vulkan, struct gqe_commands *commands, gqe_error *error)
{
	gqe_status status = GQE_OK;
	*commands = (struct gqe_commands){.vulkan = vulkan};
	VkCommandPoolCreateInfo pool = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
		.flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT,
		.queueFamilyIndex = vulkan->queue_family,
	};
	VK_MAKE(vulkan, error, &commands->pool, vkCreateCommandPool, vulkan->device, &pool, NULL);
	VkCommandBufferAllocateInfo buffer = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
		.commandPool = commands->pool,
		.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
		.commandBufferCount = 1,
	};
	VK_MAKE(vulkan, error, &commands->buffer, vkAllocateCommandBuffers, vulkan->device, &buffer);
	VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
	VK_MAKE(vulkan, error, &commands->fence, vkCreateFence, vulkan->device, &fence, NULL);
	return GQE_OK;
fail:
	gqe_commands_destroy(commands);
	return status;
}

void gqe_commands_destroy(struct gqe_commands *commands)
{
	struct gqe_vulkan *vulkan = commands->vulkan;
	if (!vulkan) {
		return;
	}
	if (commands->fence) {
		vulkan->fn.vkDestroyFence(vulkan->device, commands->fence, NULL);
	}
	if (commands->pool) {
		vulkan->fn.vkDestroyCommandPool(vulkan->device, commands->pool, NULL);
	}
	memset(commands, 0, sizeof(*commands));
}

static void memory_barrier(const struct gqe_commands *commands, VkPipelineStageFlags to_stages, VkAccessFlags to_access)
{
	VkMemoryBarrier barrier = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
		.srcAccessMask = WORK_WRITES,
		.dstAccessMask = to_access,
	};
	commands->vulkan->fn.vkCmdPipelineBarrier(commands->buffer, WORK_STAGES, to_stages, 0, 1, &barrier, 0, NULL, 0, NULL);
}

void gqe_barrier_after_write_before_use(const struct gqe_commands *commands)
{
	memory_barrier(commands, WORK_STAGES | VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT, WORK_READS | WORK_WRITES);
}

static void barrier_after_write_before_host_read(const struct gqe_commands *commands)
{
	memory_barrier(commands, VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
}

gqe_status gqe_commands_begin(struct gqe_commands *commands, gqe_error *error)
{
	gqe_status status = GQE_OK;
	struct gqe_vulkan *vulkan = commands->vulkan;
	VkCommandBufferBeginInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
		.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT,
	};
	VK(vulkan, error, vkResetCommandPool, vulkan->device, commands->pool, 0);
	VK(vulkan, error, vkBeginCommandBuffer, commands->buffer, &info);
	/* A fence makes an earlier submit's writes available, but not visible to later submits. */
	gqe_barrier_after_write_before_use(commands);
fail:
	return status;
}

/* After a failure: nothing of ours is in flight any more, as far as the driver can still say. */
static void wait_idle(struct gqe_vulkan *vulkan)
{
	gqe_queue_lock(vulkan);
	vulkan->fn.vkQueueWaitIdle(vulkan->queue);
	gqe_queue_unlock(vulkan);
}

static VkResult submit(struct gqe_commands *commands)
{
	struct gqe_vulkan *vulkan = commands->vulkan;
	VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands->buffer,
	};
	gqe_queue_lock(vulkan);
	VkResult result = vulkan->fn.vkQueueSubmit(vulkan->queue, 1, &info, commands->fence);
	gqe_queue_unlock(vulkan);
	return result;
}

gqe_status gqe_commands_finish(struct gqe_commands *commands, gqe_error *error)
{
	gqe_status status = GQE_OK;
	struct gqe_vulkan *vulkan = commands->vulkan;
	VkResult submitted;
	barrier_after_write_before_host_read(commands);
	VK(vulkan, error, vkEndCommandBuffer, commands->buffer);
	VK(vulkan, error, vkResetFences, vulkan->device, 1, &commands->fence);
	submitted = submit(commands);
	if (submitted != VK_SUCCESS) {
		wait_idle(vulkan); /* a submit that fails may still have started */
		return gqe_vulkan_fail(vulkan, submitted, "vkQueueSubmit", error);
	}
	VkResult waited = vulkan->fn.vkWaitForFences(vulkan->device, 1, &commands->fence, VK_TRUE, UINT64_MAX);
	if (waited != VK_SUCCESS) {
		wait_idle(vulkan);
		return gqe_vulkan_fail(vulkan, waited, "vkWaitForFences", error);
	}
fail:
	return status;
}

/* The semaphores of a submit in Vulkan's form; both counts are at most GQE_MAX_SEMAPHORES. */
struct semaphores {
	VkSemaphore waits[GQE_MAX_SEMAPHORES], signals[GQE_MAX_SEMAPHORES];
	uint64_t wait_values[GQE_MAX_SEMAPHORES], signal_values[GQE_MAX_SEMAPHORES];
	VkPipelineStageFlags stages[GQE_MAX_SEMAPHORES];
};

static void translate(const gqe_vulkan_submit *from, struct semaphores *to)
{
	for (uint32_t i = 0; i < from->wait_count; i++) {
		to->waits[i] = from->waits[i].semaphore;
		to->wait_values[i] = from->waits[i].value;
		to->stages[i] = VK_PIPELINE_STAGE_ALL_COMMANDS_BIT;
	}
	for (uint32_t i = 0; i < from->signal_count; i++) {
		to->signals[i] = from->signals[i].semaphore;
		to->signal_values[i] = from->signals[i].value;
	}
}

gqe_status gqe_commands_submit(struct gqe_commands *commands, const gqe_vulkan_submit *semaphores, gqe_error *error)
{
	gqe_status status = GQE_OK;
	struct gqe_vulkan *vulkan = commands->vulkan;
	struct semaphores translated;
	translate(semaphores, &translated);
	VkTimelineSemaphoreSubmitInfo timeline = {
		.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO,
		.waitSemaphoreValueCount = semaphores->wait_count,
		.pWaitSemaphoreValues = translated.wait_values,
		.signalSemaphoreValueCount = semaphores->signal_count,
		.pSignalSemaphoreValues = translated.signal_values,
	};
	VkSubmitInfo info = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
		.pNext = &timeline,
		.waitSemaphoreCount = semaphores->wait_count,
		.pWaitSemaphores = translated.waits,
		.pWaitDstStageMask = translated.stages,
		.commandBufferCount = 1,
		.pCommandBuffers = &commands->buffer,
		.signalSemaphoreCount = semaphores->signal_count,
		.pSignalSemaphores = translated.signals,
	};
	VkResult submitted;
	VK(vulkan, error, vkEndCommandBuffer, commands->buffer);
	VK(vulkan, error, vkResetFences, vulkan->device, 1, &commands->fence);
	gqe_queue_lock(vulkan);
	submitted = vulkan->fn.vkQueueSubmit(vulkan->queue, 1, &info, commands->fence);
	gqe_queue_unlock(vulkan);
	if (submitted != VK_SUCCESS) {
		wait_idle(vulkan); /* a submit that fails may still have started */
		return gqe_vulkan_fail(vulkan, submitted, "vkQueueSubmit", error);
	}
	commands->in_flight = true;
fail:
	return status;
}

gqe_status gqe_commands_wait(struct gqe_commands *commands, gqe_error *error)
{
	struct gqe_vulkan *vulkan = commands->vulkan;
	if (!commands->in_flight) {
		return GQE_OK;
	}
	commands->in_flight = false;
	VkResult waited = vulkan->fn.vkWaitForFences(vulkan->device, 1, &commands->fence, VK_TRUE, UINT64_MAX);
	if (waited == VK_SUCCESS) {
		return GQE_OK;
	}
	wait_idle(vulkan);
	return gqe_vulkan_fail(vulkan, waited, "vkWaitForFences", error);
}
