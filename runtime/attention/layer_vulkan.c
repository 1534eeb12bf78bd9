/* Layers among an application's own Vulkan commands. */
#include "attention/layer.h"

struct pass {
	gqe_vulkan_layer_io io;
	struct gqe_buffer x, y;
};

/* The library's own memory cannot be named by an application. */
static bool overlaps_cache(const gqe_layer *layer, const struct gqe_buffer *piece)
{
	return layer->cache_is_imported &&
	       (gqe_buffers_overlap(piece, &layer->cache.k) || gqe_buffers_overlap(piece, &layer->cache.v));
}

/* Checks and imports; then the layer's steps hold the pass. */
static gqe_status append_pass(gqe_layer *layer, const gqe_vulkan_layer_io *caller_io, const char *call, struct pass *pass,
			      gqe_error *error)
{
	if (layer == NULL || caller_io == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "%s: layer and io are required", call);
	const struct gqe_vulkan *vulkan = gqe_context_vulkan(layer->context);
	if (vulkan == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "%s: the reference has no Vulkan", call);
	gqe_status status = gqe_copy_params(&pass->io, sizeof(pass->io), caller_io, error);
	if (status == GQE_OK)
		status = gqe_layer_check_tokens(layer, pass->io.tokens, call, error);
	if (status != GQE_OK)
		return status;
	const uint64_t bytes = (uint64_t)layer->batch * pass->io.tokens * layer->config.hidden_size * sizeof(float);
	status = gqe_buffer_import(vulkan, &pass->io.x, bytes, "x", &pass->x, error);
	if (status == GQE_OK)
		status = gqe_buffer_import(vulkan, &pass->io.y, bytes, "y", &pass->y, error);
	if (status == GQE_OK && gqe_buffers_overlap(&pass->x, &pass->y))
		status = gqe_fail(error, GQE_ERROR_USAGE, "%s: y overlaps x; give it memory of its own", call);
	if (status == GQE_OK && overlaps_cache(layer, &pass->x))
		status = gqe_fail(error, GQE_ERROR_USAGE, "%s: x overlaps the layer's kv_cache; give it memory of its own", call);
	if (status == GQE_OK && overlaps_cache(layer, &pass->y))
		status = gqe_fail(error, GQE_ERROR_USAGE, "%s: y overlaps the layer's kv_cache; give it memory of its own", call);
	if (status != GQE_OK)
		return status;
	gqe_steps_lend(layer->steps, &pass->x);
	gqe_steps_lend(layer->steps, &pass->y);
	gqe_layer_append(layer, pass->io.tokens, pass->x.address, pass->y.address);
	return GQE_OK;
}

gqe_status gqe_layer_record(gqe_layer *layer, VkCommandBuffer commands, const gqe_vulkan_layer_io *io, gqe_error *error)
{
	struct pass pass;
	if (commands == NULL)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_record: commands is required");
	gqe_status status = append_pass(layer, io, "gqe_layer_record", &pass, error);
	if (status != GQE_OK)
		return status;
	const struct gqe_commands target = {.vulkan = gqe_context_vulkan(layer->context), .buffer = commands};
	status = gqe_steps_record(layer->steps, &target, error);
	if (status == GQE_OK)
		layer->position += pass.io.tokens;
	return status;
}

/* Ready to be recorded into anew. */
static gqe_status need_commands(gqe_layer *layer, gqe_error *error)
{
	if (layer->submitted.vulkan == NULL)
		return gqe_commands_create(gqe_context_vulkan(layer->context), &layer->submitted, error);
	return gqe_commands_wait(&layer->submitted, error);
}

static gqe_status check_semaphores(const gqe_vulkan_semaphore *semaphores, uint32_t count, const char *what, gqe_error *error)
{
	if (count > GQE_MAX_SEMAPHORES || (count > 0 && semaphores == NULL))
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_submit: at most %d semaphores to wait for and to signal",
				GQE_MAX_SEMAPHORES);
	for (uint32_t i = 0; i < count; i++)
		if (semaphores[i].semaphore == VK_NULL_HANDLE)
			return gqe_fail(error, GQE_ERROR_USAGE, "gqe_layer_submit: %s[%u].semaphore is VK_NULL_HANDLE", what, i);
	return GQE_OK;
}

gqe_status gqe_layer_submit(gqe_layer *layer, const gqe_vulkan_layer_io *io, const gqe_vulkan_submit *caller_submit,
			    gqe_error *error)
{
	struct pass pass;
	gqe_vulkan_submit submit;
	gqe_status status = gqe_copy_params(&submit, sizeof(submit), caller_submit, error);
	if (status == GQE_OK)
		status = check_semaphores(submit.waits, submit.wait_count, "waits", error);
	if (status == GQE_OK)
		status = check_semaphores(submit.signals, submit.signal_count, "signals", error);
	if (status != GQE_OK)
		return status;
	status = append_pass(layer, io, "gqe_layer_submit", &pass, error);
	if (status != GQE_OK)
		return status;
	status = need_commands(layer, error);
	if (status == GQE_OK)
		status = gqe_commands_begin(&layer->submitted, error);
	if (status != GQE_OK) {
		gqe_steps_discard(layer->steps);
		return status;
	}
	status = gqe_steps_record(layer->steps, &layer->submitted, error);
	if (status == GQE_OK)
		status = gqe_commands_submit(&layer->submitted, &submit, error);
	if (status == GQE_OK)
		layer->position += pass.io.tokens;
	return status;
}
