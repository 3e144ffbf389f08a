/* Values as PHP's http_build_query writes them (PHP_QUERY_RFC1738: a blank is +). Knows no Lua. Nothing here throws; each
   function answers 0, or -1 when memory ran out. */
#ifndef BX_FORM_H
#define BX_FORM_H

#include "buffer.h"

/* Appends any bytes, percent-encoded like urlencode() does. */
int bx_form_text(bx_buffer *out, const char *text, size_t length);

/* Appends "name=value", percent-encoded, behind a "&" where something is there already. */
int bx_form_pair(bx_buffer *out, const char *name, size_t name_length, const char *value, size_t value_length);

/* Appends a finite number with as few digits as say it exactly, in PHP's spelling: 5, 0.1, 1.0E%2B25. That is PHP with
   precision = -1; its default of 14 digits would send another number. */
int bx_form_float(bx_buffer *out, double number);

#endif
