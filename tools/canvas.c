#include "canvas.h"

#include "platform.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stb/stb_easy_font.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>

/* Most characters of a line of text, and bytes that stb_easy_font writes for one: fewer than 17 quads of 64 bytes. */
#define MOST_CHARACTERS 200
#define CHARACTER_BYTES (17 * 64)

bool canvas_create(struct canvas *canvas, int width, int height)
{
	const size_t bytes = (size_t)width * (size_t)height * 3;
	*canvas = (struct canvas){width, height, malloc(bytes)};
	if (canvas->rgb)
		memset(canvas->rgb, 0xff, bytes);
	return canvas->rgb != NULL;
}

void canvas_free(struct canvas *canvas)
{
	free(canvas->rgb);
	*canvas = (struct canvas){0};
}

/* Lays the colour over a pixel; coverage 0...1. */
static void blend(struct canvas *canvas, int x, int y, double coverage, struct color color)
{
	if (x < 0 || y < 0 || x >= canvas->width || y >= canvas->height || coverage <= 0)
		return;
	const uint8_t over[3] = {color.r, color.g, color.b};
	uint8_t *pixel = canvas->rgb + ((size_t)y * (size_t)canvas->width + (size_t)x) * 3;
	coverage = fmin(coverage, 1);
	for (int i = 0; i < 3; i++)
		pixel[i] = (uint8_t)lround(pixel[i] + (over[i] - pixel[i]) * coverage);
}

/* How much of the pixel [at, at + 1] lies in [low, high]. */
static double overlap(int at, double low, double high)
{
	return fmax(0, fmin(at + 1, high) - fmax(at, low));
}

void canvas_rectangle(struct canvas *canvas, double left, double top, double right, double bottom, struct color color)
{
	for (int y = (int)floor(top); y < bottom; y++)
		for (int x = (int)floor(left); x < right; x++)
			blend(canvas, x, y, overlap(x, left, right) * overlap(y, top, bottom), color);
}

static double distance_to_segment(double px, double py, double x0, double y0, double x1, double y1)
{
	const double dx = x1 - x0, dy = y1 - y0, length2 = dx * dx + dy * dy;
	double along = length2 > 0 ? ((px - x0) * dx + (py - y0) * dy) / length2 : 0;
	along = fmin(fmax(along, 0), 1);
	return hypot(px - x0 - along * dx, py - y0 - along * dy);
}

static void solid_line(struct canvas *canvas, double x0, double y0, double x1, double y1, double thickness, struct color color)
{
	const double half = 0.5 * thickness, reach = half + 1;
	for (int y = (int)floor(fmin(y0, y1) - reach); y <= fmax(y0, y1) + reach; y++)
		for (int x = (int)floor(fmin(x0, x1) - reach); x <= fmax(x0, x1) + reach; x++) {
			const double distance = distance_to_segment(x + 0.5, y + 0.5, x0, y0, x1, y1);
			blend(canvas, x, y, half + 0.5 - distance, color);
		}
}

void canvas_line(struct canvas *canvas, double x0, double y0, double x1, double y1, double thickness, double dash,
		 struct color color)
{
	const double length = hypot(x1 - x0, y1 - y0);
	if (dash <= 0 || length <= dash) {
		solid_line(canvas, x0, y0, x1, y1, thickness, color);
		return;
	}
	for (double at = 0; at < length; at += 2 * dash) {
		const double from = at / length, to = fmin(at + dash, length) / length;
		solid_line(canvas, x0 + (x1 - x0) * from, y0 + (y1 - y0) * from, x0 + (x1 - x0) * to, y0 + (y1 - y0) * to,
			   thickness, color);
	}
}

/* How far a point is inside the marker's edge, about; negative outside. */
static double inside_marker(double x, double y, double radius, enum marker marker)
{
	switch (marker) {
	case MARKER_CIRCLE:
		return radius - hypot(x, y);
	case MARKER_SQUARE:
		return 0.9 * radius - fmax(fabs(x), fabs(y));
	case MARKER_DIAMOND:
		return (1.25 * radius - fabs(x) - fabs(y)) * 0.7071;
	case MARKER_TRIANGLE: /* half planes: below, and to either side of the tip */
		return fmin(0.75 * radius - y, 0.62 * radius + 0.447 * y - 0.894 * fabs(x));
	}
	return -1;
}

void canvas_marker(struct canvas *canvas, double x, double y, double radius, enum marker marker, bool filled, struct color color)
{
	const double outline = 2, reach = 1.5 * radius + 1;
	const struct color white = {255, 255, 255};
	for (int py = (int)floor(y - reach); py <= y + reach; py++)
		for (int px = (int)floor(x - reach); px <= x + reach; px++) {
			const double inside = inside_marker(px + 0.5 - x, py + 0.5 - y, radius, marker);
			blend(canvas, px, py, inside + 0.5, color);
			if (!filled)
				blend(canvas, px, py, inside - outline + 0.5, white);
		}
}

/* The text's quads, in units of scale 1; returns how many. */
static int text_quads(const char *text, float (**quads)[4][4])
{
	char line[MOST_CHARACTERS + 1];
	snprintf(line, sizeof(line), "%s", text);
	const size_t bytes = strlen(line) * CHARACTER_BYTES;
	*quads = bytes ? malloc(bytes) : NULL;
	return *quads ? stb_easy_font_print(0, 0, line, NULL, *quads, (int)bytes) : 0;
}

double canvas_text_width(double scale, const char *text)
{
	char line[MOST_CHARACTERS + 1];
	snprintf(line, sizeof(line), "%s", text);
	return scale * stb_easy_font_width(line);
}

void canvas_text(struct canvas *canvas, double x, double y, double scale, enum align align, struct color color, const char *text)
{
	float(*quads)[4][4];
	const int count = text_quads(text, &quads);
	x -= align == ALIGN_LEFT ? 0 : canvas_text_width(scale, text) * (align == ALIGN_CENTER ? 0.5 : 1);
	x = floor(x);
	for (int i = 0; i < count; i++)
		canvas_rectangle(canvas, x + scale * quads[i][0][0], y + scale * quads[i][0][1], x + scale * quads[i][2][0],
				 y + scale * quads[i][2][1], color);
	free(quads);
}

void canvas_text_upwards(struct canvas *canvas, double x, double y, double scale, struct color color, const char *text)
{
	float(*quads)[4][4];
	const int count = text_quads(text, &quads);
	const double bottom = floor(y + 0.5 * canvas_text_width(scale, text));
	for (int i = 0; i < count; i++)
		canvas_rectangle(canvas, x + scale * quads[i][0][1], bottom - scale * quads[i][2][0], x + scale * quads[i][2][1],
				 bottom - scale * quads[i][0][0], color);
	free(quads);
}

struct png_file {
	FILE *file;
	bool good;
};

static void write_bytes(void *user, void *data, int size)
{
	struct png_file *png = user;
	png->good = png->good && fwrite(data, 1, (size_t)size, png->file) == (size_t)size;
}

bool canvas_write_png(const struct canvas *canvas, const char *path)
{
	struct png_file png = {file_open(path, "wb"), true};
	if (!png.file)
		return false;
	const int made =
		stbi_write_png_to_func(write_bytes, &png, canvas->width, canvas->height, 3, canvas->rgb, canvas->width * 3);
	const bool closed = fclose(png.file) == 0;
	return made && png.good && closed;
}
