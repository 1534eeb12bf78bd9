/* What every storey uses: failing with a message, allocation, small arithmetic. Knows no Vulkan and no GQE. */
#ifndef GQE_COMMON_H
#define GQE_COMMON_H

#include <gqe/gqe.h>

#if defined(__MINGW32__) /* whose attribute `printf` means Microsoft's */
#define GQE_PRINTF(text, first) __attribute__((format(gnu_printf, text, first)))
#elif defined(__GNUC__)
#define GQE_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define GQE_PRINTF(text, first)
#endif

#define GQE_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Writes the status and the message to `error` (may be NULL) and returns the status: `return gqe_fail(error, ...)`. */
gqe_status gqe_fail(gqe_error *error, gqe_status status, const char *format, ...) GQE_PRINTF(3, 4);

/* A log callback with its level, as a context carries it. */
struct gqe_log {
	gqe_log_fn fn;
	void *user;
	gqe_log_level level;
};

void gqe_log_write(const struct gqe_log *log, gqe_log_level level, const char *format, ...) GQE_PRINTF(3, 4);

/*
 * Copies a caller's params struct of an older or newer header: `destination` (of `destination_size` bytes) gets the first
 * min(source's size field, destination_size) bytes, the rest zeros. `source` may be NULL (all zeros). The first field is the size;
 * one that was forgotten is GQE_ERROR_USAGE, as everything else in the struct would be ignored.
 */
gqe_status gqe_copy_params(void *destination, size_t destination_size, const void *source, gqe_error *error);

static inline uint32_t gqe_min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t gqe_max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline uint32_t gqe_div_up(uint32_t a, uint32_t b)
{
	return (uint32_t)(((uint64_t)a + b - 1) / b);
}

static inline uint64_t gqe_align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) / alignment * alignment;
}

#endif
