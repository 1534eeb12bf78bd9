#include "record.h"

#include <stdlib.h>
#include <string.h>

void record_samples_free(struct record_samples *samples)
{
	free(samples->gpu_ms);
	free(samples->wall_ms);
	free(samples->cpu_ms);
	free(samples->rounds);
	*samples = (struct record_samples){0};
}

void record_entry_free(struct record_entry *entry)
{
	record_samples_free(&entry->samples);
	for (int step = 0; step < GQE_LAYER_STEP_COUNT; step++)
		free(entry->step_ms[step]);
	*entry = (struct record_entry){0};
}

void record_free(struct record *record)
{
	for (size_t i = 0; i < record->entry_count; i++)
		record_entry_free(&record->entries[i]);
	for (size_t i = 0; i < record->peak_count; i++)
		record_samples_free(&record->peaks[i].samples);
	for (size_t i = 0; i < record->model_count; i++) {
		record_samples_free(&record->models[i].prefill);
		record_samples_free(&record->models[i].decode);
	}
	free(record->checks);
	free(record->peaks);
	free(record->entries);
	free(record->models);
	free(record->skips);
	*record = (struct record){0};
}

uint32_t record_cases(const struct record *record, uint32_t *failed)
{
	uint32_t cases = 0;
	*failed = 0;
	for (size_t i = 0; i < record->check_count; i++) {
		cases += record->checks[i].cases;
		*failed += record->checks[i].failed;
	}
	return cases;
}

void *record_grow(void *array, size_t *count, size_t size)
{
	/* Copied as bytes: a pointer to any pointer may not be used as a void **. */
	void *items;
	memcpy(&items, array, sizeof(items));
	char *grown = *count < SIZE_MAX / size - 1 ? realloc(items, (*count + 1) * size) : NULL;
	if (!grown)
		return NULL;
	items = grown;
	memcpy(array, &items, sizeof(items));
	void *item = grown + *count * size;
	memset(item, 0, size);
	++*count;
	return item;
}

static void add_array(cJSON *object, const char *key, const double *values, uint32_t count)
{
	if (values)
		cJSON_AddItemToObject(object, key, cJSON_CreateDoubleArray(values, (int)count));
}

static void add_samples(cJSON *parent, const char *key, const struct record_samples *samples)
{
	cJSON *object = cJSON_AddObjectToObject(parent, key);
	add_array(object, "gpu_ms", samples->gpu_ms, samples->count);
	add_array(object, "wall_ms", samples->wall_ms, samples->count);
	add_array(object, "cpu_ms", samples->cpu_ms, samples->count);
	if (!samples->rounds)
		return;
	cJSON *rounds = cJSON_AddArrayToObject(object, "rounds");
	for (uint32_t i = 0; i < samples->count; i++)
		cJSON_AddItemToArray(rounds, cJSON_CreateNumber(samples->rounds[i]));
}

/* Names of devices and models come from outside; cJSON wants UTF-8. */
static void add_text(cJSON *object, const char *key, const char *text)
{
	char *valid = valid_utf8(text, strlen(text));
	cJSON_AddStringToObject(object, key, valid ? valid : "");
	free(valid);
}

static cJSON *device_to_json(const struct record *record)
{
	cJSON *object = cJSON_CreateObject();
	add_text(object, "name", record->device.name);
	add_text(object, "type", record->device.type);
	add_text(object, "driver", record->device.driver);
	add_text(object, "driver_info", record->device.driver_info);
	add_text(object, "api_version", record->device.api_version);
	add_text(object, "uuid", record->device.uuid);
	add_text(object, "path", record->device.path);
	cJSON_AddNumberToObject(object, "vendor_id", record->device.vendor_id);
	cJSON_AddNumberToObject(object, "device_id", record->device.device_id);
	cJSON_AddNumberToObject(object, "driver_version", record->device.driver_version);
	cJSON_AddNumberToObject(object, "subgroup_size", record->device.subgroup_size);
	cJSON_AddNumberToObject(object, "heap_bytes", record->device.heap_bytes);
	cJSON_AddBoolToObject(object, "has_timestamps", record->device.has_timestamps);
	return object;
}

static cJSON *check_to_json(const struct record_check *check)
{
	cJSON *object = cJSON_CreateObject();
	add_text(object, "kernel", check->kernel);
	add_text(object, "path", check->path);
	add_text(object, "dtype", check->dtype);
	cJSON_AddNumberToObject(object, "cases", check->cases);
	cJSON_AddNumberToObject(object, "failed", check->failed);
	json_add_number(object, "error", check->error);
	json_add_number(object, "tolerance", check->tolerance);
	return object;
}

static cJSON *peak_to_json(const struct record_peak *peak)
{
	cJSON *object = cJSON_CreateObject();
	add_text(object, "what", peak->what);
	cJSON_AddNumberToObject(object, "amount", peak->amount);
	add_samples(object, "samples", &peak->samples);
	return object;
}

static cJSON *entry_to_json(const struct record_entry *entry)
{
	cJSON *object = cJSON_CreateObject();
	add_text(object, "what", entry->what);
	add_text(object, "attention", entry->attention);
	add_text(object, "path", entry->path);
	add_text(object, "dtype", entry->dtype);
	add_text(object, "routing", entry->routing);
	cJSON_AddBoolToObject(object, "preferred", entry->preferred);
	cJSON *shape = cJSON_AddObjectToObject(object, "shape");
	cJSON_AddNumberToObject(shape, "hidden", entry->shape.hidden);
	cJSON_AddNumberToObject(shape, "heads", entry->shape.heads);
	cJSON_AddNumberToObject(shape, "kv_heads", entry->shape.kv_heads);
	cJSON_AddNumberToObject(shape, "top_k", entry->shape.top_k);
	cJSON_AddNumberToObject(shape, "head_dim", entry->shape.head_dim);
	cJSON_AddNumberToObject(object, "tokens", entry->tokens);
	cJSON_AddNumberToObject(object, "computed", entry->computed);
	cJSON_AddNumberToObject(object, "flop", entry->flop);
	cJSON_AddNumberToObject(object, "memory_bytes", entry->memory_bytes);
	add_text(object, "peak", entry->peak);
	add_samples(object, "samples", &entry->samples);
	cJSON *steps = cJSON_AddObjectToObject(object, "steps");
	for (int i = 0; i < GQE_LAYER_STEP_COUNT; i++) {
		if (!entry->step_ms[i])
			continue;
		cJSON *step = cJSON_AddObjectToObject(steps, gqe_layer_step_name((gqe_layer_step)i));
		cJSON_AddNumberToObject(step, "flop", entry->step_flop[i]);
		add_array(step, "ms", entry->step_ms[i], entry->samples.count);
	}
	return object;
}

static cJSON *model_to_json(const struct record_model *model)
{
	cJSON *object = cJSON_CreateObject();
	add_text(object, "name", model->name);
	add_text(object, "weights_hash", model->weights_hash);
	add_text(object, "prompt_hash", model->prompt_hash);
	add_text(object, "attention", model->attention);
	add_text(object, "path", model->path);
	add_text(object, "dtype", model->dtype);
	cJSON_AddNumberToObject(object, "parameters", model->parameters);
	cJSON_AddNumberToObject(object, "prompt_tokens", model->prompt_tokens);
	cJSON_AddNumberToObject(object, "generated_tokens", model->generated_tokens);
	json_add_number(object, "bits_per_token", model->bits_per_token);
	add_samples(object, "prefill", &model->prefill);
	add_samples(object, "decode", &model->decode);
	return object;
}

cJSON *record_to_json(const struct record *record)
{
	uint32_t failed;
	cJSON *document = cJSON_CreateObject();
	cJSON_AddStringToObject(document, "kind", "gqe report");
	cJSON_AddNumberToObject(document, "schema_version", record->schema_version);
	add_text(document, "created", record->created);
	add_text(document, "mode", record->mode);
	cJSON_AddBoolToObject(document, "complete", record->complete);
	cJSON_AddNumberToObject(document, "seconds", record->seconds);
	cJSON *program = cJSON_AddObjectToObject(document, "gqe");
	add_text(program, "version", record->version);
	add_text(program, "commit", record->commit);
	add_text(program, "shader_hash", record->shader_hash);
	add_text(document, "os", record->os);
	cJSON_AddItemToObject(document, "device", device_to_json(record));
	cJSON *selftest = cJSON_AddObjectToObject(document, "selftest");
	cJSON_AddBoolToObject(selftest, "done", record->selftest_done);
	cJSON_AddNumberToObject(selftest, "cases", record_cases(record, &failed));
	cJSON_AddNumberToObject(selftest, "failed", failed);
	cJSON *kernels = cJSON_AddArrayToObject(selftest, "kernels");
	for (size_t i = 0; i < record->check_count; i++)
		cJSON_AddItemToArray(kernels, check_to_json(&record->checks[i]));
	cJSON *peaks = cJSON_AddArrayToObject(document, "peaks");
	for (size_t i = 0; i < record->peak_count; i++)
		cJSON_AddItemToArray(peaks, peak_to_json(&record->peaks[i]));
	cJSON *entries = cJSON_AddArrayToObject(document, "entries");
	for (size_t i = 0; i < record->entry_count; i++)
		cJSON_AddItemToArray(entries, entry_to_json(&record->entries[i]));
	cJSON *models = cJSON_AddArrayToObject(document, "models");
	for (size_t i = 0; i < record->model_count; i++)
		cJSON_AddItemToArray(models, model_to_json(&record->models[i]));
	cJSON *skips = cJSON_AddArrayToObject(document, "skipped");
	for (size_t i = 0; i < record->skip_count; i++) {
		cJSON *skip = cJSON_CreateObject();
		add_text(skip, "what", record->skips[i].what);
		add_text(skip, "reason", record->skips[i].reason);
		cJSON_AddItemToArray(skips, skip);
	}
	return document;
}
