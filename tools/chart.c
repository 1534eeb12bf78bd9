#include "chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PLOT_LEFT = 96, PLOT_RIGHT = 616, PLOT_TOP = 44, PLOT_HEIGHT = 300, LEGEND_TOP = 62, LEGEND_ROW = 24 };

enum ink series_ink(size_t index)
{
	return (enum ink)(INK_SERIES + index % INK_SERIES_COUNT);
}

enum marker series_marker(size_t index)
{
	static const enum marker markers[] = {MARKER_CIRCLE, MARKER_SQUARE, MARKER_TRIANGLE, MARKER_DIAMOND};
	return markers[index % 4];
}

/* An axis: values low...high onto pixels from...to. */
struct axis {
	enum axis_kind kind;
	double low, high, from, to; /* low and high are logarithms where the axis is logarithmic */
};

static double on_scale(enum axis_kind kind, double value)
{
	return kind == AXIS_LINEAR ? value : kind == AXIS_TOKENS ? log2(value) : log10(value);
}

static double at(const struct axis *axis, double value)
{
	return axis->from + (on_scale(axis->kind, value) - axis->low) / (axis->high - axis->low) * (axis->to - axis->from);
}

static bool can_show(const struct line_chart *chart, double x, double y)
{
	return isfinite(x) && isfinite(y) && (chart->x_kind == AXIS_LINEAR || x > 0) && (chart->y_kind == AXIS_LINEAR || y > 0);
}

static void include(struct axis *axis, double value)
{
	if (!isfinite(value) || (axis->kind != AXIS_LINEAR && value <= 0))
		return;
	axis->low = fmin(axis->low, on_scale(axis->kind, value));
	axis->high = fmax(axis->high, on_scale(axis->kind, value));
}

/* The step of about six ticks over a range: 1, 2 or 5 times a power of ten. */
static double tick_step(double range)
{
	const double rough = range / 6, power = pow(10, floor(log10(rough)));
	return rough <= power ? power : rough <= 2 * power ? 2 * power : rough <= 5 * power ? 5 * power : 10 * power;
}

static void pad(struct axis *axis)
{
	if (axis->low > axis->high) {
		axis->low = 0;
		axis->high = 1;
	}
	if (axis->high - axis->low < 1e-9 * fabs(axis->high) + 1e-12) {
		axis->low -= 0.5;
		axis->high += 0.5;
	}
	const double room = (axis->kind == AXIS_LINEAR ? 0.05 : 0.06) * (axis->high - axis->low);
	axis->high += room;
	if (axis->low != 0) /* an axis that begins at zero does so exactly */
		axis->low -= room;
}

static void find_ranges(const struct line_chart *chart, struct axis *x, struct axis *y)
{
	*x = (struct axis){chart->x_kind, INFINITY, -INFINITY, PLOT_LEFT, PLOT_RIGHT};
	*y = (struct axis){chart->y_kind, INFINITY, -INFINITY, PLOT_TOP + PLOT_HEIGHT, PLOT_TOP};
	include(y, chart->y_low);
	include(y, chart->y_high);
	for (size_t s = 0; s < chart->series_count; s++) {
		const struct series *series = &chart->series[s];
		for (size_t i = 0; i < series->count; i++)
			if (can_show(chart, series->x[i], series->y[i])) {
				include(x, series->x[i]);
				include(y, series->y[i]);
				include(y, series->low ? series->low[i] : NAN);
				include(y, series->high ? series->high[i] : NAN);
			}
	}
	pad(x);
	pad(y);
}

static void tick_text(enum axis_kind kind, double value, double step, char text[24])
{
	if (kind == AXIS_TOKENS && value >= 1 << 20)
		snprintf(text, 24, "%.0fM", value / (1 << 20));
	else if (kind == AXIS_TOKENS && value >= 1024)
		snprintf(text, 24, "%.0fk", value / 1024);
	else if (kind == AXIS_LINEAR)
		snprintf(text, 24, "%.*f", step >= 1 ? 0 : step >= 0.1 ? 1 : 2, value);
	else
		snprintf(text, 24, "%g", value);
}

static void draw_tick(struct drawing *drawing, double left, double top, const struct axis *axis, bool vertical, double value,
		      double step, double *last)
{
	const double pixel = at(axis, value);
	char text[24];
	tick_text(axis->kind, value, step, text);
	if (vertical) {
		draw_line(drawing, left + PLOT_LEFT, top + pixel, left + PLOT_RIGHT, top + pixel, 1, 0, INK_GRID);
		draw_text(drawing, left + PLOT_LEFT - 8, top + pixel - TEXT_HEIGHT, TEXT_NORMAL, ALIGN_RIGHT, INK_TEXT, text);
		return;
	}
	draw_line(drawing, left + pixel, top + PLOT_TOP, left + pixel, top + PLOT_TOP + PLOT_HEIGHT, 1, 0, INK_GRID);
	if (pixel - *last < drawn_text_width(TEXT_NORMAL, text) + 14)
		return; /* too close to the one before to be read */
	*last = pixel;
	draw_text(drawing, left + pixel, top + PLOT_TOP + PLOT_HEIGHT + 10, TEXT_NORMAL, ALIGN_CENTER, INK_TEXT, text);
}

static void draw_axis(struct drawing *drawing, double left, double top, const struct axis *axis, bool vertical)
{
	const double range = axis->high - axis->low, step = axis->kind == AXIS_LINEAR ? tick_step(range) : 1;
	/* Where powers of ten alone would be one or two ticks, twice and five times each are there, too. */
	const bool is_short = axis->kind == AXIS_LOG && range < 2;
	const double first = is_short ? floor(axis->low) : ceil(axis->low / step - 1e-9) * step + 0.0; /* a 0, not -0 */
	double last = -1e9;
	for (double tick = first; tick <= axis->high + 1e-9 * step; tick += step) {
		const double value = axis->kind == AXIS_LINEAR ? tick : axis->kind == AXIS_TOKENS ? exp2(tick) : pow(10, tick);
		for (int multiple = 1; multiple <= (is_short ? 5 : 1); multiple += multiple == 1 ? 1 : 3) {
			const double place = on_scale(axis->kind, multiple * value);
			if (place >= axis->low - 1e-9 && place <= axis->high + 1e-9 * fmax(1, fabs(axis->high)))
				draw_tick(drawing, left, top, axis, vertical, multiple * value, step, &last);
		}
	}
}

static void draw_series_points(const struct line_chart *chart, const struct series *series, struct drawing *drawing, double left,
			       double top, const struct axis *x_axis, const struct axis *y_axis)
{
	const double thickness = series->is_bound ? 2 : 2.5, dash = series->is_bound ? 6 : 0;
	double last_x = NAN, last_y = NAN;
	for (size_t i = 0; i < series->count; i++) {
		if (!can_show(chart, series->x[i], series->y[i]))
			continue;
		const double x = left + at(x_axis, series->x[i]), y = top + at(y_axis, series->y[i]);
		if (!isnan(last_x) && !series->no_line)
			draw_line(drawing, last_x, last_y, x, y, thickness, dash, series->ink);
		if (series->low && isfinite(series->low[i]) && isfinite(series->high[i]))
			draw_line(drawing, x, top + at(y_axis, series->low[i]), x, top + at(y_axis, series->high[i]), 1.5, 0,
				  series->ink);
		last_x = x;
		last_y = y;
	}
	if (series->is_bound && series->count == 1 && can_show(chart, series->x[0], series->y[0])) {
		/* No line goes through one point. */
		const double x = left + at(x_axis, series->x[0]), y = top + at(y_axis, series->y[0]);
		draw_line(drawing, x - 27, y, x + 27, y, thickness, dash, series->ink);
	}
	for (size_t i = 0; i < series->count && !series->is_bound; i++)
		if (can_show(chart, series->x[i], series->y[i]))
			draw_marker(drawing, left + at(x_axis, series->x[i]), top + at(y_axis, series->y[i]), 6, series->marker,
				    series->filled, series->ink);
}

static void draw_legend_row(struct drawing *drawing, double left, double y, const struct series *series)
{
	if (!series->no_line)
		draw_line(drawing, left, y, left + 40, y, series->is_bound ? 2 : 2.5, series->is_bound ? 6 : 0, series->ink);
	if (!series->is_bound)
		draw_marker(drawing, left + 20, y, 6, series->marker, series->filled, series->ink);
	draw_text(drawing, left + 52, y - TEXT_HEIGHT, TEXT_NORMAL, ALIGN_LEFT, INK_TEXT, series->name);
}

static size_t legend_rows(const struct line_chart *chart)
{
	size_t rows = 0;
	for (size_t i = 0; i < chart->series_count; i++)
		rows += chart->series[i].name != NULL;
	return rows;
}

double line_chart_height(const struct line_chart *chart)
{
	return PLOT_TOP + PLOT_HEIGHT + LEGEND_TOP + LEGEND_ROW * (double)legend_rows(chart) + 16;
}

void line_chart_draw(const struct line_chart *chart, struct drawing *drawing, double left, double top)
{
	struct axis x_axis, y_axis;
	find_ranges(chart, &x_axis, &y_axis);
	draw_text(drawing, left + 12, top + 12, TEXT_NORMAL, ALIGN_LEFT, INK_TEXT, chart->title);
	draw_axis(drawing, left, top, &x_axis, false);
	draw_axis(drawing, left, top, &y_axis, true);
	const double bottom = top + PLOT_TOP + PLOT_HEIGHT;
	draw_text(drawing, left + 0.5 * (PLOT_LEFT + PLOT_RIGHT), bottom + 32, TEXT_NORMAL, ALIGN_CENTER, INK_MUTED,
		  chart->x_title);
	draw_text_upwards(drawing, left + 12, top + PLOT_TOP + 0.5 * PLOT_HEIGHT, TEXT_NORMAL, INK_MUTED, chart->y_title);
	for (size_t i = 0; i < chart->series_count; i++)
		draw_series_points(chart, &chart->series[i], drawing, left, top, &x_axis, &y_axis);
	draw_line(drawing, left + PLOT_LEFT, top + PLOT_TOP, left + PLOT_LEFT, bottom, 1.5, 0, INK_TEXT);
	draw_line(drawing, left + PLOT_LEFT, bottom, left + PLOT_RIGHT, bottom, 1.5, 0, INK_TEXT);
	double row = bottom + LEGEND_TOP + 8;
	for (size_t i = 0; i < chart->series_count; i++)
		if (chart->series[i].name) {
			draw_legend_row(drawing, left + PLOT_LEFT, row, &chart->series[i]);
			row += LEGEND_ROW;
		}
}

/* ------------------------------------------------------------------------------------------------------------------ bars -- */

/* A bar's label stands above it, so that long names fit on a phone. */
enum { BAR_LEFT = 20, BAR_RIGHT = 520, BARS_TOP = 44, BAR_ROW = 48, BAR_HEIGHT = 20 };

static bool has_part(const struct bar_chart *chart, size_t part)
{
	for (size_t i = 0; i < chart->bar_count; i++)
		if (chart->bars[i].parts[part] > 0)
			return true;
	return false;
}

double bar_chart_height(const struct bar_chart *chart)
{
	size_t rows = 0;
	for (size_t part = 0; part < chart->part_count; part++)
		rows += has_part(chart, part);
	return BARS_TOP + BAR_ROW * (double)chart->bar_count + 40 + LEGEND_ROW * (double)((rows + 1) / 2) + 16;
}

static double bar_sum(const struct bar_chart *chart, const struct bar *bar)
{
	double sum = 0;
	for (size_t part = 0; part < chart->part_count; part++)
		sum += bar->parts[part];
	return sum;
}

void bar_chart_draw(const struct bar_chart *chart, struct drawing *drawing, double left, double top)
{
	double longest = 0;
	for (size_t i = 0; i < chart->bar_count; i++)
		longest = fmax(longest, bar_sum(chart, &chart->bars[i]));
	const double scale = longest > 0 ? (BAR_RIGHT - BAR_LEFT) / longest : 0;
	draw_text(drawing, left + 12, top + 12, TEXT_NORMAL, ALIGN_LEFT, INK_TEXT, chart->title);
	for (size_t i = 0; i < chart->bar_count; i++) {
		const struct bar *bar = &chart->bars[i];
		const double y = top + BARS_TOP + BAR_ROW * (double)i;
		double x = left + BAR_LEFT;
		draw_text(drawing, x, y, TEXT_NORMAL, ALIGN_LEFT, INK_MUTED, bar->label);
		for (size_t part = 0; part < chart->part_count; part++) {
			const double width = bar->parts[part] * scale;
			if (width > 0)
				draw_rectangle(drawing, x, y + 20, x + fmax(width - 1, 0.5), y + 20 + BAR_HEIGHT, series_ink(part),
					       1);
			x += width;
		}
		draw_text(drawing, x + 8, y + 23, TEXT_NORMAL, ALIGN_LEFT, INK_TEXT, bar->value);
	}
	const double bottom = top + BARS_TOP + BAR_ROW * (double)chart->bar_count;
	draw_text(drawing, left + BAR_LEFT, bottom + 8, TEXT_NORMAL, ALIGN_LEFT, INK_MUTED, chart->x_title);
	size_t shown = 0;
	for (size_t part = 0; part < chart->part_count; part++) {
		if (!has_part(chart, part))
			continue;
		const double x = left + BAR_LEFT + (double)(shown % 2) * 300, y = bottom + 40 + LEGEND_ROW * (double)(shown / 2);
		draw_rectangle(drawing, x, y, x + 20, y + 14, series_ink(part), 1);
		draw_text(drawing, x + 30, y, TEXT_NORMAL, ALIGN_LEFT, INK_TEXT, chart->part_names[part]);
		shown++;
	}
}
