/* A model reads a text on a thread of its own. Every function returns at once, but for reader_finish. */
#ifndef DESKTOP_READER_H
#define DESKTOP_READER_H

#include <gqe/gqe.h>

enum reader_state { READER_LOADING, READER_READING, READER_DONE, READER_CANCELLED, READER_FAILED };

/* What a window shows of it. */
struct reader_view {
	enum reader_state state;
	double fraction;        /* of the loading, then of the reading */
	uint32_t tokens, total; /* read so far, and in all; 0 while loading */
	double bits_per_token;  /* how well the text was predicted, when it is done */
	char device[256];       /* "" until it is open */
	char message[1024];     /* why it failed */
};

struct reader;

/* The strings live as long as the reader. `device` as gqe_context_params.device. NULL, with SDL_GetError, on failure. */
struct reader *reader_start(const char *model_folder, const char *text_file, const char *device);
struct reader_view reader_look(struct reader *reader);
void reader_cancel(struct reader *reader);
/* Cancels, waits for the thread, which takes as long as one submit, and releases everything. NULL is fine. */
void reader_finish(struct reader *reader);

#endif
