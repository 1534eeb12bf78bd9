/*
 * A Vulkan layer inside the test: between the library and the driver, it counts calls and objects, and makes one chosen call fail.
 * One context at a time may go through it.
 */
#ifndef GQE_TESTS_VULKAN_LAYER_H
#define GQE_TESTS_VULKAN_LAYER_H

#include <gqe/gqe_vulkan.h>
#include <stdbool.h>

#define LAYER_MAX_RESULTS 6

/* A Vulkan function that can fail. */
struct layer_function {
	const char *name;
	VkResult results[LAYER_MAX_RESULTS]; /* what it may fail with, for Vulkan 1.2; ended by VK_SUCCESS */
};

extern const struct layer_function layer_functions[];
extern const uint32_t layer_function_count;

/* Makes call number `call` (0: the first) of that function fail, counted from now; objects and counts of calls start anew. */
void layer_fail_call(uint32_t function, uint32_t call, VkResult result);
/* vkGetInstanceProcAddr and vkGetDeviceProcAddr know no such function, from now on; NULL: they know all. */
void layer_hide(const char *name);
/* Devices do not have that extension, from now on; NULL: they have all. */
void layer_hide_extension(const char *name);
/*
 * The device says that it is of that type, from now on; VK_PHYSICAL_DEVICE_TYPE_OTHER: what it is. A driver that computes on the
 * CPU is then treated as a GPU, which has other defaults.
 */
void layer_disguise(VkPhysicalDeviceType type);
/*
 * Shaders that declare that SPIR-V capability compute wrong cooperative matrix products, from now on; 0: none. Devices opened
 * meanwhile have no shader objects.
 */
void layer_spoil(uint32_t capability);
/* Every vkQueueSubmit takes so much longer, from now on. */
void layer_delay(uint32_t milliseconds);
/* Every function that was asked for so far, in that order; NULL after the last. */
const char *layer_asked(uint32_t index);
/* Nothing fails; counts of calls start anew. */
void layer_reset(void);

/* Calls of a function since then. */
uint32_t layer_calls(uint32_t function);
/* Whether the chosen call was made, and failed. */
bool layer_has_failed(void);
/* Objects that were created and not destroyed, in words: "2 VkBuffer, 1 VkFence"; "" when there are none. */
const char *layer_leaks(void);
/* Names that were asked for and that this layer knows nothing of: "" as long as its lists are complete. */
const char *layer_unknown(void);

/* For gqe_vulkan_import. NULL: this machine has no Vulkan loader. */
PFN_vkGetInstanceProcAddr layer_entry(void);

#endif
