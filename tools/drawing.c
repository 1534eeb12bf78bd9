#include "drawing.h"

#include "program.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum shape_kind { SHAPE_RECTANGLE, SHAPE_LINE, SHAPE_MARKER, SHAPE_TEXT, SHAPE_TEXT_UPWARDS };

struct shape {
	enum shape_kind kind;
	enum ink ink;
	double x0, y0, x1, y1;
	double size;     /* a line's thickness, a marker's radius, a text's size */
	double dash;     /* of a line */
	double strength; /* of a rectangle */
	enum marker marker;
	enum align align;
	bool filled;
	char *text;
};

static const struct ink_colors {
	struct color light, dark;
} inks[INK_COUNT] = {
	[INK_TEXT] = {{20, 20, 20}, {236, 236, 236}},          [INK_MUTED] = {{95, 95, 95}, {170, 170, 170}},
	[INK_GRID] = {{222, 222, 222}, {62, 62, 66}},          [INK_PAPER] = {{255, 255, 255}, {24, 24, 27}},
	[INK_SERIES + 0] = {{0, 114, 178}, {74, 163, 223}},    /* blue */
	[INK_SERIES + 1] = {{213, 94, 0}, {240, 125, 40}},     /* vermilion */
	[INK_SERIES + 2] = {{0, 158, 115}, {32, 190, 145}},    /* green */
	[INK_SERIES + 3] = {{230, 159, 0}, {240, 178, 40}},    /* orange */
	[INK_SERIES + 4] = {{204, 121, 167}, {222, 145, 190}}, /* purple */
	[INK_SERIES + 5] = {{86, 180, 233}, {140, 205, 245}},  /* sky */
	[INK_SERIES + 6] = {{120, 110, 30}, {240, 228, 66}},   /* yellow, darker on white */
	[INK_SERIES + 7] = {{110, 110, 110}, {160, 160, 160}},
};

static struct shape *add_shape(struct drawing *drawing, enum shape_kind kind, enum ink ink)
{
	if (drawing->count == drawing->capacity) {
		const size_t capacity = drawing->capacity ? 2 * drawing->capacity : 256;
		struct shape *grown = realloc(drawing->shapes, capacity * sizeof(*grown));
		if (!grown) {
			drawing->failed = true;
			return NULL;
		}
		drawing->shapes = grown;
		drawing->capacity = capacity;
	}
	struct shape *shape = &drawing->shapes[drawing->count++];
	*shape = (struct shape){.kind = kind, .ink = ink};
	return shape;
}

void drawing_free(struct drawing *drawing)
{
	for (size_t i = 0; i < drawing->count; i++)
		free(drawing->shapes[i].text);
	free(drawing->shapes);
	*drawing = (struct drawing){0};
}

void draw_rectangle(struct drawing *drawing, double left, double top, double right, double bottom, enum ink ink, double strength)
{
	struct shape *shape = add_shape(drawing, SHAPE_RECTANGLE, ink);
	if (!shape)
		return;
	shape->x0 = left;
	shape->y0 = top;
	shape->x1 = right;
	shape->y1 = bottom;
	shape->strength = strength;
}

void draw_line(struct drawing *drawing, double x0, double y0, double x1, double y1, double thickness, double dash, enum ink ink)
{
	struct shape *shape = add_shape(drawing, SHAPE_LINE, ink);
	if (!shape)
		return;
	shape->x0 = x0;
	shape->y0 = y0;
	shape->x1 = x1;
	shape->y1 = y1;
	shape->size = thickness;
	shape->dash = dash;
}

void draw_marker(struct drawing *drawing, double x, double y, double radius, enum marker marker, bool filled, enum ink ink)
{
	struct shape *shape = add_shape(drawing, SHAPE_MARKER, ink);
	if (!shape)
		return;
	shape->x0 = x;
	shape->y0 = y;
	shape->size = radius;
	shape->marker = marker;
	shape->filled = filled;
}

static void add_text(struct drawing *drawing, enum shape_kind kind, double x, double y, enum text_size size, enum align align,
		     enum ink ink, const char *text)
{
	struct shape *shape = add_shape(drawing, kind, ink);
	if (!shape)
		return;
	shape->x0 = x;
	shape->y0 = y;
	shape->size = size;
	shape->align = align;
	shape->text = malloc(strlen(text) + 1);
	if (shape->text)
		strcpy(shape->text, text);
	else
		drawing->failed = true;
}

void draw_text(struct drawing *drawing, double x, double y, enum text_size size, enum align align, enum ink ink, const char *text)
{
	add_text(drawing, SHAPE_TEXT, x, y, size, align, ink, text);
}

void draw_text_upwards(struct drawing *drawing, double x, double y, enum text_size size, enum ink ink, const char *text)
{
	add_text(drawing, SHAPE_TEXT_UPWARDS, x, y, size, ALIGN_CENTER, ink, text);
}

/* ------------------------------------------------------------------------------------------------------------------- PNG -- */

static struct color mix(struct color paper, struct color over, double strength)
{
	return (struct color){(uint8_t)lround(paper.r + (over.r - paper.r) * strength),
			      (uint8_t)lround(paper.g + (over.g - paper.g) * strength),
			      (uint8_t)lround(paper.b + (over.b - paper.b) * strength)};
}

/* The PNG's font has ASCII only: stand-ins for what shows white space; each other character becomes one '?'. */
static void to_ascii(const char *text, char *ascii, size_t size)
{
	static const struct {
		const char *character;
		char ascii;
	} stand_ins[] = {{"\u21b5", '/'}, {"\u2192", '>'}, {"\u2423", '_'}, {"\u00d7", 'x'}, {"\u2013", '-'}};
	size_t used = 0;
	while (*text && used + 1 < size) {
		size_t length = 1;
		char shown = *text >= 0x20 && *text < 0x7f ? *text : '?';
		for (size_t i = 0; i < sizeof(stand_ins) / sizeof(stand_ins[0]); i++)
			if (strncmp(text, stand_ins[i].character, strlen(stand_ins[i].character)) == 0) {
				length = strlen(stand_ins[i].character);
				shown = stand_ins[i].ascii;
			}
		text += length;
		while (((unsigned char)*text & 0xc0) == 0x80)
			text++; /* the rest of a character */
		ascii[used++] = shown;
	}
	ascii[used] = 0;
}

double drawn_text_width(enum text_size size, const char *text)
{
	/* The PNG's letters are the wider ones. */
	char ascii[200];
	to_ascii(text, ascii, sizeof(ascii));
	return canvas_text_width(size, ascii);
}

static void paint(struct canvas *canvas, const struct shape *shape)
{
	const struct color color = inks[shape->ink].light;
	char ascii[200];
	switch (shape->kind) {
	case SHAPE_RECTANGLE:
		canvas_rectangle(canvas, shape->x0, shape->y0, shape->x1, shape->y1,
				 mix(inks[INK_PAPER].light, color, shape->strength));
		break;
	case SHAPE_LINE:
		canvas_line(canvas, shape->x0, shape->y0, shape->x1, shape->y1, shape->size, shape->dash, color);
		break;
	case SHAPE_MARKER:
		canvas_marker(canvas, shape->x0, shape->y0, shape->size, shape->marker, shape->filled, color);
		break;
	case SHAPE_TEXT:
		to_ascii(shape->text, ascii, sizeof(ascii));
		canvas_text(canvas, shape->x0, shape->y0, shape->size, shape->align, color, ascii);
		break;
	case SHAPE_TEXT_UPWARDS:
		to_ascii(shape->text, ascii, sizeof(ascii));
		canvas_text_upwards(canvas, shape->x0, shape->y0, shape->size, color, ascii);
		break;
	}
}

gqe_status drawing_write_png(const struct drawing *drawing, const char *path, gqe_error *error)
{
	struct canvas canvas;
	if (drawing->failed || !canvas_create(&canvas, (int)drawing->width, (int)drawing->height))
		return error_no_memory(error);
	for (size_t i = 0; i < drawing->count; i++)
		paint(&canvas, &drawing->shapes[i]);
	const bool good = canvas_write_png(&canvas, path);
	const int reason = errno;
	canvas_free(&canvas);
	return good ? GQE_OK : error_set(error, GQE_ERROR_INTERNAL, "cannot write '%s': %s", path, strerror(reason));
}

/* ------------------------------------------------------------------------------------------------------------------- SVG -- */

/* Font size whose capitals are as high as the PNG's. */
static double font_size(double text_size)
{
	return TEXT_HEIGHT * text_size / 0.72;
}

static void append_marker(struct text_buffer *page, const struct shape *shape)
{
	char style[96];
	const double x = shape->x0, y = shape->y0, r = shape->size;
	snprintf(style, sizeof(style), "fill=\"var(--ink%d)\" stroke=\"var(--ink%d)\" stroke-width=\"2\"",
		 shape->filled ? (int)shape->ink : (int)INK_PAPER, (int)shape->ink);
	switch (shape->marker) {
	case MARKER_CIRCLE:
		text_append(page, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" %s/>", x, y, r - 1, style);
		break;
	case MARKER_SQUARE:
		text_append(page, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" %s/>", x - 0.9 * r + 1,
			    y - 0.9 * r + 1, 1.8 * r - 2, 1.8 * r - 2, style);
		break;
	case MARKER_DIAMOND:
		text_append(page, "<path d=\"M%.1f %.1fl%.1f %.1fl%.1f %.1fl%.1f %.1fz\" %s/>", x, y - 1.25 * r + 1, 1.25 * r - 1,
			    1.25 * r - 1, 1 - 1.25 * r, 1.25 * r - 1, 1 - 1.25 * r, 1 - 1.25 * r, style);
		break;
	case MARKER_TRIANGLE:
		text_append(page, "<path d=\"M%.1f %.1fL%.1f %.1fL%.1f %.1fz\" %s/>", x, y - 1.2 * r, x + r, y + 0.7 * r, x - r,
			    y + 0.7 * r, style);
		break;
	}
}

static void append_text(struct text_buffer *page, const struct shape *shape)
{
	static const char *const anchors[] = {[ALIGN_LEFT] = "start", [ALIGN_CENTER] = "middle", [ALIGN_RIGHT] = "end"};
	const double capital = TEXT_HEIGHT * shape->size;
	const double x = shape->kind == SHAPE_TEXT ? shape->x0 : shape->x0 + capital;
	const double y = shape->kind == SHAPE_TEXT ? shape->y0 + capital : shape->y0;
	text_append(page, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%.1f\" text-anchor=\"%s\" fill=\"var(--ink%d)\"", x, y,
		    font_size(shape->size), anchors[shape->align], shape->ink);
	if (shape->kind == SHAPE_TEXT_UPWARDS)
		text_append(page, " transform=\"rotate(-90 %.1f %.1f)\"", x, y);
	text_append(page, ">");
	text_append_escaped(page, shape->text);
	text_append(page, "</text>");
}

static void append_shape(struct text_buffer *page, const struct shape *shape)
{
	switch (shape->kind) {
	case SHAPE_RECTANGLE:
		text_append(page, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"var(--ink%d)\"", shape->x0,
			    shape->y0, fmax(0, shape->x1 - shape->x0), fmax(0, shape->y1 - shape->y0), shape->ink);
		if (shape->strength < 1)
			text_append(page, " fill-opacity=\"%.2f\"", shape->strength);
		text_append(page, "/>");
		break;
	case SHAPE_LINE:
		text_append(page,
			    "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"var(--ink%d)\" stroke-width=\"%.1f\" stroke-linecap=\"%s\"",
			    shape->x0, shape->y0, shape->x1, shape->y1, shape->ink, shape->size,
			    shape->dash > 0 ? "butt" : "round");
		if (shape->dash > 0)
			text_append(page, " stroke-dasharray=\"%.0f\"", shape->dash);
		text_append(page, "/>");
		break;
	case SHAPE_MARKER:
		append_marker(page, shape);
		break;
	case SHAPE_TEXT:
	case SHAPE_TEXT_UPWARDS:
		append_text(page, shape);
		break;
	}
}

void drawing_append_svg(const struct drawing *drawing, struct text_buffer *page, const char *label)
{
	text_append(page, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", drawing->width, drawing->height);
	text_append_escaped(page, label);
	text_append(page, "\">");
	for (size_t i = 0; i < drawing->count; i++)
		append_shape(page, &drawing->shapes[i]);
	text_append(page, "</svg>\n");
	page->failed = page->failed || drawing->failed;
}

void drawing_append_css(struct text_buffer *page)
{
	for (int dark = 0; dark < 2; dark++) {
		text_append(page, dark ? "@media (prefers-color-scheme: dark) { :root {" : ":root {");
		for (int ink = 0; ink < INK_COUNT; ink++) {
			const struct color color = dark ? inks[ink].dark : inks[ink].light;
			text_append(page, " --ink%d: #%02x%02x%02x;", ink, color.r, color.g, color.b);
		}
		text_append(page, dark ? " } }\n" : " }\n");
	}
}
