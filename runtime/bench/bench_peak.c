#include "bench/bench_peak.h"

#include <stdlib.h>

#include "attention/tiles.h"
#include "bench/bench_kernels.h"
#include "common/platform.h"

#define WORKGROUP 64
/* What a sample should take: far more than a submit costs, far less than a watchdog allows. */
#define SAMPLE_SECONDS 0.04
#define RUNS_OF_A_CANDIDATE 2

/* A loop of peak_fma; the first guess takes 0.07 s on the slowest driver known, which does 1 GFLOP/s. */
#define FMA_FIRST_ITERATIONS 16
#define FMA_MOST_ITERATIONS 4096
#define FMA_FIRST_WORKGROUPS 256
#define FMA_MOST_WORKGROUPS 65536
#define FMA_BASE_CHAINS 4

/* The largest factor of a matrix product, 64 x 64 of f16, and more than what drivers have; for every chain. */
#define MATRIX_BYTES (64 * 64 * 2)
#define FACTORS_BYTES (8 * MATRIX_BYTES)
#define TWO_HALVES_OF_ONE_HALF 0x38003800u

/* Each of two buffers: no larger than this and than a sixteenth of what the context may still allocate. */
#define COPY_MOST_BYTES ((uint64_t)1 << 28)
#define COPY_LEAST_BYTES ((uint64_t)1 << 20)
#define COPY_MOST_REPEATS 4096

/* Numbers of vec4: 4 to 32 chains an invocation, which with 2 to 32 cycles of latency covers what there is. */
static const uint32_t fma_chains[] = {1, 2, 3, 4, 6, 8};
/* Matrices; each takes several registers of every lane. */
static const uint32_t matrix_chains[] = {1, 2, 4, 8};
/* vec4 that an invocation moves; 0: vkCmdCopyBuffer. */
static const uint32_t copy_chains[] = {0, 1, 4};

/* One way to do the same. */
struct candidate {
	uint32_t chains;
	gqe_matrix_shape shape; /* FMA_MATRIX */
};
#define MOST_CANDIDATES (GQE_MAX_MATRIX_SHAPES * GQE_COUNT(matrix_chains))
_Static_assert(MOST_CANDIDATES >= GQE_COUNT(fma_chains) && MOST_CANDIDATES >= GQE_COUNT(copy_chains), "room for every kind");

struct gqe_bench_peak {
	gqe_bench_params params;
	const struct gqe_capabilities *capabilities;
	struct gqe_arena *arena;
	const struct gqe_kernel_variant *variant;
	struct candidate chosen;
	/* FMA */
	uint32_t workgroup; /* invocations */
	uint32_t iterations, workgroups;
	struct gqe_buffer ends;           /* [FMA_MOST_WORKGROUPS * workgroup] */
	struct gqe_buffer factors, zeros; /* FMA_MATRIX */
	/* BANDWIDTH */
	uint32_t repeats;
	struct gqe_buffer buffers[2];
};

static bool is_matrix(const struct gqe_bench_peak *peak)
{
	return peak->params.what == GQE_BENCH_FMA_MATRIX;
}

static bool is_copy(const struct gqe_bench_peak *peak)
{
	return peak->params.what == GQE_BENCH_BANDWIDTH;
}

/* Chains of different numbers are given the same work. */
static uint32_t fma_iterations(const struct gqe_bench_peak *peak)
{
	return peak->iterations * FMA_BASE_CHAINS / peak->chosen.chains;
}

/* Operations, or bytes read and written, of one sample. */
static double amount(const struct gqe_bench_peak *peak)
{
	if (is_copy(peak))
		return 2.0 * (double)peak->buffers[0].size * peak->repeats;
	const double links = (double)fma_iterations(peak) * peak->chosen.chains * peak->workgroups;
	if (is_matrix(peak))
		return 2.0 * links * peak->chosen.shape.m * peak->chosen.shape.n * peak->chosen.shape.k;
	return 2.0 * links * GQE_BENCH_FMA_LINKS * 4 * peak->workgroup;
}

static void record_fma(const struct gqe_bench_peak *peak, struct gqe_steps *steps)
{
	const struct gqe_push_peak_fma push = {
		.ends = peak->ends.address,
		.iterations = fma_iterations(peak),
		.scale = 0.5f,
		.offset = 1.0f,
	};
	gqe_steps_dispatch(steps, &(struct gqe_dispatch){
					  .variant = peak->variant,
					  .specialization = gqe_bench_specialization(peak->workgroup, peak->chosen.chains),
					  .push = &push,
					  .workgroups = peak->workgroups,
					  .work = amount(peak),
				  });
}

static void record_matrix(const struct gqe_bench_peak *peak, struct gqe_steps *steps)
{
	const struct candidate *chosen = &peak->chosen;
	const struct gqe_push_peak_matrix push = {
		.factors = peak->factors.address,
		.zeros = peak->zeros.address,
		.ends = peak->ends.address,
		.iterations = fma_iterations(peak),
	};
	gqe_steps_dispatch(steps, &(struct gqe_dispatch){
					  .variant = peak->variant,
					  .specialization = gqe_bench_matrix_specialization(peak->capabilities, chosen->chains,
											    &chosen->shape),
					  .push = &push,
					  .workgroups = peak->workgroups,
					  .work = amount(peak),
				  });
}

static void record_copies(const struct gqe_bench_peak *peak, struct gqe_steps *steps)
{
	const uint64_t bytes = peak->buffers[0].size;
	const uint32_t vectors = (uint32_t)(bytes / 16);
	for (uint32_t i = 0; i < peak->repeats; i++) {
		const struct gqe_buffer *from = &peak->buffers[i % 2], *to = &peak->buffers[(i + 1) % 2];
		if (peak->chosen.chains == 0) {
			gqe_steps_copy(steps, from, 0, to, 0, bytes);
			continue;
		}
		const struct gqe_push_peak_copy push = {.from = from->address, .to = to->address, .vectors = vectors};
		gqe_steps_dispatch(steps, &(struct gqe_dispatch){
						  .variant = peak->variant,
						  .specialization = gqe_bench_specialization(WORKGROUP, peak->chosen.chains),
						  .push = &push,
						  .workgroups = vectors / peak->chosen.chains / WORKGROUP,
						  .work = (double)bytes,
					  });
	}
}

void gqe_bench_peak_record(const struct gqe_bench_peak *peak, struct gqe_steps *steps)
{
	if (is_copy(peak))
		record_copies(peak, steps);
	else if (is_matrix(peak))
		record_matrix(peak, steps);
	else
		record_fma(peak, steps);
}

static gqe_status measure(const struct gqe_bench_peak *peak, struct gqe_steps *steps, double *seconds, gqe_error *error)
{
	gqe_bench_peak_record(peak, steps);
	const gqe_status status = gqe_steps_run(steps, peak->params.cancelled, peak->params.user, error);
	if (status == GQE_OK)
		*seconds = gqe_steps_times(steps).seconds[GQE_LAYER_STEP_OTHER];
	return status;
}

/* Doubles the work until a sample takes long enough; false: it cannot be doubled again. */
static bool grow(struct gqe_bench_peak *peak)
{
	uint32_t *quantity = is_copy(peak)                            ? &peak->repeats
			     : peak->iterations < FMA_MOST_ITERATIONS ? &peak->iterations
								      : &peak->workgroups;
	if (peak->repeats == COPY_MOST_REPEATS || peak->workgroups == FMA_MOST_WORKGROUPS)
		return false;
	*quantity *= 2;
	return true;
}

static gqe_status size_sample(struct gqe_bench_peak *peak, struct gqe_steps *steps, gqe_error *error)
{
	double seconds = 0;
	gqe_status status = measure(peak, steps, &seconds, error); /* compiles, or the first touch of memory */
	if (status == GQE_OK)
		status = measure(peak, steps, &seconds, error);
	while (status == GQE_OK && seconds < SAMPLE_SECONDS && grow(peak))
		status = measure(peak, steps, &seconds, error);
	return status;
}

static size_t list_chains(const uint32_t *chains, size_t count, gqe_matrix_shape shape, struct candidate *list)
{
	for (size_t i = 0; i < count; i++)
		list[i] = (struct candidate){chains[i], shape};
	return count;
}

static size_t list_candidates(const struct gqe_bench_peak *peak, struct candidate list[MOST_CANDIDATES])
{
	const gqe_matrix_shape none = {0};
	if (is_copy(peak))
		return list_chains(copy_chains, GQE_COUNT(copy_chains), none, list);
	if (!is_matrix(peak))
		return list_chains(fma_chains, GQE_COUNT(fma_chains), none, list);
	size_t count = 0;
	for (uint32_t i = 0; i < peak->capabilities->matrix_shape_count; i++)
		count += list_chains(matrix_chains, GQE_COUNT(matrix_chains), peak->capabilities->matrix_shapes[i], list + count);
	return count;
}

/*
 * What candidates are compared by. Two runs of each by the wall clock name any of them the best on processors that other programs
 * use, too: a CPU driver's peak is then a quarter too low for all of the run.
 */
static gqe_status measure_candidate(const struct gqe_bench_peak *peak, struct gqe_steps *steps, double *seconds, gqe_error *error)
{
	const double began = gqe_processor_seconds();
	const gqe_status status = measure(peak, steps, seconds, error);
	if (peak->capabilities->is_cpu)
		*seconds = gqe_processor_seconds() - began;
	return status;
}

/* Keeps the candidate that does most in a second. One copy is enough to tell: of the ways to copy one may be far slower. */
static gqe_status choose(struct gqe_bench_peak *peak, struct gqe_steps *steps, gqe_error *error)
{
	struct candidate candidates[MOST_CANDIDATES];
	const size_t count = list_candidates(peak, candidates);
	double best_rate = 0;
	struct candidate best = candidates[0];
	peak->repeats = 1;
	for (size_t i = 0; i < count; i++) {
		double seconds;
		peak->chosen = candidates[i];
		gqe_status status = measure(peak, steps, &seconds, error); /* compiles */
		for (int run = 0; run < RUNS_OF_A_CANDIDATE && status == GQE_OK; run++) {
			status = measure_candidate(peak, steps, &seconds, error);
			if (status == GQE_OK && seconds > 0 && amount(peak) / seconds > best_rate) {
				best_rate = amount(peak) / seconds;
				best = candidates[i];
			}
		}
		if (status != GQE_OK)
			return status;
	}
	peak->chosen = best;
	return GQE_OK;
}

static gqe_status allocate(struct gqe_bench_peak *peak, struct gqe_vulkan *vulkan, gqe_bench_info *info, gqe_error *error)
{
	gqe_status status = gqe_arena_create(vulkan, GQE_MEMORY_DEVICE, &peak->arena, error);
	if (status != GQE_OK)
		return status;
	if (is_copy(peak)) {
		const struct gqe_memory_accounting memory = gqe_vulkan_memory(vulkan);
		const uint64_t available = memory.limit - memory.used;
		uint64_t bytes = COPY_MOST_BYTES;
		while (bytes > COPY_LEAST_BYTES &&
		       (bytes > available / 16 || bytes > vulkan->capabilities.max_allocation_bytes / 4))
			bytes /= 2;
		gqe_arena_reserve(peak->arena, &peak->buffers[0], bytes);
		gqe_arena_reserve(peak->arena, &peak->buffers[1], bytes);
	} else {
		gqe_arena_reserve(peak->arena, &peak->ends, (uint64_t)FMA_MOST_WORKGROUPS * peak->workgroup * sizeof(float));
	}
	if (is_matrix(peak)) {
		gqe_arena_reserve(peak->arena, &peak->factors, FACTORS_BYTES);
		gqe_arena_reserve(peak->arena, &peak->zeros, MATRIX_BYTES);
	}
	info->memory_bytes = gqe_arena_planned(peak->arena);
	status = gqe_arena_commit(peak->arena, error);
	if (status == GQE_OK && is_copy(peak))
		status = gqe_buffer_fill(vulkan, &peak->buffers[0], 0, peak->buffers[0].size, 0x3f800000u, error);
	/* Sums grow by k / 4 each time: far from the end of f32. */
	if (status == GQE_OK && is_matrix(peak))
		status = gqe_buffer_fill(vulkan, &peak->factors, 0, FACTORS_BYTES, TWO_HALVES_OF_ONE_HALF, error);
	if (status == GQE_OK && is_matrix(peak))
		status = gqe_buffer_fill(vulkan, &peak->zeros, 0, MATRIX_BYTES, 0, error);
	return status;
}

static gqe_status check_device(const struct gqe_vulkan *vulkan, gqe_bench_what what, gqe_error *error)
{
	if (what == GQE_BENCH_FMA_F16 && !vulkan->capabilities.float16)
		return gqe_fail(error, GQE_ERROR_NO_DEVICE, "the device '%s' has no f16 arithmetic", vulkan->info.name);
	if (what == GQE_BENCH_FMA_MATRIX && vulkan->capabilities.matrix_shape_count == 0)
		return gqe_fail(error, GQE_ERROR_NO_DEVICE, "the device '%s' has no cooperative matrices", vulkan->info.name);
	return GQE_OK;
}

/* Its kernel, and the first guess at a sample. */
static void set_up(struct gqe_bench_peak *peak)
{
	struct candidate candidates[MOST_CANDIDATES];
	list_candidates(peak, candidates);
	peak->chosen = candidates[0];
	peak->workgroup = is_matrix(peak) ? gqe_matrix_subgroup(peak->capabilities) : WORKGROUP;
	peak->iterations = FMA_FIRST_ITERATIONS;
	peak->workgroups = FMA_FIRST_WORKGROUPS;
	peak->repeats = 1;
	if (is_copy(peak))
		peak->variant = gqe_peak_copy_variant();
	else if (is_matrix(peak))
		peak->variant = gqe_peak_matrix_variant();
	else
		peak->variant = gqe_peak_fma_variant(peak->params.what == GQE_BENCH_FMA_F16 ? GQE_DTYPE_F16 : GQE_DTYPE_F32);
}

gqe_status gqe_bench_peak_create(struct gqe_vulkan *vulkan, struct gqe_steps *steps, const gqe_bench_params *params,
				 struct gqe_bench_peak **peak, gqe_bench_info *info, gqe_error *error)
{
	gqe_status status = check_device(vulkan, params->what, error);
	if (status != GQE_OK)
		return status;
	struct gqe_bench_peak *made = *peak = calloc(1, sizeof(*made));
	if (made == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a bench");
	made->params = *params;
	made->capabilities = &vulkan->capabilities;
	set_up(made);
	status = allocate(made, vulkan, info, error);
	if (status == GQE_OK && !is_copy(made))
		status = size_sample(made, steps, error);
	if (status == GQE_OK)
		status = choose(made, steps, error);
	if (status == GQE_OK)
		status = size_sample(made, steps, error);
	if (status != GQE_OK) {
		gqe_bench_peak_destroy(peak);
		return status;
	}
	info->path = is_matrix(made) ? GQE_PATH_MATRIX : GQE_PATH_SCALAR;
	*(is_copy(made) ? &info->bytes : &info->flop) = amount(made);
	return GQE_OK;
}

void gqe_bench_peak_destroy(struct gqe_bench_peak **peak)
{
	if (*peak == NULL)
		return;
	gqe_arena_destroy(&(*peak)->arena);
	free(*peak);
	*peak = NULL;
}
