#include "bench/bench_kernels.h"

#include <stddef.h>

#include "attention/kernels.h"
#include "peak_copy_f32.h"
#include "peak_fma_f16.h"
#include "peak_fma_f32.h"

_Static_assert(GQE_BENCH_CHAINS_ID < GQE_MAX_SPECIALIZATION && (int)GQE_BENCH_CHAINS_ID >= (int)GQE_CONFIG_COUNT,
	       "an id of its own");

#define POINTER_READ(type, field) {#field, offsetof(push_struct, field), GQE_ACCESS_READ},
#define POINTER_WRITE(type, field) {#field, offsetof(push_struct, field), GQE_ACCESS_WRITE},
#define POINTER_READ_WRITE(type, field) {#field, offsetof(push_struct, field), GQE_ACCESS_READ_WRITE},
#define NOT_A_POINTER(field)

#define VARIANT(name, type, text)                                                                                          \
	{                                                                                                                  \
		.kernel = #name, .variant = text, .spirv = {gqe_spirv_##name##_##type, sizeof(gqe_spirv_##name##_##type)}, \
		.push_bytes = sizeof(push_struct), .pointers = pointers, .pointer_count = GQE_COUNT(pointers),             \
	}

#define POINTERS_OF(LIST)                                                                           \
	{                                                                                           \
		LIST(POINTER_READ, POINTER_WRITE, POINTER_READ_WRITE, NOT_A_POINTER, NOT_A_POINTER) \
	}

const struct gqe_kernel_variant *gqe_peak_fma_variant(gqe_dtype dtype)
{
	typedef struct gqe_push_peak_fma push_struct;
	static const struct gqe_push_pointer pointers[] = POINTERS_OF(GQE_PUSH_PEAK_FMA);
	static const struct gqe_kernel_variant f32 = VARIANT(peak_fma, f32, "f32"), f16 = VARIANT(peak_fma, f16, "f16");
	return dtype == GQE_DTYPE_F16 ? &f16 : &f32;
}

const struct gqe_kernel_variant *gqe_peak_copy_variant(void)
{
	typedef struct gqe_push_peak_copy push_struct;
	static const struct gqe_push_pointer pointers[] = POINTERS_OF(GQE_PUSH_PEAK_COPY);
	static const struct gqe_kernel_variant f32 = VARIANT(peak_copy, f32, "f32");
	return &f32;
}

struct gqe_specialization gqe_bench_specialization(uint32_t workgroup, uint32_t chains)
{
	return (struct gqe_specialization){
		.count = GQE_BENCH_CHAINS_ID + 1,
		.values = {[GQE_CONFIG_workgroup] = workgroup, [GQE_BENCH_CHAINS_ID] = chains},
	};
}
