#include "common/common.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* vsnprintf that does not leave half a UTF-8 character at the end when the text is cut. */
static void format_cut(char *text, size_t size, const char *format, va_list arguments)
{
	int length = vsnprintf(text, size, format, arguments);
	if (length < 0) {
		text[0] = 0;
	}
	if (length < 0 || (size_t)length < size) {
		return;
	}
	size_t end = size - 1;
	size_t start = end; /* of the last character */
	while (start > 0 && end - start < 4 && ((unsigned char)text[start - 1] & 0xc0) == 0x80) {
		start--;
	}
	if (start == 0 || (unsigned char)text[start - 1] < 0xc0) {
		return; /* the last character is ASCII, or this is not UTF-8 */
	}
	start--;
	unsigned char lead = (unsigned char)text[start];
	size_t expected = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (end - start < expected) {
		text[start] = 0;
	}
}

gqe_status gqe_fail(gqe_error *error, gqe_status status, const char *format, ...)
{
	if (error) {
		/* An argument may be the old message itself: `gqe_fail(error, status, "%s: %s", file, error->message)`. */
		char message[sizeof(error->message)];
		va_list arguments;
		va_start(arguments, format);
		format_cut(message, sizeof(message), format, arguments);
		va_end(arguments);
		error->status = status;
		memcpy(error->message, message, sizeof(message));
	}
	return status;
}

void gqe_log_write(const struct gqe_log *log, gqe_log_level level, const char *format, ...)
{
	if (!log || !log->fn || level > (log->level ? log->level : GQE_LOG_WARNING)) {
		return;
	}
	char message[2048];
	va_list arguments;
	va_start(arguments, format);
	format_cut(message, sizeof(message), format, arguments);
	va_end(arguments);
	log->fn(log->user, level, message);
}

gqe_status gqe_copy_params(void *destination, size_t destination_size, const void *source, gqe_error *error)
{
	memset(destination, 0, destination_size);
	if (!source) {
		return GQE_OK;
	}
	size_t source_size;
	memcpy(&source_size, source, sizeof(source_size));
	if (source_size < sizeof(source_size)) {
		return gqe_fail(error, GQE_ERROR_USAGE,
				"a params struct's first field, size, is %zu; set it to the sizeof of the struct", source_size);
	}
	memcpy(destination, source, source_size < destination_size ? source_size : destination_size);
	return GQE_OK;
}

const char *gqe_status_name(gqe_status status)
{
	switch (status) {
	case GQE_OK:
		return "ok";
	case GQE_ERROR_INTERNAL:
		return "internal error";
	case GQE_ERROR_USAGE:
		return "wrong use";
	case GQE_ERROR_NO_DEVICE:
		return "no usable device";
	case GQE_ERROR_BAD_INPUT:
		return "bad input";
	case GQE_ERROR_OUT_OF_MEMORY:
		return "out of memory";
	case GQE_ERROR_DEVICE_LOST:
		return "device lost";
	case GQE_ERROR_VERIFICATION:
		return "verification failed";
	case GQE_CANCELLED:
		return "cancelled";
	}
	return "unknown status";
}
