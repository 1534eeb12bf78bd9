#include "model/safetensors.h"

#include "model/host_file.h"
#include "model/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DAMAGED "; the file is damaged or incomplete, copy or download it again"

struct gqe_tensor_file {
	char *path;
	char *names; /* of all tensors, one after the other */
	gqe_tensor *tensors;
	const gqe_tensor **by_name; /* sorted */
	size_t count;
	struct gqe_file_map map; /* empty when the memory is the caller's */
};

/* Every dtype of the format; those without a gqe_dtype of their own are listed for the user, never read. */
static const struct dtype_row {
	const char *name;
	uint32_t bits;
	gqe_dtype dtype;
} dtypes[] = {
	{"F32", 32, GQE_DTYPE_F32},          {"F16", 16, GQE_DTYPE_F16},      {"BF16", 16, GQE_DTYPE_BF16},
	{"I32", 32, GQE_DTYPE_I32},          {"I64", 64, GQE_DTYPE_I64},      {"U8", 8, GQE_DTYPE_U8},
	{"BOOL", 8, GQE_DTYPE_OTHER},        {"I8", 8, GQE_DTYPE_OTHER},      {"I16", 16, GQE_DTYPE_OTHER},
	{"U16", 16, GQE_DTYPE_OTHER},        {"U32", 32, GQE_DTYPE_OTHER},    {"U64", 64, GQE_DTYPE_OTHER},
	{"F64", 64, GQE_DTYPE_OTHER},        {"C64", 64, GQE_DTYPE_OTHER},    {"F8_E4M3", 8, GQE_DTYPE_OTHER},
	{"F8_E5M2", 8, GQE_DTYPE_OTHER},     {"F8_E8M0", 8, GQE_DTYPE_OTHER}, {"F8_E4M3FNUZ", 8, GQE_DTYPE_OTHER},
	{"F8_E5M2FNUZ", 8, GQE_DTYPE_OTHER}, {"F6_E2M3", 6, GQE_DTYPE_OTHER}, {"F6_E3M2", 6, GQE_DTYPE_OTHER},
	{"F4", 4, GQE_DTYPE_OTHER},
};

const char *gqe_dtype_name(gqe_dtype dtype)
{
	for (size_t i = 0; i < GQE_COUNT(dtypes); i++) {
		if (dtypes[i].dtype == dtype && dtype != GQE_DTYPE_OTHER)
			return dtypes[i].name;
	}
	return "?";
}

size_t gqe_dtype_size(gqe_dtype dtype)
{
	for (size_t i = 0; i < GQE_COUNT(dtypes); i++) {
		if (dtypes[i].dtype == dtype && dtype != GQE_DTYPE_OTHER)
			return dtypes[i].bits / 8;
	}
	return 0;
}

bool gqe_tensor_bytes(uint32_t rank, const uint64_t *shape, uint32_t bits, uint64_t *bytes)
{
	uint64_t elements = 1;

	for (uint32_t i = 0; i < rank; i++) {
		if (shape[i] && elements > UINT64_MAX / shape[i])
			return false;
		elements *= shape[i];
	}
	if (elements > UINT64_MAX / bits || elements * bits % 8)
		return false;
	*bytes = elements * bits / 8;
	return true;
}

bool gqe_tensor_name_plain(const char *name)
{
	for (; *name; name++) {
		if ((unsigned char)*name < 0x20 || *name == 0x7f)
			return false;
	}
	return true;
}

/* What one parse shares. */
struct header {
	const char *path;
	const uint8_t *data; /* behind the header */
	uint64_t data_bytes;
	gqe_error *error;
};

static gqe_status fail_tensor(const struct header *header, const char *name, const char *problem)
{
	return gqe_fail(header->error, GQE_ERROR_BAD_INPUT, "'%s': tensor '%s': %s", header->path, gqe_show(name).text, problem);
}

static gqe_status parse_dtype(const struct header *header, const char *name, const cJSON *value, const struct dtype_row **row)
{
	if (!cJSON_IsString(value))
		return fail_tensor(header, name, "'dtype' is not a text" DAMAGED);
	for (size_t i = 0; i < GQE_COUNT(dtypes); i++) {
		if (strcmp(value->valuestring, dtypes[i].name) == 0) {
			*row = &dtypes[i];
			return GQE_OK;
		}
	}
	return gqe_fail(header->error, GQE_ERROR_BAD_INPUT,
			"'%s': tensor '%s': unknown dtype '%s'; save the tensor as F32, F16 or BF16", header->path,
			gqe_show(name).text, gqe_show(value->valuestring).text);
}

static gqe_status parse_shape(const struct header *header, const char *name, const cJSON *value, gqe_tensor *tensor)
{
	if (!cJSON_IsArray(value))
		return fail_tensor(header, name, "'shape' is not a list" DAMAGED);
	tensor->rank = 0;
	for (const cJSON *size = value->child; size; size = size->next) {
		if (tensor->rank == GQE_MAX_RANK)
			return fail_tensor(header, name, "'shape' has more than 8 sizes; save the tensor with fewer dimensions");
		if (!gqe_json_integer(size, &tensor->shape[tensor->rank++]))
			return fail_tensor(header, name, "'shape' has a size that is not an integer from 0 to 2^53-1" DAMAGED);
	}
	return GQE_OK;
}

static gqe_status parse_offsets(const struct header *header, const char *name, const cJSON *value, uint64_t *begin, uint64_t *end)
{
	const cJSON *first = cJSON_IsArray(value) ? value->child : NULL;
	const cJSON *second = first ? first->next : NULL;

	if (!second || second->next || !gqe_json_integer(first, begin) || !gqe_json_integer(second, end))
		return fail_tensor(header, name, "'data_offsets' is not a list of two integers" DAMAGED);
	if (*begin > *end)
		return fail_tensor(header, name, "'data_offsets' ends before it begins" DAMAGED);
	if (*end > header->data_bytes)
		return gqe_fail(header->error, GQE_ERROR_BAD_INPUT,
				"'%s': tensor '%s': 'data_offsets' ends at %" PRIu64 ", but the file holds %" PRIu64
				" bytes of data" DAMAGED,
				header->path, gqe_show(name).text, *end, header->data_bytes);
	return GQE_OK;
}

static gqe_status parse_tensor(const struct header *header, const cJSON *item, gqe_tensor *tensor)
{
	const char *name = item->string;
	const struct dtype_row *dtype = NULL;
	uint64_t begin = 0, end = 0, needed = 0;

	if (!gqe_tensor_name_plain(name))
		return fail_tensor(header, name, "its name has a control character; save the tensor under another name");
	if (!cJSON_IsObject(item))
		return fail_tensor(header, name, "its entry is not an object {...}" DAMAGED);
	for (const cJSON *field = item->child; field; field = field->next) {
		if (strcmp(field->string, "dtype") != 0 && strcmp(field->string, "shape") != 0 &&
		    strcmp(field->string, "data_offsets") != 0)
			return gqe_fail(header->error, GQE_ERROR_BAD_INPUT,
					"'%s': tensor '%s': unknown field '%s'; the format has dtype, shape and data_offsets",
					header->path, gqe_show(name).text, gqe_show(field->string).text);
	}

	gqe_status status = parse_dtype(header, name, cJSON_GetObjectItemCaseSensitive(item, "dtype"), &dtype);
	if (status == GQE_OK)
		status = parse_shape(header, name, cJSON_GetObjectItemCaseSensitive(item, "shape"), tensor);
	if (status == GQE_OK)
		status = parse_offsets(header, name, cJSON_GetObjectItemCaseSensitive(item, "data_offsets"), &begin, &end);
	if (status != GQE_OK)
		return status;
	if (!gqe_tensor_bytes(tensor->rank, tensor->shape, dtype->bits, &needed))
		return fail_tensor(header, name, "'shape' times the dtype's size is not a possible number of bytes" DAMAGED);
	if (needed != end - begin)
		return gqe_fail(header->error, GQE_ERROR_BAD_INPUT,
				"'%s': tensor '%s': 'shape' and 'dtype' make %" PRIu64 " bytes, 'data_offsets' %" PRIu64 DAMAGED,
				header->path, gqe_show(name).text, needed, end - begin);
	tensor->dtype = dtype->dtype;
	tensor->data = header->data + begin;
	tensor->bytes = needed;
	return GQE_OK;
}

static gqe_status check_metadata(const struct header *header, const cJSON *metadata)
{
	const cJSON *note = metadata->child;

	while (note && cJSON_IsString(note))
		note = note->next;
	if (!cJSON_IsObject(metadata) || note)
		return gqe_fail(header->error, GQE_ERROR_BAD_INPUT,
				"'%s': '" GQE_SAFETENSORS_METADATA "' is not an object of texts; rewrite the file without it",
				header->path);
	return GQE_OK;
}

/* In the order of the data; an empty tensor comes before one that begins at the same place. */
static int compare_data(const void *a, const void *b)
{
	const gqe_tensor *left = *(const gqe_tensor *const *)a, *right = *(const gqe_tensor *const *)b;

	if (left->data != right->data)
		return (const uint8_t *)left->data < (const uint8_t *)right->data ? -1 : 1;
	return left->bytes < right->bytes ? -1 : left->bytes > right->bytes;
}

/* The format wants every byte of the data to belong to exactly one tensor. `sorted` is scratch. */
static gqe_status check_coverage(const struct header *header, const gqe_tensor *tensors, size_t count, const gqe_tensor **sorted)
{
	uint64_t covered = 0;

	for (size_t i = 0; i < count; i++)
		sorted[i] = &tensors[i];
	qsort(sorted, count, sizeof(*sorted), compare_data);
	for (size_t i = 0; i < count; i++) {
		uint64_t begin = (uint64_t)((const uint8_t *)sorted[i]->data - header->data);
		if (begin < covered)
			return gqe_fail(header->error, GQE_ERROR_BAD_INPUT, "'%s': tensor '%s' overlaps tensor '%s'" DAMAGED,
					header->path, gqe_show(sorted[i]->name).text, gqe_show(sorted[i - 1]->name).text);
		if (begin > covered)
			return gqe_fail(header->error, GQE_ERROR_BAD_INPUT,
					"'%s': %" PRIu64 " bytes before tensor '%s' belong to no tensor" DAMAGED, header->path,
					begin - covered, gqe_show(sorted[i]->name).text);
		covered = begin + sorted[i]->bytes;
	}
	if (covered != header->data_bytes)
		return gqe_fail(header->error, GQE_ERROR_BAD_INPUT,
				"'%s': %" PRIu64 " bytes at the end of the file belong to no tensor%s%s%s" DAMAGED, header->path,
				header->data_bytes - covered, count ? "; the last is '" : "",
				count ? gqe_show(sorted[count - 1]->name).text : "", count ? "'" : "");
	return GQE_OK;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp((*(const gqe_tensor *const *)a)->name, (*(const gqe_tensor *const *)b)->name);
}

static gqe_status parse_tensors(const struct header *header, const cJSON *root, gqe_tensor_file *file)
{
	size_t capacity = 0, name_bytes = 0;

	for (const cJSON *item = root->child; item; item = item->next) {
		capacity++;
		name_bytes += strlen(item->string) + 1;
	}
	file->names = malloc(name_bytes + 1); /* + 1: not of size 0 when there is no tensor */
	file->tensors = calloc(capacity + 1, sizeof(*file->tensors));
	file->by_name = malloc((capacity + 1) * sizeof(*file->by_name));
	if (!file->names || !file->tensors || !file->by_name)
		return gqe_fail(header->error, GQE_ERROR_OUT_OF_MEMORY, "no memory for the tensors of '%s'", header->path);

	char *names = file->names;
	for (const cJSON *item = root->child; item; item = item->next) {
		gqe_tensor *tensor = &file->tensors[file->count];
		bool is_metadata = strcmp(item->string, GQE_SAFETENSORS_METADATA) == 0;
		gqe_status status = is_metadata ? check_metadata(header, item) : parse_tensor(header, item, tensor);
		if (status != GQE_OK)
			return status;
		if (is_metadata)
			continue;
		tensor->file = file->path;
		tensor->name = names;
		names = strcpy(names, item->string) + strlen(item->string) + 1;
		file->count++;
	}

	gqe_status status = check_coverage(header, file->tensors, file->count, file->by_name);
	if (status == GQE_OK)
		qsort(file->by_name, file->count, sizeof(*file->by_name), compare_names);
	return status;
}

static gqe_status parse_file(gqe_tensor_file *file, const uint8_t *bytes, size_t size, gqe_error *error)
{
	uint64_t header_bytes = 0;

	if (size < 8)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT,
				"'%s' has only %zu bytes, a safetensors file begins with 8 bytes of header length" DAMAGED,
				file->path, size);
	for (int i = 0; i < 8; i++)
		header_bytes |= (uint64_t)bytes[i] << (8 * i);
	if (header_bytes > GQE_SAFETENSORS_MAX_HEADER)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT,
				"'%s': a header of %" PRIu64
				" bytes, over the format's 100 MB; this is not a safetensors file, or it "
				"is damaged",
				file->path, header_bytes);
	if (header_bytes > size - 8)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT,
				"'%s': the header should have %" PRIu64 " bytes, but the file ends after %zu of them" DAMAGED,
				file->path, header_bytes, size - 8);

	struct header header = {
		.path = file->path, .data = bytes + 8 + header_bytes, .data_bytes = size - 8 - header_bytes, .error = error};
	cJSON *root = NULL;
	gqe_status status = gqe_json_parse(file->path, "header", (const char *)bytes + 8, (size_t)header_bytes, &root, error);
	if (status == GQE_OK)
		status = parse_tensors(&header, root, file);
	cJSON_Delete(root);
	return status;
}

gqe_status gqe_tensor_file_open_memory(const char *name, const void *data, size_t bytes, gqe_tensor_file **file, gqe_error *error)
{
	*file = NULL;
	gqe_tensor_file *opened = calloc(1, sizeof(*opened));
	size_t name_bytes = strlen(name) + 1;
	if (!opened || !(opened->path = malloc(name_bytes))) {
		free(opened);
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to open '%s'", name);
	}
	memcpy(opened->path, name, name_bytes);

	gqe_status status = parse_file(opened, data, bytes, error);
	if (status != GQE_OK)
		gqe_tensor_file_destroy(&opened);
	*file = opened;
	return status;
}

gqe_status gqe_tensor_file_open(const char *path, gqe_tensor_file **file, gqe_error *error)
{
	struct gqe_file_map map = {0};

	if (!file)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_tensor_file_open: file is NULL");
	*file = NULL;
	if (!path)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_tensor_file_open: path is NULL");
	gqe_status status = gqe_file_map(path, &map, error);
	if (status != GQE_OK)
		return status;
	status = gqe_tensor_file_open_memory(path, map.data, map.bytes, file, error);
	if (status == GQE_OK)
		(*file)->map = map;
	else
		gqe_file_unmap(&map);
	return status;
}

void gqe_tensor_file_destroy(gqe_tensor_file **file)
{
	if (!file || !*file)
		return;
	gqe_file_unmap(&(*file)->map);
	free((*file)->by_name);
	free((*file)->tensors);
	free((*file)->names);
	free((*file)->path);
	free(*file);
	*file = NULL;
}

const gqe_tensor *gqe_tensor_file_tensors(const gqe_tensor_file *file, size_t *count)
{
	if (count)
		*count = file ? file->count : 0;
	return file ? file->tensors : NULL;
}

const gqe_tensor *gqe_tensor_file_find(const gqe_tensor_file *file, const char *name)
{
	if (!file || !name)
		return NULL;
	gqe_tensor wanted = {.name = name};
	const gqe_tensor *key = &wanted;
	const gqe_tensor **found = bsearch(&key, file->by_name, file->count, sizeof(*file->by_name), compare_names);
	return found ? *found : NULL;
}
