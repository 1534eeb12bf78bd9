/* Diagrams: lines over an axis, and stacked bars; with axes, units and a legend. All are of one width. */
#ifndef GQE_TOOLS_CHART_H
#define GQE_TOOLS_CHART_H

#include "drawing.h"

#define CHART_WIDTH 640.0

enum axis_kind {
	AXIS_LINEAR,
	AXIS_TOKENS, /* by powers of two: 512, 1k, 2k */
	AXIS_LOG     /* by powers of ten */
};

/* Points that are NaN, or not positive on a logarithmic axis, are left out. */
struct series {
	const char *name; /* NULL: not in the legend */
	enum ink ink;
	enum marker marker;
	bool filled, is_bound, no_line; /* a bound is dashed and has no markers; no_line: markers alone */
	const double *x, *y;
	const double *low, *high; /* NULL: no error bars */
	size_t count;
};

struct line_chart {
	const char *title, *x_title, *y_title;
	enum axis_kind x_kind, y_kind;
	double y_low, y_high; /* what is shown at least; both NaN: nothing in particular */
	const struct series *series;
	size_t series_count;
};

double line_chart_height(const struct line_chart *chart);
void line_chart_draw(const struct line_chart *chart, struct drawing *drawing, double left, double top);

#define BAR_MOST_PARTS 8

struct bar {
	char label[48], value[24];
	double parts[BAR_MOST_PARTS];
};

/* Horizontal bars, so that their labels can be read. */
struct bar_chart {
	const char *title, *x_title;
	const char *const *part_names;
	size_t part_count; /* a part is drawn in the ink of its index */
	const struct bar *bars;
	size_t bar_count;
};

double bar_chart_height(const struct bar_chart *chart);
void bar_chart_draw(const struct bar_chart *chart, struct drawing *drawing, double left, double top);

/* What tells the series of record `index` from those of others. */
enum ink series_ink(size_t index);
enum marker series_marker(size_t index);

#endif
