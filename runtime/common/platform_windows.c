#define WIN32_LEAN_AND_MEAN
#include "common/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <wchar.h>
#include <windows.h>

/* UTF-16, malloc'ed; NULL, with errno, when it is no UTF-8 or memory is exhausted. */
static wchar_t *wide_path(const char *path)
{
	int count = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, NULL, 0);
	wchar_t *wide = count > 0 ? malloc((size_t)count * sizeof(*wide)) : NULL;
	if (wide)
		MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, count);
	else
		errno = count > 0 ? ENOMEM : EILSEQ;
	return wide;
}

/* What went wrong, as errno has it; the message of an error is made from that everywhere. */
static int errno_of(DWORD code)
{
	switch (code) {
	case ERROR_SUCCESS:
		return 0;
	case ERROR_FILE_NOT_FOUND:
	case ERROR_PATH_NOT_FOUND:
	case ERROR_INVALID_NAME:
	case ERROR_BAD_PATHNAME:
	case ERROR_INVALID_DRIVE:
		return ENOENT;
	case ERROR_ACCESS_DENIED:
	case ERROR_SHARING_VIOLATION:
	case ERROR_LOCK_VIOLATION:
	case ERROR_WRITE_PROTECT:
		return EACCES;
	case ERROR_FILE_EXISTS:
	case ERROR_ALREADY_EXISTS:
		return EEXIST;
	case ERROR_NOT_ENOUGH_MEMORY:
	case ERROR_OUTOFMEMORY:
	case ERROR_COMMITMENT_LIMIT:
		return ENOMEM;
	case ERROR_DISK_FULL:
	case ERROR_HANDLE_DISK_FULL:
		return ENOSPC;
	case ERROR_TOO_MANY_OPEN_FILES:
		return EMFILE;
	default:
		return EIO;
	}
}

static gqe_status fail_errno(gqe_error *error, const char *path, const char *what)
{
	return gqe_fail(error, errno == ENOMEM ? GQE_ERROR_OUT_OF_MEMORY : GQE_ERROR_BAD_INPUT, "cannot %s '%s': %s", what, path,
			strerror(errno));
}

static gqe_status fail_last(gqe_error *error, const char *path, const char *what)
{
	errno = errno_of(GetLastError());
	return fail_errno(error, path, what);
}

static gqe_status map_file(const char *path, HANDLE file, struct gqe_file_map *map, gqe_error *error)
{
	LARGE_INTEGER size;

	if (GetFileType(file) != FILE_TYPE_DISK)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT, "'%s' is a device or pipe, not a regular file; name the file itself",
				path);
	if (!GetFileSizeEx(file, &size))
		return fail_last(error, path, "read");
	if ((uint64_t)size.QuadPart > SIZE_MAX)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "'%s' is larger than this process can address", path);
	if (size.QuadPart == 0) {
		*map = (struct gqe_file_map){0}; /* a mapping of nothing is refused */
		return GQE_OK;
	}
	HANDLE mapping = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL);
	if (!mapping)
		return fail_last(error, path, "map");
	const void *data = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
	gqe_status status = data ? GQE_OK : fail_last(error, path, "map");
	CloseHandle(mapping); /* the view keeps it alive */
	if (data)
		*map = (struct gqe_file_map){.data = data, .bytes = (size_t)size.QuadPart};
	return status;
}

gqe_status gqe_file_map(const char *path, struct gqe_file_map *map, gqe_error *error)
{
	wchar_t *wide = wide_path(path);
	if (!wide)
		return fail_errno(error, path, "open");
	DWORD attributes = GetFileAttributesW(wide);
	if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY)) {
		free(wide);
		return gqe_fail(error, GQE_ERROR_BAD_INPUT, "'%s' is a folder, not a regular file; name the file itself", path);
	}
	HANDLE file = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
				  FILE_ATTRIBUTE_NORMAL, NULL);
	gqe_status status = file == INVALID_HANDLE_VALUE ? fail_last(error, path, "open") : GQE_OK;
	free(wide);
	if (status != GQE_OK)
		return status;
	status = map_file(path, file, map, error);
	CloseHandle(file);
	return status;
}

void gqe_file_unmap(struct gqe_file_map *map)
{
	if (map->data)
		UnmapViewOfFile(map->data);
	*map = (struct gqe_file_map){0};
}

/* INVALID_FILE_ATTRIBUTES: there is nothing of that name. */
static DWORD attributes_of(const char *path)
{
	wchar_t *wide = wide_path(path);
	DWORD attributes = wide ? GetFileAttributesW(wide) : INVALID_FILE_ATTRIBUTES;
	free(wide);
	return attributes;
}

bool gqe_file_exists(const char *path)
{
	return attributes_of(path) != INVALID_FILE_ATTRIBUTES;
}

bool gqe_file_replaceable(const char *path)
{
	DWORD attributes = attributes_of(path);
	return attributes == INVALID_FILE_ATTRIBUTES || !(attributes & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_DEVICE));
}

FILE *gqe_file_open(const char *path)
{
	wchar_t *wide = wide_path(path);
	FILE *file = wide ? _wfopen(wide, L"rb") : NULL;
	free(wide);
	return file;
}

FILE *gqe_file_create(const char *path, bool overwrite)
{
	wchar_t *wide = wide_path(path);
	int flags = _O_WRONLY | _O_CREAT | _O_BINARY | _O_NOINHERIT | (overwrite ? _O_TRUNC : _O_EXCL);
	int descriptor = wide ? _wopen(wide, flags, _S_IREAD | _S_IWRITE) : -1;
	FILE *file = descriptor >= 0 ? _fdopen(descriptor, "wb") : NULL;
	if (descriptor >= 0 && !file)
		_close(descriptor);
	free(wide);
	return file;
}

bool gqe_file_close_synced(FILE *file)
{
	bool done = fflush(file) == 0 && _commit(_fileno(file)) == 0;
	int kept = errno;
	bool closed = fclose(file) == 0;
	if (!done)
		errno = kept; /* the first failure is the one to report */
	return done && closed;
}

bool gqe_file_replace(const char *from, const char *to)
{
	wchar_t *wide_from = wide_path(from), *wide_to = wide_path(to);
	bool done = false;
	if (wide_from && wide_to) {
		/* rename() does not replace here. */
		done = MoveFileExW(wide_from, wide_to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH);
		errno = errno_of(done ? ERROR_SUCCESS : GetLastError());
	}
	free(wide_from);
	free(wide_to);
	return done;
}

void gqe_file_remove(const char *path)
{
	wchar_t *wide = wide_path(path);
	if (wide)
		DeleteFileW(wide);
	free(wide);
}

/* Under the user's own folder, whose rights it inherits. */
void gqe_folder_create(const char *path)
{
	wchar_t *wide = wide_path(path);
	if (wide)
		CreateDirectoryW(wide, NULL);
	free(wide);
}

bool gqe_path_is_separator(char character)
{
	return character == '/' || character == '\\';
}

char *gqe_cache_folder(void)
{
	const wchar_t *wide = _wgetenv(L"LOCALAPPDATA");
	int bytes = wide && wide[0] ? WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL) : 0;
	char *path = bytes > 0 ? malloc((size_t)bytes) : NULL;
	if (path)
		WideCharToMultiByte(CP_UTF8, 0, wide, -1, path, bytes, NULL, NULL);
	return path;
}

uint32_t gqe_processor_count(void)
{
	SYSTEM_INFO info;
	GetSystemInfo(&info);
	return info.dwNumberOfProcessors < 1 ? 1 : info.dwNumberOfProcessors;
}

void gqe_sleep(double seconds)
{
	seconds = seconds > 10 ? 10 : seconds;
	Sleep((DWORD)(seconds * 1e3 + 0.5));
}

uint64_t gqe_wall_nanoseconds(void)
{
	LARGE_INTEGER ticks, ticks_per_second;
	QueryPerformanceCounter(&ticks);
	QueryPerformanceFrequency(&ticks_per_second);
	uint64_t count = (uint64_t)ticks.QuadPart, rate = (uint64_t)ticks_per_second.QuadPart;
	return count / rate * 1000000000u + count % rate * 1000000000u / rate;
}

/* clock() is wall-clock time here. */
double gqe_processor_seconds(void)
{
	FILETIME created, ended, kernel, user;
	if (!GetProcessTimes(GetCurrentProcess(), &created, &ended, &kernel, &user))
		return 0;
	uint64_t hundreds_of_ns = ((uint64_t)kernel.dwHighDateTime << 32) + kernel.dwLowDateTime +
				  ((uint64_t)user.dwHighDateTime << 32) + user.dwLowDateTime;
	return 1e-7 * (double)hundreds_of_ns;
}

/* Not from the working folder, which may be anybody's. */
void *gqe_vulkan_library_open(const char **name)
{
	*name = "vulkan-1.dll";
	return LoadLibraryExW(L"vulkan-1.dll", NULL, LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
}

void (*gqe_vulkan_library_entry(void *library))(void)
{
	return (void (*)(void))GetProcAddress(library, "vkGetInstanceProcAddr");
}

void gqe_vulkan_library_close(void *library)
{
	FreeLibrary(library);
}
