/* What the window shows, drawn with SDL's own renderer, and not yet presented. */
#ifndef DESKTOP_DRAWING_H
#define DESKTOP_DRAWING_H

#include "reader.h"

#include <SDL.h>

enum { WINDOW_WIDTH = 960, WINDOW_HEIGHT = 540, FRAMES_SHOWN = 220 };

/* Milliseconds from frame to frame. */
struct frame_times {
	float shown[FRAMES_SHOWN]; /* a ring, `count` modulo its length is the next */
	uint32_t count;
	float worst;
};

/* "Cancel" while there is something to cancel, then "Read again". */
extern const SDL_Rect button;

void draw_window(SDL_Renderer *renderer, const struct reader_view *view, const struct frame_times *frames, double seconds,
		 bool is_over_button);

#endif
