#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * From counts to places: one workgroup. Experts lie one after the other in `entries`, blocks of tokens in order inside an expert,
 * so that the lists do not depend on any order of execution.
 */
#include "common/kernel.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_EXPERT_SCAN)

/* By expert: its entries, later the first of them; its first tile. */
shared uint first_entry[GQE_MAX_EXPERTS];
shared uint first_tile[GQE_MAX_EXPERTS];

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
		first_tile[e] = tiles;
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
		uint tile = first_tile[e];
		for (uint first = first_entry[e]; first < position; first += push.tile_rows) {
			push.tiles.at[3 * tile] = int(e);
			push.tiles.at[3 * tile + 1] = int(first);
			push.tiles.at[3 * tile + 2] = int(min(push.tile_rows, position - first));
			tile++;
		}
	}
}
