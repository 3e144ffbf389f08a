/* Contender: one backlog_add after another in plain C over libcurl, with the request that the client sends and nothing
   else: options set once, no checks of arguments, no decoding. What the client costs is measured against this.
   Usage: bare <webhook> <calls> [<ca file> [capath]] */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct answer {
  char *data;
  size_t length, capacity;
} answer;

static size_t append(char *bytes, size_t size, size_t count, void *user) {
  answer *a = user;
  size_t length = size * count;
  if (a->length + length > a->capacity) {
    char *data = realloc(a->data, (a->length + length) * 2);
    if (data == NULL) return 0;
    a->data = data;
    a->capacity = (a->length + length) * 2;
  }
  memcpy(a->data + a->length, bytes, length);
  a->length += length;
  return length;
}

static int fail(const char *what) {
  fprintf(stderr, "bare: %s\n", what);
  return 1;
}

int main(int argc, char **argv) {
  static const char body[] = "{\"fields\":{\"groupId\":125,\"createdBy\":6}}";
  struct curl_slist *headers = NULL;
  answer a = {NULL, 0, 0};
  char url[1024];
  long calls, i;
  CURL *easy;

  if (argc < 3) return fail("usage: bare <webhook> <calls> [<ca file> [capath]]");
  snprintf(url, sizeof url, "%stasks.api.scrum.backlog.add", argv[1]);
  calls = strtol(argv[2], NULL, 10);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  easy = curl_easy_init();
  headers = curl_slist_append(headers, "Content-Type: application/json");
  headers = curl_slist_append(headers, "Accept: application/json");
  headers = curl_slist_append(headers, "Expect:");
  curl_easy_setopt(easy, CURLOPT_URL, url);
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "bare-loop/0.1.0");
  curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)(sizeof body - 1));
  curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
  curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, append);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &a);
  if (argc > 3) {
    curl_easy_setopt(easy, CURLOPT_CAINFO, argv[3]);
    /* With the default that Debian's libcurl has for it, every new connection parses the whole bundle. */
    if (argc == 4) curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
  }
  for (i = 0; i < calls; i++) {
    CURLcode code;
    long status = 0;
    a.length = 0;
    code = curl_easy_perform(easy);
    if (code != CURLE_OK) return fail(curl_easy_strerror(code));
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 || memcmp(a.data, "{\"result\":", 10) != 0) return fail("not the answer that was expected");
  }
  curl_easy_cleanup(easy);
  curl_slist_free_all(headers);
  free(a.data);
  return 0;
}
