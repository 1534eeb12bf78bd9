/* Weights in blocks of rows: every row is somewhere once, its words in order, and pairs of channels lie where the products look. */
#include "attention/matrix.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define WORDS 6

/* Word `word` of row `row` of a matrix that says where everything is from. */
static uint32_t word_of(uint64_t row, uint32_t word)
{
	return (uint32_t)(row * 100 + word + 1);
}

/* All rows of the matrix, placed; [rows rounded up to whole blocks, WORDS]. */
static uint32_t *place_all(const struct gqe_matrix_layout *layout, uint64_t rows)
{
	uint64_t stored = gqe_align_up(rows, layout->lanes);
	uint32_t *blocks = calloc(stored * WORDS, sizeof(*blocks)), row[WORDS];
	assert_non_null(blocks);
	for (uint64_t i = 0; i < stored; i++) {
		uint64_t from = gqe_matrix_row_at(layout, i);
		if (from >= rows)
			continue;
		for (uint32_t word = 0; word < WORDS; word++)
			row[word] = word_of(from, word);
		gqe_matrix_place_row(layout, row, WORDS, i, blocks);
	}
	return blocks;
}

static void test_rows_lie_side_by_side(void **state)
{
	(void)state;
	const uint32_t lanes[] = {1, 4, 8, 16};
	const uint64_t rows[] = {1, 7, 16, 37};
	for (size_t l = 0; l < GQE_COUNT(lanes); l++)
		for (size_t r = 0; r < GQE_COUNT(rows); r++) {
			const struct gqe_matrix_layout layout = {.lanes = lanes[l]};
			uint32_t *blocks = place_all(&layout, rows[r]);
			for (uint64_t row = 0; row < gqe_align_up(rows[r], lanes[l]); row++)
				for (uint32_t word = 0; word < WORDS; word++) {
					uint64_t block = row / lanes[l], lane = row % lanes[l];
					uint32_t found = blocks[(block * WORDS + word) * lanes[l] + lane];
					assert_int_equal(found, row < rows[r] ? word_of(row, word) : 0);
				}
			free(blocks);
		}
}

/* Blocks of first channels and of their partners take turns: lane l of blocks 2n and 2n + 1 is pair n * lanes + l of all heads'. */
static void check_pairs(uint32_t lanes, uint32_t head_size, bool is_interleaved)
{
	const struct gqe_matrix_layout layout = {.lanes = lanes, .head_size = head_size, .is_interleaved = is_interleaved};
	const uint64_t heads = 3, rows = heads * head_size;
	uint32_t *blocks = place_all(&layout, rows);
	for (uint64_t pair = 0; pair < rows / 2; pair++) {
		uint64_t head = pair / (head_size / 2), own = pair % (head_size / 2);
		uint64_t first = head * head_size + (is_interleaved ? 2 * own : own);
		uint64_t partner = is_interleaved ? first + 1 : first + head_size / 2;
		for (uint32_t word = 0; word < WORDS; word++) {
			uint64_t at = (pair / lanes * 2 * WORDS + word) * lanes + pair % lanes;
			assert_int_equal(blocks[at], word_of(first, word));
			assert_int_equal(blocks[at + (uint64_t)WORDS * lanes], word_of(partner, word));
		}
	}
	free(blocks);
}

static void test_pairs_take_turns(void **state)
{
	(void)state;
	for (int is_interleaved = 0; is_interleaved < 2; is_interleaved++) {
		check_pairs(4, 8, is_interleaved);
		check_pairs(8, 64, is_interleaved);
		check_pairs(8, 80, is_interleaved);
		check_pairs(16, 96, is_interleaved);
	}
}

static uint64_t planned(uint64_t rows, const struct gqe_matrix_layout *layout)
{
	struct gqe_arena *arena;
	struct gqe_matrix matrix;
	assert_int_equal(gqe_arena_create(NULL, GQE_MEMORY_DEVICE, &arena, NULL), GQE_OK);
	gqe_matrix_reserve_blocks(arena, &matrix, rows, 1024, GQE_DTYPE_F32, layout);
	uint64_t bytes = gqe_arena_planned(arena);
	gqe_arena_destroy(&arena);
	return bytes;
}

/* An estimate is made without a device. */
static void test_size_is_that_of_any_device(void **state)
{
	(void)state;
	for (uint64_t rows = 1; rows < 300; rows += 7) {
		uint64_t row_by_row = planned(rows, &(struct gqe_matrix_layout){.lanes = 1});
		for (uint32_t lanes = 4; lanes <= GQE_MATRIX_MOST_LANES; lanes *= 2)
			assert_int_equal(planned(rows, &(struct gqe_matrix_layout){.lanes = lanes}), row_by_row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_lie_side_by_side),
		cmocka_unit_test(test_pairs_take_turns),
		cmocka_unit_test(test_size_is_that_of_any_device),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
