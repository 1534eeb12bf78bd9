#include "terminal.h"

#include "platform.h"

#include <stdlib.h>
#include <string.h>

const char *style(FILE *file, enum style style)
{
	static const char *const sequences[] = {
		[STYLE_PLAIN] = "\033[0m",
		[STYLE_BOLD] = "\033[1m",
		[STYLE_ERROR] = "\033[1;31m",
		[STYLE_WARNING] = "\033[1;33m",
	};
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	if ((no_color && no_color[0]) || !term || strcmp(term, "dumb") == 0 || !is_terminal(file))
		return "";
	return sequences[style];
}

struct progress progress_begin(const char *label, bool enabled)
{
	return (struct progress){.label = label, .enabled = enabled && is_terminal(stderr)};
}

void progress_draw(struct progress *progress, double fraction)
{
	enum { WIDTH = 40 };
	double now = now_seconds();
	if (!progress->enabled || (progress->drawn_at > 0 && now - progress->drawn_at < 0.1))
		return;
	progress->drawn_at = now;
	fraction = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
	int filled = (int)(fraction * WIDTH);
	char bar[WIDTH + 1];
	memset(bar, '#', (size_t)filled);
	memset(bar + filled, '.', (size_t)(WIDTH - filled));
	bar[WIDTH] = 0;
	fprintf(stderr, "\r%-8s [%s] %3d%%", progress->label, bar, (int)(fraction * 100));
	fflush(stderr);
}

void progress_end(struct progress *progress)
{
	if (progress->drawn_at > 0)
		fprintf(stderr, "\r%*s\r", 60, "");
	progress->drawn_at = 0;
}
