#include "model/model_files.h"

#include "model/config.h"
#include "model/host_file.h"
#include "model/json.h"

#include <stdlib.h>
#include <string.h>

#define CONFIG_NAME "config.json"
#define WEIGHTS_NAME "model.safetensors"
#define INDEX_NAME "model.safetensors.index.json"
#define TOKENIZER_NAME "tokenizer.json"
/* An index has about 100 bytes per tensor. */
#define MAX_INDEX_BYTES ((size_t)100 << 20)

/* One .safetensors file of the model. */
struct shard {
	const char *name; /* in the index, which owns it */
	gqe_tensor_file *file;
};

struct gqe_model_files {
	gqe_model_config config;
	struct shard *shards;
	size_t shard_count;
	gqe_tensor *tensors; /* sorted by name; names and data are the shards' */
	size_t tensor_count;
	struct gqe_model_tensors model;
};

static int compare_tensors(const void *a, const void *b)
{
	return strcmp(((const gqe_tensor *)a)->name, ((const gqe_tensor *)b)->name);
}

static gqe_status open_in_folder(const char *folder, const char *name, gqe_tensor_file **file, gqe_error *error)
{
	char *path = gqe_path_join(folder, name);
	if (!path)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to open '%s'", folder);
	gqe_status status = gqe_tensor_file_open(path, file, error);
	free(path);
	return status;
}

/* 1: the file is there; 0: it is not; -1: no memory to look. */
static int exists_in_folder(const char *folder, const char *name)
{
	char *path = gqe_path_join(folder, name);
	int exists = path ? gqe_file_exists(path) : -1;
	free(path);
	return exists;
}

static int compare_shards(const void *a, const void *b)
{
	return strcmp(((const struct shard *)a)->name, ((const struct shard *)b)->name);
}

static struct shard *find_shard(const gqe_model_files *files, const char *name)
{
	struct shard key = {.name = name};
	return bsearch(&key, files->shards, files->shard_count, sizeof(*files->shards), compare_shards);
}

/* A name that stays in the folder, on every system. */
static bool is_plain_name(const char *name)
{
	return name[0] && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strpbrk(name, "/\\:");
}

/* The distinct shard names of the index, sorted. */
static gqe_status list_shards(gqe_model_files *files, const char *path, const cJSON *weight_map, gqe_error *error)
{
	size_t count = 0, distinct = 0;

	for (const cJSON *entry = weight_map->child; entry; entry = entry->next) {
		if (!cJSON_IsString(entry) || !is_plain_name(entry->valuestring))
			return gqe_fail(error, GQE_ERROR_BAD_INPUT,
					"'%s': tensor '%s' is said to be in '%s', which is no file name in this folder", path,
					gqe_show(entry->string).text,
					cJSON_IsString(entry) ? gqe_show(entry->valuestring).text : "(not a text)");
		count++;
	}
	files->shards = calloc(count + 1, sizeof(*files->shards)); /* + 1: not of size 0 for an empty index */
	if (!files->shards)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for the shards of '%s'", path);
	for (const cJSON *entry = weight_map->child; entry; entry = entry->next)
		files->shards[files->shard_count++].name = entry->valuestring;
	qsort(files->shards, count, sizeof(*files->shards), compare_shards);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || strcmp(files->shards[distinct - 1].name, files->shards[i].name) != 0)
			files->shards[distinct++] = files->shards[i];
	}
	files->shard_count = distinct;
	return GQE_OK;
}

/* What a shard holds beyond the index is found later: it is a duplicate, unknown, or needed all the same. */
static gqe_status check_index(const gqe_model_files *files, const char *path, const cJSON *weight_map, gqe_error *error)
{
	for (const cJSON *entry = weight_map->child; entry; entry = entry->next) {
		const struct shard *shard = find_shard(files, entry->valuestring);
		if (!gqe_tensor_file_find(shard->file, entry->string))
			return gqe_fail(error, GQE_ERROR_BAD_INPUT,
					"'%s': tensor '%s' is not in '%s'; index and shards do not belong together, get them again",
					path, gqe_show(entry->string).text, gqe_show(shard->name).text);
	}
	return GQE_OK;
}

static gqe_status open_shards(gqe_model_files *files, const char *folder, const char *path, const cJSON *index, gqe_error *error)
{
	const cJSON *weight_map = cJSON_GetObjectItemCaseSensitive(index, "weight_map");

	if (!cJSON_IsObject(weight_map))
		return gqe_fail(error, GQE_ERROR_BAD_INPUT,
				"'%s': key 'weight_map' is missing or not an object {...}; get it again", path);
	gqe_status status = list_shards(files, path, weight_map, error);
	for (size_t i = 0; i < files->shard_count && status == GQE_OK; i++)
		status = open_in_folder(folder, files->shards[i].name, &files->shards[i].file, error);
	if (status == GQE_OK)
		status = check_index(files, path, weight_map, error);
	for (size_t i = 0; i < files->shard_count; i++)
		files->shards[i].name = NULL; /* the index goes */
	return status;
}

static gqe_status open_indexed(gqe_model_files *files, const char *folder, gqe_error *error)
{
	char *path = gqe_path_join(folder, INDEX_NAME), *text = NULL;
	size_t bytes = 0;
	cJSON *index = NULL;
	gqe_status status = path ? gqe_file_read(path, MAX_INDEX_BYTES, &text, &bytes, error)
				 : gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to open '%s'", folder);

	if (status == GQE_OK)
		status = gqe_json_parse(path, "index", text, bytes, &index, error);
	if (status == GQE_OK)
		status = open_shards(files, folder, path, index, error);
	cJSON_Delete(index);
	free(text);
	free(path);
	return status;
}

static gqe_status open_single(gqe_model_files *files, const char *folder, gqe_error *error)
{
	files->shards = calloc(1, sizeof(*files->shards));
	if (!files->shards)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to open '%s'", folder);
	files->shard_count = 1;
	return open_in_folder(folder, WEIGHTS_NAME, &files->shards[0].file, error);
}

static gqe_status open_weights(gqe_model_files *files, const char *folder, gqe_error *error)
{
	const int has_weights = exists_in_folder(folder, WEIGHTS_NAME), has_index = exists_in_folder(folder, INDEX_NAME);
	if (has_weights < 0 || has_index < 0)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to open '%s'", folder);
	if (has_weights)
		return open_single(files, folder, error);
	if (has_index)
		return open_indexed(files, folder, error);
	return gqe_fail(error, GQE_ERROR_BAD_INPUT,
			"'%s' has neither " WEIGHTS_NAME " nor " INDEX_NAME "; a model needs one of them", folder);
}

static gqe_status read_config(gqe_model_files *files, const char *folder, gqe_error *error)
{
	char *path = gqe_path_join(folder, CONFIG_NAME), *text = NULL;
	size_t bytes = 0;
	gqe_status status = GQE_OK;

	if (!path)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to open '%s'", folder);
	if (!gqe_file_exists(path))
		status = gqe_fail(error, GQE_ERROR_BAD_INPUT,
				  "there is no '%s'; a model is a folder with " CONFIG_NAME " and " WEIGHTS_NAME, path);
	if (status == GQE_OK)
		status = gqe_file_read(path, GQE_MAX_CONFIG_BYTES, &text, &bytes, error);
	if (status == GQE_OK)
		status = gqe_config_parse(path, text, bytes, false, &files->config, error);
	free(text);
	free(path);
	if (status != GQE_OK || files->config.tokenizer[0])
		return status;
	/* Hugging Face's configs do not name theirs. */
	if (exists_in_folder(folder, TOKENIZER_NAME))
		strcpy(files->config.tokenizer, TOKENIZER_NAME);
	else if (files->config.vocab_size == 256)
		strcpy(files->config.tokenizer, "bytes");
	return GQE_OK;
}

/* Old Llama checkpoints store RoPE's frequencies, which follow from the config. */
static bool is_ignored(const char *name)
{
	static const char suffix[] = ".rotary_emb.inv_freq";
	size_t length = strlen(name);
	return length >= sizeof(suffix) && strcmp(name + length - (sizeof(suffix) - 1), suffix) == 0;
}

static gqe_status gather_tensors(gqe_model_files *files, gqe_error *error)
{
	size_t capacity = 0;

	for (size_t i = 0; i < files->shard_count; i++) {
		size_t count = 0;
		gqe_tensor_file_tensors(files->shards[i].file, &count);
		capacity += count;
	}
	files->tensors = malloc((capacity + 1) * sizeof(*files->tensors));
	if (!files->tensors)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for %zu tensors", capacity);
	for (size_t i = 0; i < files->shard_count; i++) {
		size_t count = 0;
		const gqe_tensor *tensors = gqe_tensor_file_tensors(files->shards[i].file, &count);
		for (size_t j = 0; j < count; j++) {
			if (!is_ignored(tensors[j].name))
				files->tensors[files->tensor_count++] = tensors[j];
		}
	}
	qsort(files->tensors, files->tensor_count, sizeof(*files->tensors), compare_tensors);
	for (size_t i = 1; i < files->tensor_count; i++) {
		const gqe_tensor *tensor = &files->tensors[i];
		if (strcmp(tensor[-1].name, tensor->name) == 0)
			return gqe_fail(error, GQE_ERROR_BAD_INPUT, "tensor '%s' is in both '%s' and '%s'; remove one",
					gqe_show(tensor->name).text, tensor[-1].file, tensor->file);
	}
	return GQE_OK;
}

gqe_status gqe_model_files_open(const char *folder, gqe_model_files **files, gqe_error *error)
{
	if (!files)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_model_files_open: files is NULL");
	*files = NULL;
	if (!folder)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_model_files_open: folder is NULL");
	if (!folder[0])
		return gqe_fail(error, GQE_ERROR_BAD_INPUT, "the model's folder has no name ''; use '.' for the current one");
	gqe_model_files *opened = calloc(1, sizeof(*opened));
	if (!opened)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to open '%s'", folder);

	gqe_status status = read_config(opened, folder, error);
	if (status == GQE_OK)
		status = open_weights(opened, folder, error);
	if (status == GQE_OK)
		status = gather_tensors(opened, error);
	if (status == GQE_OK)
		status = gqe_model_tensors_match(folder, &opened->config, opened->tensors, opened->tensor_count, &opened->model,
						 error);
	if (status != GQE_OK)
		gqe_model_files_destroy(&opened);
	*files = opened;
	return status;
}

void gqe_model_files_destroy(gqe_model_files **files)
{
	if (!files || !*files)
		return;
	for (size_t i = 0; i < (*files)->shard_count; i++)
		gqe_tensor_file_destroy(&(*files)->shards[i].file);
	free((*files)->shards);
	free((*files)->tensors);
	gqe_model_tensors_free(&(*files)->model);
	free(*files);
	*files = NULL;
}

const gqe_model_config *gqe_model_files_config(const gqe_model_files *files)
{
	return files ? &files->config : NULL;
}

const gqe_tensor *gqe_model_files_tensors(const gqe_model_files *files, size_t *count)
{
	if (count)
		*count = files ? files->tensor_count : 0;
	return files ? files->tensors : NULL;
}

const struct gqe_model_tensors *gqe_model_files_model(const gqe_model_files *files)
{
	return &files->model;
}
