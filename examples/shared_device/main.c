/*
 * A small Vulkan application that owns the device: in one command buffer, on one queue, its own shader draws waves and gqe's
 * attention layer reads them, frame after frame. Prints what comes out.
 */
#include <gqe/gqe_vulkan.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wave.h"

enum { HIDDEN = 64, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 16, TOKENS = 16, FRAMES = 4 };

/* Ends the example: an application of its own would do better. */
#define CHECK(call)                                                       \
	do {                                                              \
		int check_result = (int)(call);                           \
		if (check_result != 0) {                                  \
			fprintf(stderr, "%s: %d\n", #call, check_result); \
			exit(1);                                          \
		}                                                         \
	} while (0)

static gqe_error error;
#define GQE(call)                                               \
	do {                                                    \
		if ((call) != GQE_OK) {                         \
			fprintf(stderr, "%s\n", error.message); \
			exit((int)error.status);                \
		}                                               \
	} while (0)

static struct {
	VkInstance instance;
	VkPhysicalDevice physical;
	VkDevice device;
	uint32_t queue_family;
	VkQueue queue;
	VkCommandBuffer commands;
	VkPipeline pipeline;
	VkPipelineLayout layout;
	VkDescriptorSet set;
} app;

struct push {
	uint32_t count, width;
	float time;
};

#define INSTANCE_VERSION VK_API_VERSION_1_3

/* Instance, and a device with what gqe asks for. */
static void open_device(void)
{
	const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = INSTANCE_VERSION};
	const VkInstanceCreateInfo instance = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
	CHECK(vkCreateInstance(&instance, NULL, &app.instance));
	uint32_t count = 1;
	if (vkEnumeratePhysicalDevices(app.instance, &count, &app.physical) < 0 || count == 0) {
		fprintf(stderr, "shared_device: no Vulkan device\n");
		exit(GQE_ERROR_NO_DEVICE);
	}
	const gqe_vulkan_import before = {.size = sizeof(before),
					  .get_instance_proc_addr = vkGetInstanceProcAddr,
					  .instance = app.instance,
					  .physical_device = app.physical,
					  .api_version = INSTANCE_VERSION};
	gqe_vulkan_requirements *wanted = NULL;
	GQE(gqe_vulkan_requirements_create(&before, &wanted, &error));
	const float priority = 1;
	const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
					       .queueFamilyIndex = wanted->queue_family,
					       .queueCount = 1,
					       .pQueuePriorities = &priority};
	const VkDeviceCreateInfo device = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
					   .pNext = wanted->features,
					   .queueCreateInfoCount = 1,
					   .pQueueCreateInfos = &queue,
					   .enabledExtensionCount = wanted->extension_count,
					   .ppEnabledExtensionNames = wanted->extensions};
	CHECK(vkCreateDevice(app.physical, &device, NULL, &app.device));
	app.queue_family = wanted->queue_family;
	vkGetDeviceQueue(app.device, app.queue_family, 0, &app.queue);
	gqe_vulkan_requirements_destroy(&wanted);
}

/* A host-visible buffer whose address gqe can ask for; it stays until the device goes. */
static gqe_vulkan_buffer make_buffer(VkDeviceSize bytes, VkDeviceMemory *memory, void **host)
{
	gqe_vulkan_buffer made = {.size = bytes};
	const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
					 .size = bytes,
					 .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT};
	const VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
	const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
						 .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
	VkMemoryRequirements needs;
	VkPhysicalDeviceMemoryProperties has;
	CHECK(vkCreateBuffer(app.device, &info, NULL, &made.buffer));
	vkGetBufferMemoryRequirements(app.device, made.buffer, &needs);
	vkGetPhysicalDeviceMemoryProperties(app.physical, &has);
	uint32_t type = 0;
	while (!(needs.memoryTypeBits & 1u << type) || (has.memoryTypes[type].propertyFlags & wanted) != wanted)
		type++; /* every device has such a type for buffers */
	const VkMemoryAllocateInfo allocation = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
						 .pNext = &flags,
						 .allocationSize = needs.size,
						 .memoryTypeIndex = type};
	CHECK(vkAllocateMemory(app.device, &allocation, NULL, memory));
	CHECK(vkBindBufferMemory(app.device, made.buffer, *memory, 0));
	CHECK(vkMapMemory(app.device, *memory, 0, VK_WHOLE_SIZE, 0, host));
	return made;
}

/* The application's own pipeline, which writes to `target`. Returns the pools and layouts that go with it. */
static void make_pipeline(VkBuffer target, VkDescriptorSetLayout *set_layout, VkDescriptorPool *pool)
{
	const VkDescriptorSetLayoutBinding binding = {.descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
						      .descriptorCount = 1,
						      .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
	const VkDescriptorSetLayoutCreateInfo set_info = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = 1, .pBindings = &binding};
	CHECK(vkCreateDescriptorSetLayout(app.device, &set_info, NULL, set_layout));
	const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1};
	const VkDescriptorPoolCreateInfo pool_info = {
		.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = 1, .poolSizeCount = 1, .pPoolSizes = &size};
	CHECK(vkCreateDescriptorPool(app.device, &pool_info, NULL, pool));
	const VkDescriptorSetAllocateInfo allocation = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
							.descriptorPool = *pool,
							.descriptorSetCount = 1,
							.pSetLayouts = set_layout};
	CHECK(vkAllocateDescriptorSets(app.device, &allocation, &app.set));
	const VkDescriptorBufferInfo buffer = {target, 0, VK_WHOLE_SIZE};
	const VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
					    .dstSet = app.set,
					    .descriptorCount = 1,
					    .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
					    .pBufferInfo = &buffer};
	vkUpdateDescriptorSets(app.device, 1, &write, 0, NULL);
	const VkPushConstantRange range = {VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(struct push)};
	const VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
						   .setLayoutCount = 1,
						   .pSetLayouts = set_layout,
						   .pushConstantRangeCount = 1,
						   .pPushConstantRanges = &range};
	CHECK(vkCreatePipelineLayout(app.device, &layout, NULL, &app.layout));
	VkShaderModule module;
	const VkShaderModuleCreateInfo code = {
		.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = sizeof(wave_spirv), .pCode = wave_spirv};
	CHECK(vkCreateShaderModule(app.device, &code, NULL, &module));
	const VkComputePipelineCreateInfo pipeline = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
						      .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
								.stage = VK_SHADER_STAGE_COMPUTE_BIT,
								.module = module,
								.pName = "main"},
						      .layout = app.layout};
	CHECK(vkCreateComputePipelines(app.device, VK_NULL_HANDLE, 1, &pipeline, NULL, &app.pipeline));
	vkDestroyShaderModule(app.device, module, NULL);
}

/* A layer of dense attention with made-up weights. */
static gqe_layer *make_layer(gqe_context *context)
{
	static float weights[HIDDEN * HIDDEN];
	const gqe_layer_config config = {.hidden_size = HIDDEN,
					 .heads = HEADS,
					 .kv_heads = KV_HEADS,
					 .head_dim = HEAD_DIM,
					 .attention = GQE_ATTENTION_GQA,
					 .rope = GQE_ROPE_HALF,
					 .rope_theta = 10000};
	for (size_t i = 0; i < HIDDEN * HIDDEN; i++)
		weights[i] = 0.2f * sinf((float)i * 1.7f);
	const struct {
		const char *name;
		uint64_t rows, columns;
	} shapes[] = {{"q_proj.weight", HEADS * HEAD_DIM, HIDDEN},
		      {"k_proj.weight", KV_HEADS * HEAD_DIM, HIDDEN},
		      {"v_proj.weight", KV_HEADS * HEAD_DIM, HIDDEN},
		      {"o_proj.weight", HIDDEN, HEADS * HEAD_DIM}};
	gqe_tensor tensors[4] = {{0}};
	for (size_t i = 0; i < 4; i++)
		tensors[i] = (gqe_tensor){.name = shapes[i].name,
					  .dtype = GQE_DTYPE_F32,
					  .rank = 2,
					  .shape = {shapes[i].rows, shapes[i].columns},
					  .data = weights,
					  .bytes = shapes[i].rows * shapes[i].columns * sizeof(float)};
	const gqe_layer_params params = {.size = sizeof(params),
					 .config = &config,
					 .tensors = tensors,
					 .tensor_count = 4,
					 .max_tokens = FRAMES * TOKENS,
					 .chunk = TOKENS};
	gqe_layer *layer = NULL;
	GQE(gqe_layer_create(context, &params, &layer, &error));
	return layer;
}

static void barrier(VkPipelineStageFlags to, VkAccessFlags access)
{
	const VkMemoryBarrier memory = {
		.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT, .dstAccessMask = access};
	vkCmdPipelineBarrier(app.commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, to, 0, 1, &memory, 0, NULL, 0, NULL);
}

/* The waves of this moment into x, and the layer's answer to them into y. */
static void run_frame(gqe_layer *layer, const gqe_vulkan_layer_io *io, int frame)
{
	const struct push push = {TOKENS * HIDDEN, HIDDEN, 0.5f * (float)frame};
	const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
	CHECK(vkBeginCommandBuffer(app.commands, &begin));
	vkCmdBindPipeline(app.commands, VK_PIPELINE_BIND_POINT_COMPUTE, app.pipeline);
	vkCmdBindDescriptorSets(app.commands, VK_PIPELINE_BIND_POINT_COMPUTE, app.layout, 0, 1, &app.set, 0, NULL);
	vkCmdPushConstants(app.commands, app.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, sizeof(push), &push);
	vkCmdDispatch(app.commands, (TOKENS * HIDDEN + 63) / 64, 1, 1);
	GQE(gqe_layer_record(layer, app.commands, io, &error)); /* waits for compute shaders by itself */
	barrier(VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
	CHECK(vkEndCommandBuffer(app.commands));
	const VkSubmitInfo submit = {
		.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &app.commands};
	CHECK(vkQueueSubmit(app.queue, 1, &submit, VK_NULL_HANDLE));
	CHECK(vkQueueWaitIdle(app.queue));
}

int main(void)
{
	open_device();
	const gqe_vulkan_import import = {.size = sizeof(import),
					  .get_instance_proc_addr = vkGetInstanceProcAddr,
					  .instance = app.instance,
					  .physical_device = app.physical,
					  .device = app.device,
					  .queue_family = app.queue_family,
					  .api_version = INSTANCE_VERSION};
	const gqe_context_params params = {.size = sizeof(params), .vulkan = &import};
	gqe_context *context = NULL;
	GQE(gqe_context_create(&params, &context, &error));
	gqe_layer *layer = make_layer(context);

	VkDeviceMemory memory[2];
	void *host[2];
	const VkDeviceSize bytes = TOKENS * HIDDEN * sizeof(float);
	gqe_vulkan_layer_io io = {.size = sizeof(io), .tokens = TOKENS};
	io.x = make_buffer(bytes, &memory[0], &host[0]);
	io.y = make_buffer(bytes, &memory[1], &host[1]);
	VkDescriptorSetLayout set_layout;
	VkDescriptorPool descriptors;
	make_pipeline(io.x.buffer, &set_layout, &descriptors);
	VkCommandPool pool;
	const VkCommandPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
						   .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
						   .queueFamilyIndex = app.queue_family};
	CHECK(vkCreateCommandPool(app.device, &pool_info, NULL, &pool));
	const VkCommandBufferAllocateInfo buffer_info = {
		.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO, .commandPool = pool, .commandBufferCount = 1};
	CHECK(vkAllocateCommandBuffers(app.device, &buffer_info, &app.commands));

	for (int frame = 0; frame < FRAMES; frame++) {
		const float *y = host[1];
		double sum = 0;
		run_frame(layer, &io, frame);
		for (int i = 0; i < TOKENS * HIDDEN; i++)
			sum += (double)y[i] * y[i];
		printf("frame %d: %u tokens seen, |y| = %.4f\n", frame, gqe_layer_position(layer), sqrt(sum));
	}

	gqe_layer_destroy(&layer);
	gqe_context_destroy(&context);
	vkDestroyCommandPool(app.device, pool, NULL);
	vkDestroyPipeline(app.device, app.pipeline, NULL);
	vkDestroyPipelineLayout(app.device, app.layout, NULL);
	vkDestroyDescriptorPool(app.device, descriptors, NULL);
	vkDestroyDescriptorSetLayout(app.device, set_layout, NULL);
	vkDestroyBuffer(app.device, io.x.buffer, NULL);
	vkDestroyBuffer(app.device, io.y.buffer, NULL);
	vkFreeMemory(app.device, memory[0], NULL);
	vkFreeMemory(app.device, memory[1], NULL);
	vkDestroyDevice(app.device, NULL);
	vkDestroyInstance(app.instance, NULL);
	return 0;
}
