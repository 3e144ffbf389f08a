/* application/x-www-form-urlencoded. Knows no Lua. Nothing here throws. */
#ifndef BX_URLENCODE_H
#define BX_URLENCODE_H

#include <stddef.h>

#include "buffer.h"

/* Appends "name=value", percent-encoded, behind a "&" where something is there already. 0, or -1 when memory ran out. */
int bx_urlencode_pair(bx_buffer *out, const char *name, size_t name_length, const char *value, size_t value_length);

#endif
