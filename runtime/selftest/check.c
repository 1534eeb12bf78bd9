#include "selftest/check.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention/kernel_table.h"
#include "attention/tuning.h"
#include "common/half.h"

#define GUARD_BYTES 1024

void gqe_check_release(struct gqe_check *check)
{
	for (uint32_t i = 0; i < check->block_count; i++) {
		free(check->blocks[i].before);
		free(check->blocks[i].after);
	}
	for (uint32_t i = 0; i < check->scratch_count; i++)
		free(check->scratch[i]);
	gqe_arena_destroy(&check->arena);
	check->block_count = check->scratch_count = check->tensor_count = 0;
}

static void out_of_memory(struct gqe_check *check)
{
	check->status = gqe_fail(check->error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a case of the self-test");
}

void *gqe_check_alloc(struct gqe_check *check, uint64_t count, size_t element_bytes)
{
	if (check->status != GQE_OK)
		return NULL;
	void *memory = NULL;
	if (check->scratch_count < GQE_CHECK_MAX_SCRATCH)
		memory = calloc(count > 0 ? count : 1, element_bytes);
	if (memory == NULL)
		out_of_memory(check);
	else
		check->scratch[check->scratch_count++] = memory;
	return memory;
}

float *gqe_check_normal(struct gqe_check *check, uint64_t count)
{
	float *values = gqe_check_alloc(check, count, sizeof(*values));
	for (uint64_t i = 0; values != NULL && i < count; i++)
		values[i] = gqe_random_normal(&check->random);
	return values;
}

float *gqe_check_normal_weights(struct gqe_check *check, uint64_t count)
{
	float *values = gqe_check_normal(check, count);
	for (uint64_t i = 0; check->dtype == GQE_DTYPE_F16 && values != NULL && i < count; i++)
		values[i] = gqe_f16_to_f32(gqe_f32_to_f16(values[i]));
	return values;
}

void *gqe_check_untouched(struct gqe_check *check, uint64_t count)
{
	uint32_t *words = gqe_check_alloc(check, count, sizeof(*words));
	for (uint64_t i = 0; words != NULL && i < count; i++)
		words[i] = GQE_CHECK_POISON;
	return words;
}

uint32_t gqe_check_between(struct gqe_check *check, uint32_t low, uint32_t high)
{
	return low + gqe_random_below(&check->random, high - low + 1);
}

uint32_t gqe_check_tokens(struct gqe_check *check)
{
	if (check->number == 0)
		return 1;
	if (check->number == 2)
		return check->max_tokens;
	uint32_t tokens = gqe_check_between(check, 1, check->max_tokens);
	if (check->number % 2 == 1) {
		uint32_t edge = 1u << gqe_check_between(check, 1, 8);
		tokens = edge - 1 + gqe_check_between(check, 0, 2);
	}
	return gqe_min_u32(tokens, check->max_tokens);
}

uint32_t gqe_check_head_dim(struct gqe_check *check)
{
	if (check->head_dim != 0)
		return check->head_dim;
	if (check->number % 4 == 3)
		return 2 * gqe_check_between(check, 1, GQE_MAX_HEAD_DIM / 2);
	return 16 * gqe_check_between(check, 1, GQE_MAX_HEAD_DIM / 16);
}

/* The case runs with that tile, if the device may. */
static bool take_tile(struct gqe_check *check, const struct gqe_tuned_tile *entry)
{
	struct gqe_tuning *tuning = gqe_check_alloc(check, 1, sizeof(*tuning));
	if (tuning == NULL || check->recorder.tuning != NULL ||
	    !gqe_tile_is_legal(&check->capabilities, (enum gqe_kernel)entry->kernel, (gqe_path)entry->path, 0, &entry->tile))
		return false;
	gqe_tuning_set(tuning, entry);
	check->recorder.tuning = tuning;
	return true;
}

bool gqe_check_transposed_tile(struct gqe_check *check, uint32_t head_dim, uint32_t blocks, uint32_t parts)
{
	const gqe_path path = check->recorder.path;
	if (path != GQE_PATH_MATRIX || check->dtype != GQE_DTYPE_F16)
		return false;
	struct gqe_tuned_tile entry = {
		.kernel = GQE_KERNEL_ATTENTION,
		.path = path,
		.weights = check->dtype,
		.head_dim = head_dim,
		.tile = gqe_tile_choose(&check->capabilities, GQE_KERNEL_ATTENTION, path, UINT32_MAX, head_dim),
	};
	entry.tile.rows = blocks * entry.tile.subgroup;
	entry.tile.workgroup = parts * entry.tile.rows;
	entry.tile.columns = entry.tile.matrix.k * (blocks > 1 ? 2 : 1);
	entry.tile.is_rolled = false;
	entry.tile.is_transposed = true;
	if (gqe_tile_transposed_bytes(&entry.tile, head_dim) > check->capabilities.shared_memory_bytes)
		return false;
	return take_tile(check, &entry);
}

bool gqe_check_narrow_tile(struct gqe_check *check, enum gqe_kernel work_kernel)
{
	const gqe_path path = check->recorder.path;
	if (path == GQE_PATH_SCALAR)
		return false;
	struct gqe_tuned_tile entry = {
		.kernel = work_kernel,
		.path = path,
		.weights = check->dtype,
		.tile = gqe_tile_choose(&check->capabilities, work_kernel, path, UINT32_MAX, 0),
	};
	entry.tile.columns = path == GQE_PATH_SUBGROUP ? 1 : entry.tile.matrix.n;
	return take_tile(check, &entry);
}

bool gqe_check_multiplies_f16(const struct gqe_check *check, enum gqe_kernel kernel)
{
	return gqe_kernel_choose(kernel, check->recorder.path, check->dtype).path >= GQE_PATH_PACKED;
}

void gqe_check_shape(struct gqe_check *check, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(check->shape, sizeof(check->shape), format, arguments);
	va_end(arguments);
}

/* -------------------------------------------------------------------------------------------------------------- tensors -- */

static void fill_poison(uint8_t *bytes, uint64_t count)
{
	const uint32_t word = GQE_CHECK_POISON;
	for (uint64_t i = 0; i + sizeof(word) <= count; i += sizeof(word))
		memcpy(bytes + i, &word, sizeof(word));
}

static struct gqe_check_tensor *add_tensor(struct gqe_check *check, struct gqe_check_tensor tensor)
{
	if (check->tensor_count == GQE_CHECK_MAX_TENSORS && check->status == GQE_OK)
		check->status = gqe_fail(check->error, GQE_ERROR_INTERNAL, "a case of the self-test has too many tensors");
	if (check->status != GQE_OK)
		return &check->no_tensor;
	check->tensors[check->tensor_count] = tensor;
	return &check->tensors[check->tensor_count++];
}

struct gqe_check_tensor *gqe_check_floats(struct gqe_check *check, const char *name, const float *data, uint64_t count)
{
	return add_tensor(check, (struct gqe_check_tensor){.name = name, .element_bytes = 4, .count = count, .initial = data});
}

struct gqe_check_tensor *gqe_check_ints(struct gqe_check *check, const char *name, const int32_t *data, uint64_t count)
{
	return add_tensor(check, (struct gqe_check_tensor){.name = name, .element_bytes = 4, .count = count, .initial = data});
}

uint32_t gqe_check_weight_bytes(const struct gqe_check *check)
{
	return (uint32_t)gqe_dtype_size(check->dtype);
}

static void convert_row(uint32_t bytes, const float *row, uint32_t depth, void *to)
{
	for (uint32_t i = 0; i < depth; i++) {
		uint16_t half = gqe_f32_to_f16(row[i]);
		memcpy((uint8_t *)to + i * bytes, bytes == 2 ? (const void *)&half : (const void *)&row[i], bytes);
	}
}

struct gqe_check_tensor *gqe_check_weights(struct gqe_check *check, const char *name, const float *data, uint64_t rows,
					   uint32_t depth, uint32_t stride)
{
	uint32_t bytes = gqe_check_weight_bytes(check);
	uint8_t *stored = gqe_check_alloc(check, rows * stride, bytes);
	for (uint64_t row = 0; stored != NULL && row < rows; row++)
		convert_row(bytes, data + row * depth, depth, stored + row * stride * bytes);
	return add_tensor(
		check, (struct gqe_check_tensor){.name = name, .element_bytes = bytes, .count = rows * stride, .initial = stored});
}

struct gqe_check_tensor *gqe_check_matrix(struct gqe_check *check, const char *name, const float *data, uint64_t rows,
					  uint32_t depth, uint32_t stride, struct gqe_matrix_layout *layout)
{
	const struct gqe_weight_reader reader = {.capabilities = check->recorder.capabilities, .path = check->recorder.path};
	uint32_t bytes = gqe_check_weight_bytes(check), words = stride * bytes / 4;
	layout->lanes = gqe_weight_lanes(&reader, check->dtype, layout->head_size);
	uint64_t stored_rows = gqe_align_up(rows, layout->lanes);
	uint32_t *stored = gqe_check_alloc(check, stored_rows * words, sizeof(*stored));
	uint32_t *row = gqe_check_alloc(check, words, sizeof(*row));
	if (stored == NULL || row == NULL)
		return add_tensor(check, (struct gqe_check_tensor){0});
	fill_poison((uint8_t *)stored, stored_rows * words * sizeof(*stored));
	for (uint64_t i = 0; i < stored_rows; i++) {
		uint64_t from = gqe_matrix_row_at(layout, i);
		if (from >= rows)
			continue;
		convert_row(bytes, data + from * depth, depth, row);
		gqe_matrix_place_row(layout, row, words, i, stored);
	}
	uint64_t count = stored_rows * stride;
	return add_tensor(check,
			  (struct gqe_check_tensor){.name = name, .element_bytes = bytes, .count = count, .initial = stored});
}

struct gqe_check_tensor *gqe_check_output(struct gqe_check *check, const char *name, uint32_t element_bytes, uint64_t count)
{
	return add_tensor(
		check, (struct gqe_check_tensor){.name = name, .element_bytes = element_bytes, .count = count, .is_output = true});
}

struct gqe_check_tensor *gqe_check_inout(struct gqe_check *check, const char *name, const float *data, uint64_t count)
{
	struct gqe_check_tensor *tensor = gqe_check_floats(check, name, data, count);
	tensor->is_output = true;
	return tensor;
}

/* -------------------------------------------------------------------------------------------------------------- running -- */

static void find_blocks(struct gqe_check *check)
{
	struct gqe_buffer block;
	for (uint32_t i = 0; i < GQE_CHECK_MAX_BLOCKS && gqe_arena_block(check->arena, i, &block); i++) {
		check->blocks[i].buffer = block;
		check->blocks[i].before = malloc(block.size);
		check->blocks[i].after = malloc(block.size);
		check->block_count++;
		if (check->blocks[i].before == NULL || check->blocks[i].after == NULL) {
			out_of_memory(check);
			return;
		}
		fill_poison(check->blocks[i].before, block.size);
	}
}

static void find_tensor(struct gqe_check *check, struct gqe_check_tensor *tensor)
{
	for (uint32_t i = 0; i < check->block_count; i++) {
		const struct gqe_buffer *block = &check->blocks[i].buffer;
		if (block->handle != tensor->buffer.handle || tensor->buffer.offset < block->offset ||
		    tensor->buffer.offset - block->offset >= block->size)
			continue;
		tensor->block = i;
		tensor->start = tensor->buffer.offset - block->offset;
		if (tensor->initial != NULL)
			memcpy(check->blocks[i].before + tensor->start, tensor->initial, tensor->count * tensor->element_bytes);
		return;
	}
	check->status =
		gqe_fail(check->error, GQE_ERROR_INTERNAL, "the self-test cannot find the tensor '%s' in its arena", tensor->name);
}

bool gqe_check_place(struct gqe_check *check)
{
	if (check->status != GQE_OK)
		return false;
	check->status = gqe_arena_create(check->vulkan, GQE_MEMORY_DEVICE, &check->arena, check->error);
	if (check->status != GQE_OK)
		return false;
	gqe_arena_set_guard(check->arena, GUARD_BYTES);
	for (uint32_t i = 0; i < check->tensor_count; i++) {
		struct gqe_check_tensor *tensor = &check->tensors[i];
		gqe_arena_reserve(check->arena, &tensor->buffer, tensor->count * tensor->element_bytes);
	}
	check->status = gqe_arena_commit(check->arena, check->error);
	if (check->status == GQE_OK)
		find_blocks(check);
	for (uint32_t i = 0; i < check->tensor_count && check->status == GQE_OK; i++)
		find_tensor(check, &check->tensors[i]);
	return check->status == GQE_OK;
}

/* The output that contains a byte of a block, or NULL. */
static const struct gqe_check_tensor *output_at(const struct gqe_check *check, uint32_t block, uint64_t at)
{
	for (uint32_t i = 0; i < check->tensor_count; i++) {
		const struct gqe_check_tensor *tensor = &check->tensors[i];
		if (tensor->is_output && tensor->block == block && at >= tensor->start &&
		    at - tensor->start < tensor->count * tensor->element_bytes)
			return tensor;
	}
	return NULL;
}

/* The tensor that ends nearest before, or contains, a byte of a block. */
static const char *name_near(const struct gqe_check *check, uint32_t block, uint64_t at)
{
	const struct gqe_check_tensor *nearest = NULL;
	for (uint32_t i = 0; i < check->tensor_count; i++) {
		const struct gqe_check_tensor *tensor = &check->tensors[i];
		if (tensor->block == block && tensor->start <= at && (nearest == NULL || tensor->start > nearest->start))
			nearest = tensor;
	}
	return nearest != NULL ? nearest->name : "the first tensor's front guard";
}

/* Nothing but outputs may have changed: neither guard bands nor inputs. */
static void check_bystanders(struct gqe_check *check)
{
	for (uint32_t b = 0; b < check->block_count; b++) {
		const uint8_t *before = check->blocks[b].before, *after = check->blocks[b].after;
		for (uint64_t at = 0; at < check->blocks[b].buffer.size; at++) {
			const struct gqe_check_tensor *output = output_at(check, b, at);
			if (output != NULL) {
				at = output->start + output->count * output->element_bytes - 1;
			} else if (before[at] != after[at]) {
				gqe_check_fail(check, "memory that is no output was overwritten at or after '%s', byte %llu",
					       name_near(check, b, at), (unsigned long long)at);
				return;
			}
		}
	}
}

/* Runs what was recorded, downloads, and on the second pass compares with the first. */
static void finish_pass(struct gqe_check *check)
{
	check->status = gqe_steps_run(check->recorder.steps, NULL, NULL, check->error);
	for (uint32_t i = 0; i < check->block_count && check->status == GQE_OK; i++) {
		uint64_t bytes = check->blocks[i].buffer.size;
		uint8_t *first = check->blocks[i].after;
		uint8_t *now = check->passes == 1 ? first : malloc(bytes);
		if (now == NULL) {
			out_of_memory(check);
			return;
		}
		check->status = gqe_buffer_download(check->vulkan, &check->blocks[i].buffer, 0, now, bytes, check->error);
		if (check->status == GQE_OK && now != first && memcmp(first, now, bytes) != 0)
			gqe_check_fail(check, "two runs of the same kernel on the same data gave different bits");
		if (now != first)
			free(now);
	}
}

bool gqe_check_pass(struct gqe_check *check)
{
	if (check->passes > 0 && check->status == GQE_OK)
		finish_pass(check);
	if (check->status != GQE_OK)
		return false;
	if (check->passes == 2) {
		check_bystanders(check);
		return false;
	}
	for (uint32_t i = 0; i < check->block_count && check->status == GQE_OK; i++)
		check->status = gqe_buffer_upload(check->vulkan, &check->blocks[i].buffer, 0, check->blocks[i].before,
						  check->blocks[i].buffer.size, check->error);
	check->passes++;
	return check->status == GQE_OK;
}

/* ------------------------------------------------------------------------------------------------------------ comparing -- */

const void *gqe_check_result(const struct gqe_check *check, const struct gqe_check_tensor *tensor)
{
	return check->status == GQE_OK ? check->blocks[tensor->block].after + tensor->start : NULL;
}

void gqe_check_fail(struct gqe_check *check, const char *format, ...)
{
	if (check->failed)
		return;
	check->failed = true;
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(check->detail, sizeof(check->detail), format, arguments);
	va_end(arguments);
}

/* Keeps a comparison's figures if it is the first to fail or, as long as none does, the nearest to it. Returns whether it fails. */
static bool note(struct gqe_check *check, double measured, double tolerance)
{
	bool fails = !(measured <= tolerance); /* NaN fails */
	bool is_nearer = tolerance > 0 && (check->tolerance == 0 || measured / tolerance > check->measured / check->tolerance);
	if (!check->failed && (fails || is_nearer)) {
		check->measured = measured;
		check->tolerance = tolerance;
	}
	return fails;
}

static bool is_untouched_mark(const void *expected)
{
	const uint32_t poison = GQE_CHECK_POISON;
	return memcmp(expected, &poison, sizeof(poison)) == 0;
}

/* Elements that should have been left alone and were not; the first of them fails the case. */
static void check_untouched(struct gqe_check *check, const struct gqe_check_tensor *tensor, const void *expected)
{
	const uint8_t *before = check->blocks[tensor->block].before + tensor->start;
	const uint8_t *after = check->blocks[tensor->block].after + tensor->start;
	uint64_t bytes = tensor->element_bytes;
	for (uint64_t i = 0; i < tensor->count; i++) {
		if (is_untouched_mark((const uint32_t *)expected + i) &&
		    memcmp(before + i * bytes, after + i * bytes, bytes) != 0) {
			gqe_check_fail(check, "%s[%llu] was written and should not have been", tensor->name, (unsigned long long)i);
			return;
		}
	}
}

static float element(const struct gqe_check_tensor *tensor, const uint8_t *data, uint64_t index)
{
	if (tensor->element_bytes == 2) {
		uint16_t half;
		memcpy(&half, data + 2 * index, sizeof(half));
		return gqe_f16_to_f32(half);
	}
	float value;
	memcpy(&value, data + 4 * index, sizeof(value));
	return value;
}

void gqe_check_compare(struct gqe_check *check, const struct gqe_check_tensor *tensor, const float *expected, double tolerance)
{
	const uint8_t *result = gqe_check_result(check, tensor);
	if (result == NULL)
		return;
	check_untouched(check, tensor, expected);
	double difference = 0, size = 0, worst = -1;
	uint64_t worst_index = 0;
	for (uint64_t i = 0; i < tensor->count; i++) {
		if (is_untouched_mark(&expected[i]))
			continue;
		double delta = fabs((double)element(tensor, result, i) - expected[i]);
		difference += delta * delta;
		size += (double)expected[i] * expected[i];
		/* NaN is the worst there is. */
		if (!(delta <= worst) && !isnan(worst)) {
			worst = delta;
			worst_index = i;
		}
	}
	double measured = size > 0 ? sqrt(difference / size) : sqrt(difference);
	if (note(check, measured, tolerance))
		gqe_check_fail(check, "%s[%llu] of %llu is %.9g, expected %.9g", tensor->name, (unsigned long long)worst_index,
			       (unsigned long long)tensor->count, (double)element(tensor, result, worst_index),
			       (double)expected[worst_index]);
}

void gqe_check_compare_ints(struct gqe_check *check, const struct gqe_check_tensor *tensor, const int32_t *expected)
{
	const int32_t *result = gqe_check_result(check, tensor);
	if (result == NULL)
		return;
	check_untouched(check, tensor, expected);
	uint64_t unequal = 0, first = 0;
	for (uint64_t i = 0; i < tensor->count; i++) {
		if (is_untouched_mark(&expected[i]) || result[i] == expected[i])
			continue;
		if (unequal++ == 0)
			first = i;
	}
	if (note(check, (double)unequal, 0))
		gqe_check_fail(check, "%s[%llu] of %llu is %d, expected %d", tensor->name, (unsigned long long)first,
			       (unsigned long long)tensor->count, result[first], expected[first]);
}
