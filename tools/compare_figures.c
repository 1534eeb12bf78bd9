#include "compare_figures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_POINTS = 64, MOST_GROUPS = 64 };

/* The points of one record's series. */
struct points {
	double x[MOST_POINTS], y[MOST_POINTS], low[MOST_POINTS], high[MOST_POINTS];
	size_t count;
};

/* Everything a line chart of all records needs; allocated, as it is large. */
struct figure {
	struct points points[2 * COMPARE_MOST_RECORDS];
	struct series series[2 * COMPARE_MOST_RECORDS];
	size_t series_count;
	char names[COMPARE_MOST_RECORDS][64];
};

const char *figure_caption(int figure)
{
	static const char *const captions[FIGURE_COUNT] = {
		[FIGURE_SPEEDUP] =
			"How many times as fast a GQE layer is as a dense GQA layer on the same device. Bars are 95% intervals; "
			"the dashed line is what counting operations allows.",
		[FIGURE_PEAK] =
			"The rate of a GQE layer as a part of what the same device reaches when it does nothing but multiply and "
			"add. Higher is nearer to the device's own limit; it does not say which device is faster.",
		[FIGURE_STEPS] =
			"Where the time of a layer goes. For each device the length of its dense GQA bar is 100%, so that fast and "
			"slow devices can be read side by side; the milliseconds stand at the end.",
		[FIGURE_ROOFLINE] =
			"Each marker is a measurement, the dashed line of its colour the limit of its device: slanted where memory "
			"is the limit, flat where arithmetic is. Bytes are those of everything that the work holds in memory, each "
			"counted "
			"once. Filled: layers; hollow: attention alone.",
	};
	return captions[figure];
}

static bool in_group(const struct compare_key *key, const struct figure_group *group, const char *what)
{
	return !key->model && strcmp(key->what, what) == 0 && strcmp(key->dtype, group->dtype) == 0 &&
	       memcmp(&key->shape, &group->shape, sizeof(key->shape)) == 0;
}

/* A series is of one path. */
static bool is_shown(const struct comparison *comparison, size_t column, const struct record_entry *entry)
{
	return entry && compare_is_main(comparison, column, entry);
}

static int by_points(const void *a, const void *b)
{
	const struct figure_group *x = a, *y = b;
	if (x->columns != y->columns)
		return x->columns < y->columns ? 1 : -1;
	if (x->points != y->points)
		return x->points < y->points ? 1 : -1;
	const int order = strcmp(x->dtype, y->dtype);
	return order ? order : (int)y->shape.hidden - (int)x->shape.hidden;
}

size_t figure_groups(const struct comparison *comparison, struct figure_group *groups, size_t most)
{
	struct figure_group all[MOST_GROUPS];
	size_t count = 0;
	for (size_t i = 0; i < comparison->speedup_count; i++) {
		const struct compare_speedup *speedup = &comparison->speedups[i];
		struct figure_group *group = all;
		if (strcmp(speedup->key.what, "layer") != 0)
			continue;
		while (group < all + count && !in_group(&speedup->key, group, "layer"))
			group++;
		if (group == all + MOST_GROUPS)
			continue;
		if (group == all + count) {
			*group = (struct figure_group){.shape = speedup->key.shape,
						       .spelled_out = (speedup->key.spelled_out & KEY_HEADS) != 0};
			memcpy(group->dtype, speedup->key.dtype, sizeof(group->dtype));
			count++;
		}
		size_t columns = 0;
		for (size_t c = 0; c < comparison->column_count; c++)
			columns += isfinite(speedup->ratio[c].value) && !comparison->columns[c].marked[0] &&
				   is_shown(comparison, c, speedup->entry[c]);
		group->points += columns;
		group->columns = columns > group->columns ? columns : group->columns;
	}
	qsort(all, count, sizeof(*all), by_points);
	count = count < most ? count : most;
	memcpy(groups, all, count * sizeof(*groups));
	return count;
}

static void add_point(struct points *points, double x, double y, double low, double high)
{
	if (points->count == MOST_POINTS || !isfinite(y))
		return;
	points->x[points->count] = x;
	points->y[points->count] = y;
	points->low[points->count] = low;
	points->high[points->count] = high;
	points->count++;
}

/* The series of the points that follow the last series'; none when there are no points. */
static struct series *add_series(struct figure *figure, const char *name, size_t column, bool has_intervals)
{
	struct points *points = &figure->points[figure->series_count];
	if (points->count == 0)
		return NULL;
	struct series *series = &figure->series[figure->series_count++];
	*series = (struct series){.name = name,
				  .ink = series_ink(column),
				  .marker = series_marker(column),
				  .filled = true,
				  .x = points->x,
				  .y = points->y,
				  .low = has_intervals ? points->low : NULL,
				  .high = has_intervals ? points->high : NULL,
				  .count = points->count};
	return series;
}

static void place(const struct line_chart *chart, struct drawing *drawing, double left, double top)
{
	drawing->width = fmax(drawing->width, left + CHART_WIDTH);
	drawing->height = fmax(drawing->height, top + line_chart_height(chart));
	line_chart_draw(chart, drawing, left, top);
}

static void group_title(const struct figure_group *group, const char *what, char *title, size_t size)
{
	const struct record_shape *shape = &group->shape;
	if (group->spelled_out)
		snprintf(title, size, "%s (%s, d %u, %u/%u x %u)", what, group->dtype, shape->hidden, shape->heads, shape->kv_heads,
			 shape->head_dim);
	else
		snprintf(title, size, "%s (%s, d %u)", what, group->dtype, shape->hidden);
}

static bool draw_speedups(const struct comparison *comparison, const struct figure_group *group, struct figure *figure,
			  struct drawing *drawing, double left, double top)
{
	char title[96];
	for (size_t c = 0; c < comparison->column_count; c++) {
		for (size_t i = 0; i < comparison->speedup_count; i++) {
			const struct compare_speedup *speedup = &comparison->speedups[i];
			if (in_group(&speedup->key, group, "layer") && is_shown(comparison, c, speedup->entry[c]))
				add_point(&figure->points[figure->series_count], speedup->key.tokens, speedup->ratio[c].value,
					  speedup->ratio[c].low, speedup->ratio[c].high);
		}
		add_series(figure, figure->names[c], c, true);
	}
	if (figure->series_count == 0)
		return false;
	for (size_t i = 0; i < comparison->speedup_count; i++) {
		const struct compare_speedup *speedup = &comparison->speedups[i];
		if (in_group(&speedup->key, group, "layer"))
			add_point(&figure->points[figure->series_count], speedup->key.tokens, speedup->bound, NAN, NAN);
	}
	struct series *bound = add_series(figure, "arithmetic bound", 0, false);
	if (bound) {
		bound->ink = INK_TEXT;
		bound->is_bound = true;
	}
	group_title(group, "Speedup of GQE over dense GQA", title, sizeof(title));
	const struct line_chart chart = {.title = title,
					 .x_title = "tokens of context",
					 .y_title = "time of GQA / time of GQE",
					 .x_kind = AXIS_TOKENS,
					 .y_low = 1,
					 .y_high = 1.8,
					 .series = figure->series,
					 .series_count = figure->series_count};
	place(&chart, drawing, left, top);
	return true;
}

static bool is_gqe_row(const struct compare_row *row, const struct figure_group *group, const char *what)
{
	return in_group(&row->key, group, what) && strcmp(row->key.attention, "gqe") == 0;
}

static bool draw_peak_fractions(const struct comparison *comparison, const struct figure_group *group, struct figure *figure,
				struct drawing *drawing, double left, double top)
{
	char title[96];
	for (size_t c = 0; c < comparison->column_count; c++) {
		for (size_t i = 0; i < comparison->row_count; i++) {
			const struct compare_row *row = &comparison->rows[i];
			if (is_gqe_row(row, group, "layer") && is_shown(comparison, c, row->cells[c].entry))
				add_point(&figure->points[figure->series_count], row->key.tokens,
					  100 * compare_peak_fraction(comparison, c, row->cells[c].entry), NAN, NAN);
		}
		add_series(figure, figure->names[c], c, false);
	}
	if (figure->series_count == 0)
		return false;
	group_title(group, "GQE layer, part of its own peak", title, sizeof(title));
	const struct line_chart chart = {.title = title,
					 .x_title = "tokens of context",
					 .y_title = "% of peak",
					 .x_kind = AXIS_TOKENS,
					 .y_low = 0,
					 .y_high = 10,
					 .series = figure->series,
					 .series_count = figure->series_count};
	place(&chart, drawing, left, top);
	return true;
}

/* The roof of a device: bandwidth times intensity, up to the arithmetic peak; points are billions a second. */
static void add_roof(struct figure *figure, const struct comparison *comparison, size_t column, const char *peak)
{
	const double bandwidth = compare_peak_rate(comparison, column, gqe_bench_what_name(GQE_BENCH_BANDWIDTH)) * 1e-9;
	const double arithmetic = compare_peak_rate(comparison, column, peak) * 1e-9;
	struct points *points = &figure->points[figure->series_count];
	if (!isfinite(bandwidth) || !isfinite(arithmetic))
		return;
	const double ridge = arithmetic / bandwidth;
	add_point(points, fmin(1, ridge / 2), bandwidth * fmin(1, ridge / 2), NAN, NAN);
	add_point(points, ridge, arithmetic, NAN, NAN);
	add_point(points, fmax(1000, ridge * 2), arithmetic, NAN, NAN);
	struct series *roof = add_series(figure, NULL, column, false);
	if (roof)
		roof->is_bound = true;
}

static bool draw_roofline(const struct comparison *comparison, const struct figure_group *group, struct figure *figure,
			  struct drawing *drawing, double left, double top)
{
	static const char *const whats[] = {"layer", "attention"};
	char title[96];
	/* Three series a record are one more than the figure holds for the most records: those beyond are left out. */
	for (size_t c = 0; c < comparison->column_count && figure->series_count + 3 <= 2 * COMPARE_MOST_RECORDS; c++) {
		const char *peak = NULL;
		for (size_t w = 0; w < 2; w++) {
			for (size_t i = 0; i < comparison->row_count; i++) {
				const struct compare_row *row = &comparison->rows[i];
				const struct record_entry *entry = row->cells[c].entry;
				if (!is_gqe_row(row, group, whats[w]) || !is_shown(comparison, c, entry) ||
				    entry->memory_bytes <= 0)
					continue;
				peak = entry->peak;
				add_point(&figure->points[figure->series_count], entry->flop / entry->memory_bytes,
					  1e-6 * entry->flop / row->cells[c].ms, NAN, NAN);
			}
			struct series *series = add_series(figure, w == 0 ? figure->names[c] : NULL, c, false);
			if (series) {
				series->no_line = true;
				series->filled = w == 0;
			}
		}
		if (peak)
			add_roof(figure, comparison, c, peak);
	}
	if (figure->series_count == 0)
		return false;
	group_title(group, "Roofline of GQE", title, sizeof(title));
	const struct line_chart chart = {.title = title,
					 .x_title = "operations per byte held (hollow: attention alone)",
					 .y_title = "GFLOP/s",
					 .x_kind = AXIS_LOG,
					 .y_kind = AXIS_LOG,
					 .y_low = NAN,
					 .y_high = NAN,
					 .series = figure->series,
					 .series_count = figure->series_count};
	place(&chart, drawing, left, top);
	return true;
}

/* ----------------------------------------------------------------------------------------------------------------- steps -- */

static void fill_bar(const struct comparison *comparison, size_t column, const struct compare_cell *cell, const char *attention,
		     double dense_ms, struct bar *bar)
{
	const struct record_entry *entry = cell->entry;
	double sum = 0;
	char name[40];
	compare_series_name(comparison, column, name, sizeof(name));
	snprintf(bar->label, sizeof(bar->label), "%.40s, %s", name, attention);
	snprintf(bar->value, sizeof(bar->value), "%.3g ms", cell->ms);
	for (int step = GQE_LAYER_STEP_OTHER + 1; step < GQE_LAYER_STEP_COUNT; step++) {
		if (!entry->step_ms[step])
			continue;
		const struct rounds rounds = rounds_of(entry->step_ms[step], entry->samples.rounds, entry->samples.count);
		bar->parts[step] = rounds_time(&rounds);
		sum += bar->parts[step];
	}
	/* Parts are measured by the device's clock; their proportions are put on the comparison's. */
	for (int step = GQE_LAYER_STEP_OTHER + 1; step < GQE_LAYER_STEP_COUNT && sum > 0; step++)
		bar->parts[step] *= 100 * cell->ms / dense_ms / sum;
}

/* The longest context that most records have. */
static const struct compare_row *steps_row(const struct comparison *comparison, const struct figure_group *group)
{
	const struct compare_row *best = NULL;
	size_t best_count = 0;
	for (size_t i = 0; i < comparison->row_count; i++) {
		const struct compare_row *row = &comparison->rows[i];
		size_t count = 0;
		for (size_t c = 0; c < comparison->column_count; c++)
			count += is_shown(comparison, c, row->cells[c].entry);
		if (is_gqe_row(row, group, "layer") && count >= best_count) {
			best = row;
			best_count = count;
		}
	}
	return best;
}

static const struct compare_row *dense_row(const struct comparison *comparison, const struct compare_row *gqe)
{
	for (size_t i = 0; i < comparison->row_count; i++) {
		const struct compare_row *row = &comparison->rows[i];
		if (!row->key.model && strcmp(row->key.what, gqe->key.what) == 0 && strcmp(row->key.attention, "gqa") == 0 &&
		    strcmp(row->key.dtype, gqe->key.dtype) == 0 && strcmp(row->key.path, gqe->key.path) == 0 &&
		    row->key.tokens == gqe->key.tokens && memcmp(&row->key.shape, &gqe->key.shape, sizeof(row->key.shape)) == 0)
			return row;
	}
	return NULL;
}

static bool draw_steps(const struct comparison *comparison, const struct figure_group *group, struct drawing *drawing, double left,
		       double top)
{
	static const char *const names[GQE_LAYER_STEP_COUNT] = {
		[GQE_LAYER_STEP_OTHER] = "other",
		[GQE_LAYER_STEP_ROUTER] = "router",
		[GQE_LAYER_STEP_EXPERT_LISTS] = "expert lists",
		[GQE_LAYER_STEP_Q_PROJ] = "Q projection",
		[GQE_LAYER_STEP_KV_PROJ] = "K, V projections",
		[GQE_LAYER_STEP_ATTENTION] = "attention",
		[GQE_LAYER_STEP_COMBINE] = "combine",
		[GQE_LAYER_STEP_O_PROJ] = "O projection",
	};
	_Static_assert(GQE_LAYER_STEP_COUNT <= BAR_MOST_PARTS, "a part of the bar for every step");
	struct bar bars[2 * COMPARE_MOST_RECORDS] = {0};
	size_t count = 0;
	const struct compare_row *gqe = steps_row(comparison, group), *gqa = gqe ? dense_row(comparison, gqe) : NULL;
	for (size_t c = 0; gqa && c < comparison->column_count; c++) {
		if (!is_shown(comparison, c, gqe->cells[c].entry) || !gqa->cells[c].entry || !(gqa->cells[c].ms > 0))
			continue;
		fill_bar(comparison, c, &gqa->cells[c], "GQA", gqa->cells[c].ms, &bars[count++]);
		fill_bar(comparison, c, &gqe->cells[c], "GQE", gqa->cells[c].ms, &bars[count++]);
	}
	if (count == 0)
		return false;
	char what[48], title[96];
	snprintf(what, sizeof(what), "Layer's time by part, %u tokens", gqe->key.tokens);
	group_title(group, what, title, sizeof(title));
	const struct bar_chart chart = {.title = title,
					.x_title = "% of the device's dense GQA time",
					.part_names = names,
					.part_count = GQE_LAYER_STEP_COUNT,
					.bars = bars,
					.bar_count = count};
	drawing->width = fmax(drawing->width, left + CHART_WIDTH);
	drawing->height = fmax(drawing->height, top + bar_chart_height(&chart));
	bar_chart_draw(&chart, drawing, left, top);
	return true;
}

bool figure_draw(const struct comparison *comparison, const struct figure_group *group, int figure, struct drawing *drawing,
		 double left, double top)
{
	if (figure == FIGURE_STEPS)
		return draw_steps(comparison, group, drawing, left, top);
	struct figure *data = calloc(1, sizeof(*data));
	if (!data) {
		drawing->failed = true;
		return false;
	}
	for (size_t c = 0; c < comparison->column_count; c++)
		compare_series_name(comparison, c, data->names[c], sizeof(data->names[c]));
	bool drawn = false;
	if (figure == FIGURE_SPEEDUP)
		drawn = draw_speedups(comparison, group, data, drawing, left, top);
	else if (figure == FIGURE_PEAK)
		drawn = draw_peak_fractions(comparison, group, data, drawing, left, top);
	else
		drawn = draw_roofline(comparison, group, data, drawing, left, top);
	free(data);
	return drawn;
}
