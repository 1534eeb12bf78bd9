/*
 * A picture as a list of shapes, which comes out alike as PNG and as SVG. Coordinates are pixels, (0, 0) top left.
 *
 * Colours are named by what they are for. Those of series are Okabe and Ito's, which the colour-blind can tell apart; SVG takes all
 * of them from the style sheet of the page it stands in, so that a page can be light or dark.
 */
#ifndef GQE_TOOLS_DRAWING_H
#define GQE_TOOLS_DRAWING_H

#include "canvas.h"
#include "text_buffer.h"

#define INK_SERIES_COUNT 8

enum ink {
	INK_TEXT,
	INK_MUTED,
	INK_GRID,
	INK_PAPER,  /* the background */
	INK_SERIES, /* INK_SERIES + 0...INK_SERIES_COUNT-1 */
	INK_COUNT = INK_SERIES + INK_SERIES_COUNT
};

/* Whole multiples, so that the strokes of the PNG's letters are even. */
enum text_size { TEXT_SMALL = 1, TEXT_NORMAL = 2, TEXT_LARGE = 3 };

struct shape;

struct drawing {
	double width, height;
	struct shape *shapes;
	size_t count, capacity;
	bool failed; /* memory ran out */
};

void drawing_free(struct drawing *drawing);

/* strength 0...1: how much of the ink is laid over the paper */
void draw_rectangle(struct drawing *drawing, double left, double top, double right, double bottom, enum ink ink, double strength);
/* dash 0: solid; else the length of dashes and gaps */
void draw_line(struct drawing *drawing, double x0, double y0, double x1, double y1, double thickness, double dash, enum ink ink);
void draw_marker(struct drawing *drawing, double x, double y, double radius, enum marker marker, bool filled, enum ink ink);
/* One line; `y` is the top of its capitals. Characters beyond ASCII are shown as '?' in a PNG. */
void draw_text(struct drawing *drawing, double x, double y, enum text_size size, enum align align, enum ink ink, const char *text);
/* The same, reading upwards, centred at `y`; `x` is the left edge. */
void draw_text_upwards(struct drawing *drawing, double x, double y, enum text_size size, enum ink ink, const char *text);
/* A width that the text needs at most, in either format. */
double drawn_text_width(enum text_size size, const char *text);

gqe_status drawing_write_png(const struct drawing *drawing, const char *path, gqe_error *error);
/* An <svg> element for an HTML page; `label` says in words what it shows. */
void drawing_append_svg(const struct drawing *drawing, struct text_buffer *page, const char *label);
/* The style sheet's custom properties that the inks need, light and dark. */
void drawing_append_css(struct text_buffer *page);

#endif
