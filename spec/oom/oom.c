/* What happens when memory runs out. Each scenario of scenarios.lua is run once for every allocation that it makes in
   Lua, in libcurl and in bitrix.core itself; that allocation fails: alone, with the one after it (Lua tries a second
   time when it has collected its garbage), or with all that follow. Each run must end in an error that says so, or
   in the result that it always has; the next run, without failures, must succeed; and nothing may be left behind.
   What lua-cjson takes from malloc is not counted: version 2.1.0 ends the program when that fails, and loses its buffer
   when Lua's memory ends while it decodes.

     make check-oom                            all
     build/oom/5.4/oom <scenario's number>     one of them
     build/oom/5.4/oom <number> <pool> <width> <first>    one run; SIGTRAP where memory fails, for a debugger */
#include <curl/curl.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool.h"
#include "server.h"

#define SCENARIOS "spec/oom/scenarios.lua"

enum { SECONDS = 240, LONGEST = 200000 /* allocations of a run */, COMPLAINTS = 5 /* shown of a line */ };

int luaopen_bitrix_core(lua_State *L);
void *bx_test_realloc(void *pointer, size_t size);

static pool lua_pool = {.name = "Lua"}, curl_pool = {.name = "libcurl"}, own_pool = {.name = "bitrix.core"};
static pool *const pools[] = {&lua_pool, &curl_pool, &own_pool};

enum { POOLS = sizeof pools / sizeof *pools };

static const struct width {
  const char *name;
  size_t count;
} widths[] = {{"one", 1}, {"two", 2}, {"all", (size_t)-1}};

enum { WIDTHS = sizeof widths / sizeof *widths };

/* ---- the allocators ---- */

static void *lua_allocate(void *user, void *block, size_t old, size_t size) {
  (void)old;
  return pool_realloc(user, block, size);
}

void *bx_test_realloc(void *pointer, size_t size) { return pool_realloc(&own_pool, pointer, size); }

static void *curl_malloc_(size_t size) { return pool_realloc(&curl_pool, NULL, size > 0 ? size : 1); }

static void curl_free_(void *block) { pool_realloc(&curl_pool, block, 0); }

static void *curl_realloc_(void *block, size_t size) { return pool_realloc(&curl_pool, block, size > 0 ? size : 1); }

static char *curl_strdup_(const char *text) {
  char *copy = curl_malloc_(strlen(text) + 1);
  return copy != NULL ? strcpy(copy, text) : NULL;
}

static void *curl_calloc_(size_t count, size_t size) {
  void *block = curl_malloc_(count * size);
  return block != NULL ? memset(block, 0, count * size) : NULL;
}

/* ---- one run ---- */

/* What is being tried, for complaints; and what came of it. */
typedef struct trial {
  int scenario;
  const char *name;
  pool *pool;
  const struct width *width;
  size_t first;
  unsigned injected, errors, results, mistaken, complaints;
} trial;

static trial current;

static void complain(const char *what, const char *more) {
  if (current.complaints++ < COMPLAINTS)
    fprintf(stderr, "check-oom: scenario %d, %s: %s %s from %u on: %s%s%s\n", current.scenario, current.name,
            current.pool->name, current.width->name, (unsigned)current.first, what, more[0] != '\0' ? ": " : "", more);
}

static void on_alarm(int number) {
  (void)number;
  complain("no end in sight", "");
  _exit(1);
}

/* scenarios.lua, compiled. */
static char *chunk;
static size_t chunk_length;

static int write_chunk(lua_State *L, const void *bytes, size_t length, void *user) {
  (void)L, (void)user;
  if ((chunk = realloc(chunk, chunk_length + length)) == NULL) abort();
  memcpy(chunk + chunk_length, bytes, length);
  chunk_length += length;
  return 0;
}

static void compile(void) {
  lua_State *L = luaL_newstate();
  if (L == NULL || luaL_loadfile(L, SCENARIOS) != 0) {
    fprintf(stderr, "check-oom: %s\n", L != NULL ? lua_tostring(L, -1) : "no Lua");
    exit(1);
  }
#if LUA_VERSION_NUM >= 503
  lua_dump(L, write_chunk, NULL, 0);
#else
  lua_dump(L, write_chunk, NULL);
#endif
  lua_close(L);
}

/* Calls without failures the function below its `count` arguments; false, with a complaint, when that fails. */
static int call(lua_State *L, int count, int results, const char *what) {
  if (lua_pcall(L, count, results, 0) == 0) return 1;
  complain(what, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1));
  return 0;
}

/* A new state with the list of scenarios at 1, or NULL. */
static lua_State *open_state(void) {
  lua_State *L = lua_newstate(lua_allocate, &lua_pool);
  if (L == NULL) {
    complain("no Lua state", "");
    return NULL;
  }
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_bitrix_core);
  lua_setfield(L, -2, "bitrix.core");
  lua_settop(L, 0);
  luaL_loadbuffer(L, chunk, chunk_length, "=" SCENARIOS);
  lua_pushinteger(L, server_port());
  lua_pushinteger(L, server_closed_port());
  lua_pushliteral(L, SCENARIOS);
  if (call(L, 3, 1, "the list of scenarios")) return L;
  lua_close(L);
  return NULL;
}

enum { LIST = 1, SCENARIO, ARGUMENTS }; /* stack indices */

static unsigned count_of(lua_State *L, const char *field) {
  unsigned n;
  lua_getfield(L, SCENARIO, field);
  n = (unsigned)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return n;
}

/* Calls scenario.run with what setup left from ARGUMENTS to `last`, with failures if `armed`. The answer is lua_pcall's. */
static int run(lua_State *L, int last, int armed) {
  int i, status;
  lua_settop(L, last);
  luaL_checkstack(L, 40, "arguments");
  lua_getfield(L, SCENARIO, "run");
  for (i = ARGUMENTS; i <= last; i++) lua_pushvalue(L, i);
  if (armed) pool_arm(current.pool, current.first, current.width->count);
  status = lua_pcall(L, last - ARGUMENTS + 1, LUA_MULTRET, 0);
  pool_disarm(current.pool);
  return status;
}

/* Hands what is above `last` to scenario.check. */
static void check(lua_State *L, int last, const char *what) {
  lua_getfield(L, SCENARIO, "check");
  lua_insert(L, last + 1);
  call(L, lua_gettop(L) - last - 1, 0, what);
}

/* libcurl has result codes that say something else when its memory fails: it takes a failure while it starts to
   resolve a name for a name that is not known, and zlib's for an answer that cannot be unpacked; and for headers that are
   too large it says that memory failed. Nobody who calls it can tell these apart. Whether the error object among the
   values above `last` is one of them. */
static int is_mistaken(lua_State *L, int last) {
  int i, found = 0;
  for (i = last + 1; i <= lua_gettop(L) && current.pool == &curl_pool && current.pool->refused > 0; i++) {
    const char *reason, *message;
    if (!lua_istable(L, i)) continue;
    lua_getfield(L, i, "reason");
    reason = lua_tostring(L, -1);
    lua_getfield(L, i, "message");
    message = lua_tostring(L, -1);
    found = found || (reason != NULL && (strcmp(reason, "dns") == 0 || strcmp(reason, "not_json") == 0)) ||
            (message != NULL && strstr(message, "memory ran out") != NULL);
    lua_pop(L, 2);
  }
  return found;
}

/* The run with failures, and its outcome. True when it ended in its usual result. */
static int run_short_of_memory(lua_State *L, int last) {
  int status = run(L, last, 1);
  if (current.pool->refused > 0) current.injected++;
  luaL_checkstack(L, 2, "reason");
  if (is_mistaken(L, last)) {
    current.mistaken++;
    return 0;
  }
  if (status == 0) {
    if (current.pool->refused > 0) current.results++;
    check(L, last, "a wrong result");
    return 1;
  }
  if (current.pool->refused > 0) current.errors++;
  if (lua_type(L, -1) != LUA_TSTRING || strstr(lua_tostring(L, -1), "not enough memory") == NULL) {
    luaL_checkstack(L, 2, "text");
    lua_getglobal(L, "tostring");
    lua_insert(L, -2);
    if (call(L, 1, 1, "tostring")) complain("a wrong error", lua_tostring(L, -1));
  }
  return 0;
}

/* Both runs of one trial in a state of their own. Answers how many requests the portal must at least have seen, and in
   *most how many at most. */
static unsigned try_in(lua_State *L, unsigned *most) {
  unsigned each, least_each, checks, least = 0;
  int last;
  lua_rawgeti(L, LIST, current.scenario);
  each = least_each = count_of(L, "requests");
  lua_getfield(L, SCENARIO, "least");
  if (!lua_isnil(L, -1)) least_each = (unsigned)lua_tointeger(L, -1);
  lua_pop(L, 1);
  checks = count_of(L, "check_requests");
  *most = count_of(L, "setup_requests") + 2 * (each + checks);
  lua_getfield(L, SCENARIO, "setup");
  if (lua_isnil(L, -1))
    lua_pop(L, 1);
  else if (!call(L, 0, LUA_MULTRET, "setup"))
    return 0;
  last = lua_gettop(L);
  if (run_short_of_memory(L, last)) least += least_each + checks;
  if (run(L, last, 0) == 0)
    check(L, last, "the next run has a wrong result");
  else
    complain("the next run fails", lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : luaL_typename(L, -1));
  return least + *most - 2 * each - checks + least_each;
}

static void check_balance(const size_t blocks[POOLS], const size_t bytes[POOLS]) {
  char text[80];
  int i;
  for (i = 0; i < POOLS; i++) {
    if (pools[i]->blocks == blocks[i] && pools[i]->bytes == bytes[i]) continue;
    snprintf(text, sizeof text, "%ld blocks, %ld bytes of %s", (long)pools[i]->blocks - (long)blocks[i],
             (long)pools[i]->bytes - (long)bytes[i], pools[i]->name);
    complain("left behind", text);
  }
}

/* One trial; false when nothing failed in it, because the run is over before. */
static int try_once(void) {
  size_t blocks[POOLS], bytes[POOLS];
  const char *wrong = "";
  unsigned least = 0, most = 0, requests = 0;
  lua_State *L;
  int i;
  for (i = 0; i < POOLS; i++) blocks[i] = pools[i]->blocks, bytes[i] = pools[i]->bytes;
  if ((L = open_state()) == NULL) return 0;
  least = try_in(L, &most);
  lua_close(L);
  if (server_settle(&requests, &wrong) != 0) complain("a connection was left open", "");
  if (wrong[0] != '\0') complain("a wrong request", wrong);
  if (requests < least) complain("the portal has seen too few requests", "");
  if (requests > most) complain("the portal has seen too many requests", "");
  check_balance(blocks, bytes);
  return current.pool->refused > 0;
}

/* ---- all of them ---- */

/* One line of the report: a scenario with the failures of one pool. False when something was wrong. */
static int try_pool(pool *p) {
  size_t w;
  current.pool = p;
  current.injected = current.errors = current.results = current.mistaken = current.complaints = 0;
  for (w = 0; w < WIDTHS; w++) {
    current.width = &widths[w];
    for (current.first = 1; try_once(); current.first++)
      if (current.first == LONGEST) complain("no end in sight", "");
  }
  printf("%2d %-34s %-12s %6u failures injected: %6u errors, %6u results, %u mistaken; %s\n", current.scenario,
         current.name, p->name, current.injected, current.errors, current.results, current.mistaken,
         current.complaints == 0 ? "ok" : "WRONG");
  if (current.complaints > 0) printf("   %u complaints\n", current.complaints);
  fflush(stdout);
  return current.complaints == 0;
}

/* Takes the scenario's name; false when there is no such scenario. */
static int choose(int number) {
  static char name[80];
  lua_State *L;
  current.scenario = number;
  current.name = name;
  name[0] = '\0';
  if ((L = open_state()) == NULL) return 0;
  lua_rawgeti(L, LIST, number);
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "name");
    snprintf(name, sizeof name, "%s", lua_tostring(L, -1));
  }
  lua_close(L);
  return name[0] != '\0';
}

/* Runs it without failures, twice: what libcurl and the C library keep for good is there afterwards. */
static int warm_up(void) {
  current.pool = pools[0];
  current.width = &widths[0];
  current.first = 0;
  current.complaints = 0;
  try_once();
  current.complaints = 0;
  try_once();
  return current.complaints == 0;
}

static int debug(char **arguments) {
  size_t i;
  for (i = 0; i < POOLS; i++)
    if (strcmp(pools[i]->name, arguments[0]) == 0) current.pool = pools[i];
  for (i = 0; i < WIDTHS; i++)
    if (strcmp(widths[i].name, arguments[1]) == 0) current.width = &widths[i];
  current.first = strtoul(arguments[2], NULL, 10);
  current.pool->stops_at_failure = 1;
  try_once();
  return current.complaints == 0;
}

static void prepare(void) {
  if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, curl_malloc_, curl_free_, curl_realloc_, curl_strdup_, curl_calloc_) !=
          CURLE_OK ||
      server_start() != 0) {
    fprintf(stderr, "check-oom: libcurl or the server does not start\n");
    exit(1);
  }
#if LUA_VERSION_NUM < 504
  lua_pool.shrinks_safely = 1; /* their manuals ask for it */
#endif
  compile();
  signal(SIGALRM, on_alarm);
  alarm(SECONDS);
}

/* All pools of the chosen scenario; the count of lines that were wrong. Adds to what was injected in each. */
static int try_scenario(unsigned long injected[POOLS]) {
  int i, wrong = 0;
  if (!warm_up()) return 1;
  for (i = 0; i < POOLS; i++) {
    wrong += !try_pool(pools[i]);
    injected[i] += current.injected;
  }
  return wrong;
}

int main(int count, char **arguments) {
  int only = count > 1 ? atoi(arguments[1]) : 0, number, i, wrong = 0;
  unsigned long injected[POOLS] = {0}, all = 0;
  current.name = "start", current.pool = pools[0], current.width = &widths[0];
  prepare();
  if (count > 4) return !(choose(only) && warm_up() && debug(arguments + 2));
  for (number = only > 0 ? only : 1; (only == 0 || number == only) && choose(number); number++)
    wrong += try_scenario(injected);
  for (i = 0; i < POOLS; i++) {
    all += injected[i];
    if (injected[i] > 0 || only > 0) continue;
    printf("%s never asks for memory here: this test proves nothing\n", pools[i]->name);
    wrong++;
  }
  free(chunk);
  printf("%lu failures injected: %s\n", all, wrong == 0 ? "each ended in an error or the right result" : "WRONG");
  return wrong != 0;
}
