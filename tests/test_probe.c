/* A driver that crashes beside one that works: probing lists both, and the process lives. */
#include "support/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void a_probe_lists_what_a_list_does(void **state)
{
	(void)state;
	gqe_error error = {0};
	gqe_device_list *list = NULL, *probed = NULL;
	assert_ok(gqe_device_list_create(&list, &error), &error);
	assert_ok(gqe_device_list_probe(&probed, &error), &error);
	assert_int_equal(probed->count, list->count);
	for (uint32_t i = 0; i < list->count; i++)
		assert_memory_equal(&probed->devices[i], &list->devices[i], sizeof(list->devices[i]));
	gqe_device_list_destroy(&probed);
	gqe_device_list_destroy(&list);
	assert_status(gqe_device_list_probe(NULL, &error), GQE_ERROR_USAGE, &error);
}

static void a_driver_that_crashes_is_reported_and_others_listed(void **state)
{
	(void)state;
	const char *drivers = getenv("VK_ICD_FILENAMES");
	char folder[256], manifest[300], text[1024], both[2048];
	gqe_error error = {0};
	gqe_device_list *good = NULL, *probed = NULL;
	assert_non_null(drivers);
	assert_ok(gqe_device_list_create(&good, &error), &error);
	make_folder(folder);
	snprintf(manifest, sizeof(manifest), "%s/broken.json", folder);
	snprintf(text, sizeof(text),
		 "{\"file_format_version\": \"1.0.0\", \"ICD\": {\"library_path\": \"%s\", \"api_version\": \"1.3.0\"}}",
		 GQE_CRASHING_DRIVER);
	write_text(manifest, text);
	char *before = strdup(drivers);
	snprintf(both, sizeof(both), "%s:%s", manifest, before);
	setenv("VK_ICD_FILENAMES", both, 1);
	gqe_status status = gqe_device_list_probe(&probed, &error);
	setenv("VK_ICD_FILENAMES", before, 1);
	free(before);
	assert_ok(status, &error);
	assert_int_equal(probed->count, good->count + 1);
	assert_false(probed->devices[0].usable);
	assert_non_null(strstr(probed->devices[0].rejected, "crashes"));
	assert_string_equal(probed->devices[0].name, "broken.json");
	for (uint32_t i = 0; i < good->count; i++) {
		assert_string_equal(probed->devices[i + 1].name, good->devices[i].name);
		assert_int_equal(probed->devices[i + 1].usable, good->devices[i].usable);
		assert_int_equal(probed->devices[i + 1].index, i + 1);
	}
	gqe_device_list_destroy(&probed);
	gqe_device_list_destroy(&good);
	remove_folder(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_probe_lists_what_a_list_does),
		cmocka_unit_test(a_driver_that_crashes_is_reported_and_others_listed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
