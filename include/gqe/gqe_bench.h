/*
 * gqe_bench: how long a layer, its attention, or a projection takes on a device, and what the device could do at most.
 *
 * A bench is prepared once: tensors in device memory, filled with reproducible random numbers, pipelines compiled, one pass run and
 * its routing checked. Then every gqe_bench_sample is one pass. Several benches can live side by side in one context and be sampled
 * in turn, so that whatever slows the machine down for a while slows down all of them. A dense and a GQE bench and a device peak
 * that were sampled in turn can be divided by each other; times of different runs can not.
 *
 * Symbols and rules are those of gqe.h. Operations (FLOP) count multiplications and additions, those of a fused multiply-add apart:
 * 2 * rows * columns * depth for a product; 4 * d_h for each pair of a slot's query and a key that it sees, so that causal
 * attention over T tokens counts T * (T + 1) / 2 pairs a slot. Softmax, RoPE, top-k and the lists count nothing.
 */
#ifndef GQE_GQE_BENCH_H
#define GQE_GQE_BENCH_H

#include <gqe/gqe.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the library was built from: the git commit in hexadecimal, with "-dirty" for uncommitted changes, or "unknown". Static.
 * [any] */
GQE_API const char *gqe_commit(void);
/* A hash of the SPIR-V of every kernel that layers and models run; equal only for equal kernels. [any] */
GQE_API uint64_t gqe_shader_hash(void);

/* The parts of a layer that are timed apart. */
typedef enum gqe_layer_step {
	GQE_LAYER_STEP_OTHER = 0,    /* none of the others */
	GQE_LAYER_STEP_ROUTER,       /* the router's logits, softmax, top-k, gate; GQE only */
	GQE_LAYER_STEP_EXPERT_LISTS, /* count, scan and scatter of tokens by expert; GQE only */
	GQE_LAYER_STEP_Q_PROJ,       /* with RoPE */
	GQE_LAYER_STEP_KV_PROJ,      /* K and V, with RoPE and the writing of the KV cache */
	GQE_LAYER_STEP_ATTENTION,    /* softmax(q k^T) v, over every slot */
	GQE_LAYER_STEP_COMBINE,      /* the weighted-sum slot, scaling of slots; GQE only */
	GQE_LAYER_STEP_O_PROJ,       /* the output projection */
	GQE_LAYER_STEP_COUNT         /* how many there are */
} gqe_layer_step;

/* "router", "expert_lists", "q_proj", "kv_proj", "attention", "combine", "o_proj", "other". Static. [any] */
GQE_API const char *gqe_layer_step_name(gqe_layer_step step);

/* What a bench measures. */
typedef enum gqe_bench_what {
	GQE_BENCH_LAYER = 1, /* the whole layer: x [T, d] to y [T, d] */
	GQE_BENCH_ATTENTION, /* attention alone, over every slot: q and the KV cache to o */
	/*
	 * One projection alone. GQA: x [T, d] times a dense matrix [N*d_h, d]. GQE: the gathered Q projection of the tokens that
	 * selected each expert, G*k*d_h outputs a token.
	 */
	GQE_BENCH_GEMM,
	GQE_BENCH_FMA_F32, /* peak of fused multiply-add in f32, from registers alone */
	GQE_BENCH_FMA_F16, /* the same in f16; a device without f16 arithmetic: GQE_ERROR_NO_DEVICE */
	/* The same of cooperative matrices, f16 factors and f32 sums, in the device's fastest shape; none: GQE_ERROR_NO_DEVICE. */
	GQE_BENCH_FMA_MATRIX,
	GQE_BENCH_BANDWIDTH /* peak of reading and writing device memory: a copy of a buffer larger than any cache */
} gqe_bench_what;

/* "layer", "attention", "gemm", "fma_f32", "fma_f16", "fma_matrix", "bandwidth". Static. [any] */
GQE_API const char *gqe_bench_what_name(gqe_bench_what what);

/*
 * Which experts the tokens select. The router is the real one, at its full size: N of the d channels of x carry a code, and the
 * router's weights read nothing else, so that its logits, computed and ranked by the kernels that every layer runs, give exactly
 * this choice. It is checked when the bench is created.
 */
typedef enum gqe_bench_routing {
	GQE_BENCH_UNIFORM = 1, /* random and balanced: of M tokens in a row every expert gets k */
	GQE_BENCH_SKEWED,      /* every token selects the first k experts of every group */
	GQE_BENCH_GIVEN        /* gqe_bench_params.experts */
} gqe_bench_routing;

/* For gqe_bench_create. */
typedef struct gqe_bench_params {
	size_t size; /* sizeof(gqe_bench_params) */
	gqe_bench_what
		what; /* required; config, tokens, last_chunk, dtype, routing and experts are for LAYER, ATTENTION and GEMM */
	const gqe_layer_config *config; /* as gqe_layer_config_check takes it; routing needs N <= d */
	uint32_t tokens;                /* T: length of the context, one sequence */
	/*
	 * Only the last that many tokens are computed and attend to all T; the KV cache before them holds random numbers, put
	 * there directly. 0: all T tokens. At most `tokens`.
	 */
	uint32_t last_chunk;
	gqe_dtype dtype;           /* as in gqe_layer_params */
	gqe_bench_routing routing; /* 0: UNIFORM */
	/* GIVEN: [computed tokens, G, k], in each group k different experts 0...M-1 in rank order; copied. */
	const int32_t *experts;
	uint64_t seed; /* 0: a fixed default */
	/* Asked between submits, on the calling thread, by create and sample; true: they return GQE_CANCELLED. May be NULL. */
	bool (*cancelled)(void *user);
	void *user;             /* of cancelled */
	gqe_query_mode queries; /* of GQE; 0: as a layer of the context has them */
} gqe_bench_params;

/* A layer, a part of it, or a peak, ready to be timed. */
typedef struct gqe_bench gqe_bench;

/*
 * Prepares a bench and blocks until its first pass is done. GQE_ERROR_BAD_INPUT for a config or experts that cannot be;
 * GQE_ERROR_VERIFICATION when the router's choice was not the one asked for; GQE_ERROR_USAGE for the reference device, which has no
 * kernels to measure.
 */
GQE_API gqe_status gqe_bench_create(gqe_context *context, const gqe_bench_params *params, gqe_bench **bench, gqe_error *error);
/* Releases its memory. */
GQE_API void gqe_bench_destroy(gqe_bench **bench);

/* What one sample of a bench is; all of it known before anything runs. */
typedef struct gqe_bench_info {
	gqe_path path;                          /* of the kernel that the bench is about; of attention for a layer */
	bool has_timestamps;                    /* false: gpu_ms and step_ms are wall-clock times of submits */
	double flop;                            /* operations of a sample */
	double step_flop[GQE_LAYER_STEP_COUNT]; /* of it */
	double bytes;                           /* read and written; BANDWIDTH only */
	uint64_t memory_bytes;                  /* of device memory, as planned before anything was allocated */
	uint64_t context_bytes;                 /* that the context takes once, whatever is made from it, for copies */
} gqe_bench_info;

/* What a sample is. [any] */
GQE_API gqe_bench_info gqe_bench_get_info(const gqe_bench *bench);

/* How long one sample took, in milliseconds. */
typedef struct gqe_bench_times {
	double gpu_ms;                        /* on the device, gaps between submits left out */
	double wall_ms;                       /* of the whole pass: recording, submits, waiting */
	double cpu_ms;                        /* processor time of the whole process meanwhile; on a CPU driver, the work itself */
	double step_ms[GQE_LAYER_STEP_COUNT]; /* gpu_ms by part */
} gqe_bench_times;

/* One pass. The first ones of a bench are slower; throw them away. */
GQE_API gqe_status gqe_bench_sample(gqe_bench *bench, gqe_bench_times *times, gqe_error *error);

#ifdef __cplusplus
}
#endif

#endif
