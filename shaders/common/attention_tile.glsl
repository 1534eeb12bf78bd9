/*
 * Which part of the attention a workgroup does, and where its rows lie. A tile's rows are (token, slot) pairs of one KV head,
 * token-major, so the slots that share K and V share every load. Rows past the last are that row again: loads stay inside, and
 * they store once more, bit for bit, what that row stores.
 */
#ifndef GQE_COMMON_ATTENTION_TILE_GLSL
#define GQE_COMMON_ATTENTION_TILE_GLSL

GQE_DECLARE_PUSH(GQE_PUSH_ATTENTION)

/* A score that no key reaches; finite, so that the difference of two of them is 0 and not NaN. */
const float no_score = -1e30;

struct Tile {
	uint batch;
	uint head;      /* KV head */
	uint slots;     /* slots the head serves */
	uint first_row;
	uint row_count; /* rows of the head, all tiles together */
	uvec2 k, v;     /* addresses of the head's caches, [capacity, head_dim], as if they began with key 0 */
};

uint head_slots(uint head)
{
	return (head < push.groups ? push.slots_per_group : 0) + (push.shared_head == head ? 1 : 0);
}

uint head_tiles(uint head)
{
	return (push.tokens * head_slots(head) + config_rows - 1) / config_rows;
}

/*
 * The workgroup's number among the tiles of a KV head, and which of all sequences' heads; GQE_NONE: it has no tile. The tiles that
 * the head with the shared slot has more than others are divided among all heads of the sequence and follow theirs.
 */
uint spread_tile(out uint head)
{
	uint usual = (push.tokens * push.slots_per_group + config_rows - 1) / config_rows;
	uint more = push.shared_head < push.groups ? head_tiles(push.shared_head) - usual : 0;
	uint block = usual + (more + push.kv_heads - 1) / push.kv_heads;
	uint heads = push.batch * push.kv_heads;
	uint number = linear_workgroup() % block, before = linear_workgroup() / block;
	head = min(before, heads - 1);
	if (number >= usual) {
		number = usual + (number - usual) * push.kv_heads + head % push.kv_heads;
		head = head - head % push.kv_heads + push.shared_head;
	}
	return before < heads ? number : GQE_NONE;
}

/*
 * False: the workgroup has nothing to do; the tile still lies inside the head. Tiles with the last tokens see the most keys and come
 * first, over all heads. With config_spread, where each thread of a CPU driver has one part of the grid, all parts should take the
 * same time: one head after the other, late and early tokens in turn, so that two neighbours take as long as any other two. And a
 * core that keeps to a head finds more of its K and V in the core's cache.
 */
bool tile_of_workgroup(out Tile tile)
{
	uint heads = push.batch * push.kv_heads;
	uint head = linear_workgroup() % heads, number = linear_workgroup() / heads;
	if (config_spread != 0)
		number = spread_tile(head);
	tile.batch = head / push.kv_heads;
	tile.head = head % push.kv_heads;
	tile.slots = head_slots(tile.head);
	tile.row_count = push.tokens * tile.slots;
	uint tiles = head_tiles(tile.head);
	uint from_last = number;
	if (config_spread != 0)
		from_last = number % 2 == 0 ? number / 2 : tiles - 1 - number / 2;
	tile.first_row = (tiles - 1 - from_last) * config_rows;
	uint cache_row = (tile.batch * push.kv_heads + tile.head) * push.capacity;
	const uint row_bytes = config_head_dim * WEIGHT_BYTES;
	tile.k = address_before(address(uvec2(push.k_cache), cache_row, row_bytes), push.cache_first, row_bytes);
	tile.v = address_before(address(uvec2(push.v_cache), cache_row, row_bytes), push.cache_first, row_bytes);
	return number < tiles;
}

uint row_clamped(Tile tile, uint row)
{
	return min(tile.first_row + row, tile.row_count - 1);
}

/* Keys that a row of the tile sees: 0...row_keys-1. */
uint row_keys(Tile tile, uint row)
{
	return push.position + row_clamped(tile, row) / tile.slots + 1;
}

/* Index in q of a row's first channel. */
uint row_q(Tile tile, uint row)
{
	uint token = row_clamped(tile, row) / tile.slots;
	uint j = row_clamped(tile, row) % tile.slots;
	bool is_routed = tile.head < push.groups && j < push.slots_per_group;
	uint slot = is_routed ? tile.head * push.slots_per_group + j : push.q_shared;
	return ((tile.batch * push.tokens + token) * push.q_slots + slot) * config_head_dim;
}

/* Index in o of a row's first channel. */
uint row_o(Tile tile, uint row)
{
	uint token = row_clamped(tile, row) / tile.slots;
	uint j = row_clamped(tile, row) % tile.slots;
	bool is_routed = tile.head < push.groups && j < push.slots_per_group;
	uint slot = is_routed ? tile.head * push.slots_per_group + j : push.o_shared;
	return ((tile.batch * push.tokens + token) * push.o_slots + slot) * config_head_dim;
}

/* The keys of this dispatch that a tile sees. */
struct KeyRange {
	uint first, end;
	bool is_last; /* the tile has seen all its keys afterwards */
};

/* False: the tile has seen all its keys before. */
bool key_range_of(Tile tile, out KeyRange range)
{
	uint visible = row_keys(tile, config_rows - 1);
	range = KeyRange(push.first_key, min(visible, push.key_end), visible <= push.key_end);
	return range.first < range.end;
}

bool row_exists(Tile tile, uint row)
{
	return tile.first_row + row < tile.row_count;
}

/* How a row's sums over this key range and over the earlier ones become one. */
struct RowMerge {
	float largest, sum; /* over all keys so far; the sum in units of exp2(largest) */
	float own, before;  /* what this range's o is multiplied by, and what the one in memory is */
};

/* Index in `state` of a row. */
uint row_state(Tile tile, uint row)
{
	return row_q(tile, row) / config_head_dim * 2;
}

/* `largest` and `sum` are this range's. Reads `state`. */
RowMerge row_merge(Tile tile, KeyRange range, uint row, float largest, float sum)
{
	RowMerge merge = RowMerge(largest, sum, 1.0, 0.0);
	if (range.first > 0) {
		float largest_before = push.state.at[row_state(tile, row)];
		merge.largest = max(largest, largest_before);
		merge.own = exp2(largest - merge.largest);
		merge.before = exp2(largest_before - merge.largest);
		merge.sum = sum * merge.own + push.state.at[row_state(tile, row) + 1] * merge.before;
	}
	if (range.is_last) {
		merge.own /= merge.sum;
		merge.before /= merge.sum;
	}
	return merge;
}

void store_state(Tile tile, uint row, RowMerge merge)
{
	push.state.at[row_state(tile, row)] = merge.largest;
	push.state.at[row_state(tile, row) + 1] = merge.sum;
}

/* Adds `own` to o[at], by one invocation alone. */
void merge_output(KeyRange range, uint at, RowMerge merge, float own)
{
	float value = own * merge.own;
	if (range.first > 0)
		value += push.o.at[at] * merge.before;
	push.o.at[at] = value;
}

#endif
