/* From a transfer that is done to what the caller gets: a result, or an error object. Does no I/O. */
#ifndef BX_RESPONSE_H
#define BX_RESPONSE_H

#include "compat.h"
#include "error.h"
#include "json.h"
#include "settings.h"

typedef enum bx_shape {
  BX_ANSWER, /* of the portal: { result, time, ... } */
  BX_TOKENS  /* of the token host: the object itself is the result */
} bx_shape;

/* Pushes three values: result, info, attempt; or nil, error, attempt.
   info:    { status, time, total, next, timings = { dns, connect, tls, first_byte, total } }
   attempt: { status, code, seconds }
   Throws "not enough memory" when that is what ended the transfer; may throw (memory). */
int bx_response_push(lua_State *L, const bx_json *json, const bx_settings *settings, const bx_transfer *t,
                     const char *method, bx_shape shape);

/* Reads an error as the portal sends it, v2: {error, error_description} or v3: {error: {code, message, validation}}, from
   the table at `answer`, whose "error" is on top of the stack, into `fault`: code, message, validation, and what they mean
   with the status that it has. Leaves values on the stack, which own the texts. May throw (memory). */
void bx_response_read_error(lua_State *L, int answer, bx_fault *fault);

#endif
