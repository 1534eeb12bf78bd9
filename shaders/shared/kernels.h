/*
 * What host and kernels agree on: push constants, specialization constants and limits. Included by C and GLSL alike.
 *
 * Shapes: T tokens of one sequence in this pass, B sequences, rows = B*T; d hidden size; N experts; G groups; k top-k; d_h head
 * size; q_slots = slots that have a query (k*G, + 1 shared; dense GQA: N); o_slots = output slots (+ 1 weighted sum).
 * Pointer types: Floats f32; Ints i32; Weights f32, or f16 in the kernel's f16 variant (weights and the KV cache).
 * A weight matrix [cols, depth] is stored with rows of w_stride elements, a multiple of 4, the padding being zeros. With
 * w_lanes > 1 it is stored in blocks of w_lanes rows: word by word (one f32, or two f16), the words of all rows side by side; the
 * last block is filled up with rows of anything. Where columns are channels of heads, half a head size is a multiple of w_lanes,
 * and blocks of pairs' first channels and of their partners take turns.
 *
 * Every kernel takes its workgroup's number as linear_workgroup() and returns when that is past the work.
 */
#ifndef GQE_SHARED_KERNELS_H
#define GQE_SHARED_KERNELS_H

#include "types.h"

/* The tables are laid out in columns. */
/* clang-format off */

/* A pointer or index that is not there. */
#define GQE_NONE 0xffffffffu

#define GQE_MAX_EXPERTS 1024
#define GQE_MAX_EXPERTS_PER_GROUP 64
#define GQE_MAX_HEAD_DIM 256

/* Tokens whose experts one workgroup of expert_count / expert_scatter lists. */
#define GQE_LIST_BLOCK 256

/* Invocations across a tile's columns in the scalar path of the products: such a tile has this times `columns`. */
#define GQE_GEMM_SCALAR_LANES 16

/* Depth that they keep in shared memory. */
#define GQE_GEMM_SCALAR_SLICE 16

/* Depth that the matrix paths of the products have in shared memory at a time: whole matrices of every shape. */
#define GQE_GEMM_MATRIX_SLICE 64

/* Products that are summed in f32 before the sum is added to those of others; a multiple of the slice. */
#define GQE_GEMM_BLOCK 256

/* Tiles of an expert that follow each other in the list of tiles before another expert's turn. */
#define GQE_TILES_IN_TURN 8

/* Depth of a pass of the products' subgroup path where w lies in blocks of rows. */
#define GQE_GEMM_PASS 32

/* Keys that the scalar path of attention handles at a time, and channels of K that it keeps in shared memory. */
#define GQE_ATTENTION_SCALAR_KEYS 32
#define GQE_ATTENTION_SCALAR_CHANNELS 32

#define GQE_NORM_KIND_RMS 0
#define GQE_NORM_KIND_LAYER 1
#define GQE_MLP_KIND_SWIGLU 0
#define GQE_MLP_KIND_GELU 1
#define GQE_ROPE_KIND_HALF 0
#define GQE_ROPE_KIND_INTERLEAVED 1
#define GQE_ROPE_KIND_NONE 2

/* What stays a loop: where few registers or a slow compiler ask for it; the product of P and V as well (attention, subgroup path). */
#define GQE_ROLLED 1
#define GQE_ROLLED_KEYS 2

/* With scores transposed, q stays in registers where a head has so many channels or fewer (attention, matrix path). */
#define GQE_KEPT_QUERY_CHANNELS 32

/* What common/divide.glsl needs beside the divisor. */
#define GQE_INVERSE(divisor) (0xffffffffu / (divisor))

/*
 * Specialization constants, the same ids in every kernel: CONFIG(name, id, default). A kernel uses those it needs.
 *  workgroup   invocations of a workgroup
 *  subgroup    invocations of a subgroup, fixed by the pipeline (subgroup path only)
 *  rows        rows of a tile: queries (attention), tokens (gemm)
 *  columns     columns of a tile per invocation: keys (attention, subgroup path), outputs (gemm); on the matrix paths of a tile
 *  head_dim    d_h (attention)
 *  uniform_loads  1: a load from the same address in all lanes costs no more than one lane's; 0: broadcasts are cheaper
 *  matrix_m, matrix_n, matrix_k   the shape of a cooperative matrix product: m x k by k x n
 *  staged      1: the second factor goes through shared memory, for sizes that the shape does not divide (matrix paths)
 *  rolled      0: loops are unrolled; GQE_ROLLED: they stay loops, on the matrix paths with the first factor in shared memory, on the
 *              subgroup path those that run once a pass or tile; GQE_ROLLED_KEYS
 *  lane_rows   1: a lane is a row of the tile, which has as many rows as lanes, and takes `columns` keys at a time; 0: a lane is a
 *              key, then a channel (attention, subgroup path)
 *  transposed  1: scores are keys x rows, a lane has a row, and the subgroups of a workgroup share K and V; 0: one subgroup a
 *              workgroup (attention, matrix path)
 *  w_lanes     w_lanes of the products' w: 1, or the subgroup's size (subgroup path)
 *  spread      1: any part of the grid takes as long as another of its size; 0: what takes longest comes first (attention)
 *  panels      1: K and V lie in panels of `columns` keys, as kv_panels makes them; 0: key after key (attention with lane_rows)
 */
#define GQE_SPECIALIZATION(CONFIG)                                                                                     \
	CONFIG(workgroup, 0, 64)                                                                                       \
	CONFIG(subgroup, 1, 8)                                                                                         \
	CONFIG(rows, 2, 16)                                                                                            \
	CONFIG(columns, 3, 2)                                                                                          \
	CONFIG(head_dim, 4, 64)                                                                                        \
	CONFIG(uniform_loads, 5, 0)                                                                                    \
	CONFIG(matrix_m, 6, 16)                                                                                        \
	CONFIG(matrix_n, 7, 16)                                                                                        \
	CONFIG(matrix_k, 8, 16)                                                                                        \
	CONFIG(staged, 9, 0)                                                                                           \
	CONFIG(rolled, 10, 0)                                                                                          \
	CONFIG(lane_rows, 11, 0)                                                                                       \
	CONFIG(transposed, 12, 0)                                                                                      \
	CONFIG(w_lanes, 13, 1)                                                                                         \
	CONFIG(spread, 14, 0)                                                                                          \
	CONFIG(panels, 15, 0)

/* embed: x[row] = table[tokens[row]]. */
#define GQE_PUSH_EMBED(IN, OUT, INOUT, U32, F32)                                                                       \
	IN(Ints, tokens)    /* [rows] */                                                                               \
	IN(Weights, table)  /* [vocab, table_stride], in blocks of table_lanes */                                      \
	OUT(Floats, x)      /* [rows, width] */                                                                        \
	U32(rows) U32(width) U32(table_stride) U32(table_lanes)

/* norm: one row a workgroup. out = weight * x / sqrt(mean(x^2) + eps), or layernorm with bias. */
#define GQE_PUSH_NORM(IN, OUT, INOUT, U32, F32)                                                                        \
	IN(Floats, x)       /* [rows, width] */                                                                        \
	IN(Floats, weight)  /* [width] */                                                                              \
	IN(Floats, bias)    /* [width] or 0 */                                                                         \
	OUT(Floats, y)      /* [rows, width] */                                                                        \
	U32(rows) U32(width) U32(kind) F32(eps)

/* gemm: c[row, col] = sum_i a[row, i] * w[col, i] + bias[col] + residual[row, col]; residual may be c itself. */
#define GQE_PUSH_GEMM(IN, OUT, INOUT, U32, F32)                                                                        \
	IN(Floats, a)        /* [rows, a_stride] */                                                                    \
	IN(Weights, w)       /* [cols, w_stride] */                                                                    \
	IN(Floats, bias)     /* [cols] or 0 */                                                                         \
	IN(Floats, residual) /* [rows, c_stride] or 0 */                                                               \
	OUT(Floats, c)       /* [rows, c_stride] */                                                                    \
	U32(rows) U32(cols) U32(depth) U32(a_stride) U32(w_stride) U32(w_lanes) U32(c_stride) U32(has_bias) U32(has_residual)

/*
 * gemm_heads and gemm_gathered: projections whose columns are the channels of heads, rotated by RoPE (after the bias) and multiplied
 * by `scale` (queries: 1/sqrt(d_h) * log2(e), as the softmax works in powers of two). A tile's columns are pairs of channels: as
 * many first ones, then their partners. `turns`: rope_turns' result; 0 when rope_kind is NONE.
 *
 * gemm_heads: head h of row r goes to head slot sequence * sequence_stride + token * token_stride + h * head_stride of `result`, in
 * units of head_size. Unless `experts` is 0, heads 0...experts-1 go to slot expert_slots[r, h] of the token's instead of h, or
 * nowhere if that is negative, and head experts + i to slot shared_slot + i. is_cache: `result` is the KV cache.
 */
#define GQE_PUSH_GEMM_HEADS(IN, OUT, INOUT, U32, F32)                                                                  \
	IN(Floats, a)          /* [rows, a_stride] */                                                                  \
	IN(Weights, w)         /* [heads * head_size, w_stride] */                                                     \
	IN(Floats, bias)       /* [heads * head_size] or 0 */                                                          \
	IN(Floats, turns)      /* [rows, head_size / 2, 2] or 0 */                                                     \
	IN(Ints, expert_slots) /* [rows, experts] or 0 */                                                              \
	OUT(Floats, result)    /* is_cache: Weights */                                                                 \
	U32(rows) U32(tokens) U32(tokens_inverse) U32(heads) U32(head_size) U32(pairs_inverse) U32(depth)              \
	U32(a_stride) U32(w_stride) U32(w_lanes) U32(has_bias) U32(rope_kind) F32(scale)                               \
	U32(sequence_stride) U32(token_stride) U32(head_stride) U32(experts) U32(shared_slot) U32(is_cache)

/*
 * gemm_gathered: the Q projection over expert lists. Tile i = tiles[i] = (expert, first entry, entries): rows are the tokens
 * entry / q_slots, outputs go to q row `entry`. tile_count[0] tiles exist. The grid covers tiles * ceil(head_size / tile columns).
 */
#define GQE_PUSH_GEMM_GATHERED(IN, OUT, INOUT, U32, F32)                                                               \
	IN(Floats, a)       /* [rows, a_stride] */                                                                     \
	IN(Weights, w)      /* [N * head_size, w_stride], expert-major */                                              \
	IN(Floats, bias)    /* [N * head_size] or 0 */                                                                 \
	IN(Floats, turns)   /* [rows, head_size / 2, 2] or 0 */                                                        \
	IN(Ints, tiles)     /* [tile_count, 3] */                                                                      \
	IN(Ints, tile_count) /* [1] */                                                                                 \
	IN(Ints, entries)   /* [rows * G * k] */                                                                       \
	OUT(Floats, q)      /* [rows, q_slots, head_size] */                                                           \
	U32(q_slots) U32(q_slots_inverse) U32(head_size) U32(depth) U32(a_stride) U32(w_stride) U32(w_lanes)           \
	U32(has_bias) U32(rope_kind) F32(scale)

/*
 * route: one token an invocation: softmax over each group, top-k, slot order, gate. slot_order: 0 rank, 1 expert. expert_slots, if
 * wanted: an expert's slot of the token, or -1.
 */
#define GQE_PUSH_ROUTE(IN, OUT, INOUT, U32, F32)                                                                       \
	IN(Floats, logits)       /* [rows, N] */                                                                       \
	OUT(Floats, probability) /* [rows, N] */                                                                       \
	OUT(Ints, experts)       /* [rows, G, k] */                                                                    \
	OUT(Floats, selected)    /* [rows, G, k]: p of the selected */                                                 \
	OUT(Floats, gate)        /* [rows, G, k]: p / sum of the row's selected p */                                   \
	OUT(Ints, expert_slots)  /* [rows, N] or 0 */                                                                  \
	U32(rows) U32(groups) U32(experts_per_group) U32(top_k) U32(slot_order) U32(has_expert_slots)

/* expert_count: block b of GQE_LIST_BLOCK tokens, expert e: how many of them selected e. */
#define GQE_PUSH_EXPERT_COUNT(IN, OUT, INOUT, U32, F32)                                                                \
	IN(Ints, experts)   /* [rows, G, k] */                                                                         \
	OUT(Ints, counts)   /* [blocks, N] */                                                                          \
	U32(rows) U32(groups) U32(experts_per_group) U32(top_k)

/*
 * expert_scan: one workgroup. counts becomes the position in `entries` of each block's first entry of each expert; tiles and
 * tile_count as gemm_gathered wants them; dispatch = (tile_count * column_tiles, 1, 1) split as linear_workgroup() expects.
 */
#define GQE_PUSH_EXPERT_SCAN(IN, OUT, INOUT, U32, F32)                                                                 \
	INOUT(Ints, counts)  /* [blocks, N] */                                                                         \
	OUT(Ints, tiles)     /* [tile_count, 3] */                                                                     \
	OUT(Ints, tile_count) /* [1] */                                                                                \
	OUT(Ints, dispatch)  /* [3]: VkDispatchIndirectCommand */                                                      \
	U32(blocks) U32(experts_total) U32(tile_rows) U32(column_tiles)

/* expert_scatter: entries, by expert, tokens ascending: token * q_slots + slot. */
#define GQE_PUSH_EXPERT_SCATTER(IN, OUT, INOUT, U32, F32)                                                              \
	IN(Ints, experts)   /* [rows, G, k] */                                                                         \
	IN(Ints, positions) /* [blocks, N], expert_scan's */                                                           \
	OUT(Ints, entries)  /* [rows * G * k] */                                                                       \
	U32(rows) U32(groups) U32(experts_per_group) U32(top_k) U32(q_slots)

/* balance: statistics of this pass: fraction is a count (as float), probability a sum; the host adds passes up. */
#define GQE_PUSH_BALANCE(IN, OUT, INOUT, U32, F32)                                                                     \
	IN(Floats, probability) /* [rows, N] */                                                                        \
	IN(Ints, experts)       /* [rows, G, k] */                                                                     \
	OUT(Floats, stats)      /* [2, N]: selections, sum of p */                                                     \
	U32(rows) U32(groups) U32(experts_per_group) U32(top_k)

/*
 * RoPE angles come from two tables made in double: position = high * GQE_ROPE_LOW + low, angle = sum of both, so cos and sin are
 * one complex product. Entry [i, pair] is (cos, sin). Right to 1e-6 up to position 2^20 and beyond.
 */
#define GQE_ROPE_LOW 1024
/* Rows whose angles one invocation of rope_turns computes. */
#define GQE_ROPE_ROWS 4

/* rope_turns: (cos, sin) of every row's position and pair of channels. */
#define GQE_PUSH_ROPE_TURNS(IN, OUT, INOUT, U32, F32)                                                                  \
	IN(Floats, rope_high) /* [ceil(capacity / GQE_ROPE_LOW), head_size / 2, 2] */                                  \
	IN(Floats, rope_low)  /* [GQE_ROPE_LOW, head_size / 2, 2] */                                                   \
	OUT(Floats, turns)    /* [rows, head_size / 2, 2] */                                                           \
	U32(rows) U32(tokens) U32(position) U32(head_size)

/* kv_mean: the cache's last head becomes the mean of its source_heads others. */
#define GQE_PUSH_KV_MEAN(IN, OUT, INOUT, U32, F32)                                                                     \
	INOUT(Weights, k_cache) /* [B, source_heads + 1, capacity, head_size] */                                       \
	INOUT(Weights, v_cache) /* [B, source_heads + 1, capacity, head_size] */                                       \
	U32(rows) U32(tokens) U32(position) U32(capacity) U32(source_heads) U32(head_size)

/* Panels of a workgroup of kv_panels. */
#define GQE_PANELS 4

/*
 * kv_panels: keys first_key...first_key + keys - 1 of the cache in f32, as keys 0...keys - 1 of k and v. Key n of a head is in its panel
 * n / panel_keys, channel after channel: [head_dim, panel_keys]. panel_keys is even, panel_capacity a multiple of it; the last panel's
 * places past the last key get that key's. Only for a cache in f16.
 */
#define GQE_PUSH_KV_PANELS(IN, OUT, INOUT, U32, F32)                                                                   \
	IN(Weights, k_cache) /* [heads, capacity, head_dim] */                                                         \
	IN(Weights, v_cache) /* [heads, capacity, head_dim] */                                                         \
	OUT(Floats, k)       /* [heads, panel_capacity / panel_keys, head_dim, panel_keys] */                          \
	OUT(Floats, v)       /* as k */                                                                                \
	U32(heads) U32(capacity) U32(first_key) U32(keys) U32(panel_keys) U32(panel_capacity) U32(head_size)

/*
 * attention: causal softmax attention of every slot over the cache, online softmax, no mask tensor. KV head h serves n slots:
 * h < groups: slots h*slots_per_group + j (j < slots_per_group), and the shared slot if shared_head == h; h == groups (a
 * dedicated or mean head): the shared slot alone. Its rows, token-major: row r = token r / n, slot r % n. A tile holds `rows` of them.
 * Grid: B * kv_heads * tiles, tiles = ceil(T * max n / rows), last tokens (heaviest) first; with config_spread what tiles
 * the head with the shared slot has more are divided among all of the sequence's heads. Query token t stands at position + t
 * and sees keys 0...position + t.
 *
 * Several dispatches may handle the keys, each keys first_key...key_end-1, in order, first_key being a multiple of the keys handled at
 * a time. Until a tile has seen all its keys, o holds sums not yet divided, and `state` what belongs to them. The caches may begin with
 * any key up to first_key: cache_first.
 */
#define GQE_PUSH_ATTENTION(IN, OUT, INOUT, U32, F32)                                                                   \
	IN(Floats, q)         /* [B*T, q_slots, head_dim], rotated and scaled */                                       \
	IN(Weights, k_cache)  /* [B, kv_heads, capacity, head_dim] */                                                  \
	IN(Weights, v_cache)  /* [B, kv_heads, capacity, head_dim] */                                                  \
	INOUT(Floats, o)      /* [B*T, o_slots, head_dim]; counts only if first_key > 0 */                             \
	INOUT(Floats, state)  /* [B*T, q_slots, 2]: largest score and sum of tiles that have not seen all keys */       \
	U32(batch) U32(tokens) U32(position) U32(capacity) U32(kv_heads) U32(groups) U32(slots_per_group)              \
	U32(q_slots) U32(o_slots) U32(shared_head) /* or GQE_NONE */ U32(q_shared) U32(o_shared)                       \
	U32(first_key) U32(key_end) U32(cache_first)

/* combine: weighted-sum slot from the hard slots, then (scale) each hard slot times its p. */
#define GQE_PUSH_COMBINE(IN, OUT, INOUT, U32, F32)                                                                     \
	IN(Floats, gate)      /* [rows, hard_slots] */                                                                 \
	IN(Floats, selected)  /* [rows, hard_slots] */                                                                 \
	INOUT(Floats, o)      /* [rows, o_slots, head_dim] */                                                          \
	U32(rows) U32(hard_slots) U32(o_slots) U32(head_size) U32(weighted_slot) /* or GQE_NONE */ U32(scale_hard)

/* activation: out = silu(gate) * up, or gelu(up) with exact erf. */
#define GQE_PUSH_ACTIVATION(IN, OUT, INOUT, U32, F32)                                                                  \
	IN(Floats, gate)  /* [count]; 0 for gelu */                                                                    \
	IN(Floats, up)    /* [count] */                                                                                \
	OUT(Floats, y)    /* [count]; may be `up` */                                                                   \
	U32(count) U32(kind)

/* nll: one row a workgroup: -ln softmax(logits)[target]. A negative target gives 0. */
#define GQE_PUSH_NLL(IN, OUT, INOUT, U32, F32)                                                                         \
	IN(Floats, logits) /* [rows, vocab] */                                                                         \
	IN(Ints, targets)  /* [rows] */                                                                                \
	OUT(Floats, nll)   /* [rows] */                                                                                \
	U32(rows) U32(vocab)

/* Every kernel: KERNEL(name, NAME). The kernel table, the push structs and the enum follow this list. */
#define GQE_KERNELS(KERNEL)                                                                                            \
	KERNEL(embed, EMBED)                                                                                           \
	KERNEL(norm, NORM)                                                                                             \
	KERNEL(gemm, GEMM)                                                                                             \
	KERNEL(gemm_heads, GEMM_HEADS)                                                                                 \
	KERNEL(gemm_gathered, GEMM_GATHERED)                                                                           \
	KERNEL(route, ROUTE)                                                                                           \
	KERNEL(expert_count, EXPERT_COUNT)                                                                             \
	KERNEL(expert_scan, EXPERT_SCAN)                                                                               \
	KERNEL(expert_scatter, EXPERT_SCATTER)                                                                         \
	KERNEL(balance, BALANCE)                                                                                       \
	KERNEL(rope_turns, ROPE_TURNS)                                                                                 \
	KERNEL(kv_mean, KV_MEAN)                                                                                       \
	KERNEL(kv_panels, KV_PANELS)                                                                                   \
	KERNEL(attention, ATTENTION)                                                                                   \
	KERNEL(combine, COMBINE)                                                                                       \
	KERNEL(activation, ACTIVATION)                                                                                 \
	KERNEL(nll, NLL)

#endif
