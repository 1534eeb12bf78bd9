/* `gqe routes` as a user calls it: options, exit codes, and what its figures must satisfy whatever the model. */
#include "support/program_runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GQE_2M GQE_MODELS "/gqe-2m"

/* 160 bytes: 'a' and ' ' occur often enough to be compared, and there is markup to escape. */
static const char text[] = "In the beginning <God> created the heaven & the earth. And the earth was without form, and void; "
			   "and darkness was upon the face of the deep. And the \"Spirit\"";

static int open_folder(void **state)
{
	program_open_folder(state);
	FILE *file = fopen(in_folder("text"), "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, sizeof(text) - 1, file), sizeof(text) - 1);
	assert_int_equal(fclose(file), 0);
	return 0;
}

static void wrong_calls(void **state)
{
	(void)state;
	expect(RUN("routes", "--help"), 0, "--prompt-file");
	expect(RUN("help"), 0, "  routes ");
	expect(RUN("routes"), 2, "MODEL is missing");
	expect(RUN("routes", GQE_2M), 2, "give one of");
	expect(RUN("routes", GQE_2M, "--prompt", "x", "--tokens", "y"), 2, "give only one of");
	expect(RUN("routes", GQE_2M, "--prompt", "x", "--html", in_folder("no-such-folder/p.html")), 2, "no-such-folder");
	expect(RUN("routes", GQE_2M, "--prompt", "x", "--show", "0"), 2, "--show");
	expect(RUN("routes", in_folder("no-model"), "--prompt", "x"), 4, "no-model");
	expect(RUN("routes", GQE_2M, "--prompt-file", in_folder("no-text")), 4, "no-text");
	expect(RUN("routes", GQE_MODELS "/gqa-2m", "--prompt", "x"), 4, "dense attention");
}

static void check_group(const cJSON *group, int top_k, int experts)
{
	const cJSON *shares = cJSON_GetObjectItemCaseSensitive(group, "share"), *share;
	double sum = 0, entropy = 0;
	assert_int_equal(cJSON_GetArraySize(shares), experts);
	cJSON_ArrayForEach(share, shares) {
		sum += share->valuedouble;
		if (share->valuedouble > 0)
			entropy -= share->valuedouble / top_k * log2(share->valuedouble / top_k);
	}
	assert_true(fabs(sum - top_k) < 1e-9);
	assert_true(fabs(entropy - number_at(group, "entropy_bits")) < 1e-9);
	/* A little under k when the shares and the mean probabilities lean to different sides. */
	assert_true(number_at(group, "balance") > 0.8 * top_k && number_at(group, "balance") <= experts);
	/* Before layer 0's router there is only the token's embedding. */
	const double decides = number_at(group, "token_decides");
	assert_true(decides >= -1e-9 && decides <= 1 + 1e-9);
	if (number_at(group, "layer") == 0)
		assert_true(fabs(decides - 1) < 1e-9);
}

static void figures_agree_with_each_other(void **state)
{
	(void)state;
	struct result result = RUN("routes", GQE_2M, "--prompt-file", in_folder("text"), "--json");
	assert_int_equal(result.exit_code, 0);
	cJSON *document = parse_json(&result);
	const cJSON *groups = cJSON_GetObjectItemCaseSensitive(document, "groups"), *group, *token;
	assert_true(number_at(document, "tokens") == sizeof(text) - 1);
	assert_int_equal(cJSON_GetArraySize(groups), 4 * 4);
	cJSON_ArrayForEach(group, groups)
		check_group(group, 1, 2);
	double last = 1;
	const cJSON *agreement = cJSON_GetObjectItemCaseSensitive(document, "agreement");
	assert_true(cJSON_GetArraySize(agreement) >= 5);
	cJSON_ArrayForEach(token, agreement) {
		const double value = number_at(token, "agreement");
		assert_true(value >= 0.5 && value <= last && number_at(token, "occurs") >= 8);
		last = value;
	}
	cJSON_Delete(document);
	result_free(&result);
}

static void a_page_and_a_picture(void **state)
{
	(void)state;
	uint32_t width, height;
	expect(RUN("routes", GQE_2M, "--prompt-file", in_folder("text"), "--show", "64", "--plot", in_folder("r.png"), "--html",
		   in_folder("r.html")),
	       0, "token");
	expect_png(in_folder("r.png"), &width, &height);
	assert_true(width >= 600 && width <= 1400 && height >= 200 && height <= 1000);
	char *page = read_page(in_folder("r.html"));
	assert_non_null(strstr(page, "The first 64 tokens"));
	assert_non_null(strstr(page, ">&lt;</text>"));
	assert_null(strstr(page, "><</text>"));
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wrong_calls),
		cmocka_unit_test(figures_agree_with_each_other),
		cmocka_unit_test(a_page_and_a_picture),
	};
	return cmocka_run_group_tests(tests, open_folder, program_remove_folder);
}
