/*
 * A window that draws on while a model reads a long text, with a bar that shows how far it is and a button that cancels it:
 *   desktop models/gqe-2m models/heldout.txt [DEVICE]
 * gqe runs on a thread of its own (reader.c); what the window does never waits for it. For tests,
 *   desktop --screenshot out.bmp --frames N models/gqe-2m models/heldout.txt [DEVICE]
 * presses the button by itself when N frames were drawn while the model read and the reading has got ahead, with a picture before.
 */
#include "drawing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
	const char *model_folder, *text_file, *device, *screenshot;
	uint32_t frames; /* before the picture; 0: no test */
};

struct app {
	struct options options;
	SDL_Window *window;
	SDL_Renderer *renderer;
	bool has_vsync, quits;
	struct reader *reader;
	struct frame_times frames;
	uint32_t frames_while_reading;
	bool has_clicked; /* the test has */
};

static int fail(const char *what)
{
	fprintf(stderr, "desktop: %s: %s\n", what, SDL_GetError());
	return 1;
}

static bool parse(int argc, char **argv, struct options *options)
{
	const char *names[3] = {0};
	int count = 0;
	for (int i = 1; i < argc; i++) {
		bool has_value = i + 1 < argc;
		if (strcmp(argv[i], "--screenshot") == 0 && has_value)
			options->screenshot = argv[++i];
		else if (strcmp(argv[i], "--frames") == 0 && has_value)
			options->frames = (uint32_t)strtoul(argv[++i], NULL, 10);
		else if (argv[i][0] != '-' && count < 3)
			names[count++] = argv[i];
		else
			return false;
	}
	options->model_folder = names[0];
	options->text_file = names[1];
	options->device = names[2];
	return count >= 2 && !options->screenshot == !options->frames;
}

static bool restart(struct app *app)
{
	reader_finish(app->reader);
	app->reader = reader_start(app->options.model_folder, app->options.text_file, app->options.device);
	app->frames.worst = 0;
	return app->reader != NULL;
}

static bool is_over_button(int x, int y)
{
	return SDL_PointInRect(&(SDL_Point){x, y}, &button);
}

static void handle_events(struct app *app)
{
	SDL_Event event;
	while (SDL_PollEvent(&event)) {
		if (event.type == SDL_QUIT || (event.type == SDL_KEYDOWN && event.key.keysym.sym == SDLK_ESCAPE))
			app->quits = true;
		if (event.type == SDL_MOUSEBUTTONDOWN && event.button.button == SDL_BUTTON_LEFT &&
		    is_over_button(event.button.x, event.button.y)) {
			if (reader_look(app->reader).state <= READER_READING)
				reader_cancel(app->reader);
			else if (!restart(app))
				app->quits = true;
		}
	}
}

static bool save_picture(struct app *app)
{
	SDL_Surface *picture = SDL_CreateRGBSurfaceWithFormat(0, WINDOW_WIDTH, WINDOW_HEIGHT, 24, SDL_PIXELFORMAT_RGB24);
	bool done = picture &&
		    SDL_RenderReadPixels(app->renderer, NULL, picture->format->format, picture->pixels, picture->pitch) == 0 &&
		    SDL_SaveBMP(picture, app->options.screenshot) == 0;
	SDL_FreeSurface(picture);
	return done;
}

/* The test's finger: presses the button when there is something to see, and leaves when what it was for has come. */
static int test_step(struct app *app, const struct reader_view *view)
{
	if (view->state == READER_READING && !app->has_clicked && app->frames_while_reading >= app->options.frames &&
	    view->tokens > 0) {
		SDL_Event press = {.button = {.type = SDL_MOUSEBUTTONDOWN,
					      .button = SDL_BUTTON_LEFT,
					      .state = SDL_PRESSED,
					      .x = button.x + button.w / 2,
					      .y = button.y + button.h / 2}};
		if (!save_picture(app) || SDL_PushEvent(&press) != 1)
			return fail("the picture, or the press");
		app->has_clicked = true;
	} else if (view->state == READER_CANCELLED && app->has_clicked) {
		app->quits = true;
		printf("%u frames while reading, the longest %.1f ms; cancelled after %u of %u tokens\n", app->frames_while_reading,
		       app->frames.worst, view->tokens, view->total);
	} else if (view->state >= READER_DONE) {
		fprintf(stderr, "desktop: %s\n", view->state == READER_DONE ? "the text is too short for the test" : view->message);
		return 1;
	}
	return 0;
}

static void count_frame(struct frame_times *frames, double ms)
{
	frames->shown[frames->count++ % FRAMES_SHOWN] = (float)ms;
	if ((float)ms > frames->worst)
		frames->worst = (float)ms;
}

static int run(struct app *app)
{
	const double second = (double)SDL_GetPerformanceFrequency(), began = (double)SDL_GetPerformanceCounter() / second;
	double last = 0;
	int x, y, failed = 0;
	while (!app->quits && !failed) {
		handle_events(app);
		SDL_GetMouseState(&x, &y);
		struct reader_view view = reader_look(app->reader);
		if (!app->has_vsync) { /* a steady rate all the same, and the processor is not kept busy with frames nobody sees */
			double left = last + 1.0 / 60 - ((double)SDL_GetPerformanceCounter() / second - began);
			SDL_Delay(left > 0 ? (Uint32)(1e3 * left + 0.5) : 0);
		}
		double now = (double)SDL_GetPerformanceCounter() / second - began;
		draw_window(app->renderer, &view, &app->frames, now, is_over_button(x, y));
		if (last > 0)
			count_frame(&app->frames, 1e3 * (now - last));
		last = now;
		app->frames_while_reading += view.state == READER_READING;
		if (app->options.frames)
			failed = test_step(app, &view);
		SDL_RenderPresent(app->renderer);
	}
	return failed;
}

static bool open_window(struct app *app)
{
	SDL_RendererInfo info = {0};
	app->window = SDL_CreateWindow("gqe", SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED, WINDOW_WIDTH, WINDOW_HEIGHT, 0);
	app->renderer = app->window ? SDL_CreateRenderer(app->window, -1, SDL_RENDERER_PRESENTVSYNC) : NULL;
	if (!app->renderer || SDL_GetRendererInfo(app->renderer, &info) != 0)
		return false;
	app->has_vsync = (info.flags & SDL_RENDERER_PRESENTVSYNC) && !(info.flags & SDL_RENDERER_SOFTWARE);
	return true;
}

int main(int argc, char **argv)
{
	struct app app = {0};
	if (!parse(argc, argv, &app.options)) {
		fprintf(stderr, "usage: desktop [--screenshot FILE.bmp --frames N] MODEL TEXT_FILE [DEVICE]\n");
		return 2;
	}
	if (SDL_Init(SDL_INIT_VIDEO) != 0)
		return fail("SDL");
	int status = open_window(&app) && restart(&app) ? run(&app) : fail("window or thread");
	reader_finish(app.reader);
	SDL_DestroyRenderer(app.renderer);
	SDL_DestroyWindow(app.window);
	SDL_Quit();
	return status;
}
