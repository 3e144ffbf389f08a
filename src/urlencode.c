/* application/x-www-form-urlencoded: see urlencode.h. */
#include "urlencode.h"

#include <string.h>

static int escape(bx_buffer *out, const char *text, size_t length) {
  static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  static const char digits[] = "0123456789ABCDEF";
  size_t i;
  for (i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    char spelled[3] = {'%', digits[c >> 4], digits[c & 15]};
    int failed = c != 0 && strchr(plain, c) != NULL ? bx_buffer_append(out, text + i, 1)
                                                    : bx_buffer_append(out, spelled, sizeof spelled);
    if (failed) return -1;
  }
  return 0;
}

int bx_urlencode_pair(bx_buffer *out, const char *name, size_t name_length, const char *value, size_t value_length) {
  if (out->length > 0 && bx_buffer_puts(out, "&") != 0) return -1;
  if (escape(out, name, name_length) != 0 || bx_buffer_puts(out, "=") != 0) return -1;
  return escape(out, value, value_length);
}
