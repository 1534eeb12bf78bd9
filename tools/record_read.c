/* Reading a record from a file that may be anything. */
#include "record.h"

#include "platform.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where in the document the reader is, for messages, and the first thing that was wrong. */
struct reader {
	const char *path;
	gqe_error *error;
	gqe_status status;
	uint32_t schema_version;
	char where[96]; /* "entries[3]." */
};

static bool failed(const struct reader *reader)
{
	return reader->status != GQE_OK;
}

/* Only the first complaint is kept. */
static void complain(struct reader *reader, const char *key, const char *what)
{
	if (!failed(reader))
		reader->status =
			error_set(reader->error, GQE_ERROR_BAD_INPUT, "%s: '%s%s' %s", reader->path, reader->where, key, what);
}

static void out_of_memory(struct reader *reader)
{
	if (!failed(reader))
		reader->status = error_no_memory(reader->error);
}

static const cJSON *member(struct reader *reader, const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
	if (!item)
		complain(reader, key, "is missing");
	return item;
}

static const cJSON *member_of_type(struct reader *reader, const cJSON *object, const char *key, cJSON_bool (*is)(const cJSON *),
				   const char *wanted)
{
	const cJSON *item = member(reader, object, key);
	if (item && !is(item)) {
		complain(reader, key, wanted);
		return NULL;
	}
	return item;
}

/* What a terminal would act on is replaced, so that a name cannot move the cursor, set colours or turn the line around. */
static void read_text(struct reader *reader, const cJSON *object, const char *key, char *out, size_t size)
{
	const cJSON *item = member_of_type(reader, object, key, cJSON_IsString, "is not a string");
	out[0] = 0;
	if (!item)
		return;
	char *valid = valid_utf8(item->valuestring, strlen(item->valuestring));
	if (!valid) {
		out_of_memory(reader);
		return;
	}
	if (strlen(valid) >= size)
		complain(reader, key, "is too long");
	else
		strcpy(out, valid);
	free(valid);
	plain_text(out);
	for (char *at = out; *at; at++)
		if (*at == '\n' || *at == '\t')
			*at = '?';
}

/* A name that is compared and used in messages: letters, digits, '_', '-', '.'; not empty. */
static void read_name(struct reader *reader, const cJSON *object, const char *key, char *out, size_t size)
{
	read_text(reader, object, key, out, size);
	if (!failed(reader) &&
	    (!out[0] || strspn(out, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != strlen(out)))
		complain(reader, key, "is not a name");
}

static double read_number(struct reader *reader, const cJSON *object, const char *key, double lowest, double highest)
{
	const cJSON *item = member_of_type(reader, object, key, cJSON_IsNumber, "is not a number");
	if (!item)
		return lowest;
	if (!(item->valuedouble >= lowest && item->valuedouble <= highest)) {
		complain(reader, key, "is out of range");
		return lowest;
	}
	return item->valuedouble;
}

static uint32_t read_count(struct reader *reader, const cJSON *object, const char *key, uint32_t lowest, uint32_t highest)
{
	const double number = read_number(reader, object, key, lowest, highest);
	if (number != floor(number))
		complain(reader, key, "is not a whole number");
	return (uint32_t)number;
}

static bool read_bool(struct reader *reader, const cJSON *object, const char *key)
{
	return cJSON_IsTrue(member_of_type(reader, object, key, cJSON_IsBool, "is neither true nor false")) != 0;
}

/* A number, or NaN for null. */
static double read_optional(struct reader *reader, const cJSON *object, const char *key)
{
	const cJSON *item = member(reader, object, key);
	return !item || cJSON_IsNull(item) ? NAN : read_number(reader, object, key, -1e300, 1e300);
}

/* Milliseconds, malloc'ed; *count 0: sets it, else the array must have that length. */
static double *read_milliseconds(struct reader *reader, const cJSON *object, const char *key, uint32_t *count)
{
	const cJSON *array = member_of_type(reader, object, key, cJSON_IsArray, "is not an array"), *item;
	if (!array || failed(reader))
		return NULL;
	/* The list is walked once, up to the limit: cJSON_GetArraySize and _GetArrayItem are linear. */
	uint32_t length = 0;
	for (item = array->child; item && length <= RECORD_MOST_SAMPLES; item = item->next)
		length++;
	if (length == 0 || length > RECORD_MOST_SAMPLES || (*count && length != *count)) {
		complain(reader, key, *count ? "has not as many values as its neighbours" : "has no values, or too many");
		return NULL;
	}
	double *values = malloc(length * sizeof(*values));
	if (!values) {
		out_of_memory(reader);
		return NULL;
	}
	uint32_t i = 0;
	for (item = array->child; item; item = item->next) {
		if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= RECORD_MOST_MS))
			complain(reader, key, "holds something that is no time in milliseconds");
		values[i++] = item->valuedouble;
	}
	*count = length;
	return values;
}

/* As many as there are samples; malloc'ed. */
static uint32_t *read_rounds(struct reader *reader, const cJSON *object, uint32_t count)
{
	const cJSON *array = member_of_type(reader, object, "rounds", cJSON_IsArray, "is not an array"), *item;
	uint32_t *rounds = array && !failed(reader) ? malloc((count ? count : 1) * sizeof(*rounds)) : NULL;
	if (!rounds) {
		if (array)
			out_of_memory(reader);
		return NULL;
	}
	uint32_t i = 0, last = 0;
	for (item = array->child; item && i < count; item = item->next) {
		const double number = cJSON_IsNumber(item) ? item->valuedouble : NAN;
		if (!(number >= last && number <= RECORD_MOST_SAMPLES && number == floor(number))) {
			complain(reader, "rounds", "holds something that is no round, or the rounds are not in order");
			break;
		}
		last = rounds[i++] = (uint32_t)number;
	}
	if (i != count || item)
		complain(reader, "rounds", "has not as many values as its neighbours");
	return rounds;
}

static void read_samples(struct reader *reader, const cJSON *parent, const char *key, bool on_device,
			 struct record_samples *samples)
{
	const cJSON *object = member_of_type(reader, parent, key, cJSON_IsObject, "is not an object");
	if (!object)
		return;
	if (on_device)
		samples->gpu_ms = read_milliseconds(reader, object, "gpu_ms", &samples->count);
	samples->wall_ms = read_milliseconds(reader, object, "wall_ms", &samples->count);
	samples->cpu_ms = read_milliseconds(reader, object, "cpu_ms", &samples->count);
	if (reader->schema_version >= 2)
		samples->rounds = read_rounds(reader, object, samples->count);
}

static void read_check(struct reader *reader, const cJSON *object, void *out)
{
	struct record_check *check = out;
	read_name(reader, object, "kernel", check->kernel, sizeof(check->kernel));
	read_name(reader, object, "path", check->path, sizeof(check->path));
	read_name(reader, object, "dtype", check->dtype, sizeof(check->dtype));
	check->cases = read_count(reader, object, "cases", 0, 1u << 20);
	check->failed = read_count(reader, object, "failed", 0, check->cases);
	check->error = read_optional(reader, object, "error");
	check->tolerance = read_optional(reader, object, "tolerance");
}

static void read_peak(struct reader *reader, const cJSON *object, void *out)
{
	struct record_peak *peak = out;
	read_name(reader, object, "what", peak->what, sizeof(peak->what));
	peak->amount = read_number(reader, object, "amount", 1, 1e24);
	read_samples(reader, object, "samples", true, &peak->samples);
}

static void read_steps(struct reader *reader, const cJSON *object, struct record_entry *entry)
{
	const cJSON *steps = member_of_type(reader, object, "steps", cJSON_IsObject, "is not an object");
	for (int i = 0; steps && i < GQE_LAYER_STEP_COUNT; i++) {
		const cJSON *step = cJSON_GetObjectItemCaseSensitive(steps, gqe_layer_step_name((gqe_layer_step)i));
		if (!step)
			continue;
		entry->step_flop[i] = read_number(reader, step, "flop", 0, 1e24);
		entry->step_ms[i] = read_milliseconds(reader, step, "ms", &entry->samples.count);
	}
}

static void read_entry(struct reader *reader, const cJSON *object, void *out)
{
	struct record_entry *entry = out;
	read_name(reader, object, "what", entry->what, sizeof(entry->what));
	read_name(reader, object, "attention", entry->attention, sizeof(entry->attention));
	read_name(reader, object, "path", entry->path, sizeof(entry->path));
	read_name(reader, object, "dtype", entry->dtype, sizeof(entry->dtype));
	read_name(reader, object, "routing", entry->routing, sizeof(entry->routing));
	read_name(reader, object, "peak", entry->peak, sizeof(entry->peak));
	entry->preferred = read_bool(reader, object, "preferred");
	const cJSON *shape = member_of_type(reader, object, "shape", cJSON_IsObject, "is not an object");
	if (shape) {
		entry->shape.hidden = read_count(reader, shape, "hidden", 1, 65536);
		entry->shape.heads = read_count(reader, shape, "heads", 1, 1024);
		entry->shape.kv_heads = read_count(reader, shape, "kv_heads", 1, 1024);
		entry->shape.top_k = read_count(reader, shape, "top_k", 1, 64);
		entry->shape.head_dim = read_count(reader, shape, "head_dim", 1, 65536);
	}
	entry->tokens = read_count(reader, object, "tokens", 1, INT32_MAX);
	entry->computed = read_count(reader, object, "computed", 1, entry->tokens);
	entry->flop = read_number(reader, object, "flop", 1, 1e24);
	entry->memory_bytes = read_number(reader, object, "memory_bytes", 0, 1e18);
	read_samples(reader, object, "samples", true, &entry->samples);
	read_steps(reader, object, entry);
}

static void read_model(struct reader *reader, const cJSON *object, void *out)
{
	struct record_model *model = out;
	read_text(reader, object, "name", model->name, sizeof(model->name));
	read_name(reader, object, "weights_hash", model->weights_hash, sizeof(model->weights_hash));
	read_name(reader, object, "prompt_hash", model->prompt_hash, sizeof(model->prompt_hash));
	read_name(reader, object, "attention", model->attention, sizeof(model->attention));
	read_name(reader, object, "path", model->path, sizeof(model->path));
	read_name(reader, object, "dtype", model->dtype, sizeof(model->dtype));
	model->parameters = read_number(reader, object, "parameters", 1, 1e15);
	model->prompt_tokens = read_count(reader, object, "prompt_tokens", 1, INT32_MAX);
	model->generated_tokens = read_count(reader, object, "generated_tokens", 1, INT32_MAX);
	model->bits_per_token = read_optional(reader, object, "bits_per_token");
	read_samples(reader, object, "prefill", false, &model->prefill);
	read_samples(reader, object, "decode", false, &model->decode);
}

static void read_skip(struct reader *reader, const cJSON *object, void *out)
{
	struct record_skip *skip = out;
	read_text(reader, object, "what", skip->what, sizeof(skip->what));
	read_text(reader, object, "reason", skip->reason, sizeof(skip->reason));
}

/* The objects of an array, each read by `read` into an item of `size` bytes. */
static void read_list(struct reader *reader, const cJSON *parent, const char *key,
		      void (*read)(struct reader *, const cJSON *, void *), void *items, size_t *count, size_t size)
{
	const cJSON *array = member_of_type(reader, parent, key, cJSON_IsArray, "is not an array"), *object;
	char where[sizeof(reader->where)];
	memcpy(where, reader->where, sizeof(where));
	for (object = array ? array->child : NULL; object && !failed(reader); object = object->next) {
		if (*count == RECORD_MOST_ITEMS || !cJSON_IsObject(object)) {
			memcpy(reader->where, where, sizeof(where)); /* it is said of the list */
			complain(reader, key,
				 *count == RECORD_MOST_ITEMS ? "has too many items" : "holds something that is no object");
			break;
		}
		snprintf(reader->where, sizeof(reader->where), "%.32s%.32s[%zu].", where, key, *count);
		void *item = record_grow(items, count, size);
		if (item)
			read(reader, object, item);
		else
			out_of_memory(reader);
	}
	memcpy(reader->where, where, sizeof(where));
}

/* A member object; the names of its own members are prefixed in messages from here on. */
static const cJSON *enter(struct reader *reader, const cJSON *parent, const char *key)
{
	const cJSON *object = member_of_type(reader, parent, key, cJSON_IsObject, "is not an object");
	snprintf(reader->where, sizeof(reader->where), "%s.", key);
	return object;
}

static void read_device(struct reader *reader, const cJSON *document, struct record *record)
{
	const cJSON *device = enter(reader, document, "device");
	if (failed(reader))
		return;
	read_text(reader, device, "name", record->device.name, sizeof(record->device.name));
	read_text(reader, device, "type", record->device.type, sizeof(record->device.type));
	read_text(reader, device, "driver", record->device.driver, sizeof(record->device.driver));
	read_text(reader, device, "driver_info", record->device.driver_info, sizeof(record->device.driver_info));
	read_name(reader, device, "api_version", record->device.api_version, sizeof(record->device.api_version));
	read_name(reader, device, "uuid", record->device.uuid, sizeof(record->device.uuid));
	read_name(reader, device, "path", record->device.path, sizeof(record->device.path));
	record->device.vendor_id = (uint32_t)read_number(reader, device, "vendor_id", 0, UINT32_MAX);
	record->device.device_id = (uint32_t)read_number(reader, device, "device_id", 0, UINT32_MAX);
	record->device.driver_version = (uint32_t)read_number(reader, device, "driver_version", 0, UINT32_MAX);
	record->device.subgroup_size = read_count(reader, device, "subgroup_size", 1, 4096);
	record->device.heap_bytes = read_number(reader, device, "heap_bytes", 0, 1e18);
	record->device.has_timestamps = read_bool(reader, device, "has_timestamps");
	reader->where[0] = 0;
}

/* No object of a record has as many. */
enum { MOST_MEMBERS = 64 };

/*
 * A key that is there twice says two things, and which of them a reader believes is its own affair: such a file is refused,
 * wherever in it that is. `where` [length] is the place, for the message.
 */
static void check_keys(struct reader *reader, const cJSON *parent, char *where, size_t size, size_t length)
{
	size_t index = 0;
	for (const cJSON *child = parent->child; child && !failed(reader); child = child->next, index++) {
		const bool is_member = cJSON_IsObject(parent);
		const int added = is_member ? snprintf(where + length, size - length, "%s%.48s", length ? "." : "", child->string)
					    : snprintf(where + length, size - length, "[%zu]", index);
		for (char *at = where + length; *at; at++) /* what a terminal would act on */
			if (*at < 0x20 || *at > 0x7e)
				*at = '?';
		for (const cJSON *other = parent->child; is_member && other != child; other = other->next)
			if (strcmp(other->string, child->string) == 0)
				complain(reader, where, "is there twice: write each key of an object once");
		if (is_member && index == MOST_MEMBERS)
			complain(reader, where, "is one too many: no object of a record has so many members");
		if (child->child)
			check_keys(reader, child, where, size, length + (size_t)added < size ? length + (size_t)added : size - 1);
		where[length] = 0;
	}
}

static void read_document(struct reader *reader, const cJSON *document, struct record *record)
{
	char kind[16];
	if (!cJSON_IsObject(document)) {
		reader->status = error_set(reader->error, GQE_ERROR_BAD_INPUT, "%s: not a record: no JSON object", reader->path);
		return;
	}
	char where[192] = "";
	check_keys(reader, document, where, sizeof(where), 0);
	read_text(reader, document, "kind", kind, sizeof(kind));
	if (!failed(reader) && strcmp(kind, "gqe report") != 0)
		complain(reader, "kind", "is not 'gqe report': this file was not written by gqe report");
	record->schema_version = read_count(reader, document, "schema_version", 1, 1u << 20);
	if (!failed(reader) && record->schema_version > RECORD_SCHEMA_VERSION)
		reader->status = error_set(reader->error, GQE_ERROR_BAD_INPUT,
					   "%s: schema version %u is newer than %d, the newest that this gqe reads", reader->path,
					   record->schema_version, RECORD_SCHEMA_VERSION);
	reader->schema_version = record->schema_version;
	read_text(reader, document, "created", record->created, sizeof(record->created));
	read_name(reader, document, "mode", record->mode, sizeof(record->mode));
	read_text(reader, document, "os", record->os, sizeof(record->os));
	record->complete = read_bool(reader, document, "complete");
	record->seconds = read_number(reader, document, "seconds", 0, 1e9);
	const cJSON *program = enter(reader, document, "gqe");
	if (failed(reader))
		return;
	read_name(reader, program, "version", record->version, sizeof(record->version));
	read_name(reader, program, "commit", record->commit, sizeof(record->commit));
	read_name(reader, program, "shader_hash", record->shader_hash, sizeof(record->shader_hash));
	reader->where[0] = 0;
	read_device(reader, document, record);
	const cJSON *selftest = enter(reader, document, "selftest");
	if (failed(reader))
		return;
	record->selftest_done = read_bool(reader, selftest, "done");
	read_list(reader, selftest, "kernels", read_check, &record->checks, &record->check_count, sizeof(*record->checks));
	reader->where[0] = 0;
	read_list(reader, document, "peaks", read_peak, &record->peaks, &record->peak_count, sizeof(*record->peaks));
	read_list(reader, document, "entries", read_entry, &record->entries, &record->entry_count, sizeof(*record->entries));
	read_list(reader, document, "models", read_model, &record->models, &record->model_count, sizeof(*record->models));
	read_list(reader, document, "skipped", read_skip, &record->skips, &record->skip_count, sizeof(*record->skips));
}

/* The file's content, NUL at its end, malloc'ed. */
static char *read_file(struct reader *reader, size_t *length)
{
	FILE *file = file_open(reader->path, "rb");
	if (!file) {
		reader->status =
			error_set(reader->error, GQE_ERROR_BAD_INPUT, "cannot open '%s': %s", reader->path, strerror(errno));
		return NULL;
	}
	char *text = NULL;
	size_t used = 0, capacity = 1 << 16;
	bool good = true;
	do {
		capacity *= 2;
		char *grown = realloc(text, capacity);
		if (!grown) {
			out_of_memory(reader);
			break;
		}
		text = grown;
		used += fread(text + used, 1, capacity - 1 - used, file);
		good = ferror(file) == 0;
	} while (good && used == capacity - 1 && used <= RECORD_MOST_BYTES);
	fclose(file);
	if (!good)
		reader->status = error_set(reader->error, GQE_ERROR_BAD_INPUT, "cannot read '%s'", reader->path);
	else if (used > RECORD_MOST_BYTES)
		reader->status = error_set(reader->error, GQE_ERROR_BAD_INPUT, "%s: too large for a record", reader->path);
	if (text)
		text[used] = 0;
	*length = used;
	return text;
}

gqe_status record_read(const char *path, struct record *record, gqe_error *error)
{
	struct reader reader = {.path = path, .error = error, .status = GQE_OK};
	size_t length = 0;
	*record = (struct record){0};
	char *text = read_file(&reader, &length);
	if (!failed(&reader)) {
		const char *end = NULL;
		cJSON *document = cJSON_ParseWithLengthOpts(text, length + 1, &end, 1);
		if (document && strlen(text) != length) /* what follows a NUL would go unseen */
			reader.status = error_set(error, GQE_ERROR_BAD_INPUT, "%s: not valid JSON: a NUL at byte %zu of %zu", path,
						  strlen(text), length);
		else if (document)
			read_document(&reader, document, record);
		else
			reader.status = error_set(error, GQE_ERROR_BAD_INPUT, "%s: not valid JSON at byte %zu of %zu", path,
						  end ? (size_t)(end - text) : 0, length);
		cJSON_Delete(document);
	}
	free(text);
	return reader.status;
}
