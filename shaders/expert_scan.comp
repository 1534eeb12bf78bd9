#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * From counts to places: one workgroup. Experts lie one after the other in `entries`, blocks of tokens in order inside an expert,
 * so that the lists do not depend on any order of execution. Experts take turns in `tiles`.
 */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_EXPERT_SCAN)

/* By expert: its entries, later the first of them; its tiles. */
shared uint first_entry[GQE_MAX_EXPERTS];
shared uint tile_count[GQE_MAX_EXPERTS];

uint tiles_of(uint entries)
{
	return (entries + push.tile_rows - 1) / push.tile_rows;
}

void scan_experts()
{
	uint entries = 0, tiles = 0;
	for (uint e = 0; e < push.experts_total; e++) {
		uint count = first_entry[e];
		first_entry[e] = entries;
		tile_count[e] = tiles_of(count);
		entries += count;
		tiles += tiles_of(count);
	}
	push.tile_count.at[0] = int(tiles);
	uint workgroups = tiles * push.column_tiles;
	uint x = clamp(workgroups, 1u, GQE_MAX_WORKGROUPS_X);
	push.dispatch.at[0] = int(x);
	push.dispatch.at[1] = int((workgroups + x - 1) / x);
	push.dispatch.at[2] = 1;
}

/*
 * The place of an expert's tile number `own`, a multiple of GQE_TILES_IN_TURN: after as many of every expert, and then this turn's of
 * the experts before. So tiles with the same tokens are near each other, and a token's row is read again while it is in a cache.
 * Sixteen experts an iteration: a driver may leave loops early after some ten thousand iterations (gqe_capabilities).
 */
uint place_of(uint expert, uint own)
{
	uint place = 0;
	for (uint sixteen = 0; sixteen < push.experts_total; sixteen += 16)
		[[unroll]] for (uint e = sixteen; e < sixteen + 16; e++)
			if (e < push.experts_total)
				place += min(tile_count[e], e < expert ? own + GQE_TILES_IN_TURN : own);
	return place;
}

void main()
{
	if (linear_workgroup() != 0)
		return;
	for (uint e = gl_LocalInvocationIndex; e < push.experts_total; e += gl_WorkGroupSize.x) {
		uint total = 0;
		for (uint block = 0; block < push.blocks; block++)
			total += uint(push.counts.at[block * push.experts_total + e]);
		first_entry[e] = total;
	}
	barrier();
	if (gl_LocalInvocationIndex == 0)
		scan_experts();
	barrier();
	for (uint e = gl_LocalInvocationIndex; e < push.experts_total; e += gl_WorkGroupSize.x) {
		uint position = first_entry[e];
		for (uint block = 0; block < push.blocks; block++) {
			uint i = block * push.experts_total + e;
			uint count = uint(push.counts.at[i]);
			push.counts.at[i] = int(position);
			position += count;
		}
		uint tile = 0, own = 0;
		for (uint first = first_entry[e]; first < position; first += push.tile_rows) {
			if (own % GQE_TILES_IN_TURN == 0)
				tile = place_of(e, own);
			own++;
			push.tiles.at[3 * tile] = int(e);
			push.tiles.at[3 * tile + 1] = int(first);
			push.tiles.at[3 * tile + 2] = int(min(push.tile_rows, position - first));
			tile++;
		}
	}
}
