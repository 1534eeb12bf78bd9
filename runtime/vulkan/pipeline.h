/*
 * Compute pipelines: one table row per kernel, pipelines made when first needed, several at once, and cached on disk between runs.
 * On a device with gqe_capabilities.shader_objects each is a shader object.
 */
#ifndef GQE_VULKAN_PIPELINE_H
#define GQE_VULKAN_PIPELINE_H

#include "vulkan/commands.h"

/* A SPIR-V module; words live forever (they are compiled into the library). */
struct gqe_spirv {
	const uint32_t *words;
	size_t bytes;
};

enum gqe_access { GQE_ACCESS_READ = 1, GQE_ACCESS_WRITE = 2, GQE_ACCESS_READ_WRITE = 3 };

/* One pointer of a push struct. */
struct gqe_push_pointer {
	const char *name;
	uint16_t offset;
	uint16_t access; /* enum gqe_access */
};

#define GQE_MAX_PUSH_BYTES 128
#define GQE_MAX_SPECIALIZATION 20

/* A row of the kernel table. Rows are const and live forever. */
struct gqe_kernel_variant {
	const char *kernel;  /* "attention" */
	const char *variant; /* "subgroup f16" */
	struct gqe_spirv spirv;
	uint32_t push_bytes;
	const struct gqe_push_pointer *pointers;
	uint32_t pointer_count;
	bool uses_subgroups; /* the pipeline is made with the subgroup size of the specialization, full subgroups required */
};

/* Values of the specialization constants, by id; ids not in the shader are ignored. subgroup_size 0: the driver's choice. */
struct gqe_specialization {
	uint32_t count;
	uint32_t values[GQE_MAX_SPECIALIZATION];
	uint32_t subgroup_size;
};

struct gqe_pipeline {
	const struct gqe_kernel_variant *variant;
	struct gqe_specialization specialization;
	/* One of both, once it is made. */
	VkPipeline handle;
	VkShaderEXT shader;
	bool is_new; /* the shader is not in the cache's file */
	VkPipelineLayout layout;
	pthread_mutex_t making;
	_Atomic bool is_made;
	gqe_rate rate;        /* what was learnt of it */
	_Atomic bool has_run; /* it was submitted */
};

/* Made by gqe_vulkan_create, destroyed (and the cache file written) by gqe_vulkan_destroy. */
struct gqe_pipelines;
gqe_status gqe_pipelines_create(struct gqe_vulkan *vulkan, const char *cache_dir, gqe_error *error);
void gqe_pipelines_destroy(struct gqe_vulkan *vulkan);

/*
 * The pipeline of that variant and specialization, which gqe_pipelines_make makes. It lives as long as `vulkan`. The disk cache is
 * keyed by device UUID, driver version and pipelineCacheUUID; written atomically when pipelines were added; a bad file is a miss.
 * That of shader objects is also keyed by what Vulkan says of their binaries, and in it each of them by its kernel.
 */
gqe_status gqe_pipeline_get(struct gqe_vulkan *vulkan, const struct gqe_kernel_variant *variant,
			    const struct gqe_specialization *specialization, struct gqe_pipeline **pipeline, gqe_error *error);

/*
 * Makes those that are not made, at once, on vulkan->threads, and waits; without threads one after the
 * other. `cancelled` (may be NULL) is asked on the calling thread before each that is made there: true ends with GQE_CANCELLED once
 * those are made that were begun. After a failure or a cancel some may be made.
 */
#define GQE_PIPELINES_AT_ONCE 32
gqe_status gqe_pipelines_make(struct gqe_vulkan *vulkan, struct gqe_pipeline *const *pipelines, uint32_t count,
			      bool (*cancelled)(void *user), void *user, gqe_error *error);

/* What is dispatched next in that command buffer is this one, which is made. */
void gqe_pipeline_bind(const struct gqe_pipeline *pipeline, const struct gqe_commands *commands);

#endif
