/* gqe on the application's device: the same numbers as on its own, with the application's buffers, command buffers and semaphores.
 */
#include "support/layer_fixture.h"
#include "support/model_fixture.h"
#include "support/vulkan_app.h"

#include <stdlib.h>
#include <string.h>

enum { TOKENS = 12, PASSES = 3 };

static struct {
	struct layer_fixture fixture;
	float *x;     /* [TOKENS, d] */
	float *want;  /* [PASSES, TOKENS, d]: each pass reads what the pass before wrote */
	size_t count; /* of elements in a pass */
	struct vulkan_app app;
	gqe_context *context;
} test;

static gqe_layer_params layer_params(const gqe_vulkan_kv_cache *cache)
{
	return (gqe_layer_params){
		.size = sizeof(gqe_layer_params),
		.config = &test.fixture.config,
		.tensors = test.fixture.tensors,
		.tensor_count = test.fixture.tensor_count,
		.max_tokens = PASSES * TOKENS,
		.chunk = TOKENS,
		.kv_cache = cache,
	};
}

static gqe_layer *layer_with_cache(const gqe_vulkan_kv_cache *cache)
{
	const gqe_layer_params params = layer_params(cache);
	gqe_layer *layer = NULL;
	gqe_error error = {0};
	assert_ok(gqe_layer_create(test.context, &params, &layer, &error), &error);
	return layer;
}

/* What the library's own device computes. */
static void compute_expected(void)
{
	gqe_context *own = open_device(NULL);
	gqe_layer *layer = make_layer(own, &test.fixture, GQE_DTYPE_F32, 1, PASSES * TOKENS, TOKENS);
	for (int pass = 0; pass < PASSES; pass++)
		forward(layer, TOKENS, pass == 0 ? test.x : test.want + (pass - 1) * test.count, test.want + pass * test.count,
			NULL, NULL);
	gqe_layer_destroy(&layer);
	close_context(&own);
}

static void open_shared(const VkDeviceCreateInfo *device_info, uint32_t stated_version)
{
	gqe_vulkan_import import = app_import(&test.app);
	import.device_info = device_info;
	import.api_version = stated_version;
	gqe_context_params params = {.size = sizeof(params), .vulkan = &import, .force_path = path_under_test()};
	gqe_error error = {0};
	assert_ok(gqe_context_create(&params, &test.context, &error), &error);
}

/* A device made as the requirements say, by an application whose instance is of that version, which it may state. */
static void open_as_required(uint32_t instance_version, uint32_t stated_version)
{
	gqe_error error = {0};
	gqe_vulkan_requirements *requirements = NULL;
	app_init_version(&test.app, instance_version);
	gqe_vulkan_import import = app_import(&test.app);
	import.api_version = stated_version;
	assert_ok(gqe_vulkan_requirements_create(&import, &requirements, &error), &error);
	assert_true(requirements->api_version <= VK_API_VERSION_1_2);
	test.app.queue_family = requirements->queue_family;
	app_make_device(&test.app, (VkDeviceCreateInfo){
					   .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
					   .pNext = requirements->features,
					   .enabledExtensionCount = requirements->extension_count,
					   .ppEnabledExtensionNames = requirements->extensions,
				   });
	gqe_vulkan_requirements_destroy(&requirements);
	assert_null(requirements);
	open_shared(NULL, stated_version);
}

static int set_up(void **state)
{
	(void)state;
	open_as_required(VK_API_VERSION_1_3, VK_API_VERSION_1_3);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	gqe_context_destroy(&test.context);
	assert_int_equal(test.app.queue_users, 0);
	app_free(&test.app);
	return 0;
}

static void the_shared_device_computes_the_same(void **state)
{
	(void)state;
	float *y = must_allocate(test.count * sizeof(float));
	gqe_layer *layer = layer_with_cache(NULL);
	forward(layer, TOKENS, test.x, y, NULL, NULL);
	assert_memory_equal(y, test.want, test.count * sizeof(float));
	assert_true(test.app.queue_uses > 0);
	gqe_layer_destroy(&layer);
	free(y);
}

/* The application's command buffer holds every pass; K and V are in buffers of the application too. */
static void layers_are_recorded_between_the_applications_commands(void **state)
{
	(void)state;
	struct vulkan_app *app = &test.app;
	gqe_error error = {0};
	uint64_t cache_bytes = 0;
	const gqe_layer_params params = layer_params(NULL);
	assert_ok(gqe_vulkan_kv_cache_bytes(&params, &cache_bytes, &error), &error);
	struct app_buffer k = app_make_buffer(app, cache_bytes, 0), v = app_make_buffer(app, cache_bytes, 64), io[PASSES + 1];
	for (int i = 0; i <= PASSES; i++)
		io[i] = app_make_buffer(app, test.count * sizeof(float), 16 * (uint64_t)i);
	memcpy(io[0].host, test.x, test.count * sizeof(float));
	const gqe_vulkan_kv_cache cache = {k.piece, v.piece};
	gqe_layer *layer = layer_with_cache(&cache);

	VkCommandPool pool;
	VkCommandBuffer commands;
	const VkCommandPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
						   .queueFamilyIndex = app->queue_family};
	assert_int_equal(app->vkCreateCommandPool(app->device, &pool_info, NULL, &pool), VK_SUCCESS);
	const VkCommandBufferAllocateInfo buffer_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = pool, .commandBufferCount = 1};
	assert_int_equal(app->vkAllocateCommandBuffers(app->device, &buffer_info, &commands), VK_SUCCESS);
	const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
	assert_int_equal(app->vkBeginCommandBuffer(commands, &begin), VK_SUCCESS);
	for (int pass = 0; pass < PASSES; pass++) {
		const gqe_vulkan_layer_io pass_io = {
			.size = sizeof(pass_io), .tokens = TOKENS, .x = io[pass].piece, .y = io[pass + 1].piece};
		assert_ok(gqe_layer_record(layer, commands, &pass_io, &error), &error);
	}
	assert_int_equal(gqe_layer_position(layer), PASSES * TOKENS);
	const VkMemoryBarrier to_host = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
					 .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
					 .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
	app->vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &to_host, 0,
				  NULL, 0, NULL);
	assert_int_equal(app->vkEndCommandBuffer(commands), VK_SUCCESS);
	const VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &commands};
	assert_int_equal(app->vkQueueSubmit(app->queue, 1, &submit, VK_NULL_HANDLE), VK_SUCCESS);
	assert_int_equal(app->vkQueueWaitIdle(app->queue), VK_SUCCESS);

	for (int pass = 0; pass < PASSES; pass++)
		assert_memory_equal(io[pass + 1].host, test.want + pass * test.count, test.count * sizeof(float));
	app->vkDestroyCommandPool(app->device, pool, NULL);
	gqe_layer_destroy(&layer);
	for (int i = 0; i <= PASSES; i++)
		app_free_buffer(app, &io[i]);
	app_free_buffer(app, &k);
	app_free_buffer(app, &v);
}

/* Passes over a cache of the application's give what those over the layer's own do. */
static void an_imported_cache_may_be_f16(void **state)
{
	(void)state;
	if (!can_f16(test.context))
		skip();
	gqe_error error = {0};
	gqe_layer_params params = layer_params(NULL);
	params.dtype = GQE_DTYPE_F16;
	uint64_t cache_bytes = 0;
	assert_ok(gqe_vulkan_kv_cache_bytes(&params, &cache_bytes, &error), &error);
	struct app_buffer k = app_make_buffer(&test.app, cache_bytes, 64), v = app_make_buffer(&test.app, cache_bytes, 0);
	const gqe_vulkan_kv_cache cache = {k.piece, v.piece};
	float *y[2];
	for (int imported = 0; imported < 2; imported++) {
		gqe_layer *layer = NULL;
		params.kv_cache = imported ? &cache : NULL;
		assert_ok(gqe_layer_create(test.context, &params, &layer, &error), &error);
		y[imported] = must_allocate(PASSES * test.count * sizeof(float));
		for (int pass = 0; pass < PASSES; pass++)
			forward(layer, TOKENS, test.x, y[imported] + pass * test.count, NULL, NULL);
		gqe_layer_destroy(&layer);
	}
	assert_memory_equal(y[0], y[1], PASSES * test.count * sizeof(float));
	free(y[0]);
	free(y[1]);
	app_free_buffer(&test.app, &k);
	app_free_buffer(&test.app, &v);
}

/* Every pass waits for the one before through a semaphore, and the first for the application. */
static void submits_wait_for_and_signal_semaphores(void **state)
{
	(void)state;
	struct vulkan_app *app = &test.app;
	gqe_error error = {0};
	struct app_buffer io[PASSES + 1];
	for (int i = 0; i <= PASSES; i++)
		io[i] = app_make_buffer(app, test.count * sizeof(float), 0);
	gqe_layer *layer = layer_with_cache(NULL);
	const VkSemaphoreTypeCreateInfo type = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO,
						.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE};
	const VkSemaphoreCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, .pNext = &type};
	VkSemaphore semaphore;
	assert_int_equal(app->vkCreateSemaphore(app->device, &info, NULL, &semaphore), VK_SUCCESS);
	for (int pass = 0; pass < PASSES; pass++) {
		const gqe_vulkan_layer_io pass_io = {
			.size = sizeof(pass_io), .tokens = TOKENS, .x = io[pass].piece, .y = io[pass + 1].piece};
		const gqe_vulkan_semaphore wait = {semaphore, (uint64_t)pass + 1}, signal = {semaphore, (uint64_t)pass + 2};
		const gqe_vulkan_submit submit = {
			.size = sizeof(submit), .wait_count = 1, .waits = &wait, .signal_count = 1, .signals = &signal};
		assert_ok(gqe_layer_submit(layer, &pass_io, &submit, &error), &error);
		if (pass == 0) { /* it is waiting: only now is there an input, and leave to read it */
			const VkSemaphoreSignalInfo start = {
				.sType = VK_STRUCTURE_TYPE_SEMAPHORE_SIGNAL_INFO, .semaphore = semaphore, .value = 1};
			memcpy(io[0].host, test.x, test.count * sizeof(float));
			assert_int_equal(app->vkSignalSemaphore(app->device, &start), VK_SUCCESS);
		}
	}
	const uint64_t last = PASSES + 1;
	const VkSemaphoreWaitInfo wait = {
		.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO, .semaphoreCount = 1, .pSemaphores = &semaphore, .pValues = &last};
	assert_int_equal(app->vkWaitSemaphores(app->device, &wait, UINT64_MAX), VK_SUCCESS);
	for (int pass = 0; pass < PASSES; pass++)
		assert_memory_equal(io[pass + 1].host, test.want + pass * test.count, test.count * sizeof(float));
	gqe_layer_destroy(&layer);
	/*
	 * Mesa 25.0's thread that submits still reads a timeline semaphore after its last value can be seen, and the fence too: it
	 * must have ended before the semaphore may.
	 */
	assert_int_equal(app->vkQueueWaitIdle(app->queue), VK_SUCCESS);
	app->vkDestroySemaphore(app->device, semaphore, NULL);
	for (int i = 0; i <= PASSES; i++)
		app_free_buffer(app, &io[i]);
}

static void submits_without_a_semaphore_are_refused(void **state)
{
	(void)state;
	gqe_error error = {0};
	struct app_buffer x = app_make_buffer(&test.app, test.count * sizeof(float), 0);
	struct app_buffer y = app_make_buffer(&test.app, test.count * sizeof(float), 0);
	gqe_layer *layer = layer_with_cache(NULL);
	const gqe_vulkan_layer_io io = {.size = sizeof(io), .tokens = TOKENS, .x = x.piece, .y = y.piece};
	const gqe_vulkan_semaphore none = {VK_NULL_HANDLE, 1};
	gqe_vulkan_submit submit = {.size = sizeof(submit), .wait_count = 1, .waits = &none};
	assert_status(gqe_layer_submit(layer, &io, &submit, &error), GQE_ERROR_USAGE, &error);
	assert_non_null(strstr(error.message, "waits[0].semaphore is VK_NULL_HANDLE"));
	submit = (gqe_vulkan_submit){.size = sizeof(submit), .signal_count = 1, .signals = &none};
	assert_status(gqe_layer_submit(layer, &io, &submit, &error), GQE_ERROR_USAGE, &error);
	assert_non_null(strstr(error.message, "signals[0].semaphore is VK_NULL_HANDLE"));
	submit.signals = NULL;
	assert_status(gqe_layer_submit(layer, &io, &submit, &error), GQE_ERROR_USAGE, &error);
	assert_status(gqe_layer_submit(NULL, &io, NULL, &error), GQE_ERROR_USAGE, &error);
	assert_status(gqe_layer_submit(layer, NULL, NULL, &error), GQE_ERROR_USAGE, &error);
	assert_int_equal(gqe_layer_position(layer), 0);
	gqe_layer_destroy(&layer);
	app_free_buffer(&test.app, &x);
	app_free_buffer(&test.app, &y);
}

static void wrong_buffers_are_refused(void **state)
{
	(void)state;
	gqe_error error = {0};
	struct app_buffer buffer = app_make_buffer(&test.app, test.count * sizeof(float), 0);
	gqe_layer *layer = layer_with_cache(NULL);
	const VkCommandBuffer commands = (VkCommandBuffer)&error; /* nothing is recorded */
	gqe_vulkan_layer_io io = {.size = sizeof(io), .tokens = TOKENS, .x = buffer.piece, .y = buffer.piece};
	io.y.size--;
	assert_status(gqe_layer_record(layer, commands, &io, &error), GQE_ERROR_USAGE, &error);
	io.y = (gqe_vulkan_buffer){0};
	assert_status(gqe_layer_record(layer, commands, &io, &error), GQE_ERROR_USAGE, &error);
	const gqe_vulkan_buffer outside[] = {
		{buffer.piece.buffer, 0, buffer.piece.size + (1u << 20)},
		{buffer.piece.buffer, 1u << 20, buffer.piece.size},
		{buffer.piece.buffer, (VkDeviceSize)0 - 16, buffer.piece.size}, /* offset + size overflow */
		{buffer.piece.buffer, 16, VK_WHOLE_SIZE},
	};
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		io.y = outside[i];
		assert_status(gqe_layer_record(layer, commands, &io, &error), GQE_ERROR_USAGE, &error);
		assert_non_null(strstr(error.message, "y: "));
		assert_non_null(strstr(error.message, "leave their buffer"));
	}
	io.y = buffer.piece;
	io.x.offset = 4;
	assert_status(gqe_layer_record(layer, commands, &io, &error), GQE_ERROR_USAGE, &error);
	io.x.offset = 0;
	io.y = io.x;
	assert_status(gqe_layer_record(layer, commands, &io, &error), GQE_ERROR_USAGE, &error);
	assert_non_null(strstr(error.message, "overlaps"));
	io.tokens = TOKENS + 1;
	assert_status(gqe_layer_record(layer, commands, &io, &error), GQE_ERROR_USAGE, &error);
	assert_status(gqe_layer_record(layer, VK_NULL_HANDLE, &io, &error), GQE_ERROR_USAGE, &error);
	assert_int_equal(gqe_layer_position(layer), 0);
	gqe_layer_destroy(&layer);
	app_free_buffer(&test.app, &buffer);

	uint64_t cache_bytes = 0;
	gqe_layer_params params = layer_params(NULL);
	assert_ok(gqe_vulkan_kv_cache_bytes(&params, &cache_bytes, &error), &error);
	struct app_buffer half = app_make_buffer(&test.app, cache_bytes, 0);
	gqe_vulkan_kv_cache cache = {half.piece, half.piece};
	params.kv_cache = &cache;
	assert_status(gqe_layer_create(test.context, &params, &layer, &error), GQE_ERROR_USAGE, &error);
	assert_null(layer);
	assert_non_null(strstr(error.message, "overlaps"));
	cache.v.offset = 1u << 20;
	assert_status(gqe_layer_create(test.context, &params, &layer, &error), GQE_ERROR_USAGE, &error);
	assert_null(layer);
	assert_non_null(strstr(error.message, "kv_cache.v"));
	app_free_buffer(&test.app, &half);
}

static void compute_logits(gqe_context *context, const struct model_fixture *fixture, const int32_t *tokens, float *logits)
{
	gqe_model *model = load_model(context, fixture->files, GQE_DTYPE_F32);
	gqe_session *session = make_session(model, TOKENS, TOKENS, false);
	prefill(session, tokens, TOKENS, logits, NULL);
	gqe_session_destroy(&session);
	gqe_model_destroy(&model);
}

/*
 * What an instance's version does not reach is used as an extension or not at all: the validation layer has nothing to say, and all
 * paths are there, but for matrix2, whose shaders need 1.3.
 */
static void instances_of_every_version_do(void **state)
{
	(void)state;
	static const uint32_t cases[][2] = {{VK_API_VERSION_1_3, VK_API_VERSION_1_3},
					    {VK_API_VERSION_1_2, 0},
					    {VK_API_VERSION_1_2, VK_API_VERSION_1_2},
					    {VK_API_VERSION_1_3, 0}};
	gqe_device_info best = {0};
	struct random random = {4};
	struct model_fixture fixture = {.config = small_model_config(), .seed = 4};
	model_fixture_init(&fixture);
	int32_t *tokens = draw_tokens(&fixture.config, TOKENS, &random);
	const size_t count = (size_t)TOKENS * fixture.config.vocab_size;
	float *want = must_allocate(count * sizeof(float)), *logits = must_allocate(count * sizeof(float));
	float *y = must_allocate(test.count * sizeof(float));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		open_as_required(cases[i][0], cases[i][1]);
		const gqe_device_info *device = gqe_context_device(test.context);
		if (i == 0)
			best = *device;
		uint32_t found = 0;
		for (uint32_t p = 0; p < best.path_count; p++)
			if (i == 0 || best.paths[p] != GQE_PATH_MATRIX2)
				assert_int_equal(device->paths[found++], best.paths[p]);
		assert_int_equal(device->path_count, found);
		gqe_layer *layer = layer_with_cache(NULL);
		forward(layer, TOKENS, test.x, y, NULL, NULL);
		assert_memory_equal(y, test.want, test.count * sizeof(float));
		gqe_layer_destroy(&layer);
		compute_logits(test.context, &fixture, tokens, i == 0 ? want : logits);
		if (i > 0)
			assert_memory_equal(logits, want, count * sizeof(float));
		tear_down(NULL);
	}
	free(y);
	free(logits);
	free(want);
	free(tokens);
	model_fixture_free(&fixture);
}

/* An application that enables all of 1.3 and no extension: the struct in the chain is as good as a stated version. */
static void the_chain_tells_the_version(void **state)
{
	(void)state;
	VkPhysicalDeviceVulkan13Features core13 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES};
	VkPhysicalDeviceVulkan12Features core12 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
						   .pNext = &core13};
	VkPhysicalDeviceVulkan11Features core11 = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES,
						   .pNext = &core12};
	VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, .pNext = &core11};
	const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .pNext = &core11};
	app_init(&test.app);
	test.app.vkGetPhysicalDeviceFeatures2(test.app.physical, &features);
	app_make_device(&test.app, info);
	open_shared(&info, 0);
	float *y = must_allocate(test.count * sizeof(float));
	gqe_layer *layer = layer_with_cache(NULL);
	forward(layer, TOKENS, test.x, y, NULL, NULL);
	assert_memory_equal(y, test.want, test.count * sizeof(float));
	gqe_layer_destroy(&layer);
	free(y);
	tear_down(NULL);
}

/* A pass would overwrite what it reads. */
static void passes_over_the_imported_cache_are_refused(void **state)
{
	(void)state;
	gqe_error error = {0};
	uint64_t cache_bytes = 0;
	const gqe_layer_params params = layer_params(NULL);
	const uint64_t bytes = test.count * sizeof(float);
	assert_ok(gqe_vulkan_kv_cache_bytes(&params, &cache_bytes, &error), &error);
	struct app_buffer all = app_make_buffer(&test.app, 2 * cache_bytes + bytes, 0);
	struct app_buffer other = app_make_buffer(&test.app, bytes, 0);
	const gqe_vulkan_kv_cache cache = {{all.piece.buffer, 0, cache_bytes}, {all.piece.buffer, cache_bytes, cache_bytes}};
	const gqe_vulkan_buffer last = {all.piece.buffer, 2 * cache_bytes - 16, bytes};
	const gqe_vulkan_buffer behind = {all.piece.buffer, 2 * cache_bytes, bytes};
	gqe_layer *layer = layer_with_cache(&cache);
	gqe_vulkan_layer_io io = {.size = sizeof(io), .tokens = TOKENS, .x = other.piece, .y = last};
	assert_status(gqe_layer_submit(layer, &io, NULL, &error), GQE_ERROR_USAGE, &error);
	assert_non_null(strstr(error.message, "y overlaps the layer's kv_cache"));
	io.x = last;
	io.y = other.piece;
	assert_status(gqe_layer_submit(layer, &io, NULL, &error), GQE_ERROR_USAGE, &error);
	assert_non_null(strstr(error.message, "x overlaps the layer's kv_cache"));
	memcpy(other.host, test.x, bytes);
	io.x = other.piece;
	io.y = behind;
	assert_ok(gqe_layer_submit(layer, &io, NULL, &error), &error);
	assert_int_equal(test.app.vkQueueWaitIdle(test.app.queue), VK_SUCCESS);
	assert_memory_equal((char *)all.host + behind.offset, test.want, bytes);
	gqe_layer_destroy(&layer);
	app_free_buffer(&test.app, &other);
	app_free_buffer(&test.app, &all);
}

static void use_queue(void *user)
{
	(void)user;
}

/* What would otherwise crash later, or in the driver. */
static void wrong_imports_are_refused(void **state)
{
	(void)state;
	const gqe_vulkan_import good = app_import(&test.app);
	gqe_vulkan_import imports[6] = {good, good, good, good, good, good};
	imports[0].lock_queue = use_queue;
	imports[0].unlock_queue = NULL;
	imports[1].lock_queue = NULL;
	imports[1].unlock_queue = use_queue;
	imports[2].queue_family = 99;
	imports[3].queue_index = 999;
	imports[4].physical_device = VK_NULL_HANDLE;
	imports[5].api_version = VK_API_VERSION_1_1;
	for (size_t i = 0; i < sizeof(imports) / sizeof(imports[0]); i++) {
		gqe_context *context = NULL;
		gqe_error error = {0};
		const gqe_context_params params = {.size = sizeof(params), .vulkan = &imports[i]};
		assert_status(gqe_context_create(&params, &context, &error), GQE_ERROR_USAGE, &error);
		assert_null(context);
		assert_non_null(strstr(error.message, "gqe_vulkan_import"));
	}
}

/* Devices that an application has made for itself: what is not enabled is not used, and what must be is named. */
static void a_device_with_less_does_less(void **state)
{
	(void)state;
	gqe_error error = {0};
	gqe_context *context = NULL;
	VkPhysicalDeviceVulkan12Features features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
	const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .pNext = &features};
	app_init(&test.app);
	app_make_device(&test.app, info);
	gqe_vulkan_import import = app_import(&test.app);
	import.device_info = &info;
	const gqe_context_params params = {.size = sizeof(params), .vulkan = &import};
	assert_status(gqe_context_create(&params, &context, &error), GQE_ERROR_NO_DEVICE, &error);
	assert_non_null(strstr(error.message, "bufferDeviceAddress"));
	app_free(&test.app);

	app_init(&test.app);
	features.bufferDeviceAddress = VK_TRUE;
	app_make_device(&test.app, info);
	open_shared(&info, 0);
	const gqe_device_info *device = gqe_context_device(test.context);
	assert_int_equal(device->path_count, 1);
	assert_int_equal(device->paths[0], GQE_PATH_SCALAR);
	assert_false(device->has_16bit_storage);
	gqe_layer *layer = layer_with_cache(NULL);
	float *y = must_allocate(test.count * sizeof(float));
	forward(layer, TOKENS, test.x, y, NULL, NULL);
	assert_close(y, test.want, test.count, TOLERANCE_F32, "scalar path on a plain device");
	free(y);

	/* Without timelineSemaphore there are submits without semaphores. */
	struct app_buffer in = app_make_buffer(&test.app, test.count * sizeof(float), 0);
	struct app_buffer out = app_make_buffer(&test.app, test.count * sizeof(float), 0);
	const gqe_vulkan_layer_io io = {.size = sizeof(io), .tokens = TOKENS, .x = in.piece, .y = out.piece};
	memcpy(in.host, test.x, test.count * sizeof(float));
	assert_ok(gqe_layer_seek(layer, 0, &error), &error);
	assert_ok(gqe_layer_submit(layer, &io, NULL, &error), &error);
	assert_int_equal(test.app.vkQueueWaitIdle(test.app.queue), VK_SUCCESS);
	assert_close(out.host, test.want, test.count, TOLERANCE_F32, "a submit without semaphores");
	app_free_buffer(&test.app, &in);
	app_free_buffer(&test.app, &out);
	gqe_layer_destroy(&layer);

	gqe_layer_params f16 = layer_params(NULL);
	f16.dtype = GQE_DTYPE_F16;
	assert_status(gqe_layer_create(test.context, &f16, &layer, &error), GQE_ERROR_NO_DEVICE, &error);
	assert_non_null(strstr(error.message, "storageBuffer16BitAccess"));
	assert_non_null(strstr(error.message, "is not enabled on the application's device"));
	tear_down(NULL);
}

int main(void)
{
	struct random random = {9};
	gqe_layer_config config = small_layer_config();
	fixture_init(&test.fixture, &config, true, &random);
	test.count = (size_t)TOKENS * config.hidden_size;
	test.x = draw_input(&test.fixture, TOKENS, &random);
	test.want = must_allocate(PASSES * test.count * sizeof(float));
	compute_expected();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_shared_device_computes_the_same, set_up, tear_down),
		cmocka_unit_test_setup_teardown(layers_are_recorded_between_the_applications_commands, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_imported_cache_may_be_f16, set_up, tear_down),
		cmocka_unit_test_setup_teardown(submits_wait_for_and_signal_semaphores, set_up, tear_down),
		cmocka_unit_test_setup_teardown(submits_without_a_semaphore_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wrong_buffers_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(passes_over_the_imported_cache_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(wrong_imports_are_refused, set_up, tear_down),
		cmocka_unit_test(a_device_with_less_does_less),
		cmocka_unit_test(instances_of_every_version_do),
		cmocka_unit_test(the_chain_tells_the_version),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(test.want);
	free(test.x);
	fixture_free(&test.fixture);
	return failed;
}
