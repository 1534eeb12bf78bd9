/* What the tests of bad files share: writing bytes, and what a refusal has to look like. */
#ifndef GQE_TESTS_BAD_INPUT_H
#define GQE_TESTS_BAD_INPUT_H

#include "support.h"

void write_bytes(const char *path, const void *data, size_t bytes);

/* A .safetensors file: length, header text, then `data_bytes` counting bytes as data. */
void write_tensor_bytes(const char *path, const char *header, size_t data_bytes);

/* malloc'ed copy of `text` with the first `from` replaced; fails the test when `from` is not there. */
char *replaced(const char *text, const char *from, const char *to);

/* GQE_ERROR_BAD_INPUT with a message of one line that contains both texts: the file, and the tensor or key. */
void assert_bad_input(gqe_status status, const gqe_error *error, const char *file, const char *name);

#endif
