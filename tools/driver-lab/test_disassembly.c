/* Loops and instruction classes in small programs of each compiler's form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "disassembly.h"

static int count(const cJSON *loop, const char *name)
{
	return cJSON_GetObjectItemCaseSensitive(loop, name)->valueint;
}

static void amd_loops_end_with_the_jump_back(void **state)
{
	(void)state;
	const char *text = "BB0:\n"
			   "\tv_mov_b32_e32 v0, 0                                         ; 7e000280\n"
			   "BB1:\n"
			   "\tglobal_load_b128 v[2:5], v[0:1], off                        ; dc5e0000\n"
			   "\tv_add_f32_dpp v6, v6, v6 row_ror:1                          ; 060c0cfa\n"
			   "BB2:\n"
			   "\tv_readlane_b32 s0, v1, 3                                    ; d7600000\n"
			   "\tv_fmac_f32_e32 v4, s0, v2                                   ; 56080400\n"
			   "\tds_load_b32 v3, v2                                          ; d8d80000\n"
			   "\ts_cbranch_scc0 BB2                                          ; bfa1fffa\n"
			   "\tv_wmma_f32_16x16x16_f16 v[0:7], v[8:15], v[16:23], v[0:7]   ; cc404000\n"
			   "\ts_barrier                                                   ; bfbd0000\n"
			   "\ts_branch BB1                                                ; bfa0fff4\n"
			   "\ts_endpgm                                                    ; bfb00000\n";
	assert_true(disassembly_recognized(text));
	cJSON *loops = disassembly_loops(text);
	assert_int_equal(cJSON_GetArraySize(loops), 2);
	const cJSON *outer = cJSON_GetArrayItem(loops, 0), *inner = cJSON_GetArrayItem(loops, 1);
	assert_int_equal(count(outer, "depth"), 0);
	assert_int_equal(count(outer, "matrix"), 1);
	assert_int_equal(count(outer, "fma"), 0);
	assert_int_equal(count(outer, "memory"), 1);
	assert_int_equal(count(outer, "barrier"), 1);
	assert_int_equal(count(outer, "subgroup"), 1);
	assert_int_equal(count(inner, "depth"), 1);
	assert_int_equal(count(inner, "fma"), 1);
	assert_int_equal(count(inner, "subgroup"), 1);
	assert_int_equal(count(inner, "shared"), 1);
	assert_int_equal(count(inner, "control"), 1);
	cJSON_Delete(loops);
}

static void intel_messages_are_classed_by_their_function(void **state)
{
	(void)state;
	const char *text =
		"mov(8)          g4<1>UD         g0.1<0,1,0>UD                   { align1 WE_all 1Q };\n"
		"\n"
		"LABEL2:\n"
		"mad(16)         g109<1>F        g113<8,8,1>F    g6<8,8,1>F      g1.1<0,1,0>F { align1 1H };\n"
		"mad(16)         g20<1>F         g9<4,4,1>F      g6<4,4,1>F      g1.2<0,1,0>F { align16 1H };\n"
		"mad(16)         g20<1>D         g9<8,8,1>D      g6<8,8,1>D      g1.2<0,1,0>D { align1 1H };\n"
		"mov(16)         g16<1>UD        g[a0]<VxH,1,0>UD                { align1 1H A@1 compacted };\n"
		"send(16)        g6UD            g14UD           nullUD          0x08803580                0x00000000\n"
		"                            ugm MsgDesc: ( load, a64, d32, V4, L1STATE_L3MOCS dst_len = 8 flat )  { align1 1H };\n"
		"send(16)        g6UD            g14UD           nullUD          0x08803580                0x00000000\n"
		"                            slm MsgDesc: ( load, a32, d32, V1, L1STATE_L3MOCS dst_len = 2 flat )  { align1 1H };\n"
		"send(16)        g6UD            g14UD           nullUD          0x08803580                0x00000000\n"
		"                            dp data 1 MsgDesc: (untyped surface read, Surface = 254, SIMD16, Mask = 0xe)  { "
		"align1 1H };\n"
		"send(1)         nullUD          g2UD            nullUD          0x02000004                0x00000000\n"
		"                            gateway MsgDesc: (barrier msg)  mlen 1 ex_mlen 0 rlen 0 { align1 WE_all 1H $6 };\n"
		"(-f0.0) while(16) JIP:  LABEL2                                  { align1 1H };\n";
	assert_true(disassembly_recognized(text));
	cJSON *loops = disassembly_loops(text);
	assert_int_equal(cJSON_GetArraySize(loops), 1);
	const cJSON *loop = cJSON_GetArrayItem(loops, 0);
	assert_int_equal(count(loop, "fma"), 2);
	assert_int_equal(count(loop, "alu"), 1);
	assert_int_equal(count(loop, "subgroup"), 1);
	assert_int_equal(count(loop, "memory"), 1);
	assert_int_equal(count(loop, "shared"), 2);
	assert_int_equal(count(loop, "barrier"), 1);
	assert_int_equal(count(loop, "control"), 1);
	cJSON_Delete(loops);
}

/* The exit of the loop stands between its blocks. */
static void nvidia_blocks_may_lie_in_any_order(void **state)
{
	(void)state;
	const char *text = "block.u 0 L1 [] -> {\n"
			   "      r0      = mov c[0x0][0x0]                              // delay=1\n"
			   "} -> [1]\n"
			   "block 1 L2 [0, 3] -> {\n"
			   "      r1      = ffma.ftz r2 r3 r1                            // delay=4\n"
			   "      r2      = ld.global.a64.strong.sys.b32 [r4..6]         // delay=1\n"
			   "@!p0            bra L4                                       // delay=1\n"
			   "} -> [3, 2]\n"
			   "block 2 L3 [1] -> {\n"
			   "      r9      = ffma.ftz r9 r9 r9                            // delay=4\n"
			   "                exit                                         // delay=1\n"
			   "} -> []\n"
			   "block 3 L4 [1] -> {\n"
			   "      r7, p0  = shfl.bfly r1 0x1 0x1f                        // delay=2\n"
			   "      r8      = ld.shared.strong.cta.b32 [r12]               // delay=1\n"
			   "                bar.sync                                     // delay=6\n"
			   "                bra L2                                       // delay=1\n"
			   "} -> [1]\n";
	assert_true(disassembly_recognized(text));
	cJSON *loops = disassembly_loops(text);
	assert_int_equal(cJSON_GetArraySize(loops), 1);
	const cJSON *loop = cJSON_GetArrayItem(loops, 0);
	assert_int_equal(count(loop, "depth"), 0);
	assert_int_equal(count(loop, "fma"), 1);
	assert_int_equal(count(loop, "memory"), 1);
	assert_int_equal(count(loop, "shared"), 1);
	assert_int_equal(count(loop, "subgroup"), 1);
	assert_int_equal(count(loop, "barrier"), 1);
	assert_int_equal(count(loop, "control"), 2);
	cJSON_Delete(loops);
}

static void other_texts_are_no_assembly(void **state)
{
	(void)state;
	assert_false(disassembly_recognized("shader: MESA_SHADER_COMPUTE\nsource_blake3: {0x0}\n"));
	assert_false(disassembly_recognized(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amd_loops_end_with_the_jump_back),
		cmocka_unit_test(intel_messages_are_classed_by_their_function),
		cmocka_unit_test(nvidia_blocks_may_lie_in_any_order),
		cmocka_unit_test(other_texts_are_no_assembly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
