/* Counts instructions in the assembly that Mesa's compilers for AMD, Intel and NVIDIA print. */
#ifndef GQE_LAB_DISASSEMBLY_H
#define GQE_LAB_DISASSEMBLY_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* Whether the text is machine assembly of a known form, and no intermediate language. */
bool disassembly_recognized(const char *text);

/*
 * The loops that hold multiply-adds or matrix instructions, in the order of the text, each as {"depth", "matrix", "fma", "alu",
 * "memory", "shared", "barrier", "subgroup", "control"}: instructions in the text of the loop, those of inner loops not included.
 */
cJSON *disassembly_loops(const char *text);

#endif
