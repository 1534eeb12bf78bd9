/*
 * What differs between operating systems, and nothing else: platform_posix.c or platform_windows.c, of which CMake builds one.
 * Paths, and what variables of the environment hold, are UTF-8.
 */
#ifndef GQE_COMMON_PLATFORM_H
#define GQE_COMMON_PLATFORM_H

#include "common/common.h"

#include <stdio.h>

/* ----------------------------------------------------------------------------------------------------------------- files -- */

/* A whole file, read-only. Zero-initialized = nothing mapped. */
struct gqe_file_map {
	const uint8_t *data; /* [bytes]; NULL for an empty file */
	size_t bytes;
};

/*
 * Maps a regular file. Anything that is not a regular file is GQE_ERROR_BAD_INPUT, and is not waited for. The content is the
 * file's: whoever shortens the file meanwhile makes reads beyond its new end fault.
 */
gqe_status gqe_file_map(const char *path, struct gqe_file_map *map, gqe_error *error);
void gqe_file_unmap(struct gqe_file_map *map);

/* True when something of that name exists, whatever it is. */
bool gqe_file_exists(const char *path);
/* True when nothing of that name exists that a file must not take the place of: a folder, device, pipe or socket. */
bool gqe_file_replaceable(const char *path);

/* Opens a file to be read. NULL, with errno, on failure. */
FILE *gqe_file_open(const char *path);
/* Opens a file to be written; one of that name is emptied with `overwrite`, else it is EEXIST. NULL, with errno, on failure. */
FILE *gqe_file_create(const char *path, bool overwrite);
/* Closes a file that was written, when its bytes are on the medium. False, with errno, on failure; closed in any case. */
bool gqe_file_close_synced(FILE *file);
/* `from` takes the place of `to` in one step. False, with errno, on failure. */
bool gqe_file_replace(const char *from, const char *to);
void gqe_file_remove(const char *path);

/* Only the user may look into it. What cannot be created shows when a file in it is opened. */
void gqe_folder_create(const char *path);
bool gqe_path_is_separator(char character);
/* The user's folder for what programs may lose, malloc'ed; NULL when none is known, or memory is exhausted. */
char *gqe_cache_folder(void);

/* --------------------------------------------------------------------------------------------------- processors and time -- */

uint32_t gqe_processor_count(void);

/* Seconds, 0...10; may return early. */
void gqe_sleep(double seconds);
/* Of a clock that never goes backwards; the difference of two is what counts. */
uint64_t gqe_wall_nanoseconds(void);
static inline double gqe_seconds_since(uint64_t wall_nanoseconds)
{
	return 1e-9 * (double)(gqe_wall_nanoseconds() - wall_nanoseconds);
}
/* Processor time of all threads of this process. */
double gqe_processor_seconds(void);

/* ------------------------------------------------------------------------------------------------------ the Vulkan loader -- */

/* The loader as a handle, NULL when there is none; *name is what was looked for. */
void *gqe_vulkan_library_open(const char **name);
/* vkGetInstanceProcAddr; NULL when it has none. */
void (*gqe_vulkan_library_entry(void *library))(void);
void gqe_vulkan_library_close(void *library);

#endif
