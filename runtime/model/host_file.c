#include "model/host_file.h"

#include <stdlib.h>
#include <string.h>

gqe_status gqe_file_read(const char *path, size_t limit, char **text, size_t *bytes, gqe_error *error)
{
	struct gqe_file_map map = {0};
	gqe_status status = gqe_file_map(path, &map, error);
	if (status != GQE_OK)
		return status;

	char *copy = NULL;
	if (map.bytes > limit || map.bytes == SIZE_MAX) {
		status = gqe_fail(error, GQE_ERROR_BAD_INPUT, "'%s' has %zu bytes; a file of its kind has at most %zu", path,
				  map.bytes, limit);
	} else if (!(copy = malloc(map.bytes + 1))) {
		status = gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to read '%s'", path);
	} else {
		if (map.bytes)
			memcpy(copy, map.data, map.bytes);
		copy[map.bytes] = '\0';
		*text = copy;
		*bytes = map.bytes;
	}
	gqe_file_unmap(&map);
	return status;
}

char *gqe_path_join(const char *folder, const char *name)
{
	size_t folder_bytes = strlen(folder), name_bytes = strlen(name);
	bool slash = folder_bytes && folder[folder_bytes - 1] != '/';
	char *path = malloc(folder_bytes + slash + name_bytes + 1);
	if (path) {
		memcpy(path, folder, folder_bytes);
		if (slash)
			path[folder_bytes] = '/';
		memcpy(path + folder_bytes + slash, name, name_bytes + 1);
	}
	return path;
}
