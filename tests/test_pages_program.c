/*
 * The pages of `gqe compare --html` and `gqe routes --html` in a headless Chromium: in light and dark, on a desk and on a phone. A
 * page around them (pages.html) looks into them as laid out; the pictures of the screen are looked at here.
 */
#include "support/program_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STBI_ONLY_PNG
#define STB_IMAGE_IMPLEMENTATION
#include <stb/stb_image.h>

#define RECORD GQE_TESTS "/records/schema-1.json"

static const char *const pages[] = {"compare.html", "compare-many.html", "compare-marked.html", "routes.html"};
enum { PAGES = sizeof(pages) / sizeof(pages[0]) };

/* A record under a long name, with names as long as a driver may give, whose kernels are others. */
static void write_marked(const char *name)
{
	char *text = read_file(RECORD);
	cJSON *record = cJSON_Parse(text);
	assert_non_null(record);
	cJSON *device = cJSON_GetObjectItemCaseSensitive(record, "device");
	cJSON_ReplaceItemInObjectCaseSensitive(
		device, "name",
		cJSON_CreateString("A-device-with-a-name-of-one-word-that-is-longer-than-any-phone-is-wide-(R)-(TM)"));
	cJSON_ReplaceItemInObjectCaseSensitive(device, "driver_info", cJSON_CreateString("<b>9.9.9</b> & a comment"));
	cJSON_ReplaceItemInObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(record, "gqe"), "shader_hash",
					       cJSON_CreateString("0123456789abcdef"));
	char *made = cJSON_PrintUnformatted(record);
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	assert_true(fputs(made, file) >= 0);
	assert_int_equal(fclose(file), 0);
	cJSON_free(made);
	cJSON_Delete(record);
	free(text);
}

static int make_pages(void **state)
{
	program_open_folder(state);
	char marked[512];
	snprintf(marked, sizeof(marked), "%s", in_folder("a-file-name-that-is-longer-than-its-label.json"));
	write_marked(marked);
	expect(RUN("compare", RECORD, RECORD, "--html", in_folder(pages[0])), 0, "");
	expect(RUN("compare", RECORD, RECORD, RECORD, RECORD, RECORD, RECORD, RECORD, RECORD, "--html", in_folder(pages[1])), 0,
	       "");
	expect(RUN("compare", RECORD, marked, "--html", in_folder(pages[2])), 0, "");
	expect(RUN("routes", GQE_MODELS "/gqe-2m", "--device", "reference", "--prompt",
		   "In the beginning God created the heaven and the earth. And the earth was without form, and void; and darkness",
		   "--html", in_folder(pages[3])),
	       0, "");
	for (size_t i = 0; i < PAGES; i++)
		free(read_page(in_folder(pages[i])));
	return 0;
}

/* The browser, with a profile of its own; what it writes to stdout and stderr lands in two files of the folder. */
static void browse(bool dark, const char *arguments)
{
	char command[4096];
	snprintf(command, sizeof(command),
		 "cd '%s' && HOME=\"$PWD\" timeout 120 '" GQE_CHROMIUM
		 "' --headless=new --no-sandbox --disable-gpu --hide-scrollbars --user-data-dir=\"$PWD/profile\" --no-first-run "
		 "--host-resolver-rules='MAP * ~NOTFOUND' --allow-file-access-from-files --enable-logging=stderr "
		 "--blink-settings=preferredColorScheme=%d %s >browser-out 2>browser-err",
		 in_folder(""), dark ? 0 : 1, arguments);
	assert_int_equal(system(command), 0);
	char *errors = read_file(in_folder("browser-err"));
	if (strstr(errors, "CONSOLE"))
		fail_msg("the console has messages: %s", strstr(errors, "CONSOLE"));
	free(errors);
}

/* pages.html names each thing that is wrong with a page, at each width, and at last says how many it looked at. */
static void look_into(bool dark)
{
	char arguments[2048];
	size_t length = (size_t)snprintf(arguments, sizeof(arguments),
					 "--virtual-time-budget=20000 --dump-dom 'file://" GQE_TESTS "/support/pages.html?%s",
					 dark ? "dark" : "light");
	for (size_t i = 0; i < PAGES; i++)
		length += (size_t)snprintf(arguments + length, sizeof(arguments) - length, "&%s", in_folder(pages[i]));
	snprintf(arguments + length, sizeof(arguments) - length, "'");
	browse(dark, arguments);
	char *out = read_file(in_folder("browser-out"));
	const char *found = strstr(out, "<pre id=\"found\">");
	assert_non_null(found);
	char expected[64];
	snprintf(expected, sizeof(expected), "<pre id=\"found\">%d pages are well", 2 * PAGES);
	if (strncmp(found, expected, strlen(expected)) != 0)
		fail_msg("%s", found);
	free(out);
}

static void pages_are_well_in_light(void **state)
{
	(void)state;
	look_into(false);
}

static void pages_are_well_in_dark(void **state)
{
	(void)state;
	look_into(true);
}

/* Mean brightness, 0 to 255, of a screen that shows something. */
static double brightness_of_screen(const char *page, bool dark, int width, int height)
{
	char arguments[1024];
	snprintf(arguments, sizeof(arguments), "--window-size=%d,%d --screenshot=screen.png 'file://%s'", width, height,
		 in_folder(page));
	browse(dark, arguments);
	int columns = 0, rows = 0, channels = 0;
	unsigned char *pixels = stbi_load(in_folder("screen.png"), &columns, &rows, &channels, 3);
	assert_non_null(pixels);
	assert_true(columns == width && rows == height);
	uint32_t counts[512] = {0}, most = 0, colours = 0;
	double sum = 0;
	for (int i = 0; i < width * height; i++) {
		const unsigned char *pixel = pixels + 3 * i;
		counts[(pixel[0] >> 5) << 6 | (pixel[1] >> 5) << 3 | pixel[2] >> 5]++;
		sum += (pixel[0] + pixel[1] + pixel[2]) / 3.0;
	}
	for (size_t i = 0; i < 512; i++) {
		most = counts[i] > most ? counts[i] : most;
		colours += counts[i] > 20;
	}
	stbi_image_free(pixels);
	/* Text, rules, and the colours of the devices or experts; not all of it background. */
	assert_true(colours >= 8);
	assert_true(most < 0.99 * width * height);
	return sum / (width * height);
}

static void screens_are_not_uniform(void **state)
{
	(void)state;
	for (size_t i = 0; i < PAGES; i += PAGES - 1) {
		assert_true(brightness_of_screen(pages[i], false, 1280, 900) > 190);
		assert_true(brightness_of_screen(pages[i], true, 1280, 900) < 90);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_are_well_in_light),
		cmocka_unit_test(pages_are_well_in_dark),
		cmocka_unit_test(screens_are_not_uniform),
	};
	return cmocka_run_group_tests(tests, make_pages, program_remove_folder);
}
