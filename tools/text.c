#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Digits at the start of `text`; returns the character after them, NULL when there are none or the number is too large. */
static const char *read_digits(const char *text, uint64_t *number)
{
	if (*text < '0' || *text > '9')
		return NULL;
	uint64_t value = 0;
	for (; *text >= '0' && *text <= '9'; text++) {
		uint64_t digit = (uint64_t)(*text - '0');
		if (value > (UINT64_MAX - digit) / 10)
			return NULL;
		value = value * 10 + digit;
	}
	*number = value;
	return text;
}

bool parse_number(const char *text, uint64_t *number)
{
	const char *end = read_digits(text, number);
	return end && *end == 0;
}

bool parse_bytes(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "kmgt";
	uint64_t value;
	const char *end = read_digits(text, &value);
	if (!end)
		return false;
	const char *suffix = *end ? strchr(suffixes, *end | 0x20) : NULL;
	if (suffix) {
		unsigned shift = 10 * (unsigned)(suffix - suffixes + 1);
		if (value > UINT64_MAX >> shift)
			return false;
		value <<= shift;
		end++;
		if (strncasecmp(end, "ib", 2) == 0)
			end++;
	}
	if (*end == 'B' || *end == 'b')
		end++;
	*bytes = value;
	return *end == 0;
}

struct bytes_text format_bytes(uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	struct bytes_text out;
	double value = (double)bytes;
	size_t unit = 0;
	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	snprintf(out.text, sizeof(out.text),
		 unit == 0 || value >= 100 ? "%.0f %s"
		 : value >= 10             ? "%.1f %s"
					   : "%.2f %s",
		 value, units[unit]);
	return out;
}

#define NEAREST_MAX_LENGTH 40

struct nearest nearest_begin(const char *typed, size_t length)
{
	return (struct nearest){.typed = typed, .length = length, .distance = SIZE_MAX};
}

/* Letters to change, insert, remove, or swap with their neighbour; SIZE_MAX for words too long to compare. */
static size_t edit_distance(const char *a, size_t a_length, const char *b)
{
	size_t b_length = strlen(b), table[NEAREST_MAX_LENGTH + 1][NEAREST_MAX_LENGTH + 1];
	if (a_length > NEAREST_MAX_LENGTH || b_length > NEAREST_MAX_LENGTH)
		return SIZE_MAX;
	for (size_t i = 0; i <= a_length; i++)
		for (size_t j = 0; j <= b_length; j++) {
			size_t best = i == 0 ? j : i;
			if (i > 0 && j > 0) {
				best = table[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
				best = table[i - 1][j] < best ? table[i - 1][j] + 1 : best;
				best = table[i][j - 1] < best ? table[i][j - 1] + 1 : best;
			}
			bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
			if (swapped && table[i - 2][j - 2] < best)
				best = table[i - 2][j - 2] + 1;
			table[i][j] = best;
		}
	return table[a_length][b_length];
}

void nearest_offer(struct nearest *nearest, const char *word)
{
	size_t distance = edit_distance(nearest->typed, nearest->length, word);
	if (distance < nearest->distance) {
		nearest->distance = distance;
		nearest->word = word;
	}
}

bool nearest_found(const struct nearest *nearest)
{
	/* Two slips, and no more than a third of the word: '--jsn' is --json, '--xyz' is nothing. */
	return nearest->word && nearest->distance <= 3 && nearest->distance * 3 <= strlen(nearest->word);
}

/* Length of the valid UTF-8 sequence at the start of `bytes`, 0 when there is none. */
static size_t utf8_length(const unsigned char *bytes, size_t count)
{
	unsigned char lead = bytes[0];
	if (lead < 0x80)
		return lead ? 1 : 0;
	size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
	if (lead < 0xc2 || lead > 0xf4 || length > count)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and beyond U+10FFFF. */
	if ((lead == 0xe0 && bytes[1] < 0xa0) || (lead == 0xed && bytes[1] > 0x9f) || (lead == 0xf0 && bytes[1] < 0x90) ||
	    (lead == 0xf4 && bytes[1] > 0x8f))
		return 0;
	return length;
}

char *valid_utf8(const char *bytes, size_t count)
{
	char *out = count < SIZE_MAX / 3 ? malloc(count * 3 + 1) : NULL;
	if (!out)
		return NULL;
	size_t used = 0;
	for (size_t i = 0; i < count;) {
		size_t length = utf8_length((const unsigned char *)bytes + i, count - i);
		if (length) {
			memcpy(out + used, bytes + i, length);
			used += length;
			i += length;
		} else {
			memcpy(out + used, "\xef\xbf\xbd", 3);
			used += 3;
			i++;
		}
	}
	out[used] = 0;
	return out;
}

/* Bytes of the character at `at` that a terminal acts on, or that turns the direction in which text runs; 0: neither. */
static size_t acting_length(const unsigned char *at)
{
	if ((at[0] < 0x20 && at[0] != '\n' && at[0] != '\t') || at[0] == 0x7f)
		return 1;
	if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0) /* U+0080...U+009F */
		return 2;
	if (at[0] == 0xd8 && at[1] == 0x9c) /* U+061C */
		return 2;
	if (at[0] == 0xe2 && at[1] == 0x80 && (at[2] == 0x8e || at[2] == 0x8f || (at[2] >= 0xa8 && at[2] <= 0xae)))
		return 3; /* U+200E, U+200F, U+2028...U+202E */
	if (at[0] == 0xe2 && at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9)
		return 3; /* U+2066...U+2069 */
	return 0;
}

void plain_text(char *text)
{
	char *out = text;
	for (char *at = text; *at;) {
		const size_t length = acting_length((const unsigned char *)at);
		*out++ = length ? '?' : *at;
		at += length ? length : 1;
	}
	*out = 0;
}
