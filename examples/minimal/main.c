/*
 * Reads a text with a model and says how well it was predicted and which byte is the most probable next:
 *   minimal models/gqe-2m "In the beginning God created the" [DEVICE]
 */
#include <gqe/gqe.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_TOKENS = 1024 };

static gqe_status print_prediction(const gqe_model_config *config, const float *logits /* [vocab_size] */,
				   const float *nll /* [count] */, size_t count, gqe_error *error)
{
	double nats = 0;
	int32_t best = 0;
	size_t length;
	char next[64];
	for (size_t i = 0; i + 1 < count; i++)
		nats += nll[i];
	for (uint32_t id = 1; id < config->vocab_size; id++)
		if (logits[id] > logits[best])
			best = (int32_t)id;
	gqe_status status = gqe_detokenize(config, best, next, sizeof(next), &length, error);
	if (status == GQE_OK)
		printf("%.4f bits per byte, then '%.*s'\n", nats / log(2) / (double)(count - 1), (int)length, next);
	return status;
}

int main(int argc, char **argv)
{
	static int32_t tokens[MAX_TOKENS];
	static float nll[MAX_TOKENS];
	gqe_error error = {.status = GQE_ERROR_USAGE, .message = "usage: minimal FOLDER TEXT [DEVICE]; a text of 2 to 1024 bytes"};
	gqe_context_params params = {.size = sizeof(params), .device = argc > 3 ? argv[3] : NULL};
	gqe_context *context = NULL;
	gqe_model_files *files = NULL;
	gqe_model *model = NULL;
	gqe_session *session = NULL;
	size_t count = argc > 2 ? strlen(argv[2]) : 0;
	bool ok = count >= 2 && count <= MAX_TOKENS && gqe_context_create(&params, &context, &error) == GQE_OK &&
		  gqe_model_files_open(argv[1], &files, &error) == GQE_OK &&
		  gqe_model_load(context, files, NULL, &model, &error) == GQE_OK &&
		  gqe_tokenize(gqe_model_get_config(model), argv[2], count, tokens, MAX_TOKENS, &count, &error) == GQE_OK;
	gqe_session_params capacity = {.size = sizeof(capacity), .max_tokens = MAX_TOKENS};
	gqe_prefill_params text = {.size = sizeof(text), .tokens = tokens, .count = (uint32_t)count, .nll = nll};
	ok = ok && gqe_session_create(model, &capacity, &session, &error) == GQE_OK &&
	     gqe_session_prefill(session, &text, &error) == GQE_OK &&
	     print_prediction(gqe_model_get_config(model), gqe_session_logits(session), nll, count, &error) == GQE_OK;
	if (!ok)
		fprintf(stderr, "minimal: %s\n", error.message);
	gqe_session_destroy(&session);
	gqe_model_destroy(&model);
	gqe_model_files_destroy(&files);
	gqe_context_destroy(&context);
	return ok ? 0 : (int)error.status;
}
