/*
 * What the tests share: the device under test, comparison with a tolerance, random numbers, temporary folders. The environment:
 *   GQE_DEVICE           the device under test (default: auto), as for the program
 *   GQE_TEST_PATH        the kernel path, such as "scalar" (default: the best)
 *   GQE_TEST_VALIDATION  1: run under the validation layer; any error fails the test
 *   GQE_TEST_SCALE       "small": small shapes only, for drivers that compute a hundred times slower than others
 */
#ifndef GQE_TESTS_SUPPORT_H
#define GQE_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <gqe/gqe.h>

/* Relative L2 error against float64 on inputs of normal size. */
#define TOLERANCE_F32 2e-6      /* up to 4,096 tokens; plain float32 arithmetic gives 3e-7 */
#define TOLERANCE_F32_LONG 1e-5 /* beyond */
#define TOLERANCE_F16 2e-3      /* f16 storage with f32 accumulation gives 8e-4 */

/* The device under test; a failure to open it fails the test. `params` may be NULL: fields beyond the environment's. */
gqe_context *open_device(const gqe_context_params *params);
/* GQE_TEST_PATH; 0: not set. */
gqe_path path_under_test(void);
gqe_context *open_reference(void);
/* Destroys it; validation errors fail the test. */
void close_context(gqe_context **context);
/* A device that can compute in F16: the reference, or one with 16-bit storage. */
bool can_f16(const gqe_context *context);
bool small_scale(void);

/* Fails the test with the error's message unless status is `expected`. */
#define assert_status(status, expected, error) check_status((status), (expected), (error), #status, __FILE__, __LINE__)
#define assert_ok(status, error) assert_status(status, GQE_OK, error)
void check_status(gqe_status status, gqe_status expected, const gqe_error *error, const char *call, const char *file, int line);

/* |got - want| / |want| in the L2 norm; infinity when something is not finite. */
double relative_error(const float *got, const float *want, size_t count);
/* Fails with the error, the worst element's index and values, and `format`, unless relative_error <= tolerance. */
void assert_close(const float *got, const float *want, size_t count, double tolerance, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* A stream of random numbers: splitmix64, the same on every machine. */
struct random {
	uint64_t state;
};
uint64_t random_next(struct random *random);
/* lowest...highest, both included */
uint32_t random_between(struct random *random, uint32_t lowest, uint32_t highest);
float random_normal(struct random *random);
void fill_normal(struct random *random, float *values, size_t count, float deviation);

/* malloc that fails the test. */
void *must_allocate(size_t bytes);
/* Bytes that no result has: NaN as float, a huge number as int. */
void poison(void *memory, size_t bytes);

/* A new folder below TMPDIR or /tmp; remove_folder deletes it with its files. */
void make_folder(char path[256]);
void remove_folder(const char *path);
void write_text(const char *path, const char *text);

#endif
