/* Shader objects and the file of their binaries, with a made-up driver: what a context made of SPIR-V no later one does. */
#include "vulkan/shader_cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- the made-up driver --- */

/* A shader, and its binary: what it was made of, then filling. */
struct binary {
	uint32_t magic;
	uint32_t word; /* the first of the SPIR-V */
	uint32_t value_count, values[GQE_MAX_SPECIALIZATION];
	uint32_t flags, subgroup_size;
};

enum { MAGIC = 0xb1a4, FILLING = 0x5a };

struct shader {
	struct binary binary;
	size_t bytes;
};

static struct {
	atomic_uint from_spirv, from_binary, alive, asked; /* asked: for binaries */
	atomic_bool was_wrong;                             /* in what it was given; checks by cmocka must stay on the main thread */
	bool refuses_binaries, gives_no_binaries, fails;
	uint32_t keeps_to_itself; /* the word of SPIR-V of which it gives no binary; 0: none */
	size_t binary_bytes;
} driver;

static void expect(bool condition)
{
	if (!condition)
		atomic_store(&driver.was_wrong, true);
}

/* The binary of those inputs; Vulkan wants them to be the same when a shader is made of one. */
static struct binary describe(const VkShaderCreateInfoEXT *info)
{
	const VkSpecializationInfo *values = info->pSpecializationInfo;
	const VkPipelineShaderStageRequiredSubgroupSizeCreateInfo *size = info->pNext;
	struct binary binary = {.magic = MAGIC, .flags = info->flags, .value_count = values->mapEntryCount};
	for (uint32_t i = 0; i < values->mapEntryCount; i++)
		memcpy(&binary.values[values->pMapEntries[i].constantID],
		       (const uint8_t *)values->pData + values->pMapEntries[i].offset, sizeof(uint32_t));
	if (size)
		expect(size->sType == VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO);
	binary.subgroup_size = size ? size->requiredSubgroupSize : 0;
	return binary;
}

static bool is_whole(const struct binary *given, const struct binary *meant, size_t bytes)
{
	struct binary wanted = *meant;
	wanted.word = given->word;
	if (bytes != driver.binary_bytes || memcmp(given, &wanted, sizeof(wanted)) != 0)
		return false;
	for (size_t i = sizeof(*given); i < bytes; i++)
		if (((const uint8_t *)given)[i] != FILLING)
			return false;
	return true;
}

static VkResult VKAPI_PTR create_shaders(VkDevice device, uint32_t count, const VkShaderCreateInfoEXT *info,
					 const VkAllocationCallbacks *allocator, VkShaderEXT *shaders)
{
	(void)device, (void)allocator;
	struct binary binary = describe(info);
	expect(count == 1 && info->stage == VK_SHADER_STAGE_COMPUTE_BIT && strcmp(info->pName, "main") == 0);
	expect(info->pushConstantRangeCount == 1 && info->pPushConstantRanges->size == GQE_MAX_PUSH_BYTES);
	if (info->codeType == VK_SHADER_CODE_TYPE_BINARY_EXT) {
		expect((uintptr_t)info->pCode % 16 == 0 && is_whole(info->pCode, &binary, info->codeSize));
		binary.word = ((const struct binary *)info->pCode)->word;
		driver.from_binary += !driver.refuses_binaries;
		if (driver.refuses_binaries) {
			*shaders = VK_NULL_HANDLE;
			return (VkResult)1000482000; /* VK_INCOMPATIBLE_SHADER_BINARY_EXT */
		}
	} else {
		binary.word = *(const uint32_t *)info->pCode;
		driver.from_spirv++;
	}
	if (driver.fails) {
		memset(shaders, 0xa5, sizeof(*shaders));
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	}
	struct shader *shader = malloc(sizeof(*shader));
	if (!shader)
		abort();
	*shader = (struct shader){binary, driver.binary_bytes};
	driver.alive++;
	*shaders = (VkShaderEXT)(uintptr_t)shader;
	return VK_SUCCESS;
}

static void VKAPI_PTR destroy_shader(VkDevice device, VkShaderEXT shader, const VkAllocationCallbacks *allocator)
{
	(void)device, (void)allocator;
	driver.alive--;
	free((void *)(uintptr_t)shader);
}

static VkResult VKAPI_PTR get_binary(VkDevice device, VkShaderEXT handle, size_t *bytes, void *data)
{
	(void)device;
	const struct shader *shader = (const void *)(uintptr_t)handle;
	driver.asked++;
	if (driver.gives_no_binaries || (driver.keeps_to_itself && driver.keeps_to_itself == shader->binary.word))
		return VK_ERROR_OUT_OF_HOST_MEMORY;
	expect((uintptr_t)data % 16 == 0 && (!data || *bytes == shader->bytes));
	*bytes = shader->bytes;
	if (data) {
		memset(data, FILLING, shader->bytes);
		memcpy(data, &shader->binary, sizeof(shader->binary));
	}
	return VK_SUCCESS;
}

static VkResult VKAPI_PTR create_layout(VkDevice device, const VkPipelineLayoutCreateInfo *info,
					const VkAllocationCallbacks *allocator, VkPipelineLayout *layout)
{
	(void)device, (void)info, (void)allocator;
	*layout = (VkPipelineLayout)(uintptr_t)1;
	return VK_SUCCESS;
}

static void VKAPI_PTR destroy_layout(VkDevice device, VkPipelineLayout layout, const VkAllocationCallbacks *allocator)
{
	(void)device, (void)layout, (void)allocator;
}

/* --- contexts on it --- */

enum { KERNELS = 40 };

static uint32_t words[KERNELS];
static struct gqe_kernel_variant kernels[KERNELS];

static char folder[] = "/tmp/gqe-test-shader-cache-XXXXXX";
static char path[512];

static struct gqe_vulkan made_up_device(void)
{
	return (struct gqe_vulkan){
		.fn =
			{
				.vkCreateShadersEXT = create_shaders,
				.vkDestroyShaderEXT = destroy_shader,
				.vkGetShaderBinaryDataEXT = get_binary,
				.vkCreatePipelineLayout = create_layout,
				.vkDestroyPipelineLayout = destroy_layout,
			},
		.info = {.name = "made up", .vendor_id = 0xabcd, .device_id = 0x1234, .driver_version = 7, .uuid = {1, 2, 3}},
		.capabilities =
			{
				.shader_objects = true,
				.shader_binary_uuid = {4, 5, 6},
				.shader_binary_version = 1,
				.pipeline_cache_uuid = {9, 8, 7},
				.subgroup_size_min = 4,
				.subgroup_size_max = 16,
				.subgroup_size_control = true,
				.full_subgroups = true,
			},
		.locks = {.pipelines = PTHREAD_MUTEX_INITIALIZER},
		.threads = 2,
	};
}

static gqe_status open_on(struct gqe_vulkan *vulkan)
{
	return gqe_pipelines_create(vulkan, folder, NULL);
}

static gqe_status make(struct gqe_vulkan *vulkan, uint32_t first, uint32_t count, const struct gqe_specialization *values)
{
	struct gqe_pipeline *list[GQE_PIPELINES_AT_ONCE];
	gqe_status status = GQE_OK;
	for (uint32_t i = 0; i < count && status == GQE_OK; i++)
		status = gqe_pipeline_get(vulkan, &kernels[first + i], values, &list[i], NULL);
	return status == GQE_OK ? gqe_pipelines_make(vulkan, list, count, NULL, NULL, NULL) : status;
}

static const struct gqe_specialization small = {.count = 2, .values = {3, 4}};

/* One life of a context that makes these kernels; how many were made of SPIR-V. */
static uint32_t live_on(struct gqe_vulkan *vulkan, uint32_t first, uint32_t count, const struct gqe_specialization *values)
{
	const uint32_t spirv_before = driver.from_spirv, binary_before = driver.from_binary;
	assert_int_equal(open_on(vulkan), GQE_OK);
	assert_int_equal(make(vulkan, first, count, values), GQE_OK);
	gqe_pipelines_destroy(vulkan);
	assert_int_equal(driver.alive, 0);
	assert_false(driver.was_wrong);
	const uint32_t from_spirv = driver.from_spirv - spirv_before;
	assert_int_equal(from_spirv + driver.from_binary - binary_before, count);
	return from_spirv;
}

static uint32_t live(uint32_t first, uint32_t count)
{
	struct gqe_vulkan vulkan = made_up_device();
	return live_on(&vulkan, first, count, &small);
}

static long file_bytes(void)
{
	FILE *file = fopen(path, "rb");
	if (!file)
		return -1;
	fseek(file, 0, SEEK_END);
	long bytes = ftell(file);
	fclose(file);
	return bytes;
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
	memset(&driver, 0, sizeof(driver));
	driver.binary_bytes = 1001; /* no multiple of the alignment */
	remove(path);
	return 0;
}

static void a_second_context_makes_nothing_of_spirv(void **state)
{
	(void)state;
	assert_int_equal(live(0, 8), 8);
	const uint32_t asked = driver.asked;
	assert_int_equal(live(0, 8), 0);
	assert_int_equal(driver.asked, asked);
	assert_int_equal(live(0, 10), 2);
	assert_int_equal(live(0, 10), 0);
}

static void each_specialization_has_a_binary(void **state)
{
	(void)state;
	struct gqe_specialization other = small, longer = small, wide = small;
	other.values[1]++;
	longer.count++;
	wide.subgroup_size = 16;
	const struct gqe_specialization *all[] = {&small, &other, &longer, &wide};
	struct gqe_vulkan vulkan = made_up_device();
	kernels[0].uses_subgroups = true;
	for (uint32_t round = 0; round < 2; round++)
		for (size_t i = 0; i < GQE_COUNT(all); i++)
			assert_int_equal(live_on(&vulkan, 0, 1, all[i]), round == 0);
	/* The same as Vulkan is asked for otherwise. */
	vulkan.capabilities.full_subgroups = false;
	assert_int_equal(live_on(&vulkan, 0, 1, &wide), 1);
	vulkan.capabilities.subgroup_size_min = vulkan.capabilities.subgroup_size_max; /* 16 without asking */
	assert_int_equal(live_on(&vulkan, 0, 1, &wide), 1);
	kernels[0].uses_subgroups = false;
}

static void other_spirv_is_another_kernel(void **state)
{
	(void)state;
	assert_int_equal(live(0, 1), 1);
	words[0] += 1000; /* a library of the same version with another shader */
	assert_int_equal(live(0, 1), 1);
	assert_int_equal(live(0, 1), 0);
	words[0] -= 1000;
	assert_int_equal(live(0, 1), 0);
}

static void a_damaged_or_truncated_file_is_a_miss_and_is_replaced(void **state)
{
	(void)state;
	static const long damaged[] = {0, 8, 40, 72, 80, 88, 96, 97, 200, 264, 300, 1200, 2000, -1};
	assert_int_equal(live(0, 3), 3);
	for (size_t i = 0; i < GQE_COUNT(damaged); i++) {
		change_file(damaged[i], 0xee);
		assert_int_equal(live(0, 3), 3);
		assert_int_equal(live(0, 3), 0);
	}
	const long bytes = file_bytes();
	for (long length = 0; length < bytes; length += length < 100 ? 7 : 333) {
		assert_int_equal(truncate(path, length), 0);
		assert_int_equal(live(0, 3), 3);
		assert_int_equal(live(0, 3), 0);
	}
	change_file(bytes, 0);
	assert_int_equal(live(0, 3), 3);
}

static void a_file_of_another_driver_is_a_miss(void **state)
{
	(void)state;
	struct gqe_vulkan others[] = {made_up_device(), made_up_device(), made_up_device(), made_up_device()};
	others[0].info.driver_version++;
	others[1].capabilities.pipeline_cache_uuid[5] = 1;
	others[2].capabilities.shader_binary_uuid[5] = 1;
	others[3].capabilities.shader_binary_version++;
	for (size_t i = 0; i < GQE_COUNT(others); i++) {
		assert_int_equal(live(0, 2), 2);
		assert_int_equal(live_on(&others[i], 0, 2, &small), 2);
		assert_int_equal(live_on(&others[i], 0, 2, &small), 0);
	}
}

/* Whole, with the right checksum, and written by somebody else: what is no entry ends the list. */
static void content_that_holds_no_entries_is_a_miss(void **state)
{
	(void)state;
	struct gqe_vulkan vulkan = made_up_device();
	struct gqe_shader_cache cache;
	uint8_t content[400];
	for (size_t bytes = 1; bytes <= sizeof(content); bytes += 57) {
		for (int value = 0; value < 256; value += 85) {
			memset(content, value, sizeof(content));
			gqe_shader_cache_open(&vulkan, folder, &cache);
			assert_true(gqe_cache_file_write(&cache.file, &vulkan, content, bytes));
			gqe_shader_cache_close(&cache);
			assert_int_equal(live(0, 1), 1);
			assert_int_equal(live(0, 1), 0);
		}
	}
}

static void a_binary_that_the_driver_refuses_is_made_anew(void **state)
{
	(void)state;
	assert_int_equal(live(0, 3), 3);
	driver.refuses_binaries = true;
	assert_int_equal(live(0, 3), 3);
	driver.refuses_binaries = false;
	assert_int_equal(live(0, 3), 0);
}

static void a_binary_that_the_driver_does_not_give_is_left_out(void **state)
{
	(void)state;
	driver.keeps_to_itself = words[1];
	assert_int_equal(live(0, 3), 3);
	assert_int_equal(live(0, 3), 1);
	driver.gives_no_binaries = true;
	assert_int_equal(live(3, 1), 1);
	driver.gives_no_binaries = false;
	assert_int_equal(live(0, 3), 1);
	driver.keeps_to_itself = 0;
	assert_int_equal(live(0, 3), 1);
	assert_int_equal(live(0, 3), 0);
}

static void a_shader_that_cannot_be_made_is_an_error(void **state)
{
	(void)state;
	struct gqe_vulkan vulkan = made_up_device();
	driver.fails = true;
	assert_int_equal(open_on(&vulkan), GQE_OK);
	assert_int_equal(make(&vulkan, 0, 4, &small), GQE_ERROR_OUT_OF_MEMORY);
	driver.fails = false;
	assert_int_equal(make(&vulkan, 0, 2, &small), GQE_OK);
	gqe_pipelines_destroy(&vulkan);
	assert_int_equal(driver.alive, 0);
	assert_int_equal(live(0, 2), 0);
}

static void contexts_at_once_keep_what_each_has_made(void **state)
{
	(void)state;
	struct gqe_vulkan one = made_up_device(), two = made_up_device();
	assert_int_equal(open_on(&one), GQE_OK);
	assert_int_equal(open_on(&two), GQE_OK);
	assert_int_equal(make(&one, 0, 4, &small), GQE_OK);
	assert_int_equal(make(&two, 2, 4, &small), GQE_OK);
	gqe_pipelines_destroy(&one);
	gqe_pipelines_destroy(&two);
	assert_int_equal(live(0, 6), 0);
}

static void *live_again_and_again(void *user)
{
	const uint32_t first = *(const uint32_t *)user;
	for (uint32_t round = 0; round < 30; round++) {
		struct gqe_vulkan vulkan = made_up_device();
		expect(open_on(&vulkan) == GQE_OK);
		expect(make(&vulkan, (first + round * 3) % (KERNELS - 4), 4, &small) == GQE_OK);
		gqe_pipelines_destroy(&vulkan);
	}
	return NULL;
}

/* However they meet, the file is whole and what is in it is right: the made-up driver looks at every binary. */
static void contexts_on_several_threads_leave_a_whole_file(void **state)
{
	(void)state;
	enum { THREADS = 4 };
	pthread_t threads[THREADS];
	uint32_t first[THREADS];
	for (uint32_t i = 0; i < THREADS; i++) {
		first[i] = i * 7;
		assert_int_equal(pthread_create(&threads[i], NULL, live_again_and_again, &first[i]), 0);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_false(driver.was_wrong);
	assert_int_equal(driver.alive, 0);
	live(0, 32);
	assert_int_equal(live(0, 32), 0);
}

static void the_file_stays_bounded_and_the_newest_stay_in_it(void **state)
{
	(void)state;
	driver.binary_bytes = 1 << 20;
	for (uint32_t first = 0; first < 24; first += 8)
		live(first, 8);
	assert_true(file_bytes() > 14 << 20 && file_bytes() <= 17 << 20);
	assert_int_equal(live(16, 8), 0);
	assert_int_equal(live(0, 8), 8);
	assert_int_equal(live(0, 8), 0);
	driver.binary_bytes = 20 << 20; /* alone too large */
	remove(path);
	assert_int_equal(live(0, 1), 1);
	assert_int_equal(live(0, 1), 1);
}

static void without_a_folder_no_binary_is_asked_for(void **state)
{
	(void)state;
	struct gqe_vulkan vulkan = made_up_device();
	assert_int_equal(gqe_pipelines_create(&vulkan, "", NULL), GQE_OK);
	assert_int_equal(make(&vulkan, 0, 4, &small), GQE_OK);
	gqe_pipelines_destroy(&vulkan);
	assert_int_equal(driver.asked, 0);
	assert_int_equal(file_bytes(), -1);
	assert_int_equal(gqe_pipelines_create(&vulkan, "/dev/null/nowhere", NULL), GQE_OK);
	assert_int_equal(make(&vulkan, 0, 4, &small), GQE_OK);
	gqe_pipelines_destroy(&vulkan);
	assert_int_equal(driver.alive, 0);
}

static int make_folder(void **state)
{
	(void)state;
	struct gqe_vulkan vulkan = made_up_device();
	struct gqe_shader_cache cache;
	if (!mkdtemp(folder))
		return -1;
	gqe_shader_cache_open(&vulkan, folder, &cache);
	snprintf(path, sizeof(path), "%s", cache.file.path);
	gqe_shader_cache_close(&cache);
	for (uint32_t i = 0; i < KERNELS; i++) {
		words[i] = 100 + i;
		kernels[i] = (struct gqe_kernel_variant){
			.kernel = "made_up", .variant = "scalar f32", .spirv = {&words[i], sizeof(words[i])}};
	}
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	remove(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_second_context_makes_nothing_of_spirv, set_up),
		cmocka_unit_test_setup(each_specialization_has_a_binary, set_up),
		cmocka_unit_test_setup(other_spirv_is_another_kernel, set_up),
		cmocka_unit_test_setup(a_damaged_or_truncated_file_is_a_miss_and_is_replaced, set_up),
		cmocka_unit_test_setup(a_file_of_another_driver_is_a_miss, set_up),
		cmocka_unit_test_setup(content_that_holds_no_entries_is_a_miss, set_up),
		cmocka_unit_test_setup(a_binary_that_the_driver_refuses_is_made_anew, set_up),
		cmocka_unit_test_setup(a_binary_that_the_driver_does_not_give_is_left_out, set_up),
		cmocka_unit_test_setup(a_shader_that_cannot_be_made_is_an_error, set_up),
		cmocka_unit_test_setup(contexts_at_once_keep_what_each_has_made, set_up),
		cmocka_unit_test_setup(contexts_on_several_threads_leave_a_whole_file, set_up),
		cmocka_unit_test_setup(the_file_stays_bounded_and_the_newest_stay_in_it, set_up),
		cmocka_unit_test_setup(without_a_folder_no_binary_is_asked_for, set_up),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
