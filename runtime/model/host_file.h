/* Files of the host: mapping and reading input, replacing output, joining paths. */
#ifndef GQE_MODEL_HOST_FILE_H
#define GQE_MODEL_HOST_FILE_H

#include "common/common.h"

#include <stdio.h>

/* A whole file, read-only. Zero-initialized = nothing mapped. */
struct gqe_file_map {
	const uint8_t *data; /* [bytes]; NULL for an empty file */
	size_t bytes;
};

/*
 * Maps a regular file (where the system has no mmap: reads it). Anything that is not a regular file is GQE_ERROR_BAD_INPUT, and is
 * not waited for. The content is the file's: whoever shortens the file meanwhile makes reads beyond its new end fault.
 */
gqe_status gqe_file_map(const char *path, struct gqe_file_map *map, gqe_error *error);
void gqe_file_unmap(struct gqe_file_map *map);

/* A file's whole content, malloc'ed, NUL-terminated (not counted in *bytes); over `limit` bytes is GQE_ERROR_BAD_INPUT. */
gqe_status gqe_file_read(const char *path, size_t limit, char **text, size_t *bytes, gqe_error *error);

/* True when something of that name exists, whatever it is. */
bool gqe_file_exists(const char *path);

/* True when nothing of that name exists that a file must not take the place of: a folder, device, pipe or socket. */
bool gqe_file_replaceable(const char *path);
/* Closes a file that was written, when its bytes are on the medium. False, with errno, on failure; closed in any case. */
bool gqe_file_close_synced(FILE *file);
/* `from` takes the place of `to` in one step. False, with errno, on failure. */
bool gqe_file_replace(const char *from, const char *to);

/* folder/name, malloc'ed; NULL when memory is exhausted. */
char *gqe_path_join(const char *folder, const char *name);

#endif
