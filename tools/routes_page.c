/* The result of `gqe routes` as a picture, and as an HTML page around the same picture. */
#include "drawing.h"
#include "page.h"
#include "routes.h"

#include <errno.h>
#include <math.h>
#include <string.h>

/*
 * The map: tokens from left to right in lines that a phone can show, under each token a column of cells, one for each layer and
 * group, in the colour of the expert it selected.
 */
enum { LINE_TOKENS = 32, CELL_WIDTH = 18, LEFT = 92, LAYER_GAP = 4, TEXT_ROOM = 24, LINE_GAP = 26, LEGEND_ROOM = 34 };
/* Expert colours that are told apart; with more experts the cells are shades of one. */
enum { DISTINCT_EXPERTS = 6 };

struct map {
	const struct routes *routes;
	struct drawing *drawing;
	double cell_width, cell_height;
	uint32_t shown, line_tokens;
};

static enum ink expert_ink(const struct routes *routes, int32_t expert)
{
	/* Blue and orange first: of the palette, the pair that differs most for every eye, and in brightness. */
	static const int order[DISTINCT_EXPERTS] = {0, 3, 2, 4, 1, 5};
	return routes->experts <= DISTINCT_EXPERTS ? (enum ink)(INK_SERIES + order[expert]) : INK_SERIES;
}

static double expert_strength(const struct routes *routes, int32_t expert)
{
	return routes->experts <= DISTINCT_EXPERTS ? 1 : 0.1 + 0.9 * expert / (routes->experts - 1);
}

static double layer_height(const struct map *map)
{
	return map->routes->groups * map->cell_height + LAYER_GAP;
}

static double line_height(const struct map *map)
{
	return TEXT_ROOM + map->routes->config->layers * layer_height(map) + LINE_GAP;
}

/* Equal neighbours in one rectangle. */
static void draw_row(const struct map *map, uint32_t first, uint32_t count, uint32_t layer, uint32_t group, double top)
{
	const struct routes *routes = map->routes;
	for (uint32_t i = 0; i < count;) {
		const int32_t expert = routes_expert(routes, layer, first + i, group);
		uint32_t end = i + 1;
		while (end < count && routes_expert(routes, layer, first + end, group) == expert)
			end++;
		draw_rectangle(map->drawing, LEFT + i * map->cell_width, top, LEFT + end * map->cell_width,
			       top + map->cell_height - 1, expert_ink(routes, expert), expert_strength(routes, expert));
		i = end;
	}
}

static void draw_line_of_tokens(const struct map *map, uint32_t first, double top)
{
	const struct routes *routes = map->routes;
	const uint32_t left = map->shown - first, count = left < map->line_tokens ? left : map->line_tokens;
	for (uint32_t i = 0; i < count; i++) {
		char text[24];
		routes_token_text(routes->config, routes->tokens[first + i], text, sizeof(text));
		if (strcmp(text, "\u2423") == 0)
			continue; /* the gap that it is */
		draw_text(map->drawing, LEFT + (i + 0.5) * map->cell_width, top, TEXT_NORMAL, ALIGN_CENTER, INK_TEXT, text);
	}
	for (uint32_t layer = 0; layer < routes->config->layers; layer++) {
		const double y = top + TEXT_ROOM + layer * layer_height(map);
		char name[24];
		snprintf(name, sizeof(name), "layer %u", layer);
		if (layer_height(map) >= 18)
			draw_text(map->drawing, LEFT - 8, y + 0.5 * (layer_height(map) - LAYER_GAP) - TEXT_HEIGHT, TEXT_NORMAL,
				  ALIGN_RIGHT, INK_MUTED, name);
		for (uint32_t group = 0; group < routes->groups; group++)
			draw_row(map, first, count, layer, group, y + group * map->cell_height);
	}
}

/* What the rows are, for who has the picture alone, where there is room. */
static void draw_row_key(const struct map *map, double x, double top)
{
	char text[64];
	snprintf(text, sizeof(text), "a row for each of a layer's %u groups", map->routes->groups);
	if (x + drawn_text_width(TEXT_NORMAL, text) < map->drawing->width)
		draw_text(map->drawing, x, top, TEXT_NORMAL, ALIGN_LEFT, INK_MUTED, text);
}

static void draw_legend(const struct map *map, double top)
{
	const struct routes *routes = map->routes;
	double x = LEFT;
	draw_text(map->drawing, LEFT - 8, top, TEXT_NORMAL, ALIGN_RIGHT, INK_MUTED, "expert");
	const int32_t step = routes->experts <= DISTINCT_EXPERTS ? 1 : (int32_t)(routes->experts - 1);
	for (int32_t expert = 0; expert < (int32_t)routes->experts; expert += step) {
		char name[16];
		snprintf(name, sizeof(name), "%d", expert);
		draw_rectangle(map->drawing, x, top - 1, x + 22, top + 15, expert_ink(routes, expert),
			       expert_strength(routes, expert));
		draw_text(map->drawing, x + 30, top, TEXT_NORMAL, ALIGN_LEFT, INK_TEXT, name);
		x += 44 + drawn_text_width(TEXT_NORMAL, name);
	}
	draw_row_key(map, x + 12, top);
}

/* How many cells the widest token takes, 1 to 4. */
static uint32_t widest_token(const struct map *map)
{
	double widest = 0;
	for (uint32_t i = 0; i < map->shown; i++) {
		char text[24];
		routes_token_text(map->routes->config, map->routes->tokens[i], text, sizeof(text));
		widest = fmax(widest, drawn_text_width(TEXT_NORMAL, text));
	}
	return widest <= CELL_WIDTH ? 1 : widest <= 2 * CELL_WIDTH ? 2 : 4;
}

/* `title`: NULL where the page has one. */
static void draw_map(struct drawing *drawing, const struct routes *routes, uint32_t shown, const char *title)
{
	struct map map = {.routes = routes, .drawing = drawing, .shown = shown < routes->count ? shown : routes->count};
	const uint32_t cells = widest_token(&map);
	map.line_tokens = LINE_TOKENS / cells;
	map.cell_width = CELL_WIDTH * cells;
	map.cell_height = routes->config->layers * routes->groups > 64 ? 4 : 9;
	const uint32_t lines = (map.shown + map.line_tokens - 1) / map.line_tokens;
	const double head = title ? 40 : 8;
	drawing->width = LEFT + LINE_TOKENS * CELL_WIDTH + 12;
	drawing->height = head + LEGEND_ROOM + lines * line_height(&map);
	if (title) {
		draw_rectangle(drawing, 0, 0, drawing->width, drawing->height, INK_PAPER, 1);
		draw_text(drawing, 12, 14, TEXT_NORMAL, ALIGN_LEFT, INK_TEXT, title);
	}
	draw_legend(&map, head);
	for (uint32_t line = 0; line < lines; line++)
		draw_line_of_tokens(&map, line * map.line_tokens, head + LEGEND_ROOM + line * line_height(&map));
}

/* The first tokens' picture, with what it is about. */
gqe_status routes_write_plot(const struct routes *routes, const struct routes_origin *origin, const char *path, gqe_error *error)
{
	struct drawing drawing = {0};
	const char *folder = origin->model_folder, *name = folder;
	char title[96];
	for (const char *at = folder; *at; at++) /* the folder's own name, without those above it */
		if (*at == '/' && at[1] && at[1] != '/')
			name = at + 1;
	snprintf(title, sizeof(title), "%.20s: experts selected, token by token", name);
	draw_map(&drawing, routes, origin->shown, title);
	gqe_status status = drawing_write_png(&drawing, path, error);
	drawing_free(&drawing);
	return status;
}

static void append_introduction(struct text_buffer *page, const struct routes *routes, const struct routes_origin *origin)
{
	text_append(page, "<p>Model ");
	text_append_escaped(page, origin->model_folder);
	text_append(page, ", %u tokens, computed in %s on ", routes->count, gqe_dtype_name(origin->dtype));
	text_append_escaped(page, origin->device ? origin->device->name : "the reference");
	text_append(page,
		    ".</p>\n<p>Every layer of this model has %u groups of %u experts (query heads). For each token, and in each "
		    "group, a router selects %u of them; the others are not computed.</p>\n",
		    routes->groups, routes->experts, routes->top_k);
}

/* A horizontal bar, cut into the experts' shares. */
static void append_share_bar(struct text_buffer *page, const struct routes *routes, const struct route_group *group)
{
	enum { WIDTH = 220, HEIGHT = 16 };
	struct drawing bar = {.width = WIDTH, .height = HEIGHT};
	char label[64];
	double left = 0;
	for (uint32_t m = 0; m < routes->experts; m++) {
		const double right = left + WIDTH * group->share[m] / routes->top_k;
		draw_rectangle(&bar, left, 0, right - 1, HEIGHT, expert_ink(routes, (int32_t)m),
			       expert_strength(routes, (int32_t)m));
		left = right;
	}
	snprintf(label, sizeof(label), "expert 0 has a share of %.3f", group->share[0]);
	text_append(page, "<td style=\"min-width: 9rem\">");
	drawing_append_svg(&bar, page, label);
	text_append(page, "</td>");
	drawing_free(&bar);
}

static void append_shares(struct text_buffer *page, const struct routes *routes)
{
	const bool listed = routes->experts <= 4;
	page_heading(page, "How evenly the experts are used");
	text_append(page,
		    "<p>Balance is %u when every expert gets as many tokens as any other, and %u when all tokens go to the same. "
		    "Entropy, "
		    "at most %.4g bits, says the same of the shares alone. &ldquo;Token decides&rdquo; is the part of that entropy "
		    "that "
		    "is gone once one knows which token it is: 100%% would be a fixed table from token to expert, 0%% a choice by "
		    "context alone. In layer 0 nothing but the token reaches the router, so that it decides there.</p>\n<div "
		    "class=\"scroll\"><table>\n<tr><th class=\"n\">layer</th><th class=\"n\">group</th>"
		    "<th>experts&rsquo; shares</th>",
		    routes->top_k, routes->experts, log2(routes->experts));
	for (uint32_t m = 0; listed && m < routes->experts; m++)
		text_append(page, "<th class=\"n\">%u</th>", m);
	text_append(page,
		    "<th class=\"n\">balance</th><th class=\"n\">entropy, bits</th><th class=\"n\">token decides</th></tr>\n");
	for (uint32_t layer = 0; layer < routes->config->layers; layer++)
		for (uint32_t g = 0; g < routes->groups; g++) {
			const struct route_group *group = &routes->group[(size_t)layer * routes->groups + g];
			text_append(page, "<tr><td class=\"n\">%u</td><td class=\"n\">%u</td>", layer, g);
			append_share_bar(page, routes, group);
			for (uint32_t m = 0; listed && m < routes->experts; m++)
				text_append(page, "<td class=\"n\">%.3f</td>", group->share[m]);
			text_append(page, "<td class=\"n\">%.3f</td><td class=\"n\">%.3f</td>", group->balance, group->entropy);
			if (isfinite(group->token_decides))
				text_append(page, "<td class=\"n\">%.0f%%</td></tr>\n", 100 * group->token_decides);
			else
				text_append(page, "<td class=\"n\">&ndash;</td></tr>\n");
		}
	text_append(page, "</table></div>\n");
}

static void append_map(struct text_buffer *page, const struct routes *routes, uint32_t shown)
{
	struct drawing drawing = {0};
	shown = shown < routes->count ? shown : routes->count;
	page_heading(page, "Token by token");
	text_append(
		page,
		"<p>The text runs from left to right. Under each token stands a column of cells: the %u groups of each layer, one "
		"below the other, in the colour of the expert%s. A row of one colour is an expert that everything goes to; a "
		"column "
		"pattern that returns with a letter is a choice by token.</p>\n",
		routes->groups, routes->top_k > 1 ? " in the first slot" : "");
	if (shown < routes->count)
		text_append(page, "<p class=\"note\">The first %u tokens; the figures below are of all %u.</p>\n", shown,
			    routes->count);
	draw_map(&drawing, routes, shown, NULL);
	text_append(page, "<div style=\"max-width: 60rem\">");
	drawing_append_svg(&drawing, page, "Which expert each token selects, by layer and group");
	text_append(page, "</div>\n");
	drawing_free(&drawing);
}

static void append_agreement(struct text_buffer *page, const struct routes *routes)
{
	page_heading(page, "Which tokens agree");
	if (routes->token_count == 0) {
		text_append(page, "<p>No token occurs %d times or more: the text is too short to say.</p>\n",
			    ROUTES_MIN_OCCURRENCES);
		return;
	}
	text_append(page,
		    "<p>How often a token, wherever it stands, selects the experts that it usually selects, over all layers and "
		    "groups. "
		    "100%%: always the same ones; %.0f%% would be any. Tokens that occur at least %d times.</p>\n"
		    "<div class=\"scroll\"><table>\n<tr><th>token</th><th class=\"n\">occurs</th><th class=\"n\">agreement</th>"
		    "<th></th></tr>\n",
		    100.0 * routes->top_k / routes->experts, ROUTES_MIN_OCCURRENCES);
	for (size_t i = 0; i < routes->token_count; i++) {
		const struct route_token *token = &routes->token[i];
		struct drawing bar = {.width = 220, .height = 14};
		char text[48];
		routes_token_text(routes->config, token->id, text, sizeof(text));
		text_append(page, "<tr><td class=\"mono\">");
		text_append_escaped(page, text);
		text_append(page, "</td><td class=\"n\">%u</td><td class=\"n\">%.0f%%</td><td style=\"min-width: 9rem\">",
			    token->count, 100 * token->agreement);
		draw_rectangle(&bar, 0, 0, bar.width * token->agreement, bar.height, INK_SERIES, 1);
		drawing_append_svg(&bar, page, "agreement");
		text_append(page, "</td></tr>\n");
		drawing_free(&bar);
	}
	text_append(page, "</table></div>\n");
}

gqe_status routes_write_page(const struct routes *routes, const struct routes_origin *origin, const char *path, gqe_error *error)
{
	struct text_buffer page = {0};
	page_begin(&page, "What the router does with a text");
	append_introduction(&page, routes, origin);
	append_map(&page, routes, origin->shown);
	append_shares(&page, routes);
	append_agreement(&page, routes);
	page_end(&page);
	gqe_status status = GQE_OK;
	if (page.failed)
		status = error_no_memory(error);
	else if (!text_write_file(path, page.text, page.length))
		status = error_set(error, GQE_ERROR_INTERNAL, "--html: cannot write '%s': %s", path, strerror(errno));
	text_buffer_free(&page);
	return status;
}
