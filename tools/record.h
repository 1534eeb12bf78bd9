/*
 * A record: what one device did in one `gqe report`, with everything that is needed to read it on another machine. Written and read
 * as JSON; the schema stands in docs/report.schema.json.
 *
 * What comes from a file is checked completely when it is read: every string ends and has no control characters, every array has
 * the length it claims, every number is finite and in its range.
 */
#ifndef GQE_TOOLS_RECORD_H
#define GQE_TOOLS_RECORD_H

#include "program.h"

#include <gqe/gqe_bench.h>

/* Raised when a reader of the older version could misread a newer record. Readers take every version up to this one. */
#define RECORD_SCHEMA_VERSION 2

/* Limits of a file; a full report stays far below. */
#define RECORD_MOST_BYTES ((size_t)64 << 20)
#define RECORD_MOST_ITEMS 4096
#define RECORD_MOST_SAMPLES 10000
#define RECORD_MOST_MS 1e12

struct record_samples {
	uint32_t count;
	double *gpu_ms; /* [count]; NULL where no device clock applies, as for a model's run */
	double *wall_ms, *cpu_ms;
	uint32_t *rounds; /* [count], never falling: in which each was taken; samples of one round share a moment. NULL in version 1
			   */
};

struct record_shape {
	uint32_t hidden, heads, kv_heads, top_k, head_dim;
};

/* A layer, attention alone, or a projection alone. Names are those of gqe_bench.h. */
struct record_entry {
	char what[16], attention[8], path[16], dtype[8], routing[16];
	bool preferred; /* the path that the device gets when none is asked for */
	struct record_shape shape;
	uint32_t tokens, computed;
	double flop, step_flop[GQE_LAYER_STEP_COUNT], memory_bytes;
	char peak[16]; /* the peak that its rate is to be held against */
	struct record_samples samples;
	double *step_ms[GQE_LAYER_STEP_COUNT]; /* each [samples.count] or NULL; by the clock of gpu_ms */
};

struct record_peak {
	char what[16];
	double amount; /* operations, or bytes, of a sample */
	struct record_samples samples;
};

/* The self-test's cases of one kernel, path and dtype. */
struct record_check {
	char kernel[64], path[16], dtype[8];
	uint32_t cases, failed;
	double error, tolerance; /* of the case that is worst for its tolerance */
};

/* A model run end to end. */
struct record_model {
	char name[256], weights_hash[17], prompt_hash[17], attention[8], path[16], dtype[8];
	double parameters;
	uint32_t prompt_tokens, generated_tokens;
	double bits_per_token;
	struct record_samples prefill, decode; /* of the whole prompt; of one token */
};

struct record_skip {
	char what[128], reason[256];
};

struct record {
	uint32_t schema_version;
	char created[32]; /* UTC, ISO 8601 */
	char mode[8];     /* "quick", "full" */
	bool complete;    /* false: cancelled */
	double seconds;   /* that the measuring took */
	char version[16], commit[64], shader_hash[17], os[256];
	struct {
		char name[256], type[32], driver[256], driver_info[256], uuid[33], api_version[16], path[16];
		uint32_t vendor_id, device_id, driver_version, subgroup_size;
		double heap_bytes;
		bool has_timestamps;
	} device;
	bool selftest_done;
	struct record_check *checks;
	struct record_peak *peaks;
	struct record_entry *entries;
	struct record_model *models;
	struct record_skip *skips;
	size_t check_count, peak_count, entry_count, model_count, skip_count;
};

void record_free(struct record *record);
void record_samples_free(struct record_samples *samples);
void record_entry_free(struct record_entry *entry);
/* Cases of the self-test, and how many of them failed. */
uint32_t record_cases(const struct record *record, uint32_t *failed);

/* NULL without memory. */
cJSON *record_to_json(const struct record *record);
/* GQE_ERROR_BAD_INPUT names the file and what is wrong in it. `record` is to be freed in either case. */
gqe_status record_read(const char *path, struct record *record, gqe_error *error);

/*
 * Room for one more item at the end of an array of items of `size` bytes, zeroed; NULL without memory. `array` is the address of
 * the pointer to its first item.
 */
void *record_grow(void *array, size_t *count, size_t size);

#endif
