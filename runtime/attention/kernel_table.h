/* The kernel table: which SPIR-V a kernel has for a path and a dtype. */
#ifndef GQE_ATTENTION_KERNEL_TABLE_H
#define GQE_ATTENTION_KERNEL_TABLE_H

#include "attention/kernels.h"

struct gqe_kernel_choice {
	const struct gqe_kernel_variant *variant; /* never NULL */
	gqe_path path;                            /* the variant's own: as asked for, or a lower one */
};

/*
 * The kernel's variant for the highest path up to `path`, which the device has: it then has all below. `weights` (F32 or F16) is
 * the dtype behind its Weights pointers; kernels that have none exist once, whatever it is.
 */
struct gqe_kernel_choice gqe_kernel_choose(enum gqe_kernel kernel, gqe_path path, gqe_dtype weights);
/* Whether the kernel has a variant of its own for exactly that path and dtype; what the self-test walks over. */
bool gqe_kernel_has(enum gqe_kernel kernel, gqe_path path, gqe_dtype weights);
/* FNV-1a over the SPIR-V words of all variants of all kernels, in the table's order. */
uint64_t gqe_kernel_table_hash(void);

#endif
