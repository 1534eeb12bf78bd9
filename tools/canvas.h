/* A picture in memory: antialiased rectangles, lines, markers and text; written as PNG. Coordinates are pixels, (0, 0) top left. */
#ifndef GQE_TOOLS_CANVAS_H
#define GQE_TOOLS_CANVAS_H

#include <gqe/gqe.h>

struct color {
	uint8_t r, g, b;
};

struct canvas {
	int width, height;
	uint8_t *rgb; /* [height, width, 3] */
};

enum marker { MARKER_CIRCLE, MARKER_SQUARE, MARKER_DIAMOND, MARKER_TRIANGLE };
enum align { ALIGN_LEFT, ALIGN_CENTER, ALIGN_RIGHT };

/* Height of a capital letter in pixels, at scale 1. */
#define TEXT_HEIGHT 7

/* White. False: no memory. */
bool canvas_create(struct canvas *canvas, int width, int height);
void canvas_free(struct canvas *canvas);

void canvas_rectangle(struct canvas *canvas, double left, double top, double right, double bottom, struct color color);
/* dash 0: solid; else the length of dashes and gaps */
void canvas_line(struct canvas *canvas, double x0, double y0, double x1, double y1, double thickness, double dash,
		 struct color color);
/* Outlined in its colour; filled with it, or with white. */
void canvas_marker(struct canvas *canvas, double x, double y, double radius, enum marker marker, bool filled, struct color color);
/* One line of ASCII; `y` is the top of its capitals. */
void canvas_text(struct canvas *canvas, double x, double y, double scale, enum align align, struct color color, const char *text);
/* The same, reading upwards, centred at `y`; `x` is the left edge. */
void canvas_text_upwards(struct canvas *canvas, double x, double y, double scale, struct color color, const char *text);
double canvas_text_width(double scale, const char *text);

bool canvas_write_png(const struct canvas *canvas, const char *path);

#endif
