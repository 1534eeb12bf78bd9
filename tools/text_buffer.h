/* Text that grows: what is appended after memory ran out is dropped, and `failed` tells at the end. */
#ifndef GQE_TOOLS_TEXT_BUFFER_H
#define GQE_TOOLS_TEXT_BUFFER_H

#include "text.h"

struct text_buffer {
	char *text; /* NULL while empty; ends with NUL */
	size_t length, capacity;
	bool failed;
};

void text_append(struct text_buffer *buffer, const char *format, ...) GQE_PRINTF(2, 3);
/* As text of an HTML or SVG document: markup characters escaped; bytes that are not UTF-8 and control characters replaced. */
void text_append_escaped(struct text_buffer *buffer, const char *text);
void text_buffer_free(struct text_buffer *buffer);

/* A temporary file beside `path`, renamed when complete, so that `path` is never half-written. False: errno says why. */
bool text_write_file(const char *path, const char *text, size_t length);

#endif
