/* The result of `gqe bench` as JSON; schema 1. */
#include "bench_report.h"

#include "platform.h"

#include <inttypes.h>
#include <math.h>

#define SCHEMA 1

static cJSON *device_json(const struct bench_result *result)
{
	const gqe_device_info *device = result->device;
	cJSON *object = json_device(device);
	char text[256];
	cJSON_AddStringToObject(object, "path", gqe_path_name(result->path));
	cJSON_AddNumberToObject(object, "subgroup_size", device->subgroup_size);
	snprintf(text, sizeof(text), "%u.%u.%u", device->api_version >> 22 & 0x7f, device->api_version >> 12 & 0x3ff,
		 device->api_version & 0xfff);
	cJSON_AddStringToObject(object, "api_version", text);
	snprintf(text, sizeof(text), "%016" PRIx64, gqe_shader_hash());
	cJSON_AddStringToObject(object, "shader_hash", text);
	cJSON_AddStringToObject(object, "commit", gqe_commit());
	if (describe_system(text, sizeof(text)))
		cJSON_AddStringToObject(object, "os", text);
	else
		cJSON_AddNullToObject(object, "os");
	cJSON_AddStringToObject(object, "gpu_clock", result->has_timestamps ? "timestamps" : "wall clock of submits");
	return object;
}

static void add_peak(cJSON *object, const char *key, const struct bench_peak *peak)
{
	json_add_number(object, key, peak->exists && peak->samples ? peak->best : NAN);
}

static cJSON *peak_json(const struct bench_result *result)
{
	cJSON *object = cJSON_CreateObject();
	add_peak(object, "f32_gflops", &result->peaks[BENCH_PEAK_F32]);
	add_peak(object, "f16_gflops", &result->peaks[BENCH_PEAK_F16]);
	add_peak(object, "matrix_gflops", &result->peaks[BENCH_PEAK_MATRIX]);
	add_peak(object, "bandwidth_gbs", &result->peaks[BENCH_PEAK_BANDWIDTH]);
	return object;
}

static void add_samples(cJSON *object, const char *key, const struct bench_result *result, const struct bench_record *record,
			size_t field)
{
	cJSON *array = cJSON_AddArrayToObject(object, key);
	for (uint32_t i = 0; i < result->plan->samples; i++)
		cJSON_AddItemToArray(array, cJSON_CreateNumber(*(const double *)((const char *)&record->samples[i] + field)));
}

static cJSON *record_json(const struct bench_result *result, const struct bench_record *record)
{
	static const size_t fields[] = {
		[BENCH_CLOCK_GPU] = offsetof(gqe_bench_times, gpu_ms),
		[BENCH_CLOCK_WALL] = offsetof(gqe_bench_times, wall_ms),
		[BENCH_CLOCK_CPU] = offsetof(gqe_bench_times, cpu_ms),
	};
	cJSON *object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "what", gqe_bench_what_name(record->what));
	cJSON_AddStringToObject(object, "attention", bench_attention_name(record->attention));
	if (record->routing)
		cJSON_AddStringToObject(object, "routing", bench_routing_name(record->routing));
	else
		cJSON_AddNullToObject(object, "routing");
	cJSON_AddNumberToObject(object, "tokens", record->tokens);
	cJSON_AddNumberToObject(object, "last_chunk", record->computed);
	cJSON_AddStringToObject(object, "dtype", bench_dtype_name(result->plan->dtype));
	cJSON_AddStringToObject(object, "path", gqe_path_name(record->info.path));
	json_add_number(object, "median_ms", record->median_ms);
	add_samples(object, "samples_ms", result, record, fields[result->plan->clock]);
	add_samples(object, "samples_gpu_ms", result, record, fields[BENCH_CLOCK_GPU]);
	add_samples(object, "samples_wall_ms", result, record, fields[BENCH_CLOCK_WALL]);
	add_samples(object, "samples_cpu_ms", result, record, fields[BENCH_CLOCK_CPU]);
	json_add_number(object, "gflop", record->info.flop * 1e-9);
	json_add_number(object, "gflops", record->gflops);
	json_add_number(object, "peak_fraction", record->peak_fraction);
	cJSON_AddNumberToObject(object, "memory_bytes", (double)record->info.memory_bytes);
	cJSON *steps = cJSON_AddObjectToObject(object, "steps");
	for (int step = GQE_LAYER_STEP_OTHER + 1; step < GQE_LAYER_STEP_COUNT; step++)
		json_add_number(steps, gqe_layer_step_name(step), record->step_ms[step]);
	return object;
}

static cJSON *config_json(const struct bench_plan *plan)
{
	cJSON *object = cJSON_CreateObject();
	cJSON_AddNumberToObject(object, "hidden", plan->config.hidden_size);
	cJSON_AddNumberToObject(object, "heads", plan->config.heads);
	cJSON_AddNumberToObject(object, "kv_heads", plan->config.kv_heads);
	cJSON_AddNumberToObject(object, "top_k", plan->config.top_k);
	cJSON_AddNumberToObject(object, "head_dim", plan->config.head_dim);
	cJSON_AddNumberToObject(object, "warmup", plan->warmups);
	cJSON_AddNumberToObject(object, "samples", plan->samples);
	cJSON_AddStringToObject(object, "clock", bench_clock_name(plan->clock));
	return object;
}

cJSON *bench_json(const struct bench_result *result)
{
	cJSON *document = cJSON_CreateObject();
	cJSON_AddNumberToObject(document, "schema", SCHEMA);
	cJSON_AddItemToObject(document, "device", device_json(result));
	cJSON_AddItemToObject(document, "config", config_json(result->plan));
	cJSON_AddItemToObject(document, "peak", peak_json(result));
	cJSON *memory = cJSON_AddObjectToObject(document, "memory");
	cJSON_AddNumberToObject(memory, "planned_bytes", (double)result->memory_planned);
	cJSON_AddNumberToObject(memory, "peak_bytes", (double)result->memory.peak);
	cJSON *records = cJSON_AddArrayToObject(document, "records");
	for (size_t i = 0; i < result->record_count; i++)
		cJSON_AddItemToArray(records, record_json(result, &result->records[i]));
	cJSON *speedups = cJSON_AddArrayToObject(document, "speedup");
	for (size_t i = 0; i < result->plan->tokens_count; i++) {
		struct bench_speedup speedup;
		if (!bench_speedup_at(result, result->plan->tokens[i], &speedup))
			continue;
		cJSON *object = cJSON_CreateObject();
		cJSON_AddNumberToObject(object, "tokens", speedup.tokens);
		json_add_number(object, "layer", speedup.layer);
		json_add_number(object, "attention", speedup.attention);
		json_add_number(object, "bound_layer", speedup.bound_layer);
		json_add_number(object, "bound_attention", speedup.bound_attention);
		cJSON_AddItemToArray(speedups, object);
	}
	return document;
}
