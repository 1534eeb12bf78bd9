#include "common/platform.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static gqe_status fail_errno(gqe_error *error, const char *path, const char *what)
{
	return gqe_fail(error, errno == ENOMEM ? GQE_ERROR_OUT_OF_MEMORY : GQE_ERROR_BAD_INPUT, "cannot %s '%s': %s", what, path,
			strerror(errno));
}

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

FILE *gqe_file_open(const char *path)
{
	return fopen(path, "rb");
}

FILE *gqe_file_create(const char *path, bool overwrite)
{
	return fopen(path, overwrite ? "wb" : "wbx");
}

bool gqe_file_close_synced(FILE *file)
{
	bool done = fflush(file) == 0 && fsync(fileno(file)) == 0;
	int kept = errno;
	bool closed = fclose(file) == 0;
	if (!done)
		errno = kept; /* the first failure is the one to report */
	return done && closed;
}

bool gqe_file_replace(const char *from, const char *to)
{
	return rename(from, to) == 0;
}

void gqe_file_remove(const char *path)
{
	remove(path);
}

void gqe_folder_create(const char *path)
{
	mkdir(path, 0700);
}

bool gqe_path_is_separator(char character)
{
	return character == '/';
}

char *gqe_cache_folder(void)
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	if (cache && cache[0] == '/') /* the XDG specification ignores relative ones */
		return strdup(cache);
	if (!home || !home[0])
		return NULL;
	size_t size = strlen(home) + sizeof("/.cache");
	char *path = malloc(size);
	if (path)
		snprintf(path, size, "%s/.cache", home);
	return path;
}

uint32_t gqe_processor_count(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);
	return count < 1 ? 1 : (uint32_t)count;
}

void gqe_sleep(double seconds)
{
	seconds = seconds > 10 ? 10 : seconds;
	struct timespec time = {.tv_sec = (time_t)seconds};
	time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
	nanosleep(&time, NULL);
}

uint64_t gqe_wall_nanoseconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double gqe_processor_seconds(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

void *gqe_vulkan_library_open(const char **name)
{
#ifdef __APPLE__
	static const char *const names[] = {"libvulkan.1.dylib", "libvulkan.dylib", "libMoltenVK.dylib"};
#else
	static const char *const names[] = {"libvulkan.so.1", "libvulkan.so"};
#endif
	void *library = NULL;
	for (size_t i = 0; i < GQE_COUNT(names) && !library; i++)
		library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	*name = names[0];
	return library;
}

void (*gqe_vulkan_library_entry(void *library))(void)
{
	void (*entry)(void);
	/* POSIX allows this way, and ISO C no direct cast, from an object pointer to a function pointer. */
	*(void **)&entry = dlsym(library, "vkGetInstanceProcAddr");
	return entry;
}

void gqe_vulkan_library_close(void *library)
{
	dlclose(library);
}
