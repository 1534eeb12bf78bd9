#include "bench/bench_kernels.h"

#include <stddef.h>

#include "attention/tiles.h"
#include "peak_copy_f32.h"
#include "peak_fma_f16.h"
#include "peak_fma_f32.h"
#include "peak_matrix_f16.h"

_Static_assert(GQE_BENCH_CHAINS_ID < GQE_MAX_SPECIALIZATION && (int)GQE_BENCH_CHAINS_ID >= (int)GQE_CONFIG_COUNT,
	       "an id of its own");

#define POINTER_READ(type, field) {#field, offsetof(push_struct, field), GQE_ACCESS_READ},
#define POINTER_WRITE(type, field) {#field, offsetof(push_struct, field), GQE_ACCESS_WRITE},
#define POINTER_READ_WRITE(type, field) {#field, offsetof(push_struct, field), GQE_ACCESS_READ_WRITE},
#define NOT_A_POINTER(field)

#define VARIANT(name, type, text, subgroups)                                                                               \
	{                                                                                                                  \
		.kernel = #name, .variant = text, .spirv = {gqe_spirv_##name##_##type, sizeof(gqe_spirv_##name##_##type)}, \
		.push_bytes = sizeof(push_struct), .pointers = pointers, .pointer_count = GQE_COUNT(pointers),             \
		.uses_subgroups = subgroups,                                                                               \
	}

#define POINTERS_OF(LIST)                                                                           \
	{                                                                                           \
		LIST(POINTER_READ, POINTER_WRITE, POINTER_READ_WRITE, NOT_A_POINTER, NOT_A_POINTER) \
	}

const struct gqe_kernel_variant *gqe_peak_fma_variant(gqe_dtype dtype)
{
	typedef struct gqe_push_peak_fma push_struct;
	static const struct gqe_push_pointer pointers[] = POINTERS_OF(GQE_PUSH_PEAK_FMA);
	static const struct gqe_kernel_variant f32 = VARIANT(peak_fma, f32, "f32", false);
	static const struct gqe_kernel_variant f16 = VARIANT(peak_fma, f16, "f16", false);
	return dtype == GQE_DTYPE_F16 ? &f16 : &f32;
}

const struct gqe_kernel_variant *gqe_peak_matrix_variant(void)
{
	typedef struct gqe_push_peak_matrix push_struct;
	static const struct gqe_push_pointer pointers[] = POINTERS_OF(GQE_PUSH_PEAK_MATRIX);
	static const struct gqe_kernel_variant f16 = VARIANT(peak_matrix, f16, "f16", true);
	return &f16;
}

const struct gqe_kernel_variant *gqe_peak_copy_variant(void)
{
	typedef struct gqe_push_peak_copy push_struct;
	static const struct gqe_push_pointer pointers[] = POINTERS_OF(GQE_PUSH_PEAK_COPY);
	static const struct gqe_kernel_variant f32 = VARIANT(peak_copy, f32, "f32", false);
	return &f32;
}

struct gqe_specialization gqe_bench_specialization(uint32_t workgroup, uint32_t chains)
{
	return (struct gqe_specialization){
		.count = GQE_BENCH_CHAINS_ID + 1,
		.values = {[GQE_CONFIG_workgroup] = workgroup, [GQE_BENCH_CHAINS_ID] = chains},
	};
}

struct gqe_specialization gqe_bench_matrix_specialization(const struct gqe_capabilities *capabilities, uint32_t chains,
							  const gqe_matrix_shape *shape)
{
	const uint32_t subgroup = gqe_matrix_subgroup(capabilities);
	struct gqe_specialization specialization = gqe_bench_specialization(subgroup, chains);
	specialization.values[GQE_CONFIG_subgroup] = subgroup;
	specialization.values[GQE_CONFIG_matrix_m] = shape->m;
	specialization.values[GQE_CONFIG_matrix_n] = shape->n;
	specialization.values[GQE_CONFIG_matrix_k] = shape->k;
	if (capabilities->subgroup_size_control)
		specialization.subgroup_size = subgroup;
	return specialization;
}
