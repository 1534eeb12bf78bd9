#include "text_buffer.h"

#include "platform.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct text_buffer *buffer, size_t more)
{
	if (buffer->failed || more >= SIZE_MAX / 2 - buffer->length) {
		buffer->failed = true;
		return false;
	}
	if (buffer->length + more + 1 <= buffer->capacity)
		return true;
	size_t capacity = 2 * (buffer->length + more + 1);
	char *grown = realloc(buffer->text, capacity);
	if (!grown) {
		buffer->failed = true;
		return false;
	}
	buffer->text = grown;
	buffer->capacity = capacity;
	return true;
}

void text_append(struct text_buffer *buffer, const char *format, ...)
{
	va_list arguments, again;
	va_start(arguments, format);
	va_copy(again, arguments);
	int length = vsnprintf(NULL, 0, format, arguments);
	if (length < 0)
		buffer->failed = true;
	else if (reserve(buffer, (size_t)length)) {
		vsnprintf(buffer->text + buffer->length, (size_t)length + 1, format, again);
		buffer->length += (size_t)length;
	}
	va_end(again);
	va_end(arguments);
}

static void append_character(struct text_buffer *buffer, char character)
{
	switch (character) {
	case '&':
		text_append(buffer, "&amp;");
		return;
	case '<':
		text_append(buffer, "&lt;");
		return;
	case '>':
		text_append(buffer, "&gt;");
		return;
	case '"':
		text_append(buffer, "&quot;");
		return;
	case '\'':
		text_append(buffer, "&#39;");
		return;
	default:
		break;
	}
	const bool control = ((unsigned char)character < 0x20 && character != '\n' && character != '\t') || character == 0x7f;
	text_append(buffer, "%c", control ? ' ' : character);
}

void text_append_escaped(struct text_buffer *buffer, const char *text)
{
	char *valid = valid_utf8(text, strlen(text));
	if (!valid) {
		buffer->failed = true;
		return;
	}
	for (const char *at = valid; *at; at++)
		append_character(buffer, *at);
	free(valid);
}

void text_buffer_free(struct text_buffer *buffer)
{
	free(buffer->text);
	*buffer = (struct text_buffer){0};
}

bool text_write_file(const char *path, const char *text, size_t length)
{
	const size_t path_length = strlen(path);
	char *temporary = malloc(path_length + sizeof(".partial"));
	if (!temporary)
		return false;
	memcpy(temporary, path, path_length);
	memcpy(temporary + path_length, ".partial", sizeof(".partial"));
	FILE *file = file_open(temporary, "wb");
	bool good = file != NULL;
	if (file) {
		good = fwrite(text, 1, length, file) == length;
		good = fclose(file) == 0 && good;
		good = good && file_replace(temporary, path);
		const int reason = errno;
		if (!good)
			file_remove(temporary);
		errno = reason;
	}
	free(temporary);
	return good;
}
