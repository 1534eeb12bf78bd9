/* The result of `gqe compare` as a table for terminals, Markdown, CSV and JSON. */
#include "compare.h"

#include "terminal.h"

#include <math.h>
#include <string.h>

static void device_text(const struct record *record, char *text, size_t size)
{
	snprintf(text, size, "%.100s (%.60s%s%.60s)", record->device.name, record->device.driver,
		 record->device.driver_info[0] ? " " : "", record->device.driver_info);
}

/* "1.78x 1.75-1.80", "no difference 0.97-1.04", "" */
static void ratio_text(const struct compare_cell *cell, char *text, size_t size)
{
	switch (cell->verdict) {
	case VERDICT_FASTER:
	case VERDICT_SLOWER:
		snprintf(text, size, "%.2fx (%.2f-%.2f)", cell->ratio.value, cell->ratio.low, cell->ratio.high);
		return;
	case VERDICT_SAME:
		snprintf(text, size, "no difference (%.2f-%.2f)", cell->ratio.low, cell->ratio.high);
		return;
	case VERDICT_MISSING:
		snprintf(text, size, "-");
		return;
	case VERDICT_NOT_JUDGED:
	case VERDICT_FEW_ROUNDS:
	case VERDICT_NO_REFERENCE:
	case VERDICT_REFERENCE:
		break;
	}
	snprintf(text, size, "%s", verdict_text(cell->verdict));
}

/* Cells of Markdown must not end early, and names come from outside. */
static void append_markdown_text(struct text_buffer *out, const char *text)
{
	for (; *text; text++)
		text_append(out, strchr("|\\`*_<>[]", *text) ? "\\%c" : "%c", *text);
}

/* A grid of texts, printed aligned or as Markdown. */
struct grid {
	struct text_buffer *out;
	bool markdown;
	const int *widths; /* of the table's columns; the first is aligned left */
	size_t column;
};

static void grid_cell(struct grid *grid, const char *text)
{
	const int width = grid->widths[grid->column > 1 ? 1 : grid->column];
	if (grid->markdown) {
		text_append(grid->out, grid->column ? " | " : "| ");
		append_markdown_text(grid->out, text);
	} else {
		text_append(grid->out, grid->column ? "  %*s" : "  %-*s", width, text);
	}
	grid->column++;
}

static void grid_end(struct grid *grid)
{
	text_append(grid->out, grid->markdown ? " |\n" : "\n");
	grid->column = 0;
}

/* The records' labels, and below them Markdown's rule. */
static void grid_head(struct grid *grid, const struct comparison *comparison, const char *first)
{
	grid_cell(grid, first);
	for (size_t i = 0; i < comparison->column_count; i++) {
		char name[64];
		compare_series_name(comparison, i, name, sizeof(name));
		grid_cell(grid, name);
	}
}

static void grid_rule(struct grid *grid, size_t columns)
{
	grid_end(grid);
	if (!grid->markdown)
		return;
	text_append(grid->out, "|---|");
	for (size_t i = 1; i < columns; i++)
		text_append(grid->out, "---:|");
	text_append(grid->out, "\n");
}

static void append_title(struct text_buffer *out, bool markdown, const char *title)
{
	text_append(out, markdown ? "\n## %s\n\n" : "\n%s\n", title);
}

static void append_records(const struct comparison *comparison, bool markdown, struct text_buffer *out)
{
	for (size_t i = 0; i < comparison->column_count; i++) {
		const struct compare_column *column = &comparison->columns[i];
		uint32_t failed;
		const uint32_t cases = record_cases(column->record, &failed);
		char device[256];
		device_text(column->record, device, sizeof(device));
		text_append(out, markdown ? "- **" : "%s", "");
		if (markdown)
			append_markdown_text(out, column->label);
		else
			text_append(out, "%s", column->label);
		text_append(out, markdown ? "**: " : ": ");
		if (markdown)
			append_markdown_text(out, device);
		else
			text_append(out, "%s", device);
		text_append(out, ", path %s, gqe %s, %s, self-test %u of %u, %s%s%s%s%s\n", column->record->device.path,
			    column->record->commit, column->record->created, cases - failed, cases, column->record->mode,
			    column->record->complete ? "" : ", cancelled early",
			    compare_lacks_clock(comparison, i) ? ", no clock of its own: wall clock" : "",
			    column->marked[0] ? "; NOT JUDGED: " : "", column->marked);
	}
	text_append(
		out,
		"%sTimes are lower quartiles over the rounds, by %s. Intervals of differences are bootstrapped from the rounds,\n"
		"and all of a record hold together with 95%%; up to %.3g%% is no difference.\n",
		markdown ? "\n" : "", compare_clock_text(comparison), 100 * comparison->options.tolerance);
}

/* As wide as what the columns hold; the first is as wide as the longest text of a row. */
static void find_widths(const struct comparison *comparison, int widths[2], int least)
{
	char text[160];
	widths[0] = 46;
	widths[1] = least;
	for (size_t i = 0; i < comparison->row_count; i++) {
		compare_key_text(&comparison->rows[i].key, text, sizeof(text));
		widths[0] = (int)strlen(text) > widths[0] ? (int)strlen(text) : widths[0];
	}
	for (size_t c = 0; c < comparison->column_count; c++) {
		compare_series_name(comparison, c, text, sizeof(text));
		widths[1] = (int)strlen(text) > widths[1] ? (int)strlen(text) : widths[1];
	}
}

static void append_speedups(const struct comparison *comparison, bool markdown, struct text_buffer *out)
{
	int widths[2];
	find_widths(comparison, widths, 20);
	struct grid grid = {.out = out, .markdown = markdown, .widths = widths};
	if (comparison->speedup_count == 0)
		return;
	append_title(out, markdown, "GQE against dense GQA, on each device: time of GQA / time of GQE");
	grid_head(&grid, comparison, "what");
	grid_cell(&grid, "arithmetic bound");
	grid_rule(&grid, comparison->column_count + 2);
	for (size_t i = 0; i < comparison->speedup_count; i++) {
		const struct compare_speedup *speedup = &comparison->speedups[i];
		char text[160];
		compare_key_text(&speedup->key, text, sizeof(text));
		grid_cell(&grid, text);
		for (size_t c = 0; c < comparison->column_count; c++) {
			const struct interval *ratio = &speedup->ratio[c];
			snprintf(text, sizeof(text), isfinite(ratio->value) ? "%.2f (%.2f-%.2f)" : "-", ratio->value, ratio->low,
				 ratio->high);
			grid_cell(&grid, text);
		}
		snprintf(text, sizeof(text), "%.2f", speedup->bound);
		grid_cell(&grid, text);
		grid_end(&grid);
	}
}

static void append_rows(const struct comparison *comparison, bool markdown, struct text_buffer *out)
{
	int widths[2];
	find_widths(comparison, widths, 36);
	struct grid grid = {.out = out, .markdown = markdown, .widths = widths};
	char text[160], title[120];
	snprintf(title, sizeof(title), "Milliseconds, and how many times as fast as %s",
		 comparison->columns[comparison->reference].label);
	append_title(out, markdown, title);
	grid_head(&grid, comparison, "what");
	grid_rule(&grid, comparison->column_count + 1);
	for (size_t i = 0; i < comparison->row_count; i++) {
		const struct compare_row *row = &comparison->rows[i];
		compare_key_text(&row->key, text, sizeof(text));
		grid_cell(&grid, text);
		for (size_t c = 0; c < comparison->column_count; c++) {
			const struct compare_cell *cell = &row->cells[c];
			char ratio[64];
			ratio_text(cell, ratio, sizeof(ratio));
			if (cell->verdict == VERDICT_MISSING)
				snprintf(text, sizeof(text), "-");
			else if (cell->verdict == VERDICT_REFERENCE || cell->verdict == VERDICT_NO_REFERENCE)
				snprintf(text, sizeof(text), "%.4g", cell->ms);
			else
				snprintf(text, sizeof(text), "%.4g  %s", cell->ms, ratio);
			grid_cell(&grid, text);
		}
		grid_end(&grid);
	}
	if (comparison->options.is_baseline)
		text_append(out, "\n%zu steps compared: %zu slower, %zu faster, %zu no difference\n", comparison->judged,
			    comparison->regressions, comparison->improvements,
			    comparison->judged - comparison->regressions - comparison->improvements);
}

/* A spreadsheet takes a text that begins like a formula for one, and runs it: names come from outside. */
static void append_csv_text(struct text_buffer *out, const char *text)
{
	text_append(out, *text && strchr("=+-@", *text) ? "\"'" : "\"");
	for (; *text; text++)
		text_append(out, *text == '"' ? "\"\"" : "%c", *text);
	text_append(out, "\"");
}

static void append_csv_number(struct text_buffer *out, double value)
{
	text_append(out, isfinite(value) ? ",%.9g" : ",", value);
}

/* A model's run has no shape of a layer. */
static void append_csv_key(const struct compare_key *key, const char *path, struct text_buffer *out)
{
	const struct record_shape *shape = &key->shape;
	text_append(out, "%s,%s,%s,%s,", key->what, key->attention, key->dtype, path);
	if (key->model) {
		append_csv_text(out, key->model->name);
		text_append(out, ",,,,,,,%u,", key->tokens);
	} else {
		text_append(out, ",%u,%u,%u,%u,%u,%s,%u,%u", shape->hidden, shape->heads, shape->kv_heads, shape->head_dim,
			    shape->top_k, key->routing, key->tokens, key->computed);
	}
}

static void append_csv(const struct comparison *comparison, struct text_buffer *out)
{
	text_append(out, "record,device,driver,driver_info,what,attention,dtype,path,model,hidden,heads,kv_heads,head_dim,top_k,"
			 "routing,tokens,computed,ms,peak_fraction,times_as_fast,low,high,verdict\n");
	for (size_t r = 0; r < comparison->row_count; r++)
		for (size_t c = 0; c < comparison->column_count; c++) {
			const struct compare_row *row = &comparison->rows[r];
			const struct compare_cell *cell = &row->cells[c];
			const struct record *record = comparison->columns[c].record;
			if (cell->verdict == VERDICT_MISSING)
				continue;
			const char *const origin[] = {comparison->columns[c].label, record->device.name, record->device.driver,
						      record->device.driver_info};
			for (size_t i = 0; i < sizeof(origin) / sizeof(origin[0]); i++) {
				append_csv_text(out, origin[i]);
				text_append(out, ",");
			}
			append_csv_key(&row->key, cell->entry ? cell->entry->path : record->device.path, out);
			append_csv_number(out, cell->ms);
			append_csv_number(out, cell->entry ? compare_peak_fraction(comparison, c, cell->entry) : NAN);
			append_csv_number(out, cell->ratio.value);
			append_csv_number(out, cell->ratio.low);
			append_csv_number(out, cell->ratio.high);
			text_append(out, ",%s\n", verdict_text(cell->verdict));
		}
}

void compare_append(const struct comparison *comparison, enum compare_format format, struct text_buffer *out)
{
	if (format == COMPARE_CSV) {
		append_csv(comparison, out);
		return;
	}
	if (format == COMPARE_MARKDOWN)
		text_append(out, "# Devices compared\n\n");
	append_records(comparison, format == COMPARE_MARKDOWN, out);
	append_speedups(comparison, format == COMPARE_MARKDOWN, out);
	append_rows(comparison, format == COMPARE_MARKDOWN, out);
}

static void add_interval(cJSON *object, const char *key, const struct interval *interval)
{
	cJSON *item = cJSON_AddObjectToObject(object, key);
	json_add_number(item, "value", interval->value);
	json_add_number(item, "low", interval->low);
	json_add_number(item, "high", interval->high);
}

static cJSON *key_to_json(const struct compare_key *key)
{
	cJSON *object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "what", key->what);
	if (key->attention[0])
		cJSON_AddStringToObject(object, "attention", key->attention);
	cJSON_AddStringToObject(object, "dtype", key->dtype);
	cJSON_AddNumberToObject(object, "tokens", key->tokens);
	if (key->model) {
		cJSON_AddStringToObject(object, "model", key->model->name);
		cJSON_AddStringToObject(object, "weights_hash", key->model->weights_hash);
		cJSON_AddStringToObject(object, "prompt_hash", key->model->prompt_hash);
		return object;
	}
	cJSON_AddNumberToObject(object, "hidden", key->shape.hidden);
	cJSON_AddNumberToObject(object, "heads", key->shape.heads);
	cJSON_AddNumberToObject(object, "kv_heads", key->shape.kv_heads);
	cJSON_AddNumberToObject(object, "head_dim", key->shape.head_dim);
	cJSON_AddNumberToObject(object, "top_k", key->shape.top_k);
	cJSON_AddStringToObject(object, "routing", key->routing);
	cJSON_AddNumberToObject(object, "computed", key->computed);
	return object;
}

static cJSON *row_to_json(const struct comparison *comparison, const struct compare_row *row)
{
	cJSON *object = key_to_json(&row->key), *cells = cJSON_AddArrayToObject(object, "records");
	for (size_t c = 0; c < comparison->column_count; c++) {
		const struct compare_cell *cell = &row->cells[c];
		cJSON *item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "record", comparison->columns[c].label);
		cJSON_AddStringToObject(item, "verdict", verdict_text(cell->verdict));
		json_add_number(item, "ms", cell->ms);
		json_add_number(item, "peak_fraction", cell->entry ? compare_peak_fraction(comparison, c, cell->entry) : NAN);
		add_interval(item, "times_as_fast", &cell->ratio);
		cJSON_AddItemToArray(cells, item);
	}
	return object;
}

cJSON *compare_json(const struct comparison *comparison)
{
	cJSON *document = cJSON_CreateObject();
	cJSON *records = cJSON_AddArrayToObject(document, "records");
	for (size_t c = 0; c < comparison->column_count; c++) {
		const struct compare_column *column = &comparison->columns[c];
		cJSON *item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "label", column->label);
		cJSON_AddStringToObject(item, "device", column->record->device.name);
		cJSON_AddStringToObject(item, "driver_info", column->record->device.driver_info);
		cJSON_AddStringToObject(item, "commit", column->record->commit);
		cJSON_AddStringToObject(item, "shader_hash", column->record->shader_hash);
		cJSON_AddBoolToObject(item, "judged", !column->marked[0]);
		cJSON_AddStringToObject(item, "marked", column->marked);
		cJSON_AddItemToArray(records, item);
	}
	cJSON_AddStringToObject(document, "reference", comparison->columns[comparison->reference].label);
	cJSON_AddStringToObject(document, "clock", bench_clock_name(comparison->options.clock));
	cJSON_AddNumberToObject(document, "tolerance", comparison->options.tolerance);
	cJSON *rows = cJSON_AddArrayToObject(document, "steps");
	for (size_t i = 0; i < comparison->row_count; i++)
		cJSON_AddItemToArray(rows, row_to_json(comparison, &comparison->rows[i]));
	cJSON *speedups = cJSON_AddArrayToObject(document, "speedups");
	for (size_t i = 0; i < comparison->speedup_count; i++) {
		const struct compare_speedup *speedup = &comparison->speedups[i];
		cJSON *object = key_to_json(&speedup->key), *ratios = cJSON_AddArrayToObject(object, "records");
		cJSON_AddNumberToObject(object, "bound", speedup->bound);
		for (size_t c = 0; c < comparison->column_count; c++) {
			cJSON *item = cJSON_CreateObject();
			cJSON_AddStringToObject(item, "record", comparison->columns[c].label);
			add_interval(item, "gqa_over_gqe", &speedup->ratio[c]);
			cJSON_AddItemToArray(ratios, item);
		}
		cJSON_AddItemToArray(speedups, object);
	}
	cJSON_AddNumberToObject(document, "slower", (double)comparison->regressions);
	cJSON_AddNumberToObject(document, "faster", (double)comparison->improvements);
	cJSON_AddNumberToObject(document, "compared", (double)comparison->judged);
	return document;
}
