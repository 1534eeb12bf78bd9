/*
 * The result of `gqe bench` as a picture: the speedup over the length of the context, against the arithmetic bound and the paper's
 * figures; and the rates against the device's peak. Colours are those of Okabe and Ito, which the colour-blind can tell apart;
 * markers tell the series apart without colours.
 */
#include "bench_report.h"

#include "canvas.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { WIDTH = 1200, HEIGHT = 800 };
/* Whole multiples, so that the strokes of the letters are even. */
#define NORMAL 2.0
#define LARGE 3.0

static const struct color black = {0, 0, 0}, gray = {110, 110, 110}, grid_color = {225, 225, 225}, band_color = {222, 222, 222};
static const struct color blue = {0, 114, 178}, sky = {86, 180, 233}, vermilion = {213, 94, 0}, orange = {230, 159, 0},
			  green = {0, 158, 115}, purple = {204, 121, 167};

/* The paper's prefill speedup of a whole layer: one figure at 2k tokens, a range from 4k on. */
static const double paper_first_tokens = 2048, paper_first = 1.15;
static const double paper_tokens = 4096, paper_low = 1.67, paper_high = 1.80;

/* A diagram: where it lies, and what its edges mean. x is log2 of tokens. */
struct panel {
	struct canvas *canvas;
	double left, top, right, bottom; /* of the drawn area */
	double x_low, x_high, y_low, y_high;
	int legend_rows;
};

static double x_of(const struct panel *panel, double tokens)
{
	return panel->left + (log2(tokens) - panel->x_low) / (panel->x_high - panel->x_low) * (panel->right - panel->left);
}

static double y_of(const struct panel *panel, double value)
{
	return panel->bottom - (value - panel->y_low) / (panel->y_high - panel->y_low) * (panel->bottom - panel->top);
}

/* The step of about eight ticks over a range: 1, 2 or 5 times a power of ten. */
static double tick_step(double range)
{
	const double rough = range / 8, power = pow(10, floor(log10(rough)));
	return rough <= power ? power : rough <= 2 * power ? 2 * power : rough <= 5 * power ? 5 * power : 10 * power;
}

static void tokens_text(char text[16], uint32_t tokens)
{
	if (tokens % (1u << 20) == 0)
		snprintf(text, 16, "%uM", tokens >> 20);
	else if (tokens % 1024 == 0)
		snprintf(text, 16, "%uk", tokens >> 10);
	else
		snprintf(text, 16, "%u", tokens);
}

static void draw_axes(const struct panel *panel, const struct bench_plan *plan, const char *title, const char *y_title)
{
	struct canvas *canvas = panel->canvas;
	const double step = tick_step(panel->y_high - panel->y_low);
	double last_label = -1e9;
	canvas_text(canvas, 0.5 * (panel->left + panel->right), panel->top - 28, NORMAL, ALIGN_CENTER, black, title);
	for (double value = ceil(panel->y_low / step) * step; value <= panel->y_high + 1e-9 * step; value += step) {
		char text[32];
		const double y = y_of(panel, value);
		snprintf(text, sizeof(text), "%.*f", step < 1 ? (step < 0.1 ? 2 : 1) : 0, value);
		canvas_line(canvas, panel->left, y, panel->right, y, 1, 0, grid_color);
		canvas_text(canvas, panel->left - 8, y - 0.5 * NORMAL * TEXT_HEIGHT, NORMAL, ALIGN_RIGHT, black, text);
	}
	for (size_t i = 0; i < plan->tokens_count; i++) {
		char text[16];
		const double x = x_of(panel, plan->tokens[i]);
		canvas_line(canvas, x, panel->top, x, panel->bottom, 1, 0, grid_color);
		canvas_line(canvas, x, panel->bottom, x, panel->bottom + 5, 1, 0, black);
		tokens_text(text, plan->tokens[i]);
		if (fabs(x - last_label) < canvas_text_width(NORMAL, text) + 10)
			continue; /* too close to be read */
		canvas_text(canvas, x, panel->bottom + 10, NORMAL, ALIGN_CENTER, black, text);
		last_label = x;
	}
	canvas_text(canvas, 0.5 * (panel->left + panel->right), panel->bottom + 34, NORMAL, ALIGN_CENTER, black,
		    "tokens of context");
	canvas_text_upwards(canvas, panel->left - 72, 0.5 * (panel->top + panel->bottom), NORMAL, black, y_title);
}

static void draw_frame(const struct panel *panel)
{
	canvas_line(panel->canvas, panel->left, panel->top, panel->left, panel->bottom, 1.5, 0, black);
	canvas_line(panel->canvas, panel->left, panel->bottom, panel->right, panel->bottom, 1.5, 0, black);
}

/* How a series looks. */
struct look {
	struct color color;
	enum marker marker;
	bool filled, is_bound; /* a bound is dashed and has no markers */
	const char *name;
};

static void draw_sample_of_look(struct canvas *canvas, double x, double y, const struct look *look)
{
	canvas_line(canvas, x, y, x + 40, y, look->is_bound ? 2 : 2.5, look->is_bound ? 6 : 0, look->color);
	if (!look->is_bound)
		canvas_marker(canvas, x + 20, y, 6, look->marker, look->filled, look->color);
}

/* A line of the legend below the panel. */
static void add_legend(struct panel *panel, const struct look *look)
{
	const double y = panel->bottom + 74 + 24 * panel->legend_rows++;
	draw_sample_of_look(panel->canvas, panel->left, y, look);
	canvas_text(panel->canvas, panel->left + 52, y - 0.5 * NORMAL * TEXT_HEIGHT, NORMAL, ALIGN_LEFT, black, look->name);
}

/* Values [tokens_count], NaN where there is none. Series without any value are left out. */
static void draw_series(struct panel *panel, const struct bench_plan *plan, const double *values, const struct look *look)
{
	bool has_any = false;
	double last_x = NAN, last_y = NAN;
	for (size_t i = 0; i < plan->tokens_count; i++) {
		if (!isfinite(values[i]))
			continue;
		const double x = x_of(panel, plan->tokens[i]), y = y_of(panel, values[i]);
		if (has_any)
			canvas_line(panel->canvas, last_x, last_y, x, y, look->is_bound ? 2 : 2.5, look->is_bound ? 6 : 0,
				    look->color);
		else if (look->is_bound && plan->tokens_count == 1)
			canvas_line(panel->canvas, x - 40, y, x + 40, y, 2, 6, look->color);
		last_x = x;
		last_y = y;
		has_any = true;
	}
	if (!has_any)
		return;
	for (size_t i = 0; i < plan->tokens_count && !look->is_bound; i++)
		if (isfinite(values[i]))
			canvas_marker(panel->canvas, x_of(panel, plan->tokens[i]), y_of(panel, values[i]), 6, look->marker,
				      look->filled, look->color);
	add_legend(panel, look);
}

static void set_x_range(struct panel *panel, const struct bench_plan *plan)
{
	panel->x_low = INFINITY;
	panel->x_high = -INFINITY;
	for (size_t i = 0; i < plan->tokens_count; i++) {
		panel->x_low = fmin(panel->x_low, log2(plan->tokens[i]));
		panel->x_high = fmax(panel->x_high, log2(plan->tokens[i]));
	}
	panel->x_low -= 0.5;
	panel->x_high += 0.5;
}

static void include(double *low, double *high, double value)
{
	if (isfinite(value)) {
		*low = fmin(*low, value);
		*high = fmax(*high, value);
	}
}

/* A band and a point below everything else, as far as the panel reaches. */
static void draw_paper(struct panel *panel)
{
	const double first = log2(paper_first_tokens);
	const double from = fmax(x_of(panel, paper_tokens), panel->left);
	if (from < panel->right)
		canvas_rectangle(panel->canvas, from, y_of(panel, paper_high), panel->right, y_of(panel, paper_low), band_color);
	if (first >= panel->x_low && first <= panel->x_high)
		canvas_marker(panel->canvas, x_of(panel, paper_first_tokens), y_of(panel, paper_first), 7, MARKER_DIAMOND, false,
			      gray);
}

/* The paper's figures are of whole prefills. */
static bool compares_with_paper(const struct panel *panel, const struct bench_plan *plan)
{
	return panel->x_high > log2(paper_first_tokens) && plan->last_chunk == 0;
}

static void plot_speedups(struct panel *panel, const struct bench_result *result)
{
	const struct bench_plan *plan = result->plan;
	double layer[64], attention[64], bound_layer[64], bound_attention[64];
	_Static_assert(sizeof(layer) / sizeof(layer[0]) == sizeof(plan->tokens) / sizeof(plan->tokens[0]), "a value a length");
	double low = 1, high = 1.5;
	set_x_range(panel, plan);
	for (size_t i = 0; i < plan->tokens_count; i++) {
		struct bench_speedup speedup;
		bench_speedup_at(result, plan->tokens[i], &speedup);
		layer[i] = speedup.layer;
		attention[i] = speedup.attention;
		bound_layer[i] = speedup.bound_layer;
		bound_attention[i] = speedup.bound_attention;
		include(&low, &high, layer[i]);
		include(&low, &high, attention[i]);
		include(&low, &high, bound_layer[i]);
		include(&low, &high, bound_attention[i]);
	}
	if (compares_with_paper(panel, plan))
		include(&low, &high, paper_high);
	panel->y_low = floor(low * 10 - 0.5) / 10;
	panel->y_high = ceil(high * 10 + 0.5) / 10;
	if (compares_with_paper(panel, plan))
		draw_paper(panel);
	draw_axes(panel, plan, "Speedup of GQE over dense GQA", "time of GQA / time of GQE");
	draw_series(panel, plan, bound_attention,
		    &(struct look){.color = vermilion, .is_bound = true, .name = "attention, arithmetic bound"});
	draw_series(panel, plan, attention, &(struct look){vermilion, MARKER_SQUARE, true, false, "attention, measured"});
	draw_series(panel, plan, bound_layer, &(struct look){.color = blue, .is_bound = true, .name = "layer, arithmetic bound"});
	draw_series(panel, plan, layer, &(struct look){blue, MARKER_CIRCLE, true, false, "layer, measured"});
	if (compares_with_paper(panel, plan) && panel->legend_rows > 0) {
		const double y = panel->bottom + 74 + 24 * panel->legend_rows;
		canvas_rectangle(panel->canvas, panel->left, y - 7, panel->left + 40, y + 7, band_color);
		canvas_marker(panel->canvas, panel->left + 20, y, 6, MARKER_DIAMOND, false, gray);
		canvas_text(panel->canvas, panel->left + 52, y - 0.5 * NORMAL * TEXT_HEIGHT, NORMAL, ALIGN_LEFT, black,
			    "layer, paper: 1.15; 1.67-1.80");
	}
	if (panel->legend_rows == 0)
		canvas_text(panel->canvas, 0.5 * (panel->left + panel->right), 0.5 * (panel->top + panel->bottom), NORMAL,
			    ALIGN_CENTER, gray, "only one of gqe and gqa measured");
	draw_frame(panel);
}

/* The rates of one kind and attention by length, divided by `unit`. */
static void rates_of(const struct bench_result *result, gqe_bench_what what, gqe_attention attention, double unit, double *rates)
{
	for (size_t i = 0; i < result->plan->tokens_count; i++) {
		const struct bench_record *record = bench_find(result, what, attention, result->plan->tokens[i]);
		rates[i] = record ? record->gflops / unit : NAN;
	}
}

static void plot_rates(struct panel *panel, const struct bench_result *result)
{
	const struct {
		gqe_bench_what what;
		gqe_attention attention;
		struct look look;
	} series[] = {
		{GQE_BENCH_LAYER, GQE_ATTENTION_GQE, {blue, MARKER_CIRCLE, true, false, "layer, GQE"}},
		{GQE_BENCH_LAYER, GQE_ATTENTION_GQA, {sky, MARKER_CIRCLE, false, false, "layer, dense GQA"}},
		{GQE_BENCH_ATTENTION, GQE_ATTENTION_GQE, {vermilion, MARKER_SQUARE, true, false, "attention, GQE"}},
		{GQE_BENCH_ATTENTION, GQE_ATTENTION_GQA, {orange, MARKER_SQUARE, false, false, "attention, dense GQA"}},
		{GQE_BENCH_GEMM, GQE_ATTENTION_GQE, {green, MARKER_TRIANGLE, true, false, "Q projection, gathered"}},
		{GQE_BENCH_GEMM, GQE_ATTENTION_GQA, {purple, MARKER_TRIANGLE, false, false, "projection, dense"}},
	};
	enum { SERIES = sizeof(series) / sizeof(series[0]) };
	const struct bench_plan *plan = result->plan;
	double rates[SERIES][64];
	const struct bench_peak *peak = &result->peaks[bench_peak_of(result->path)];
	const double unit = peak->best >= 2000 ? 1000 : 1;
	const char *unit_name = unit > 1 ? "TFLOP/s" : "GFLOP/s";
	char y_title[64], peak_text[64];
	panel->y_low = 0;
	panel->y_high = peak->best / unit;
	for (int i = 0; i < SERIES; i++) {
		rates_of(result, series[i].what, series[i].attention, unit, rates[i]);
		for (size_t t = 0; t < plan->tokens_count; t++)
			include(&panel->y_low, &panel->y_high, rates[i][t]);
	}
	panel->y_high *= 1.1;
	snprintf(y_title, sizeof(y_title), "%s, counted causally", unit_name);
	snprintf(peak_text, sizeof(peak_text), "%s multiply-add peak: %.4g %s", bench_peak_name(bench_peak_of(result->path)),
		 peak->best / unit, unit_name);
	set_x_range(panel, plan);
	draw_axes(panel, plan, "Rate against the device's peak", y_title);
	for (int i = 0; i < SERIES; i++)
		draw_series(panel, plan, rates[i], &series[i].look);
	const double y = y_of(panel, peak->best / unit);
	canvas_line(panel->canvas, panel->left, y, panel->right, y, 2, 6, black);
	add_legend(panel, &(struct look){.color = black, .is_bound = true, .name = peak_text});
	draw_frame(panel);
}

static void draw_heading(struct canvas *canvas, const struct bench_result *result)
{
	const struct bench_plan *plan = result->plan;
	const gqe_layer_config *config = &plan->config;
	char text[512];
	snprintf(text, sizeof(text), "%.58s", result->device->name);
	canvas_text(canvas, 28, 22, LARGE, ALIGN_LEFT, black, text);
	snprintf(text, sizeof(text), "%.24s %.34s, path %s, gqe %.12s", result->device->driver_name, result->device->driver_info,
		 gqe_path_name(result->path), gqe_commit());
	canvas_text(canvas, 28, 56, NORMAL, ALIGN_LEFT, gray, text);
	snprintf(text, sizeof(text), "%s, hidden size %u, %u heads, %u KV heads, top-%u, head size %u",
		 bench_dtype_name(plan->dtype), config->hidden_size, config->heads, config->kv_heads, config->top_k,
		 config->head_dim);
	canvas_text(canvas, 28, 80, NORMAL, ALIGN_LEFT, gray, text);
	int length = snprintf(text, sizeof(text), "median of %u, %s, routing %s", plan->samples, bench_clock_text(result),
			      bench_routing_name(plan->routing[0]));
	if (plan->last_chunk > 0)
		snprintf(text + length, sizeof(text) - (size_t)length, ", last %u tokens", plan->last_chunk);
	canvas_text(canvas, 28, 104, NORMAL, ALIGN_LEFT, gray, text);
}

gqe_status bench_plot(const struct bench_result *result, const char *path, gqe_error *error)
{
	struct canvas canvas;
	if (!canvas_create(&canvas, WIDTH, HEIGHT))
		return error_no_memory(error);
	struct panel speedups = {.canvas = &canvas, .left = 100, .top = 170, .right = 570, .bottom = 560};
	struct panel rates = {.canvas = &canvas, .left = 700, .top = 170, .right = 1170, .bottom = 560};
	draw_heading(&canvas, result);
	plot_speedups(&speedups, result);
	plot_rates(&rates, result);
	const bool good = canvas_write_png(&canvas, path);
	const int reason = errno;
	canvas_free(&canvas);
	return good ? GQE_OK : error_set(error, GQE_ERROR_INTERNAL, "--plot: cannot write '%s': %s", path, strerror(reason));
}
