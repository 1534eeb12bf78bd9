#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * From counts to places: one workgroup. Experts lie one after the other in `entries`, blocks of tokens in order inside an expert,
 * so that the lists do not depend on any order of execution. Experts take turns in `tiles`.
 */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_EXPERT_SCAN)

/* By expert: its entries, later the first of them, and behind the last expert their end; its tiles. */
shared uint first_entry[GQE_MAX_EXPERTS + 1];
shared uint tile_count[GQE_MAX_EXPERTS];
shared uint most_tiles; /* of an expert */

uint tiles_of(uint entries)
{
	return (entries + push.tile_rows - 1) / push.tile_rows;
}

void scan_experts()
{
	uint entries = 0, tiles = 0;
	most_tiles = 0;
	for (uint e = 0; e < push.experts_total; e++) {
		uint count = first_entry[e];
		first_entry[e] = entries;
		tile_count[e] = tiles_of(count);
		most_tiles = max(most_tiles, tile_count[e]);
		entries += count;
		tiles += tile_count[e];
	}
	first_entry[push.experts_total] = entries;
	push.tile_count.at[0] = int(tiles);
	uint workgroups = tiles * push.column_tiles;
	uint x = clamp(workgroups, 1u, GQE_MAX_WORKGROUPS_X);
	push.dispatch.at[0] = int(x);
	push.dispatch.at[1] = int((workgroups + x - 1) / x);
	push.dispatch.at[2] = 1;
}

/*
 * The tiles of one turn: number `own` and those after it of every expert. So tiles with the same tokens are near each other, and a
 * token's row is read again while it is in a cache.
 */
void list_turn(uint own)
{
	uint place = 0;
	for (uint e = 0; e < push.experts_total; e++)
		place += min(tile_count[e], own);
	for (uint e = 0; e < push.experts_total; e++)
		for (uint tile = own; tile < min(own + GQE_TILES_IN_TURN, tile_count[e]); tile++) {
			uint first = first_entry[e] + tile * push.tile_rows;
			push.tiles.at[3 * place] = int(e);
			push.tiles.at[3 * place + 1] = int(first);
			push.tiles.at[3 * place + 2] = int(min(push.tile_rows, first_entry[e + 1] - first));
			place++;
		}
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
	}
	for (uint turn = gl_LocalInvocationIndex; turn * GQE_TILES_IN_TURN < most_tiles; turn += gl_WorkGroupSize.x)
		list_turn(turn * GQE_TILES_IN_TURN);
}
