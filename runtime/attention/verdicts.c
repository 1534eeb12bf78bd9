#include "attention/verdicts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention/kernel_table.h"
#include "vulkan/cache_file.h"

/* Shorter than this a sample is made of launching and of clocks that are too coarse. */
#define LEAST_SLOW_SECONDS 50e-6

const enum gqe_kernel gqe_checked_kernels[GQE_CHECKED_KERNELS] = {GQE_KERNEL_ATTENTION, GQE_KERNEL_GEMM, GQE_KERNEL_GEMM_HEADS,
								  GQE_KERNEL_GEMM_GATHERED};

const char *gqe_path_verdict_name(gqe_path_verdict verdict)
{
	static const char *const names[] = {
		[GQE_PATH_UNCHECKED] = "unchecked", [GQE_PATH_CHECKED] = "checked", [GQE_PATH_SLOW] = "slow",
		[GQE_PATH_WRONG] = "wrong",         [GQE_PATH_FAILED] = "failed",
	};
	return verdict >= GQE_PATH_UNCHECKED && verdict <= GQE_PATH_FAILED ? names[verdict] : "?";
}

gqe_status gqe_verdicts_create(struct gqe_verdicts **verdicts, gqe_error *error)
{
	struct gqe_verdicts *made = calloc(1, sizeof(*made));
	*verdicts = NULL;
	if (made == NULL || pthread_mutex_init(&made->lock, NULL) != 0) {
		free(made);
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no host memory for a context");
	}
	if (pthread_mutex_init(&made->checking, NULL) != 0) {
		pthread_mutex_destroy(&made->lock);
		free(made);
		return gqe_fail(error, GQE_ERROR_OUT_OF_MEMORY, "no memory for the locks of a context");
	}
	*verdicts = made;
	return GQE_OK;
}

void gqe_verdicts_destroy(struct gqe_verdicts **verdicts)
{
	if (*verdicts == NULL)
		return;
	pthread_mutex_destroy(&(*verdicts)->lock);
	pthread_mutex_destroy(&(*verdicts)->checking);
	free(*verdicts);
	*verdicts = NULL;
}

/* With the lock held. `count`: there is none. */
static uint32_t place_of(const struct gqe_verdicts *verdicts, uint32_t kernel, uint32_t path, uint32_t head_dim)
{
	uint32_t place = 0;
	for (; place < verdicts->count; place++) {
		const struct gqe_verdict *known = &verdicts->list[place];
		if (known->kernel == kernel && known->path == path && known->head_dim == head_dim)
			break;
	}
	return place;
}

bool gqe_verdicts_find(struct gqe_verdicts *verdicts, enum gqe_kernel kernel, gqe_path path, uint32_t head_dim,
		       struct gqe_verdict *found)
{
	pthread_mutex_lock(&verdicts->lock);
	uint32_t place = place_of(verdicts, (uint32_t)kernel, (uint32_t)path, head_dim);
	bool is_there = place < verdicts->count;
	if (is_there)
		*found = verdicts->list[place];
	pthread_mutex_unlock(&verdicts->lock);
	return is_there;
}

void gqe_verdicts_set(struct gqe_verdicts *verdicts, const struct gqe_verdict *entry)
{
	pthread_mutex_lock(&verdicts->lock);
	uint32_t place = place_of(verdicts, entry->kernel, entry->path, entry->head_dim);
	if (place < GQE_MAX_VERDICTS) {
		verdicts->list[place] = *entry;
		verdicts->count += place == verdicts->count;
	}
	pthread_mutex_unlock(&verdicts->lock);
}

/* A check that never ended is taken for one that ended the process. */
static gqe_path_verdict verdict_of(const struct gqe_verdict *entry)
{
	if (entry->verdict == GQE_PATH_UNCHECKED && entry->attempts >= GQE_MOST_ATTEMPTS)
		return GQE_PATH_FAILED;
	return (gqe_path_verdict)entry->verdict;
}

bool gqe_verdicts_forbid(struct gqe_verdicts *verdicts, enum gqe_kernel kernel, gqe_path path, uint32_t head_dim)
{
	struct gqe_verdict found;
	return verdicts != NULL && gqe_verdicts_find(verdicts, kernel, path, head_dim, &found) &&
	       verdict_of(&found) >= GQE_PATH_SLOW;
}

gqe_path_verdict gqe_verdict_judge(bool is_right, double seconds, double subgroup_seconds)
{
	if (!is_right)
		return GQE_PATH_WRONG;
	bool is_slow = subgroup_seconds > 0 && seconds >= LEAST_SLOW_SECONDS && seconds > GQE_SLOW_RATIO * subgroup_seconds;
	return is_slow ? GQE_PATH_SLOW : GQE_PATH_CHECKED;
}

void gqe_verdict_describe(const struct gqe_verdict *entry, char *text, size_t size)
{
	switch (verdict_of(entry)) {
	case GQE_PATH_UNCHECKED:
		snprintf(text, size, "%s", entry->attempts == 0 ? "not checked yet" : "its check began and did not end");
		break;
	case GQE_PATH_CHECKED:
		if (entry->slowdown > 0)
			snprintf(text, size, "checked: error %.1e (at most %.0e), %.2f times the subgroup path's time",
				 entry->error, entry->tolerance, entry->slowdown);
		else
			snprintf(text, size, "checked: error %.1e (at most %.0e), not timed, as there was no time or memory left",
				 entry->error, entry->tolerance);
		break;
	case GQE_PATH_SLOW:
		snprintf(text, size, "disabled: %.1f times the subgroup path's time", entry->slowdown);
		break;
	case GQE_PATH_WRONG:
		if (entry->error <= entry->tolerance)
			snprintf(text, size, "disabled: wrong: it writes elsewhere, or differs from run to run");
		else
			snprintf(text, size, "disabled: wrong by %.1e (at most %.0e)", entry->error, entry->tolerance);
		break;
	case GQE_PATH_FAILED:
		snprintf(text, size, "disabled: %s",
			 entry->is_transient                 ? "no memory to check it"
			 : entry->verdict == GQE_PATH_FAILED ? "the driver failed in the check"
							     : "its check began twice and never ended");
		break;
	}
}

/* --------------------------------------------------------------------------------------------------------------- the file -- */

static void cache_file(struct gqe_cache_file *file, const struct gqe_vulkan *vulkan, const char *cache_dir)
{
	gqe_cache_file_init(file, vulkan, cache_dir, "paths", gqe_kernel_table_hash() ^ sizeof(struct gqe_verdict));
}

static bool is_checkable(enum gqe_kernel kernel, gqe_path path)
{
	bool is_checked = false;
	for (size_t k = 0; k < GQE_CHECKED_KERNELS; k++)
		is_checked |= kernel == gqe_checked_kernels[k];
	return is_checked && path >= GQE_PATH_PACKED && path <= GQE_PATH_MATRIX2 && gqe_kernel_has(kernel, path, GQE_DTYPE_F16);
}

/* The file is ours and whole; still, what comes from a file may be anything. */
static bool is_plausible(const struct gqe_verdict *entry)
{
	bool is_attention = entry->kernel == GQE_KERNEL_ATTENTION;
	bool fits = is_attention ? entry->head_dim > 0 && entry->head_dim <= GQE_MAX_HEAD_DIM && entry->head_dim % 2 == 0
				 : entry->head_dim == 0;
	return entry->kernel < GQE_KERNEL_COUNT && entry->path <= GQE_PATH_MATRIX2 &&
	       is_checkable((enum gqe_kernel)entry->kernel, (gqe_path)entry->path) && fits &&
	       entry->verdict >= GQE_PATH_UNCHECKED && entry->verdict <= GQE_PATH_FAILED && entry->slowdown >= 0 &&
	       isfinite(entry->slowdown) && entry->is_transient == 0;
}

void gqe_verdicts_load(struct gqe_verdicts *verdicts, const struct gqe_vulkan *vulkan, const char *cache_dir)
{
	struct gqe_cache_file file;
	size_t bytes = 0;
	cache_file(&file, vulkan, cache_dir);
	uint8_t *content = gqe_cache_file_read(&file, vulkan, &bytes);
	size_t count = bytes / sizeof(struct gqe_verdict), dropped = bytes % sizeof(struct gqe_verdict) != 0;
	for (size_t i = 0; content != NULL && i < count; i++) {
		struct gqe_verdict entry;
		memcpy(&entry, content + i * sizeof(entry), sizeof(entry));
		if (is_plausible(&entry))
			gqe_verdicts_set(verdicts, &entry);
		else
			dropped++;
	}
	if (dropped > 0)
		gqe_log_write(&vulkan->log, GQE_LOG_WARNING, "checks of kernel paths: %s holds what is none of them; ignored",
			      file.path);
	free(content);
	gqe_cache_file_release(&file);
}

void gqe_verdicts_save(struct gqe_verdicts *verdicts, const struct gqe_vulkan *vulkan, const char *cache_dir)
{
	struct gqe_cache_file file;
	cache_file(&file, vulkan, cache_dir);
	pthread_mutex_lock(&verdicts->lock);
	struct gqe_verdict *kept = malloc((verdicts->count + 1) * sizeof(*kept));
	size_t count = 0;
	for (uint32_t i = 0; kept != NULL && i < verdicts->count; i++) {
		struct gqe_verdict entry = verdicts->list[i];
		if (entry.is_transient)
			entry = (struct gqe_verdict){.kernel = entry.kernel,
						     .path = entry.path,
						     .head_dim = entry.head_dim,
						     .verdict = GQE_PATH_UNCHECKED,
						     .attempts = entry.attempts};
		kept[count++] = entry;
	}
	pthread_mutex_unlock(&verdicts->lock);
	if (kept != NULL)
		gqe_cache_file_write(&file, vulkan, (const uint8_t *)kept, count * sizeof(*kept));
	free(kept);
	gqe_cache_file_release(&file);
}

/* ------------------------------------------------------------------------------------------------------------- the report -- */

static void report_entry(const struct gqe_verdict *entry, gqe_path_check *check)
{
	check->verdict = verdict_of(entry);
	check->head_dim = entry->head_dim;
	check->error = entry->error;
	check->tolerance = entry->tolerance;
	check->slowdown = entry->slowdown;
	gqe_verdict_describe(entry, check->text, sizeof(check->text));
}

uint32_t gqe_verdicts_report(struct gqe_verdicts *verdicts, const struct gqe_capabilities *capabilities,
			     gqe_path_check checks[GQE_MAX_PATH_CHECKS])
{
	const struct gqe_verdict unchecked = {.verdict = GQE_PATH_UNCHECKED};
	gqe_path paths[8];
	uint32_t path_count = gqe_ladder(capabilities, paths), count = 0;
	for (uint32_t p = 0; p < path_count; p++)
		for (size_t k = 0; k < GQE_CHECKED_KERNELS && count < GQE_MAX_PATH_CHECKS; k++) {
			if (!is_checkable(gqe_checked_kernels[k], paths[p]))
				continue;
			gqe_path_check *check = &checks[count++];
			*check = (gqe_path_check){.path = paths[p]};
			snprintf(check->kernel, sizeof(check->kernel), "%s", gqe_kernel_name(gqe_checked_kernels[k]));
			report_entry(&unchecked, check);
			if (verdicts == NULL)
				continue;
			pthread_mutex_lock(&verdicts->lock);
			for (uint32_t i = 0; i < verdicts->count; i++) {
				const struct gqe_verdict *entry = &verdicts->list[i];
				if (entry->kernel == (uint32_t)gqe_checked_kernels[k] && entry->path == (uint32_t)paths[p] &&
				    verdict_of(entry) > check->verdict)
					report_entry(entry, check);
			}
			pthread_mutex_unlock(&verdicts->lock);
		}
	return count;
}
