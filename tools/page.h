/* The frame of an HTML page that needs nothing but itself: no network, no script; light or dark as the reader has it. */
#ifndef GQE_TOOLS_PAGE_H
#define GQE_TOOLS_PAGE_H

#include "text_buffer.h"

void page_begin(struct text_buffer *page, const char *title);
void page_end(struct text_buffer *page);
/* <h2>, a section's heading. */
void page_heading(struct text_buffer *page, const char *text);
/* <td> with escaped text; `numeric`: aligned right. */
void page_cell(struct text_buffer *page, const char *text, bool numeric);

#endif
