/* A file that becomes another one when it is complete. */
#ifndef GQE_COMMON_TEMPORARY_H
#define GQE_COMMON_TEMPORARY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * A new file beside `path`, of the first free name of "<path>.0.tmp", "<path>.1.tmp" and so on, `most` of them. Programs that write
 * at the same time each get a file of their own; one that is killed leaves its file behind. When no name is free the first file is
 * emptied with `take_over`, else errno is EEXIST. Returns NULL, with errno, on failure; else *name is malloc'ed.
 */
FILE *gqe_temporary_create(const char *path, uint32_t most, bool take_over, char **name);

#endif
