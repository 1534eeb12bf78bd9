#include "bench/bench_peak.h"

#include <stdlib.h>

#include "bench/bench_kernels.h"

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

/* Each of two buffers: no larger than this and than a sixteenth of what the context may still allocate. */
#define COPY_MOST_BYTES ((uint64_t)1 << 28)
#define COPY_LEAST_BYTES ((uint64_t)1 << 20)
#define COPY_MOST_REPEATS 4096

/* Numbers of vec4: 4 to 32 chains an invocation, which with 2 to 32 cycles of latency covers what there is. */
static const uint32_t fma_chains[] = {1, 2, 3, 4, 6, 8};
/* vec4 that an invocation moves; 0: vkCmdCopyBuffer. */
static const uint32_t copy_chains[] = {0, 1, 4};

struct gqe_bench_peak {
	gqe_bench_params params;
	struct gqe_arena *arena;
	const struct gqe_kernel_variant *variant;
	uint32_t chains;
	/* FMA */
	uint32_t iterations, workgroups;
	struct gqe_buffer ends; /* [FMA_MOST_WORKGROUPS * WORKGROUP] */
	/* BANDWIDTH */
	uint32_t repeats;
	struct gqe_buffer buffers[2];
};

static bool is_copy(const struct gqe_bench_peak *peak)
{
	return peak->params.what == GQE_BENCH_BANDWIDTH;
}

/* Chains of different numbers are given the same work. */
static uint32_t fma_iterations(const struct gqe_bench_peak *peak)
{
	return peak->iterations * FMA_BASE_CHAINS / peak->chains;
}

/* Operations, or bytes read and written, of one sample. */
static double amount(const struct gqe_bench_peak *peak)
{
	if (is_copy(peak))
		return 2.0 * (double)peak->buffers[0].size * peak->repeats;
	const double links = (double)fma_iterations(peak) * GQE_BENCH_FMA_LINKS * peak->chains * 4;
	return 2.0 * links * WORKGROUP * peak->workgroups;
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
					  .specialization = gqe_bench_specialization(WORKGROUP, peak->chains),
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
		if (peak->chains == 0) {
			gqe_steps_copy(steps, from, 0, to, 0, bytes);
			continue;
		}
		const struct gqe_push_peak_copy push = {.from = from->address, .to = to->address, .vectors = vectors};
		gqe_steps_dispatch(steps, &(struct gqe_dispatch){
						  .variant = peak->variant,
						  .specialization = gqe_bench_specialization(WORKGROUP, peak->chains),
						  .push = &push,
						  .workgroups = vectors / peak->chains / WORKGROUP,
						  .work = (double)bytes,
					  });
	}
}

void gqe_bench_peak_record(const struct gqe_bench_peak *peak, struct gqe_steps *steps)
{
	if (is_copy(peak))
		record_copies(peak, steps);
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

/* Keeps the candidate that does most in a second. One copy is enough to tell: of the ways to copy one may be far slower. */
static gqe_status choose(struct gqe_bench_peak *peak, struct gqe_steps *steps, const uint32_t *candidates, size_t count,
			 gqe_error *error)
{
	double best_rate = 0;
	peak->repeats = 1;
	uint32_t best = candidates[0];
	for (size_t i = 0; i < count; i++) {
		double seconds;
		peak->chains = candidates[i];
		gqe_status status = measure(peak, steps, &seconds, error); /* compiles */
		for (int run = 0; run < RUNS_OF_A_CANDIDATE && status == GQE_OK; run++) {
			status = measure(peak, steps, &seconds, error);
			if (status == GQE_OK && seconds > 0 && amount(peak) / seconds > best_rate) {
				best_rate = amount(peak) / seconds;
				best = candidates[i];
			}
		}
		if (status != GQE_OK)
			return status;
	}
	peak->chains = best;
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
		gqe_arena_reserve(peak->arena, &peak->ends, (uint64_t)FMA_MOST_WORKGROUPS * WORKGROUP * sizeof(float));
	}
	info->memory_bytes = gqe_arena_planned(peak->arena);
	status = gqe_arena_commit(peak->arena, error);
	if (status == GQE_OK && is_copy(peak))
		status = gqe_buffer_fill(vulkan, &peak->buffers[0], 0, peak->buffers[0].size, 0x3f800000u, error);
	return status;
}

gqe_status gqe_bench_peak_create(struct gqe_vulkan *vulkan, struct gqe_steps *steps, const gqe_bench_params *params,
				 struct gqe_bench_peak **peak, gqe_bench_info *info, gqe_error *error)
{
	const struct gqe_capabilities *capabilities = &vulkan->capabilities;
	if (params->what == GQE_BENCH_FMA_F16 && !capabilities->float16)
		return gqe_fail(error, GQE_ERROR_NO_DEVICE, "the device '%s' has no f16 arithmetic", vulkan->info.name);
	struct gqe_bench_peak *made = *peak = calloc(1, sizeof(*made));
	if (made == NULL)
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a bench");
	made->params = *params;
	made->iterations = FMA_FIRST_ITERATIONS;
	made->workgroups = FMA_FIRST_WORKGROUPS;
	made->repeats = 1;
	gqe_status status = allocate(made, vulkan, info, error);
	if (is_copy(made)) {
		made->variant = gqe_peak_copy_variant();
	} else {
		made->chains = FMA_BASE_CHAINS;
		made->variant = gqe_peak_fma_variant(params->what == GQE_BENCH_FMA_F16 ? GQE_DTYPE_F16 : GQE_DTYPE_F32);
	}
	if (status == GQE_OK && !is_copy(made))
		status = size_sample(made, steps, error);
	if (status == GQE_OK)
		status = is_copy(made) ? choose(made, steps, copy_chains, GQE_COUNT(copy_chains), error)
				       : choose(made, steps, fma_chains, GQE_COUNT(fma_chains), error);
	if (status == GQE_OK)
		status = size_sample(made, steps, error);
	if (status != GQE_OK) {
		gqe_bench_peak_destroy(peak);
		return status;
	}
	info->path = GQE_PATH_SCALAR;
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
