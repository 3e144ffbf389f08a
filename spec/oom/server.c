/* A portal of canned answers on loopback: see server.h. */
#include "server.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { CLIENTS = 8, ROOM = 8192, LARGE = 3000 };

/* ---- what is answered ---- */

#define ADD "tasks.api.scrum.backlog.add"
#define ADDED "{\"fields\":{\"groupId\":125,\"createdBy\":6}}"
#define JSON "Content-Type: application/json\r\n"

/* {"result":{"id":7,"groupId":125,"createdBy":6,"modifiedBy":6},"time":{"start":1.5}} */
static const char zipped[] =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x4a\x2d\x2e\xcd\x29\x51\xb2\xaa\x56\xca\x4c\x51\xb2\x32\xd7"
    "\x51\x4a\x2f\xca\x2f\x2d\xf0\x04\xb2\x0d\x8d\x4c\x75\x94\x92\x8b\x52\x13\x4b\x52\x53\x9c\x2a\x95\xac\xcc\x74\x94"
    "\x72\xf3\x53\x32\xd3\x32\xa1\xdc\x5a\x1d\xa5\x92\xcc\xdc\x54\x90\xd6\xe2\x92\xc4\x22\xa0\x19\x86\x7a\xa6\xb5\xb5"
    "\x00\x2c\xfe\x82\x32\x53\x00\x00\x00";

static char large[LARGE * 5 + 32]; /* {"result":[1000,1001,...]} */

/* The webhook's code, without "oom-", says which answer is wanted. */
typedef struct answer {
  const char *code;
  const char *method;  /* the request's */
  const char *request; /* its body */
  const char *head;    /* NULL: the connection is closed without an answer */
  const char *body;
  size_t length; /* of the body; 0: it is a string */
  size_t hidden; /* how many bytes more the head promises; the connection is closed then */
} answer;

static const answer answers[] = {
    {"added", ADD, ADDED, "200 OK\r\n" JSON,
     "{\"result\":{\"id\":7,\"groupId\":125,\"createdBy\":6,\"modifiedBy\":6},\"time\":{\"start\":1.5}}", 0, 0},
    {"zipped", ADD, ADDED, "200 OK\r\nContent-Encoding: gzip\r\n" JSON, zipped, sizeof zipped - 1, 0},
    {"large", ADD, ADDED, "200 OK\r\n" JSON, large, 0, 0},
    {"already", ADD, ADDED, "400 Bad Request\r\n" JSON, "{\"error\":0,\"error_description\":\"Backlog already added\"}",
     0, 0},
    {"v3", ADD, ADDED, "400 Bad Request\r\n" JSON,
     "{\"error\":{\"code\":\"VALIDATION_ERROR\",\"message\":\"Invalid input\",\"validation\":["
     "{\"field\":\"title\",\"message\":\"Required field\"},{\"field\":\"x\",\"message\":\"y\"}]}}",
     0, 0},
    {"html", ADD, ADDED, "502 Bad Gateway\r\nContent-Type: text/html\r\n", "<html>502 of /rest/1/oom-html/</html>", 0,
     0},
    {"redirect", ADD, ADDED, "302 Found\r\nLocation: https://other.example/rest/1/oom-redirect/\r\n", "<a>moved</a>", 0,
     0},
    {"truncated", ADD, ADDED, "200 OK\r\n" JSON, "{\"result\":{\"id\":7,", 0, 50},
    {"reset", ADD, ADDED, NULL, NULL, 0, 0},
    {"called", "crm.item.list", "{\"filter\":{\"stages\":[\"NEW\",\"W\xc3\xb6n\"]}}", "200 OK\r\n" JSON,
     "{\"result\":{\"items\":[{\"id\":1,\"gone\":null,\"list\":[null,2.5]}]},\"total\":1,\"next\":50}", 0, 0},
    {NULL, NULL, NULL, NULL, NULL, 0, 0},
};

static void fill_large(void) {
  size_t i, n = (size_t)sprintf(large, "{\"result\":[");
  for (i = 0; i < LARGE; i++) n += (size_t)sprintf(large + n, i > 0 ? ",%u" : "%u", (unsigned)(1000 + i));
  sprintf(large + n, "]}");
}

/* ---- the state ---- */

typedef struct client {
  int fd; /* -1: free */
  int waits_for_others;
  size_t length;
  char data[ROOM];
} client;

static client clients[CLIENTS];
static int listener, closed_listener, port, closed_port;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned requests;
static char complaint[512];

static void complain(const char *what, const char *text, size_t length) {
  pthread_mutex_lock(&mutex);
  if (complaint[0] == '\0') snprintf(complaint, sizeof complaint, "%s: %.*s", what, (int)length, text);
  pthread_mutex_unlock(&mutex);
}

/* ---- what is expected ---- */

enum { HEADERS = 8, LINE = 64 };

static size_t expected_headers(char lines[HEADERS][LINE], size_t body) {
  size_t n = 0;
  snprintf(lines[n++], LINE, "Host: 127.0.0.1:%d", port);
  snprintf(lines[n++], LINE, "Content-Length: %u", (unsigned)body);
  snprintf(lines[n++], LINE, "User-Agent: oom-test/1");
  snprintf(lines[n++], LINE, "Content-Type: application/json");
  snprintf(lines[n++], LINE, "Accept: application/json");
  snprintf(lines[n++], LINE, "X-One: eins");
  snprintf(lines[n++], LINE, "X-Two: zwei");
  if (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_LIBZ)
    snprintf(lines[n++], LINE, "Accept-Encoding: gzip");
  return n;
}

/* "X-Request-ID: " and 16 digits, each time others. */
static int is_request_id(const char *line, size_t length) {
  static const char name[] = "X-Request-ID: ";
  return length == sizeof name - 1 + 16 && memcmp(line, name, sizeof name - 1) == 0 &&
         strspn(line + sizeof name - 1, "0123456789abcdef") == 16;
}

/* Each header line is an expected one, and none of those is missing. `head` starts at the first of them. */
static void check_headers(const char *head, const char *end, size_t body) {
  char lines[HEADERS][LINE];
  size_t i, n = expected_headers(lines, body);
  unsigned seen = 0, ids = 0;
  while (head < end) {
    const char *stop = strstr(head, "\r\n");
    size_t length = (size_t)(stop - head);
    if (is_request_id(head, length)) {
      ids++;
      head = stop + 2;
      continue;
    }
    for (i = 0; i < n; i++)
      if (!(seen & 1u << i) && strlen(lines[i]) == length && memcmp(lines[i], head, length) == 0) break;
    if (i == n) complain("unexpected header", head, length);
    seen |= 1u << i;
    head = stop + 2;
  }
  if (ids != 1) complain("wrong number of headers", "X-Request-ID", 12);
  for (i = 0; i < n; i++)
    if (!(seen & 1u << i)) complain("missing header", lines[i], strlen(lines[i]));
}

/* Finds the answer by the request's first line, which must be right to the letter. */
static const answer *find_answer(const char *data) {
  char line[128];
  const answer *a;
  for (a = answers; a->code != NULL; a++) {
    snprintf(line, sizeof line, "POST /rest/1/oom-%s/%s HTTP/1.1\r\n", a->code, a->method);
    if (strncmp(data, line, strlen(line)) == 0) return a;
  }
  return NULL;
}

/* ---- connections ---- */

static void send_all(int fd, const char *data, size_t length) {
  while (length > 0) {
    ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
    if (n <= 0) return; /* the client has gone, which is for the driver to judge */
    data += n;
    length -= (size_t)n;
  }
}

static void send_answer(int fd, const answer *a) {
  char head[256];
  size_t length = a->head == NULL ? 0 : a->length > 0 ? a->length : strlen(a->body);
  if (a->head != NULL) {
    snprintf(head, sizeof head, "HTTP/1.1 %sContent-Length: %u\r\n\r\n", a->head, (unsigned)(length + a->hidden));
    send_all(fd, head, strlen(head));
    send_all(fd, a->body, length);
  }
  if (a->head == NULL || a->hidden > 0) shutdown(fd, SHUT_WR);
}

/* Answers what has come so far, if it is a whole request. */
static void look_at(client *c) {
  const char *end, *length_line;
  const answer *a;
  unsigned body = 0;
  c->data[c->length] = '\0';
  if (strncmp(c->data, "settle", 6) == 0) c->waits_for_others = 1;
  if (c->data[0] == '\x16') { /* a TLS handshake */
    send_all(c->fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    shutdown(c->fd, SHUT_WR);
    c->length = 0;
  }
  if ((end = strstr(c->data, "\r\n\r\n")) == NULL) return;
  if ((length_line = strstr(c->data, "Content-Length: ")) != NULL) sscanf(length_line + 16, "%u", &body);
  if (c->length < (size_t)(end + 4 - c->data) + body) return;
  pthread_mutex_lock(&mutex);
  requests++;
  pthread_mutex_unlock(&mutex);
  if ((a = find_answer(c->data)) == NULL) {
    complain("unexpected request", c->data, strcspn(c->data, "\r"));
    shutdown(c->fd, SHUT_WR);
    return;
  }
  check_headers(strstr(c->data, "\r\n") + 2, end + 2, strlen(a->request));
  if (body != strlen(a->request) || memcmp(end + 4, a->request, body) != 0) complain("wrong body", end + 4, body);
  if (end + 4 + body != c->data + c->length) complain("more than a request", end + 4 + body, 20);
  c->length = 0;
  send_answer(c->fd, a);
}

static void hear(client *c) {
  ssize_t n = c->length < ROOM - 1 ? recv(c->fd, c->data + c->length, ROOM - 1 - c->length, 0) : 0;
  if (n <= 0) {
    close(c->fd);
    c->fd = -1;
    return;
  }
  c->length += (size_t)n;
  look_at(c);
}

static void accept_client(void) {
  static const struct linger no_wait = {1, 0}; /* thousands of connections must not use up the ports */
  size_t i;
  int at_once = 1, fd = accept(listener, NULL, NULL);
  if (fd < 0) return;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &no_wait, sizeof no_wait);
  for (i = 0; i < CLIENTS; i++) {
    if (clients[i].fd >= 0) continue;
    clients[i].fd = fd;
    clients[i].length = 0;
    clients[i].waits_for_others = 0;
    return;
  }
  complain("too many connections", "", 0);
  close(fd);
}

/* Connections are accepted in the order in which they were made: when only the one that waits is left, all that
   came before it has been seen. */
static void release_waiting(void) {
  client *waiting = NULL;
  size_t i, open = 0;
  for (i = 0; i < CLIENTS; i++) {
    if (clients[i].fd < 0) continue;
    open++;
    if (clients[i].waits_for_others) waiting = &clients[i];
  }
  if (open != 1 || waiting == NULL) return;
  send_all(waiting->fd, "ok", 2);
  waiting->waits_for_others = 0;
}

static void *serve(void *unused) {
  for (;;) {
    struct pollfd fds[CLIENTS + 1];
    size_t i;
    fds[CLIENTS].fd = listener;
    for (i = 0; i < CLIENTS; i++) fds[i].fd = clients[i].fd;
    for (i = 0; i <= CLIENTS; i++) fds[i].events = POLLIN, fds[i].revents = 0;
    if (poll(fds, CLIENTS + 1, -1) < 0) continue;
    for (i = 0; i < CLIENTS; i++)
      if (fds[i].revents != 0) hear(&clients[i]);
    if (fds[CLIENTS].revents != 0) accept_client();
    release_waiting();
  }
  return unused;
}

/* ---- for the driver ---- */

static int bind_loopback(int *bound) {
  struct sockaddr_in address = {0};
  socklen_t length = sizeof address;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
      getsockname(fd, (struct sockaddr *)&address, &length) != 0)
    return -1;
  *bound = ntohs(address.sin_port);
  return fd;
}

int server_start(void) {
  pthread_t thread;
  size_t i;
  fill_large();
  for (i = 0; i < CLIENTS; i++) clients[i].fd = -1;
  /* Bound and never listened on: a connection to it is refused, and no other program gets it. */
  if ((listener = bind_loopback(&port)) < 0 || (closed_listener = bind_loopback(&closed_port)) < 0) return -1;
  if (listen(listener, 64) != 0) return -1;
  return pthread_create(&thread, NULL, serve, NULL) == 0 && pthread_detach(thread) == 0 ? 0 : -1;
}

int server_port(void) { return port; }

int server_closed_port(void) { return closed_port; }

int server_settle(unsigned *count, const char **text) {
  static char taken[sizeof complaint];
  static const struct timeval patience = {5, 0};
  struct sockaddr_in address = {0};
  char reply[2];
  int settled, fd = socket(AF_INET, SOCK_STREAM, 0);
  address.sin_family = AF_INET;
  address.sin_port = htons((unsigned short)port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  send_all(fd, "settle", 6);
  settled = recv(fd, reply, sizeof reply, MSG_WAITALL) == 2;
  close(fd);
  pthread_mutex_lock(&mutex);
  *count = requests;
  memcpy(taken, complaint, sizeof taken);
  *text = taken;
  requests = 0;
  complaint[0] = '\0';
  pthread_mutex_unlock(&mutex);
  return settled ? 0 : -1;
}
