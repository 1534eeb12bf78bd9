/* Both ends of every quirk's driver range. */
#include "vulkan/device.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define AMD 0x1002
#define NVIDIA 0x10de
#define INTEL 0x8086

static uint32_t nvidia_version(uint32_t major, uint32_t minor, uint32_t patch)
{
	return major << 22 | minor << 14 | patch << 6;
}

static uint32_t nvidia(uint32_t major, uint32_t minor, uint32_t patch)
{
	return gqe_quirks(NVIDIA, 0, VK_DRIVER_ID_NVIDIA_PROPRIETARY, nvidia_version(major, minor, patch), VK_API_VERSION_1_2);
}

static void test_nvidia_470_before_its_fix_has_no_pipeline_cache(void **state)
{
	(void)state;
	assert_int_equal(nvidia(465, 31, 0), 0);
	assert_int_equal(nvidia(470, 0, 0), GQE_QUIRK_NO_PIPELINE_CACHE);
	assert_int_equal(nvidia(470, 62, 1), GQE_QUIRK_NO_PIPELINE_CACHE);
	assert_int_equal(nvidia(470, 62, 2), 0);
	assert_int_equal(nvidia(535, 183, 1), 0);
	assert_int_equal(gqe_quirks(NVIDIA, 0, VK_DRIVER_ID_MESA_RADV, nvidia_version(470, 1, 0), VK_API_VERSION_1_3), 0);
}

static void test_moltenvk_on_amd_has_broken_subgroups(void **state)
{
	(void)state;
	assert_int_equal(gqe_quirks(AMD, 0, VK_DRIVER_ID_MOLTENVK, 10204, VK_API_VERSION_1_2), GQE_QUIRK_BROKEN_SUBGROUP);
	assert_int_equal(gqe_quirks(0x106b, 0, VK_DRIVER_ID_MOLTENVK, 10204, VK_API_VERSION_1_2), 0);
	assert_int_equal(gqe_quirks(AMD, 0, VK_DRIVER_ID_MESA_RADV, 1, VK_API_VERSION_1_3), 0);
}

static void test_llvmpipe_before_vulkan_1_4_has_short_loops(void **state)
{
	(void)state;
	uint32_t mesa_22_3 = VK_MAKE_API_VERSION(0, 1, 3, 230), mesa_25_0 = VK_MAKE_API_VERSION(0, 1, 4, 305);
	const uint32_t old = GQE_QUIRK_LOOP_LIMIT | GQE_QUIRK_SLOW_LONG_LOOP;
	assert_int_equal(gqe_quirks(0x10005, 0, VK_DRIVER_ID_MESA_LLVMPIPE, 1, mesa_22_3) & old, old);
	assert_int_equal(gqe_quirks(0x10005, 0, VK_DRIVER_ID_MESA_LLVMPIPE, 1, mesa_25_0) & old, 0);
	assert_int_equal(gqe_quirks(0x1002, 0, VK_DRIVER_ID_MESA_RADV, 1, mesa_22_3), 0);
}

static uint32_t intel(uint32_t device_id, uint32_t mesa_major)
{
	return gqe_quirks(0x8086, device_id, VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, VK_MAKE_API_VERSION(0, mesa_major, 0, 7),
			  VK_API_VERSION_1_3);
}

static void test_anv_before_26_emulates_matrices_where_there_are_no_engines(void **state)
{
	(void)state;
	const uint32_t tiger_lake = 0x9a49, meteor_lake = 0x7d45, dg2 = 0x5690, lunar_lake = 0x64a0, battlemage = 0xe202;
	assert_int_equal(intel(tiger_lake, 25), GQE_QUIRK_SLOW_MATRIX);
	assert_int_equal(intel(meteor_lake, 25), GQE_QUIRK_SLOW_MATRIX);
	assert_int_equal(intel(tiger_lake, 26), 0);
	assert_int_equal(intel(dg2, 25), 0);
	assert_int_equal(intel(lunar_lake, 25), 0);
	assert_int_equal(intel(battlemage, 25), 0);
}

static void test_cpu_drivers_before_mesa_26_1_load_lane_by_lane(void **state)
{
	(void)state;
	const uint32_t api = VK_MAKE_API_VERSION(0, 1, 4, 305);
	const uint32_t before = VK_MAKE_API_VERSION(0, 26, 0, 99), since = VK_MAKE_API_VERSION(0, 26, 1, 0);
	const uint32_t parts = GQE_QUIRK_GRID_IN_PARTS | GQE_QUIRK_EMPTY_PIPELINE_CACHE; /* of every version */
	const uint32_t lanes = GQE_QUIRK_SLOW_UNIFORM_LOAD | GQE_QUIRK_SLOW_COMPILER | parts;
	assert_int_equal(gqe_quirks(0x10005, 0, VK_DRIVER_ID_MESA_LLVMPIPE, 1, api), lanes);
	assert_int_equal(gqe_quirks(0x10005, 0, VK_DRIVER_ID_MESA_LLVMPIPE, before, api), lanes);
	assert_int_equal(gqe_quirks(0x10005, 0, VK_DRIVER_ID_MESA_LLVMPIPE, since, api), parts);
	assert_int_equal(gqe_quirks(0x1ae0, 0, VK_DRIVER_ID_GOOGLE_SWIFTSHADER, 1, api), GQE_QUIRK_SLOW_UNIFORM_LOAD);
	assert_int_equal(gqe_quirks(0x1002, 0, VK_DRIVER_ID_MESA_RADV, 1, api), 0);
}

static void test_an_unknown_device_has_none(void **state)
{
	(void)state;
	assert_int_equal(gqe_quirks(0, 0, (VkDriverId)0, 0, VK_API_VERSION_1_2), 0);
	assert_int_equal(gqe_quirks(UINT32_MAX, UINT32_MAX, (VkDriverId)12345, UINT32_MAX, UINT32_MAX), 0);
}

static void test_every_quirk_has_a_name(void **state)
{
	(void)state;
	uint32_t bit = 0;
	while (gqe_quirk_name(bit))
		bit++;
	assert_int_equal(1u << bit, GQE_QUIRK_END);
	assert_string_equal(gqe_quirk_name(2), "loop_limit");
	assert_null(gqe_quirk_name(UINT32_MAX));
}

static enum gqe_architecture amd(uint32_t device_id, uint32_t smallest_subgroup)
{
	const struct gqe_capabilities capabilities = {.subgroup_size_min = smallest_subgroup};
	return gqe_architecture_of(AMD, device_id, &capabilities);
}

static void test_amd_families(void **state)
{
	(void)state;
	assert_int_equal(amd(0x6863, 64), GQE_ARCHITECTURE_GCN);   /* Vega 10 */
	assert_int_equal(amd(0x731f, 32), GQE_ARCHITECTURE_RDNA1); /* RX 5700 XT */
	assert_int_equal(amd(0x73bf, 32), GQE_ARCHITECTURE_RDNA2); /* RX 6900 XT */
	assert_int_equal(amd(0x163f, 32), GQE_ARCHITECTURE_RDNA2); /* Steam Deck */
	assert_int_equal(amd(0x744c, 32), GQE_ARCHITECTURE_RDNA3); /* RX 7900 XTX */
	assert_int_equal(amd(0x15bf, 32), GQE_ARCHITECTURE_RDNA3); /* Radeon 780M */
	assert_int_equal(amd(0x7550, 32), GQE_ARCHITECTURE_RDNA4); /* RX 9070 XT */
	assert_int_equal(amd(0xfffe, 32), GQE_ARCHITECTURE_RDNA4); /* newer than this list */
}

static void test_intel_and_nvidia_families(void **state)
{
	(void)state;
	const struct gqe_capabilities lanes8 = {.subgroup_size_min = 8}, lanes16 = {.subgroup_size_min = 16};
	const struct gqe_capabilities lanes32 = {.subgroup_size_min = 32}, cpu = {.is_cpu = true, .subgroup_size_min = 8};
	assert_int_equal(gqe_architecture_of(INTEL, 0x9a49, &lanes8), GQE_ARCHITECTURE_XE_LP);    /* Tiger Lake */
	assert_int_equal(gqe_architecture_of(INTEL, 0x56a0, &lanes8), GQE_ARCHITECTURE_XE_HPG);   /* Arc A770 */
	assert_int_equal(gqe_architecture_of(INTEL, 0xe20b, &lanes16), GQE_ARCHITECTURE_XE2);     /* Arc B580 */
	assert_int_equal(gqe_architecture_of(NVIDIA, 0x1e04, &lanes32), GQE_ARCHITECTURE_TURING); /* RTX 2080 Ti */
	assert_int_equal(gqe_architecture_of(NVIDIA, 0x2184, &lanes32), GQE_ARCHITECTURE_TURING); /* GTX 1660 */
	assert_int_equal(gqe_architecture_of(NVIDIA, 0x1004, &lanes32), GQE_ARCHITECTURE_TURING); /* older */
	assert_int_equal(gqe_architecture_of(NVIDIA, 0x2204, &lanes32), GQE_ARCHITECTURE_AMPERE); /* RTX 3090 */
	assert_int_equal(gqe_architecture_of(NVIDIA, 0x2684, &lanes32), GQE_ARCHITECTURE_AMPERE); /* RTX 4090 */
	assert_int_equal(gqe_architecture_of(0x10005, 0, &cpu), GQE_ARCHITECTURE_CPU);
	assert_int_equal(gqe_architecture_of(0x13b5, 1, &lanes16), GQE_ARCHITECTURE_OTHER); /* Arm */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nvidia_470_before_its_fix_has_no_pipeline_cache),
		cmocka_unit_test(test_moltenvk_on_amd_has_broken_subgroups),
		cmocka_unit_test(test_llvmpipe_before_vulkan_1_4_has_short_loops),
		cmocka_unit_test(test_cpu_drivers_before_mesa_26_1_load_lane_by_lane),
		cmocka_unit_test(test_anv_before_26_emulates_matrices_where_there_are_no_engines),
		cmocka_unit_test(test_an_unknown_device_has_none),
		cmocka_unit_test(test_every_quirk_has_a_name),
		cmocka_unit_test(test_amd_families),
		cmocka_unit_test(test_intel_and_nvidia_families),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
