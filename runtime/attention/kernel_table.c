#include "attention/kernel_table.h"

#include <assert.h>
#include <stddef.h>

#include "activation_scalar_f32.h"
#include "attention_matrix2_f16.h"
#include "attention_matrix_f16.h"
#include "attention_packed_f16.h"
#include "attention_scalar_f16.h"
#include "attention_scalar_f32.h"
#include "attention_subgroup_f16.h"
#include "attention_subgroup_f32.h"
#include "balance_scalar_f32.h"
#include "combine_scalar_f32.h"
#include "embed_scalar_f16.h"
#include "embed_scalar_f32.h"
#include "expert_count_scalar_f32.h"
#include "expert_scan_scalar_f32.h"
#include "expert_scatter_scalar_f32.h"
#include "gemm_gathered_matrix_f16.h"
#include "gemm_gathered_scalar_f16.h"
#include "gemm_gathered_scalar_f32.h"
#include "gemm_gathered_subgroup_f16.h"
#include "gemm_gathered_subgroup_f32.h"
#include "gemm_heads_matrix_f16.h"
#include "gemm_heads_scalar_f16.h"
#include "gemm_heads_scalar_f32.h"
#include "gemm_heads_subgroup_f16.h"
#include "gemm_heads_subgroup_f32.h"
#include "gemm_matrix_f16.h"
#include "gemm_scalar_f16.h"
#include "gemm_scalar_f32.h"
#include "gemm_subgroup_f16.h"
#include "gemm_subgroup_f32.h"
#include "kv_mean_scalar_f16.h"
#include "kv_mean_scalar_f32.h"
#include "kv_panels_scalar_f16.h"
#include "nll_scalar_f32.h"
#include "norm_scalar_f32.h"
#include "rope_turns_scalar_f32.h"
#include "route_scalar_f32.h"

/* A kernel's variants lie in this order; one that does not exist has no SPIR-V, and NO_VARIANT never has. */
enum { SCALAR_F32, SCALAR_F16, SUBGROUP_F32, SUBGROUP_F16, PACKED_F16, MATRIX_F16, MATRIX2_F16, NO_VARIANT, VARIANT_COUNT };

/* Which variants a kernel has: VARIANT(index, kernel, path and dtype as in the module's name, path, uses_subgroups). */
#define ONE_VARIANT(VARIANT, name) VARIANT(SCALAR_F32, name, scalar_f32, "scalar f32", false)
#define F16_VARIANT(VARIANT, name) VARIANT(SCALAR_F16, name, scalar_f16, "scalar f16", false)
#define SCALAR_VARIANTS(VARIANT, name) \
	ONE_VARIANT(VARIANT, name)     \
	F16_VARIANT(VARIANT, name)
#define SUBGROUP_VARIANTS(VARIANT, name)                                \
	SCALAR_VARIANTS(VARIANT, name)                                  \
	VARIANT(SUBGROUP_F32, name, subgroup_f32, "subgroup f32", true) \
	VARIANT(SUBGROUP_F16, name, subgroup_f16, "subgroup f16", true)
#define MATRIX_VARIANTS(VARIANT, name)   \
	SUBGROUP_VARIANTS(VARIANT, name) \
	VARIANT(MATRIX_F16, name, matrix_f16, "matrix f16", true)
#define UPPER_VARIANTS(VARIANT, name)                             \
	MATRIX_VARIANTS(VARIANT, name)                            \
	VARIANT(PACKED_F16, name, packed_f16, "packed f16", true) \
	VARIANT(MATRIX2_F16, name, matrix2_f16, "matrix2 f16", true)

#define VARIANTS_EMBED SCALAR_VARIANTS
#define VARIANTS_NORM ONE_VARIANT
#define VARIANTS_GEMM MATRIX_VARIANTS
#define VARIANTS_GEMM_HEADS MATRIX_VARIANTS
#define VARIANTS_GEMM_GATHERED MATRIX_VARIANTS
#define VARIANTS_ROUTE ONE_VARIANT
#define VARIANTS_EXPERT_COUNT ONE_VARIANT
#define VARIANTS_EXPERT_SCAN ONE_VARIANT
#define VARIANTS_EXPERT_SCATTER ONE_VARIANT
#define VARIANTS_BALANCE ONE_VARIANT
#define VARIANTS_ROPE_TURNS ONE_VARIANT
#define VARIANTS_KV_MEAN SCALAR_VARIANTS
#define VARIANTS_KV_PANELS F16_VARIANT
#define VARIANTS_ATTENTION UPPER_VARIANTS
#define VARIANTS_COMBINE ONE_VARIANT
#define VARIANTS_ACTIVATION ONE_VARIANT
#define VARIANTS_NLL ONE_VARIANT

#define POINTER_READ(type, field) {#field, offsetof(push_struct, field), GQE_ACCESS_READ},
#define POINTER_WRITE(type, field) {#field, offsetof(push_struct, field), GQE_ACCESS_WRITE},
#define POINTER_READ_WRITE(type, field) {#field, offsetof(push_struct, field), GQE_ACCESS_READ_WRITE},
#define NOT_A_POINTER(field)

#define VARIANT_ROW(index, name, module, text, subgroups)                                    \
	[index] = {                                                                          \
		.kernel = #name,                                                             \
		.variant = text,                                                             \
		.spirv = {gqe_spirv_##name##_##module, sizeof(gqe_spirv_##name##_##module)}, \
		.push_bytes = sizeof(push_struct),                                           \
		.pointers = pointers,                                                        \
		.pointer_count = GQE_COUNT(pointers),                                        \
		.uses_subgroups = subgroups,                                                 \
	},

/* The tables live in functions so that `push_struct` can mean another struct in each: a push list does not know its own name. */
#define DEFINE_VARIANTS(name, NAME)                                                                                      \
	static const struct gqe_kernel_variant *name##_variants(void)                                                    \
	{                                                                                                                \
		typedef struct gqe_push_##name push_struct;                                                              \
		_Static_assert(sizeof(push_struct) <= GQE_MAX_PUSH_BYTES, #name ": push constants");                     \
		static const struct gqe_push_pointer pointers[] = {                                                      \
			GQE_PUSH_##NAME(POINTER_READ, POINTER_WRITE, POINTER_READ_WRITE, NOT_A_POINTER, NOT_A_POINTER)}; \
		static const struct gqe_kernel_variant variants[VARIANT_COUNT] = {VARIANTS_##NAME(VARIANT_ROW, name)};   \
		return variants;                                                                                         \
	}
GQE_KERNELS(DEFINE_VARIANTS)

static const struct gqe_kernel_variant *variants_of(enum gqe_kernel kernel)
{
	switch (kernel) {
#define VARIANTS_CASE(name, NAME) \
	case GQE_KERNEL_##NAME:   \
		return name##_variants();
		GQE_KERNELS(VARIANTS_CASE)
	case GQE_KERNEL_COUNT:
		break;
	}
	assert(!"no such kernel");
	return embed_variants();
}

static uint32_t variant_index(gqe_path path, gqe_dtype weights)
{
	bool is_f16 = weights == GQE_DTYPE_F16;
	switch (path) {
	case GQE_PATH_SCALAR:
		return is_f16 ? SCALAR_F16 : SCALAR_F32;
	case GQE_PATH_SUBGROUP:
		return is_f16 ? SUBGROUP_F16 : SUBGROUP_F32;
	case GQE_PATH_PACKED:
		return is_f16 ? PACKED_F16 : NO_VARIANT;
	case GQE_PATH_MATRIX:
		return is_f16 ? MATRIX_F16 : NO_VARIANT;
	case GQE_PATH_MATRIX2:
		return is_f16 ? MATRIX2_F16 : NO_VARIANT;
	}
	return NO_VARIANT;
}

bool gqe_kernel_has(enum gqe_kernel kernel, gqe_path path, gqe_dtype weights)
{
	return variants_of(kernel)[variant_index(path, weights)].spirv.words != NULL;
}

struct gqe_kernel_choice gqe_kernel_choose(enum gqe_kernel kernel, gqe_path path, gqe_dtype weights)
{
	if (!gqe_kernel_has(kernel, GQE_PATH_SCALAR, weights))
		weights = weights == GQE_DTYPE_F32 ? GQE_DTYPE_F16 : GQE_DTYPE_F32;
	while (path > GQE_PATH_SCALAR && !gqe_kernel_has(kernel, path, weights))
		path = (gqe_path)(path - 1);
	return (struct gqe_kernel_choice){.variant = &variants_of(kernel)[variant_index(path, weights)], .path = path};
}

const char *gqe_kernel_name(enum gqe_kernel kernel)
{
	const struct gqe_kernel_variant *variants = variants_of(kernel);
	return variants[variants[SCALAR_F32].kernel ? SCALAR_F32 : SCALAR_F16].kernel;
}

uint64_t gqe_kernel_table_hash(void)
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (enum gqe_kernel kernel = 0; kernel < GQE_KERNEL_COUNT; kernel++)
		for (int i = 0; i < VARIANT_COUNT; i++) {
			const struct gqe_spirv *spirv = &variants_of(kernel)[i].spirv;
			for (size_t word = 0; word < spirv->bytes / sizeof(*spirv->words); word++)
				for (int shift = 0; shift < 32; shift += 8)
					hash = (hash ^ (spirv->words[word] >> shift & 0xff)) * 0x100000001b3u;
		}
	return hash;
}
