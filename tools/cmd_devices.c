/* gqe devices: every Vulkan device and what it can do. */
#include "commands.h"

#include "program.h"
#include "terminal.h"

#include <string.h>

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

static void path_list(const gqe_device_info *device, char *text, size_t size)
{
	text[0] = 0;
	for (uint32_t i = 0; i < device->path_count; i++) {
		size_t used = strlen(text);
		snprintf(text + used, size - used, "%s%s", i ? ", " : "", gqe_path_name(device->paths[i]));
	}
}

static void shape_list(const gqe_device_info *device, char *text, size_t size)
{
	text[0] = 0;
	for (uint32_t i = 0; i < device->matrix_shape_count; i++) {
		const gqe_matrix_shape *shape = &device->matrix_shapes[i];
		size_t used = strlen(text);
		snprintf(text + used, size - used, "%s%ux%ux%u", i ? ", " : "", shape->m, shape->n, shape->k);
	}
}

static void print_device(const gqe_device_info *device)
{
	char paths[160], shapes[200];
	path_list(device, paths, sizeof(paths));
	shape_list(device, shapes, sizeof(shapes));
	printf("%s%u  %s%s (%s)\n", style(stdout, STYLE_BOLD), device->index, device->name, style(stdout, STYLE_PLAIN),
	       device_type_name(device->type));
	printf("   driver      %s %s, Vulkan %u.%u.%u, id %04x:%04x\n", device->driver_name, device->driver_info,
	       device->api_version >> 22 & 0x7f, device->api_version >> 12 & 0x3ff, device->api_version & 0xfff, device->vendor_id,
	       device->device_id);
	printf("   uuid        ");
	for (size_t i = 0; i < 16; i++)
		printf("%02x", device->uuid[i]);
	printf("\n   memory      %s; one allocation %s, one storage buffer %s\n", format_bytes(device->heap_bytes).text,
	       format_bytes(device->max_allocation_bytes).text, format_bytes(device->max_storage_buffer_bytes).text);
	printf("   workgroup   %u invocations, %s shared; subgroup %u", device->max_workgroup_invocations,
	       format_bytes(device->shared_memory_bytes).text, device->subgroup_size);
	if (device->subgroup_size_min != device->subgroup_size_max)
		printf(" (%u to %u)", device->subgroup_size_min, device->subgroup_size_max);
	printf("\n   features    16-bit storage: %s, f16 arithmetic: %s, timestamps: %s\n", yes_no(device->has_16bit_storage),
	       yes_no(device->has_float16), yes_no(device->has_timestamps));
	if (device->matrix_shape_count > 0)
		printf("   matrices    %s (f16 in, f32 out)\n", shapes);
	if (device->quirks) {
		const char *separator = "   quirks      worked around: ";
		for (uint32_t bit = 0; gqe_quirk_name(bit); bit++)
			if (device->quirks >> bit & 1) {
				printf("%s%s", separator, gqe_quirk_name(bit));
				separator = ", ";
			}
		printf("\n");
	}
	const char *heading = "checks";
	/* A device that prefers a lower path never gets to check those above. */
	const bool will_check = device->path_count > 0 && device->paths[device->path_count - 1] >= GQE_PATH_PACKED;
	for (uint32_t i = 0; i < device->path_check_count; i++) {
		const gqe_path_check *check = &device->path_checks[i];
		if (check->verdict == GQE_PATH_UNCHECKED && !will_check)
			continue;
		printf("   %-11s %s, %s", heading, gqe_path_name(check->path), check->kernel);
		if (check->head_dim)
			printf(", head size %u", check->head_dim);
		printf(": %s\n", check->text);
		heading = "";
	}
	if (device->usable)
		printf("   paths       %s; dtypes f32%s\n", paths, device->has_16bit_storage ? ", f16" : "");
	else
		printf("   rejected: %s\n", device->rejected);
}

static cJSON *check_json(const gqe_path_check *check)
{
	cJSON *object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "path", gqe_path_name(check->path));
	cJSON_AddStringToObject(object, "kernel", check->kernel);
	cJSON_AddStringToObject(object, "verdict", gqe_path_verdict_name(check->verdict));
	if (check->head_dim)
		cJSON_AddNumberToObject(object, "head_dim", check->head_dim);
	if (check->tolerance > 0) {
		cJSON_AddNumberToObject(object, "error", check->error);
		cJSON_AddNumberToObject(object, "tolerance", check->tolerance);
	}
	if (check->slowdown > 0)
		cJSON_AddNumberToObject(object, "slowdown", check->slowdown);
	return object;
}

static cJSON *full_json(const gqe_device_info *device)
{
	cJSON *object = json_device(device);
	char version[32];
	snprintf(version, sizeof(version), "%u.%u.%u", device->api_version >> 22 & 0x7f, device->api_version >> 12 & 0x3ff,
		 device->api_version & 0xfff);
	cJSON_AddStringToObject(object, "api_version", version);
	cJSON_AddBoolToObject(object, "usable", device->usable);
	if (!device->usable)
		cJSON_AddStringToObject(object, "rejected", device->rejected);
	cJSON_AddNumberToObject(object, "heap_bytes", (double)device->heap_bytes);
	cJSON_AddNumberToObject(object, "max_allocation_bytes", (double)device->max_allocation_bytes);
	cJSON_AddNumberToObject(object, "max_storage_buffer_bytes", (double)device->max_storage_buffer_bytes);
	cJSON_AddNumberToObject(object, "shared_memory_bytes", device->shared_memory_bytes);
	cJSON_AddNumberToObject(object, "max_workgroup_invocations", device->max_workgroup_invocations);
	cJSON_AddNumberToObject(object, "subgroup_size", device->subgroup_size);
	cJSON_AddNumberToObject(object, "subgroup_size_min", device->subgroup_size_min);
	cJSON_AddNumberToObject(object, "subgroup_size_max", device->subgroup_size_max);
	cJSON_AddBoolToObject(object, "has_16bit_storage", device->has_16bit_storage);
	cJSON_AddBoolToObject(object, "has_float16", device->has_float16);
	cJSON_AddBoolToObject(object, "has_timestamps", device->has_timestamps);
	cJSON *paths = cJSON_AddArrayToObject(object, "paths");
	for (uint32_t i = 0; i < device->path_count; i++)
		cJSON_AddItemToArray(paths, cJSON_CreateString(gqe_path_name(device->paths[i])));
	cJSON *shapes = cJSON_AddArrayToObject(object, "matrix_shapes");
	for (uint32_t i = 0; i < device->matrix_shape_count; i++) {
		const gqe_matrix_shape *shape = &device->matrix_shapes[i];
		const int sizes[] = {(int)shape->m, (int)shape->n, (int)shape->k};
		cJSON_AddItemToArray(shapes, cJSON_CreateIntArray(sizes, 3));
	}
	cJSON *quirks = cJSON_AddArrayToObject(object, "quirks");
	for (uint32_t bit = 0; gqe_quirk_name(bit); bit++)
		if (device->quirks >> bit & 1)
			cJSON_AddItemToArray(quirks, cJSON_CreateString(gqe_quirk_name(bit)));
	cJSON *checks = cJSON_AddArrayToObject(object, "path_checks");
	for (uint32_t i = 0; i < device->path_check_count; i++)
		cJSON_AddItemToArray(checks, check_json(&device->path_checks[i]));
	return object;
}

static gqe_status print_list(const struct program *program, const gqe_device_list *list, const gqe_error *list_error)
{
	uint32_t count = list ? list->count : 0;
	if (program->json) {
		cJSON *document = cJSON_CreateObject();
		cJSON *devices = cJSON_AddArrayToObject(document, "devices");
		for (uint32_t i = 0; i < count; i++)
			cJSON_AddItemToArray(devices, full_json(&list->devices[i]));
		cJSON_AddItemToObject(document, "reference", json_device(NULL));
		if (list_error->message[0])
			cJSON_AddStringToObject(document, "note", list_error->message);
		return program_print_json(program, document);
	}
	for (uint32_t i = 0; i < count; i++)
		print_device(&list->devices[i]);
	if (count == 0)
		printf("no Vulkan device: is a driver installed (Debian: mesa-vulkan-drivers)?\n");
	printf("%sreference%s  the C reference in float64, always there: --device reference\n", style(stdout, STYLE_BOLD),
	       style(stdout, STYLE_PLAIN));
	return GQE_OK;
}

/* With --device: only the device that it chooses. */
static gqe_status print_chosen(const struct program *program, gqe_error *error)
{
	gqe_context *context = NULL;
	gqe_status status = program_context(program, &context, error);
	if (status != GQE_OK)
		return status;
	const gqe_device_info *device = gqe_context_device(context);
	gqe_device_list one = {.count = device ? 1 : 0, .devices = device};
	if (program->json || device)
		status = print_list(program, &one, &(gqe_error){0});
	else
		printf("reference  the C reference in float64\n");
	gqe_context_destroy(&context);
	return status;
}

gqe_status cmd_devices(int argc, char **argv)
{
	struct program program = {.command = "devices"};
	const struct option_group group = {"Options", program_options, &program};
	const struct command_line line = {
		.command = "devices",
		.synopsis = "[--json]",
		.description =
			"Lists every Vulkan device with its driver, limits, features, kernel paths, and why any is rejected.\n"
			"With --device, opens the device that it chooses and shows only that.",
		.groups = &group,
		.group_count = 1,
	};
	enum parse_result parsed = command_line_parse(&line, argc, argv);
	if (parsed != PARSE_OK)
		return parsed == PARSE_HELP ? GQE_OK : GQE_ERROR_USAGE;
	gqe_error error = {0};
	if (program.device) {
		gqe_status status = print_chosen(&program, &error);
		return status == GQE_OK ? GQE_OK : program_fail(&program, &error);
	}
	gqe_device_list *list = NULL;
	gqe_status status = gqe_device_list_probe(&list, &error);
	if (status != GQE_OK && status != GQE_ERROR_NO_DEVICE)
		return program_fail(&program, &error);
	gqe_status printed = print_list(&program, list, &error);
	if (status != GQE_OK)
		fprintf(stderr, "gqe devices: %s\n", error.message);
	bool usable = false;
	for (uint32_t i = 0; list && i < list->count; i++)
		usable = usable || list->devices[i].usable;
	gqe_device_list_destroy(&list);
	if (printed != GQE_OK)
		return printed;
	return usable ? GQE_OK : GQE_ERROR_NO_DEVICE;
}
