/* Lua values as a PHP query: see query.h. */
#include "query.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "form.h"
#include "reference.h"

#define METATABLE "bitrix.query"

enum { KEPT = 1 << 20 /* bytes of capacity that a long query may leave behind */ };

typedef struct lender {
  bx_buffer out, name;
} lender;

static int lender_gc(lua_State *L) {
  lender *lent = luaL_checkudata(L, 1, METATABLE);
  bx_buffer_free(&lent->out);
  bx_buffer_free(&lent->name);
  return 0;
}

void bx_query_setup(lua_State *L) {
  lender *lent;
  luaL_newmetatable(L, METATABLE);
  lua_pushcfunction(L, lender_gc);
  lua_setfield(L, -2, "__gc");
  lent = bx_newuserdata(L, sizeof *lent);
  memset(lent, 0, sizeof *lent);
  lua_insert(L, -2);
  lua_setmetatable(L, -2);
  lua_setfield(L, LUA_REGISTRYINDEX, METATABLE ".lender");
}

void bx_query_open(lua_State *L, bx_query *query, int values) {
  lender *lent;
  lua_getfield(L, LUA_REGISTRYINDEX, METATABLE ".lender");
  lent = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (lent->out.capacity > KEPT) bx_buffer_free(&lent->out);
  lent->out.length = 0;
  lent->name.length = 0;
  query->out = &lent->out;
  query->name = &lent->name;
  query->values = values;
  query->references = 0;
  query->nested = 0;
}

static void check(lua_State *L, int status) {
  if (status != 0) luaL_error(L, "not enough memory");
}

void bx_query_name(lua_State *L, bx_query *query, const char *wire, int field) {
  query->name->length = 0;
  query->nested = 1;
  if (field) check(L, bx_buffer_puts(query->name, "fields%5B"));
  check(L, bx_form_text(query->name, wire, strlen(wire)));
  if (field) check(L, bx_buffer_puts(query->name, "%5D"));
}

/* Everything up to the value. */
static void start_pair(lua_State *L, bx_query *query) {
  if (query->out->length > 0) check(L, bx_buffer_puts(query->out, "&"));
  check(L, bx_buffer_append(query->out, query->name->data, query->name->length));
  check(L, bx_buffer_puts(query->out, "="));
}

void bx_query_integer(lua_State *L, bx_query *query, long long value) {
  start_pair(L, query);
  check(L, bx_buffer_integer(query->out, value));
}

void bx_query_text(lua_State *L, bx_query *query, const char *text, size_t length) {
  start_pair(L, query);
  check(L, bx_form_text(query->out, text, length));
}

static void append_number(lua_State *L, bx_buffer *out, int index) {
  lua_Number n = lua_tonumber(L, index);
  if (bx_isinteger(L, index))
    check(L, bx_buffer_integer(out, (long long)lua_tointeger(L, index)));
  else
    check(L, bx_form_float(out, n));
}

/* ---- tables ---- */

typedef struct entry {
  const char *text; /* NULL: the key is `number` */
  size_t length;
  lua_Number number;
  long long integer; /* `number` exactly, where Lua has integers */
} entry;

/* Numbers before texts. */
static int compare(const void *a, const void *b) {
  const entry *x = a, *y = b;
  int order;
  if (x->text == NULL || y->text == NULL) {
    if (x->text != NULL || y->text != NULL) return x->text == NULL ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
  }
  order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
  return order != 0 ? order : x->length < y->length ? -1 : x->length > y->length;
}

/* How many pairs there are; *is_list: the keys are 1, 2, ... to the last. */
static size_t count_pairs(lua_State *L, int table, int *is_list) {
  size_t count = 0;
  lua_Number last = 0;
  *is_list = 1;
  lua_pushnil(L);
  while (lua_next(L, table) != 0) {
    lua_Number n = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
    if (!(n >= 1) || floor(n) != n) *is_list = 0;
    if (n > last) last = n;
    count++;
    lua_pop(L, 1);
  }
  *is_list = *is_list && last == (lua_Number)count;
  return count;
}

/* Appends the value on top of the stack under one more key. The key is number `index` where it is >= 0, else the value at
   stack index `key`. Takes the value off. */
static void append_under(lua_State *L, bx_query *query, int key, lua_Integer index) {
  bx_buffer *name = query->name;
  size_t length = name->length;
  if (query->nested > 0) check(L, bx_buffer_puts(name, "%5B"));
  if (index >= 0) {
    check(L, bx_buffer_integer(name, (long long)index));
  } else if (lua_type(L, key) == LUA_TNUMBER) {
    append_number(L, name, key);
  } else {
    size_t size;
    const char *text = lua_tolstring(L, key, &size);
    check(L, bx_form_text(name, text, size));
  }
  if (query->nested++ > 0) check(L, bx_buffer_puts(name, "%5D"));
  bx_query_value(L, query, lua_gettop(L));
  query->nested--;
  lua_pop(L, 1);
  name->length = length;
}

static void append_list(lua_State *L, bx_query *query, int table, size_t count) {
  size_t i;
  for (i = 0; i < count; i++) {
    lua_rawgeti(L, table, (int)i + 1);
    append_under(L, query, 0, (lua_Integer)i);
  }
}

/* In the order of the keys: the same parameters are the same bytes each time. */
static void append_map(lua_State *L, bx_query *query, int table, size_t count) {
  entry *entries = bx_newuserdata(L, count * sizeof *entries), *e = entries;
  size_t i;
  lua_pushnil(L);
  while (lua_next(L, table) != 0) {
    memset(e, 0, sizeof *e);
    if (lua_type(L, -2) == LUA_TNUMBER) {
      e->number = lua_tonumber(L, -2);
      if (bx_isinteger(L, -2)) e->integer = (long long)lua_tointeger(L, -2);
    } else {
      e->text = lua_tolstring(L, -2, &e->length); /* the table keeps it */
    }
    e++;
    lua_pop(L, 1);
  }
  qsort(entries, count, sizeof *entries, compare);
  for (i = 0; i < count; i++) {
    if (entries[i].text != NULL)
      lua_pushlstring(L, entries[i].text, entries[i].length);
    else if (BX_HAS_INTEGERS && (lua_Number)entries[i].integer == entries[i].number)
      bx_pushinteger64(L, entries[i].integer);
    else
      lua_pushnumber(L, entries[i].number);
    lua_pushvalue(L, -1);
    lua_rawget(L, table);
    append_under(L, query, lua_gettop(L) - 1, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static void append_table(lua_State *L, bx_query *query, int table) {
  int is_list;
  size_t count;
  luaL_checkstack(L, 8, "value nested too deeply");
  count = count_pairs(L, table, &is_list);
  if (count == 0) return;
  if (is_list)
    append_list(L, query, table, count);
  else
    append_map(L, query, table, count);
}

static void append_reference(lua_State *L, bx_query *query, int index, const char *text) {
  query->references++;
  if (query->values != 0) {
    lua_pushvalue(L, index);
    lua_rawget(L, query->values);
    if (!lua_isnil(L, -1)) {
      bx_query_value(L, query, lua_gettop(L));
      lua_pop(L, 1);
      return;
    }
    lua_pop(L, 1);
  }
  bx_query_text(L, query, text, strlen(text));
}

void bx_query_value(lua_State *L, bx_query *query, int index) {
  size_t length;
  const char *text;
  luaL_checkstack(L, 4, "value nested too deeply");
  switch (lua_type(L, index)) {
  case LUA_TTABLE:
    append_table(L, query, index);
    break;
  case LUA_TSTRING:
    text = lua_tolstring(L, index, &length);
    bx_query_text(L, query, text, length);
    break;
  case LUA_TNUMBER:
    start_pair(L, query);
    append_number(L, query->out, index);
    break;
  case LUA_TBOOLEAN:
    bx_query_integer(L, query, lua_toboolean(L, index));
    break;
  case LUA_TUSERDATA:
    text = bx_reference_text(L, index);
    if (text != NULL) append_reference(L, query, index, text);
    break;
  default: /* null */
    break;
  }
}
