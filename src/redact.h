/* The one place that knows what a secret looks like and how it is blotted out.
   Knows no Lua and no libcurl. Nothing here throws. */
#ifndef BX_REDACT_H
#define BX_REDACT_H

#include <stddef.h>

#include "buffer.h"

#define BX_MASK "[REDACTED]"

enum { BX_SECRETS_LASTING = 8, BX_SECRETS_TOKENS = 16 };

/* Secrets known letter for letter: a webhook's code, a proxy's password, and the tokens of late. All zero is the empty
   list. */
typedef struct bx_secrets {
  char *text[BX_SECRETS_LASTING + BX_SECRETS_TOKENS];
  size_t count;
  size_t lasting; /* the first so many stay; behind them are tokens */
  size_t oldest;  /* the token that makes room for the next one when the list is full */
} bx_secrets;

/* Adds a copy of a secret, unless it is there. 0, or -1 when memory or the list is full: then the secret must not be used.
   All that are to stay must be added before the first token. */
int bx_secrets_add(bx_secrets *secrets, const char *text, size_t length);

/* Adds a copy of a token, unless it is there. Tokens come and go: of those in a full list the oldest is forgotten.
   0, or -1 when memory ran out. */
int bx_secrets_add_token(bx_secrets *secrets, const char *text, size_t length);

/* Frees the copies; the list is empty and usable afterwards. */
void bx_secrets_free(bx_secrets *secrets);

/* Appends the first `limit` bytes of `text` to `out`, with BX_MASK in place of
   - each of `secrets` (NULL: none) in any case, also where some of its characters are spelled %XX or \u00XX; one of
     fewer than 8 bytes only where it stands as a word of its own; and a beginning of 4 bytes or more at the end of the
     text, which may have been cut off there,
   - the user id and code of a webhook's path (/rest/1/code, also with \/ or %2F),
   - the value of a credential in a query, a form body or a batch command (auth=, access_token=, auth[x]=...)
     and in JSON ("access_token":"..."),
   - what follows "Basic" or "Bearer" in a header,
   - the user and password of an address (https://user:password@host).
   A secret that begins before `limit` and ends after it is blotted out whole. Redacting twice changes nothing.
   0, or -1 when memory ran out (then `out` holds a part). */
int bx_redact(const bx_secrets *secrets, const char *text, size_t length, size_t limit, bx_buffer *out);

/* Whether bx_redact could find anything in the text: a quick look, for texts of which nearly all are harmless.
   `secrets` is not NULL. */
int bx_redact_is_suspect(const bx_secrets *secrets, const char *text, size_t length);

/* Whether `key` names a credential: auth, access_token, client_secret, ..., also percent-encoded,
   in any case, and as a part of PHP's auth[access_token]. */
int bx_redact_is_credential(const char *key, size_t length);

#endif
