/* The terminal: colours where they are wanted, a progress bar on stderr. */
#ifndef GQE_TOOLS_TERMINAL_H
#define GQE_TOOLS_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_ERROR, STYLE_WARNING };

/* The escape sequence, or "" when `file` is no terminal, NO_COLOR is set, or the terminal is dumb. */
const char *style(FILE *file, enum style style);

/* A bar on stderr, drawn only when stderr is a terminal and at most ten times a second. */
struct progress {
	const char *label;
	double drawn_at; /* 0: nothing is on the screen */
	bool enabled;
};

struct progress progress_begin(const char *label, bool enabled);
void progress_draw(struct progress *progress, double fraction);
/* Wipes the bar. */
void progress_end(struct progress *progress);

#endif
