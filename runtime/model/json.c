#include "model/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64
/* A value costs cJSON about 80 bytes: 4 million are 320 MB, and ten values make a tensor. */
#define MAX_VALUES 4000000u

struct gqe_shown gqe_show(const char *name)
{
	static const char more[] = "...";
	struct gqe_shown shown;
	size_t length = strlen(name);
	bool cut = length >= sizeof(shown.text);

	if (cut) {
		length = sizeof(shown.text) - sizeof(more);
		while (length && ((unsigned char)name[length] & 0xc0) == 0x80)
			length--; /* not in the middle of a UTF-8 sequence */
	}
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)name[i];
		shown.text[i] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	strcpy(shown.text + length, cut ? more : "");
	return shown;
}

/* Bytes of the valid UTF-8 sequence at `text`, 0 if there is none. */
static size_t utf8_sequence(const unsigned char *text, size_t bytes)
{
	unsigned char first = text[0];
	size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;

	if (length > bytes)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	}
	/* overlong forms, surrogates, beyond U+10FFFF */
	if ((first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] > 0x9f) || (first == 0xf0 && text[1] < 0x90) ||
	    (first == 0xf4 && text[1] > 0x8f))
		return 0;
	return length;
}

/* The text around a position, for messages; it mostly contains the key. */
static struct gqe_shown excerpt(const char *text, size_t bytes, size_t position)
{
	char around[64];
	size_t first = position > 40 ? position - 40 : 0, length = 0;

	for (size_t i = first; i < bytes && i < position + 16; i++) {
		unsigned char c = (unsigned char)text[i];
		around[length++] = c < 0x20 || c > 0x7e ? ' ' : (char)c;
	}
	around[length] = '\0';
	return gqe_show(around);
}

/* What cJSON would let through or overflow on. NULL when there is none, else what is wrong at *position. */
static const char *scan(const unsigned char *text, size_t bytes, size_t *position)
{
	uint32_t depth = 0, values = 1;
	bool in_string = false;
	size_t i = 0;

	while (i < bytes) {
		unsigned char c = text[i];
		size_t length = utf8_sequence(text + i, bytes - i);

		*position = i;
		if (length == 0)
			return "bytes that are not UTF-8";
		if (c == '\0')
			return "a NUL byte";
		if (in_string) {
			if (c < 0x20)
				return "a control character in a string";
			if (c == '\\' && bytes - i >= 6 && memcmp(text + i + 1, "u0000", 5) == 0)
				return "a NUL character in a string";
			if (c == '\\')
				length = bytes - i >= 2 && text[i + 1] < 0x80 ? 2 : 1;
			in_string = c != '"';
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			values++;
			if (++depth > MAX_DEPTH)
				return "objects or lists nested more than 64 deep";
		} else if (c == '}' || c == ']') {
			depth -= depth > 0;
		} else if (c == ',') {
			values++;
		}
		if (values > MAX_VALUES)
			return "more than 4 million values";
		i += length;
	}
	return NULL;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Duplicate keys of one object, which is the value of key `name`. */
static gqe_status check_keys(const char *file, const char *name, const cJSON *object, gqe_error *error)
{
	size_t count = 0, i = 0;

	for (const cJSON *item = object->child; item; item = item->next)
		count++;
	if (count < 2)
		return GQE_OK;
	const char **keys = malloc(count * sizeof(*keys));
	if (!keys)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to check '%s'", file);
	for (const cJSON *item = object->child; item; item = item->next)
		keys[i++] = item->string;
	qsort(keys, count, sizeof(*keys), compare_names);

	gqe_status status = GQE_OK;
	for (i = 1; i < count && status == GQE_OK; i++) {
		if (strcmp(keys[i - 1], keys[i]) == 0)
			status = gqe_fail(error, GQE_ERROR_BAD_INPUT, "'%s': the key '%s' appears twice in '%s'; remove one", file,
					  gqe_show(keys[i]).text, gqe_show(name).text);
	}
	free(keys);
	return status;
}

/* Recursion is bounded by MAX_DEPTH. `key` is the value's, or that of the list it is in; `owner` the key of the object around. */
static gqe_status check_tree(const char *file, const char *owner, const char *key, const cJSON *value, gqe_error *error)
{
	gqe_status status = GQE_OK;

	if (cJSON_IsNumber(value) && !isfinite(value->valuedouble))
		return gqe_fail(error, GQE_ERROR_BAD_INPUT, "'%s': the number of key '%s' in '%s' is too large; write a finite one",
				file, gqe_show(key).text, gqe_show(owner).text);
	if (cJSON_IsObject(value)) {
		status = check_keys(file, key, value, error);
		owner = key;
	}
	for (const cJSON *item = value->child; item && status == GQE_OK; item = item->next)
		status = check_tree(file, owner, item->string ? item->string : key, item, error);
	return status;
}

static gqe_status fail_syntax(const char *file, const char *what, const char *text, size_t bytes, size_t position, gqe_error *error)
{
	char c = position < bytes ? text[position] : '\0';
	bool not_finite = c == 'N' || c == 'I' || (c == '-' && position + 1 < bytes && text[position + 1] == 'I');

	return gqe_fail(error, GQE_ERROR_BAD_INPUT, "'%s': the %s is not valid JSON at byte %zu, near: %s%s", file, what, position,
			excerpt(text, bytes, position).text,
			not_finite ? " (NaN and Infinity are not numbers here; write a finite one)" : "");
}

gqe_status gqe_json_parse(const char *file, const char *what, const char *text, size_t bytes, cJSON **object, gqe_error *error)
{
	size_t position = 0;
	const char *problem = scan((const unsigned char *)text, bytes, &position);
	if (problem)
		return gqe_fail(error, GQE_ERROR_BAD_INPUT, "'%s': the %s has %s at byte %zu, near: %s", file, what, problem,
				position, excerpt(text, bytes, position).text);

	/* A terminated copy: cJSON before 1.7.18 reads past the end of a text that is cut in the middle of a value. */
	char *copy = malloc(bytes + 1);
	if (!copy)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory to parse '%s'", file);
	if (bytes)
		memcpy(copy, text, bytes);
	copy[bytes] = '\0';

	const char *end = copy;
	cJSON *root = cJSON_ParseWithLengthOpts(copy, bytes + 1, &end, 0);
	position = (size_t)(end - copy);
	if (root)
		position += strspn(end, " \t\r\n");

	gqe_status status = GQE_OK;
	if (!root || position != bytes)
		status = fail_syntax(file, what, text, bytes, position, error);
	else if (!cJSON_IsObject(root))
		status = gqe_fail(error, GQE_ERROR_BAD_INPUT, "'%s': the %s is JSON but not an object {...}", file, what);
	else
		status = check_tree(file, what, what, root, error);
	free(copy);
	if (status != GQE_OK) {
		cJSON_Delete(root);
		return status;
	}
	*object = root;
	return GQE_OK;
}

bool gqe_json_integer(const cJSON *value, uint64_t *integer)
{
	if (!cJSON_IsNumber(value))
		return false;
	double number = value->valuedouble;
	if (!(number >= 0 && number <= 9007199254740991.0) || number != floor(number))
		return false;
	*integer = (uint64_t)number;
	return true;
}
