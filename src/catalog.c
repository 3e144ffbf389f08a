/* What the client knows about Bitrix24: see catalog.h. */
#include "catalog.h"

#include <string.h>
#include <strings.h>

#define END \
  { NULL, NULL, BX_INTEGER, 0 }

static const bx_param backlog_add[] = {
    {"groupId", "groupId", BX_INTEGER, BX_REQUIRED | BX_FIELD},
    {"createdBy", "createdBy", BX_INTEGER, BX_REQUIRED | BX_FIELD},
    {"modifiedBy", "modifiedBy", BX_INTEGER, BX_FIELD},
    END,
};

/* The portal calls it "id", but it is the group's. */
static const bx_param backlog_get[] = {{"groupId", "id", BX_INTEGER, BX_REQUIRED}, END};

static const bx_param backlog_update[] = {
    {"id", "id", BX_INTEGER, BX_REQUIRED},
    {"groupId", "groupId", BX_INTEGER, BX_FIELD},
    {"createdBy", "createdBy", BX_INTEGER, BX_FIELD},
    {"modifiedBy", "modifiedBy", BX_INTEGER, BX_FIELD},
    END,
};

static const bx_param backlog_delete[] = {{"id", "id", BX_INTEGER, BX_REQUIRED}, END};

static const bx_param no_params[] = {END};

#define SCRUM "tasks.api.scrum."

const bx_method bx_methods[] = {
    {"scrum", "backlog_add", SCRUM "backlog.add", 0, backlog_add},
    {"scrum", "backlog_get", SCRUM "backlog.get", BX_IDEMPOTENT, backlog_get},
    {"scrum", "backlog_update", SCRUM "backlog.update", BX_CHANGES, backlog_update},
    {"scrum", "backlog_delete", SCRUM "backlog.delete", BX_IDEMPOTENT, backlog_delete},
    {"scrum", "backlog_get_fields", SCRUM "backlog.getFields", BX_IDEMPOTENT, no_params},
    {NULL, NULL, NULL, 0, NULL},
};

typedef struct row {
  const char *key; /* a code or a text of the portal */
  bx_meaning meaning;
} row;

/* "no": the portal refused before the method ran. "yes": the method ran and refused.
   "unknown": it broke on the way. */
static const row codes[] = {
    {"QUERY_LIMIT_EXCEEDED", {"limit", "query_limit_exceeded", "no"}},
    {"OPERATION_TIME_LIMIT", {"limit", "operation_time_limit", "no"}},
    {"OVERLOAD_LIMIT", {"limit", "overload_limit", "no"}},
    {"expired_token", {"auth", "expired_token", "no"}},
    {"invalid_token", {"auth", "invalid_token", "no"}},
    {"NO_AUTH_FOUND", {"auth", "no_auth_found", "no"}},
    {"ERROR_OAUTH", {"auth", "error_oauth", "no"}},
    {"insufficient_scope", {"auth", "insufficient_scope", "no"}},
    {"INVALID_CREDENTIALS", {"auth", "invalid_credentials", "no"}},
    {"user_access_error", {"auth", "user_access_error", "no"}},
    {"ACCESS_DENIED", {"auth", "access_denied", "no"}},
    {"BITRIX_REST_V3_EXCEPTION_ACCESSDENIEDEXCEPTION", {"auth", "access_denied", "no"}},
    {"ALLOWED_ONLY_INTRANET_USER", {"auth", "allowed_only_intranet_user", "no"}},
    {"WRONG_AUTH_TYPE", {"auth", "wrong_auth_type", "no"}},
    {"wrong_client", {"auth", "wrong_client", "no"}},
    {"invalid_client", {"auth", "invalid_client", "no"}},
    {"invalid_grant", {"auth", "invalid_grant", "no"}},
    {"PAYMENT_REQUIRED", {"auth", "payment_required", "no"}},
    {"PORTAL_DELETED", {"api", "portal_deleted", "no"}},
    {"INVALID_REQUEST", {"api", "invalid_request", "no"}},
    {"ERROR_METHOD_NOT_FOUND", {"api", "error_method_not_found", "no"}},
    {"ERROR_MANIFEST_IS_NOT_AVAILABLE", {"api", "error_manifest_is_not_available", "no"}},
    {"ERROR_BATCH_METHOD_NOT_ALLOWED", {"api", "error_batch_method_not_allowed", "no"}},
    {"ERROR_BATCH_LENGTH_EXCEEDED", {"api", "error_batch_length_exceeded", "no"}},
    {"VALIDATION_ERROR", {"api", "validation_error", "no"}},
    {"INTERNAL_SERVER_ERROR", {"api", "internal_server_error", "unknown"}},
    {"ERROR_UNEXPECTED_ANSWER", {"api", "error_unexpected_answer", "unknown"}},
    {NULL, {NULL, NULL, NULL}},
};

/* Texts that say more than their code; of one reason all the spellings that the portal has used. */
static const row texts[] = {
    {"Https required", {"auth", "https_required", "no"}},
    {"Group id not found", {"api", "group_id_not_found", "yes"}},
    {"Group is not found", {"api", "group_id_not_found", "yes"}},
    {"Group not found", {"api", "group_id_not_found", "yes"}},
    {"Access denied", {"api", "access_denied", "yes"}},
    {"Backlog already added", {"api", "backlog_already_added", "yes"}},
    {"createdBy user not found", {"api", "created_by_not_found", "yes"}},
    {"modifiedBy user not found", {"api", "modified_by_not_found", "yes"}},
    {"Unable to add backlog", {"api", "unable_to_add_backlog", "yes"}},
    {"Backlog id not found", {"api", "backlog_id_not_found", "yes"}},
    {"BacklogId id not found", {"api", "backlog_id_not_found", "yes"}},
    {"Backlog not found", {"api", "backlog_not_found", "yes"}},
    {"It is forbidden move a backlog with items", {"api", "backlog_move_forbidden", "yes"}},
    {"The target group already has a backlog", {"api", "target_group_has_backlog", "yes"}},
    {"Unable to update backlog", {"api", "unable_to_update_backlog", "yes"}},
    {"It is forbidden remove a backlog with items", {"api", "backlog_remove_forbidden", "yes"}},
    {"Backlog not deleted", {"api", "backlog_not_deleted", "yes"}},
    {NULL, {NULL, NULL, NULL}},
};

/* Texts that go on with a name or a value. */
static const row beginnings[] = {
    {"Could not find value for parameter", {"api", "missing_parameter", "no"}},
    {"Invalid value {", {"api", "invalid_parameter", "no"}},
    {NULL, {NULL, NULL, NULL}},
};

static const bx_meaning *look_up(const row *rows, const char *key, size_t length) {
  for (; rows->key != NULL; rows++)
    if (strlen(rows->key) == length && strncasecmp(rows->key, key, length) == 0) return &rows->meaning;
  return NULL;
}

static const bx_meaning *look_up_text(const char *text, size_t length) {
  const row *r;
  const bx_meaning *found;
  while (length > 0 && memchr(" \t\r\n", text[0], 4) != NULL) text++, length--;
  while (length > 0 && memchr(" \t\r\n.!", text[length - 1], 6) != NULL) length--;
  if ((found = look_up(texts, text, length)) != NULL) return found;
  for (r = beginnings; r->key != NULL; r++)
    if (length >= strlen(r->key) && strncasecmp(r->key, text, strlen(r->key)) == 0) return &r->meaning;
  return NULL;
}

static bx_meaning by_status(long status) {
  bx_meaning m = {"api", "unknown", "yes"};
  if (status == 401 || status == 402 || status == 403) {
    m.kind = "auth";
    m.executed = "no";
  } else if (status == 429) {
    m.kind = "limit";
    m.executed = "no";
  } else if (status >= 500 || status == 408) {
    m.executed = "unknown";
  }
  return m;
}

bx_meaning bx_catalog_meaning(const char *code, size_t code_length, const char *text, size_t text_length, long status) {
  const bx_meaning *by_code = look_up(codes, code, code_length);
  const bx_meaning *by_text = text != NULL ? look_up_text(text, text_length) : NULL;
  /* "Https required." comes under a code that says less; every other known code says enough. */
  if (by_code != NULL && !(by_text != NULL && strcmp(by_text->reason, "https_required") == 0)) return *by_code;
  return by_text != NULL ? *by_text : by_status(status);
}

const bx_meaning *bx_catalog_reason(size_t i) {
  static const row *const tables[] = {codes, texts, beginnings};
  size_t table, k;
  for (table = 0; table < sizeof tables / sizeof *tables; table++)
    for (k = 0; tables[table][k].key != NULL; k++)
      if (i-- == 0) return &tables[table][k].meaning;
  return NULL;
}
