#if defined(__unix__) || defined(__APPLE__)
#define GQE_POSIX 1
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#elif defined(_WIN32)
#include <io.h>
#include <windows.h>
#endif

#include "model/host_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static gqe_status fail_errno(gqe_error *error, const char *path, const char *what)
{
	return gqe_fail(error, errno == ENOMEM ? GQE_ERROR_OUT_OF_MEMORY : GQE_ERROR_BAD_INPUT, "cannot %s '%s': %s", what, path,
			strerror(errno));
}

#ifdef GQE_POSIX

static gqe_status map_descriptor(const char *path, int descriptor, struct gqe_file_map *map, gqe_error *error)
{
	struct stat status;

	if (fstat(descriptor, &status) != 0)
		return fail_errno(error, path, "read");
	if (!S_ISREG(status.st_mode))
		return gqe_fail(error, GQE_ERROR_BAD_INPUT, "'%s' is %s, not a regular file; name the file itself", path,
				S_ISDIR(status.st_mode) ? "a folder" : "a device, pipe or socket");
	if ((uint64_t)status.st_size > SIZE_MAX)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "'%s' is larger than this process can address", path);
	if (status.st_size == 0) {
		*map = (struct gqe_file_map){0}; /* mmap refuses a length of 0 */
		return GQE_OK;
	}
	void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
	if (data == MAP_FAILED)
		return fail_errno(error, path, "map");
	*map = (struct gqe_file_map){.data = data, .bytes = (size_t)status.st_size};
	return GQE_OK;
}

gqe_status gqe_file_map(const char *path, struct gqe_file_map *map, gqe_error *error)
{
	/* O_NONBLOCK: opening a FIFO would otherwise wait for its writer. It means nothing for regular files. */
	int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (descriptor < 0)
		return fail_errno(error, path, "open");
	gqe_status status = map_descriptor(path, descriptor, map, error);
	close(descriptor);
	return status;
}

void gqe_file_unmap(struct gqe_file_map *map)
{
	if (map->data)
		munmap((void *)map->data, map->bytes);
	*map = (struct gqe_file_map){0};
}

bool gqe_file_exists(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0;
}

bool gqe_file_replaceable(const char *path)
{
	struct stat status;
	return stat(path, &status) != 0 || S_ISREG(status.st_mode);
}

#else

/* Standard C only: no size is asked of the file, as ftell is 32 bits wide on some systems. */
gqe_status gqe_file_map(const char *path, struct gqe_file_map *map, gqe_error *error)
{
	FILE *file = fopen(path, "rb");
	if (!file)
		return fail_errno(error, path, "open");

	uint8_t *data = NULL;
	size_t bytes = 0, capacity = 0;
	do {
		if (bytes == capacity) {
			size_t larger = capacity ? capacity * 2 : 65536;
			uint8_t *grown = larger > capacity ? realloc(data, larger) : NULL;
			if (!grown) {
				free(data);
				fclose(file);
				return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to read '%s'", path);
			}
			data = grown;
			capacity = larger;
		}
		bytes += fread(data + bytes, 1, capacity - bytes, file);
	} while (bytes == capacity);

	bool failed = ferror(file);
	fclose(file);
	if (failed) {
		free(data);
		return gqe_fail(error, GQE_ERROR_BAD_INPUT, "cannot read '%s'", path);
	}
	*map = (struct gqe_file_map){.data = data, .bytes = bytes};
	return GQE_OK;
}

void gqe_file_unmap(struct gqe_file_map *map)
{
	free((void *)map->data);
	*map = (struct gqe_file_map){0};
}

bool gqe_file_exists(const char *path)
{
	FILE *file = fopen(path, "rb");
	if (file)
		fclose(file);
	return file != NULL;
}

bool gqe_file_replaceable(const char *path)
{
	(void)path; /* the other systems have no files in their name space that are not files */
	return true;
}

#endif

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

bool gqe_file_close_synced(FILE *file)
{
	bool done = fflush(file) == 0;
#if defined(GQE_POSIX)
	done = done && fsync(fileno(file)) == 0;
#elif defined(_WIN32)
	done = done && _commit(_fileno(file)) == 0;
#endif
	int kept = errno;
	bool closed = fclose(file) == 0;
	if (!done)
		errno = kept; /* the first failure is the one to report */
	return done && closed;
}

bool gqe_file_replace(const char *from, const char *to)
{
#ifdef _WIN32
	/* rename() does not replace there. */
	if (MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH))
		return true;
	errno = EACCES;
	return false;
#else
	return rename(from, to) == 0;
#endif
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
