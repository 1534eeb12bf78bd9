#include "prompt.h"

#include "platform.h"
#include "program.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A file's or stdin's whole content, malloc'ed. Read as a stream, as stdin and pipes have no size. */
static gqe_status read_all(const char *path, char **bytes, size_t *count, gqe_error *error)
{
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *file = is_stdin ? stdin : file_open(path, "rb");
	if (!file)
		return error_set(error, GQE_ERROR_BAD_INPUT, "cannot open '%s': %s", path, strerror(errno));
	gqe_status status = GQE_OK;
	char *buffer = NULL;
	size_t used = 0, capacity = 0;
	for (;;) {
		if (used == capacity) {
			char *grown = capacity <= SIZE_MAX / 2 ? realloc(buffer, capacity ? capacity * 2 : 65536) : NULL;
			if (!grown) {
				status = error_no_memory(error);
				break;
			}
			buffer = grown;
			capacity = capacity ? capacity * 2 : 65536;
		}
		size_t got = fread(buffer + used, 1, capacity - used, file);
		used += got;
		if (got == 0)
			break;
	}
	if (status == GQE_OK && ferror(file))
		status = error_set(error, GQE_ERROR_BAD_INPUT, "cannot read '%s': %s", path, strerror(errno));
	if (!is_stdin)
		fclose(file);
	if (status != GQE_OK) {
		free(buffer);
		return status;
	}
	*bytes = buffer;
	*count = used;
	return GQE_OK;
}

/* Ids separated by white space; `tokens` has room for every id that `count` bytes can hold. */
static gqe_status parse_ids(const char *path, const char *text, size_t count, uint32_t vocab_size, int32_t *tokens, size_t *found,
			    gqe_error *error)
{
	size_t line = 1, line_start = 0, used = 0;
	for (size_t i = 0; i < count;) {
		if (isspace((unsigned char)text[i])) {
			if (text[i++] == '\n') {
				line++;
				line_start = i;
			}
			continue;
		}
		size_t start = i;
		while (i < count && !isspace((unsigned char)text[i]))
			i++;
		char word[32];
		size_t length = i - start < sizeof(word) - 1 ? i - start : sizeof(word) - 1;
		memcpy(word, text + start, length);
		word[length] = 0;
		uint64_t id;
		if (i - start > length || !parse_number(word, &id) || id >= vocab_size)
			return error_set(error, GQE_ERROR_BAD_INPUT,
					 "%s, line %zu, column %zu: '%s' is not a token id from 0 to %u", path, line,
					 start - line_start + 1, word, vocab_size - 1);
		tokens[used++] = (int32_t)id;
	}
	*found = used;
	return GQE_OK;
}

gqe_status prompt_read(const struct prompt_source *source, const gqe_model_config *config, int32_t **tokens, uint32_t *count,
		       gqe_error *error)
{
	char *owned = NULL;
	const char *bytes = source->text, *path = source->tokens_file ? source->tokens_file : source->text_file;
	size_t byte_count = bytes ? strlen(bytes) : 0, found = 0;
	gqe_status status = GQE_OK;
	int32_t *ids = NULL;
	if (path) {
		status = read_all(path, &owned, &byte_count, error);
		if (status != GQE_OK)
			return status;
		bytes = owned;
	}
	if (byte_count > 0) {
		ids = byte_count <= SIZE_MAX / sizeof(*ids) ? malloc(byte_count * sizeof(*ids)) : NULL;
		if (!ids)
			status = error_no_memory(error);
		else if (source->tokens_file)
			status = parse_ids(path, bytes, byte_count, config->vocab_size, ids, &found, error);
		else
			status = gqe_tokenize(config, bytes, byte_count, ids, byte_count, &found, error);
	}
	free(owned);
	if (status == GQE_OK && found == 0)
		status = error_set(error, path ? GQE_ERROR_BAD_INPUT : GQE_ERROR_USAGE, "the prompt%s%s is empty",
				   path ? " in " : "", path ? path : "");
	if (status == GQE_OK && found > UINT32_MAX / 2)
		status = error_set(error, GQE_ERROR_BAD_INPUT, "the prompt has %zu tokens, more than %u", found, UINT32_MAX / 2);
	if (status != GQE_OK) {
		free(ids);
		return status;
	}
	*tokens = ids;
	*count = (uint32_t)found;
	return GQE_OK;
}
