#version 460
#extension GL_GOOGLE_include_directive : require

/*
 * The router's softmax and top-k, one token an invocation. Selection compares logits, not probabilities, so that rounding of exp
 * cannot change it; it starts from the lowest expert not yet taken, so ties go to the lower index and NaN never leaves the group.
 */
#include "common/kernel.glsl"
#include "common/math.glsl"

GQE_DECLARE_PUSH(GQE_PUSH_ROUTE)

#define FEW_EXPERTS 4

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
void select(uint row, uint base, uint slot, uint slots, uint expert, float probability)
{
	uint output_index = row * slots + slot;
	push.experts.at[output_index] = int(expert);
	if (push.has_expert_slots != 0)
		push.expert_slots.at[base + expert] = int(slot);
	push.selected.at[output_index] = probability;
}

/* Sum of what the group's selected experts have. `first`: of the group's slots. */
float route_group(uint row, uint base, uint first, uint slots)
{
	uvec2 taken = uvec2(0);
	float sum = 0.0;
	for (uint j = 0; j < push.top_k; j++) {
		uint expert = best_of_rest(base, taken);
		taken[expert / 32] |= 1u << (expert % 32);
		if (j == 0)
			group_softmax(base, expert);
		float probability = push.probability.at[base + expert];
		if (push.slot_order == 0)
			select(row, base, first + j, slots, expert, probability);
		sum += probability;
	}
	if (push.slot_order != 0) {
		uint j = 0;
		for (uint m = 0; m < push.experts_per_group; m++)
			if (is_taken(taken, m))
				select(row, base, first + j++, slots, m, push.probability.at[base + m]);
	}
	return sum;
}

/*
 * The same for few experts, in registers: a CPU driver loads and stores lane by lane, and route_group does so a dozen times for two
 * experts.
 */
float route_few(uint row, uint base, uint first, uint slots)
{
	float logit[FEW_EXPERTS], probability[FEW_EXPERTS];
	[[unroll]] for (uint m = 0; m < FEW_EXPERTS; m++)
		logit[m] = push.logits.at[base + min(m, push.experts_per_group - 1)];
	uint taken = 0;
	float sum = 0.0;
	for (uint j = 0; j < push.top_k; j++) {
		uint best = GQE_NONE;
		float best_logit = 0.0;
		[[unroll]] for (uint m = 0; m < FEW_EXPERTS; m++) {
			bool is_better = m < push.experts_per_group && (taken >> m & 1u) == 0u && (best == GQE_NONE || logit[m] > best_logit);
			best = is_better ? m : best;
			best_logit = is_better ? logit[m] : best_logit;
		}
		taken |= 1u << best;
		if (j == 0) {
			float total = 0.0;
			[[unroll]] for (uint m = 0; m < FEW_EXPERTS; m++) {
				probability[m] = exp_nonpositive(logit[m] - best_logit);
				total += m < push.experts_per_group ? probability[m] : 0.0;
			}
			[[unroll]] for (uint m = 0; m < FEW_EXPERTS; m++) {
				probability[m] /= total;
				if (m < push.experts_per_group)
					push.probability.at[base + m] = probability[m];
			}
		}
		float best_probability = probability[0];
		[[unroll]] for (uint m = 1; m < FEW_EXPERTS; m++)
			best_probability = best == m ? probability[m] : best_probability;
		if (push.slot_order == 0)
			select(row, base, first + j, slots, best, best_probability);
		sum += best_probability;
	}
	if (push.slot_order != 0)
		[[unroll]] for (uint m = 0; m < FEW_EXPERTS; m++)
			if ((taken >> m & 1u) != 0u)
				select(row, base, first + bitCount(taken & (1u << m) - 1u), slots, m, probability[m]);
	return sum;
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
		for (uint m = 0; m < push.has_expert_slots * push.experts_per_group; m++)
			push.expert_slots.at[base + m] = -1;
		if (push.experts_per_group <= FEW_EXPERTS)
			sum += route_few(row, base, g * push.top_k, slots);
		else
			sum += route_group(row, base, g * push.top_k, slots);
	}
	for (uint i = row * slots; i < (row + 1) * slots; i++)
		push.gate.at[i] = push.selected.at[i] / sum;
}
