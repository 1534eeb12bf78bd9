/* Tensors of a file as float32. */
#ifndef GQE_TOOLS_TENSOR_VALUES_H
#define GQE_TOOLS_TENSOR_VALUES_H

#include <gqe/gqe.h>

/* Elements of an F32, F16 or BF16 tensor; the data may be unaligned. False for another dtype. */
bool tensor_values(const gqe_tensor *tensor, float *values /* [elements] */);

#endif
