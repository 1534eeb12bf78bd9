#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * The router's softmax and top-k, one token an invocation. Selection compares logits, not probabilities, so that rounding of exp
 * cannot change it; it starts from the lowest expert not yet taken, so ties go to the lower index and NaN never leaves the group.
 */
#include "common/kernel.glsl"
#include "common/math.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_ROUTE)

bool is_taken(uvec2 taken, uint expert)
{
	return (taken[expert / 32] >> (expert % 32) & 1u) != 0u;
}

/*
 * Four experts an iteration: a driver may leave loops early after some ten thousand iterations (gqe_capabilities), which 1024
 * experts that are all active would reach one by one.
 */
uint best_of_rest(uint base, uvec2 taken)
{
	uint best = GQE_NONE;
	float best_logit = 0.0;
	for (uint four = 0; four < push.experts_per_group; four += 4)
		[[unroll]] for (uint m = four; m < four + 4; m++) {
			if (m >= push.experts_per_group || is_taken(taken, m))
				continue;
			float logit = push.logits.at[base + m];
			if (best == GQE_NONE || logit > best_logit) {
				best = m;
				best_logit = logit;
			}
		}
	return best;
}

/* Softmax of one group into `probability`. */
void group_softmax(uint base, uint top)
{
	float largest = push.logits.at[base + top];
	float sum = 0.0;
	for (uint m = 0; m < push.experts_per_group; m++)
		sum += exp_nonpositive(push.logits.at[base + m] - largest);
	for (uint m = 0; m < push.experts_per_group; m++)
		push.probability.at[base + m] = exp_nonpositive(push.logits.at[base + m] - largest) / sum;
}

/* `slot`: of the token's `slots`. */
void select(uint row, uint base, uint slot, uint slots, uint expert)
{
	uint output_index = row * slots + slot;
	push.experts.at[output_index] = int(expert);
	if (push.has_expert_slots != 0)
		push.expert_slots.at[base + expert] = int(slot);
	push.selected.at[output_index] = push.probability.at[base + expert];
}

void main()
{
	uint row = linear_invocation();
	if (row >= push.rows)
		return;
	uint slots = push.groups * push.top_k;
	float sum = 0.0;
	for (uint g = 0; g < push.groups; g++) {
		uint base = (row * push.groups + g) * push.experts_per_group;
		uint first = g * push.top_k;
		uvec2 taken = uvec2(0);
		for (uint m = 0; m < push.has_expert_slots * push.experts_per_group; m++)
			push.expert_slots.at[base + m] = -1;
		for (uint j = 0; j < push.top_k; j++) {
			uint expert = best_of_rest(base, taken);
			taken[expert / 32] |= 1u << (expert % 32);
			if (j == 0)
				group_softmax(base, expert);
			if (push.slot_order == 0)
				select(row, base, first + j, slots, expert);
			sum += push.probability.at[base + expert];
		}
		if (push.slot_order != 0) {
			uint j = 0;
			for (uint m = 0; m < push.experts_per_group; m++)
				if (is_taken(taken, m))
					select(row, base, first + j++, slots, m);
		}
	}
	for (uint i = row * slots; i < (row + 1) * slots; i++)
		push.gate.at[i] = push.selected.at[i] / sum;
}
