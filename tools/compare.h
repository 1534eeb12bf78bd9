/*
 * Several records side by side: what was measured on all of them, which is faster, and whether that may be said at all.
 *
 * Only like is held against like: a row is one shape, length, dtype and kind of work, and a cell of it one record's measurement. A
 * record whose self-test failed, or whose kernels are others, is shown and marked, but not judged. A difference counts when the
 * interval of the ratio lies outside the tolerance; all else is "no difference". A page shows dozens of intervals, and at 95% each
 * one in twenty would be wrong: they are widened (Bonferroni) until with 95% all those of a record hold together.
 */
#ifndef GQE_TOOLS_COMPARE_H
#define GQE_TOOLS_COMPARE_H

#include "bench_measure.h"
#include "record.h"
#include "statistics.h"
#include "text_buffer.h"

#define COMPARE_MOST_RECORDS 16

enum verdict {
	VERDICT_MISSING,      /* not measured on this record */
	VERDICT_REFERENCE,    /* the record that the others are held against */
	VERDICT_NO_REFERENCE, /* measured here, not on the reference */
	VERDICT_NOT_JUDGED,   /* the record is marked */
	VERDICT_FEW_ROUNDS,   /* on this record or on the reference */
	VERDICT_SAME,         /* no difference */
	VERDICT_FASTER,
	VERDICT_SLOWER
};

struct compare_cell {
	enum verdict verdict;
	const struct record_entry *entry; /* NULL for a model's row */
	double ms;                        /* lower quartile over the rounds */
	struct interval ratio;            /* the reference's time over this one's: above 1 is faster; NaN: not judged */
};

/* Parts of a key that a short text leaves out. */
enum { KEY_HEADS = 1, KEY_TOP_K = 2, KEY_ROUTING = 4, KEY_COMPUTED = 8, KEY_MODEL = 16 };

/* What is measured: equal keys may be held against each other. */
struct compare_key {
	char what[16], attention[8], dtype[8], routing[16];
	char path[16]; /* "" where each record has its preferred path */
	struct record_shape shape;
	uint32_t tokens, computed;
	const struct record_model *model; /* of the first record that has it; NULL: no model's row */
	unsigned spelled_out;             /* KEY_: what tells this row from others that are alike in all else */
};

struct compare_row {
	struct compare_key key;
	struct compare_cell cells[COMPARE_MOST_RECORDS];
};

/* Time of dense GQA over time of GQE, within each record. */
struct compare_speedup {
	struct compare_key key; /* attention "" */
	double bound;           /* by operations */
	struct interval ratio[COMPARE_MOST_RECORDS];
	const struct record_entry *entry[COMPARE_MOST_RECORDS]; /* of GQE; NULL: not measured */
};

struct compare_column {
	const struct record *record;
	char label[32];     /* of the file's name; unlike those of the others */
	char marked[160];   /* why this record is not judged; "" when it is */
	size_t intervals;   /* that hold together with 95% */
	bool has_preferred; /* false: it was made with a path that the device would not choose */
};

struct compare_options {
	enum bench_clock clock; /* 0: processor time when every record is of a CPU driver, else the device's clock */
	double tolerance;       /* 0.05: differences of up to 5% do not count */
	bool all_paths;         /* a row for every path; else the one that each device prefers */
	bool is_baseline; /* the first record is an older run, perhaps of other kernels, that the others must not fall behind */
};

struct comparison {
	struct compare_options options;
	struct compare_column columns[COMPARE_MOST_RECORDS];
	size_t column_count, reference;
	struct compare_row *rows;
	struct compare_speedup *speedups;
	size_t row_count, speedup_count;
	size_t common; /* cells that were measured on the reference, too */
	size_t judged; /* of them, those with a verdict */
	size_t regressions, improvements;
};

/*
 * `paths` name the records in messages and columns; both arrays must outlive the comparison. GQE_ERROR_BAD_INPUT when nothing was
 * measured on two of them that could be held against each other, GQE_ERROR_VERIFICATION when every self-test failed.
 */
gqe_status compare_records(struct comparison *comparison, const struct record *records, const char *const *paths, size_t count,
			   const struct compare_options *options, gqe_error *error);
void comparison_free(struct comparison *comparison);

/* "layer GQE, f32, 2048 tokens, d 1024"; the same in every format. */
void compare_key_text(const struct compare_key *key, char *text, size_t size);
const char *verdict_text(enum verdict verdict);
/* Whether an entry is of the path that its record is compared by when not every path is; pictures are of that alone. */
bool compare_is_main(const struct comparison *comparison, size_t column, const struct record_entry *entry);
/* The rate of an entry as part of its own device's peak; NaN: not known. */
double compare_peak_fraction(const struct comparison *comparison, size_t column, const struct record_entry *entry);
/* The best rate of a peak, in units a second; NaN: not measured. */
double compare_peak_rate(const struct comparison *comparison, size_t column, const char *what);
/* Samples by the comparison's clock. */
const double *compare_samples(const struct comparison *comparison, const struct record_samples *samples);
struct rounds compare_rounds(const struct comparison *comparison, const struct record_samples *samples);
const char *compare_clock_text(const struct comparison *comparison);
/* Whether the comparison is by devices' clocks, and this record's device has none: its times are by wall clock. */
bool compare_lacks_clock(const struct comparison *comparison, size_t column);
/* The label for a picture, which says when the record is not judged. */
void compare_series_name(const struct comparison *comparison, size_t column, char *name, size_t size);

enum compare_format { COMPARE_TABLE = 1, COMPARE_MARKDOWN, COMPARE_CSV, COMPARE_JSON };
/* As text, to be printed; the JSON document is compare_json's. */
void compare_append(const struct comparison *comparison, enum compare_format format, struct text_buffer *out);
cJSON *compare_json(const struct comparison *comparison);
gqe_status compare_write_plot(const struct comparison *comparison, const char *path, gqe_error *error);
gqe_status compare_write_page(const struct comparison *comparison, const char *path, gqe_error *error);

#endif
