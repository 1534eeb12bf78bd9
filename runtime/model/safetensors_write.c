#include "common/temporary.h"
#include "model/host_file.h"
#include "model/json.h"
#include "model/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Temporary names tried before giving up: an interrupted run leaves one behind. */
#define MOST_TEMPORARIES 1000

static gqe_status check_tensor(const gqe_tensor *tensor, gqe_error *error)
{
	const char *name = tensor->name ? tensor->name : "(NULL)";
	uint32_t bits = 8 * (uint32_t)gqe_dtype_size(tensor->dtype);
	uint64_t bytes = 0;

	if (!tensor->name || !gqe_tensor_name_plain(name) || strcmp(name, GQE_SAFETENSORS_METADATA) == 0)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_tensor_file_write: a tensor cannot be named '%s'",
				gqe_show(name).text);
	if (bits == 0)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_tensor_file_write: tensor '%s' has no dtype that can be written",
				gqe_show(name).text);
	if (tensor->rank > GQE_MAX_RANK || !gqe_tensor_bytes(tensor->rank, tensor->shape, bits, &bytes) || bytes != tensor->bytes)
		return gqe_fail(error, GQE_ERROR_USAGE,
				"gqe_tensor_file_write: tensor '%s' has %" PRIu64 " bytes, which is not its shape times its dtype",
				gqe_show(name).text, tensor->bytes);
	if (bytes && !tensor->data)
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_tensor_file_write: tensor '%s' has no data", gqe_show(name).text);
	return GQE_OK;
}

/* {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}; NULL when memory is exhausted. */
static cJSON *tensor_entry(const gqe_tensor *tensor, uint64_t begin)
{
	cJSON *entry = cJSON_CreateObject();
	bool complete = cJSON_AddStringToObject(entry, "dtype", gqe_dtype_name(tensor->dtype));
	cJSON *shape = cJSON_AddArrayToObject(entry, "shape");
	cJSON *offsets = cJSON_AddArrayToObject(entry, "data_offsets");

	for (uint32_t i = 0; i < tensor->rank; i++)
		complete = cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)tensor->shape[i])) && complete;
	complete = cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)begin)) && complete;
	complete = cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)(begin + tensor->bytes))) && complete;
	if (complete && shape && offsets)
		return entry;
	cJSON_Delete(entry);
	return NULL;
}

/* The header's JSON text, freed with cJSON_free; NULL when memory is exhausted. */
static char *header_text(const gqe_tensor *tensors, size_t count)
{
	cJSON *root = cJSON_CreateObject();
	bool complete = root != NULL;
	uint64_t begin = 0;

	for (size_t i = 0; i < count && complete; i++) {
		cJSON *entry = tensor_entry(&tensors[i], begin);
		complete = entry && cJSON_AddItemToObject(root, tensors[i].name, entry);
		if (!complete)
			cJSON_Delete(entry);
		begin += tensors[i].bytes;
	}
	char *text = complete ? cJSON_PrintUnformatted(root) : NULL;
	cJSON_Delete(root);
	return text;
}

static bool write_content(FILE *file, const char *header, const gqe_tensor *tensors, size_t count)
{
	static const char padding[8] = "        ";
	size_t length = strlen(header), padded = (length + 7) / 8 * 8; /* so that the data begin aligned */
	uint8_t prefix[8];

	for (int i = 0; i < 8; i++)
		prefix[i] = (uint8_t)((uint64_t)padded >> (8 * i));
	bool done = fwrite(prefix, 1, 8, file) == 8 && fwrite(header, 1, length, file) == length &&
		    fwrite(padding, 1, padded - length, file) == padded - length;
	for (size_t i = 0; i < count && done; i++) {
		if (tensors[i].bytes)
			done = fwrite(tensors[i].data, 1, (size_t)tensors[i].bytes, file) == tensors[i].bytes;
	}
	return done;
}

static gqe_status write_file(const char *path, const char *header, const gqe_tensor *tensors, size_t count, gqe_error *error)
{
	/* rename() would put a regular file in the place of a device: as root, of /dev/null. */
	if (!gqe_file_replaceable(path))
		return gqe_fail(error, GQE_ERROR_BAD_INPUT, "cannot write '%s': it is not a regular file; name a new file", path);
	char *temporary;
	FILE *file = gqe_temporary_create(path, MOST_TEMPORARIES, false, &temporary);
	if (!file)
		return gqe_fail(error, errno == ENOMEM ? GQE_ERROR_OUT_OF_MEMORY : GQE_ERROR_BAD_INPUT,
				"cannot create a file beside '%s': %s", path, strerror(errno));
	bool written = write_content(file, header, tensors, count);
	int number = errno;
	if (!gqe_file_close_synced(file) && written) {
		written = false;
		number = errno;
	}
	if (written && !gqe_file_replace(temporary, path)) {
		written = false;
		number = errno;
	}
	if (!written)
		gqe_file_remove(temporary);
	free(temporary);
	return written ? GQE_OK : gqe_fail(error, GQE_ERROR_BAD_INPUT, "cannot write '%s': %s", path, strerror(number));
}

gqe_status gqe_tensor_file_write(const char *path, const gqe_tensor *tensors, size_t count, gqe_error *error)
{
	uint64_t total = 0;

	if (!path || (count && !tensors))
		return gqe_fail(error, GQE_ERROR_USAGE, "gqe_tensor_file_write: path or tensors is NULL");
	for (size_t i = 0; i < count; i++) {
		gqe_status status = check_tensor(&tensors[i], error);
		if (status != GQE_OK)
			return status;
		if (tensors[i].bytes > SIZE_MAX - total)
			return gqe_fail(error, GQE_ERROR_USAGE, "gqe_tensor_file_write: the tensors are too large for '%s'", path);
		total += tensors[i].bytes;
	}

	char *header = header_text(tensors, count);
	if (!header)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to write '%s'", path);

	/* The reader's own check of the text: duplicate names, invalid UTF-8. */
	cJSON *root = NULL;
	gqe_status status = gqe_json_parse(path, "header to be written", header, strlen(header), &root, error);
	cJSON_Delete(root);
	if (status == GQE_OK)
		status = write_file(path, header, tensors, count, error);
	cJSON_free(header);
	return status;
}
