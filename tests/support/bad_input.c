#include "bad_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void write_bytes(const char *path, const void *data, size_t bytes)
{
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, bytes, file), bytes);
	assert_int_equal(fclose(file), 0);
}

void write_tensor_bytes(const char *path, const char *header, size_t data_bytes)
{
	size_t length = strlen(header);
	uint8_t *content = must_allocate(8 + length + data_bytes);

	for (int i = 0; i < 8; i++)
		content[i] = (uint8_t)((uint64_t)length >> (8 * i));
	memcpy(content + 8, header, length);
	for (size_t i = 0; i < data_bytes; i++)
		content[8 + length + i] = (uint8_t)i;
	write_bytes(path, content, 8 + length + data_bytes);
	free(content);
}

char *replaced(const char *text, const char *from, const char *to)
{
	const char *place = strstr(text, from);
	if (!place)
		fail_msg("the test's text has no %s", from);
	size_t before = (size_t)(place - text);
	char *result = must_allocate(strlen(text) + strlen(to) + 1);

	memcpy(result, text, before);
	strcpy(result + before, to);
	strcat(result, place + strlen(from));
	return result;
}

void assert_bad_input(gqe_status status, const gqe_error *error, const char *file, const char *name)
{
	if (status != GQE_ERROR_BAD_INPUT)
		fail_msg("%s: expected bad input because of %s, got %s", file, name, gqe_status_name(status));
	assert_int_equal(error->status, GQE_ERROR_BAD_INPUT);
	if (!strstr(error->message, file) || !strstr(error->message, name))
		fail_msg("the message names not both %s and %s: %s", file, name, error->message);
	assert_null(strchr(error->message, '\n'));
}
