/* What `gqe bench` measures: benches sampled in turn, and what their samples say. */
#ifndef GQE_TOOLS_BENCH_MEASURE_H
#define GQE_TOOLS_BENCH_MEASURE_H

#include "program.h"

#include <gqe/gqe_bench.h>

enum bench_clock { BENCH_CLOCK_GPU = 1, BENCH_CLOCK_WALL, BENCH_CLOCK_CPU };

/* What to measure, checked. */
struct bench_plan {
	const struct program *program;
	gqe_bench_what what[3]; /* LAYER, ATTENTION, GEMM */
	size_t what_count;      /* 0: the peaks alone */
	uint32_t tokens[64];
	size_t tokens_count;
	gqe_attention attention[2];
	size_t attention_count;
	gqe_layer_config config; /* its attention is replaced by each of those */
	gqe_dtype dtype;
	uint32_t last_chunk;          /* 0: all tokens */
	gqe_bench_routing routing[2]; /* each is measured where routing plays a part; speedups are of the first */
	size_t routing_count;
	const gqe_tensor *experts; /* of the file for GIVEN: I32, [.., tokens, G, k] */
	uint32_t warmups, samples;
	enum bench_clock clock; /* that medians and rates are of */
};

/* One line of the result. */
struct bench_record {
	gqe_bench_what what;
	gqe_attention attention;
	gqe_bench_routing routing; /* 0: plays no part: attention alone, dense GQA */
	uint32_t tokens, computed; /* T, and how many of them are computed */
	gqe_bench_info info;
	gqe_bench_times *samples; /* [plan.samples] */
	double median_ms, gflops;
	double step_ms[GQE_LAYER_STEP_COUNT]; /* medians, on the device */
	double peak_fraction;                 /* of the peak of the arithmetic; NaN: unknown */
};

enum { BENCH_PEAK_F32, BENCH_PEAK_F16, BENCH_PEAK_MATRIX, BENCH_PEAK_BANDWIDTH, BENCH_PEAK_COUNT };

/* A peak: the best of all its samples, one of which is taken in every round of the others. */
struct bench_peak {
	bool exists;
	double best; /* GFLOP/s, or GB/s */
	uint32_t samples;
};

struct bench_speedup {
	uint32_t tokens;
	/* Median over the rounds of dense GQA's time over GQE's, which a slow moment disturbs alike; NaN: not measured. */
	double layer, attention;
	double bound_layer, bound_attention;
};

struct bench_result {
	const struct bench_plan *plan;
	const gqe_device_info *device;
	gqe_path path; /* the context's */
	bool has_timestamps;
	struct bench_record *records; /* by what, then tokens, then attention, then routing */
	size_t record_count;
	double *ratios; /* [plan.samples], for bench_speedup_at */
	struct bench_peak peaks[BENCH_PEAK_COUNT];
	uint64_t memory_planned; /* of the largest set of benches that lay side by side, and of the context */
	gqe_memory_info memory;
};

/* Blocks until all is measured. GQE_CANCELLED after Ctrl-C. `result` is to be freed in either case. */
gqe_status bench_measure(const struct bench_plan *plan, gqe_context *context, struct bench_result *result, gqe_error *error);
void bench_result_free(struct bench_result *result);

/* The record of that kind, attention and length, with the first routing, or NULL. */
const struct bench_record *bench_find(const struct bench_result *result, gqe_bench_what what, gqe_attention attention,
				      uint32_t tokens);

/* The speedup at one length, from layer records, or attention records, of both kinds; false: not both were measured. */
bool bench_speedup_at(const struct bench_result *result, uint32_t tokens, struct bench_speedup *speedup);

/* The peak of the arithmetic that a path computes in, whatever the dtype is that it stores. */
int bench_peak_of(gqe_path path);
/* "f32", "f16", "matrix", "memory" */
const char *bench_peak_name(int peak);
gqe_bench_what bench_peak_what(int peak);
/* The clock that medians are of, in words. */
const char *bench_clock_text(const struct bench_result *result);

/* "gqe" or "gqa" */
const char *bench_attention_name(gqe_attention attention);
const char *bench_clock_name(enum bench_clock clock);
const char *bench_dtype_name(gqe_dtype dtype);
/* "-" for 0 */
const char *bench_routing_name(gqe_bench_routing routing);

#endif
