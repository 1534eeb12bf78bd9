/* The result of `gqe compare` as a picture, and as an HTML page. */
#include "compare_figures.h"
#include "page.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { MOST_GROUPS = 4, SHEET_GAP = 24 };

/* The four pictures of the group that says most, two by two. */
gqe_status compare_write_plot(const struct comparison *comparison, const char *path, gqe_error *error)
{
	struct figure_group groups[MOST_GROUPS];
	struct drawing sheet = {0};
	double top = 0;
	if (figure_groups(comparison, groups, MOST_GROUPS) == 0)
		return error_set(error, GQE_ERROR_BAD_INPUT,
				 "--plot: no record has layers of both GQE and dense GQA: nothing to draw");
	for (int figure = 0; figure < FIGURE_COUNT; figure++) {
		const double left = figure % 2 ? CHART_WIDTH + SHEET_GAP : 0;
		figure_draw(comparison, &groups[0], figure, &sheet, left, top);
		if (figure % 2)
			top = sheet.height + SHEET_GAP;
	}
	sheet.width = 2 * CHART_WIDTH + SHEET_GAP;
	gqe_status status = drawing_write_png(&sheet, path, error);
	drawing_free(&sheet);
	return status;
}

static void append_swatch(struct text_buffer *page, size_t column)
{
	struct drawing swatch = {.width = 16, .height = 16};
	draw_marker(&swatch, 8, 8, 7, series_marker(column), true, series_ink(column));
	text_append(page, "<span style=\"display:inline-block;width:1em;vertical-align:-.1em;margin-right:.35em\">");
	drawing_append_svg(&swatch, page, "");
	text_append(page, "</span>");
	drawing_free(&swatch);
}

static void append_label(const struct comparison *comparison, size_t column, struct text_buffer *page)
{
	char name[64];
	compare_series_name(comparison, column, name, sizeof(name));
	append_swatch(page, column);
	text_append_escaped(page, name);
}

static void append_warnings(const struct comparison *comparison, struct text_buffer *page)
{
	for (size_t c = 0; c < comparison->column_count; c++) {
		const struct compare_column *column = &comparison->columns[c];
		if (!column->marked[0] && column->record->complete)
			continue;
		text_append(page, "<p class=\"warning\"><strong>");
		text_append_escaped(page, column->label);
		text_append(page, "</strong> ");
		if (column->marked[0]) {
			text_append(page, "is shown but not judged: ");
			text_append_escaped(page, column->marked);
		} else {
			text_append(page, "was cancelled early: it has less than the others");
		}
		text_append(page, ".</p>\n");
	}
}

/* "2026-11-22T21:01:31Z" as date and time, which may not break within. */
static void append_date(const char *created, struct text_buffer *page)
{
	char text[32];
	snprintf(text, sizeof(text), "%s", created);
	for (char *at = text; *at; at++)
		*at = *at == 'T' || *at == 'Z' ? ' ' : *at;
	text_append(page, "<td class=\"whole\">");
	text_append_escaped(page, text);
	text_append(page, "UTC</td>");
}

static void append_devices(const struct comparison *comparison, struct text_buffer *page)
{
	page_heading(page, "Who was measured");
	text_append(
		page,
		"<div class=\"scroll\"><table>\n<tr><th>record</th><th>device</th><th>driver</th><th>kernels</th>"
		"<th class=\"n\">peak, GFLOP/s</th><th class=\"n\">memory, GB/s</th><th>results right?</th><th>when</th></tr>\n");
	for (size_t c = 0; c < comparison->column_count; c++) {
		const struct record *record = comparison->columns[c].record;
		char text[256];
		uint32_t failed;
		const uint32_t cases = record_cases(record, &failed);
		text_append(page, "<tr><td class=\"whole\">");
		append_swatch(page, c);
		text_append_escaped(page, comparison->columns[c].label);
		text_append(page, "</td><td class=\"wide\">");
		text_append_escaped(page, record->device.name);
		text_append(page, "<br><span class=\"small\">");
		text_append_escaped(page, record->device.type);
		text_append(page, "</span></td><td class=\"wide\">");
		text_append_escaped(page, record->device.driver);
		text_append(page, "<br><span class=\"small\">");
		text_append_escaped(page, record->device.driver_info);
		snprintf(text, sizeof(text), "%.15s path", record->device.path);
		text_append(page, "</span></td>");
		page_cell(page, text, false);
		const double arithmetic = compare_peak_rate(comparison, c, gqe_bench_what_name(GQE_BENCH_FMA_F32));
		const double bandwidth = compare_peak_rate(comparison, c, gqe_bench_what_name(GQE_BENCH_BANDWIDTH));
		snprintf(text, sizeof(text), isfinite(arithmetic) ? "%.3g" : "-", 1e-9 * arithmetic);
		page_cell(page, text, true);
		snprintf(text, sizeof(text), isfinite(bandwidth) ? "%.3g" : "-", 1e-9 * bandwidth);
		page_cell(page, text, true);
		snprintf(text, sizeof(text), failed ? "no: %u of %u checks failed" : "yes, %u of %u checks",
			 failed ? failed : cases, cases);
		page_cell(page, text, false);
		append_date(record->created, page);
		text_append(page, "</tr>\n");
	}
	text_append(page, "</table></div>\n");
}

static void append_figures(const struct comparison *comparison, struct text_buffer *page)
{
	struct figure_group groups[MOST_GROUPS];
	const size_t count = figure_groups(comparison, groups, MOST_GROUPS);
	for (size_t g = 0; g < count; g++) {
		char title[128];
		snprintf(title, sizeof(title), "Layers of hidden size %u in %.7s: %u heads, %u KV heads of %u, top-%u",
			 groups[g].shape.hidden, groups[g].dtype, groups[g].shape.heads, groups[g].shape.kv_heads,
			 groups[g].shape.head_dim, groups[g].shape.top_k);
		page_heading(page, title);
		text_append(page, "<div class=\"figures\">\n");
		for (int figure = 0; figure < FIGURE_COUNT; figure++) {
			struct drawing drawing = {0};
			if (figure_draw(comparison, &groups[g], figure, &drawing, 0, 0)) {
				text_append(page, "<figure>");
				drawing_append_svg(&drawing, page, figure_caption(figure));
				text_append(page, "<figcaption>");
				text_append_escaped(page, figure_caption(figure));
				text_append(page, "</figcaption></figure>\n");
			}
			drawing_free(&drawing);
		}
		text_append(page, "</div>\n");
	}
}

static void append_cell(const struct compare_cell *cell, struct text_buffer *page)
{
	if (cell->verdict == VERDICT_MISSING) {
		text_append(page, "<td class=\"n\">&ndash;</td>");
		return;
	}
	text_append(page, "<td class=\"n\">%.4g ms<br>", cell->ms);
	if (cell->verdict == VERDICT_FASTER || cell->verdict == VERDICT_SLOWER)
		text_append(page, "<strong>%.2f&times;</strong> <span class=\"small\">%.2f&ndash;%.2f</span>", cell->ratio.value,
			    cell->ratio.low, cell->ratio.high);
	else if (cell->verdict != VERDICT_NO_REFERENCE)
		text_append(page, "<span class=\"small\">%s</span>", verdict_text(cell->verdict));
	text_append(page, "</td>");
}

static void append_steps(const struct comparison *comparison, struct text_buffer *page)
{
	page_heading(page, "Every measurement");
	text_append(page, "<p>Times, and below them how many times as fast as ");
	text_append_escaped(page, comparison->columns[comparison->reference].label);
	text_append(page,
		    " that is, with its interval; all intervals of a column hold together with 95%%. &ldquo;No difference&rdquo;: "
		    "nothing beyond %.3g%% is sure. A dash: not measured there, as it would have taken too long.</p>\n"
		    "<div class=\"scroll\"><table>\n<tr><th>what</th>",
		    100 * comparison->options.tolerance);
	for (size_t c = 0; c < comparison->column_count; c++) {
		text_append(page, "<th class=\"n\">");
		append_label(comparison, c, page);
		text_append(page, "</th>");
	}
	text_append(page, "</tr>\n");
	for (size_t i = 0; i < comparison->row_count; i++) {
		const struct compare_row *row = &comparison->rows[i];
		char text[160];
		compare_key_text(&row->key, text, sizeof(text));
		text_append(page, "<tr><td class=\"what\">");
		text_append_escaped(page, text);
		text_append(page, "</td>");
		for (size_t c = 0; c < comparison->column_count; c++)
			append_cell(&row->cells[c], page);
		text_append(page, "</tr>\n");
	}
	text_append(page, "</table></div>\n");
}

/* What someone who never saw the project needs first. */
static void append_introduction(const struct comparison *comparison, struct text_buffer *page)
{
	text_append(page,
		    "<p>Grouped Query Experts (GQE) is attention in which each token computes only some of the query heads; a "
		    "router picks "
		    "them. Dense GQA computes all. This page compares how fast both run on %zu device%s, from one record a "
		    "device.</p>\n",
		    comparison->column_count, comparison->column_count == 1 ? "" : "s");
	text_append(
		page,
		"<p class=\"note\">Only equal work is compared: same shape, length, number format and kernels. It was measured in "
		"rounds, seconds apart. A time, by %s, is that of a quiet round, the lower quartile, as other programs can only "
		"slow it down. Intervals are bootstrapped from the rounds.</p>\n",
		compare_clock_text(comparison));
	if (comparison->options.is_baseline)
		text_append(page,
			    "<p>Against the baseline: of %zu steps, <strong>%zu slower</strong>, %zu faster, %zu without "
			    "difference.</p>\n",
			    comparison->judged, comparison->regressions, comparison->improvements,
			    comparison->judged - comparison->regressions - comparison->improvements);
}

/* The most work, of a GQE layer, that as many records as possible have, and how many those are. */
static const struct compare_row *common_row(const struct comparison *comparison, size_t *columns)
{
	const struct compare_row *best = NULL;
	size_t best_count = 0;
	double best_flop = 0;
	for (size_t i = 0; i < comparison->row_count; i++) {
		const struct compare_row *row = &comparison->rows[i];
		size_t count = 0;
		double flop = 0;
		for (size_t c = 0; c < comparison->column_count; c++)
			if (row->cells[c].entry && !comparison->columns[c].marked[0]) {
				flop = row->cells[c].entry->flop;
				count++;
			}
		const bool is_layer = strcmp(row->key.what, "layer") == 0 && strcmp(row->key.attention, "gqe") == 0;
		if (is_layer && (count > best_count || (count == best_count && flop >= best_flop))) {
			best = row;
			best_count = count;
			best_flop = flop;
		}
	}
	*columns = best_count;
	return best_count > 1 ? best : NULL;
}

/* GQE against dense GQA at the work of a row of GQE; NULL: not measured. */
static const struct compare_speedup *speedup_at(const struct comparison *comparison, const struct compare_row *row)
{
	for (size_t i = 0; i < comparison->speedup_count; i++)
		for (size_t c = 0; c < comparison->column_count; c++)
			if (row->cells[c].entry && comparison->speedups[i].entry[c] == row->cells[c].entry)
				return &comparison->speedups[i];
	return NULL;
}

/* The answer before the figures: who is how fast at the largest work that all were given. */
static void append_answer(const struct comparison *comparison, struct text_buffer *page)
{
	size_t columns;
	const struct compare_row *row = common_row(comparison, &columns);
	bool said[COMPARE_MOST_RECORDS] = {false};
	char text[160];
	if (!row)
		return;
	const struct compare_speedup *speedup = speedup_at(comparison, row);
	compare_key_text(&row->key, text, sizeof(text));
	page_heading(page, "In short");
	text_append(page, "<p>The largest layer that ");
	if (columns < comparison->column_count)
		text_append(page, "%zu of the %zu records have (", columns, comparison->column_count);
	else
		text_append(page, "%s records have (", columns == 2 ? "both" : "all");
	text_append_escaped(page, text);
	text_append(page, "), the fastest first:</p>\n<ol>\n");
	for (size_t place = 0; place < comparison->column_count; place++) {
		size_t best = comparison->column_count;
		for (size_t c = 0; c < comparison->column_count; c++)
			if (row->cells[c].entry && !comparison->columns[c].marked[0] && !said[c] &&
			    (best == comparison->column_count || row->cells[c].ms < row->cells[best].ms))
				best = c;
		if (best == comparison->column_count)
			break;
		said[best] = true;
		text_append(page, "<li>");
		append_label(comparison, best, page);
		text_append(page, ": <strong>%.3g ms</strong>", row->cells[best].ms);
		const double fraction = compare_peak_fraction(comparison, best, row->cells[best].entry);
		if (isfinite(fraction))
			text_append(page, ", %.2g%% of its own peak", 100 * fraction);
		if (speedup && isfinite(speedup->ratio[best].value))
			text_append(page, ", %.2f&times; as fast as its dense GQA", speedup->ratio[best].value);
		if (row->cells[best].verdict == VERDICT_SAME) {
			text_append(page, "; no difference from ");
			text_append_escaped(page, comparison->columns[comparison->reference].label);
		}
		text_append(page, "</li>\n");
	}
	text_append(page, "</ol>\n");
}

gqe_status compare_write_page(const struct comparison *comparison, const char *path, gqe_error *error)
{
	struct text_buffer page = {0};
	page_begin(&page, comparison->column_count > 1 ? "Devices compared" : "One device");
	append_introduction(comparison, &page);
	append_warnings(comparison, &page);
	append_answer(comparison, &page);
	append_devices(comparison, &page);
	append_figures(comparison, &page);
	append_steps(comparison, &page);
	page_end(&page);
	gqe_status status = GQE_OK;
	if (page.failed)
		status = error_no_memory(error);
	else if (!text_write_file(path, page.text, page.length))
		status = error_set(error, GQE_ERROR_INTERNAL, "--html: cannot write '%s': %s", path, strerror(errno));
	text_buffer_free(&page);
	return status;
}
