/* gqe_device_select on a made-up machine. */
#include "vulkan/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const gqe_device_info machine[] = {
	{.name = "llvmpipe (LLVM 15.0.6, 256 bits)",
	 .usable = true,
	 .type = GQE_DEVICE_CPU,
	 .driver_name = "llvmpipe",
	 .uuid = {0x6d, 0x65, 0x73, 0x61}},
	{.name = "Old Card",
	 .usable = false,
	 .rejected = "the driver has Vulkan 1.1, 1.2 is needed",
	 .type = GQE_DEVICE_DISCRETE,
	 .driver_name = "oldvk"},
	{.name = "Inner Graphics",
	 .usable = true,
	 .type = GQE_DEVICE_INTEGRATED,
	 .driver_name = "Mesa Open Source",
	 .uuid = {0x12, 0x34, 0x56, 0x78, 0x9a}},
	{.name = "Fast Card A", .usable = true, .type = GQE_DEVICE_DISCRETE, .driver_name = "fastvk", .uuid = {0x12, 0x34, 0xff}},
	{.name = "Fast Card B", .usable = true, .type = GQE_DEVICE_DISCRETE, .driver_name = "fastvk", .uuid = {0xab, 0xcd, 0xef}},
};

static void expect(const char *selector, uint32_t index)
{
	uint32_t found = 99;
	gqe_error error = {.status = GQE_OK};
	assert_int_equal(gqe_device_select(machine, GQE_COUNT(machine), selector, &found, &error), GQE_OK);
	assert_int_equal(found, index);
	assert_int_equal(error.status, GQE_OK);
}

static void expect_none(const gqe_device_info *devices, uint32_t count, const char *selector, const char *message)
{
	uint32_t found = 99;
	gqe_error error = {.status = GQE_OK};
	assert_int_equal(gqe_device_select(devices, count, selector, &found, &error), GQE_ERROR_NO_DEVICE);
	assert_int_equal(found, 99);
	assert_non_null(strstr(error.message, message));
	assert_int_equal(gqe_device_select(devices, count, selector, &found, NULL), GQE_ERROR_NO_DEVICE);
}

static void test_auto_prefers_discrete_and_the_first_of_equals(void **state)
{
	(void)state;
	expect(NULL, 3);
	expect("", 3);
	expect("auto", 3);
	uint32_t found;
	assert_int_equal(gqe_device_select(machine, 3, "auto", &found, NULL), GQE_OK);
	assert_int_equal(found, 2); /* integrated before the CPU driver; the discrete one is rejected */
	assert_int_equal(gqe_device_select(machine, 2, "auto", &found, NULL), GQE_OK);
	assert_int_equal(found, 0);
}

static void test_index(void **state)
{
	(void)state;
	expect("0", 0);
	expect("4", 4);
	expect("002", 2);
	expect_none(machine, GQE_COUNT(machine), "5", "no device matches \"5\""); /* though "LLVM 15.0.6" has a 5 */
	expect_none(machine, GQE_COUNT(machine), "99999999999999999999999999", "no device matches");
	expect_none(machine, GQE_COUNT(machine), "-1", "no device matches");
}

static void test_uuid_prefix(void **state)
{
	(void)state;
	expect("6d65", 0);
	expect("6D657361", 0);
	expect("12345678-9a00", 2);
	expect("123456789a0000000000000000000000", 2);
	expect("1234ff", 3);
	expect("1234", 3); /* two match: the better one */
	expect("abcdef", 4);
	expect_none(machine, GQE_COUNT(machine), "123456789a00000000000000000000000", "no device matches");
	expect_none(machine, GQE_COUNT(machine), "abc", "no device matches"); /* three digits are too few */
}

static void test_part_of_a_name(void **state)
{
	(void)state;
	expect("LLVM", 0);
	expect("fast", 3);
	expect("card b", 4);
	expect("mesa", 2);
	expect("256 bits)", 0);
}

static void test_rejected_devices_say_why(void **state)
{
	(void)state;
	expect_none(machine, GQE_COUNT(machine), "1", "the driver has Vulkan 1.1");
	expect_none(machine, GQE_COUNT(machine), "oldvk", "the driver has Vulkan 1.1");
	expect_none(&machine[1], 1, "auto", "the driver has Vulkan 1.1");
	expect("card", 3); /* a usable match before a rejected one */
}

static void test_messages_list_what_exists(void **state)
{
	(void)state;
	expect_none(machine, GQE_COUNT(machine), "zebra", "0: llvmpipe (LLVM 15.0.6, 256 bits) (CPU driver)");
	expect_none(machine, GQE_COUNT(machine), "zebra", "4: Fast Card B (discrete GPU)");
	expect_none(machine, GQE_COUNT(machine), "zebra", "1: Old Card (discrete GPU, unusable: the driver has Vulkan 1.1");
	expect_none(NULL, 0, "auto", "no Vulkan driver is installed");
	expect_none(NULL, 0, "zebra", "reference");
}

static void test_a_long_list_is_cut(void **state)
{
	(void)state;
	gqe_device_info many[64] = {{0}};
	for (size_t i = 0; i < GQE_COUNT(many); i++) {
		memset(many[i].name, 'x', sizeof(many[i].name) - 1);
	}
	expect_none(many, GQE_COUNT(many), "zebra", "no device matches \"zebra\"");
	expect_none(many, GQE_COUNT(many), NULL, "no device is usable");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_auto_prefers_discrete_and_the_first_of_equals),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_uuid_prefix),
		cmocka_unit_test(test_part_of_a_name),
		cmocka_unit_test(test_rejected_devices_say_why),
		cmocka_unit_test(test_messages_list_what_exists),
		cmocka_unit_test(test_a_long_list_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
