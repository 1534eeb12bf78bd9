#include "reference/reference.h"

#include "reference/wide.h"

#include <math.h>

/* Most hard slots: all experts of all groups. */
#define MAX_HARD_SLOTS GQE_MAX_EXPERTS

static void softmax(uint32_t count, const double *logits, double *probability)
{
	double maximum = logits[0], sum = 0;
	for (uint32_t i = 1; i < count; i++)
		maximum = fmax(maximum, logits[i]);
	for (uint32_t i = 0; i < count; i++) {
		probability[i] = exp(logits[i] - maximum);
		sum += probability[i];
	}
	for (uint32_t i = 0; i < count; i++)
		probability[i] /= sum;
}

/*
 * The top_k largest logits, largest first, the lower index on a tie. Compares logits and not probabilities, which can be equal
 * where their logits are not. A NaN is never larger than anything, so the result is top_k different experts for any input.
 */
static void select_largest(uint32_t count, uint32_t top_k, const double *logits, int32_t *selected)
{
	bool taken[GQE_MAX_EXPERTS_PER_GROUP] = {false};
	for (uint32_t rank = 0; rank < top_k; rank++) {
		uint32_t best = count;
		for (uint32_t i = 0; i < count; i++) {
			if (!taken[i] && (best == count || logits[i] > logits[best]))
				best = i;
		}
		taken[best] = true;
		selected[rank] = (int32_t)best;
	}
}

static void sort_ascending(uint32_t count, int32_t *values)
{
	for (uint32_t i = 1; i < count; i++) {
		int32_t value = values[i];
		uint32_t place = i;
		for (; place > 0 && values[place - 1] > value; place--)
			values[place] = values[place - 1];
		values[place] = value;
	}
}

void gqe_wide_route(uint32_t experts, uint32_t groups, uint32_t top_k, gqe_slot_order order, const double *logits,
		    const struct gqe_wide_route *out)
{
	uint32_t group_size = experts / groups;
	double sum = 0;
	for (uint32_t group = 0; group < groups; group++) {
		double *probability = out->probability + group * group_size;
		int32_t *chosen = out->selected_experts + group * top_k;
		softmax(group_size, logits + group * group_size, probability);
		select_largest(group_size, top_k, logits + group * group_size, chosen);
		if (order == GQE_SLOT_ORDER_EXPERT)
			sort_ascending(top_k, chosen);
		for (uint32_t slot = 0; slot < top_k; slot++) {
			out->selected[group * top_k + slot] = probability[chosen[slot]];
			sum += probability[chosen[slot]];
		}
	}
	for (uint32_t slot = 0; slot < groups * top_k; slot++)
		out->gate[slot] = out->selected[slot] / sum;
}

static void narrow(uint32_t count, const double *wide, float *out)
{
	for (uint32_t i = 0; out && i < count; i++)
		out[i] = (float)wide[i];
}

void gqe_reference_route(uint32_t rows, uint32_t experts, uint32_t groups, uint32_t top_k, gqe_slot_order order,
			 const float *logits, float *probability, int32_t *selected_experts, float *selected, float *gate)
{
	double wide_logits[GQE_MAX_EXPERTS], wide_probability[GQE_MAX_EXPERTS];
	double wide_selected[MAX_HARD_SLOTS], wide_gate[MAX_HARD_SLOTS];
	int32_t chosen[MAX_HARD_SLOTS];
	struct gqe_wide_route out = {wide_probability, chosen, wide_selected, wide_gate};
	uint32_t slots = groups * top_k;
	for (size_t row = 0; row < rows; row++) {
		for (uint32_t i = 0; i < experts; i++)
			wide_logits[i] = logits[row * experts + i];
		gqe_wide_route(experts, groups, top_k, order, wide_logits, &out);
		narrow(experts, wide_probability, probability ? probability + row * experts : NULL);
		narrow(slots, wide_selected, selected ? selected + row * slots : NULL);
		narrow(slots, wide_gate, gate ? gate + row * slots : NULL);
		for (uint32_t i = 0; selected_experts && i < slots; i++)
			selected_experts[row * slots + i] = chosen[i];
	}
}

void gqe_wide_combine(uint32_t hard_slots, uint32_t width, const double *gate, const double *selected, uint32_t weighted_slot,
		      bool scale_hard, double *o)
{
	if (weighted_slot != GQE_NONE) {
		double *sum = o + (size_t)weighted_slot * width;
		for (uint32_t i = 0; i < width; i++)
			sum[i] = 0;
		for (uint32_t slot = 0; slot < hard_slots; slot++) {
			for (uint32_t i = 0; i < width; i++)
				sum[i] += gate[slot] * o[(size_t)slot * width + i];
		}
	}
	for (uint32_t slot = 0; scale_hard && slot < hard_slots; slot++) {
		for (uint32_t i = 0; i < width; i++)
			o[(size_t)slot * width + i] *= selected[slot];
	}
}

/* Channels are independent: each is taken through the wide function as slots of width 1. */
void gqe_reference_combine(uint32_t rows, uint32_t hard_slots, uint32_t o_slots, uint32_t head_dim, const float *gate,
			   const float *selected, int32_t weighted_slot, bool scale_hard, float *o)
{
	double wide_gate[MAX_HARD_SLOTS], wide_selected[MAX_HARD_SLOTS], channel[MAX_HARD_SLOTS + 2];
	uint32_t weighted = weighted_slot < 0 ? GQE_NONE : (uint32_t)weighted_slot;
	for (size_t row = 0; row < rows; row++) {
		for (uint32_t slot = 0; slot < hard_slots; slot++) {
			wide_gate[slot] = gate ? gate[row * hard_slots + slot] : 0;
			wide_selected[slot] = selected ? selected[row * hard_slots + slot] : 0;
		}
		float *slots = o + row * o_slots * head_dim;
		for (uint32_t i = 0; i < head_dim; i++) {
			for (uint32_t slot = 0; slot < o_slots; slot++)
				channel[slot] = slots[slot * head_dim + i];
			gqe_wide_combine(hard_slots, 1, wide_gate, wide_selected, weighted, scale_hard, channel);
			for (uint32_t slot = 0; slot < o_slots; slot++)
				slots[slot * head_dim + i] = (float)channel[slot];
		}
	}
}
