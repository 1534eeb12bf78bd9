/* The safetensors format inside the library; see gqe_tensor_file_open for what is checked. */
#ifndef GQE_MODEL_SAFETENSORS_H
#define GQE_MODEL_SAFETENSORS_H

#include "common/common.h"

/*
 * gqe_tensor_file_open on memory: `data` [bytes] is not copied, may be unaligned, and must live as long as the file. `name` stands
 * for the path in messages and is copied.
 */
gqe_status gqe_tensor_file_open_memory(const char *name, const void *data, size_t bytes, gqe_tensor_file **file, gqe_error *error);

/* Elements of a shape times `bits`, in bytes. False when it overflows or is no whole number of bytes. */
bool gqe_tensor_bytes(uint32_t rank, const uint64_t *shape, uint32_t bits, uint64_t *bytes);

/* False when a name has control characters, which would garble every message and listing. */
bool gqe_tensor_name_plain(const char *name);

/* The key of a header that holds notes instead of a tensor. */
#define GQE_SAFETENSORS_METADATA "__metadata__"
/* The format's own limit. */
#define GQE_SAFETENSORS_MAX_HEADER 100000000u

#endif
