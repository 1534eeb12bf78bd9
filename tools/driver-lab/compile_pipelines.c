/*
 * Compiles every pipeline that the library may ask for on the one Vulkan device it sees, without submitting anything, and writes
 * what the driver's compiler says of each as JSON:
 *
 *   compile-pipelines [--candidates] TARGET OUT.json [FOLDER FOR THE ASSEMBLY]
 *
 * The device, its ladder and its tiles are the library's own. With --candidates: instead of the tiles that the library chooses, all
 * that gqe_tune would measure on the device, for much work. report-pipelines judges the result; this program fails only when it
 * could not do its work.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "attention/prepared.h"
#include "disassembly.h"
#include "tune/candidates.h"
#include "vulkan/pipeline.h"

/* What models have, and the smallest and largest that there are. */
static const uint32_t head_dims[] = {16, 32, 64, 80, 96, 128, 192, 256};

struct compilation {
	struct gqe_vulkan *vulkan;
	gqe_path best_path;
	cJSON *pipelines;
	const char *assembly_folder; /* NULL: none */
	unsigned number;
	bool failed; /* out of memory, or the folder cannot be written */
};

static double seconds_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double statistic_value(const VkPipelineExecutableStatisticKHR *statistic)
{
	switch (statistic->format) {
	case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
		return statistic->value.b32;
	case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
		return (double)statistic->value.i64;
	case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
		return (double)statistic->value.u64;
	default:
		return statistic->value.f64;
	}
}

static void add_statistics(const struct compilation *compilation, const VkPipelineExecutableInfoKHR *which, cJSON *executable)
{
	const struct gqe_vulkan *vulkan = compilation->vulkan;
	cJSON *values = cJSON_AddObjectToObject(executable, "statistics");
	uint32_t count = 0;
	vulkan->fn.vkGetPipelineExecutableStatisticsKHR(vulkan->device, which, &count, NULL);
	VkPipelineExecutableStatisticKHR *statistics = calloc(count ? count : 1, sizeof(*statistics));
	for (uint32_t i = 0; statistics != NULL && i < count; i++)
		statistics[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
	if (statistics != NULL &&
	    vulkan->fn.vkGetPipelineExecutableStatisticsKHR(vulkan->device, which, &count, statistics) == VK_SUCCESS)
		for (uint32_t i = 0; i < count; i++)
			cJSON_AddNumberToObject(values, statistics[i].name, statistic_value(&statistics[i]));
	free(statistics);
}

static void write_assembly(struct compilation *compilation, const char *executable, const char *name, const char *text)
{
	char path[4096];
	int length = snprintf(path, sizeof(path), "%s/%03u.%s.%s.txt", compilation->assembly_folder, compilation->number,
			      executable, name);
	for (char *c = path + strlen(compilation->assembly_folder) + 1; *c != '\0'; c++)
		if (*c == ' ' || *c == '/')
			*c = '_';
	FILE *file = length > 0 && (size_t)length < sizeof(path) ? fopen(path, "w") : NULL;
	if (file == NULL || fputs(text, file) < 0)
		compilation->failed = true;
	if (file != NULL && fclose(file) != 0)
		compilation->failed = true;
}

/* The compiler's texts: the last assembly among them is counted, all are written out if that is wanted. */
static void add_assembly(struct compilation *compilation, const VkPipelineExecutableInfoKHR *which, const char *name,
			 cJSON *executable)
{
	const struct gqe_vulkan *vulkan = compilation->vulkan;
	uint32_t count = 0;
	vulkan->fn.vkGetPipelineExecutableInternalRepresentationsKHR(vulkan->device, which, &count, NULL);
	VkPipelineExecutableInternalRepresentationKHR *texts = calloc(count ? count : 1, sizeof(*texts));
	if (texts == NULL) {
		compilation->failed = true;
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		texts[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
	vulkan->fn.vkGetPipelineExecutableInternalRepresentationsKHR(vulkan->device, which, &count, texts);
	for (uint32_t i = 0; i < count; i++) {
		texts[i].pData = calloc(texts[i].dataSize + 1, 1);
		compilation->failed |= texts[i].pData == NULL;
	}
	if (!compilation->failed)
		vulkan->fn.vkGetPipelineExecutableInternalRepresentationsKHR(vulkan->device, which, &count, texts);
	for (uint32_t i = 0; i < count && !compilation->failed; i++) {
		if (!texts[i].isText)
			continue;
		if (disassembly_recognized(texts[i].pData)) {
			cJSON_DeleteItemFromObject(executable, "loops");
			cJSON_AddItemToObject(executable, "loops", disassembly_loops(texts[i].pData));
		}
		if (compilation->assembly_folder != NULL)
			write_assembly(compilation, name, texts[i].name, texts[i].pData);
	}
	for (uint32_t i = 0; i < count; i++)
		free(texts[i].pData);
	free(texts);
}

static void add_executables(struct compilation *compilation, VkPipeline pipeline, cJSON *entry)
{
	const struct gqe_vulkan *vulkan = compilation->vulkan;
	VkPipelineInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline};
	cJSON *executables = cJSON_AddArrayToObject(entry, "executables");
	VkPipelineExecutablePropertiesKHR properties[8];
	uint32_t count = GQE_COUNT(properties);
	for (uint32_t i = 0; i < count; i++)
		properties[i] = (VkPipelineExecutablePropertiesKHR){
			.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR,
		};
	VkResult result = vulkan->fn.vkGetPipelineExecutablePropertiesKHR(vulkan->device, &info, &count, properties);
	if (result != VK_SUCCESS && result != VK_INCOMPLETE)
		return;
	for (uint32_t i = 0; i < count; i++) {
		cJSON *executable = cJSON_CreateObject();
		cJSON_AddItemToArray(executables, executable);
		cJSON_AddStringToObject(executable, "name", properties[i].name);
		cJSON_AddNumberToObject(executable, "subgroup_size", properties[i].subgroupSize);
		VkPipelineExecutableInfoKHR which = {
			.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
			.pipeline = pipeline,
			.executableIndex = i,
		};
		add_statistics(compilation, &which, executable);
		add_assembly(compilation, &which, properties[i].name, executable);
	}
}

static void compile(void *user, const struct gqe_prepared_case *prepared_case)
{
	struct compilation *compilation = user;
	const struct gqe_prepared *prepared = &prepared_case->prepared;
	cJSON *entry = cJSON_CreateObject();
	cJSON_AddItemToArray(compilation->pipelines, entry);
	cJSON_AddNumberToObject(entry, "number", compilation->number);
	cJSON_AddStringToObject(entry, "kernel", gqe_kernel_name(prepared_case->kernel));
	cJSON_AddStringToObject(entry, "path", gqe_path_name(prepared_case->path));
	cJSON_AddStringToObject(entry, "weights", gqe_dtype_name(prepared_case->weights));
	cJSON_AddNumberToObject(entry, "head_dim", prepared_case->head_dim);
	cJSON_AddBoolToObject(entry, "is_staged", prepared_case->is_staged);
	cJSON_AddNumberToObject(entry, "work_rows", prepared_case->work_rows);
	cJSON_AddNumberToObject(entry, "workgroup", prepared->tile.workgroup);
	cJSON_AddNumberToObject(entry, "subgroup", prepared->choice.variant->uses_subgroups ? prepared->tile.subgroup : 0);
	cJSON_AddNumberToObject(entry, "rows", prepared->tile.rows);
	cJSON_AddNumberToObject(entry, "columns", prepared->tile.columns);
	const struct gqe_prepared chosen =
		gqe_prepare(&compilation->vulkan->capabilities, NULL, NULL, prepared_case->kernel, compilation->best_path,
			    prepared_case->weights, prepared_case->work_rows, prepared_case->head_dim);
	cJSON_AddBoolToObject(entry, "is_default", prepared->choice.path == chosen.choice.path);

	struct gqe_pipeline *pipeline = NULL;
	gqe_error error = {0};
	double began = seconds_now();
	gqe_status status =
		gqe_pipeline_get(compilation->vulkan, prepared->choice.variant, &prepared->specialization, &pipeline, &error);
	if (status == GQE_OK)
		status = gqe_pipelines_make(compilation->vulkan, &pipeline, 1, NULL, NULL, &error);
	cJSON_AddNumberToObject(entry, "seconds", seconds_now() - began);
	if (status != GQE_OK)
		cJSON_AddStringToObject(entry, "error", error.message);
	else
		add_executables(compilation, pipeline->handle, entry);
	compilation->number++;
}

/* One kernel's candidates, the library's own tile first. */
static void compile_candidates_of(struct compilation *compilation, enum gqe_kernel kernel, gqe_path path, gqe_dtype weights,
				  uint32_t head_dim)
{
	const struct gqe_capabilities *capabilities = &compilation->vulkan->capabilities;
	static struct gqe_tuning tuning;
	struct gqe_tile tiles[1 + GQE_MAX_CANDIDATES];
	tiles[0] = gqe_tile_choose(capabilities, kernel, path, UINT32_MAX, head_dim);
	uint32_t count = 1 + gqe_tile_candidates(capabilities, kernel, path, 0, head_dim, &tiles[0], &tiles[1]);
	for (uint32_t i = 0; i < count; i++) {
		tuning = (struct gqe_tuning){
			.count = 1,
			.tiles = {{.kernel = kernel, .path = path, .weights = weights, .head_dim = head_dim, .tile = tiles[i]}},
		};
		struct gqe_prepared_case candidate = {
			.kernel = kernel,
			.path = path,
			.weights = weights,
			.head_dim = head_dim,
			.work_rows = UINT32_MAX,
			.prepared = gqe_prepare(capabilities, &tuning, NULL, kernel, path, weights, UINT32_MAX, head_dim),
		};
		compile(compilation, &candidate);
	}
}

static void compile_candidates(struct compilation *compilation)
{
	const struct gqe_capabilities *capabilities = &compilation->vulkan->capabilities;
	gqe_dtype weights = capabilities->storage16 ? GQE_DTYPE_F16 : GQE_DTYPE_F32;
	gqe_path paths[8];
	uint32_t path_count = gqe_ladder(capabilities, paths);
	for (uint32_t p = 0; p < path_count; p++) {
		if (gqe_kernel_has(GQE_KERNEL_ATTENTION, paths[p], weights)) {
			compile_candidates_of(compilation, GQE_KERNEL_ATTENTION, paths[p], weights, 64);
			compile_candidates_of(compilation, GQE_KERNEL_ATTENTION, paths[p], weights, 128);
		}
		if (gqe_kernel_has(GQE_KERNEL_GEMM, paths[p], weights))
			compile_candidates_of(compilation, GQE_KERNEL_GEMM, paths[p], weights, 0);
		if (gqe_kernel_has(GQE_KERNEL_GEMM_GATHERED, paths[p], weights))
			compile_candidates_of(compilation, GQE_KERNEL_GEMM_GATHERED, paths[p], weights, 0);
	}
}

/* The stand-ins for hardware that is not there have no id by which the library could tell these. */
static void name_architecture(struct gqe_capabilities *capabilities, const char *target)
{
	const char *chip = strchr(target, ':');
	if (chip != NULL && strcmp(chip, ":172") == 0)
		capabilities->architecture = GQE_ARCHITECTURE_AMPERE;
}

static void add_device(const struct gqe_vulkan *vulkan, cJSON *document)
{
	const struct gqe_capabilities *capabilities = &vulkan->capabilities;
	cJSON_AddStringToObject(document, "device", vulkan->info.name);
	cJSON_AddStringToObject(document, "driver", vulkan->info.driver_name);
	cJSON_AddStringToObject(document, "driver_info", vulkan->info.driver_info);
	cJSON_AddNumberToObject(document, "subgroup_size", capabilities->subgroup_size);
	cJSON_AddNumberToObject(document, "subgroup_size_min", capabilities->subgroup_size_min);
	cJSON_AddNumberToObject(document, "subgroup_size_max", capabilities->subgroup_size_max);
	cJSON_AddNumberToObject(document, "max_workgroup_invocations", capabilities->max_workgroup_invocations);
	cJSON_AddNumberToObject(document, "shared_memory_bytes", capabilities->shared_memory_bytes);
}

static bool write_document(const cJSON *document, const char *path)
{
	char *text = cJSON_Print(document);
	FILE *file = text != NULL ? fopen(path, "w") : NULL;
	bool written = file != NULL && fputs(text, file) >= 0;
	if (file != NULL && fclose(file) != 0)
		written = false;
	if (!written)
		fprintf(stderr, "compile-pipelines: cannot write %s: %s\n", path, strerror(errno));
	cJSON_free(text);
	return written;
}

int main(int argc, char **argv)
{
	bool candidates = argc > 1 && strcmp(argv[1], "--candidates") == 0;
	argc -= candidates;
	argv += candidates;
	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: compile-pipelines [--candidates] TARGET OUT.json [FOLDER FOR THE ASSEMBLY]\n");
		return 2;
	}
	gqe_error error = {0};
	struct compilation compilation = {.assembly_folder = argc == 4 ? argv[3] : NULL};
	const struct gqe_vulkan_params params = {.device = "0", .cache_dir = "", .report_pipelines = true};
	if (gqe_vulkan_create(&params, &compilation.vulkan, &error) != GQE_OK) {
		fprintf(stderr, "compile-pipelines: %s: %s\n", argv[1], error.message);
		return 1;
	}
	name_architecture(&compilation.vulkan->capabilities, argv[1]);
	cJSON *document = cJSON_CreateObject();
	cJSON_AddStringToObject(document, "target", argv[1]);
	add_device(compilation.vulkan, document);
	gqe_path paths[8];
	compilation.best_path = paths[gqe_ladder(&compilation.vulkan->capabilities, paths) - 1];
	compilation.pipelines = cJSON_AddArrayToObject(document, "pipelines");
	double began = seconds_now();
	if (candidates)
		compile_candidates(&compilation);
	else
		gqe_prepared_visit(&compilation.vulkan->capabilities, head_dims, GQE_COUNT(head_dims), compile, &compilation);
	cJSON_AddNumberToObject(document, "seconds", seconds_now() - began);
	if (compilation.failed)
		fprintf(stderr, "compile-pipelines: %s: out of memory, or the assembly cannot be written\n", argv[1]);
	bool done = !compilation.failed && write_document(document, argv[2]);
	cJSON_Delete(document);
	gqe_vulkan_destroy(&compilation.vulkan);
	return done ? 0 : 1;
}
