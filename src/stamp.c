/* Where a call goes and who calls: see stamp.h. */
#include "stamp.h"

#include <string.h>

static int renew_address(bx_stamp *stamp, const char *base, bx_buffer *url) {
  const char *method = url->data + stamp->base;
  size_t length = strlen(base);
  bx_buffer moved = {NULL, 0, 0};
  if (length == stamp->base && memcmp(base, url->data, length) == 0) return 0;
  if (bx_buffer_append(&moved, base, length) != 0 || bx_buffer_append(&moved, method, strlen(method) + 1) != 0) {
    bx_buffer_free(&moved);
    return -1;
  }
  bx_buffer_free(url);
  *url = moved;
  stamp->base = length;
  return 0;
}

/* Over the token that was there. */
static int renew_token(bx_stamp *stamp, const char *token, bx_buffer *body) {
  if (token == NULL) return 0;
  if (stamp->plain == 0) stamp->plain = body->length;
  body->length = stamp->plain - 1; /* the brace at the end */
  stamp->token_length = 0;
  if (bx_buffer_puts(body, stamp->plain > 2 ? ",\"auth\":\"" : "\"auth\":\"") == 0) {
    stamp->token_at = body->length;
    if (bx_buffer_puts(body, token) == 0 && bx_buffer_puts(body, "\"}") == 0) {
      stamp->token_length = strlen(token);
      return 0;
    }
  }
  body->data[stamp->plain - 1] = '}';
  body->length = stamp->plain;
  return -1;
}

int bx_stamp_renew(bx_stamp *stamp, const bx_settings *settings, bx_transfer *t) {
  if (renew_address(stamp, settings->base, &t->url) != 0) return -1;
  return renew_token(stamp, settings->token, &t->body);
}
