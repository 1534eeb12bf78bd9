/* What the library was built from. */
#include <gqe/gqe_bench.h>

#include "attention/kernel_table.h"
#include "gqe_commit.h" /* made by cmake/commit.cmake at every build */

const char *gqe_commit(void)
{
	return GQE_COMMIT;
}

uint64_t gqe_shader_hash(void)
{
	return gqe_kernel_table_hash();
}
