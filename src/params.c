/* From a table of parameters to the request's body or query: see params.h. */
#include "params.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "query.h"
#include "reference.h"
#include "text.h"
#include "value.h"

/* Whether the key on top of the stack is the name of a parameter. */
static int is_param(lua_State *L, const bx_method *row) {
  const bx_param *p;
  size_t length;
  const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  for (p = row->params; name != NULL && p->name != NULL; p++)
    if (strcmp(p->name, name) == 0) return strlen(name) == length;
  return 0;
}

/* Pushes what is said of the key on top of the stack, which is no parameter, and answers false. */
static int refuse_name(lua_State *L, const bx_method *row) {
  bx_nearest nearest = {NULL, 0};
  const bx_param *p;
  const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (name == NULL) {
    lua_pushfstring(L, "names expected as keys, got a %s", luaL_typename(L, -1));
    return 0;
  }
  for (p = row->params; p->name != NULL; p++) bx_nearest_offer(&nearest, name, p->name);
  /* A caller who follows the reference may use the portal's own name. */
  for (p = row->params; p->name != NULL; p++)
    if (strcmp(p->wire, name) == 0) nearest.name = p->name;
  if (strcmp(name, "fields") == 0)
    lua_pushliteral(L, "unknown parameter 'fields'; give its contents directly");
  else if (nearest.name != NULL)
    lua_pushfstring(L, "unknown parameter '%s'; did you mean '%s'?", name, nearest.name);
  else
    lua_pushfstring(L, "unknown parameter '%s'", name);
  return 0;
}

static int check_names(lua_State *L, const bx_method *row, int index) {
  lua_pushnil(L);
  while (lua_next(L, index) != 0) {
    lua_pop(L, 1);
    if (!is_param(L, row)) return refuse_name(L, row);
  }
  return 1;
}

/* Pushes "field '<name>': <expected> expected, got <value>" about the value at `index`, and answers false. */
static int refuse_value(lua_State *L, const bx_param *p, int index, const char *expected) {
  const char *got = bx_isnull(L, index) ? "null" : luaL_typename(L, index);
  if (lua_type(L, index) == LUA_TNUMBER) {
    lua_pushvalue(L, index);
    got = lua_tostring(L, -1);
  }
  lua_pushfstring(L, "field '%s': %s expected, got %s", p->name, expected, got);
  return 0;
}

int bx_params_integer(lua_State *L, int index, long long *out) {
  lua_Number n;
  const char *text;
  size_t length, i;
  switch (lua_type(L, index)) {
  case LUA_TNUMBER:
    if (bx_isinteger(L, index)) {
      *out = (long long)lua_tointeger(L, index);
      return 1;
    }
    n = lua_tonumber(L, index);
    if (!(n >= -9007199254740992.0 && n <= 9007199254740992.0) || floor(n) != n) return 0;
    *out = (long long)n;
    return 1;
  case LUA_TSTRING:
    text = lua_tolstring(L, index, &length);
    if (length == 0 || length > 18) return 0;
    for (*out = 0, i = 0; i < length; i++) {
      if (text[i] < '0' || text[i] > '9') return 0;
      *out = *out * 10 + (text[i] - '0');
    }
    return 1;
  default:
    return 0;
  }
}

/* Throws. */
static int no_memory(lua_State *L) { return luaL_error(L, "not enough memory"); }

/* Where the parameters go: into `body` as JSON, or into a query. */
typedef struct writer {
  const bx_json *json;
  bx_buffer *body;
  bx_query *query; /* NULL: JSON */
} writer;

static int append_text(lua_State *L, const writer *w, const char *text, size_t length) {
  if (w->query == NULL) return bx_text_quote(w->body, text, length) == 0 || no_memory(L);
  bx_query_text(L, w->query, text, length);
  return 1;
}

/* Each of these appends the value at `index`, or pushes what is wrong with it and answers false. */

static int append_integer(lua_State *L, const bx_param *p, int index, const writer *w) {
  long long value;
  if (!bx_params_integer(L, index, &value)) return refuse_value(L, p, index, "integer");
  if (w->query == NULL) return bx_buffer_integer(w->body, value) == 0 || no_memory(L);
  bx_query_integer(L, w->query, value);
  return 1;
}

static int append_string(lua_State *L, const bx_param *p, int index, const writer *w) {
  int type = lua_type(L, index);
  size_t length;
  const char *text;
  if (type != LUA_TSTRING && type != LUA_TNUMBER) return refuse_value(L, p, index, "string");
  if (type == LUA_TNUMBER && !(fabs(lua_tonumber(L, index)) < HUGE_VAL)) return refuse_value(L, p, index, "string");
  if (type == LUA_TNUMBER && !bx_isinteger(L, index)) {
    /* 5.0 is meant to be 5, and a large integral number to be no power of ten, on each version of Lua. */
    lua_Number n = lua_tonumber(L, index);
    char digits[32];
    if (floor(n) == n && fabs(n) <= 9007199254740992.0) {
      snprintf(digits, sizeof digits, "%.0f", n + 0.0);
      return append_text(L, w, digits, strlen(digits));
    }
  }
  lua_pushvalue(L, index);
  text = lua_tolstring(L, -1, &length);
  if (!bx_text_is_utf8(text, length)) {
    lua_pushfstring(L, "field '%s': the string is not valid UTF-8", p->name);
    return 0;
  }
  if (w->query != NULL && bx_reference_like(text, length)) {
    lua_pushfstring(L, "field '%s': %s", p->name, bx_reference_refused);
    return 0;
  }
  return append_text(L, w, text, length);
}

static int append_date(lua_State *L, const bx_param *p, int index, const writer *w) {
  static const char expected[] = "a date in ISO 8601, like 2024-04-03T12:50:17+02:00, or seconds since 1970";
  char written[BX_TEXT_DATE];
  size_t length;
  const char *text;
  if (lua_type(L, index) == LUA_TNUMBER) {
    if (!bx_text_date(lua_tonumber(L, index), written)) return refuse_value(L, p, index, expected);
    return append_text(L, w, written, strlen(written));
  }
  text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
  if (text == NULL) return refuse_value(L, p, index, expected);
  if (!bx_text_is_date(text, length)) {
    lua_pushfstring(L, "field '%s': %s expected, got '%s'", p->name, expected, text);
    return 0;
  }
  return append_text(L, w, text, length);
}

static int append_choice(lua_State *L, const bx_param *p, int index, const writer *w) {
  bx_nearest nearest = {NULL, 0};
  size_t i, length = 0;
  const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tolstring(L, index, &length) : NULL;
  for (i = 0; text != NULL && p->choices[i] != NULL; i++) {
    if (strcmp(text, p->choices[i]) == 0 && strlen(text) == length) return append_text(L, w, text, strlen(text));
    bx_nearest_offer(&nearest, text, p->choices[i]);
  }
  luaL_checkstack(L, 4, "choices");
  lua_pushliteral(L, "one of ");
  for (i = 0; p->choices[i] != NULL; i++) {
    lua_pushfstring(L, i > 0 ? ", '%s'" : "'%s'", p->choices[i]);
    lua_concat(L, 2);
  }
  if (nearest.name != NULL)
    lua_pushfstring(L, "field '%s': %s expected; did you mean '%s'?", p->name, lua_tostring(L, -1), nearest.name);
  else if (text != NULL)
    lua_pushfstring(L, "field '%s': %s expected, got '%s'", p->name, lua_tostring(L, -1), text);
  else
    refuse_value(L, p, index, lua_tostring(L, -1));
  return 0;
}

static int append_table(lua_State *L, const bx_param *p, int index, const writer *w) {
  static const bx_value_rules in_a_batch = {NULL, NULL, 1};
  size_t length;
  const char *text;
  if (!lua_istable(L, index)) return refuse_value(L, p, index, "table");
  lua_pushstring(L, p->name);
  if (w->query != NULL) {
    if (!bx_value_check(L, &in_a_batch, index, lua_gettop(L))) return 0;
    bx_query_value(L, w->query, index);
    return 1;
  }
  if (!bx_json_encode(L, w->json, index, lua_gettop(L))) return 0;
  text = lua_tolstring(L, -1, &length);
  return bx_buffer_append(w->body, text, length) == 0 || no_memory(L);
}

static int append_value(lua_State *L, const bx_param *p, int index, const writer *w) {
  if (w->query != NULL && bx_reference_text(L, index) != NULL) {
    bx_query_value(L, w->query, index);
    return 1;
  }
  switch (p->type) {
  case BX_INTEGER:
    return append_integer(L, p, index, w);
  case BX_STRING:
    return append_string(L, p, index, w);
  case BX_DATE:
    return append_date(L, p, index, w);
  case BX_CHOICE:
    return append_choice(L, p, index, w);
  default:
    return append_table(L, p, index, w);
  }
}

/* The comma, where one is needed, and the quoted name with its colon. */
static void append_name(lua_State *L, bx_buffer *body, const char *name) {
  const char *before = body->data[body->length - 1] == '{' ? "\"" : ",\"";
  if (bx_buffer_puts(body, before) != 0 || bx_buffer_puts(body, name) != 0 || bx_buffer_puts(body, "\":") != 0)
    no_memory(L);
}

static void append_open(lua_State *L, bx_buffer *body) {
  append_name(L, body, "fields");
  if (bx_buffer_puts(body, "{") != 0) no_memory(L);
}

/* What comes before a parameter's value. */
static void start_param(lua_State *L, const writer *w, const bx_param *p, int first_field) {
  if (w->query != NULL) {
    bx_query_name(L, w->query, p->wire, (p->flags & BX_FIELD) != 0);
    return;
  }
  if (first_field) append_open(L, w->body);
  append_name(L, w->body, p->wire);
}

static int write_params(lua_State *L, const writer *w, const bx_method *row, int index) {
  int fields = 0, top = lua_gettop(L);
  unsigned place; /* what stands beside "fields", then what stands in it */
  luaL_checkstack(L, 8, "parameters");
  if (!check_names(L, row, index)) return 0;
  if (w->query == NULL && bx_buffer_puts(w->body, "{") != 0) no_memory(L);
  for (place = 0; place <= BX_FIELD; place += BX_FIELD) {
    const bx_param *p;
    for (p = row->params; p->name != NULL; p++) {
      if ((p->flags & BX_FIELD) != place) continue;
      lua_getfield(L, index, p->name);
      if (!lua_isnil(L, -1) || (p->flags & BX_REQUIRED)) {
        start_param(L, w, p, place == BX_FIELD && fields++ == 0);
        if (!append_value(L, p, top + 1, w)) return 0;
      }
      lua_settop(L, top);
    }
  }
  if ((row->flags & BX_CHANGES) && fields == 0) {
    lua_pushfstring(L, "nothing to change: at least one field expected beside '%s'", row->params[0].name);
    return 0;
  }
  if (w->query == NULL && bx_buffer_puts(w->body, fields > 0 ? "}}" : "}") != 0) no_memory(L);
  return 1;
}

int bx_params_encode(lua_State *L, const bx_json *json, const bx_method *row, int index, bx_buffer *body) {
  writer w = {NULL, NULL, NULL};
  w.json = json;
  w.body = body;
  return write_params(L, &w, row, index);
}

int bx_params_query(lua_State *L, const bx_method *row, int index, bx_query *query) {
  writer w = {NULL, NULL, NULL};
  w.query = query;
  return write_params(L, &w, row, index);
}
