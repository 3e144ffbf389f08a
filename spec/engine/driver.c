/* Lua states that open and close with exchanges on their way, in several threads at once, for the sanitizers:
   ThreadSanitizer (make check-tsan) and AddressSanitizer (make check-asan). What is done in a state is in states.lua; here are the
   threads, a portal, a channel for tickets, and a resolver that takes its time.

     build/tsan/states [threads [rounds [seed]]] */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SCRIPT "spec/engine/states.lua"

enum { SECONDS = 300, SLOW_NAME = 4 /* seconds to resolve slow.example */, CLOSING = 2 /* a state may take */ };

int luaopen_bitrix_core(lua_State *L);

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what, const char *more) {
  fprintf(stderr, "states: %s: %s\n", what, more);
  exit(1);
}

/* ---- a resolver that hangs for one name ---- */

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  int (*known)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
      __atomic_load_n(&real, __ATOMIC_ACQUIRE);
  if (known == NULL) {
    *(void **)&known = dlsym(RTLD_NEXT, "getaddrinfo");
    __atomic_store_n(&real, known, __ATOMIC_RELEASE);
  }
  if (name != NULL && strcmp(name, "slow.example") == 0) {
    struct timespec t = {SLOW_NAME, 0};
    nanosleep(&t, NULL);
    return EAI_NONAME;
  }
  return known(name, service, hints, found);
}

/* ---- a portal ---- */

enum { CLIENTS = 512, ROOM = 4096 };

typedef struct client {
  size_t length;
  char data[ROOM];
} client;

static struct pollfd polled[CLIENTS + 1];
static client clients[CLIENTS + 1];

static void hang_up(int i) {
  close(polled[i].fd);
  polled[i].fd = -1;
}

/* A whole request has come: /rest/1/<what>/... says what becomes of it. */
static void answer(int i) {
  static const char body[] = "{\"result\":{\"id\":7},\"time\":{\"start\":1.5}}";
  char text[512];
  const char *what = clients[i].data + strlen("POST /rest/1/");
  int n;
  if (strncmp(what, "silent", 6) == 0) return;
  if (strncmp(what, "closed", 6) == 0) {
    hang_up(i);
    return;
  }
  n = snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n%s", (unsigned)sizeof body - 1, body);
  if (strncmp(what, "unasked", 7) == 0) { /* one answer too many, at once: what comes later can be no one's fault */
    memcpy(text + n, text, (size_t)n);
    n *= 2;
  }
  if (send(polled[i].fd, text, (size_t)n, MSG_NOSIGNAL) != n) hang_up(i);
}

static void take(int i) {
  client *c = &clients[i];
  const char *end, *length;
  ssize_t got = recv(polled[i].fd, c->data + c->length, ROOM - 1 - c->length, 0);
  if (got <= 0) {
    hang_up(i);
    return;
  }
  c->length += (size_t)got;
  c->data[c->length] = '\0';
  if ((end = strstr(c->data, "\r\n\r\n")) == NULL) return;
  length = strstr(c->data, "Content-Length: ");
  if (length == NULL || c->length < (size_t)(end + 4 - c->data) + strtoul(length + 16, NULL, 10)) return;
  c->length = 0;
  answer(i);
}

static void *serve(void *user) {
  int i, fd;
  (void)user;
  for (;;) {
    poll(polled, CLIENTS + 1, -1);
    for (i = 1; i <= CLIENTS; i++)
      if (polled[i].fd >= 0 && polled[i].revents != 0) take(i);
    if (polled[0].revents == 0 || (fd = accept(polled[0].fd, NULL, NULL)) < 0) continue;
    for (i = 1; i <= CLIENTS && polled[i].fd >= 0; i++) continue;
    if (i > CLIENTS) fail("the portal", "too many connections");
    polled[i].fd = fd;
    polled[i].events = POLLIN;
    polled[i].revents = 0;
    clients[i].length = 0;
  }
  return NULL;
}

static int start_portal(void) {
  struct sockaddr_in name;
  socklen_t length = sizeof name;
  pthread_t thread;
  int i, fd = socket(AF_INET, SOCK_STREAM, 0);
  memset(&name, 0, sizeof name);
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&name, sizeof name) != 0 || listen(fd, 512) != 0 ||
      getsockname(fd, (struct sockaddr *)&name, &length) != 0)
    fail("the portal", strerror(errno));
  for (i = 0; i <= CLIENTS; i++) polled[i].fd = -1;
  polled[0].fd = fd;
  polled[0].events = POLLIN;
  if (pthread_create(&thread, NULL, serve, NULL) != 0) fail("the portal", "no thread");
  pthread_detach(thread);
  return ntohs(name.sin_port);
}

/* ---- a channel, for Lua ---- */

/* connect(address) → descriptor */
static int l_connect(lua_State *L) {
  const char *address = luaL_checkstring(L, 1);
  struct sockaddr_un name;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  memset(&name, 0, sizeof name);
  name.sun_family = AF_UNIX;
  snprintf(name.sun_path, sizeof name.sun_path, "%s", address + strlen("unix:"));
  if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof name) != 0)
    return luaL_error(L, "cannot connect: %s", strerror(errno));
  lua_pushinteger(L, fd);
  return 1;
}

/* send(descriptor, ticket) */
static int l_send(lua_State *L) {
  size_t length;
  const char *ticket = luaL_checklstring(L, 2, &length);
  if (send((int)luaL_checkinteger(L, 1), ticket, length, MSG_NOSIGNAL) != (ssize_t)length)
    return luaL_error(L, "cannot send: %s", strerror(errno));
  return 0;
}

/* receive(descriptor) → whether a byte came */
static int l_receive(lua_State *L) {
  char byte;
  lua_pushboolean(L, recv((int)luaL_checkinteger(L, 1), &byte, 1, 0) == 1);
  return 1;
}

/* close(descriptor) */
static int l_close(lua_State *L) {
  close((int)luaL_checkinteger(L, 1));
  return 0;
}

/* ---- states ---- */

typedef struct work {
  pthread_t thread;
  int port, rounds;
  unsigned seed;
} work;

static void run_state(const work *w, unsigned seed) {
  static const luaL_Reg functions[] = {
      {"connect", l_connect}, {"send", l_send}, {"receive", l_receive}, {"close", l_close}, {NULL, NULL},
  };
  lua_State *L = luaL_newstate();
  const luaL_Reg *f;
  double started;
  int channels[64], open, i;
  if (L == NULL) fail("Lua", "no memory");
  luaL_openlibs(L);
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "preload");
  lua_pushcfunction(L, luaopen_bitrix_core);
  lua_setfield(L, -2, "bitrix.core");
  for (f = functions; f->name != NULL; f++) lua_register(L, f->name, f->func);
  if (luaL_loadfile(L, SCRIPT) != 0) fail(SCRIPT, lua_tostring(L, -1));
  lua_pushinteger(L, w->port);
  lua_pushinteger(L, (lua_Integer)seed);
  if (lua_pcall(L, 2, 1, 0) != 0) fail(SCRIPT, lua_tostring(L, -1));
  for (open = 0; open < 64; open++) {
    lua_rawgeti(L, -1, open + 1);
    if (lua_isnil(L, -1)) break;
    channels[open] = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
  }
  started = now();
  lua_close(L);
  for (i = 0; i < open; i++) close(channels[i]);
  if (now() - started > CLOSING) fail("closing a state", "it took too long");
}

static void *run_states(void *user) {
  const work *w = user;
  int i;
  for (i = 0; i < w->rounds; i++) run_state(w, w->seed + (unsigned)i * 7919u);
  return NULL;
}

int main(int count, char **arguments) {
  int threads = count > 1 ? atoi(arguments[1]) : 3, i, port;
  work works[16];
  if (threads < 1 || threads > 16) fail("usage", "1 to 16 threads");
  alarm(SECONDS);
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) fail("libcurl", "it does not start");
  port = start_portal();
  for (i = 0; i < threads; i++) {
    works[i].port = port;
    works[i].rounds = count > 2 ? atoi(arguments[2]) : 20;
    works[i].seed = (count > 3 ? (unsigned)atoi(arguments[3]) : 1u) + (unsigned)i * 104729u;
    if (pthread_create(&works[i].thread, NULL, run_states, &works[i]) != 0) fail("start", "no thread");
  }
  for (i = 0; i < threads; i++) pthread_join(works[i].thread, NULL);
  printf("%d threads, %d states each: ok\n", threads, works[0].rounds);
  return 0;
}
