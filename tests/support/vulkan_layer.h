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
