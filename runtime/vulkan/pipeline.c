#include "vulkan/pipeline.h"
#include "vulkan/pipeline_cache.h"
#include "vulkan/shader_cache.h"

#include "common/threads.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct gqe_pipelines {
	struct gqe_pipeline **list; /* [count]; each allocated for itself, as pointers to them are handed out */
	size_t count, capacity;
	VkPipelineLayout layout; /* the same for all: push constants, no descriptors */
	struct gqe_pipeline_cache cache;
	struct gqe_shader_cache shaders; /* instead of that where pipelines are shader objects */
};

static const VkPushConstantRange push_range = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = GQE_MAX_PUSH_BYTES};

gqe_status gqe_pipelines_create(struct gqe_vulkan *vulkan, const char *cache_dir, gqe_error *error)
{
	gqe_status status = GQE_OK;
	struct gqe_pipelines *pipelines = calloc(1, sizeof(*pipelines));
	if (!pipelines) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for the pipelines");
	}
	vulkan->pipelines = pipelines;
	VkPipelineLayoutCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
		.pushConstantRangeCount = 1,
		.pPushConstantRanges = &push_range,
	};
	VK_MAKE(vulkan, error, &pipelines->layout, vkCreatePipelineLayout, vulkan->device, &info, NULL);
	if (vulkan->capabilities.shader_objects) {
		gqe_shader_cache_open(vulkan, cache_dir, &pipelines->shaders);
	} else {
		status = gqe_pipeline_cache_open(vulkan, cache_dir, &pipelines->cache, error);
	}
fail:
	if (status != GQE_OK) {
		gqe_pipelines_destroy(vulkan);
	}
	return status;
}

static void destroy(struct gqe_vulkan *vulkan, struct gqe_pipeline *pipeline)
{
	if (pipeline->handle) {
		vulkan->fn.vkDestroyPipeline(vulkan->device, pipeline->handle, NULL);
	}
	if (pipeline->shader) {
		vulkan->fn.vkDestroyShaderEXT(vulkan->device, pipeline->shader, NULL);
	}
	pthread_mutex_destroy(&pipeline->making);
	free(pipeline);
}

static bool same_specialization(const struct gqe_specialization *a, const struct gqe_specialization *b)
{
	return a->count == b->count && a->subgroup_size == b->subgroup_size &&
	       memcmp(a->values, b->values, a->count * sizeof(a->values[0])) == 0;
}

/* Whether the device has subgroups of the size that the kernel relies on; one whose only size it is has it without asking. */
static gqe_status check_subgroups(const struct gqe_vulkan *vulkan, const struct gqe_kernel_variant *variant, uint32_t wanted,
				  gqe_error *error)
{
	const struct gqe_capabilities *capabilities = &vulkan->capabilities;
	bool one_size = capabilities->subgroup_size_min == capabilities->subgroup_size_max;
	bool has_size = wanted >= capabilities->subgroup_size_min && wanted <= capabilities->subgroup_size_max &&
			(one_size || capabilities->subgroup_size_control);
	if (!variant->uses_subgroups || wanted == 0 || has_size) {
		return GQE_OK;
	}
	return gqe_fail(error, GQE_ERROR_INTERNAL, "kernel %s (%s) needs subgroups of %u; %s has %u to %u%s", variant->kernel,
			variant->variant, wanted, vulkan->info.name, capabilities->subgroup_size_min,
			capabilities->subgroup_size_max, capabilities->subgroup_size_control ? "" : ", not selectable");
}

/* A kernel that uses subgroups relies on their size and on all their invocations being there. */
struct subgroup_demands {
	uint32_t size; /* 0: none is demanded */
	bool are_full;
};

static struct subgroup_demands subgroup_demands(const struct gqe_vulkan *vulkan, const struct gqe_pipeline *pipeline)
{
	const struct gqe_capabilities *capabilities = &vulkan->capabilities;
	if (!pipeline->variant->uses_subgroups) {
		return (struct subgroup_demands){0};
	}
	bool one_size = capabilities->subgroup_size_min == capabilities->subgroup_size_max;
	return (struct subgroup_demands){
		.size = one_size ? 0 : pipeline->specialization.subgroup_size,
		.are_full = capabilities->full_subgroups,
	};
}

/* What both ways of making one take. Holds pointers into itself: it must stay where it is. */
struct recipe {
	VkSpecializationMapEntry entries[GQE_MAX_SPECIALIZATION];
	VkSpecializationInfo specialization;
	struct subgroup_demands subgroups;
	VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup_size;
	const void *next; /* of the shader's stage */
};

static void recipe_init(struct recipe *recipe, const struct gqe_vulkan *vulkan, const struct gqe_pipeline *pipeline)
{
	const struct gqe_specialization *values = &pipeline->specialization;
	for (uint32_t id = 0; id < values->count; id++) {
		recipe->entries[id] = (VkSpecializationMapEntry){
			.constantID = id,
			.offset = id * (uint32_t)sizeof(values->values[0]),
			.size = sizeof(values->values[0]),
		};
	}
	recipe->specialization = (VkSpecializationInfo){
		.mapEntryCount = values->count,
		.pMapEntries = recipe->entries,
		.dataSize = values->count * sizeof(values->values[0]),
		.pData = values->values,
	};
	recipe->subgroups = subgroup_demands(vulkan, pipeline);
	recipe->subgroup_size = (VkPipelineShaderStageRequiredSubgroupSizeCreateInfo){
		.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
		.requiredSubgroupSize = recipe->subgroups.size,
	};
	recipe->next = recipe->subgroups.size != 0 ? &recipe->subgroup_size : NULL;
}

/* How making one went. */
struct outcome {
	VkResult result;
	const char *call; /* the one that failed */
};

static struct outcome make_pipeline(const struct gqe_vulkan *vulkan, struct gqe_pipeline *pipeline)
{
	const struct gqe_kernel_variant *variant = pipeline->variant;
	struct recipe recipe;
	recipe_init(&recipe, vulkan, pipeline);
	VkComputePipelineCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
		.stage =
			{
				.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
				.pNext = recipe.next,
				.flags = recipe.subgroups.are_full ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT : 0,
				.stage = VK_SHADER_STAGE_COMPUTE_BIT,
				.pName = "main",
				.pSpecializationInfo = &recipe.specialization,
			},
		.layout = pipeline->layout,
		.flags = VK_PIPELINE_CREATE_DISPATCH_BASE_BIT, /* a step that is too long is dispatched in parts */
	};
	if (vulkan->reports_pipelines) {
		info.flags |=
			VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR | VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
	}
	VkShaderModuleCreateInfo module_info = {
		.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
		.codeSize = variant->spirv.bytes,
		.pCode = variant->spirv.words,
	};
	VkShaderModule module;
	VkResult result = vulkan->fn.vkCreateShaderModule(vulkan->device, &module_info, NULL, &module);
	if (result != VK_SUCCESS) {
		return (struct outcome){result, "vkCreateShaderModule"};
	}
	info.stage.module = module;
	VkPipeline handle;
	result = vulkan->fn.vkCreateComputePipelines(vulkan->device, vulkan->pipelines->cache.handle, 1, &info, NULL, &handle);
	vulkan->fn.vkDestroyShaderModule(vulkan->device, module, NULL);
	if (result == VK_SUCCESS) {
		pipeline->handle = handle;
	}
	return (struct outcome){result, "vkCreateComputePipelines"};
}

static VkShaderCreateFlagsEXT shader_flags(const struct subgroup_demands *subgroups)
{
	return VK_SHADER_CREATE_DISPATCH_BASE_BIT_EXT | /* a step that is too long is dispatched in parts */
	       (subgroups->are_full ? VK_SHADER_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT : 0);
}

static struct gqe_shader_key key_of(const struct gqe_vulkan *vulkan, const struct gqe_pipeline *pipeline)
{
	const struct subgroup_demands subgroups = subgroup_demands(vulkan, pipeline);
	return gqe_shader_key(pipeline, shader_flags(&subgroups), subgroups.size);
}

/* From its binary, or, where there is none or the driver does not take it, from SPIR-V. */
static struct outcome make_shader(const struct gqe_vulkan *vulkan, struct gqe_pipeline *pipeline)
{
	const struct gqe_spirv *spirv = &pipeline->variant->spirv;
	const struct gqe_shader_key key = key_of(vulkan, pipeline);
	struct recipe recipe;
	recipe_init(&recipe, vulkan, pipeline);
	VkShaderCreateInfoEXT info = {
		.sType = VK_STRUCTURE_TYPE_SHADER_CREATE_INFO_EXT,
		.pNext = recipe.next,
		.flags = shader_flags(&recipe.subgroups),
		.stage = VK_SHADER_STAGE_COMPUTE_BIT,
		.codeType = VK_SHADER_CODE_TYPE_BINARY_EXT,
		.pName = "main",
		.pushConstantRangeCount = 1,
		.pPushConstantRanges = &push_range,
		.pSpecializationInfo = &recipe.specialization,
	};
	VkShaderEXT shader;
	info.pCode = gqe_shader_cache_find(&vulkan->pipelines->shaders, &key, &info.codeSize);
	pipeline->is_new = !info.pCode || vulkan->fn.vkCreateShadersEXT(vulkan->device, 1, &info, NULL, &shader) != VK_SUCCESS;
	VkResult result = VK_SUCCESS;
	if (pipeline->is_new) {
		info.codeType = VK_SHADER_CODE_TYPE_SPIRV_EXT;
		info.codeSize = spirv->bytes;
		info.pCode = spirv->words;
		result = vulkan->fn.vkCreateShadersEXT(vulkan->device, 1, &info, NULL, &shader);
	}
	if (result == VK_SUCCESS) {
		pipeline->shader = shader;
	}
	return (struct outcome){result, "vkCreateShadersEXT"};
}

/* On any thread; logs nothing, as the application's log expects its own threads. */
static struct outcome make(const struct gqe_vulkan *vulkan, struct gqe_pipeline *pipeline)
{
	return vulkan->capabilities.shader_objects ? make_shader(vulkan, pipeline) : make_pipeline(vulkan, pipeline);
}

/* Whatever was made of SPIR-V; without memory for the list nothing is kept. */
static void save_shaders(const struct gqe_vulkan *vulkan)
{
	struct gqe_pipelines *pipelines = vulkan->pipelines;
	struct gqe_new_shader *list = malloc((pipelines->count + 1) * sizeof(*list));
	size_t count = 0;
	for (size_t i = 0; list && i < pipelines->count; i++) {
		const struct gqe_pipeline *pipeline = pipelines->list[i];
		if (pipeline->shader && pipeline->is_new) {
			list[count++] = (struct gqe_new_shader){key_of(vulkan, pipeline), pipeline->shader};
		}
	}
	gqe_shader_cache_write(vulkan, &pipelines->shaders, list, count);
	free(list);
}

void gqe_pipelines_destroy(struct gqe_vulkan *vulkan)
{
	struct gqe_pipelines *pipelines = vulkan->pipelines;
	if (!pipelines) {
		return;
	}
	gqe_pipeline_cache_close(vulkan, &pipelines->cache);
	save_shaders(vulkan);
	gqe_shader_cache_close(&pipelines->shaders);
	for (size_t i = 0; i < pipelines->count; i++) {
		destroy(vulkan, pipelines->list[i]);
	}
	if (pipelines->layout) {
		vulkan->fn.vkDestroyPipelineLayout(vulkan->device, pipelines->layout, NULL);
	}
	free(pipelines->list);
	free(pipelines);
	vulkan->pipelines = NULL;
}

struct making {
	struct gqe_vulkan *vulkan;
	struct gqe_pipeline *const *pipelines;
	bool (*cancelled)(void *user);
	void *user;       /* of cancelled */
	pthread_t caller; /* who may be asked */
	atomic_bool is_cancelled;
	struct outcome outcomes[GQE_PIPELINES_AT_ONCE];
};

static void make_range(void *user, uint64_t first, uint64_t last)
{
	struct making *making = user;
	const bool may_ask = making->cancelled && pthread_equal(pthread_self(), making->caller);
	for (uint64_t i = first; i < last; i++) {
		struct gqe_pipeline *pipeline = making->pipelines[i];
		making->outcomes[i].result = VK_SUCCESS;
		if (may_ask && making->cancelled(making->user)) {
			atomic_store(&making->is_cancelled, true);
		}
		if (atomic_load(&making->is_cancelled)) {
			continue;
		}
		/* Another session may be at it. */
		pthread_mutex_lock(&pipeline->making);
		if (!atomic_load(&pipeline->is_made)) {
			making->outcomes[i] = make(making->vulkan, pipeline);
			atomic_store(&pipeline->is_made, making->outcomes[i].result == VK_SUCCESS);
		}
		pthread_mutex_unlock(&pipeline->making);
	}
}

gqe_status gqe_pipelines_make(struct gqe_vulkan *vulkan, struct gqe_pipeline *const *pipelines, uint32_t count,
			      bool (*cancelled)(void *user), void *user, gqe_error *error)
{
	struct making making = {
		.vulkan = vulkan,
		.pipelines = pipelines,
		.cancelled = cancelled,
		.user = user,
		.caller = pthread_self(),
	};
	assert(count <= GQE_PIPELINES_AT_ONCE);
	if (vulkan->capabilities.shader_objects) {
		pthread_mutex_lock(&vulkan->locks.pipelines);
		gqe_shader_cache_read(vulkan, &vulkan->pipelines->shaders);
		pthread_mutex_unlock(&vulkan->locks.pipelines);
	}
	gqe_parallel_for(vulkan->threads, count, 1, make_range, &making);
	for (uint32_t i = 0; i < count; i++) {
		const struct gqe_kernel_variant *variant = pipelines[i]->variant;
		if (making.outcomes[i].result != VK_SUCCESS) {
			gqe_error cause = {0};
			gqe_status status = gqe_vulkan_fail(vulkan, making.outcomes[i].result, making.outcomes[i].call, &cause);
			return gqe_fail(error, status, "kernel %s (%s): %s", variant->kernel, variant->variant, cause.message);
		}
		if (atomic_load(&pipelines[i]->is_made)) {
			gqe_log_write(&vulkan->log, GQE_LOG_DEBUG, "pipeline %s (%s)", variant->kernel, variant->variant);
		}
	}
	return atomic_load(&making.is_cancelled) ? gqe_fail(error, GQE_CANCELLED, "cancelled") : GQE_OK;
}

/* Holds the lock of `pipelines`. */
static gqe_status find_or_add(struct gqe_vulkan *vulkan, const struct gqe_kernel_variant *variant,
			      const struct gqe_specialization *specialization, struct gqe_pipeline **pipeline_out, gqe_error *error)
{
	struct gqe_pipelines *pipelines = vulkan->pipelines;
	assert(specialization->count <= GQE_MAX_SPECIALIZATION && variant->push_bytes <= GQE_MAX_PUSH_BYTES);
	for (size_t i = 0; i < pipelines->count; i++) {
		if (pipelines->list[i]->variant == variant &&
		    same_specialization(&pipelines->list[i]->specialization, specialization)) {
			*pipeline_out = pipelines->list[i];
			return GQE_OK;
		}
	}
	if (pipelines->count == pipelines->capacity) {
		size_t capacity = pipelines->capacity ? pipelines->capacity * 2 : 32;
		struct gqe_pipeline **list = realloc(pipelines->list, capacity * sizeof(struct gqe_pipeline *));
		if (!list) {
			return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a pipeline");
		}
		pipelines->list = list;
		pipelines->capacity = capacity;
	}
	gqe_status status = check_subgroups(vulkan, variant, specialization->subgroup_size, error);
	if (status != GQE_OK) {
		return status;
	}
	struct gqe_pipeline *pipeline = calloc(1, sizeof(*pipeline));
	if (!pipeline || pthread_mutex_init(&pipeline->making, NULL) != 0) {
		free(pipeline);
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a pipeline");
	}
	pipeline->variant = variant;
	pipeline->specialization = *specialization;
	pipeline->layout = pipelines->layout;
	pipelines->list[pipelines->count++] = pipeline;
	*pipeline_out = pipeline;
	return GQE_OK;
}

gqe_status gqe_pipeline_get(struct gqe_vulkan *vulkan, const struct gqe_kernel_variant *variant,
			    const struct gqe_specialization *specialization, struct gqe_pipeline **pipeline, gqe_error *error)
{
	pthread_mutex_lock(&vulkan->locks.pipelines);
	gqe_status status = find_or_add(vulkan, variant, specialization, pipeline, error);
	pthread_mutex_unlock(&vulkan->locks.pipelines);
	return status;
}

void gqe_pipeline_bind(const struct gqe_pipeline *pipeline, const struct gqe_commands *commands)
{
	const struct gqe_vulkan_functions *fn = &commands->vulkan->fn;
	if (pipeline->shader) {
		const VkShaderStageFlagBits stage = VK_SHADER_STAGE_COMPUTE_BIT;
		fn->vkCmdBindShadersEXT(commands->buffer, 1, &stage, &pipeline->shader);
	} else {
		fn->vkCmdBindPipeline(commands->buffer, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline->handle);
	}
}
