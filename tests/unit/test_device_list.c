/* What is read from drivers of many kinds, made up here: good ones, old ones, ones that lack something, ones whose calls fail. */
#include "vulkan/instance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A made-up driver; its address is the VkPhysicalDevice. */
struct driver {
	uint32_t api_version;
	bool lacks_address, lacks_compute, lacks_memory, has_storage16, has_graphics_only_first;
	bool has_size_control, has_full_subgroups; /* VK_EXT_subgroup_size_control or 1.3, and what it says */
	bool extensions_fail, lists_no_promoted;   /* has what is core in its version in core only */
	uint32_t push_bytes, subgroup_min, subgroup_max;
	VkSubgroupFeatureFlags operations;
};

static const struct driver good = {
	.api_version = VK_API_VERSION_1_3,
	.push_bytes = 128,
	.has_size_control = true,
	.has_full_subgroups = true,
	.subgroup_min = 8,
	.subgroup_max = 32,
	.operations = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_BALLOT_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT,
};

/* What vkEnumeratePhysicalDevices gives. */
static const struct driver *drivers;
static uint32_t driver_count;
static VkResult enumerate_result;

static const struct driver *driver_of(VkPhysicalDevice handle)
{
	return (const struct driver *)(const void *)handle;
}

static uint32_t instance_version;

static bool reaches_1_3(const struct driver *driver)
{
	return driver->api_version >= VK_API_VERSION_1_3 && instance_version >= VK_API_VERSION_1_3;
}

static VkResult VKAPI_PTR enumerate_devices(VkInstance instance, uint32_t *count, VkPhysicalDevice *handles)
{
	(void)instance;
	if (handles) {
		for (uint32_t i = 0; i < driver_count; i++) {
			handles[i] = (VkPhysicalDevice)(uintptr_t)&drivers[i];
		}
	}
	*count = driver_count;
	return enumerate_result;
}

static VkResult VKAPI_PTR enumerate_extensions(VkPhysicalDevice handle, const char *layer, uint32_t *count,
					       VkExtensionProperties *extensions)
{
	(void)layer;
	const struct driver *driver = driver_of(handle);
	if (driver->extensions_fail) {
		return VK_ERROR_INITIALIZATION_FAILED;
	}
	*count = driver->has_size_control && !driver->lists_no_promoted;
	if (extensions && *count) {
		strcpy(extensions[0].extensionName, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
	}
	return VK_SUCCESS;
}

static void VKAPI_PTR get_properties(VkPhysicalDevice handle, VkPhysicalDeviceProperties *properties)
{
	memset(properties, 0, sizeof(*properties));
	strcpy(properties->deviceName, "made up");
	properties->apiVersion = driver_of(handle)->api_version;
	properties->deviceType = VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU;
	properties->limits.maxPushConstantsSize = driver_of(handle)->push_bytes;
}

static void VKAPI_PTR get_properties2(VkPhysicalDevice handle, VkPhysicalDeviceProperties2 *properties)
{
	const struct driver *driver = driver_of(handle);
	assert_true(driver->api_version >= VK_API_VERSION_1_2); /* an older one does not know the structs that follow */
	for (VkBaseOutStructure *next = properties->pNext; next; next = next->pNext) {
		if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES) {
			VkPhysicalDeviceVulkan11Properties *core11 = (void *)next;
			core11->subgroupSize = driver->subgroup_max;
			core11->subgroupSupportedStages = VK_SHADER_STAGE_COMPUTE_BIT;
			core11->subgroupSupportedOperations = driver->operations;
			core11->maxMemoryAllocationSize = 1u << 30;
		} else if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES) {
			assert_true((driver->has_size_control && !driver->lists_no_promoted) || reaches_1_3(driver));
			VkPhysicalDeviceSubgroupSizeControlProperties *control = (void *)next;
			control->minSubgroupSize = driver->subgroup_min;
			control->maxSubgroupSize = driver->subgroup_max;
			control->requiredSubgroupSizeStages = VK_SHADER_STAGE_COMPUTE_BIT;
		} else if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES) {
			assert_true(reaches_1_3(driver));
			((VkPhysicalDeviceMaintenance4Properties *)(void *)next)->maxBufferSize = 1u << 29;
		}
	}
}

static void VKAPI_PTR get_features2(VkPhysicalDevice handle, VkPhysicalDeviceFeatures2 *features)
{
	const struct driver *driver = driver_of(handle);
	for (VkBaseOutStructure *next = features->pNext; next; next = next->pNext) {
		if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES) {
			((VkPhysicalDeviceVulkan11Features *)(void *)next)->storageBuffer16BitAccess = driver->has_storage16;
		} else if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES) {
			VkPhysicalDeviceVulkan12Features *core12 = (void *)next;
			core12->bufferDeviceAddress = !driver->lacks_address;
			core12->subgroupBroadcastDynamicId = VK_TRUE;
		} else if (next->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES) {
			VkPhysicalDeviceSubgroupSizeControlFeatures *control = (void *)next;
			control->subgroupSizeControl = driver->has_size_control;
			control->computeFullSubgroups = driver->has_full_subgroups;
		}
	}
}

static void VKAPI_PTR get_memory(VkPhysicalDevice handle, VkPhysicalDeviceMemoryProperties *memory)
{
	memset(memory, 0, sizeof(*memory));
	memory->memoryHeapCount = 2;
	memory->memoryHeaps[0].size = (VkDeviceSize)1 << 34;
	memory->memoryHeaps[1].size = driver_of(handle)->lacks_memory ? 0 : (VkDeviceSize)1 << 32;
	memory->memoryHeaps[1].flags = VK_MEMORY_HEAP_DEVICE_LOCAL_BIT;
}

static void VKAPI_PTR get_queues(VkPhysicalDevice handle, uint32_t *count, VkQueueFamilyProperties *families)
{
	const struct driver *driver = driver_of(handle);
	*count = driver->has_graphics_only_first ? 3 : 1;
	if (!families) {
		return;
	}
	memset(families, 0, *count * sizeof(*families));
	for (uint32_t i = 0; i < *count; i++) {
		families[i].queueCount = 1;
		families[i].queueFlags = VK_QUEUE_GRAPHICS_BIT | (driver->lacks_compute ? 0 : VK_QUEUE_COMPUTE_BIT);
		families[i].timestampValidBits = 64;
	}
	if (driver->has_graphics_only_first) {
		families[0].queueFlags = VK_QUEUE_GRAPHICS_BIT;
		families[2].queueFlags = VK_QUEUE_COMPUTE_BIT;
	}
}

static const struct gqe_vulkan loader = {
	.instance = (VkInstance)(uintptr_t)1,
	.fn =
		{
			.vkEnumeratePhysicalDevices = enumerate_devices,
			.vkEnumerateDeviceExtensionProperties = enumerate_extensions,
			.vkGetPhysicalDeviceProperties = get_properties,
			.vkGetPhysicalDeviceProperties2 = get_properties2,
			.vkGetPhysicalDeviceFeatures2 = get_features2,
			.vkGetPhysicalDeviceMemoryProperties = get_memory,
			.vkGetPhysicalDeviceQueueFamilyProperties = get_queues,
		},
};

static struct gqe_physical_device read_through(uint32_t version, const struct driver *driver)
{
	struct gqe_physical_device *devices, device;
	struct gqe_vulkan vulkan = loader;
	vulkan.instance_version = instance_version = version;
	uint32_t count;
	drivers = driver;
	driver_count = 1;
	enumerate_result = VK_SUCCESS;
	assert_int_equal(gqe_physical_devices_list(&vulkan, &devices, &count, NULL), GQE_OK);
	assert_int_equal(count, 1);
	device = devices[0];
	free(devices);
	return device;
}

static struct gqe_physical_device read_one(const struct driver *driver)
{
	return read_through(VK_API_VERSION_1_3, driver);
}

static void expect_rejected(const struct driver *driver, const char *reason)
{
	struct gqe_physical_device device = read_one(driver);
	assert_false(device.info.usable);
	assert_non_null(strstr(device.info.rejected, reason));
	assert_string_equal(device.info.name, "made up");
}

static void test_a_good_device(void **state)
{
	(void)state;
	struct gqe_physical_device device = read_one(&good);
	assert_true(device.info.usable);
	assert_string_equal(device.info.rejected, "");
	assert_int_equal(device.info.type, GQE_DEVICE_INTEGRATED);
	assert_true(device.info.heap_bytes == (uint64_t)1 << 32);
	assert_int_equal(device.capabilities.max_allocation_bytes, 1u << 29);
	assert_true(device.capabilities.subgroup_broadcast);
	assert_false(device.capabilities.storage16);
	assert_true(device.enable_subgroup_size_control); /* core in 1.3, for those who have a 1.3 instance */
}

static void test_what_is_missing_is_named(void **state)
{
	(void)state;
	struct driver driver = good;
	driver.api_version = VK_API_VERSION_1_1;
	expect_rejected(&driver, "Vulkan 1.1");
	driver = good;
	driver.lacks_address = true;
	expect_rejected(&driver, "bufferDeviceAddress");
	driver = good;
	driver.lacks_compute = true;
	expect_rejected(&driver, "compute queue");
	driver = good;
	driver.push_bytes = 64;
	expect_rejected(&driver, "push constants");
	driver = good;
	driver.lacks_memory = true;
	expect_rejected(&driver, "device-local memory");
}

static void test_a_driver_that_fails_is_listed_and_others_stay(void **state)
{
	(void)state;
	struct driver broken = good;
	broken.extensions_fail = true;
	expect_rejected(&broken, "VK_ERROR_INITIALIZATION_FAILED");

	struct driver both[] = {broken, good};
	struct gqe_physical_device *devices;
	uint32_t count;
	drivers = both;
	driver_count = 2;
	enumerate_result = VK_SUCCESS;
	assert_int_equal(gqe_physical_devices_list(&loader, &devices, &count, NULL), GQE_OK);
	assert_int_equal(count, 2);
	assert_false(devices[0].info.usable);
	assert_true(devices[1].info.usable);
	assert_int_equal(devices[1].info.index, 1);
	free(devices);

	enumerate_result = VK_ERROR_INITIALIZATION_FAILED;
	assert_int_equal(gqe_physical_devices_list(&loader, &devices, &count, NULL), GQE_OK);
	assert_int_equal(count, 1);
	assert_false(devices[0].info.usable);
	assert_non_null(strstr(devices[0].info.rejected, "VK_ERROR_INITIALIZATION_FAILED"));
	free(devices);
}

static void test_no_driver_is_an_empty_list(void **state)
{
	(void)state;
	struct gqe_vulkan without_instance = loader;
	without_instance.instance = VK_NULL_HANDLE;
	struct gqe_physical_device *devices;
	uint32_t count = 99;
	assert_int_equal(gqe_physical_devices_list(&without_instance, &devices, &count, NULL), GQE_OK);
	assert_int_equal(count, 0);
	free(devices);
}

static void test_subgroups_are_used_when_their_size_is_certain(void **state)
{
	(void)state;
	static const struct {
		uint32_t api_version;
		bool size_control, full_subgroups;
		uint32_t subgroup_min;
		bool usable;
	} cases[] = {
		{VK_API_VERSION_1_3, true, true, 8, true},    {VK_API_VERSION_1_2, true, true, 8, true},
		{VK_API_VERSION_1_3, true, false, 8, false},  {VK_API_VERSION_1_3, false, true, 8, false},
		{VK_API_VERSION_1_3, false, false, 32, true}, {VK_API_VERSION_1_2, false, false, 8, true},
	};
	for (size_t i = 0; i < GQE_COUNT(cases); i++) {
		struct driver driver = good;
		driver.api_version = cases[i].api_version;
		driver.has_size_control = cases[i].size_control;
		driver.has_full_subgroups = cases[i].full_subgroups;
		driver.subgroup_min = cases[i].subgroup_min;
		struct gqe_physical_device device = read_one(&driver);
		assert_int_equal(device.capabilities.subgroup_broadcast, cases[i].usable);
		assert_int_equal(device.enable_subgroup_size_control, cases[i].size_control);
	}
	struct driver driver = good;
	driver.operations = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_BALLOT_BIT;
	assert_false(read_one(&driver).capabilities.subgroup_broadcast);
	assert_true(read_one(&driver).info.usable);
}

/* An instance of 1.2 has of a 1.3 device what is an extension too. */
static void test_the_lower_of_two_versions_counts(void **state)
{
	(void)state;
	const uint32_t instances[] = {VK_API_VERSION_1_2, VK_API_VERSION_1_3};
	for (int later = 0; later < 2; later++) {
		struct driver driver = good;
		struct gqe_physical_device device = read_through(instances[later], &driver);
		assert_true(device.info.usable);
		assert_int_equal(device.version, instances[later]);
		assert_int_equal(device.info.api_version, VK_API_VERSION_1_3);
		assert_true(device.enable_subgroup_size_control);
		assert_true(device.capabilities.full_subgroups);
		driver.lists_no_promoted = true;
		device = read_through(instances[later], &driver);
		assert_false(device.enable_subgroup_size_control);
		assert_int_equal(device.capabilities.subgroup_size_control, later);
		assert_int_equal(device.capabilities.full_subgroups, later);
		assert_true(device.capabilities.subgroup_broadcast); /* else of the one size that pipelines have unasked */
		driver.api_version = VK_API_VERSION_1_2;
		assert_int_equal(read_through(instances[later], &driver).version, VK_API_VERSION_1_2);
	}
}

static void test_a_compute_family_without_graphics_is_preferred(void **state)
{
	(void)state;
	struct driver driver = good;
	assert_int_equal(read_one(&driver).queue_family, 0);
	driver.has_graphics_only_first = true;
	assert_int_equal(read_one(&driver).queue_family, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_good_device),
		cmocka_unit_test(test_what_is_missing_is_named),
		cmocka_unit_test(test_a_driver_that_fails_is_listed_and_others_stay),
		cmocka_unit_test(test_no_driver_is_an_empty_list),
		cmocka_unit_test(test_subgroups_are_used_when_their_size_is_certain),
		cmocka_unit_test(test_the_lower_of_two_versions_counts),
		cmocka_unit_test(test_a_compute_family_without_graphics_is_preferred),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
