#include "common/temporary.h"

#include "common/platform.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

FILE *gqe_temporary_create(const char *path, uint32_t most, bool take_over, char **name)
{
	const size_t size = strlen(path) + sizeof(".4294967295.tmp");
	FILE *file = NULL;
	*name = malloc(size);
	if (*name == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	errno = EEXIST;
	for (uint32_t i = 0; i < most && file == NULL && errno == EEXIST; i++) {
		snprintf(*name, size, "%s.%" PRIu32 ".tmp", path, i);
		file = gqe_file_create(*name, false);
	}
	if (file == NULL && errno == EEXIST && take_over) {
		snprintf(*name, size, "%s.0.tmp", path);
		file = gqe_file_create(*name, true);
	}
	if (file == NULL) {
		int number = errno;
		free(*name);
		*name = NULL;
		errno = number;
	}
	return file;
}
