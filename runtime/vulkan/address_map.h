/* Inside the Vulkan storey: every live device buffer by its address. Looked up with gqe_address_find (memory.h). */
#ifndef GQE_VULKAN_ADDRESS_MAP_H
#define GQE_VULKAN_ADDRESS_MAP_H

#include "vulkan/memory.h"

gqe_status gqe_address_map_create(struct gqe_vulkan *vulkan, gqe_error *error);
void gqe_address_map_destroy(struct gqe_vulkan *vulkan);
/* Adding and removing: the caller holds the lock of `memory`. */
gqe_status gqe_address_map_add(struct gqe_vulkan *vulkan, const struct gqe_buffer *buffer, gqe_error *error);
/* Removes every buffer that starts in [address, address + bytes). */
void gqe_address_map_remove(struct gqe_vulkan *vulkan, uint64_t address, uint64_t bytes);

#endif
