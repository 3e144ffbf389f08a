/* The one place that makes error objects: tables with the fields of the README's "Errors", and a metatable. */
#ifndef BX_ERROR_H
#define BX_ERROR_H

#include "compat.h"
#include "outcome.h"
#include "redact.h"

/* What went wrong, in raw texts: secrets are taken out on the way into Lua. NULL or 0: the field is absent. */
typedef struct bx_fault {
  bx_outcome outcome;
  const char *method;
  long status;
  const char *code;
  size_t code_length;
  const char *message;
  size_t message_length;
  const char *body; /* an answer that was not understood; its first 2 KiB are kept */
  size_t body_length;
  const char *redirect; /* where a 3xx points to */
  size_t redirect_length;
  int validation; /* stack index of v3's list of {field, message}, or 0 */
} bx_fault;

/* Makes the metatable. Pushes nothing. May throw (memory). */
void bx_error_open(lua_State *L);

/* Pushes a new error object. May throw (memory); nothing leaks then. */
void bx_error_push(lua_State *L, const bx_fault *fault, const bx_secrets *secrets);

/* Lua: is_error(value [, kind_or_reason]) → boolean. */
int bx_error_is(lua_State *L);

#endif
