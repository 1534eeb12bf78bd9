#include "page.h"

#include "drawing.h"

#include <gqe/gqe_bench.h>

/* Tables may be wider than a phone: they scroll in their own box, the page does not. */
static const char style_sheet[] =
	"* { box-sizing: border-box; }\n"
	"html { color-scheme: light dark; -webkit-text-size-adjust: 100%; }\n"
	"body { margin: 0 auto; padding: 1rem; max-width: 82rem; background: var(--ink3); color: var(--ink0);\n"
	"  font: 16px/1.5 system-ui, -apple-system, \"Segoe UI\", Roboto, \"DejaVu Sans\", sans-serif; }\n"
	"h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }\n"
	"h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--ink2); padding-bottom: .25rem; }\n"
	"p { max-width: 46rem; margin: .5rem 0; }\n"
	".note { color: var(--ink1); font-size: .9rem; }\n"
	".warning { border-left: 4px solid var(--ink5); padding: .25rem .75rem; margin: .75rem 0; max-width: 46rem; }\n"
	/* A shadow at an edge beyond which there is more: it stands still, and the cover over it goes with the table. */
	".scroll { overflow-x: auto; margin: .75rem 0;\n"
	"  background: linear-gradient(to right, var(--ink3) 60%, transparent) left / 2rem 100% local no-repeat,\n"
	"    linear-gradient(to left, var(--ink3) 60%, transparent) right / 2rem 100% local no-repeat,\n"
	"    linear-gradient(to right, var(--ink2), transparent) left / .8rem 100% scroll no-repeat,\n"
	"    linear-gradient(to left, var(--ink2), transparent) right / .8rem 100% scroll no-repeat; }\n"
	"table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }\n"
	"th, td { padding: .3rem .7rem; text-align: left; border-bottom: 1px solid var(--ink2); vertical-align: top; }\n"
	"th { white-space: nowrap; color: var(--ink1); font-weight: 600; }\n"
	"td.what { min-width: 9rem; }\n"
	"td.wide { min-width: 11rem; }\n"
	"td.whole { white-space: nowrap; }\n"
	"td.n, th.n { text-align: right; white-space: nowrap; }\n"
	".small { color: var(--ink1); font-size: .85em; }\n"
	".figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1rem; }\n"
	"figure { margin: 0; min-width: 0; }\n"
	"figcaption { color: var(--ink1); font-size: .9rem; }\n"
	"svg { display: block; width: 100%; height: auto; font-family: inherit; }\n"
	".mono { font-family: ui-monospace, Menlo, Consolas, \"DejaVu Sans Mono\", monospace; white-space: pre; }\n"
	"@media (max-width: 40rem) { body { padding: .75rem; } th, td { padding: .3rem .45rem; } }\n"
	"@media print { body { max-width: none; } }\n";

void page_begin(struct text_buffer *page, const char *title)
{
	text_append(page,
		    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
		    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
		    "<title>");
	text_append_escaped(page, title);
	text_append(page, "</title>\n<style>\n");
	drawing_append_css(page);
	text_append(page, "%s</style>\n</head>\n<body>\n<h1>", style_sheet);
	text_append_escaped(page, title);
	text_append(page, "</h1>\n");
}

void page_end(struct text_buffer *page)
{
	const uint32_t version = gqe_version();
	text_append(page, "<p class=\"note\">Written by gqe %u.%u.%u, commit ", version >> 16, version >> 8 & 0xff, version & 0xff);
	text_append_escaped(page, gqe_commit());
	text_append(page, ".</p>\n</body>\n</html>\n");
}

void page_heading(struct text_buffer *page, const char *text)
{
	text_append(page, "<h2>");
	text_append_escaped(page, text);
	text_append(page, "</h2>\n");
}

void page_cell(struct text_buffer *page, const char *text, bool numeric)
{
	text_append(page, numeric ? "<td class=\"n\">" : "<td>");
	text_append_escaped(page, text);
	text_append(page, "</td>");
}
