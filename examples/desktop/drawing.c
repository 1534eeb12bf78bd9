#include "drawing.h"

#include <math.h>
#include <stb/stb_easy_font.h>

static const SDL_Color background = {17, 20, 28, 255}, panel = {38, 43, 56, 255}, frame = {62, 72, 96, 255},
		       bright = {232, 236, 244, 255}, quiet = {139, 148, 168, 255}, accent = {64, 196, 170, 255},
		       warning = {240, 120, 96, 255};
static const SDL_Rect progress_bar = {40, 392, 700, 36};
const SDL_Rect button = {760, 392, 160, 36};

static void use(SDL_Renderer *renderer, SDL_Color color)
{
	SDL_SetRenderDrawColor(renderer, color.r, color.g, color.b, color.a);
}

static void fill(SDL_Renderer *renderer, SDL_Rect rect, SDL_Color color)
{
	use(renderer, color);
	SDL_RenderFillRect(renderer, &rect);
}

/* Upper left corner at x, y; the letters are made of upright rectangles. */
static void draw_text(SDL_Renderer *renderer, int x, int y, int scale, SDL_Color color, const char *text)
{
	struct {
		float x, y, z;
		unsigned char color[4];
	} corners[4096];
	int count = stb_easy_font_print(0, 0, (char *)text, NULL, corners, sizeof(corners));
	for (int i = 0; i < count; i++) {
		int left = (int)(corners[4 * i].x * (float)scale), top = (int)(corners[4 * i].y * (float)scale);
		int right = (int)(corners[4 * i + 2].x * (float)scale), bottom = (int)(corners[4 * i + 2].y * (float)scale);
		fill(renderer, (SDL_Rect){x + left, y + top, right - left, bottom - top}, color);
	}
}

static int text_width(const char *text, int scale)
{
	return scale * stb_easy_font_width((char *)text);
}

/* Three waves that run through one another; a stutter would be seen at once. */
static void draw_waves(SDL_Renderer *renderer, double seconds)
{
	enum { BARS = 88, STEP = 10, MIDDLE = 232 };
	for (int i = 0; i < BARS; i++) {
		double along = (double)i / BARS;
		double wave =
			sin(9 * along + 2.1 * seconds) + 0.6 * sin(23 * along - 3.3 * seconds) + 0.4 * sin(4 * along + seconds);
		int height = 8 + (int)(46 * fabs(wave));
		SDL_Color color = {(Uint8)(64 + 120 * along), (Uint8)(196 - 90 * along), (Uint8)(170 + 60 * along), 255};
		fill(renderer, (SDL_Rect){40 + i * STEP, MIDDLE - height, STEP - 4, 2 * height}, color);
	}
}

static void describe(const struct reader_view *view, char *text, size_t size)
{
	switch (view->state) {
	case READER_LOADING:
		SDL_snprintf(text, size, "Loading the model");
		break;
	case READER_READING:
		SDL_snprintf(text, size, "Reading: %u of %u tokens", view->tokens, view->total);
		break;
	case READER_DONE:
		SDL_snprintf(text, size, "Read %u tokens: %.3f bits a token", view->tokens, view->bits_per_token);
		break;
	case READER_CANCELLED:
		SDL_snprintf(text, size, "Cancelled after %u tokens", view->tokens);
		break;
	case READER_FAILED:
		SDL_snprintf(text, size, "%.100s", view->message);
		break;
	}
}

static void draw_progress(SDL_Renderer *renderer, const struct reader_view *view, bool is_over_button)
{
	char text[128];
	bool runs = view->state <= READER_READING;
	const char *label = runs ? "Cancel" : "Read again";
	describe(view, text, sizeof(text));
	draw_text(renderer, progress_bar.x, progress_bar.y - 30, 2, view->state == READER_FAILED ? warning : bright, text);

	SDL_Rect done = progress_bar;
	done.w = (int)(view->fraction * done.w);
	fill(renderer, progress_bar, panel);
	fill(renderer, done, runs || view->state == READER_DONE ? accent : quiet);
	SDL_snprintf(text, sizeof(text), "%.0f%%", 100 * view->fraction);
	draw_text(renderer, progress_bar.x + progress_bar.w - text_width(text, 2) - 10, progress_bar.y + 10, 2, bright, text);

	fill(renderer, button, is_over_button ? accent : panel);
	use(renderer, accent);
	SDL_RenderDrawRect(renderer, &button);
	draw_text(renderer, button.x + (button.w - text_width(label, 2)) / 2, button.y + 10, 2,
		  is_over_button ? background : bright, label);
}

/* The frames so far, as high as they took long; the line is at a sixtieth of a second. */
static void draw_frames(SDL_Renderer *renderer, const struct frame_times *frames)
{
	enum { BOTTOM = 500, STEP = 4, PIXELS_PER_MS = 1, HIGHEST = 60 };
	char text[64];
	for (uint32_t i = 0; i < FRAMES_SHOWN; i++) {
		float ms = frames->shown[(frames->count + i) % FRAMES_SHOWN];
		int height = (int)(ms * PIXELS_PER_MS < HIGHEST ? ms * PIXELS_PER_MS : HIGHEST);
		fill(renderer, (SDL_Rect){40 + (int)i * STEP, BOTTOM - height, STEP - 1, height}, ms > 25 ? warning : frame);
	}
	fill(renderer, (SDL_Rect){40, BOTTOM - 17, FRAMES_SHOWN * STEP, 1}, quiet);
	SDL_snprintf(text, sizeof(text), "frames; the line is at 16.7 ms, the longest took %.1f ms", frames->worst);
	draw_text(renderer, 40, BOTTOM + 10, 2, quiet, text);
}

void draw_window(SDL_Renderer *renderer, const struct reader_view *view, const struct frame_times *frames, double seconds,
		 bool is_over_button)
{
	use(renderer, background);
	SDL_RenderClear(renderer);
	draw_text(renderer, 40, 36, 3, bright, "A long prompt beside a steady picture");
	draw_text(renderer, 40, 76, 2, quiet, view->device[0] ? view->device : "opening a device");
	draw_waves(renderer, seconds);
	draw_progress(renderer, view, is_over_button);
	draw_frames(renderer, frames);
}
