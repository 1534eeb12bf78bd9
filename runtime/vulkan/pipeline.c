#include "vulkan/pipeline.h"
#include "vulkan/pipeline_cache.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct gqe_pipelines {
	struct gqe_pipeline **made; /* [count]; each allocated for itself, as pointers to them are handed out */
	size_t count, capacity;
	VkPipelineLayout layout; /* the same for all: push constants, no descriptors */
	struct gqe_pipeline_cache cache;
};

gqe_status gqe_pipelines_create(struct gqe_vulkan *vulkan, const char *cache_dir, gqe_error *error)
{
	gqe_status status = GQE_OK;
	struct gqe_pipelines *pipelines = calloc(1, sizeof(*pipelines));
	if (!pipelines) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for the pipelines");
	}
	vulkan->pipelines = pipelines;
	VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT, .size = GQE_MAX_PUSH_BYTES};
	VkPipelineLayoutCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
		.pushConstantRangeCount = 1,
		.pPushConstantRanges = &push,
	};
	VK_MAKE(vulkan, error, &pipelines->layout, vkCreatePipelineLayout, vulkan->device, &info, NULL);
	status = gqe_pipeline_cache_open(vulkan, cache_dir, &pipelines->cache, error);
fail:
	if (status != GQE_OK) {
		gqe_pipelines_destroy(vulkan);
	}
	return status;
}

void gqe_pipelines_destroy(struct gqe_vulkan *vulkan)
{
	struct gqe_pipelines *pipelines = vulkan->pipelines;
	if (!pipelines) {
		return;
	}
	gqe_pipeline_cache_close(vulkan, &pipelines->cache);
	for (size_t i = 0; i < pipelines->count; i++) {
		vulkan->fn.vkDestroyPipeline(vulkan->device, pipelines->made[i]->handle, NULL);
		free(pipelines->made[i]);
	}
	if (pipelines->layout) {
		vulkan->fn.vkDestroyPipelineLayout(vulkan->device, pipelines->layout, NULL);
	}
	free(pipelines->made);
	free(pipelines);
	vulkan->pipelines = NULL;
}

static bool same_specialization(const struct gqe_specialization *a, const struct gqe_specialization *b)
{
	return a->count == b->count && a->subgroup_size == b->subgroup_size &&
	       memcmp(a->values, b->values, a->count * sizeof(a->values[0])) == 0;
}

/*
 * A kernel that uses subgroups relies on their size and on all their invocations being there. A device whose only size is the
 * wanted one has it without asking.
 */
static gqe_status specify_subgroups(const struct gqe_vulkan *vulkan, const struct gqe_pipeline *pipeline,
				    VkPipelineShaderStageCreateInfo *stage,
				    VkPipelineShaderStageRequiredSubgroupSizeCreateInfo *size, gqe_error *error)
{
	const struct gqe_capabilities *capabilities = &vulkan->capabilities;
	uint32_t wanted = pipeline->specialization.subgroup_size;
	if (!pipeline->variant->uses_subgroups) {
		return GQE_OK;
	}
	if (wanted != 0) {
		bool one_size = capabilities->subgroup_size_min == capabilities->subgroup_size_max;
		if (wanted < capabilities->subgroup_size_min || wanted > capabilities->subgroup_size_max ||
		    (!one_size && !capabilities->subgroup_size_control)) {
			return gqe_fail(error, GQE_ERROR_INTERNAL, "kernel %s (%s) needs subgroups of %u; %s has %u to %u%s",
					pipeline->variant->kernel, pipeline->variant->variant, wanted, vulkan->info.name,
					capabilities->subgroup_size_min, capabilities->subgroup_size_max,
					capabilities->subgroup_size_control ? "" : ", not selectable");
		}
		if (!one_size) {
			size->requiredSubgroupSize = wanted;
			stage->pNext = size;
		}
	}
	if (capabilities->full_subgroups) {
		stage->flags |= VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT;
	}
	return GQE_OK;
}

static gqe_status build(struct gqe_vulkan *vulkan, struct gqe_pipeline *pipeline, gqe_error *error)
{
	gqe_status status = GQE_OK;
	const struct gqe_kernel_variant *variant = pipeline->variant;
	VkShaderModule module = VK_NULL_HANDLE;
	VkResult result;

	VkSpecializationMapEntry entries[GQE_MAX_SPECIALIZATION];
	for (uint32_t id = 0; id < pipeline->specialization.count; id++) {
		entries[id] = (VkSpecializationMapEntry){
			.constantID = id,
			.offset = id * (uint32_t)sizeof(pipeline->specialization.values[0]),
			.size = sizeof(pipeline->specialization.values[0]),
		};
	}
	VkSpecializationInfo specialization = {
		.mapEntryCount = pipeline->specialization.count,
		.pMapEntries = entries,
		.dataSize = pipeline->specialization.count * sizeof(pipeline->specialization.values[0]),
		.pData = pipeline->specialization.values,
	};
	VkPipelineShaderStageRequiredSubgroupSizeCreateInfo subgroup_size = {
		.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO,
	};
	VkComputePipelineCreateInfo info = {
		.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
		.stage =
			{
				.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
				.stage = VK_SHADER_STAGE_COMPUTE_BIT,
				.pName = "main",
				.pSpecializationInfo = &specialization,
			},
		.layout = pipeline->layout,
		.flags = VK_PIPELINE_CREATE_DISPATCH_BASE_BIT, /* a step that is too long is dispatched in parts */
	};
	if (vulkan->reports_pipelines) {
		info.flags |=
			VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR | VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
	}
	status = specify_subgroups(vulkan, pipeline, &info.stage, &subgroup_size, error);
	if (status != GQE_OK) {
		return status;
	}
	VkShaderModuleCreateInfo module_info = {
		.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
		.codeSize = variant->spirv.bytes,
		.pCode = variant->spirv.words,
	};
	VK_MAKE(vulkan, error, &module, vkCreateShaderModule, vulkan->device, &module_info, NULL);
	info.stage.module = module;
	result = vulkan->fn.vkCreateComputePipelines(vulkan->device, vulkan->pipelines->cache.handle, 1, &info, NULL,
						     &pipeline->handle);
	vulkan->fn.vkDestroyShaderModule(vulkan->device, module, NULL);
	if (result != VK_SUCCESS) {
		gqe_error cause = {0};
		status = gqe_vulkan_fail(vulkan, result, "vkCreateComputePipelines", &cause);
		return gqe_fail(error, status, "kernel %s (%s): %s", variant->kernel, variant->variant, cause.message);
	}
fail:
	return status;
}

/* Holds the lock of `pipelines`. */
static gqe_status find_or_build(struct gqe_vulkan *vulkan, const struct gqe_kernel_variant *variant,
				const struct gqe_specialization *specialization, struct gqe_pipeline **pipeline_out,
				gqe_error *error)
{
	struct gqe_pipelines *pipelines = vulkan->pipelines;
	assert(specialization->count <= GQE_MAX_SPECIALIZATION && variant->push_bytes <= GQE_MAX_PUSH_BYTES);
	for (size_t i = 0; i < pipelines->count; i++) {
		if (pipelines->made[i]->variant == variant &&
		    same_specialization(&pipelines->made[i]->specialization, specialization)) {
			*pipeline_out = pipelines->made[i];
			return GQE_OK;
		}
	}
	if (pipelines->count == pipelines->capacity) {
		size_t capacity = pipelines->capacity ? pipelines->capacity * 2 : 32;
		struct gqe_pipeline **made = realloc(pipelines->made, capacity * sizeof(struct gqe_pipeline *));
		if (!made) {
			return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a pipeline");
		}
		pipelines->made = made;
		pipelines->capacity = capacity;
	}
	struct gqe_pipeline *pipeline = calloc(1, sizeof(*pipeline));
	if (!pipeline) {
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for a pipeline");
	}
	pipeline->variant = variant;
	pipeline->specialization = *specialization;
	pipeline->layout = pipelines->layout;
	gqe_status status = build(vulkan, pipeline, error);
	if (status != GQE_OK) {
		free(pipeline);
		return status;
	}
	gqe_log_write(&vulkan->log, GQE_LOG_DEBUG, "pipeline %s (%s)", variant->kernel, variant->variant);
	pipelines->made[pipelines->count++] = pipeline;
	*pipeline_out = pipeline;
	return GQE_OK;
}

gqe_status gqe_pipeline_get(struct gqe_vulkan *vulkan, const struct gqe_kernel_variant *variant,
			    const struct gqe_specialization *specialization, struct gqe_pipeline **pipeline, gqe_error *error)
{
	pthread_mutex_lock(&vulkan->locks.pipelines);
	gqe_status status = find_or_build(vulkan, variant, specialization, pipeline, error);
	pthread_mutex_unlock(&vulkan->locks.pipelines);
	return status;
}
