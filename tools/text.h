/* Small work on text: numbers and sizes read and shown, the nearest word, valid UTF-8. */
#ifndef GQE_TOOLS_TEXT_H
#define GQE_TOOLS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__MINGW32__) /* whose attribute `printf` means Microsoft's */
#define GQE_PRINTF(text, first) __attribute__((format(gnu_printf, text, first)))
#elif defined(__GNUC__)
#define GQE_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define GQE_PRINTF(text, first)
#endif

/* A decimal whole number without sign that fits in 64 bits, and nothing else. */
bool parse_number(const char *text, uint64_t *number);
/* The same with an optional suffix K, M, G or T (powers of 1024), itself with an optional B or iB. */
bool parse_bytes(const char *text, uint64_t *bytes);

/* "512 B", "12.3 MiB"; the text lives in `out`. */
struct bytes_text {
	char text[32];
};
struct bytes_text format_bytes(uint64_t bytes);

/* The word nearest to a mistyped one, by edit distance. */
struct nearest {
	const char *typed;
	size_t length;
	const char *word; /* the best offered so far */
	size_t distance;
};

struct nearest nearest_begin(const char *typed, size_t length);
void nearest_offer(struct nearest *nearest, const char *word);
/* True when the best word is near enough to be what was meant. */
bool nearest_found(const struct nearest *nearest);

/* A copy with every byte that is not part of valid UTF-8, and every NUL, replaced by U+FFFD; malloc'ed, NULL without memory. */
char *valid_utf8(const char *bytes, size_t count);
/* Replaces, in place, each character by '?' that a terminal would act on or that turns text around; newline and tab stay. */
void plain_text(char *text);

#endif
