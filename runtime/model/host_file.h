/* Files of the host beyond what platform.h has: reading a text, joining paths. */
#ifndef GQE_MODEL_HOST_FILE_H
#define GQE_MODEL_HOST_FILE_H

#include "common/platform.h"

/* A file's whole content, malloc'ed, NUL-terminated (not counted in *bytes); over `limit` bytes is GQE_ERROR_BAD_INPUT. */
gqe_status gqe_file_read(const char *path, size_t limit, char **text, size_t *bytes, gqe_error *error);

/* folder/name, malloc'ed; NULL when memory is exhausted. */
char *gqe_path_join(const char *folder, const char *name);

#endif
