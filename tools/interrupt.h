/* Ctrl-C as a flag to look at. A second one ends the program the usual way. */
#ifndef GQE_TOOLS_INTERRUPT_H
#define GQE_TOOLS_INTERRUPT_H

#include <stdbool.h>

void interrupt_watch(void);
void interrupt_unwatch(void);
bool interrupt_seen(void);

#endif
