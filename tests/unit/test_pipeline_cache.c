/* The pipeline cache and files like it, with a made-up driver: what is written comes back, and anything else is a miss. */
#include "vulkan/pipeline_cache.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* The made-up driver: its cache's content, and what it was given. */
static uint8_t content[1000];
static uint8_t given[sizeof(content)];
static size_t given_bytes;

static VkResult VKAPI_PTR create_cache(VkDevice device, const VkPipelineCacheCreateInfo *info,
				       const VkAllocationCallbacks *allocator, VkPipelineCache *cache)
{
	(void)device;
	(void)allocator;
	assert_true(info->initialDataSize <= sizeof(given));
	given_bytes = info->initialDataSize;
	if (given_bytes) {
		memcpy(given, info->pInitialData, given_bytes);
	}
	*cache = (VkPipelineCache)1;
	return VK_SUCCESS;
}

static VkResult VKAPI_PTR fail_to_create_cache(VkDevice device, const VkPipelineCacheCreateInfo *info,
					       const VkAllocationCallbacks *allocator, VkPipelineCache *cache)
{
	(void)device;
	(void)info;
	(void)allocator;
	(void)cache;
	return VK_ERROR_OUT_OF_HOST_MEMORY;
}

static VkResult VKAPI_PTR get_data(VkDevice device, VkPipelineCache cache, size_t *bytes, void *data)
{
	(void)device;
	(void)cache;
	*bytes = sizeof(content);
	if (data) {
		memcpy(data, content, sizeof(content));
	}
	return VK_SUCCESS;
}

static void VKAPI_PTR destroy_cache(VkDevice device, VkPipelineCache cache, const VkAllocationCallbacks *allocator)
{
	(void)device;
	(void)cache;
	(void)allocator;
}

static struct gqe_vulkan made_up_device(void)
{
	return (struct gqe_vulkan){
		.fn =
			{
				.vkCreatePipelineCache = create_cache,
				.vkGetPipelineCacheData = get_data,
				.vkDestroyPipelineCache = destroy_cache,
			},
		.info = {.vendor_id = 0xabcd, .device_id = 0x1234, .driver_version = 7, .uuid = {1, 2, 3}},
		.capabilities = {.pipeline_cache_uuid = {9, 8, 7}},
	};
}

static char folder[] = "/tmp/gqe-test-pipeline-cache-XXXXXX";
static char cache_dir[256]; /* two folders deep, which open and close make */
static char path[512];

/* One life of a context: opens the cache, and closes it with what the driver then holds. True: the file was used. */
static bool live(struct gqe_vulkan *vulkan)
{
	struct gqe_pipeline_cache cache;
	assert_int_equal(gqe_pipeline_cache_open(vulkan, cache_dir, &cache, NULL), GQE_OK);
	bool hit = given_bytes == sizeof(content) && memcmp(given, content, sizeof(content)) == 0;
	assert_true(hit || given_bytes == 0);
	if (cache.file.path) {
		snprintf(path, sizeof(path), "%s", cache.file.path);
	}
	gqe_pipeline_cache_close(vulkan, &cache);
	return hit;
}

static void change_file(long offset, int byte)
{
	FILE *file = fopen(path, "r+b");
	assert_non_null(file);
	fseek(file, offset, offset < 0 ? SEEK_END : SEEK_SET);
	fputc(byte, file);
	fclose(file);
}

static int set_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(content); i++) {
		content[i] = (uint8_t)(i * 7);
	}
	struct gqe_vulkan vulkan = made_up_device();
	remove(path);
	assert_false(live(&vulkan));
	assert_true(live(&vulkan));
	return 0;
}

static void test_a_damaged_file_is_a_miss_and_is_replaced(void **state)
{
	(void)state;
	struct gqe_vulkan vulkan = made_up_device();
	static const long offsets[] = {0, 8, 24, 28, 40, 60, 72, 80, 88, 500, -1};
	for (size_t i = 0; i < GQE_COUNT(offsets); i++) {
		change_file(offsets[i], 0xee);
		assert_false(live(&vulkan));
		assert_true(live(&vulkan));
	}
}

/* Whatever number of processes were killed while they wrote. */
static void test_files_left_behind_are_not_in_the_way(void **state)
{
	(void)state;
	struct gqe_vulkan vulkan = made_up_device();
	char left[8][600];
	int count = 0, remaining = 0;
	for (; count < 8; count++) {
		snprintf(left[count], sizeof(left[count]), "%s.%d.tmp", path, count);
		FILE *file = fopen(left[count], "wb");
		assert_non_null(file);
		fputs("half a file", file);
		fclose(file);
		change_file(0, 0xee);
		assert_false(live(&vulkan));
		assert_true(live(&vulkan));
	}
	while (count-- > 0)
		remaining += remove(left[count]) == 0;
	assert_int_equal(remaining, 7); /* one was taken over */
}

/* Writes the file again and again, each time with another byte, until killed. */
static void write_until_killed(const struct gqe_vulkan *vulkan, uint8_t *large, size_t bytes)
{
	struct gqe_cache_file file;
	gqe_cache_file_init(&file, vulkan, cache_dir, "large", 1);
	for (uint8_t value = (uint8_t)getpid();; value++) {
		memset(large, value, bytes);
		gqe_cache_file_write(&file, vulkan, large, bytes);
	}
}

static void test_killed_writers_leave_a_whole_file_or_a_miss(void **state)
{
	(void)state;
	enum { ROUNDS = 40, MOST_ROUNDS = 4000, WRITERS = 2, BYTES = 1 << 20 };
	struct gqe_vulkan vulkan = made_up_device();
	struct gqe_cache_file file;
	uint8_t *large = malloc(BYTES);
	assert_non_null(large);
	gqe_cache_file_init(&file, &vulkan, cache_dir, "large", 1);
	int left_behind = 0, whole = 0;
	char name[600];
	snprintf(name, sizeof(name), "%s.0.tmp", file.path);
	/* On a slow machine until a writer has come to its end, and another was killed before. */
	for (int round = 0; round < ROUNDS || ((whole == 0 || access(name, F_OK) != 0) && round < MOST_ROUNDS); round++) {
		pid_t writers[WRITERS];
		for (int i = 0; i < WRITERS; i++) {
			writers[i] = fork();
			assert_true(writers[i] >= 0);
			if (writers[i] == 0)
				write_until_killed(&vulkan, large, BYTES);
		}
		nanosleep(&(struct timespec){.tv_nsec = 5000000 + round % ROUNDS * 700000}, NULL);
		for (int i = 0; i < WRITERS; i++) {
			assert_int_equal(kill(writers[i], SIGKILL), 0);
			assert_int_equal(waitpid(writers[i], NULL, 0), writers[i]);
		}
		size_t bytes = 0;
		uint8_t *read = gqe_cache_file_read(&file, &vulkan, &bytes);
		whole += read != NULL;
		assert_true(read == NULL || (bytes == BYTES && memcmp(read, read + 1, BYTES - 1) == 0));
		free(read);
	}
	for (int i = 0; i < MOST_ROUNDS * WRITERS; i++) {
		snprintf(name, sizeof(name), "%s.%d.tmp", file.path, i);
		left_behind += remove(name) == 0;
	}
	assert_true(whole > 0);
	assert_in_range(left_behind, 1, 4);
	memset(large, 77, BYTES);
	assert_true(gqe_cache_file_write(&file, &vulkan, large, BYTES));
	size_t bytes = 0;
	uint8_t *read = gqe_cache_file_read(&file, &vulkan, &bytes);
	assert_non_null(read);
	assert_true(bytes == BYTES && memcmp(read, large, BYTES) == 0);
	free(read);
	free(large);
	assert_int_equal(remove(file.path), 0);
	gqe_cache_file_release(&file);
}

static void test_a_truncated_or_longer_file_is_a_miss(void **state)
{
	(void)state;
	struct gqe_vulkan vulkan = made_up_device();
	static const long lengths[] = {0, 1, 95, 96, 97, 1095, 1097};
	for (size_t i = 0; i < GQE_COUNT(lengths); i++) {
		assert_int_equal(truncate(path, lengths[i]), 0);
		assert_false(live(&vulkan));
		assert_true(live(&vulkan));
	}
}

static void test_another_driver_or_device_is_a_miss(void **state)
{
	(void)state;
	struct gqe_vulkan newer_driver = made_up_device();
	newer_driver.info.driver_version++;
	assert_false(live(&newer_driver));
	struct gqe_vulkan vulkan = made_up_device();
	assert_false(live(&vulkan));
	struct gqe_vulkan rebuilt_driver = made_up_device();
	rebuilt_driver.capabilities.pipeline_cache_uuid[5] = 1;
	assert_false(live(&rebuilt_driver));
	struct gqe_vulkan other_device = made_up_device();
	other_device.info.uuid[15] = 1;
	assert_false(live(&other_device));
	assert_true(live(&rebuilt_driver)); /* two devices have two files */
	assert_true(live(&other_device));
	remove(path);
}

static void test_another_kind_or_key_is_a_miss(void **state)
{
	(void)state;
	struct gqe_vulkan vulkan = made_up_device();
	struct gqe_cache_file written, other;
	size_t bytes = 0;
	gqe_cache_file_init(&written, &vulkan, cache_dir, "tiles", 42);
	assert_true(gqe_cache_file_write(&written, &vulkan, content, 10));
	gqe_cache_file_init(&other, &vulkan, cache_dir, "tiles", 43);
	assert_null(gqe_cache_file_read(&other, &vulkan, &bytes));
	gqe_cache_file_release(&other);
	gqe_cache_file_init(&other, &vulkan, cache_dir, "paths", 42);
	assert_string_not_equal(other.path, written.path);
	assert_int_equal(rename(written.path, other.path), 0);
	assert_null(gqe_cache_file_read(&other, &vulkan, &bytes));
	assert_int_equal(remove(other.path), 0);
	gqe_cache_file_release(&other);
	gqe_cache_file_release(&written);
}

static void test_an_unchanged_cache_is_not_written(void **state)
{
	(void)state;
	struct gqe_vulkan vulkan = made_up_device();
	struct gqe_pipeline_cache cache;
	assert_int_equal(gqe_pipeline_cache_open(&vulkan, cache_dir, &cache, NULL), GQE_OK);
	assert_int_equal(remove(path), 0);
	gqe_pipeline_cache_close(&vulkan, &cache);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void test_nothing_on_disk_when_not_wanted_or_not_possible(void **state)
{
	(void)state;
	struct gqe_vulkan vulkan = made_up_device();
	struct gqe_pipeline_cache cache;
	assert_int_equal(gqe_pipeline_cache_open(&vulkan, "", &cache, NULL), GQE_OK);
	assert_null(cache.file.path);
	assert_true(cache.handle != VK_NULL_HANDLE);
	gqe_pipeline_cache_close(&vulkan, &cache);

	assert_int_equal(gqe_pipeline_cache_open(&vulkan, "/dev/null/nowhere", &cache, NULL), GQE_OK);
	gqe_pipeline_cache_close(&vulkan, &cache);

	vulkan.capabilities.quirks = GQE_QUIRK_NO_PIPELINE_CACHE;
	assert_int_equal(gqe_pipeline_cache_open(&vulkan, cache_dir, &cache, NULL), GQE_OK);
	assert_true(cache.handle == VK_NULL_HANDLE);
	gqe_pipeline_cache_close(&vulkan, &cache);

	vulkan.capabilities.quirks = 0;
	vulkan.fn.vkCreatePipelineCache = fail_to_create_cache;
	assert_int_equal(gqe_pipeline_cache_open(&vulkan, cache_dir, &cache, NULL), GQE_ERROR_OUT_OF_MEMORY);
	assert_true(cache.handle == VK_NULL_HANDLE);
	gqe_pipeline_cache_close(&vulkan, &cache);
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder)) {
		return -1;
	}
	snprintf(cache_dir, sizeof(cache_dir), "%s/a/b", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	char parent[512];
	remove(path);
	rmdir(cache_dir);
	snprintf(parent, sizeof(parent), "%s/a", folder);
	rmdir(parent);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_damaged_file_is_a_miss_and_is_replaced, set_up),
		cmocka_unit_test_setup(test_files_left_behind_are_not_in_the_way, set_up),
		cmocka_unit_test_setup(test_killed_writers_leave_a_whole_file_or_a_miss, set_up),
		cmocka_unit_test_setup(test_a_truncated_or_longer_file_is_a_miss, set_up),
		cmocka_unit_test_setup(test_another_driver_or_device_is_a_miss, set_up),
		cmocka_unit_test_setup(test_another_kind_or_key_is_a_miss, set_up),
		cmocka_unit_test_setup(test_an_unchanged_cache_is_not_written, set_up),
		cmocka_unit_test_setup(test_nothing_on_disk_when_not_wanted_or_not_possible, set_up),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
