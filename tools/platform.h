/*
 * What differs between operating systems, and nothing else: platform_posix.c or platform_windows.c, of which CMake builds one.
 * Paths and arguments are UTF-8.
 */
#ifndef GQE_TOOLS_PLATFORM_H
#define GQE_TOOLS_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Before anything else in main(): arguments as UTF-8, standard streams that pass every byte. */
void platform_begin(int *argc, char ***argv);

/* As fopen. */
FILE *file_open(const char *path, const char *mode);
/* `from` takes the place of `to` in one step. False, with errno, on failure. */
bool file_replace(const char *from, const char *to);
void file_remove(const char *path);

/* Whether somebody looks at the stream. */
bool is_terminal(FILE *file);
/* Seconds of a clock that never goes backwards. */
double now_seconds(void);
/* Processor time of all threads of this process. */
double processor_seconds(void);
/* "Linux 6.1.0 x86_64"; false: unknown. */
bool describe_system(char *text, size_t size);

#endif
