/* Texts on their way to the portal: UTF-8, JSON strings, dates. Knows no Lua. Nothing here throws. */
#ifndef BX_TEXT_H
#define BX_TEXT_H

#include <stddef.h>

#include "buffer.h"

int bx_text_is_utf8(const char *text, size_t length);

/* Appends the text in quotes, escaped. It must be UTF-8. 0, or -1 when memory ran out. */
int bx_text_quote(bx_buffer *out, const char *text, size_t length);

/* Whether the text is an ISO 8601 date that exists, with or without a time of day and a zone:
   2024-04-03, 2024-04-03T12:50, 2024-04-03T12:50:17.5+02:00, 2024-04-03T10:50:17Z. A blank may stand for the T. */
int bx_text_is_date(const char *text, size_t length);

enum { BX_TEXT_DATE = 32 };

/* Writes seconds since 1970 as an ISO 8601 date in UTC; false outside the years 1000 to 9999. */
int bx_text_date(double seconds, char out[BX_TEXT_DATE]);

enum { BX_TEXT_FINGERPRINT = 17 };

/* Writes 16 hexadecimal digits, FNV-1a of the bytes. */
void bx_text_fingerprint(const char *text, size_t length, char out[BX_TEXT_FINGERPRINT]);

#endif
