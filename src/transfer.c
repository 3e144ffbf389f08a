/* One request and its answer: see transfer.h. */
#include "transfer.h"

#include <string.h>

static bx_outcome failure(const char *kind, const char *reason, const char *executed) {
  bx_outcome outcome = {kind, reason, executed};
  return outcome;
}

bx_outcome bx_transfer_failure(const bx_http_settings *settings, const bx_transfer *t) {
  /* A portal runs a call when it has the whole body. */
  const char *executed = t->sent == 0 ? "no" : "unknown";
  int answered = t->status != 0;
  if (t->cancelled) return failure("network", "cancelled", executed);
  switch (t->result) {
  case CURLE_OPERATION_TIMEDOUT:
    if (!t->connected && settings->connect_timeout < t->limit) return failure("timeout", "connect_timeout", executed);
    return failure("timeout", t->at_deadline ? "deadline" : "timeout", executed);
  case CURLE_COULDNT_RESOLVE_HOST:
  case CURLE_COULDNT_RESOLVE_PROXY:
    return failure("network", "dns", executed);
  case CURLE_COULDNT_CONNECT:
#if LIBCURL_VERSION_NUM >= 0x074900
  case CURLE_PROXY:
#endif
    return failure("network", "connect", executed);
  case CURLE_SSL_CONNECT_ERROR:
  case CURLE_PEER_FAILED_VERIFICATION:
  case CURLE_SSL_CERTPROBLEM:
  case CURLE_SSL_CIPHER:
  case CURLE_SSL_CACERT_BADFILE:
  case CURLE_SSL_ENGINE_NOTFOUND:
  case CURLE_SSL_ENGINE_SETFAILED:
  case CURLE_SSL_ENGINE_INITFAILED:
  case CURLE_SSL_SHUTDOWN_FAILED:
  case CURLE_SSL_CRL_BADFILE:
  case CURLE_SSL_ISSUER_ERROR:
  case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
  case CURLE_SSL_INVALIDCERTSTATUS:
  case CURLE_USE_SSL_FAILED:
    return failure("network", "tls", executed);
  case CURLE_SEND_ERROR:
    return failure("network", "send", executed);
  case CURLE_WRITE_ERROR:
    return failure("protocol", t->too_large ? "too_large" : "not_json", executed);
  case CURLE_OUT_OF_MEMORY: /* of an answer's headers */
    return failure("protocol", "too_large", executed);
  case CURLE_BAD_CONTENT_ENCODING:
  case CURLE_WEIRD_SERVER_REPLY:
  case CURLE_UNSUPPORTED_PROTOCOL: /* an answer that is no HTTP */
    return failure("protocol", "not_json", executed);
  case CURLE_PARTIAL_FILE: /* over HTTP/2 also without any answer */
  case CURLE_GOT_NOTHING:
  case CURLE_RECV_ERROR:
  case CURLE_SEND_FAIL_REWIND:
  case CURLE_HTTP2:
  case CURLE_HTTP2_STREAM:
    return answered ? failure("protocol", "truncated", executed) : failure("network", "reset", executed);
  default:
    return failure("network", "unknown", executed);
  }
}

void bx_transfer_problem(bx_transfer *t, const char *text) {
  t->problem = bx_strndup(text, strlen(text));
  if (t->problem == NULL) t->out_of_memory = 1;
}

void bx_transfer_refuse(bx_transfer *t, CURLcode result, const char *text) {
  bx_transfer_drop_answer(t);
  t->result = result;
  t->out_of_memory = result == CURLE_OUT_OF_MEMORY;
  t->done = 1;
  bx_transfer_problem(t, text);
}

void bx_transfer_drop_answer(bx_transfer *t) {
  bx_buffer_free(&t->answer);
  bx_free(t->redirect);
  bx_free(t->problem);
  t->redirect = NULL;
  t->problem = NULL;
  t->result = CURLE_OK;
  t->status = 0;
  t->sent = 0;
  memset(t->seconds, 0, sizeof t->seconds);
  t->done = t->connected = t->too_large = t->out_of_memory = t->at_deadline = t->cancelled = 0;
}

void bx_transfer_free(bx_transfer *t) {
  bx_transfer_drop_answer(t);
  bx_buffer_free(&t->url);
  bx_buffer_free(&t->body);
  curl_slist_free_all(t->headers);
  t->headers = NULL;
}
