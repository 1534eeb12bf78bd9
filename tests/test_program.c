/* The program as a user calls it: exit codes, what goes to stdout and what to stderr, messages, JSON. */
#include "support/layer_fixture.h"
#include "support/model_fixture.h"
#include "support/program_runner.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct model_fixture bytes_model;

static int make_files(void **state)
{
	program_open_folder(state);
	bytes_model = (struct model_fixture){.config = small_model_config(), .seed = 5};
	bytes_model.config.vocab_size = 256;
	model_fixture_init(&bytes_model);
	return 0;
}

static int remove_files(void **state)
{
	model_fixture_free(&bytes_model);
	return program_remove_folder(state);
}

static void help_goes_to_stdout(void **state)
{
	(void)state;
	static const char *const commands[] = {"devices", "run", "layer", "inspect", "bench", "tune", "selftest"};
	expect(RUN("--version"), 0, "gqe 0.1.0");
	expect(RUN("help"), 0, "Commands:");
	expect(RUN("--help"), 0, "Commands:");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct result result = RUN(commands[i], "--help");
		assert_int_equal(result.exit_code, 0);
		assert_non_null(strstr(result.out, "--device"));
		assert_string_equal(result.err, "");
		struct result same = RUN("help", commands[i]);
		assert_string_equal(same.out, result.out);
		result_free(&same);
		result_free(&result);
	}
}

static void usage_errors_are_exit_code_2_and_name_the_remedy(void **state)
{
	(void)state;
	const char *const nothing[] = {NULL};
	expect(finish(start(nothing, NULL, NULL)), 2, "Usage:");
	expect(RUN("runn"), 2, "did you mean 'run'");
	expect(RUN("bnech"), 2, "did you mean 'bench'");
	expect(RUN("bench", "--sqe", "3"), 2, "did you mean '--seq'?");
	expect(RUN("--jsn"), 2, "unknown option '--jsn'");
	expect(RUN("run", "m", "--promt", "x"), 2, "gqe run: unknown option '--promt'; did you mean '--prompt'?");
	expect(RUN("run", "m", "--promt=x"), 2, "did you mean '--prompt'?");
	expect(RUN("run", "m", "--qqqqqq"), 2, "unknown option '--qqqqqq'");
	expect(RUN("run", "--prompt", "x"), 2, "MODEL is missing");
	expect(RUN("run", "m", "n", "--prompt", "x"), 2, "unexpected argument 'n'");
	expect(RUN("run", "m"), 2, "--prompt");
	expect(RUN("run", "m", "--prompt", "x", "--tokens", "f"), 2, "only one");
	expect(RUN("run", "m", "--prompt"), 2, "needs a value (TEXT)");
	expect(RUN("run", "m", "--prompt", "x", "-n", "-5"), 2, "whole number");
	expect(RUN("run", "m", "--prompt", "x", "--chunk", "0"), 2, "from 1 to");
	expect(RUN("run", "m", "--prompt", "x", "--chunk=99999999999"), 2, "--chunk");
	expect(RUN("run", "m", "--prompt", "x", "--dtype", "f8"), 2, "f32, f16");
	expect(RUN("run", "m", "--prompt", "x", "--memory-limit", "12Q"), 2, "512M");
	expect(RUN("devices", "--json=1"), 2, "takes no value");
	expect(RUN("devices", "extra"), 2, "unexpected argument 'extra'");
	expect(RUN("layer", "--config", "c"), 2, "--weights is missing");
	expect(RUN("run", bytes_model.folder, "--prompt", ""), 2, "empty");
}

static void devices_lists_as_text_and_json(void **state)
{
	(void)state;
	struct result result = RUN("devices", "--json");
	cJSON *document = parse_json(&result);
	const cJSON *device, *devices = cJSON_GetObjectItemCaseSensitive(document, "devices");
	assert_true(cJSON_IsArray(devices));
	assert_true(cJSON_HasObjectItem(document, "reference"));
	bool usable = false;
	cJSON_ArrayForEach(device, devices) {
		assert_true(cJSON_IsString(cJSON_GetObjectItemCaseSensitive(device, "name")));
		assert_true(cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(device, "paths")));
		usable = usable || cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(device, "usable"));
	}
	assert_int_equal(result.exit_code, usable ? 0 : 3);
	cJSON_Delete(document);
	result_free(&result);
	result = RUN("devices");
	assert_non_null(strstr(result.out, "--device reference"));
	result_free(&result);
	expect(RUN("devices", "--device", "reference"), 0, "reference");
}

static void an_unknown_device_is_exit_code_3(void **state)
{
	(void)state;
	expect(RUN("run", bytes_model.folder, "--prompt", "x", "--device", "no such device"), 3, "evice");
	struct result result = RUN("run", bytes_model.folder, "--prompt", "x", "--device=no such device", "--json");
	cJSON *document = parse_json(&result);
	assert_int_equal(number_at(cJSON_GetObjectItemCaseSensitive(document, "error"), "status"), 3);
	assert_int_equal(result.exit_code, 3);
	cJSON_Delete(document);
	result_free(&result);
}

static void bad_input_is_exit_code_4_and_names_the_place(void **state)
{
	(void)state;
	expect(RUN("run", "/no/such/model", "--prompt", "x"), 4, "/no/such/model");
	expect(RUN("inspect", "/no/such/model"), 4, "/no/such/model");
	expect(RUN("run", bytes_model.folder, "--prompt-file", "/no/such/file"), 4, "/no/such/file");
	write_text(in_folder("ids"), "1 2\n 3 256 4\n");
	expect(RUN("run", bytes_model.folder, "--tokens", in_folder("ids")), 4, "line 2, column 4: '256'");
	write_text(in_folder("ids"), "1 -2");
	expect(RUN("run", bytes_model.folder, "--tokens", in_folder("ids")), 4, "line 1, column 3: '-2'");
	write_text(in_folder("ids"), " \n");
	expect(RUN("run", bytes_model.folder, "--tokens", in_folder("ids")), 4, "empty");
}

static void run_scores_in_windows_and_generates(void **state)
{
	(void)state;
	char text[101];
	for (int i = 0; i < 100; i++)
		text[i] = (char)('a' + i * i % 26);
	text[100] = 0;
	write_text(in_folder("prompt"), text);
	struct result result =
		RUN("run", bytes_model.folder, "--prompt-file", in_folder("prompt"), "--window=32", "-n4", "--json", "-v");
	assert_int_equal(result.exit_code, 0);
	cJSON *document = parse_json(&result);
	const cJSON *prompt = cJSON_GetObjectItemCaseSensitive(document, "prompt");
	const cJSON *generated = cJSON_GetObjectItemCaseSensitive(document, "generated");
	assert_true(number_at(prompt, "tokens") == 100);
	assert_true(number_at(prompt, "predicted_tokens") == 96); /* windows of 32, 32, 32 and 4 */
	double nll = number_at(prompt, "mean_nll");
	assert_true(fabs(number_at(prompt, "perplexity") / exp(nll) - 1) < 1e-9);
	assert_true(fabs(number_at(prompt, "bits_per_byte") / (nll / log(2)) - 1) < 1e-9);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(document, "routing")), 2);
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(generated, "ids")), 4);
	assert_true(cJSON_IsString(cJSON_GetObjectItemCaseSensitive(generated, "text")));
	cJSON_Delete(document);
	result_free(&result);

	/* The same from stdin, as text; one window by default, and a warning as the model knows 128 positions only. */
	const char *const from_stdin[] = {"run", bytes_model.folder, "--prompt-file", "-", NULL};
	result = finish(start(from_stdin, in_folder("prompt"), NULL));
	assert_int_equal(result.exit_code, 0);
	assert_non_null(strstr(result.out, "perplexity"));
	assert_non_null(strstr(result.out, "99 tokens predicted"));
	assert_string_equal(result.err, "");
	result_free(&result);
	result = RUN("run", bytes_model.folder, "--prompt", "a");
	assert_int_equal(result.exit_code, 0);
	assert_non_null(strstr(result.out, "nothing to score"));
	result_free(&result);
}

static void the_window_of_a_long_prompt_is_recommended(void **state)
{
	(void)state;
	char *text = must_allocate(201);
	memset(text, 'x', 200);
	text[200] = 0;
	struct result result = RUN("run", bytes_model.folder, "--prompt", text);
	assert_int_equal(result.exit_code, 0);
	assert_non_null(strstr(result.err, "trained for 128 positions"));
	assert_non_null(strstr(result.err, "--window"));
	result_free(&result);
	free(text);
}

/* Generation from ids prints ids, and greedy choices follow from the prompt alone. */
static void generation_from_ids_repeats(void **state)
{
	(void)state;
	write_text(in_folder("ids"), "72 101 108\n108 111");
	struct result first = RUN("run", bytes_model.folder, "--tokens", in_folder("ids"), "-n", "6", "--json");
	struct result second = RUN("run", bytes_model.folder, "--prompt", "Hello", "-n", "6", "--json", "--chunk", "2");
	cJSON *a = parse_json(&first), *b = parse_json(&second);
	const cJSON *ids_a = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(a, "generated"), "ids");
	const cJSON *ids_b = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(b, "generated"), "ids");
	assert_int_equal(cJSON_GetArraySize(ids_a), 6);
	assert_true(cJSON_Compare(ids_a, ids_b, true));
	assert_true(cJSON_HasObjectItem(cJSON_GetObjectItemCaseSensitive(a, "prompt"), "bits_per_token"));
	cJSON_Delete(a);
	cJSON_Delete(b);
	result_free(&first);
	result_free(&second);
}

static void inspect_describes_a_model(void **state)
{
	(void)state;
	struct result result = RUN("inspect", bytes_model.folder, "--context", "1000", "--json");
	assert_int_equal(result.exit_code, 0);
	cJSON *document = parse_json(&result);
	const cJSON *memory = cJSON_GetObjectItemCaseSensitive(document, "memory");
	assert_true(number_at(memory, "total") ==
		    number_at(memory, "weights") + number_at(memory, "kv_cache") + number_at(memory, "scratch"));
	assert_true(number_at(document, "slots") == 4); /* k*G 2, weighted sum, shared head */
	assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(document, "tensors")), 23);
	cJSON_Delete(document);
	result_free(&result);
	expect(RUN("inspect", bytes_model.folder), 0, "KV cache");
}

static void too_little_memory_is_exit_code_5(void **state)
{
	(void)state;
	const char *device = getenv("GQE_DEVICE");
	if (device && strcmp(device, "reference") == 0)
		skip();
	expect(RUN("run", bytes_model.folder, "--prompt", "x", "--memory-limit", "4K"), 5, "memory");
}

/* gqe layer on a golden, as [B, T, d] and as [T, d]. */
static void layer_writes_what_it_computed(void **state)
{
	(void)state;
	gqe_error error = {0};
	gqe_tensor_file *input = NULL, *expected = NULL, *output = NULL;
	const char *config = GQE_GOLDENS "/tile_edges_257/config.json",
		   *weights = GQE_GOLDENS "/tile_edges_257/weights.safetensors";
	assert_ok(gqe_tensor_file_open(GQE_GOLDENS "/tile_edges_257/input.safetensors", &input, &error), &error);
	assert_ok(gqe_tensor_file_open(GQE_GOLDENS "/tile_edges_257/expected.safetensors", &expected, &error), &error);
	gqe_tensor x = *gqe_tensor_file_find(input, "x");
	const gqe_tensor *want = gqe_tensor_file_find(expected, "y"), *want_experts = gqe_tensor_file_find(expected, "experts");
	for (int flat = 0; flat < 2; flat++) {
		if (flat) { /* [1, T, d] as [T, d] */
			x.rank = 2;
			x.shape[0] = x.shape[1];
			x.shape[1] = x.shape[2];
		}
		assert_ok(gqe_tensor_file_write(in_folder("x"), &x, 1, &error), &error);
		struct result result = RUN("layer", "--config", config, "--weights", weights, "--input", in_folder("x"), "--output",
					   in_folder("y"), "--chunk", "100", "--json");
		assert_int_equal(result.exit_code, 0);
		cJSON_Delete(parse_json(&result));
		result_free(&result);
		assert_ok(gqe_tensor_file_open(in_folder("y"), &output, &error), &error);
		const gqe_tensor *y = gqe_tensor_file_find(output, "y"), *experts = gqe_tensor_file_find(output, "experts");
		const gqe_tensor *gate = gqe_tensor_file_find(output, "gate");
		assert_non_null(y);
		assert_non_null(experts);
		assert_non_null(gate);
		assert_int_equal(y->rank, x.rank);
		assert_memory_equal(y->shape, x.shape, x.rank * sizeof(x.shape[0]));
		assert_int_equal(experts->rank, x.rank + 1);
		assert_int_equal(experts->bytes, want_experts->bytes);
		assert_memory_equal(experts->data, want_experts->data, want_experts->bytes);
		float *got = memcpy(must_allocate(y->bytes), y->data, y->bytes);
		float *wanted = memcpy(must_allocate(want->bytes), want->data, want->bytes);
		assert_close(got, wanted, want->bytes / 4, TOLERANCE_F32, "y");
		free(got);
		free(wanted);
		gqe_tensor_file_destroy(&output);
	}
	x.name = "z";
	assert_ok(gqe_tensor_file_write(in_folder("z"), &x, 1, &error), &error);
	expect(RUN("layer", "--config", config, "--weights", weights, "--input", in_folder("z"), "--output", in_folder("y")), 4,
	       "'x'");
	x.name = "x";
	x.shape[0] *= 2;
	x.shape[1] /= 2;
	assert_ok(gqe_tensor_file_write(in_folder("z"), &x, 1, &error), &error);
	expect(RUN("layer", "--config", config, "--weights", weights, "--input", in_folder("z"), "--output", in_folder("y")), 4,
	       "hidden_size");
	expect(RUN("layer", "--config", config, "--weights", weights, "--input", in_folder("z"), "--output",
		   in_folder("no-such-folder/y")),
	       2, "no-such-folder");
	gqe_tensor_file_destroy(&input);
	gqe_tensor_file_destroy(&expected);
}

/* Ctrl-C while a prompt is read that takes minutes. The warning on stderr shows that the program is at work. */
static void an_interrupt_cancels_cleanly(void **state)
{
	(void)state;
	enum { PROMPT = 300000 };
	char *text = must_allocate(PROMPT + 1);
	memset(text, 'x', PROMPT);
	text[PROMPT] = 0;
	write_text(in_folder("long"), text);
	free(text);
	unlink(in_folder("stderr"));
	const char *const arguments[] = {"run", bytes_model.folder, "--prompt-file", in_folder("long"), NULL};
	pid_t child = start(arguments, NULL, NULL);
	for (bool at_work = false; !at_work;) {
		nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
		if (access(in_folder("stderr"), R_OK) == 0) {
			char *err = read_file(in_folder("stderr"));
			at_work = strstr(err, "warning") != NULL;
			free(err);
		}
	}
	kill(child, SIGINT);
	struct result result = finish(child);
	assert_int_equal(result.exit_code, 130);
	assert_non_null(strstr(result.err, "cancelled"));
	result_free(&result);
}

static void a_full_disk_is_no_success(void **state)
{
	(void)state;
	const char *const arguments[] = {"inspect", bytes_model.folder, NULL};
	if (access("/dev/full", W_OK) != 0)
		skip();
	int status;
	pid_t child = start(arguments, NULL, "/dev/full");
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(help_goes_to_stdout),
		cmocka_unit_test(usage_errors_are_exit_code_2_and_name_the_remedy),
		cmocka_unit_test(devices_lists_as_text_and_json),
		cmocka_unit_test(an_unknown_device_is_exit_code_3),
		cmocka_unit_test(bad_input_is_exit_code_4_and_names_the_place),
		cmocka_unit_test(run_scores_in_windows_and_generates),
		cmocka_unit_test(the_window_of_a_long_prompt_is_recommended),
		cmocka_unit_test(generation_from_ids_repeats),
		cmocka_unit_test(inspect_describes_a_model),
		cmocka_unit_test(too_little_memory_is_exit_code_5),
		cmocka_unit_test(layer_writes_what_it_computed),
		cmocka_unit_test(an_interrupt_cancels_cleanly),
		cmocka_unit_test(a_full_disk_is_no_success),
	};
	return cmocka_run_group_tests(tests, make_files, remove_files);
}
