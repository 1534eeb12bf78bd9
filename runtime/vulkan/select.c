#include "vulkan/device.h"
#include "vulkan/instance.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define MIN_UUID_DIGITS 4

/* A larger number is preferred. */
static int rank_of(const gqe_device_info *device)
{
	switch (device->type) {
	case GQE_DEVICE_DISCRETE:
		return 5;
	case GQE_DEVICE_INTEGRATED:
		return 4;
	case GQE_DEVICE_VIRTUAL:
		return 3;
	case GQE_DEVICE_CPU:
		return 2;
	case GQE_DEVICE_OTHER:
		break;
	}
	return 1;
}

static char lower(char c)
{
	return (char)tolower((unsigned char)c);
}

static bool contains_ignoring_case(const char *text, const char *part)
{
	size_t length = strlen(part);
	for (; *text; text++) {
		size_t i = 0;
		while (i < length && text[i] && lower(text[i]) == lower(part[i])) {
			i++;
		}
		if (i == length) {
			return true;
		}
	}
	return false;
}

/* The selector as an index of the list; count when it is not one. */
static uint32_t parse_index(const char *selector, uint32_t count)
{
	uint64_t value = 0;
	for (const char *c = selector; *c; c++) {
		if (*c < '0' || *c > '9' || value > UINT32_MAX) {
			return count;
		}
		value = value * 10 + (uint64_t)(*c - '0');
	}
	return *selector && value < count ? (uint32_t)value : count;
}

/* Hyphens may stand anywhere, so that a UUID can be pasted in its usual form. */
static bool uuid_starts_with(const uint8_t uuid[16], const char *selector)
{
	static const char digits[] = "0123456789abcdef";
	uint32_t matched = 0;
	for (const char *c = selector; *c; c++) {
		if (*c == '-') {
			continue;
		}
		if (matched == 32) {
			return false;
		}
		uint8_t byte = uuid[matched / 2];
		char digit = digits[matched % 2 ? byte & 15 : byte >> 4];
		if (lower(*c) != digit) {
			return false;
		}
		matched++;
	}
	return matched >= MIN_UUID_DIGITS;
}

static bool matches_uuid(const gqe_device_info *device, const char *selector)
{
	return uuid_starts_with(device->uuid, selector);
}

static bool matches_name(const gqe_device_info *device, const char *selector)
{
	return contains_ignoring_case(device->name, selector) || contains_ignoring_case(device->driver_name, selector);
}

static bool matches_all(const gqe_device_info *device, const char *selector)
{
	(void)device;
	(void)selector;
	return true;
}

/* The preferred one of those that match: usable before rejected, then by type, then the first. count: none matches. */
static uint32_t best_match(const gqe_device_info *devices, uint32_t count, const char *selector,
			   bool (*matches)(const gqe_device_info *device, const char *selector))
{
	uint32_t best = count;
	for (uint32_t i = 0; i < count; i++) {
		if (!matches(&devices[i], selector)) {
			continue;
		}
		if (best == count || devices[i].usable > devices[best].usable ||
		    (devices[i].usable == devices[best].usable && rank_of(&devices[i]) > rank_of(&devices[best]))) {
			best = i;
		}
	}
	return best;
}

/* "0: llvmpipe (CPU driver); 1: X (discrete GPU, unusable: ...)", cut when it does not fit. */
static void describe(const gqe_device_info *devices, uint32_t count, char *text, size_t size)
{
	size_t length = 0;
	text[0] = 0;
	for (uint32_t i = 0; i < count && length + 1 < size; i++) {
		const gqe_device_info *device = &devices[i];
		int written = snprintf(text + length, size - length, "%s%u: %s (%s%s%s)", i ? "; " : "", i, device->name,
				       gqe_device_type_name(device->type), device->usable ? "" : ", unusable: ", device->rejected);
		length = written < 0 || (size_t)written >= size - length ? size : length + (size_t)written;
	}
}

gqe_status gqe_device_select(const gqe_device_info *devices, uint32_t count, const char *selector, uint32_t *index,
			     gqe_error *error)
{
	bool automatic = !selector || !selector[0] || strcmp(selector, "auto") == 0;
	if (count == 0) {
		return gqe_fail(error, GQE_ERROR_NO_DEVICE,
				"no Vulkan driver is installed; install one (Debian: mesa-vulkan-drivers), or use the device "
				"\"reference\"");
	}
	uint32_t found;
	if (automatic) {
		found = best_match(devices, count, NULL, matches_all);
	} else {
		/* A short number is an index or a mistake; a longer one may well be a UUID, or the 4090 of a name. */
		size_t length = strlen(selector);
		bool only_index = length < MIN_UUID_DIGITS && strspn(selector, "0123456789") == length;
		found = parse_index(selector, count);
		if (found == count && !only_index) {
			found = best_match(devices, count, selector, matches_uuid);
		}
		if (found == count && !only_index) {
			found = best_match(devices, count, selector, matches_name);
		}
	}
	char candidates[800];
	describe(devices, count, candidates, sizeof(candidates));
	if (found == count) {
		return gqe_fail(error, GQE_ERROR_NO_DEVICE, "no device matches \"%.60s\"; the devices are %s", selector,
				candidates);
	}
	if (!devices[found].usable) {
		if (automatic) {
			return gqe_fail(error, GQE_ERROR_NO_DEVICE, "no device is usable; the devices are %s", candidates);
		}
		return gqe_fail(error, GQE_ERROR_NO_DEVICE, "device %u cannot be used: %s; the devices are %s", found,
				devices[found].rejected, candidates);
	}
	*index = found;
	return GQE_OK;
}
