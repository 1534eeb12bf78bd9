/* The prompt of `gqe run`: text from the command line, a file or stdin, or token ids as text. */
#ifndef GQE_TOOLS_PROMPT_H
#define GQE_TOOLS_PROMPT_H

#include <gqe/gqe.h>

struct prompt_source {
	const char *text;        /* --prompt */
	const char *text_file;   /* --prompt-file; "-" is stdin */
	const char *tokens_file; /* --tokens; "-" is stdin */
};

/* Reads and tokenizes; `tokens` [count] is malloc'ed, count > 0. Exactly one of the source's fields is set. */
gqe_status prompt_read(const struct prompt_source *source, const gqe_model_config *config, int32_t **tokens, uint32_t *count,
		       gqe_error *error);

#endif
