#include "compare.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *verdict_text(enum verdict verdict)
{
	static const char *const texts[] = {
		[VERDICT_MISSING] = "not measured",
		[VERDICT_REFERENCE] = "reference",
		[VERDICT_NO_REFERENCE] = "no reference",
		[VERDICT_NOT_JUDGED] = "not judged",
		[VERDICT_FEW_ROUNDS] = "too few rounds",
		[VERDICT_SAME] = "no difference",
		[VERDICT_FASTER] = "faster",
		[VERDICT_SLOWER] = "slower",
	};
	return texts[verdict];
}

const double *compare_samples(const struct comparison *comparison, const struct record_samples *samples)
{
	if (comparison->options.clock == BENCH_CLOCK_CPU)
		return samples->cpu_ms;
	/* A model's run has no device clock. */
	return comparison->options.clock == BENCH_CLOCK_GPU && samples->gpu_ms ? samples->gpu_ms : samples->wall_ms;
}

const char *compare_clock_text(const struct comparison *comparison)
{
	switch (comparison->options.clock) {
	case BENCH_CLOCK_GPU:
		return "the device's clock";
	case BENCH_CLOCK_WALL:
		return "wall clock";
	case BENCH_CLOCK_CPU:
		break;
	}
	return "processor time of the whole process";
}

static bool same_shape(const struct record_shape *a, const struct record_shape *b)
{
	return a->hidden == b->hidden && a->heads == b->heads && a->kv_heads == b->kv_heads && a->top_k == b->top_k &&
	       a->head_dim == b->head_dim;
}

static bool same_model(const struct record_model *a, const struct record_model *b)
{
	return a == b || (a && b && strcmp(a->weights_hash, b->weights_hash) == 0 && strcmp(a->prompt_hash, b->prompt_hash) == 0 &&
			  a->prompt_tokens == b->prompt_tokens && a->generated_tokens == b->generated_tokens);
}

static bool same_key(const struct compare_key *a, const struct compare_key *b)
{
	return strcmp(a->what, b->what) == 0 && strcmp(a->attention, b->attention) == 0 && strcmp(a->dtype, b->dtype) == 0 &&
	       strcmp(a->routing, b->routing) == 0 && strcmp(a->path, b->path) == 0 && same_shape(&a->shape, &b->shape) &&
	       a->tokens == b->tokens && a->computed == b->computed && same_model(a->model, b->model);
}

static struct compare_key key_of(const struct comparison *comparison, const struct record_entry *entry)
{
	struct compare_key key = {.shape = entry->shape, .tokens = entry->tokens, .computed = entry->computed};
	memcpy(key.what, entry->what, sizeof(key.what));
	memcpy(key.attention, entry->attention, sizeof(key.attention));
	memcpy(key.dtype, entry->dtype, sizeof(key.dtype));
	memcpy(key.routing, entry->routing, sizeof(key.routing));
	if (comparison->options.all_paths)
		memcpy(key.path, entry->path, sizeof(key.path));
	return key;
}

static void append_detail(char *text, size_t size, const char *format, ...) GQE_PRINTF(3, 4);
static void append_detail(char *text, size_t size, const char *format, ...)
{
	const size_t length = strlen(text);
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text + length, size - length, format, arguments);
	va_end(arguments);
}

void compare_key_text(const struct compare_key *key, char *text, size_t size)
{
	if (key->model) {
		snprintf(text, size, "%s of %.60s, %s", key->what, key->model->name, key->dtype);
		if (key->spelled_out & KEY_MODEL)
			append_detail(text, size, ", weights %.8s, prompt %.8s of %u tokens", key->model->weights_hash,
				      key->model->prompt_hash, key->model->prompt_tokens);
		return;
	}
	const char *attention = strcmp(key->attention, "gqe") == 0   ? " GQE"
				: strcmp(key->attention, "gqa") == 0 ? " dense GQA"
								     : "";
	snprintf(text, size, "%s%s, %s, %u tokens, d %u", key->what, attention, key->dtype, key->tokens, key->shape.hidden);
	if (key->spelled_out & KEY_HEADS)
		append_detail(text, size, ", %u/%u heads of %u", key->shape.heads, key->shape.kv_heads, key->shape.head_dim);
	if (key->spelled_out & KEY_TOP_K)
		append_detail(text, size, ", top-%u", key->shape.top_k);
	if (key->spelled_out & KEY_ROUTING)
		append_detail(text, size, ", %s", key->routing);
	if (key->spelled_out & KEY_COMPUTED)
		append_detail(text, size, ", the last %u", key->computed);
	if (key->path[0])
		append_detail(text, size, ", %s", key->path);
}

/* --------------------------------------------------------------------------------------------------------------- columns -- */

/* The file's name without folders and ending; what a terminal would act on is replaced. */
static void label_of(const char *path, char label[32])
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	size_t length = strlen(name);
	if (length > 5 && strcmp(name + length - 5, ".json") == 0)
		length -= 5;
	length = length < 24 ? length : 24;
	for (size_t i = 0; i < length; i++)
		label[i] = name[i] >= 0x20 && name[i] < 0x7f ? name[i] : '?';
	label[length] = 0;
}

/* Every machine's record may be called report.json. */
static void make_labels_unlike(struct comparison *comparison)
{
	for (size_t i = 1; i < comparison->column_count; i++) {
		size_t same = 1;
		char *label = comparison->columns[i].label;
		const size_t length = strlen(label);
		for (size_t j = 0; j < i; j++) {
			const char *other = comparison->columns[j].label;
			same += strncmp(other, label, length) == 0 && (other[length] == 0 || other[length] == '#');
		}
		if (same > 1)
			snprintf(label + length, sizeof(comparison->columns[i].label) - length, "#%zu", same);
	}
}

void compare_series_name(const struct comparison *comparison, size_t column, char *name, size_t size)
{
	const struct compare_column *named = &comparison->columns[column];
	snprintf(name, size, "%s%s", named->label, named->marked[0] ? " (not judged)" : "");
}

bool compare_lacks_clock(const struct comparison *comparison, size_t column)
{
	return comparison->options.clock == BENCH_CLOCK_GPU && !comparison->columns[column].record->device.has_timestamps;
}

static enum bench_clock choose_clock(const struct record *records, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(records[i].device.type, device_type_name(GQE_DEVICE_CPU)) != 0)
			return BENCH_CLOCK_GPU;
	return BENCH_CLOCK_CPU;
}

static const struct record_peak *find_peak(const struct record *record, const char *what)
{
	for (size_t i = 0; i < record->peak_count; i++)
		if (strcmp(record->peaks[i].what, what) == 0)
			return &record->peaks[i];
	return NULL;
}

/* Which records may be judged, and against which. */
static gqe_status mark_columns(struct comparison *comparison, gqe_error *error)
{
	size_t reference = comparison->column_count;
	for (size_t i = 0; i < comparison->column_count; i++) {
		struct compare_column *column = &comparison->columns[i];
		uint32_t failed;
		const uint32_t cases = record_cases(column->record, &failed);
		if (!column->record->selftest_done || cases == 0)
			snprintf(column->marked, sizeof(column->marked), "its self-test was not run to the end");
		else if (failed > 0)
			snprintf(column->marked, sizeof(column->marked), "its self-test failed in %u of %u cases", failed, cases);
		else if (reference == comparison->column_count)
			reference = i;
		else if (!comparison->options.is_baseline &&
			 strcmp(column->record->shader_hash, comparison->columns[reference].record->shader_hash) != 0)
			snprintf(column->marked, sizeof(column->marked),
				 "its kernels are others (shader hash %s): measure again with the same gqe, or use --baseline",
				 column->record->shader_hash);
	}
	if (reference == comparison->column_count || (comparison->options.is_baseline && reference != 0))
		return error_set(error, GQE_ERROR_VERIFICATION, "%s: %s: its times mean nothing", comparison->columns[0].label,
				 comparison->columns[0].marked);
	comparison->reference = reference;
	return GQE_OK;
}

/* ------------------------------------------------------------------------------------------------------------------ rows -- */

static struct compare_row *row_of(struct comparison *comparison, const struct compare_key *key)
{
	for (size_t i = 0; i < comparison->row_count; i++)
		if (same_key(&comparison->rows[i].key, key))
			return &comparison->rows[i];
	struct compare_row *row = record_grow(&comparison->rows, &comparison->row_count, sizeof(*row));
	if (row)
		row->key = *key;
	return row;
}

struct rounds compare_rounds(const struct comparison *comparison, const struct record_samples *samples)
{
	return rounds_of(compare_samples(comparison, samples), samples->rounds, samples->count);
}

static const struct record_samples *model_samples(const struct record_model *model, const char *what)
{
	return strcmp(what, "prefill") == 0 ? &model->prefill : &model->decode;
}

static const struct record_model *find_model(const struct record *record, const struct compare_key *key)
{
	for (size_t i = 0; i < record->model_count; i++)
		if (same_model(&record->models[i], key->model) && strcmp(record->models[i].dtype, key->dtype) == 0)
			return &record->models[i];
	return NULL;
}

/* The samples that a cell is of; NULL: none. */
static const struct record_samples *cell_samples(const struct comparison *comparison, const struct compare_row *row, size_t column)
{
	if (row->cells[column].entry)
		return &row->cells[column].entry->samples;
	const struct record_model *model = row->key.model ? find_model(comparison->columns[column].record, &row->key) : NULL;
	return model ? model_samples(model, row->key.what) : NULL;
}

/* What can be said about a cell before its interval is known; VERDICT_SAME: it is to be judged. */
static void prepare(struct comparison *comparison, struct compare_row *row, size_t column)
{
	struct compare_cell *cell = &row->cells[column];
	const struct record_samples *samples = cell_samples(comparison, row, column);
	const struct record_samples *reference = cell_samples(comparison, row, comparison->reference);
	cell->ratio = (struct interval){NAN, NAN, NAN};
	cell->ms = NAN;
	if (!samples)
		return;
	const struct rounds rounds = compare_rounds(comparison, samples);
	cell->ms = rounds_time(&rounds);
	cell->verdict = column == comparison->reference         ? VERDICT_REFERENCE
			: comparison->columns[column].marked[0] ? VERDICT_NOT_JUDGED
			: !reference                            ? VERDICT_NO_REFERENCE
								: VERDICT_SAME;
	if (cell->verdict != VERDICT_SAME)
		return;
	comparison->common++;
	if (rounds.count < STATISTICS_LEAST_ROUNDS || compare_rounds(comparison, reference).count < STATISTICS_LEAST_ROUNDS)
		cell->verdict = VERDICT_FEW_ROUNDS;
	else
		comparison->columns[column].intervals++;
}

static void judge(struct comparison *comparison, struct compare_row *row, size_t column)
{
	struct compare_cell *cell = &row->cells[column];
	const double tolerance = comparison->options.tolerance;
	if (cell->verdict != VERDICT_SAME)
		return;
	const struct rounds over = compare_rounds(comparison, cell_samples(comparison, row, comparison->reference));
	const struct rounds under = compare_rounds(comparison, cell_samples(comparison, row, column));
	const struct interval ratio = rounds_ratio(&over, &under, 0.05 / (double)comparison->columns[column].intervals);
	if (!isfinite(ratio.value) || !isfinite(ratio.low) || !isfinite(ratio.high)) {
		cell->verdict = VERDICT_NOT_JUDGED; /* a clock too coarse for so short a time */
		return;
	}
	cell->ratio = ratio;
	cell->verdict = ratio.low > 1 + tolerance          ? VERDICT_FASTER
			: ratio.high < 1 / (1 + tolerance) ? VERDICT_SLOWER
							   : VERDICT_SAME;
	comparison->judged++;
	comparison->improvements += cell->verdict == VERDICT_FASTER;
	comparison->regressions += cell->verdict == VERDICT_SLOWER;
}

/* A record of other work, lengths or dtypes alone has nothing to be judged by. */
static void mark_strangers(struct comparison *comparison)
{
	for (size_t c = 0; c < comparison->column_count; c++) {
		struct compare_column *column = &comparison->columns[c];
		bool is_stranger = c != comparison->reference && !column->marked[0];
		for (size_t r = 0; r < comparison->row_count && is_stranger; r++) {
			const enum verdict verdict = comparison->rows[r].cells[c].verdict;
			is_stranger = verdict == VERDICT_MISSING || verdict == VERDICT_NO_REFERENCE;
		}
		if (is_stranger)
			snprintf(column->marked, sizeof(column->marked),
				 "it has nothing in common with %s: no shape, length, dtype and kind of work is in both",
				 comparison->columns[comparison->reference].label);
	}
}

static int compare_keys(const struct compare_key *a, const struct compare_key *b)
{
	int order = (a->model != NULL) - (b->model != NULL);
	order = order ? order : a->model ? -strcmp(a->what, b->what) : strcmp(b->what, a->what) /* layer, gemm, attention */;
	order = order ? order : strcmp(a->dtype, b->dtype);
	order = order || !a->model ? order : strcmp(a->model->name, b->model->name);
	order = order ? order : (int)a->shape.hidden - (int)b->shape.hidden;
	order = order ? order : (a->tokens > b->tokens) - (a->tokens < b->tokens);
	order = order ? order : strcmp(b->attention, a->attention); /* GQE first */
	return order ? order : strcmp(a->path, b->path);
}

static int by_key(const void *a, const void *b)
{
	return compare_keys(&((const struct compare_row *)a)->key, &((const struct compare_row *)b)->key);
}

/* In what the rows differ that are alike to whom reads their texts. */
static unsigned hidden_difference(const struct compare_key *a, const struct compare_key *b)
{
	char text[160], other[160];
	compare_key_text(a, text, sizeof(text));
	compare_key_text(b, other, sizeof(other));
	if (strcmp(text, other) != 0)
		return 0;
	if (a->model)
		return KEY_MODEL;
	const bool heads = a->shape.heads != b->shape.heads || a->shape.kv_heads != b->shape.kv_heads ||
			   a->shape.head_dim != b->shape.head_dim;
	return (heads ? KEY_HEADS : 0) | (a->shape.top_k != b->shape.top_k ? KEY_TOP_K : 0) |
	       (strcmp(a->routing, b->routing) != 0 ? KEY_ROUTING : 0) | (a->computed != b->computed ? KEY_COMPUTED : 0);
}

/* Such rows are neighbours, as rows are sorted by what stands in their texts. */
static void spell_out(struct comparison *comparison)
{
	unsigned before = 0;
	for (size_t i = 0; i < comparison->row_count; i++) {
		const unsigned after = i + 1 < comparison->row_count
					       ? hidden_difference(&comparison->rows[i].key, &comparison->rows[i + 1].key)
					       : 0;
		comparison->rows[i].key.spelled_out = before | after;
		before = after;
	}
}

bool compare_is_main(const struct comparison *comparison, size_t column, const struct record_entry *entry)
{
	return entry->preferred || !comparison->columns[column].has_preferred;
}

static gqe_status collect_rows(struct comparison *comparison, gqe_error *error)
{
	static const char *const model_whats[] = {"prefill", "decode"};
	for (size_t c = 0; c < comparison->column_count; c++) {
		const struct record *record = comparison->columns[c].record;
		for (size_t i = 0; i < record->entry_count; i++) {
			const struct record_entry *entry = &record->entries[i];
			if (!comparison->options.all_paths && !compare_is_main(comparison, c, entry))
				continue;
			const struct compare_key key = key_of(comparison, entry);
			struct compare_row *row = row_of(comparison, &key);
			if (!row)
				return error_no_memory(error);
			if (!row->cells[c].entry) /* of two that are alike the first one counts */
				row->cells[c].entry = entry;
		}
		for (size_t i = 0; i < record->model_count * 2; i++) {
			const struct record_model *model = &record->models[i / 2];
			struct compare_key key = {.model = model, .tokens = model->prompt_tokens};
			snprintf(key.what, sizeof(key.what), "%s", model_whats[i % 2]);
			memcpy(key.attention, model->attention, sizeof(key.attention));
			memcpy(key.dtype, model->dtype, sizeof(key.dtype));
			if (!row_of(comparison, &key))
				return error_no_memory(error);
		}
	}
	if (comparison->row_count)
		qsort(comparison->rows, comparison->row_count, sizeof(*comparison->rows), by_key);
	spell_out(comparison);
	for (size_t r = 0; r < comparison->row_count; r++)
		for (size_t c = 0; c < comparison->column_count; c++)
			prepare(comparison, &comparison->rows[r], c);
	for (size_t r = 0; r < comparison->row_count; r++)
		for (size_t c = 0; c < comparison->column_count; c++)
			judge(comparison, &comparison->rows[r], c);
	return GQE_OK;
}

/* -------------------------------------------------------------------------------------------------------------- speedups -- */

/* GQE and GQA are neighbours after the rows are sorted, but for paths. */
static const struct compare_row *dense_twin(const struct comparison *comparison, const struct compare_row *row)
{
	for (size_t i = 0; i < comparison->row_count; i++) {
		struct compare_key key = comparison->rows[i].key;
		if (strcmp(key.attention, "gqa") != 0)
			continue;
		memcpy(key.attention, row->key.attention, sizeof(key.attention));
		memcpy(key.routing, row->key.routing, sizeof(key.routing)); /* plays no part in dense attention */
		if (same_key(&key, &row->key))
			return &comparison->rows[i];
	}
	return NULL;
}

/* GQE and GQA were sampled in turn: each pair of samples has a ratio in which the machine's drift cancels. False: no memory. */
static bool speedup_of(const struct comparison *comparison, const struct record_entry *gqa, const struct record_entry *gqe,
		       struct interval *interval)
{
	const double *over = compare_samples(comparison, &gqa->samples), *under = compare_samples(comparison, &gqe->samples);
	const uint32_t count = gqa->samples.count < gqe->samples.count ? gqa->samples.count : gqe->samples.count;
	double *ratios = malloc(count * sizeof(*ratios));
	if (!ratios)
		return false;
	bool good = true;
	for (uint32_t i = 0; i < count; i++) {
		ratios[i] = over[i] / under[i];
		good = good && isfinite(ratios[i]); /* not by a clock too coarse for so short a time */
	}
	if (good) {
		const struct rounds rounds = rounds_of(ratios, gqe->samples.rounds, count);
		*interval = rounds_median(&rounds, 0.05);
	}
	free(ratios);
	return true;
}

static gqe_status collect_speedups(struct comparison *comparison, gqe_error *error)
{
	for (size_t r = 0; r < comparison->row_count; r++) {
		const struct compare_row *row = &comparison->rows[r];
		if (strcmp(row->key.attention, "gqe") != 0 || row->key.model || strcmp(row->key.what, "gemm") == 0)
			continue;
		const struct compare_row *twin = dense_twin(comparison, row);
		if (!twin)
			continue;
		struct compare_speedup *speedup = record_grow(&comparison->speedups, &comparison->speedup_count, sizeof(*speedup));
		if (!speedup)
			return error_no_memory(error);
		speedup->key = row->key;
		speedup->key.attention[0] = 0;
		for (size_t c = 0; c < comparison->column_count; c++) {
			const struct record_entry *gqe = row->cells[c].entry, *gqa = twin->cells[c].entry;
			speedup->ratio[c] = (struct interval){NAN, NAN, NAN};
			if (!gqe || !gqa)
				continue;
			speedup->entry[c] = gqe;
			speedup->bound = gqa->flop / gqe->flop;
			if (!speedup_of(comparison, gqa, gqe, &speedup->ratio[c]))
				return error_no_memory(error);
		}
	}
	return GQE_OK;
}

double compare_peak_rate(const struct comparison *comparison, size_t column, const char *what)
{
	const struct record_peak *peak = find_peak(comparison->columns[column].record, what);
	if (!peak)
		return NAN;
	const double *samples = compare_samples(comparison, &peak->samples);
	double least = samples[0];
	for (uint32_t i = 1; i < peak->samples.count; i++)
		least = fmin(least, samples[i]);
	return least > 0 ? 1e3 * peak->amount / least : NAN;
}

double compare_peak_fraction(const struct comparison *comparison, size_t column, const struct record_entry *entry)
{
	const struct rounds rounds = compare_rounds(comparison, &entry->samples);
	const double ms = rounds_time(&rounds);
	return ms > 0 ? 1e3 * entry->flop / ms / compare_peak_rate(comparison, column, entry->peak) : NAN;
}

gqe_status compare_records(struct comparison *comparison, const struct record *records, const char *const *paths, size_t count,
			   const struct compare_options *options, gqe_error *error)
{
	*comparison = (struct comparison){.options = *options, .column_count = count};
	if (!comparison->options.clock)
		comparison->options.clock = choose_clock(records, count);
	gqe_status status = GQE_OK;
	for (size_t i = 0; i < count; i++) {
		comparison->columns[i].record = &records[i];
		label_of(paths[i], comparison->columns[i].label);
		for (size_t e = 0; e < records[i].entry_count; e++)
			comparison->columns[i].has_preferred |= records[i].entries[e].preferred;
	}
	make_labels_unlike(comparison);
	status = mark_columns(comparison, error);
	if (status == GQE_OK)
		status = collect_rows(comparison, error);
	if (status == GQE_OK)
		status = collect_speedups(comparison, error);
	bool any_marked = false;
	for (size_t i = 0; i < count; i++)
		any_marked = any_marked || comparison->columns[i].marked[0];
	if (status == GQE_OK)
		mark_strangers(comparison);
	if (status == GQE_OK && count > 1 && comparison->common == 0 && !any_marked)
		return error_set(error, GQE_ERROR_BAD_INPUT,
				 "the records have nothing in common: no shape, length, dtype and kind of work is in two of them");
	return status;
}

void comparison_free(struct comparison *comparison)
{
	free(comparison->rows);
	free(comparison->speedups);
	*comparison = (struct comparison){0};
}
