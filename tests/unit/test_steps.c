/* The step list with a made-up driver that only counts: slices, barriers, grids, cancelling, and what happens on failures. */
#include "vulkan/address_map.h"
#include "vulkan/steps.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* What the made-up driver saw since the last reset. */
static struct {
	uint32_t submits, waits, dispatches, barriers, copies, fills;
	uint32_t grid_x, grid_y;
	uint32_t parts, next_unit; /* of a step that is dispatched in parts */
	bool by_rows;              /* expected of it */
	uint32_t busy;             /* submits that were not waited for */
	VkResult submit_result, wait_result, query_result;
	long wait_milliseconds; /* that a submit takes */
	uint32_t query_pools, timestamps;
	uint64_t first_ticks; /* of the device's clock, which then takes 1000 ticks from one timestamp to the next */
} seen;

/* Pipelines are made on several threads. */
static atomic_uint pipelines_asked;
static unsigned pipeline_failing = UINT_MAX; /* which of them */

static struct gqe_vulkan vulkan;

#define HANDLE(type) ((type)(uintptr_t)1)

static VkResult VKAPI_PTR create_layout(VkDevice device, const VkPipelineLayoutCreateInfo *info,
					const VkAllocationCallbacks *allocator, VkPipelineLayout *layout)
{
	(void)device, (void)info, (void)allocator;
	*layout = HANDLE(VkPipelineLayout);
	return VK_SUCCESS;
}

static void VKAPI_PTR destroy_layout(VkDevice device, VkPipelineLayout layout, const VkAllocationCallbacks *allocator)
{
	(void)device, (void)layout, (void)allocator;
}

static VkResult VKAPI_PTR create_module(VkDevice device, const VkShaderModuleCreateInfo *info,
					const VkAllocationCallbacks *allocator, VkShaderModule *module)
{
	(void)device, (void)info, (void)allocator;
	*module = HANDLE(VkShaderModule);
	return VK_SUCCESS;
}

static void VKAPI_PTR destroy_module(VkDevice device, VkShaderModule module, const VkAllocationCallbacks *allocator)
{
	(void)device, (void)module, (void)allocator;
}

static VkResult VKAPI_PTR create_pipelines(VkDevice device, VkPipelineCache cache, uint32_t count,
					   const VkComputePipelineCreateInfo *infos, const VkAllocationCallbacks *allocator,
					   VkPipeline *pipelines)
{
	(void)device, (void)cache, (void)count, (void)infos, (void)allocator;
	nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL); /* so that threads meet here */
	if (atomic_fetch_add(&pipelines_asked, 1) == pipeline_failing) {
		memset(pipelines, 0xa5, sizeof(*pipelines));
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	*pipelines = HANDLE(VkPipeline);
	return VK_SUCCESS;
}

static void VKAPI_PTR destroy_pipeline(VkDevice device, VkPipeline pipeline, const VkAllocationCallbacks *allocator)
{
	(void)device, (void)pipeline, (void)allocator;
}

static VkResult VKAPI_PTR create_pool(VkDevice device, const VkCommandPoolCreateInfo *info, const VkAllocationCallbacks *allocator,
				      VkCommandPool *pool)
{
	(void)device, (void)info, (void)allocator;
	*pool = HANDLE(VkCommandPool);
	return VK_SUCCESS;
}

static void VKAPI_PTR destroy_pool(VkDevice device, VkCommandPool pool, const VkAllocationCallbacks *allocator)
{
	(void)device, (void)pool, (void)allocator;
}

static VkResult VKAPI_PTR reset_pool(VkDevice device, VkCommandPool pool, VkCommandPoolResetFlags flags)
{
	(void)device, (void)pool, (void)flags;
	assert_int_equal(seen.busy, 0); /* its command buffer would be in use */
	return VK_SUCCESS;
}

static VkResult VKAPI_PTR allocate_commands(VkDevice device, const VkCommandBufferAllocateInfo *info, VkCommandBuffer *commands)
{
	(void)device, (void)info;
	*commands = HANDLE(VkCommandBuffer);
	return VK_SUCCESS;
}

static VkResult VKAPI_PTR begin_commands(VkCommandBuffer commands, const VkCommandBufferBeginInfo *info)
{
	(void)commands, (void)info;
	return VK_SUCCESS;
}

static VkResult VKAPI_PTR end_commands(VkCommandBuffer commands)
{
	(void)commands;
	return VK_SUCCESS;
}

static VkResult VKAPI_PTR create_fence(VkDevice device, const VkFenceCreateInfo *info, const VkAllocationCallbacks *allocator,
				       VkFence *fence)
{
	(void)device, (void)info, (void)allocator;
	*fence = HANDLE(VkFence);
	return VK_SUCCESS;
}

static void VKAPI_PTR destroy_fence(VkDevice device, VkFence fence, const VkAllocationCallbacks *allocator)
{
	(void)device, (void)fence, (void)allocator;
	assert_int_equal(seen.busy, 0);
}

static VkResult VKAPI_PTR reset_fences(VkDevice device, uint32_t count, const VkFence *fences)
{
	(void)device, (void)count, (void)fences;
	return VK_SUCCESS;
}

static VkResult VKAPI_PTR submit(VkQueue queue, uint32_t count, const VkSubmitInfo *infos, VkFence fence)
{
	(void)queue, (void)count, (void)infos, (void)fence;
	seen.submits++;
	seen.busy++;
	return seen.submit_result;
}

static VkResult VKAPI_PTR wait_for_fences(VkDevice device, uint32_t count, const VkFence *fences, VkBool32 all, uint64_t timeout)
{
	(void)device, (void)count, (void)fences, (void)all, (void)timeout;
	seen.waits++;
	if (seen.wait_milliseconds > 0) {
		nanosleep(&(struct timespec){.tv_nsec = seen.wait_milliseconds * 1000000}, NULL);
	}
	if (seen.wait_result == VK_SUCCESS) {
		seen.busy = 0;
	}
	return seen.wait_result;
}

static VkResult VKAPI_PTR wait_idle(VkQueue queue)
{
	(void)queue;
	seen.busy = 0;
	return VK_SUCCESS;
}

static void VKAPI_PTR bind_pipeline(VkCommandBuffer commands, VkPipelineBindPoint point, VkPipeline pipeline)
{
	(void)commands, (void)point, (void)pipeline;
}

static void VKAPI_PTR push_constants(VkCommandBuffer commands, VkPipelineLayout layout, VkShaderStageFlags stages, uint32_t offset,
				     uint32_t size, const void *values)
{
	(void)commands, (void)layout, (void)stages, (void)offset, (void)size, (void)values;
}

static void VKAPI_PTR dispatch_grid(VkCommandBuffer commands, uint32_t x, uint32_t y, uint32_t z)
{
	(void)commands;
	assert_int_equal(z, 1);
	seen.dispatches++;
	seen.grid_x = x;
	seen.grid_y = y;
}

/* Parts of a step must follow each other without a gap, along the rows of its grid, or along its only row. */
static void VKAPI_PTR dispatch_base(VkCommandBuffer commands, uint32_t base_x, uint32_t base_y, uint32_t base_z, uint32_t x,
				    uint32_t y, uint32_t z)
{
	(void)commands;
	assert_int_equal(base_z, 0);
	assert_int_equal(z, 1);
	assert_int_equal(seen.by_rows ? base_x : base_y, 0);
	assert_int_equal(seen.by_rows ? base_y : base_x, seen.next_unit);
	seen.next_unit += seen.by_rows ? y : x;
	seen.parts++;
	seen.grid_x = x;
}

static void VKAPI_PTR dispatch_indirect(VkCommandBuffer commands, VkBuffer buffer, VkDeviceSize offset)
{
	(void)commands, (void)buffer, (void)offset;
	seen.dispatches++;
}

static void VKAPI_PTR copy_buffer(VkCommandBuffer commands, VkBuffer from, VkBuffer to, uint32_t count, const VkBufferCopy *regions)
{
	(void)commands, (void)from, (void)to, (void)count, (void)regions;
	seen.copies++;
}

static void VKAPI_PTR fill_buffer(VkCommandBuffer commands, VkBuffer buffer, VkDeviceSize offset, VkDeviceSize size, uint32_t word)
{
	(void)commands, (void)buffer, (void)offset, (void)size, (void)word;
	seen.fills++;
}

static void VKAPI_PTR pipeline_barrier(VkCommandBuffer commands, VkPipelineStageFlags from, VkPipelineStageFlags to,
				       VkDependencyFlags flags, uint32_t count, const VkMemoryBarrier *barriers,
				       uint32_t buffer_count, const VkBufferMemoryBarrier *buffers, uint32_t image_count,
				       const VkImageMemoryBarrier *images)
{
	(void)commands, (void)from, (void)to, (void)flags, (void)count, (void)barriers;
	(void)buffer_count, (void)buffers, (void)image_count, (void)images;
	seen.barriers++;
}

static VkResult VKAPI_PTR create_query_pool(VkDevice device, const VkQueryPoolCreateInfo *info,
					    const VkAllocationCallbacks *allocator, VkQueryPool *pool)
{
	(void)device, (void)allocator;
	assert_int_equal(info->queryType, VK_QUERY_TYPE_TIMESTAMP);
	seen.query_pools++;
	*pool = HANDLE(VkQueryPool);
	return VK_SUCCESS;
}

static void VKAPI_PTR destroy_query_pool(VkDevice device, VkQueryPool pool, const VkAllocationCallbacks *allocator)
{
	(void)device, (void)pool, (void)allocator;
	seen.query_pools--;
}

static void VKAPI_PTR reset_query_pool(VkCommandBuffer commands, VkQueryPool pool, uint32_t first, uint32_t count)
{
	(void)commands, (void)pool, (void)first, (void)count;
	seen.timestamps = 0;
}

static void VKAPI_PTR write_timestamp(VkCommandBuffer commands, VkPipelineStageFlagBits stage, VkQueryPool pool, uint32_t query)
{
	(void)commands, (void)stage, (void)pool;
	assert_int_equal(query, seen.timestamps++);
}

static VkResult VKAPI_PTR get_query_results(VkDevice device, VkQueryPool pool, uint32_t first, uint32_t count, size_t bytes,
					    void *data, VkDeviceSize stride, VkQueryResultFlags flags)
{
	(void)device, (void)pool;
	assert_int_equal(first, 0);
	assert_int_equal(count, seen.timestamps);
	assert_int_equal(stride, sizeof(uint64_t));
	assert_true(bytes >= count * sizeof(uint64_t) && (flags & VK_QUERY_RESULT_64_BIT));
	assert_int_equal(seen.busy, 0);
	uint64_t mask = (UINT64_C(1) << vulkan.capabilities.timestamp_bits) - 1;
	for (uint32_t i = 0; i < count; i++) {
		((uint64_t *)data)[i] = (seen.first_ticks + i * 1000) & mask;
	}
	return seen.query_result;
}

static const struct gqe_vulkan_functions counting_driver = {
	.vkCreatePipelineLayout = create_layout,
	.vkDestroyPipelineLayout = destroy_layout,
	.vkCreateShaderModule = create_module,
	.vkDestroyShaderModule = destroy_module,
	.vkCreateComputePipelines = create_pipelines,
	.vkDestroyPipeline = destroy_pipeline,
	.vkCreateCommandPool = create_pool,
	.vkDestroyCommandPool = destroy_pool,
	.vkResetCommandPool = reset_pool,
	.vkAllocateCommandBuffers = allocate_commands,
	.vkBeginCommandBuffer = begin_commands,
	.vkEndCommandBuffer = end_commands,
	.vkCreateFence = create_fence,
	.vkDestroyFence = destroy_fence,
	.vkResetFences = reset_fences,
	.vkQueueSubmit = submit,
	.vkWaitForFences = wait_for_fences,
	.vkQueueWaitIdle = wait_idle,
	.vkCmdBindPipeline = bind_pipeline,
	.vkCmdPushConstants = push_constants,
	.vkCmdDispatch = dispatch_grid,
	.vkCmdDispatchBase = dispatch_base,
	.vkCmdDispatchIndirect = dispatch_indirect,
	.vkCmdCopyBuffer = copy_buffer,
	.vkCmdFillBuffer = fill_buffer,
	.vkCmdPipelineBarrier = pipeline_barrier,
	.vkCreateQueryPool = create_query_pool,
	.vkDestroyQueryPool = destroy_query_pool,
	.vkCmdResetQueryPool = reset_query_pool,
	.vkCmdWriteTimestamp = write_timestamp,
	.vkGetQueryPoolResults = get_query_results,
};

/* Every command buffer has a barrier at its beginning and one, for the host, at its end. */
#define BARRIERS_OF_A_SUBMIT 2

struct push {
	uint64_t from, to;
};

static const struct gqe_push_pointer pointers[] = {
	{"from", offsetof(struct push, from), GQE_ACCESS_READ},
	{"to", offsetof(struct push, to), GQE_ACCESS_WRITE},
};
static const struct gqe_kernel_variant kernel = {
	.kernel = "move",
	.variant = "f32",
	.push_bytes = sizeof(struct push),
	.pointers = pointers,
	.pointer_count = GQE_COUNT(pointers),
};
/* Others, which have not run yet. */
static const struct gqe_kernel_variant new_kernels[] = {{.kernel = "one", .variant = "f32"}, {.kernel = "two", .variant = "f32"}};

static struct gqe_steps *steps;
static const struct gqe_buffer buffers[] = {
	{.address = 0x1000, .size = 0x100, .handle = HANDLE(VkBuffer)},
	{.address = 0x2000, .size = 0x100, .handle = HANDLE(VkBuffer)},
	{.address = 0x3000, .size = 0x100, .handle = HANDLE(VkBuffer)},
	{.address = 0x4000, .size = 0x100, .handle = HANDLE(VkBuffer)},
};

static void append(uint64_t from, uint64_t to, uint64_t workgroups, double work)
{
	struct push push = {from, to};
	struct gqe_dispatch dispatch = {.variant = &kernel, .push = &push, .workgroups = workgroups, .work = work};
	gqe_steps_dispatch(steps, &dispatch);
}

static gqe_status run(gqe_error *error)
{
	gqe_status status = gqe_steps_run(steps, NULL, NULL, error);
	assert_int_equal(seen.busy, 0); /* nothing is ever left in flight */
	assert_true(gqe_steps_work(steps) == 0);
	return status;
}

static int set_up(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	memset(&vulkan.pace, 0, sizeof(vulkan.pace));
	vulkan.capabilities.timestamps = false;
	vulkan.fn = counting_driver;
	vulkan.capabilities.quirks = GQE_QUIRK_NO_PIPELINE_CACHE;
	vulkan.capabilities.max_workgroup_count_x = UINT32_MAX;
	vulkan.capabilities.max_workgroup_count_y = 65535;
	strcpy(vulkan.info.name, "made up");
	if (gqe_address_map_create(&vulkan, NULL) != GQE_OK || gqe_pipelines_create(&vulkan, "", NULL) != GQE_OK ||
	    gqe_steps_create(&vulkan, &steps, NULL) != GQE_OK) {
		return -1;
	}
	for (size_t i = 0; i < GQE_COUNT(buffers); i++) {
		if (gqe_address_map_add(&vulkan, &buffers[i], NULL) != GQE_OK) {
			return -1;
		}
	}
	append(0x1000, 0x2000, 1, 0); /* its first run is over, and taught nothing */
	if (run(NULL) != GQE_OK) {
		return -1;
	}
	memset(&seen, 0, sizeof(seen));
	pipelines_asked = 0;
	pipeline_failing = UINT_MAX;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	gqe_steps_destroy(&steps);
	assert_int_equal(seen.query_pools, 0);
	gqe_pipelines_destroy(&vulkan);
	gqe_address_map_destroy(&vulkan);
	return 0;
}

static void test_an_empty_list_submits_nothing(void **state)
{
	(void)state;
	append(0x1000, 0x2000, 0, 1);
	gqe_steps_copy(steps, &buffers[0], 0, &buffers[1], 0, 0);
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.submits, 0);
}

static void test_barriers_only_where_steps_depend(void **state)
{
	(void)state;
	append(0x1000, 0x2000, 1, 1);
	append(0x1000, 0x3000, 1, 1);                 /* both only read 0x1000 */
	append(0x20f0, 0x4000, 1, 1);                 /* reads the buffer that the first wrote, from its middle */
	append(0x1000, 0, 1, 1);                      /* an absent pointer depends on nothing */
	gqe_steps_fill(steps, &buffers[3], 0, 16, 0); /* after the write of 0x4000 */
	gqe_steps_copy(steps, &buffers[0], 0, &buffers[1], 0, 16);
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.submits, 1);
	assert_int_equal(seen.dispatches, 4);
	assert_int_equal(seen.copies, 1);
	assert_int_equal(seen.fills, 1);
	assert_int_equal(seen.barriers, BARRIERS_OF_A_SUBMIT + 2);
}

static void test_an_indirect_dispatch_waits_for_its_command(void **state)
{
	(void)state;
	struct push push = {0x1000, 0x2000};
	struct gqe_dispatch dispatch = {.variant = &kernel, .push = &push, .indirect = &buffers[3], .work = 1};
	append(0x1000, 0x4000, 1, 1);
	gqe_steps_dispatch(steps, &dispatch);
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.dispatches, 2);
	assert_int_equal(seen.barriers, BARRIERS_OF_A_SUBMIT + 1);
}

static void test_large_work_is_cut_into_slices(void **state)
{
	(void)state;
	/* Each is more than the first slice may hold; what the next ones may depends on the time the made-up driver took. */
	for (int i = 0; i < 5; i++) {
		append(0x1000, 0x2000, 1, 1e30);
	}
	append(0x1000, 0x2000, 1, 0); /* free: joins the last, unless that took longer than a slice should */
	assert_true(gqe_steps_work(steps) >= 5e30);
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.dispatches, 6);
	assert_int_equal(seen.submits, seen.waits);
	assert_in_range(seen.submits, 2, 6);
}

static void test_a_long_step_is_dispatched_in_parts(void **state)
{
	(void)state;
	append(0x1000, 0x2000, 1000, 1e12); /* 1000 s on the slowest device */
	assert_int_equal(run(NULL), GQE_OK);
	assert_true(seen.parts > 1);
	assert_int_equal(seen.submits, seen.parts);
	assert_int_equal(seen.dispatches, 0);
	assert_int_equal(seen.next_unit, 1000);
}

static void test_a_long_step_of_many_rows_is_split_by_rows(void **state)
{
	(void)state;
	seen.by_rows = true;
	append(0x1000, 0x2000, 1000000, 1e15);
	assert_int_equal(run(NULL), GQE_OK);
	assert_true(seen.parts > 1);
	assert_int_equal(seen.next_unit, (1000000 + seen.grid_x - 1) / seen.grid_x);
}

static void test_a_long_indirect_step_is_split_where_its_size_is_bounded(void **state)
{
	(void)state;
	struct push push = {0x1000, 0x2000};
	struct gqe_dispatch dispatch = {
		.variant = &kernel, .push = &push, .indirect = &buffers[3], .workgroups = 500, .work = 1e12};
	gqe_steps_dispatch(steps, &dispatch);
	assert_int_equal(run(NULL), GQE_OK);
	assert_true(seen.parts > 1);
	assert_int_equal(seen.next_unit, 500);
}

static bool cancel_after_a_part(void *user)
{
	(void)user;
	return seen.parts > 0;
}

static void test_cancel_inside_a_step(void **state)
{
	(void)state;
	append(0x1000, 0x2000, 1000, 1e12);
	assert_int_equal(gqe_steps_run(steps, cancel_after_a_part, NULL, NULL), GQE_CANCELLED);
	assert_int_equal(seen.parts, 1);
	assert_int_equal(seen.busy, 0);
	append(0x1000, 0x2000, 1, 1);
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.dispatches, 1);
}

static void test_many_small_steps_share_a_submit(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++) {
		append(0x1000, 0x2000, 1, 10);
	}
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.submits, 1);
	assert_int_equal(seen.dispatches, 1000);
}

static void append_new(void)
{
	for (size_t i = 0; i < GQE_COUNT(new_kernels); i++) {
		struct gqe_dispatch dispatch = {.variant = &new_kernels[i], .push = "", .workgroups = 1, .work = 1};
		append(0x1000, 0x2000, 1, 1);
		gqe_steps_dispatch(steps, &dispatch);
		gqe_steps_dispatch(steps, &dispatch);
	}
}

static void test_the_first_run_of_a_pipeline_is_a_submit_of_its_own(void **state)
{
	(void)state;
	append_new(); /* move | one | one, move | two | two */
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.submits, 5);
	assert_int_equal(seen.dispatches, 6);
	memset(&seen, 0, sizeof(seen));
	vulkan.pace.target_seconds = 60; /* the rates fell with the made-up driver's time for nothing */
	append_new();
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.submits, 1);
}

static struct gqe_specialization specialization_of(uint32_t number)
{
	return (struct gqe_specialization){.count = 1, .values = {number}};
}

static void append_specialized(uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++) {
		struct push push = {0x1000, 0x2000};
		struct gqe_dispatch dispatch = {
			.variant = &kernel, .specialization = specialization_of(i), .push = &push, .workgroups = 1};
		gqe_steps_dispatch(steps, &dispatch);
	}
}

static void test_each_pipeline_of_a_list_is_made_once(void **state)
{
	(void)state;
	const uint32_t count = 3 * GQE_PIPELINES_AT_ONCE + 5;
	append_specialized(0, count);
	append_specialized(0, count);
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(pipelines_asked, count);
	assert_int_equal(seen.dispatches, 2 * count);
	append_specialized(0, count);
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(pipelines_asked, count);
}

static void test_a_pipeline_that_cannot_be_made_fails_the_run_and_is_made_by_the_next(void **state)
{
	(void)state;
	gqe_error error = {0};
	pipeline_failing = 3;
	append_specialized(0, 8);
	assert_int_equal(run(&error), GQE_ERROR_OUT_OF_MEMORY);
	assert_non_null(strstr(error.message, "kernel move (f32): vkCreateComputePipelines failed"));
	assert_int_equal(seen.submits, 0);
	append_specialized(0, 8);
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(pipelines_asked, 9);
	assert_int_equal(seen.dispatches, 8);
}

static bool cancel_from_the_third_on(void *user)
{
	return ++*(int *)user >= 3;
}

static void test_cancel_between_pipelines_leaves_the_rest_unmade(void **state)
{
	(void)state;
	for (vulkan.threads = 1; vulkan.threads <= 4; vulkan.threads++) {
		const uint32_t first = 100 * vulkan.threads;
		int asked = 0;
		gqe_error error = {0};
		pipelines_asked = 0;
		append_specialized(first, GQE_PIPELINES_AT_ONCE);
		memset(&seen, 0, sizeof(seen));
		assert_int_equal(gqe_steps_run(steps, cancel_from_the_third_on, &asked, &error), GQE_CANCELLED);
		assert_int_equal(error.status, GQE_CANCELLED);
		/* Other threads may have made all of them before this one was asked a third time. */
		assert_true(vulkan.threads > 1 || (pipelines_asked == 2 && seen.submits == 0));
		memset(&seen, 0, sizeof(seen));
		append_specialized(first, GQE_PIPELINES_AT_ONCE);
		assert_int_equal(run(NULL), GQE_OK);
		assert_int_equal(pipelines_asked, GQE_PIPELINES_AT_ONCE);
		assert_int_equal(seen.dispatches, GQE_PIPELINES_AT_ONCE);
	}
	vulkan.threads = 0;
}

static void *make_all(void *user)
{
	return (void *)(uintptr_t)gqe_pipelines_make(&vulkan, user, GQE_PIPELINES_AT_ONCE, NULL, NULL, NULL);
}

static void test_two_who_need_a_pipeline_make_it_once(void **state)
{
	(void)state;
	struct gqe_pipeline *pipelines[GQE_PIPELINES_AT_ONCE];
	for (uint32_t i = 0; i < GQE_PIPELINES_AT_ONCE; i++) {
		struct gqe_specialization specialization = specialization_of(i);
		assert_int_equal(gqe_pipeline_get(&vulkan, &kernel, &specialization, &pipelines[i], NULL), GQE_OK);
	}
	pthread_t other;
	void *status;
	assert_int_equal(pthread_create(&other, NULL, make_all, pipelines), 0);
	assert_int_equal(gqe_pipelines_make(&vulkan, pipelines, GQE_PIPELINES_AT_ONCE, NULL, NULL, NULL), GQE_OK);
	assert_int_equal(pthread_join(other, &status), 0);
	assert_int_equal((uintptr_t)status, GQE_OK);
	assert_int_equal(pipelines_asked, GQE_PIPELINES_AT_ONCE);
}

static void test_a_long_target_has_room_for_first_runs(void **state)
{
	(void)state;
	vulkan.pace.target_seconds = 60;
	append_new();
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.submits, 1);
}

static bool cancel_at_zero(void *user)
{
	int *left = user;
	return (*left)-- == 0;
}

static void test_cancel_between_slices_empties_the_list(void **state)
{
	(void)state;
	int left = 1;
	gqe_error error = {.status = GQE_OK};
	append(0x1000, 0x2000, 1, 1e30);
	gqe_steps_fill(steps, &buffers[0], 0, 4, 0);
	append(0x1000, 0x2000, 1, 1e300);
	assert_int_equal(gqe_steps_run(steps, cancel_at_zero, &left, &error), GQE_CANCELLED);
	assert_int_equal(error.status, GQE_CANCELLED);
	assert_int_equal(seen.submits, 1);
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.submits, 1);
}

static void test_grids_are_laid_over_two_dimensions(void **state)
{
	(void)state;
	static const uint64_t counts[] = {1, 65535, 65536, 200000, (uint64_t)65535 * 65535};
	for (size_t i = 0; i < GQE_COUNT(counts); i++) {
		append(0x1000, 0x2000, counts[i], 1);
		assert_int_equal(run(NULL), GQE_OK);
		uint64_t all = (uint64_t)seen.grid_x * seen.grid_y;
		assert_true(all >= counts[i] && all - counts[i] < seen.grid_x);
		assert_true(seen.grid_x <= 65535 && seen.grid_y <= 65535);
	}
	gqe_error error;
	append(0x1000, 0x2000, (uint64_t)65535 * 65535 + 1, 1);
	assert_int_equal(run(&error), GQE_ERROR_INTERNAL);
	append(0x1000, 0x2000, UINT64_MAX, 1);
	assert_int_equal(run(&error), GQE_ERROR_INTERNAL);
	assert_non_null(strstr(error.message, "workgroups"));
}

static void test_the_first_mistake_is_kept_and_nothing_runs(void **state)
{
	(void)state;
	gqe_error error;
	append(0x1000, 0x2100, 1, 1); /* one past the end of the second buffer */
	append(0x9999, 0x2000, 1, 1);
	assert_int_equal(run(&error), GQE_ERROR_INTERNAL);
	assert_non_null(strstr(error.message, "kernel move: the pointer to (0x2100)"));
	assert_int_equal(seen.submits, 0);

	gqe_steps_copy(steps, &buffers[0], 0xf0, &buffers[1], 0, 0x11);
	assert_int_equal(run(&error), GQE_ERROR_INTERNAL);
	gqe_steps_fill(steps, &buffers[0], UINT64_MAX - 3, 8, 0);
	assert_int_equal(run(&error), GQE_ERROR_INTERNAL);

	append(0x1000, 0x2000, 1, 1); /* and then all is well again */
	assert_int_equal(run(&error), GQE_OK);
	assert_int_equal(seen.submits, 1);
}

static void test_a_lost_device_is_reported(void **state)
{
	(void)state;
	gqe_error error;
	seen.wait_result = VK_ERROR_DEVICE_LOST;
	append(0x1000, 0x2000, 1, 1);
	assert_int_equal(run(&error), GQE_ERROR_DEVICE_LOST);
	assert_non_null(strstr(error.message, "VK_ERROR_DEVICE_LOST"));
	assert_non_null(strstr(error.message, "made up"));
	seen.wait_result = VK_SUCCESS;
	seen.submit_result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
	append(0x1000, 0x2000, 1, 1);
	assert_int_equal(run(&error), GQE_ERROR_OUT_OF_MEMORY);
}

/* Steps of labels 1, 1, 2, 0, 1. */
static void append_labelled(void)
{
	gqe_steps_label(steps, 1);
	append(0x1000, 0x2000, 1, 1);
	append(0x2000, 0x3000, 1, 1);
	gqe_steps_label(steps, 2);
	append(0x1000, 0x2000, 1, 1);
	gqe_steps_label(steps, 0);
	gqe_steps_fill(steps, &buffers[0], 0, 16, 0);
	gqe_steps_label(steps, 1);
	append(0x1000, 0x2000, 1, 1);
}

static void test_labels_cost_nothing_until_timed(void **state)
{
	(void)state;
	append_labelled();
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.submits, 1);
	assert_int_equal(seen.query_pools + seen.timestamps, 0);
}

static void test_timestamps_are_attributed_to_labels(void **state)
{
	(void)state;
	vulkan.capabilities.timestamps = true;
	vulkan.capabilities.timestamp_bits = 36;
	vulkan.capabilities.timestamp_period = 10;
	seen.first_ticks = (UINT64_C(1) << 36) - 1500; /* wraps after the second */
	assert_int_equal(gqe_steps_enable_timing(steps, NULL), GQE_OK);
	assert_int_equal(gqe_steps_enable_timing(steps, NULL), GQE_OK);
	assert_int_equal(seen.query_pools, 1);
	for (int repeat = 0; repeat < 2; repeat++) {
		append_labelled();
		assert_int_equal(run(NULL), GQE_OK);
		assert_int_equal(seen.timestamps, 5); /* the beginning, and the end of each run of one label */
		struct gqe_step_times times = gqe_steps_times(steps);
		assert_true(times.by_device);
		assert_true(fabs(times.seconds[1] - 2e-5) < 1e-12);
		assert_true(fabs(times.seconds[2] - 1e-5) < 1e-12);
		assert_true(fabs(times.seconds[0] - 1e-5) < 1e-12);
		assert_true(times.seconds[3] == 0);
	}
	assert_int_equal(seen.submits, 2);
	append(0x1000, 0x2000, 1, 1); /* a new list begins with label 0 */
	assert_int_equal(run(NULL), GQE_OK);
	assert_true(gqe_steps_times(steps).seconds[0] > 0 && gqe_steps_times(steps).seconds[1] == 0);
	seen.query_result = VK_ERROR_DEVICE_LOST;
	append(0x1000, 0x2000, 1, 1);
	assert_int_equal(run(NULL), GQE_ERROR_DEVICE_LOST);
}

static void test_more_labels_than_a_query_pool_holds(void **state)
{
	(void)state;
	enum { STEPS = 1000 };
	vulkan.capabilities.timestamps = true;
	vulkan.capabilities.timestamp_bits = 40;
	vulkan.capabilities.timestamp_period = 1;
	assert_int_equal(gqe_steps_enable_timing(steps, NULL), GQE_OK);
	for (uint32_t i = 0; i < STEPS; i++) {
		gqe_steps_label(steps, i % 3);
		append(0x1000, 0x2000, 1, 0);
	}
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.dispatches, STEPS);
	assert_in_range(seen.submits, 2, 8);
	struct gqe_step_times times = gqe_steps_times(steps);
	assert_true(fabs(times.seconds[0] + times.seconds[1] + times.seconds[2] - STEPS * 1e-6) < 1e-9);
}

static void test_without_timestamps_every_label_has_its_submits(void **state)
{
	(void)state;
	assert_int_equal(gqe_steps_enable_timing(steps, NULL), GQE_OK);
	seen.wait_milliseconds = 2;
	append_labelled();
	assert_int_equal(run(NULL), GQE_OK);
	assert_int_equal(seen.submits, 4);
	assert_int_equal(seen.query_pools + seen.timestamps, 0);
	struct gqe_step_times times = gqe_steps_times(steps);
	assert_false(times.by_device);
	assert_true(times.seconds[0] >= 1e-3 && times.seconds[1] >= 2e-3 && times.seconds[2] >= 1e-3 && times.seconds[3] == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_an_empty_list_submits_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_barriers_only_where_steps_depend, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_an_indirect_dispatch_waits_for_its_command, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_large_work_is_cut_into_slices, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_long_step_is_dispatched_in_parts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_long_step_of_many_rows_is_split_by_rows, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_long_indirect_step_is_split_where_its_size_is_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel_inside_a_step, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_small_steps_share_a_submit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_first_run_of_a_pipeline_is_a_submit_of_its_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_each_pipeline_of_a_list_is_made_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_pipeline_that_cannot_be_made_fails_the_run_and_is_made_by_the_next, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_two_who_need_a_pipeline_make_it_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel_between_pipelines_leaves_the_rest_unmade, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_long_target_has_room_for_first_runs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel_between_slices_empties_the_list, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_grids_are_laid_over_two_dimensions, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_first_mistake_is_kept_and_nothing_runs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_lost_device_is_reported, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_labels_cost_nothing_until_timed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_timestamps_are_attributed_to_labels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_more_labels_than_a_query_pool_holds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_without_timestamps_every_label_has_its_submits, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
