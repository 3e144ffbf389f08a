/* What a client is to C: see session.h. */
#include "session.h"

#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine_lua.h"
#include "mask.h"
#include "names.h"

#define METATABLE "bitrix.session"

/* Sessions of this process that are not released. */
static size_t alive;

/* To Lua's collector a session is a few bytes; to the system it is up to three descriptors. Programs that make many
   clients and leave them to the collector would run out of these long before it has a reason to run. */
static void collect_forgotten(lua_State *L) {
  static size_t enough = 64;
  size_t left;
  if (__atomic_load_n(&alive, __ATOMIC_RELAXED) < __atomic_load_n(&enough, __ATOMIC_RELAXED)) return;
  lua_gc(L, LUA_GCCOLLECT, 0);
  left = __atomic_load_n(&alive, __ATOMIC_RELAXED);
  __atomic_store_n(&enough, left > 32 ? 2 * left : 64, __ATOMIC_RELAXED);
}

bx_session *bx_session_hold(bx_session *session) {
  __atomic_add_fetch(&session->references, 1, __ATOMIC_RELAXED);
  return session;
}

void bx_session_release(bx_session *session) {
  if (session == NULL || __atomic_sub_fetch(&session->references, 1, __ATOMIC_ACQ_REL) > 0) return;
  __atomic_sub_fetch(&alive, 1, __ATOMIC_RELAXED);
  bx_http_close(&session->http);
  bx_fleet_empty(&session->fleet);
  bx_settings_free(&session->settings);
  bx_free(session);
}

static void release(void *session) { bx_session_release(session); }

bx_session *bx_session_check(lua_State *L, int index) {
  bx_session **place = luaL_checkudata(L, index, METATABLE);
  if (*place == NULL) luaL_argerror(L, index, "this session was collected");
  return *place;
}

static int session_gc(lua_State *L) {
  bx_session **place = luaL_checkudata(L, 1, METATABLE);
  bx_session_release(*place);
  *place = NULL;
  return 0;
}

int bx_session_close(lua_State *L) {
  bx_session *session = bx_session_check(L, 1);
  session->closed = 1;
  bx_http_close(&session->http);
  bx_session_hold(session);
  if (!bx_fleet_close(&session->fleet, bx_engine_lua_get(L))) bx_session_release(session);
  return 0;
}

int bx_session_place(lua_State *L) {
  const bx_session *session = bx_session_check(L, 1);
  if (session->closed) return 0;
  lua_pushstring(L, session->settings.place);
  return 1;
}

/* true; or nil and the problem. */
static int push_outcome(lua_State *L, const char *problem) {
  if (problem == bx_settings_no_memory) return luaL_error(L, "%s", problem);
  if (problem != NULL) {
    lua_pushnil(L);
    lua_pushstring(L, problem);
    return 2;
  }
  lua_pushboolean(L, 1);
  return 1;
}

int bx_session_set_token(lua_State *L) {
  bx_session *session = bx_session_check(L, 1);
  size_t length, refresh_length;
  const char *access = luaL_checklstring(L, 2, &length);
  const char *refresh = luaL_optlstring(L, 3, NULL, &refresh_length);
  luaL_argcheck(L, session->settings.oauth, 1, "this client has a webhook");
  if (refresh != NULL && bx_secrets_add_token(&session->settings.secrets, refresh, refresh_length) != 0)
    return push_outcome(L, bx_settings_no_memory);
  return push_outcome(L, bx_settings_token(&session->settings, access, length));
}

int bx_session_move(lua_State *L) {
  bx_session *session = bx_session_check(L, 1);
  size_t length;
  const char *address = luaL_checklstring(L, 2, &length);
  return push_outcome(L, bx_settings_move(&session->settings, address, length));
}

static int session_tostring(lua_State *L) {
  const bx_session *session = bx_session_check(L, 1);
  lua_pushfstring(L, "bitrix.session (%s)", session->closed ? "closed" : session->settings.place);
  return 1;
}

void bx_session_open(lua_State *L, const luaL_Reg *methods, int upvalues) {
  int i, base = lua_gettop(L) - upvalues;
  luaL_newmetatable(L, METATABLE);
  lua_newtable(L);
  for (i = 1; i <= upvalues; i++) lua_pushvalue(L, base + i);
  luaL_setfuncs(L, methods, upvalues);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, session_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, session_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushliteral(L, METATABLE);
  lua_setfield(L, -2, "__metatable");
  lua_settop(L, base);
}

/* ---- the options ----
   Each taker finds a value of the right type on top of the stack. It answers NULL, or what was expected. */

enum { BIGGEST_SECONDS = 1000000, MOST_CONNECTIONS = 10000 };

typedef struct taken {
  bx_settings *settings;
  double deadline;
  int insecure_http;
} taken;

static const char *take_seconds(lua_State *L, double *seconds) {
  lua_Number n = lua_tonumber(L, -1);
  if (!(n > 0 && n <= BIGGEST_SECONDS)) return "a positive number of seconds expected, 1000000 at most";
  *seconds = n;
  return NULL;
}

static const char *take_boolean(lua_State *L, int *value) {
  *value = lua_toboolean(L, -1);
  return NULL;
}

/* Puts a copy of the string on top in place of *place. */
static const char *copy_string(lua_State *L, char **place) {
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  char *copy = bx_strndup(text, length);
  if (copy == NULL) return bx_settings_no_memory;
  bx_free(*place);
  *place = copy;
  return NULL;
}

static const char *take_timeout(lua_State *L, taken *t) { return take_seconds(L, &t->settings->http.timeout); }

static const char *take_connect_timeout(lua_State *L, taken *t) {
  return take_seconds(L, &t->settings->http.connect_timeout);
}

static const char *take_deadline(lua_State *L, taken *t) { return take_seconds(L, &t->deadline); }

static const char *take_max_response(lua_State *L, taken *t) {
  lua_Number n = lua_tonumber(L, -1);
  if (!(n >= 1 && n <= (lua_Number)(SIZE_MAX / 8))) return "a positive number of bytes expected";
  t->settings->http.max_response = (size_t)n;
  return NULL;
}

static const char *take_max_connections(lua_State *L, taken *t) {
  lua_Number n = lua_tonumber(L, -1);
  if (!(n >= 1 && n <= MOST_CONNECTIONS) || n != (lua_Number)(unsigned)n) return "an integer from 1 to 10000 expected";
  t->settings->http.max_connections = (unsigned)n;
  return NULL;
}

static const char *take_ca_file(lua_State *L, taken *t) {
  size_t length;
  const char *path = lua_tolstring(L, -1, &length);
  struct stat info;
  if (strlen(path) != length || stat(path, &info) != 0 || S_ISDIR(info.st_mode) || access(path, R_OK) != 0)
    return "the path of a readable file of PEM certificates expected";
  return copy_string(L, &t->settings->http.ca_file);
}

static const char *take_verify(lua_State *L, taken *t) { return take_boolean(L, &t->settings->http.verify); }

static const char *take_proxy(lua_State *L, taken *t) {
  size_t length = 0;
  const char *text = lua_isboolean(L, -1) ? "" : lua_tolstring(L, -1, &length);
  if (lua_toboolean(L, -1) && lua_isboolean(L, -1)) return "a proxy's address expected, or false for no proxy";
  return bx_settings_proxy(t->settings, text, length);
}

static const char *take_user_agent(lua_State *L, taken *t) {
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  if (!bx_settings_printable(text, length)) return "non-empty printable text expected";
  return copy_string(L, &t->settings->http.user_agent);
}

static const char *take_headers(lua_State *L, taken *t) {
  int table = lua_gettop(L);
  const char *problem = NULL;
  lua_pushnil(L);
  while (problem == NULL && lua_next(L, table) != 0) {
    size_t name_length, value_length;
    const char *name, *value;
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) {
      problem = "header names and values must all be strings";
      break;
    }
    name = lua_tolstring(L, -2, &name_length);
    value = lua_tolstring(L, -1, &value_length);
    problem = bx_settings_header(t->settings, name, name_length, value, value_length);
    lua_pop(L, 1);
  }
  lua_settop(L, table);
  return problem;
}

static const char *take_insecure_http(lua_State *L, taken *t) { return take_boolean(L, &t->insecure_http); }

/* Lua's business: policy.lua checks and keeps these. */
static const char *leave(lua_State *L, taken *t) {
  (void)L;
  (void)t;
  return NULL;
}

static const char *take_webhook(lua_State *L, taken *t) {
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  lua_getfield(L, 1, "oauth");
  if (!lua_isnil(L, -1)) return "either a webhook or oauth expected, not both";
  return bx_settings_webhook(t->settings, text, length, t->insecure_http);
}

/* A field of the option `oauth` that is a string, or NULL; it is pushed either way. */
static const char *oauth_field(lua_State *L, int table, const char *name, size_t *length) {
  lua_getfield(L, table, name);
  return lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, length) : NULL;
}

/* { endpoint =, client_secret =, access_token =, refresh_token = }: what C needs of it; bitrix.oauth looks at the rest.
   The secret before the tokens: it stays. */
static const char *take_oauth(lua_State *L, taken *t) {
  int table = lua_gettop(L);
  bx_settings *settings = t->settings;
  const char *text, *problem;
  size_t length;
  if ((text = oauth_field(L, table, "endpoint", &length)) == NULL) return "field 'endpoint': string expected";
  if ((problem = bx_settings_endpoint(settings, text, length, t->insecure_http)) != NULL) return problem;
  if ((text = oauth_field(L, table, "client_secret", &length)) != NULL &&
      bx_secrets_add(&settings->secrets, text, length) != 0)
    return bx_settings_no_memory;
  if ((text = oauth_field(L, table, "refresh_token", &length)) != NULL &&
      bx_secrets_add_token(&settings->secrets, text, length) != 0)
    return bx_settings_no_memory;
  if ((text = oauth_field(L, table, "access_token", &length)) != NULL) return bx_settings_token(settings, text, length);
  return NULL;
}

/* In the order in which they are taken: the addresses after insecure_http, which they need. */
static const struct option {
  const char *name;
  int type;
  const char *(*take)(lua_State *L, taken *t);
} options[] = {
    {"timeout", LUA_TNUMBER, take_timeout},
    {"connect_timeout", LUA_TNUMBER, take_connect_timeout},
    {"deadline", LUA_TNUMBER, take_deadline},
    {"max_response", LUA_TNUMBER, take_max_response},
    {"max_connections", LUA_TNUMBER, take_max_connections},
    {"ca_file", LUA_TSTRING, take_ca_file},
    {"verify", LUA_TBOOLEAN, take_verify},
    {"proxy", LUA_TSTRING, take_proxy},
    {"user_agent", LUA_TSTRING, take_user_agent},
    {"headers", LUA_TTABLE, take_headers},
    {"insecure_http", LUA_TBOOLEAN, take_insecure_http},
    {"retry", LUA_TNONE, leave},
    {"limit", LUA_TNONE, leave},
    {"on_event", LUA_TFUNCTION, leave},
    {"webhook", LUA_TSTRING, take_webhook},
    {"oauth", LUA_TTABLE, take_oauth},
};

enum { OPTIONS = sizeof options / sizeof *options };

/* Takes the value on top of the stack; NULL, or the reason why not, pushed. Throws when memory runs out. */
static const char *take_option(lua_State *L, const struct option *option, taken *t) {
  const char *expected;
  int type = lua_type(L, -1);
  if (type != option->type && option->type != LUA_TNONE && !(option->take == take_proxy && type == LUA_TBOOLEAN))
    return lua_pushfstring(L, "option '%s': %s expected, got %s", option->name, lua_typename(L, option->type),
                           lua_typename(L, type));
  if ((expected = option->take(L, t)) == NULL) return NULL;
  if (expected == bx_settings_no_memory) luaL_error(L, expected);
  /* A string is not shown: it may be a secret. */
  if (type != LUA_TNUMBER) return lua_pushfstring(L, "option '%s': %s", option->name, expected);
  return lua_pushfstring(L, "option '%s': %s, got %s", option->name, expected, lua_tostring(L, -1));
}

/* Pushes a message about the first key of the table at 1 that is no option; true when there is one. */
static int find_unknown(lua_State *L) {
  lua_pushnil(L);
  while (lua_next(L, 1) != 0) {
    bx_nearest nearest = {NULL, 0};
    size_t i, length = 0;
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tolstring(L, -2, &length) : NULL;
    for (i = 0; name != NULL && i < OPTIONS; i++) {
      if (strcmp(options[i].name, name) == 0 && strlen(name) == length) break;
      bx_nearest_offer(&nearest, name, options[i].name);
    }
    if (name == NULL) return lua_pushfstring(L, "unknown option (a %s): names expected", luaL_typename(L, -2)) != NULL;
    if (i == OPTIONS) {
      if (nearest.name == NULL) return lua_pushfstring(L, "unknown option '%s'", name) != NULL;
      return lua_pushfstring(L, "unknown option '%s'; did you mean '%s'?", name, nearest.name) != NULL;
    }
    lua_pop(L, 1);
  }
  return 0;
}

int bx_session_new(lua_State *L) {
  bx_session **place, *session;
  taken t;
  size_t i;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  if (find_unknown(L)) {
    size_t length;
    const char *message = lua_tolstring(L, -1, &length);
    lua_pushnil(L);
    bx_mask_push(L, NULL, message, length, length); /* who gives a webhook as a name does not get it back */
    return 2;
  }
  collect_forgotten(L);
  place = bx_newuserdata(L, sizeof *place);
  *place = NULL;
  luaL_getmetatable(L, METATABLE);
  lua_setmetatable(L, -2);
  session = bx_realloc(NULL, sizeof *session);
  if (session == NULL) return luaL_error(L, bx_settings_no_memory);
  memset(session, 0, sizeof *session);
  __atomic_add_fetch(&alive, 1, __ATOMIC_RELAXED);
  *place = bx_session_hold(session);
  session->fleet.settings = &session->settings.http;
  session->fleet.owner = session;
  session->fleet.release = release;
  if (bx_settings_init(&session->settings) != 0) return luaL_error(L, bx_settings_no_memory);
  t.settings = &session->settings;
  t.deadline = 180;
  t.insecure_http = 0;
  for (i = 0; i < OPTIONS; i++) {
    lua_getfield(L, 1, options[i].name);
    if (!lua_isnil(L, -1) && take_option(L, &options[i], &t) != NULL) {
      lua_pushnil(L);
      lua_insert(L, -2);
      return 2;
    }
    lua_settop(L, 2);
  }
  if (session->settings.base == NULL) {
    lua_pushnil(L);
    lua_pushliteral(L, "no webhook: give the option 'webhook' or set BITRIX24_WEBHOOK_URL");
    return 2;
  }
  lua_pushnumber(L, t.deadline);
  return 2;
}
