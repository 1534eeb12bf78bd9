/* .safetensors files that nobody should trust: each is refused with one clear error, and what is valid is read as it stands. */
#include "support/bad_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[256];

static const char *in_folder(const char *name)
{
	static char path[512];
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static int make_test_folder(void **state)
{
	(void)state;
	make_folder(folder);
	return 0;
}

static int remove_test_folder(void **state)
{
	(void)state;
	remove_folder(folder);
	return 0;
}

static void assert_refused(const char *path, const char *name)
{
	gqe_error error = {0};
	gqe_tensor_file *file = (gqe_tensor_file *)&error; /* must become NULL */
	gqe_status status = gqe_tensor_file_open(path, &file, &error);

	assert_bad_input(status, &error, path, name);
	assert_null(file);
	assert_int_equal(gqe_tensor_file_open(path, &file, NULL), GQE_ERROR_BAD_INPUT);
}

/* Touches every byte, so that a sanitizer sees a reader that promised too many. */
static uint32_t sum_of_all(const gqe_tensor_file *file)
{
	size_t count = 0;
	const gqe_tensor *tensors = gqe_tensor_file_tensors(file, &count);
	uint32_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		for (uint64_t j = 0; j < tensors[i].bytes; j++)
			sum += ((const uint8_t *)tensors[i].data)[j];
	}
	return sum;
}

/* A header and the bytes of data behind it; `name` has to be in the message. */
struct bad_header {
	const char *name;
	size_t data_bytes;
	const char *header;
};

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

static const struct bad_header bad_headers[] = {
	/* not a JSON object */
	{"header", 0, ""},
	{"header", 0, "   "},
	{"header", 0, "[]"},
	{"header", 0, "7"},
	{"header", 0, "null"},
	{"header", 0, "\"a\""},
	{"header", 0, "{"},
	{"header", 0, "{}}"},
	{"header", 0, "{} x"},
	{"header", 0, "{}{}"},
	{"header", 8, "{" A},
	{"header", 8, "{" A ",}"},
	{"header", 8, "{'a':{}}"},
	{"header", 8, "{" A "}\x01"},
	{"UTF-8", 8, "{\"\xff\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"UTF-8", 8, "{\"\xc0\xaf\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"UTF-8", 8, "{\"\xed\xa0\x80\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"UTF-8", 8, "{\"\xf4\x90\x80\x80\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	/* NUL and control characters in names */
	{"NUL", 8, "{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"control character", 8, "{\"a\nb\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"a?b", 8, "{\"a\\nb\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"a?b", 8, "{\"a\\u001bb\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	/* duplicate keys */
	{"'a'", 8, "{" A "," A "}"},
	{"'a'", 8, "{" A ",\"\\u0061\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[8,8]}}"},
	{"'dtype'", 8, "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"'shape'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"shape\":[2]}}"},
	{"'k'", 8, "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}," A "}"},
	{"__metadata__", 8, "{\"__metadata__\":{},\"__metadata__\":{}," A "}"},
	/* __metadata__ */
	{"__metadata__", 8, "{\"__metadata__\":7," A "}"},
	{"__metadata__", 8, "{\"__metadata__\":[]," A "}"},
	{"__metadata__", 8, "{\"__metadata__\":{\"k\":1}," A "}"},
	/* the entry */
	{"'a'", 8, "{\"a\":7}"},
	{"'a'", 8, "{\"a\":[]}"},
	{"'a'", 8, "{\"a\":null}"},
	{"'a'", 8, "{\"a\":{}}"},
	{"'more'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}}"},
	/* dtype */
	{"'a'", 8, "{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"'F33'", 8, "{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	/* shape */
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":{\"x\":2},\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.5],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1,-2],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[null],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[true],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[[2]],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F4\",\"shape\":[15],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[9007199254740992],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[18446744073709551618],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,2],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2147483648,2147483648,2],\"data_offsets\":[0,8]}}"},
	/* 2^62 + 2 elements: times 4 bytes they wrap to 8 */
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2305843009213693953],\"data_offsets\":[0,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[1e999],\"data_offsets\":[0,8]}}"},
	{"shape", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[NaN],\"data_offsets\":[0,8]}}"},
	{"shape", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[Infinity],\"data_offsets\":[0,8]}}"},
	/* data_offsets */
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":8}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,\"8\"]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0.5,8.5]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,18446744073709551624]}}"},
	{"'a'", 8, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[9007199254740984,9007199254740992]}}"},
	{"'a'", 0, "{" A "}"},
	{"'a'", 7, "{" A "}"},
	/* overlaps, gaps, left-overs */
	{"'b'", 8, "{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"},
	{"'b'", 12, "{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}"},
	{"'b'", 8, "{" A ",\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[3,4]}}"},
	{"'b'", 8, "{" A ",\"b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[3,3]}}"},
	{"'b'", 20, "{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[12,20]}}"},
	{"'a'", 12, "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}"},
	{"'a'", 9, "{" A "}"},
	{"1 bytes", 1, "{}"},
};

static void bad_headers_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_headers) / sizeof(bad_headers[0]); i++) {
		const char *path = in_folder("bad.safetensors");
		write_tensor_bytes(path, bad_headers[i].header, bad_headers[i].data_bytes);
		assert_refused(path, bad_headers[i].name);
	}
}

static void header_lengths_are_checked(void **state)
{
	(void)state;
	/* lengths that do not fit the file, are over the format's limit, or wrap when 8 is added */
	const uint64_t lengths[] = {3, 100, 100000000, 100000001, UINT32_MAX, (uint64_t)1 << 63, UINT64_MAX - 7, UINT64_MAX};
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint8_t content[10] = {0, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
		for (int j = 0; j < 8; j++)
			content[j] = (uint8_t)(lengths[i] >> (8 * j));
		write_bytes(in_folder("length.safetensors"), content, sizeof(content));
		assert_refused(in_folder("length.safetensors"), "header");
	}
}

static void nesting_is_bounded(void **state)
{
	(void)state;
	enum { DEPTH = 500000 };
	char *header = must_allocate(2 * DEPTH + 16);
	for (int closed = 0; closed < 2; closed++) {
		size_t length = (size_t)sprintf(header, "{\"a\":");
		memset(header + length, '[', DEPTH);
		memset(header + length + DEPTH, ']', closed ? DEPTH : 0);
		strcpy(header + length + DEPTH + (closed ? DEPTH : 0), closed ? "}" : "");
		write_tensor_bytes(in_folder("deep.safetensors"), header, 0);
		assert_refused(in_folder("deep.safetensors"), "nested");
	}
	free(header);
}

static void more_values_than_any_model_has_are_refused(void **state)
{
	(void)state;
	enum { VALUES = 5000000 };
	char *header = must_allocate(2 * VALUES + 16);
	size_t length = (size_t)sprintf(header, "{\"a\":[");
	for (size_t i = 0; i < VALUES; i++)
		memcpy(header + length + 2 * i, "1,", 2);
	strcpy(header + length + 2 * VALUES, "1]}");
	write_tensor_bytes(in_folder("many.safetensors"), header, 0);
	assert_refused(in_folder("many.safetensors"), "values");
	free(header);
}

static void a_zero_byte_in_the_header_is_refused(void **state)
{
	(void)state;
	static const uint8_t content[] = {3, 0, 0, 0, 0, 0, 0, 0, '{', '}', 0};
	write_bytes(in_folder("zero.safetensors"), content, sizeof(content));
	assert_refused(in_folder("zero.safetensors"), "NUL");
}

static void long_names_are_cut_in_messages(void **state)
{
	(void)state;
	enum { LENGTH = 100000 };
	char *header = must_allocate(LENGTH + 64);
	sprintf(header, "{\"start-");
	memset(header + 8, 'x', LENGTH);
	strcpy(header + 8 + LENGTH, "\":{}}");
	write_tensor_bytes(in_folder("long.safetensors"), header, 0);
	assert_refused(in_folder("long.safetensors"), "start-x");
	assert_refused(in_folder("long.safetensors"), "...': 'dtype' is not a text");
	/* around the length at which names begin to be cut, never in the middle of a character */
	for (size_t length = 40; length < 140; length++) {
		size_t start = 8 + length % 2;
		memset(header + 8, 'x', length + 1);
		strcpy(header + 8 + length, "\":{}}");
		write_tensor_bytes(in_folder("long.safetensors"), header, 0);
		assert_refused(in_folder("long.safetensors"), "start-x");
		for (size_t i = 0; i < length; i++)
			memcpy(header + start + 2 * i, "\xc3\xa9", 2);
		strcpy(header + start + 2 * length, "\":{}}");
		write_tensor_bytes(in_folder("long.safetensors"), header, 0);
		assert_refused(in_folder("long.safetensors"), length < 48 ? "\xc3\xa9': " : "\xc3\xa9");
		if (length > 60)
			assert_refused(in_folder("long.safetensors"), "\xc3\xa9...': ");
	}
	free(header);
}

/* Three tensors, a note, padding: about what a small real file has. */
static const char valid_header[] = "{\"__metadata__\":{\"format\":\"pt\"},"
				   "\"model.weight\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
				   "\"bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]},"
				   "\"none\":{\"dtype\":\"I64\",\"shape\":[4,0],\"data_offsets\":[16,16]}}   ";

static void a_valid_file_cut_at_any_byte_is_refused(void **state)
{
	(void)state;
	size_t whole = 8 + strlen(valid_header) + 16;
	uint8_t *content = must_allocate(whole);
	gqe_tensor_file *file = NULL;
	gqe_error error = {0};

	write_tensor_bytes(in_folder("whole.safetensors"), valid_header, 16);
	assert_ok(gqe_tensor_file_open(in_folder("whole.safetensors"), &file, &error), &error);
	gqe_tensor_file_destroy(&file);
	FILE *stream = fopen(in_folder("whole.safetensors"), "rb");
	assert_int_equal(fread(content, 1, whole, stream), whole);
	fclose(stream);
	for (size_t length = 0; length < whole; length++) {
		write_bytes(in_folder("cut.safetensors"), content, length);
		assert_refused(in_folder("cut.safetensors"), length < 8 + strlen(valid_header) ? "header" : "tensor");
	}
	free(content);
}

/* One changed byte may leave a valid file (a name, a shape of the same size) or an invalid one, nothing else. */
static void any_changed_byte_is_survived(void **state)
{
	(void)state;
	static const uint8_t changes[] = {0x01, 0x80, 0xff, 'x' ^ '0'};
	size_t whole = 8 + strlen(valid_header) + 16, opened = 0, refused = 0;
	uint8_t *content = must_allocate(whole);

	write_tensor_bytes(in_folder("whole.safetensors"), valid_header, 16);
	FILE *stream = fopen(in_folder("whole.safetensors"), "rb");
	assert_int_equal(fread(content, 1, whole, stream), whole);
	fclose(stream);
	for (size_t i = 0; i < whole * sizeof(changes); i++) {
		uint8_t change = changes[i % sizeof(changes)];
		gqe_tensor_file *file = NULL;
		gqe_error error = {0};

		content[i / sizeof(changes)] ^= change;
		write_bytes(in_folder("changed.safetensors"), content, whole);
		gqe_status status = gqe_tensor_file_open(in_folder("changed.safetensors"), &file, &error);
		if (status == GQE_OK) {
			assert_true(sum_of_all(file) > 0);
			opened++;
		} else {
			assert_bad_input(status, &error, in_folder("changed.safetensors"), ".");
			refused++;
		}
		gqe_tensor_file_destroy(&file);
		content[i / sizeof(changes)] ^= change;
	}
	assert_true(opened > 0);
	assert_true(refused > opened);
	free(content);
}

static void what_is_no_regular_file_is_refused(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in_folder("a_folder"), 0700), 0);
	assert_refused(in_folder("a_folder"), "folder");
	assert_int_equal(mkfifo(in_folder("a_fifo"), 0600), 0);
	assert_refused(in_folder("a_fifo"), "regular");
	assert_refused("/dev/null", "regular");
	assert_refused(in_folder("does_not_exist.safetensors"), "open");
	assert_refused(in_folder("does_not_exist/at_all.safetensors"), "open");
	assert_refused("", "open");

	gqe_tensor_file *file = NULL;
	assert_int_equal(gqe_tensor_file_open(NULL, &file, NULL), GQE_ERROR_USAGE);
	assert_int_equal(gqe_tensor_file_open("x", NULL, NULL), GQE_ERROR_USAGE);
	gqe_tensor_file_destroy(&file);
	gqe_tensor_file_destroy(NULL);
}

static void valid_files_are_read_as_they_stand(void **state)
{
	(void)state;
	/* data out of order in the header, an odd header length (unaligned data), a scalar, dtypes that are only listed */
	static const char header[] = "{\"f64\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[4,12]},"
				     "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
				     "\"four bits\":{\"dtype\":\"F4\",\"shape\":[2,1],\"data_offsets\":[12,13]},"
				     "\"empty\":{\"dtype\":\"F16\",\"shape\":[3,0],\"data_offsets\":[4,4]},"
				     "\"h\xc3\xa9\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,3],\"data_offsets\":[13,16]}} ";
	gqe_tensor_file *file = NULL;
	gqe_error error = {0};
	size_t count = 0;

	write_tensor_bytes(in_folder("valid.safetensors"), header, 16);
	assert_ok(gqe_tensor_file_open(in_folder("valid.safetensors"), &file, &error), &error);
	const gqe_tensor *tensors = gqe_tensor_file_tensors(file, &count);
	assert_int_equal(count, 5);
	assert_string_equal(tensors[0].name, "f64");
	assert_int_equal(tensors[0].dtype, GQE_DTYPE_OTHER);
	assert_int_equal(tensors[0].bytes, 8);
	assert_string_equal(tensors[0].file, in_folder("valid.safetensors"));
	assert_int_equal(gqe_tensor_file_find(file, "scalar")->rank, 0);
	assert_int_equal(gqe_tensor_file_find(file, "four bits")->bytes, 1);
	assert_int_equal(gqe_tensor_file_find(file, "empty")->bytes, 0);
	const gqe_tensor *last = gqe_tensor_file_find(file, "h\xc3\xa9");
	assert_int_equal(last->rank, 8);
	assert_int_equal(last->shape[7], 3);
	assert_int_equal(((const uint8_t *)last->data)[2], 15);
	assert_null(gqe_tensor_file_find(file, "f6"));
	assert_null(gqe_tensor_file_find(file, ""));
	gqe_tensor_file_destroy(&file);
	assert_null(file);

	write_tensor_bytes(in_folder("valid.safetensors"), "{}", 0);
	assert_ok(gqe_tensor_file_open(in_folder("valid.safetensors"), &file, &error), &error);
	gqe_tensor_file_tensors(file, &count);
	assert_int_equal(count, 0);
	assert_null(gqe_tensor_file_find(file, "a"));
	gqe_tensor_file_destroy(&file);
}

static void what_is_written_reads_back(void **state)
{
	(void)state;
	static const float values[6] = {1, -2, 3.5f, 0, 1e-30f, 7};
	static const int64_t numbers[1] = {-5};
	const gqe_tensor written[] = {
		{.name = "quote\" back\\slash", .dtype = GQE_DTYPE_F32, .rank = 2, .shape = {2, 3}, .data = values, .bytes = 24},
		{.name = "none", .dtype = GQE_DTYPE_U8, .rank = 1, .shape = {0}},
		{.name = "scalar", .dtype = GQE_DTYPE_I64, .data = numbers, .bytes = 8},
	};
	gqe_tensor_file *file = NULL;
	gqe_error error = {0};
	size_t count = 0;

	/* over an older, longer file, and with what an interrupted run left behind */
	write_tensor_bytes(in_folder("out.safetensors"), valid_header, 16);
	write_text(in_folder("out.safetensors.0.tmp"), "left behind");
	assert_ok(gqe_tensor_file_write(in_folder("out.safetensors"), written, 3, &error), &error);
	assert_int_equal(access(in_folder("out.safetensors.1.tmp"), F_OK), -1);
	assert_ok(gqe_tensor_file_open(in_folder("out.safetensors"), &file, &error), &error);
	const gqe_tensor *read = gqe_tensor_file_tensors(file, &count);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(read[i].name, written[i].name);
		assert_int_equal(read[i].dtype, written[i].dtype);
		assert_int_equal(read[i].rank, written[i].rank);
		assert_memory_equal(read[i].shape, written[i].shape, sizeof(read[i].shape));
		assert_int_equal(read[i].bytes, written[i].bytes);
		if (read[i].bytes)
			assert_memory_equal(read[i].data, written[i].data, read[i].bytes);
	}
	assert_int_equal((uintptr_t)read[0].data % 8, 0);
	gqe_tensor_file_destroy(&file);
}

static void what_cannot_be_written_is_refused(void **state)
{
	(void)state;
	static const float values[2] = {1, 2};
	const gqe_tensor good = {.name = "a", .dtype = GQE_DTYPE_F32, .rank = 1, .shape = {2}, .data = values, .bytes = 8};
	gqe_tensor bad[7] = {good, good, good, good, good, good, good};
	gqe_error error = {0};

	bad[0].name = NULL;
	bad[1].name = "__metadata__";
	bad[2].name = "line\nbreak";
	bad[3].dtype = GQE_DTYPE_OTHER;
	bad[4].bytes = 4;
	bad[5].rank = GQE_MAX_RANK + 1;
	bad[6].data = NULL;
	for (size_t i = 0; i < 7; i++)
		assert_int_equal(gqe_tensor_file_write(in_folder("never.safetensors"), &bad[i], 1, NULL), GQE_ERROR_USAGE);
	assert_int_equal(gqe_tensor_file_write(NULL, &good, 1, NULL), GQE_ERROR_USAGE);
	const gqe_tensor twice[] = {good, good};
	assert_bad_input(gqe_tensor_file_write(in_folder("never.safetensors"), twice, 2, &error), &error, "never.safetensors",
			 "'a'");
	assert_int_equal(access(in_folder("never.safetensors"), F_OK), -1);
	const char *nowhere = in_folder("no_such_folder/x.safetensors");
	assert_bad_input(gqe_tensor_file_write(nowhere, &good, 1, &error), &error, nowhere, "create");

	/* A folder or a pipe is in the way: it stays, and no temporary file is left. */
	assert_int_equal(mkdir(in_folder("in_the_way"), 0700), 0);
	assert_bad_input(gqe_tensor_file_write(in_folder("in_the_way"), &good, 1, &error), &error, "in_the_way", "write");
	assert_int_equal(access(in_folder("in_the_way.0.tmp"), F_OK), -1);
	assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
	assert_bad_input(gqe_tensor_file_write(in_folder("pipe"), &good, 1, &error), &error, "pipe", "regular file");
	struct stat status;
	assert_int_equal(stat(in_folder("pipe"), &status), 0);
	assert_true(S_ISFIFO(status.st_mode));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_headers_are_refused),
		cmocka_unit_test(header_lengths_are_checked),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(more_values_than_any_model_has_are_refused),
		cmocka_unit_test(a_zero_byte_in_the_header_is_refused),
		cmocka_unit_test(long_names_are_cut_in_messages),
		cmocka_unit_test(a_valid_file_cut_at_any_byte_is_refused),
		cmocka_unit_test(any_changed_byte_is_survived),
		cmocka_unit_test(what_is_no_regular_file_is_refused),
		cmocka_unit_test(valid_files_are_read_as_they_stand),
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(what_cannot_be_written_is_refused),
	};
	return cmocka_run_group_tests_name("bad files", tests, make_test_folder, remove_test_folder);
}
