#include "reader.h"

#include <SDL.h>
#include <math.h>

enum { MAX_TOKENS = 32768, CHUNK = 256 }; /* progress comes after every chunk */

struct reader {
	const char *model_folder, *text_file, *device;
	SDL_Thread *thread;
	SDL_mutex *mutex; /* of all that follows */
	struct reader_view view;
	bool is_cancelled;
	gqe_session *session; /* what a cancel is for; NULL: nothing yet, or no longer */
};

/* What the thread makes; only the thread uses it. */
struct work {
	gqe_context *context;
	gqe_model_files *files;
	gqe_model *model;
	gqe_session *session;
	char *text;
	int32_t *tokens; /* [count] */
	float *nll;      /* [count] */
	size_t count;
};

static bool on_progress(void *user, double done, double total)
{
	struct reader *reader = user;
	SDL_LockMutex(reader->mutex);
	reader->view.fraction = done / total;
	if (reader->view.state == READER_READING)
		reader->view.tokens = (uint32_t)(reader->view.fraction * reader->view.total + 0.5);
	bool go_on = !reader->is_cancelled;
	SDL_UnlockMutex(reader->mutex);
	return go_on;
}

static gqe_status load(struct reader *reader, struct work *work, gqe_error *error)
{
	/* low_impact: short submits with pauses between them, as the same device draws the window, or the same processors do. */
	gqe_context_params params = {.size = sizeof(params), .device = reader->device, .low_impact = true};
	gqe_status status = gqe_context_create(&params, &work->context, error);
	if (status != GQE_OK)
		return status;
	const gqe_device_info *device = gqe_context_device(work->context);
	SDL_LockMutex(reader->mutex);
	SDL_strlcpy(reader->view.device, device ? device->name : "reference", sizeof(reader->view.device));
	SDL_UnlockMutex(reader->mutex);

	gqe_model_params progress = {.size = sizeof(progress), .progress = on_progress, .progress_user = reader};
	if ((status = gqe_model_files_open(reader->model_folder, &work->files, error)) == GQE_OK)
		status = gqe_model_load(work->context, work->files, &progress, &work->model, error);
	return status;
}

static gqe_status tokenize(const struct reader *reader, struct work *work, gqe_error *error)
{
	size_t bytes = 0;
	SDL_RWops *file = SDL_RWFromFile(reader->text_file, "rb");
	work->text = file ? SDL_LoadFile_RW(file, &bytes, 1) : NULL;
	work->tokens = SDL_calloc(MAX_TOKENS, sizeof(*work->tokens));
	work->nll = SDL_calloc(MAX_TOKENS, sizeof(*work->nll));
	if (!work->text || !work->tokens || !work->nll) {
		SDL_strlcpy(error->message, SDL_GetError(), sizeof(error->message)); /* which names the file */
		return error->status = GQE_ERROR_BAD_INPUT;
	}
	gqe_status status =
		gqe_tokenize(gqe_model_get_config(work->model), work->text, bytes, work->tokens, MAX_TOKENS, &work->count, error);
	work->count = work->count < MAX_TOKENS ? work->count : MAX_TOKENS;
	return status;
}

/* From now on, or no longer, a cancel is for this session. */
static void publish(struct reader *reader, gqe_session *session, size_t count)
{
	SDL_LockMutex(reader->mutex);
	reader->session = session;
	if (session) {
		reader->view.state = READER_READING;
		reader->view.fraction = 0;
		reader->view.total = (uint32_t)count;
	}
	if (session && reader->is_cancelled)
		gqe_session_cancel(session); /* the cancel came before there was a session */
	SDL_UnlockMutex(reader->mutex);
}

static gqe_status read_text(struct reader *reader, struct work *work, gqe_error *error)
{
	gqe_session_params params = {.size = sizeof(params), .max_tokens = (uint32_t)work->count, .chunk = CHUNK};
	gqe_status status = gqe_session_create(work->model, &params, &work->session, error);
	if (status != GQE_OK)
		return status;
	publish(reader, work->session, work->count);
	gqe_prefill_params prefill = {.size = sizeof(prefill),
				      .tokens = work->tokens,
				      .count = (uint32_t)work->count,
				      .nll = work->nll,
				      .progress = on_progress,
				      .progress_user = reader};
	status = gqe_session_prefill(work->session, &prefill, error);
	publish(reader, NULL, 0);
	return status;
}

static void report(struct reader *reader, const struct work *work, gqe_status status, const gqe_error *error)
{
	double nats = 0;
	for (size_t i = 0; status == GQE_OK && i + 1 < work->count; i++)
		nats += work->nll[i];
	SDL_LockMutex(reader->mutex);
	reader->view.state = status == GQE_OK ? READER_DONE : status == GQE_CANCELLED ? READER_CANCELLED : READER_FAILED;
	if (work->session)
		reader->view.tokens = gqe_session_position(work->session);
	if (status == GQE_OK && work->count > 1)
		reader->view.bits_per_token = nats / log(2) / (double)(work->count - 1);
	SDL_strlcpy(reader->view.message, error->message, sizeof(reader->view.message));
	SDL_UnlockMutex(reader->mutex);
}

static int run(void *user)
{
	struct reader *reader = user;
	struct work work = {0};
	gqe_error error = {0};
	gqe_status status = load(reader, &work, &error);
	if (status == GQE_OK)
		status = tokenize(reader, &work, &error);
	if (status == GQE_OK)
		status = read_text(reader, &work, &error);
	report(reader, &work, status, &error);
	gqe_session_destroy(&work.session);
	gqe_model_destroy(&work.model);
	gqe_model_files_destroy(&work.files);
	gqe_context_destroy(&work.context);
	SDL_free(work.nll);
	SDL_free(work.tokens);
	SDL_free(work.text);
	return 0;
}

struct reader *reader_start(const char *model_folder, const char *text_file, const char *device)
{
	struct reader *reader = SDL_calloc(1, sizeof(*reader));
	if (!reader)
		return NULL;
	reader->model_folder = model_folder;
	reader->text_file = text_file;
	reader->device = device;
	reader->mutex = SDL_CreateMutex();
	reader->thread = reader->mutex ? SDL_CreateThread(run, "reader", reader) : NULL;
	if (reader->thread)
		return reader;
	reader_finish(reader);
	return NULL;
}

struct reader_view reader_look(struct reader *reader)
{
	SDL_LockMutex(reader->mutex);
	struct reader_view view = reader->view;
	SDL_UnlockMutex(reader->mutex);
	return view;
}

void reader_cancel(struct reader *reader)
{
	SDL_LockMutex(reader->mutex);
	reader->is_cancelled = true;
	if (reader->session)
		gqe_session_cancel(reader->session);
	SDL_UnlockMutex(reader->mutex);
}

void reader_finish(struct reader *reader)
{
	if (!reader)
		return;
	if (reader->thread) {
		reader_cancel(reader);
		SDL_WaitThread(reader->thread, NULL);
	}
	SDL_DestroyMutex(reader->mutex);
	SDL_free(reader);
}
