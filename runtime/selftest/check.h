/*
 * One case of the self-test: tensors in device memory between guard bands, a kernel run twice on them, its outputs compared.
 *
 * A check function draws a shape, adds its tensors, places them, and records its kernel as often as gqe_check_pass says:
 *
 *   float *x = gqe_check_normal(check, rows * width);
 *   struct gqe_check_tensor *in = gqe_check_floats(check, "x", x, rows * width);
 *   struct gqe_check_tensor *out = gqe_check_output(check, "y", sizeof(float), rows * width);
 *   float *expected = gqe_check_untouched(check, rows * width);
 *   if (!gqe_check_place(check))
 *           return;
 *   struct gqe_push_norm push = {.x = in->buffer.address, ...};
 *   while (gqe_check_pass(check))
 *           gqe_record_norm(&check->recorder, check->dtype, &push);
 *   gqe_reference_norm(..., expected);
 *   gqe_check_compare(check, out, expected, tolerance);
 *
 * What fails on the way (memory, a driver call) is kept in check->status, and the later calls do nothing; an allocation's NULL
 * need not be looked at before gqe_check_place, which then returns false.
 */
#ifndef GQE_SELFTEST_CHECK_H
#define GQE_SELFTEST_CHECK_H

#include "attention/kernels.h"
#include "attention/matrix.h"
#include "common/philox.h"

#define GQE_CHECK_MAX_TENSORS 16
#define GQE_CHECK_MAX_SCRATCH 32
#define GQE_CHECK_MAX_BLOCKS 16

/* A quiet NaN with a recognizable payload: what guard bands and outputs hold before a run. As two f16 it is NaN and -427. */
#define GQE_CHECK_POISON 0x7fc0deadu

struct gqe_check_tensor {
	const char *name;
	struct gqe_buffer buffer;
	uint32_t element_bytes; /* 4, or 2: f16 */
	uint64_t count;
	bool is_output;
	const void *initial; /* [count] elements; NULL: poison */
	uint32_t block;      /* of the arena */
	uint64_t start;      /* in the block */
};

struct gqe_check {
	struct gqe_recorder recorder;
	struct gqe_capabilities capabilities; /* the recorder's: the device's, with one shape of matrices, by `number` */
	struct gqe_vulkan *vulkan;
	gqe_dtype dtype; /* behind Weights pointers */
	uint32_t number; /* of the case, for shapes that every run should include */
	uint32_t max_tokens;
	uint32_t head_dim; /* the only one to draw; 0: any */
	uint32_t threads;
	struct gqe_random random;

	gqe_status status;
	gqe_error *error;

	/* The result. */
	char shape[200];
	char detail[256];
	bool failed;
	double measured, tolerance; /* of the comparison that came nearest to failing, or failed first */

	/* Internal. */
	struct gqe_check_tensor tensors[GQE_CHECK_MAX_TENSORS];
	uint32_t tensor_count;
	struct gqe_check_tensor no_tensor; /* what adding a tensor returns once the case has failed */
	void *scratch[GQE_CHECK_MAX_SCRATCH];
	uint32_t scratch_count;
	struct gqe_arena *arena;
	struct {
		struct gqe_buffer buffer;
		uint8_t *before, *after; /* content before and after a run */
	} blocks[GQE_CHECK_MAX_BLOCKS];
	uint32_t block_count;
	uint32_t passes;
};

/* Frees what the case holds; the result stays. */
void gqe_check_release(struct gqe_check *check);

/* Host memory that lives as long as the case; zeroed. */
void *gqe_check_alloc(struct gqe_check *check, uint64_t count, size_t element_bytes);
/* Standard normal values. */
float *gqe_check_normal(struct gqe_check *check, uint64_t count);
/* The same, rounded to the case's dtype, so that the reference sees what the kernel sees. */
float *gqe_check_normal_weights(struct gqe_check *check, uint64_t count);
/* Expected values that say "not written": the kernel must leave these elements as they were. */
void *gqe_check_untouched(struct gqe_check *check, uint64_t count);
/* Uniform in low...high. */
uint32_t gqe_check_between(struct gqe_check *check, uint32_t low, uint32_t high);
/* A number of tokens: 1, max_tokens, next to a tile edge, or anything up to max_tokens. */
uint32_t gqe_check_tokens(struct gqe_check *check);
/* A head size: a multiple of 16 up to 256; now and then another even number. */
uint32_t gqe_check_head_dim(struct gqe_check *check);
void gqe_check_shape(struct gqe_check *check, const char *format, ...) GQE_PRINTF(2, 3);

/*
 * A tile of as few columns as there may be, where the kernel's table has more: one a lane on the subgroup path, one matrix on the
 * matrix path. `work_kernel`: the one whose tiles it takes. False: a tile was asked for, or this one cannot be.
 */
bool gqe_check_narrow_tile(struct gqe_check *check, enum gqe_kernel work_kernel);

/*
 * A tile of the matrix path's attention as devices with narrow subgroups have it, with transposed scores: `blocks` subgroups of
 * rows, and `parts` of channels. False: a tile was asked for, or this one cannot be.
 */
bool gqe_check_transposed_tile(struct gqe_check *check, uint32_t head_dim, uint32_t blocks, uint32_t parts);

/* Whether the case's kernel multiplies f16 by f16, hence rounds factors to it. */
bool gqe_check_multiplies_f16(const struct gqe_check *check, enum gqe_kernel kernel);

/* Tensors. Data is read by gqe_check_place and must live as long as the case. */
struct gqe_check_tensor *gqe_check_floats(struct gqe_check *check, const char *name, const float *data, uint64_t count);
struct gqe_check_tensor *gqe_check_ints(struct gqe_check *check, const char *name, const int32_t *data, uint64_t count);
/* `rows` rows of `depth` values each, stored as the case's dtype in rows of `stride`, padded with zeros. */
struct gqe_check_tensor *gqe_check_weights(struct gqe_check *check, const char *name, const float *data, uint64_t rows,
					   uint32_t depth, uint32_t stride);
/*
 * The same for a product's w or embed's table, in the layout that the case's device and path have, which is returned: heads'
 * channels as its head_size and is_interleaved say. Rows that fill up a block are poison.
 */
struct gqe_check_tensor *gqe_check_matrix(struct gqe_check *check, const char *name, const float *data, uint64_t rows,
					  uint32_t depth, uint32_t stride, struct gqe_matrix_layout *layout);
struct gqe_check_tensor *gqe_check_output(struct gqe_check *check, const char *name, uint32_t element_bytes, uint64_t count);
/* Floats that the kernel reads and writes. */
struct gqe_check_tensor *gqe_check_inout(struct gqe_check *check, const char *name, const float *data, uint64_t count);
/* Bytes of an element behind a Weights pointer. */
uint32_t gqe_check_weight_bytes(const struct gqe_check *check);

/* Puts the tensors into device memory. False: something failed, the check function returns. */
bool gqe_check_place(struct gqe_check *check);
/*
 * True twice: everything is as it was at first, and the kernel is to be recorded; the recorded steps run in the next call. Then
 * checks that both runs gave the same bits and that no byte outside the outputs changed.
 */
bool gqe_check_pass(struct gqe_check *check);
/* The output after the runs, [count]. NULL when something failed. */
const void *gqe_check_result(const struct gqe_check *check, const struct gqe_check_tensor *tensor);
/* Relative L2 error against `expected` [count]. */
void gqe_check_compare(struct gqe_check *check, const struct gqe_check_tensor *tensor, const float *expected, double tolerance);
/* Number of unequal elements; the tolerance is 0. */
void gqe_check_compare_ints(struct gqe_check *check, const struct gqe_check_tensor *tensor, const int32_t *expected);
/* A failure that only the check function can see. */
void gqe_check_fail(struct gqe_check *check, const char *format, ...) GQE_PRINTF(2, 3);

#endif
