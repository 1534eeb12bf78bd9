/* The pictures of a comparison; the PNG and the page show the same ones. */
#ifndef GQE_TOOLS_COMPARE_FIGURES_H
#define GQE_TOOLS_COMPARE_FIGURES_H

#include "chart.h"
#include "compare.h"

/* What a set of pictures is of: layers of one shape in one dtype. */
struct figure_group {
	char dtype[8];
	struct record_shape shape;
	bool spelled_out;       /* another group has the same hidden size and dtype */
	size_t columns, points; /* judged records that take part, and lengths measured over all of them */
};

enum { FIGURE_SPEEDUP, FIGURE_PEAK, FIGURE_STEPS, FIGURE_ROOFLINE, FIGURE_COUNT };

/* The groups, those of most records first; returns how many, at most `most`. */
size_t figure_groups(const struct comparison *comparison, struct figure_group *groups, size_t most);
/* Adds a picture at (left, top) and enlarges the drawing to hold it; false: there is nothing to show. */
bool figure_draw(const struct comparison *comparison, const struct figure_group *group, int figure, struct drawing *drawing,
		 double left, double top);
/* How to read it, in a sentence or two. */
const char *figure_caption(int figure);

#endif
