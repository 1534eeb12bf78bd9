/* JSON from files that nobody vouches for: a strict check of the text before and of the tree after cJSON parses it. */
#ifndef GQE_MODEL_JSON_H
#define GQE_MODEL_JSON_H

#include "common/common.h"

#include <cJSON.h>

/*
 * Parses `text` (need not end in NUL) as one JSON object. Refused, with GQE_ERROR_BAD_INPUT naming `file` and the place or key:
 * anything that is not JSON, NaN, Infinity and numbers too large for a double, duplicate keys in any object, invalid UTF-8, NUL in
 * strings, nesting deeper than 64, more than 4 million values, and content after the object. `what` is the text's name in
 * messages ("header", "config"). The result is freed with cJSON_Delete.
 */
gqe_status gqe_json_parse(const char *file, const char *what, const char *text, size_t bytes, cJSON **object, gqe_error *error);

/* True when the value is an integer from 0 to 2^53 - 1, beyond which a double does not tell neighbours apart. */
bool gqe_json_integer(const cJSON *value, uint64_t *integer);

/* A name from a file as a message shows it: at most about 100 bytes, no control characters. Use: `gqe_show(name).text`. */
struct gqe_shown {
	char text[112];
};
struct gqe_shown gqe_show(const char *name);

#endif
