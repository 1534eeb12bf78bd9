/* What every command shares: the options about device and output, messages, the context, the JSON document. */
#ifndef GQE_TOOLS_PROGRAM_H
#define GQE_TOOLS_PROGRAM_H

#include "options.h"
#include "text.h"

#include <cjson/cJSON.h>

/* Options that every command takes. */
struct program {
	const char *command; /* "run", for messages */
	bool json;
	const char *device; /* NULL: the environment's GQE_DEVICE, or auto */
	uint64_t memory_limit;
	int path;    /* gqe_path, 0: the best */
	int queries; /* gqe_query_mode, 0: what is faster */
	bool validate;
	const char *cache_dir;
	uint32_t threads;
	uint32_t verbose;
};

extern const struct option program_options[];
/* For a command's `--dtype`: the values are gqe_dtype. */
extern const struct option_choice dtype_choices[];

/* --device, else GQE_DEVICE, else NULL. */
const char *program_device(const struct program *program);

void program_warn(const struct program *program, const char *format, ...) GQE_PRINTF(2, 3);
/* Prints "gqe run: message", with --json also a document {"error": ...} on stdout; returns the status. */
gqe_status program_fail(const struct program *program, const gqe_error *error);
gqe_status program_fail_with(const struct program *program, gqe_status status, const char *format, ...) GQE_PRINTF(3, 4);
/* Fills `error` for a caller that goes on to program_fail; returns the status. */
gqe_status error_set(gqe_error *error, gqe_status status, const char *format, ...) GQE_PRINTF(3, 4);
gqe_status error_no_memory(gqe_error *error);

gqe_status program_context(const struct program *program, gqe_context **context, gqe_error *error);
/* With --validate: GQE_ERROR_VERIFICATION when the layer reported errors. Otherwise GQE_OK. */
gqe_status program_check_validation(const struct program *program, const gqe_context *context, gqe_error *error);

/* That a file could be written, found out before the work instead of after it. `option` names the file in the message. */
gqe_status program_check_writable(const char *option, const char *path, gqe_error *error);

/* Prints the document to stdout and frees it. Additions that failed for lack of memory show as a missing document: an error. */
gqe_status program_print_json(const struct program *program, cJSON *document);
/* A number, or null when it is not finite. */
void json_add_number(cJSON *object, const char *key, double number);
/* {"name", "type", "driver", ...} of a device, or of the reference (NULL). */
cJSON *json_device(const gqe_device_info *device);

const char *device_type_name(gqe_device_type type);

#endif
