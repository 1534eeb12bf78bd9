/*
 * The kernel table, the capability ladder, and one record function per kernel: it chooses variant and tile, computes the grid from
 * the push constants, and appends the step. Adding a kernel: its .comp, its push list and row in shaders/shared/kernels.h, and its
 * record function here.
 */
#ifndef GQE_ATTENTION_KERNELS_H
#define GQE_ATTENTION_KERNELS_H

#include "shared/kernels.h"
#include "vulkan/steps.h"

#define GQE_KERNEL_ENUM(name, NAME) GQE_KERNEL_##NAME,
enum gqe_kernel { GQE_KERNELS(GQE_KERNEL_ENUM) GQE_KERNEL_COUNT };
#undef GQE_KERNEL_ENUM

/* struct gqe_push_embed, ... */
#define GQE_PUSH_STRUCT(name, NAME) GQE_DECLARE_PUSH_STRUCT(gqe_push_##name, GQE_PUSH_##NAME)
GQE_KERNELS(GQE_PUSH_STRUCT)
#undef GQE_PUSH_STRUCT

#define GQE_CONFIG_ENUM(name, id, value) GQE_CONFIG_##name = id,
enum gqe_config { GQE_SPECIALIZATION(GQE_CONFIG_ENUM) GQE_CONFIG_COUNT };
#undef GQE_CONFIG_ENUM

/* "embed", ... */
const char *gqe_kernel_name(enum gqe_kernel kernel);

/*
 * The ladder: the paths that a device gets, the preferred one last. Pure: capabilities in, paths out. A kernel that has no variant
 * for a path uses the next lower one by number, and a device that has a path has all those; hence what each path needs includes
 * what those below it need.
 */
uint32_t gqe_ladder(const struct gqe_capabilities *capabilities, gqe_path paths[8]);

struct gqe_tuning;   /* tuning.h */
struct gqe_verdicts; /* verdicts.h */

/* Where to record and with what. */
struct gqe_recorder {
	struct gqe_steps *steps;
	const struct gqe_capabilities *capabilities;
	gqe_path path;
	gqe_query_mode queries;          /* 0: by measurement */
	const struct gqe_tuning *tuning; /* NULL: nothing was measured on this device */
	struct gqe_verdicts *verdicts;   /* NULL: every path may be used */
};

/* gqe_record_embed(recorder, weights, push), ...: `weights` is the dtype behind the kernel's Weights pointers, F32 or F16. */
#define GQE_RECORD(name, NAME) \
	void gqe_record_##name(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_##name *push);
GQE_RECORD(embed, EMBED)
GQE_RECORD(norm, NORM)
GQE_RECORD(gemm, GEMM)
GQE_RECORD(route, ROUTE)
GQE_RECORD(expert_count, EXPERT_COUNT)
GQE_RECORD(expert_scan, EXPERT_SCAN)
GQE_RECORD(expert_scatter, EXPERT_SCATTER)
GQE_RECORD(balance, BALANCE)
GQE_RECORD(rope_turns, ROPE_TURNS)
GQE_RECORD(kv_mean, KV_MEAN)
GQE_RECORD(kv_panels, KV_PANELS)
GQE_RECORD(combine, COMBINE)
GQE_RECORD(activation, ACTIVATION)
GQE_RECORD(nll, NLL)
#undef GQE_RECORD

/* On which device and path products will read a matrix; no capabilities: it is not known, as in an estimate of memory. */
struct gqe_weight_reader {
	const struct gqe_capabilities *capabilities;
	gqe_path path;
};
/*
 * w_lanes of a matrix of that dtype for them. `head_size`: of the heads whose channels its rows are; 0: they are just rows. Its
 * products then run on the subgroup path, whatever the recorder's.
 */
uint32_t gqe_weight_lanes(const struct gqe_weight_reader *reader, gqe_dtype weights, uint32_t head_size);

/* Loop iterations that attention may make before and after the keys: loading q, short sums. */
#define GQE_ATTENTION_LOOPS_AROUND 1024

/* Most keys of a panel that attention asks kv_panels for. */
#define GQE_MOST_PANEL_KEYS 16

/* Two scratch buffers of `elements` f32 each for kv_panels; zeros: there are none. */
struct gqe_panel_scratch {
	uint64_t k, v; /* addresses */
	uint64_t elements;
};

/*
 * `head_dim` specializes the kernel; the key range is computed here: a pass over more keys than one dispatch
 * should handle becomes several. A cache in f16 is put into `panels`, range by range, where that is faster and there is room.
 */
void gqe_record_attention(const struct gqe_recorder *recorder, gqe_dtype weights, uint32_t head_dim,
			  const struct gqe_push_attention *push, const struct gqe_panel_scratch *panels);
/* Loop iterations that attention's invocations make, at most, for the least keys a dispatch can handle. */
uint32_t gqe_attention_pass_iterations(const struct gqe_recorder *recorder, gqe_dtype weights, uint32_t head_dim,
				       const struct gqe_push_attention *push);
void gqe_record_gemm_heads(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_gemm_heads *push);
/* The grid comes from expert_scan's `dispatch`; `rows` (tokens of the pass) and `groups` * `top_k` are for the work estimate. */
void gqe_record_gemm_gathered(const struct gqe_recorder *recorder, gqe_dtype weights, const struct gqe_push_gemm_gathered *push,
			      const struct gqe_buffer *dispatch, uint32_t rows, uint32_t entries_per_row);

/* What expert_scan has to know of gemm_gathered's tile for this device: rows of a tile, and column tiles for `width` columns. */
struct gqe_gathered_tile {
	uint32_t rows, column_tiles;
};
struct gqe_gathered_tile gqe_gathered_tile_of(const struct gqe_recorder *recorder, gqe_dtype weights, uint32_t w_lanes,
					      uint32_t rows, uint32_t width);

/* Rows of `tiles` that expert_scan may write: an upper bound for sizing the buffer, for any tile of this library. */
uint32_t gqe_gathered_tiles_bound(uint32_t rows, uint32_t groups, uint32_t top_k, uint32_t experts);

#endif
