/* A layer's shape, and finding its tensors in a list. */
#include "attention/layer_weights.h"

#include "shared/kernels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const gqe_layer_config paper = {
	.hidden_size = 24,
	.heads = 8,
	.kv_heads = 4,
	.head_dim = 16,
	.attention = GQE_ATTENTION_GQE,
	.rope = GQE_ROPE_HALF,
	.rope_theta = 10000,
	.top_k = 1,
	.shared_head = true,
	.shared_kv = GQE_SHARED_KV_GROUP,
	.shared_kv_group = 2,
	.weighted_sum_slot = true,
	.slot_order = GQE_SLOT_ORDER_RANK,
};

/* ------------------------------------------------------------------------------------------------------------- shape -- */

static void shape_of_the_paper(void **state)
{
	(void)state;
	struct gqe_layer_shape shape = gqe_layer_shape_of(&paper);
	assert_int_equal(shape.routed_slots, 4);
	assert_int_equal(shape.q_slots, 5);
	assert_int_equal(shape.o_slots, 6);
	assert_int_equal(shape.q_shared, 4);
	assert_int_equal(shape.weighted_slot, 4);
	assert_int_equal(shape.o_shared, 5);
	assert_int_equal(shape.shared_head, 2);
	assert_int_equal(shape.source_heads, 4);
	assert_int_equal(shape.cache_heads, 4);
	assert_false(shape.mean_head);
}

static void shape_of_shared_kv_variants(void **state)
{
	(void)state;
	gqe_layer_config config = paper;
	config.shared_kv = GQE_SHARED_KV_DEDICATED;
	struct gqe_layer_shape shape = gqe_layer_shape_of(&config);
	assert_int_equal(shape.source_heads, 5);
	assert_int_equal(shape.cache_heads, 5);
	assert_int_equal(shape.shared_head, 4);
	assert_false(shape.mean_head);

	config.shared_kv = GQE_SHARED_KV_MEAN;
	shape = gqe_layer_shape_of(&config);
	assert_int_equal(shape.source_heads, 4);
	assert_int_equal(shape.cache_heads, 5);
	assert_int_equal(shape.shared_head, 4);
	assert_true(shape.mean_head);

	config.shared_head = false;
	shape = gqe_layer_shape_of(&config);
	assert_int_equal(shape.cache_heads, 4);
	assert_int_equal(shape.q_slots, 4);
	assert_int_equal(shape.o_slots, 5);
	assert_int_equal(shape.q_shared, GQE_NONE);
	assert_int_equal(shape.o_shared, GQE_NONE);
	assert_int_equal(shape.shared_head, GQE_NONE);
}

static void shape_of_gqa_ignores_the_gqe_fields(void **state)
{
	(void)state;
	gqe_layer_config config = paper;
	config.attention = GQE_ATTENTION_GQA;
	config.shared_kv = GQE_SHARED_KV_DEDICATED;
	struct gqe_layer_shape shape = gqe_layer_shape_of(&config);
	assert_int_equal(shape.routed_slots, 8);
	assert_int_equal(shape.q_slots, 8);
	assert_int_equal(shape.o_slots, 8);
	assert_int_equal(shape.q_shared, GQE_NONE);
	assert_int_equal(shape.weighted_slot, GQE_NONE);
	assert_int_equal(shape.cache_heads, 4);
}

static void tensor_shapes(void **state)
{
	(void)state;
	gqe_layer_config config = paper;
	config.shared_kv = GQE_SHARED_KV_DEDICATED;
	const uint64_t dedicated[GQE_LAYER_TENSORS][2] = {{9 * 16, 24}, {4 * 16, 24}, {4 * 16, 24}, {8, 24},
							  {24, 6 * 16}, {16, 24},     {16, 24}};
	const uint64_t gqa[GQE_LAYER_TENSORS][2] = {{8 * 16, 24}, {4 * 16, 24}, {4 * 16, 24}, {0, 0}, {24, 8 * 16}, {0, 0}, {0, 0}};
	uint64_t rows, cols;
	for (int tensor = 0; tensor < GQE_LAYER_TENSORS; tensor++) {
		gqe_layer_tensor_shape(&config, tensor, &rows, &cols);
		assert_int_equal(rows, dedicated[tensor][0]);
		assert_int_equal(cols, dedicated[tensor][1]);
	}
	config.attention = GQE_ATTENTION_GQA;
	for (int tensor = 0; tensor < GQE_LAYER_TENSORS; tensor++) {
		gqe_layer_tensor_shape(&config, tensor, &rows, &cols);
		assert_int_equal(rows, gqa[tensor][0]);
		assert_int_equal(cols, gqa[tensor][1]);
	}
}

/* ------------------------------------------------------------------------------------------------------------ finding -- */

/* A tensor list that tests spoil; names are prefix + name + part. */
struct list {
	gqe_tensor tensors[24];
	char names[24][64];
	size_t count;
};

/* Big enough for every tensor of `paper`; nobody reads it. */
static const float data[9 * 16 * 24];

static gqe_tensor *add(struct list *list, const char *prefix, const char *name, uint32_t rank, uint64_t rows, uint64_t cols)
{
	gqe_tensor *tensor = &list->tensors[list->count];
	snprintf(list->names[list->count], sizeof list->names[0], "%s%s", prefix, name);
	*tensor = (gqe_tensor){
		.name = list->names[list->count],
		.dtype = GQE_DTYPE_F32,
		.rank = rank,
		.shape = {rows, cols},
		.data = data,
		.bytes = 4 * rows * (rank == 2 ? cols : 1),
		.file = "weights.safetensors",
	};
	list->count++;
	return tensor;
}

static void fill(struct list *list, const char *prefix)
{
	list->count = 0;
	add(list, prefix, "o_proj.weight", 2, 24, 6 * 16);
	add(list, prefix, "q_proj.weight", 2, 9 * 16, 24);
	add(list, prefix, "k_proj.weight", 2, 4 * 16, 24);
	add(list, prefix, "v_proj.weight", 2, 4 * 16, 24);
	add(list, prefix, "router.weight", 2, 8, 24);
	add(list, prefix, "q_proj.bias", 1, 9 * 16, 0);
}

static void expect_bad(const gqe_layer_config *config, const struct list *list, const char *tensor, const char *detail)
{
	struct gqe_layer_tensors found;
	memset(&found, 0x5a, sizeof found);
	struct gqe_layer_tensors untouched = found;
	gqe_error error = {.status = GQE_OK};
	assert_int_equal(gqe_layer_tensors_find(config, "", list->tensors, list->count, true, &found, &error), GQE_ERROR_BAD_INPUT);
	assert_non_null(strstr(error.message, "weights.safetensors"));
	assert_non_null(strstr(error.message, tensor));
	assert_non_null(strstr(error.message, detail));
	assert_memory_equal(&found, &untouched, sizeof found);
}

static void finds_what_the_config_needs(void **state)
{
	(void)state;
	struct list list;
	struct gqe_layer_tensors found;
	fill(&list, "");
	assert_int_equal(gqe_layer_tensors_find(&paper, "", list.tensors, list.count, true, &found, NULL), GQE_OK);
	assert_ptr_equal(found.weight[GQE_LAYER_O], &list.tensors[0]);
	assert_ptr_equal(found.weight[GQE_LAYER_Q], &list.tensors[1]);
	assert_ptr_equal(found.weight[GQE_LAYER_K], &list.tensors[2]);
	assert_ptr_equal(found.weight[GQE_LAYER_V], &list.tensors[3]);
	assert_ptr_equal(found.weight[GQE_LAYER_ROUTER], &list.tensors[4]);
	assert_ptr_equal(found.bias[GQE_LAYER_Q], &list.tensors[5]);
	assert_null(found.bias[GQE_LAYER_K]);
	assert_null(found.weight[GQE_LAYER_K_SHARED]);
}

static void prefix_picks_one_layer_of_a_model(void **state)
{
	(void)state;
	struct list list;
	struct gqe_layer_tensors found;
	fill(&list, "model.layers.1.self_attn.");
	add(&list, "model.layers.11.self_attn.", "q_proj.weight", 2, 1, 1);
	add(&list, "", "lm_head.weight", 2, 1, 1);
	assert_int_equal(gqe_layer_tensors_find(&paper, "model.layers.1.self_attn.", list.tensors, list.count, false, &found, NULL),
			 GQE_OK);
	assert_ptr_equal(found.weight[GQE_LAYER_Q], &list.tensors[1]);

	gqe_error error;
	assert_int_equal(
		gqe_layer_tensors_find(&paper, "model.layers.2.self_attn.", list.tensors, list.count, false, &found, &error),
		GQE_ERROR_BAD_INPUT);
	assert_non_null(strstr(error.message, "\"model.layers.2.self_attn.q_proj.weight\" is missing"));
}

static void missing_or_unknown_tensors(void **state)
{
	(void)state;
	struct list list;
	fill(&list, "");
	list.names[4][0] = 'R';
	expect_bad(&paper, &list, "\"router.weight\" is missing", "[8, 24]");

	fill(&list, "");
	add(&list, "", "router_proj.weight", 2, 8, 24);
	expect_bad(&paper, &list, "\"router_proj.weight\"", "unknown");

	fill(&list, "");
	add(&list, "", "k_shared_proj.weight", 2, 16, 24);
	expect_bad(&paper, &list, "\"k_shared_proj.weight\"", "unknown");

	fill(&list, "");
	add(&list, "", "k_proj.weight", 2, 4 * 16, 24);
	expect_bad(&paper, &list, "\"k_proj.weight\"", "twice");

	gqe_layer_config dedicated = paper;
	dedicated.shared_kv = GQE_SHARED_KV_DEDICATED;
	fill(&list, "");
	expect_bad(&dedicated, &list, "\"k_shared_proj.weight\" is missing", "[16, 24]");

	gqe_error error;
	struct gqe_layer_tensors found;
	assert_int_equal(gqe_layer_tensors_find(&paper, "", NULL, 0, true, &found, &error), GQE_ERROR_BAD_INPUT);
	assert_non_null(strstr(error.message, "\"q_proj.weight\" is missing"));
}

static void wrong_dtypes_and_shapes(void **state)
{
	(void)state;
	struct list list;
	fill(&list, "");
	list.tensors[2].dtype = GQE_DTYPE_I64;
	expect_bad(&paper, &list, "\"k_proj.weight\" is I64", "F32, F16 or BF16");

	fill(&list, "");
	list.tensors[2].shape[0] = 63;
	expect_bad(&paper, &list, "\"k_proj.weight\"", "[63, 24], must be [64, 24]");

	fill(&list, "");
	list.tensors[2].rank = 1;
	expect_bad(&paper, &list, "\"k_proj.weight\"", "[64], must be [64, 24]");

	fill(&list, "");
	list.tensors[5].shape[0] = 145;
	expect_bad(&paper, &list, "\"q_proj.bias\"", "[145], must be [144]");

	fill(&list, "");
	list.tensors[1].rank = GQE_MAX_RANK;
	for (int i = 0; i < GQE_MAX_RANK; i++)
		list.tensors[1].shape[i] = UINT64_MAX;
	expect_bad(&paper, &list, "\"q_proj.weight\"", "must be [144, 24]");

	fill(&list, "");
	list.tensors[3].bytes--;
	expect_bad(&paper, &list, "\"v_proj.weight\" has 6143 bytes", "6144");

	fill(&list, "");
	list.tensors[3].data = NULL;
	expect_bad(&paper, &list, "\"v_proj.weight\" has 0 bytes", "6144");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shape_of_the_paper),
		cmocka_unit_test(shape_of_shared_kv_variants),
		cmocka_unit_test(shape_of_gqa_ignores_the_gqe_fields),
		cmocka_unit_test(tensor_shapes),
		cmocka_unit_test(finds_what_the_config_needs),
		cmocka_unit_test(prefix_picks_one_layer_of_a_model),
		cmocka_unit_test(missing_or_unknown_tensors),
		cmocka_unit_test(wrong_dtypes_and_shapes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
