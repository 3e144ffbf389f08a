/* From a transfer that is done to what the caller gets: see response.h. */
#include "response.h"

#include <string.h>

#include "catalog.h"
#include "mask.h"

/* Where the parts of one answer are. The answer, when it is a table, is at stack index `answer`. */
typedef struct context {
  const bx_settings *settings;
  const bx_transfer *t;
  const char *method;
  bx_shape shape;
  int answer;
} context;

static void push_attempt(lua_State *L, const bx_transfer *t, const char *code, size_t code_length,
                         const bx_secrets *secrets) {
  lua_createtable(L, 0, 4);
  if (t->status != 0) {
    lua_pushinteger(L, (lua_Integer)t->status);
    lua_setfield(L, -2, "status");
  }
  if (code != NULL) {
    bx_mask_push_whole(L, secrets, code, code_length, code_length);
    lua_setfield(L, -2, "code");
  }
  lua_pushnumber(L, t->seconds[BX_TOTAL]);
  lua_setfield(L, -2, "seconds");
}

static int push_failure(lua_State *L, const context *c, const bx_fault *fault) {
  lua_pushnil(L);
  bx_error_push(L, fault, &c->settings->secrets);
  push_attempt(L, c->t, fault->code, fault->code_length, &c->settings->secrets);
  return 3;
}

static bx_fault start_fault(const context *c, bx_outcome outcome) {
  bx_fault f;
  memset(&f, 0, sizeof f);
  f.outcome = outcome;
  f.method = c->method;
  f.status = c->t->status;
  return f;
}

static void set_body(bx_fault *fault, const context *c) {
  fault->body = c->t->answer.length > 0 ? c->t->answer.data : "";
  fault->body_length = c->t->answer.length;
}

/* No answer, or not all of it. */
static int push_transport_failure(lua_State *L, const context *c) {
  bx_fault fault = start_fault(c, bx_transfer_failure(&c->settings->http, c->t));
  fault.message = c->t->problem;
  fault.message_length = strlen(c->t->problem);
  if (c->t->too_large) {
    bx_pushinteger64(L, c->t->max_answer);
    fault.message = lua_pushfstring(L, "the answer is larger than max_response (%s bytes)", lua_tostring(L, -1));
    fault.message_length = strlen(fault.message);
  }
  if (strcmp(fault.outcome.kind, "protocol") == 0) set_body(&fault, c);
  return push_failure(L, c, &fault);
}

/* What an answer without an understandable error says about the call: a web server's own 4xx page is made before
   the portal's code runs; with any other page, and with those that tell to try again later, nobody knows. */
static const char *executed_by_status(long status) {
  return status >= 400 && status < 500 && status != 408 && status != 429 ? "no" : "unknown";
}

static int push_protocol_failure(lua_State *L, const context *c, const char *reason, const char *message) {
  bx_outcome outcome = {"protocol", reason, executed_by_status(c->t->status)};
  bx_fault fault = start_fault(c, outcome);
  fault.message = message;
  fault.message_length = strlen(message);
  set_body(&fault, c);
  return push_failure(L, c, &fault);
}

static int is_redirect(long status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* "See other" may follow a POST that ran; the others say that it has to be sent elsewhere. */
static int push_redirect_refused(lua_State *L, const context *c) {
  bx_outcome refused = {"auth", "redirect_refused", c->t->status == 303 ? "unknown" : "no"};
  bx_fault fault = start_fault(c, refused);
  fault.message = lua_pushfstring(L, "the %s answers with a redirect to %s, which is not followed",
                                  c->shape == BX_TOKENS ? "token host" : "portal",
                                  c->t->redirect != NULL ? c->t->redirect : "nowhere");
  fault.message_length = strlen(fault.message);
  fault.redirect = c->t->redirect;
  if (fault.redirect != NULL) fault.redirect_length = strcspn(fault.redirect, "?#");
  return push_failure(L, c, &fault);
}

/* The text of a scalar at the top of the stack, numbers as digits; NULL for anything else. */
static const char *scalar(lua_State *L, size_t *length) {
  if (lua_type(L, -1) == LUA_TSTRING || lua_type(L, -1) == LUA_TNUMBER) return lua_tolstring(L, -1, length);
  return NULL;
}

void bx_response_read_error(lua_State *L, int answer, bx_fault *fault) {
  luaL_checkstack(L, 8, "error answer");
  if (lua_istable(L, -1)) {
    int v3 = lua_gettop(L);
    lua_getfield(L, v3, "validation");
    if (lua_istable(L, -1) && lua_rawlen(L, -1) > 0) fault->validation = lua_gettop(L);
    lua_getfield(L, v3, "message");
    fault->message = scalar(L, &fault->message_length);
    lua_getfield(L, v3, "code");
  } else {
    int code = lua_gettop(L);
    lua_getfield(L, answer, "error_description");
    fault->message = scalar(L, &fault->message_length);
    lua_pushvalue(L, code);
  }
  fault->code = scalar(L, &fault->code_length);
  if (fault->code == NULL) fault->code = "";
  fault->outcome =
      bx_catalog_meaning(fault->code, fault->code_length, fault->message, fault->message_length, fault->status);
  if (fault->validation != 0 && strcmp(fault->outcome.reason, "unknown") == 0)
    fault->outcome.reason = "validation_error";
}

/* The value of "error" is on top. */
static int push_api_failure(lua_State *L, const context *c) {
  static const bx_outcome not_known_yet = {NULL, NULL, NULL};
  bx_fault fault = start_fault(c, not_known_yet);
  bx_response_read_error(L, c->answer, &fault);
  if (c->shape == BX_TOKENS)
    fault.outcome =
        bx_catalog_token_meaning(fault.code, fault.code_length, fault.message, fault.message_length, fault.status);
  return push_failure(L, c, &fault);
}

static int push_success(lua_State *L, const context *c) {
  static const char *const kept[] = {"time", "total", "next"};
  static const char *const points[BX_POINTS] = {"dns", "connect", "tls", "first_byte", "total"};
  size_t i;
  luaL_checkstack(L, 6, "answer");
  if (c->shape == BX_TOKENS)
    lua_pushvalue(L, c->answer);
  else
    lua_getfield(L, c->answer, "result");
  if (lua_isnil(L, -1)) {
    lua_pop(L, 1);
    bx_pushnull(L);
  }
  lua_createtable(L, 0, 6);
  lua_pushinteger(L, (lua_Integer)c->t->status);
  lua_setfield(L, -2, "status");
  for (i = 0; i < sizeof kept / sizeof *kept; i++) {
    lua_getfield(L, c->answer, kept[i]);
    if (lua_isnil(L, -1))
      lua_pop(L, 1);
    else {
      bx_mask_clean(L, &c->settings->secrets);
      lua_setfield(L, -2, kept[i]);
    }
  }
  lua_createtable(L, 0, BX_POINTS);
  for (i = 0; i < BX_POINTS; i++) {
    lua_pushnumber(L, c->t->seconds[i]);
    lua_setfield(L, -2, points[i]);
  }
  lua_setfield(L, -2, "timings");
  push_attempt(L, c->t, NULL, 0, NULL);
  return 3;
}

/* The decoded answer is on top of the stack. */
static int push_answer(lua_State *L, context *c) {
  c->answer = lua_gettop(L);
  if (!lua_istable(L, -1) || lua_rawlen(L, -1) > 0)
    return push_protocol_failure(L, c, "bad_shape", "the answer is JSON but not an object");
  lua_getfield(L, -1, "error");
  if (lua_toboolean(L, -1)) return push_api_failure(L, c);
  lua_pop(L, 1);
  if (c->t->status / 100 == 2) return push_success(L, c);
  lua_getfield(L, -1, "error_description");
  if (lua_isnil(L, -1) && c->shape != BX_TOKENS)
    return push_protocol_failure(L, c, "bad_shape", "the answer has an error status but contains no error");
  lua_pop(L, 1);
  lua_pushliteral(L, "");
  return push_api_failure(L, c);
}

int bx_response_push(lua_State *L, const bx_json *json, const bx_settings *settings, const bx_transfer *t,
                     const char *method, bx_shape shape) {
  context c;
  c.settings = settings;
  c.t = t;
  c.method = method;
  c.shape = shape;
  c.answer = 0;
  if (t->out_of_memory) return luaL_error(L, "not enough memory");
  if (t->result != CURLE_OK) return push_transport_failure(L, &c);
  if (is_redirect(t->status)) return push_redirect_refused(L, &c);
  switch (bx_json_decode(L, json, t->answer.data, t->answer.length)) {
  case BX_JSON_OK:
    return push_answer(L, &c);
  case BX_JSON_EMPTY:
    return push_protocol_failure(L, &c, "not_json", "the answer is empty");
  case BX_JSON_TRUNCATED:
    return push_protocol_failure(L, &c, "truncated", "the answer ends in the middle");
  case BX_JSON_TRAILING:
    return push_protocol_failure(L, &c, "trailing_data", "the answer goes on after the end of its JSON");
  case BX_JSON_TOO_DEEP:
    return push_protocol_failure(L, &c, "too_deep", "the answer is nested too deeply");
  default:
    return push_protocol_failure(L, &c, "not_json", "the answer is not JSON");
  }
}
