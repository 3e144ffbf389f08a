/* What the client knows about Bitrix24: see catalog.h. */
#include "catalog.h"

#include <string.h>
#include <strings.h>

#define SCRUM(method) "tasks.api.scrum." method

/* One parameter each: what it is called here and there, its type, its flags. */
#define INTEGER(name, flags) \
  { name, name, BX_INTEGER, flags, NULL }
#define STRING(name, flags) \
  { name, name, BX_STRING, flags, NULL }
#define DATE(name, flags) \
  { name, name, BX_DATE, flags, NULL }
#define CHOICE(name, flags, list) \
  { name, name, BX_CHOICE, flags, list }
#define TABLE(name, flags) \
  { name, name, BX_TABLE, flags, NULL }
/* Where the portal calls a group's id "id". */
#define GROUP_AS_ID \
  { "groupId", "id", BX_INTEGER, BX_REQUIRED, NULL }
#define ID INTEGER("id", BX_REQUIRED)
#define END \
  { NULL, NULL, BX_INTEGER, 0, NULL }

enum { FIELD = BX_FIELD, REQUIRED_FIELD = BX_FIELD | BX_REQUIRED };

static const char *const sprint_statuses[] = {"active", "planned", "completed", NULL};
static const char *const stage_types[] = {"NEW", "WORK", "FINISH", NULL};

static const bx_param none[] = {END};
static const bx_param group_as_id[] = {GROUP_AS_ID, END};
static const bx_param id[] = {ID, END};
static const bx_param a_list[] = {TABLE("filter", 0), TABLE("select", 0), TABLE("order", 0), INTEGER("start", 0), END};

static const bx_param backlog_add[] = {
    INTEGER("groupId", REQUIRED_FIELD),
    INTEGER("createdBy", REQUIRED_FIELD),
    INTEGER("modifiedBy", FIELD),
    END,
};

static const bx_param backlog_update[] = {
    ID, INTEGER("groupId", FIELD), INTEGER("createdBy", FIELD), INTEGER("modifiedBy", FIELD), END,
};

#define EPIC_FIELDS \
  STRING("description", FIELD), STRING("color", FIELD), TABLE("files", FIELD), INTEGER("createdBy", FIELD), \
      INTEGER("modifiedBy", FIELD), END

static const bx_param epic_add[] = {STRING("name", REQUIRED_FIELD), INTEGER("groupId", REQUIRED_FIELD), EPIC_FIELDS};
static const bx_param epic_update[] = {ID, STRING("name", FIELD), INTEGER("groupId", FIELD), EPIC_FIELDS};

#define SPRINT_FIELDS(required) \
  STRING("name", FIELD), INTEGER("sort", FIELD), INTEGER("createdBy", FIELD), INTEGER("modifiedBy", FIELD), \
      DATE("dateStart", required), DATE("dateEnd", required), CHOICE("status", required, sprint_statuses), END

static const bx_param sprint_add[] = {INTEGER("groupId", REQUIRED_FIELD), SPRINT_FIELDS(REQUIRED_FIELD)};
static const bx_param sprint_update[] = {ID, INTEGER("groupId", FIELD), SPRINT_FIELDS(FIELD)};

#define STAGE_FIELDS CHOICE("type", FIELD, stage_types), INTEGER("sort", FIELD), STRING("color", FIELD), END

static const bx_param kanban_add_stage[] = {
    INTEGER("sprintId", REQUIRED_FIELD),
    STRING("name", REQUIRED_FIELD),
    STAGE_FIELDS,
};
static const bx_param kanban_update_stage[] = {
    INTEGER("stageId", BX_REQUIRED),
    INTEGER("sprintId", FIELD),
    STRING("name", FIELD),
    STAGE_FIELDS,
};
static const bx_param kanban_get_stages[] = {INTEGER("sprintId", BX_REQUIRED), END};
static const bx_param kanban_delete_stage[] = {INTEGER("stageId", BX_REQUIRED), END};
static const bx_param kanban_add_task[] = {
    INTEGER("sprintId", BX_REQUIRED),
    INTEGER("taskId", BX_REQUIRED),
    INTEGER("stageId", BX_REQUIRED),
    END,
};
static const bx_param kanban_delete_task[] = {INTEGER("sprintId", BX_REQUIRED), INTEGER("taskId", BX_REQUIRED), END};
static const char *const stage_integers[] = {"id", "sort", "sprintId", NULL};

static const bx_param task_update[] = {
    ID,
    INTEGER("entityId", FIELD),
    STRING("storyPoints", FIELD),
    INTEGER("epicId", FIELD),
    INTEGER("sort", FIELD),
    INTEGER("createdBy", FIELD),
    INTEGER("modifiedBy", FIELD),
    END,
};

const bx_method bx_methods[] = {
    {"scrum", "backlog_add", SCRUM("backlog.add"), 0, backlog_add, NULL},
    {"scrum", "backlog_get", SCRUM("backlog.get"), BX_IDEMPOTENT, group_as_id, NULL},
    {"scrum", "backlog_update", SCRUM("backlog.update"), BX_CHANGES, backlog_update, NULL},
    {"scrum", "backlog_delete", SCRUM("backlog.delete"), BX_IDEMPOTENT, id, NULL},
    {"scrum", "backlog_get_fields", SCRUM("backlog.getFields"), BX_IDEMPOTENT, none, NULL},

    {"scrum", "epic_add", SCRUM("epic.add"), 0, epic_add, NULL},
    {"scrum", "epic_get", SCRUM("epic.get"), BX_IDEMPOTENT, id, NULL},
    {"scrum", "epic_update", SCRUM("epic.update"), BX_CHANGES, epic_update, NULL},
    {"scrum", "epic_delete", SCRUM("epic.delete"), BX_IDEMPOTENT, id, NULL},
    {"scrum", "epic_list", SCRUM("epic.list"), BX_IDEMPOTENT, a_list, NULL},
    {"scrum", "epic_get_fields", SCRUM("epic.getFields"), BX_IDEMPOTENT, none, NULL},

    {"scrum", "sprint_add", SCRUM("sprint.add"), 0, sprint_add, NULL},
    {"scrum", "sprint_get", SCRUM("sprint.get"), BX_IDEMPOTENT, id, NULL},
    {"scrum", "sprint_update", SCRUM("sprint.update"), BX_CHANGES, sprint_update, NULL},
    {"scrum", "sprint_delete", SCRUM("sprint.delete"), BX_IDEMPOTENT, id, NULL},
    {"scrum", "sprint_start", SCRUM("sprint.start"), 0, id, NULL},
    {"scrum", "sprint_complete", SCRUM("sprint.complete"), 0, group_as_id, NULL},
    {"scrum", "sprint_list", SCRUM("sprint.list"), BX_IDEMPOTENT, a_list, NULL},
    {"scrum", "sprint_get_fields", SCRUM("sprint.getFields"), BX_IDEMPOTENT, none, NULL},

    {"scrum", "kanban_add_stage", SCRUM("kanban.addStage"), 0, kanban_add_stage, NULL},
    {"scrum", "kanban_get_stages", SCRUM("kanban.getStages"), BX_IDEMPOTENT, kanban_get_stages, stage_integers},
    {"scrum", "kanban_update_stage", SCRUM("kanban.updateStage"), BX_CHANGES, kanban_update_stage, NULL},
    {"scrum", "kanban_delete_stage", SCRUM("kanban.deleteStage"), BX_IDEMPOTENT, kanban_delete_stage, NULL},
    {"scrum", "kanban_add_task", SCRUM("kanban.addTask"), 0, kanban_add_task, NULL},
    {"scrum", "kanban_delete_task", SCRUM("kanban.deleteTask"), BX_IDEMPOTENT, kanban_delete_task, NULL},
    {"scrum", "kanban_get_fields", SCRUM("kanban.getFields"), BX_IDEMPOTENT, none, NULL},

    {"scrum", "task_get", SCRUM("task.get"), BX_IDEMPOTENT, id, NULL},
    {"scrum", "task_update", SCRUM("task.update"), BX_CHANGES, task_update, NULL},
    {"scrum", "task_get_fields", SCRUM("task.getFields"), BX_IDEMPOTENT, none, NULL},

    {NULL, NULL, NULL, 0, NULL, NULL},
};

const size_t bx_catalog_count = sizeof bx_methods / sizeof *bx_methods - 1;

typedef struct row {
  const char *key; /* a code or a text of the portal */
  bx_outcome outcome;
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
    {"bad_verification_code", {"auth", "invalid_grant", "no"}},
    {"invalid_scope", {"auth", "invalid_scope", "no"}},
    {"unauthorized_client", {"auth", "unauthorized_client", "no"}},
    {"unsupported_grant_type", {"auth", "unsupported_grant_type", "no"}},
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
    {"Access denied", {"api", "access_denied", "yes"}},
    {"createdBy user not found", {"api", "created_by_not_found", "yes"}},
    {"modifiedBy user not found", {"api", "modified_by_not_found", "yes"}},
    {"Could not load list", {"api", "could_not_load_list", "yes"}},

    {"Group id not found", {"api", "group_id_not_found", "yes"}},
    {"Group is not found", {"api", "group_id_not_found", "yes"}},
    {"Group not found", {"api", "group_id_not_found", "yes"}},

    {"Backlog id not found", {"api", "backlog_id_not_found", "yes"}},
    {"BacklogId id not found", {"api", "backlog_id_not_found", "yes"}},
    {"Backlog not found", {"api", "backlog_not_found", "yes"}},
    {"Backlog is not found", {"api", "backlog_not_found", "yes"}},
    {"Backlog already added", {"api", "backlog_already_added", "yes"}},
    {"Unable to add backlog", {"api", "unable_to_add_backlog", "yes"}},
    {"It is forbidden move a backlog with items", {"api", "backlog_move_forbidden", "yes"}},
    {"The target group already has a backlog", {"api", "target_group_has_backlog", "yes"}},
    {"Unable to update backlog", {"api", "unable_to_update_backlog", "yes"}},
    {"It is forbidden remove a backlog with items", {"api", "backlog_remove_forbidden", "yes"}},
    {"Backlog not deleted", {"api", "backlog_not_deleted", "yes"}},

    {"Epic id not found", {"api", "epic_id_not_found", "yes"}},
    {"EpicId id not found", {"api", "epic_id_not_found", "yes"}},
    {"Epic not found", {"api", "epic_not_found", "yes"}},
    {"Epic is not found", {"api", "epic_not_found", "yes"}},
    {"Name not found", {"api", "name_not_found", "yes"}},
    {"Epic not created", {"api", "epic_not_created", "yes"}},
    {"Epic files not attached", {"api", "epic_files_not_attached", "yes"}},
    {"Epic not updated", {"api", "epic_not_updated", "yes"}},
    {"Epic not deleted", {"api", "epic_not_deleted", "yes"}},

    {"Sprint id not found", {"api", "sprint_id_not_found", "yes"}},
    {"SprintId id not found", {"api", "sprint_id_not_found", "yes"}},
    {"Sprint not found", {"api", "sprint_not_found", "yes"}},
    {"Sprint is not found", {"api", "sprint_not_found", "yes"}},
    {"Incorrect dateStart format", {"api", "incorrect_date_start", "yes"}},
    {"Incorrect dateEnd format", {"api", "incorrect_date_end", "yes"}},
    {"Incorrect sprint status", {"api", "incorrect_sprint_status", "yes"}},
    {"Unable to add two active sprint", {"api", "two_active_sprints", "yes"}},
    {"Unable to add sprint", {"api", "unable_to_add_sprint", "yes"}},
    {"It is forbidden move a sprint with items", {"api", "sprint_move_forbidden", "yes"}},
    {"Sprint not updated", {"api", "sprint_not_updated", "yes"}},
    {"It is forbidden remove a sprint with items", {"api", "sprint_remove_forbidden", "yes"}},
    {"Sprint must be planned", {"api", "sprint_must_be_planned", "yes"}},
    {"Unable to start sprint", {"api", "unable_to_start_sprint", "yes"}},

    {"Stage id not found", {"api", "stage_id_not_found", "yes"}},
    {"StageId id not found", {"api", "stage_id_not_found", "yes"}},
    {"Stage not found", {"api", "stage_not_found", "yes"}},
    {"Stage is not found", {"api", "stage_not_found", "yes"}},
    {"Incorrect name format", {"api", "incorrect_name_format", "yes"}},
    {"Incorrect sprintId value", {"api", "incorrect_sprint_id", "yes"}},
    {"Stage has tasks", {"api", "stage_has_tasks", "yes"}},

    {"Task id not found", {"api", "task_id_not_found", "yes"}},
    {"TaskId id not found", {"api", "task_id_not_found", "yes"}},
    {"Task not found", {"api", "task_not_found", "yes"}},
    {"Task is not found", {"api", "task_not_found", "yes"}},
    {"Entity id not found", {"api", "entity_id_not_found", "yes"}},
    {"Item not created", {"api", "item_not_created", "yes"}},
    {"Unable to update task", {"api", "unable_to_update_task", "yes"}},
    {NULL, {NULL, NULL, NULL}},
};

/* Texts that go on with a name or a value. */
static const row beginnings[] = {
    {"Portal domain not found", {"auth", "portal_not_found", "no"}},
    {"Could not find value for parameter", {"api", "missing_parameter", "no"}},
    {"Invalid value {", {"api", "invalid_parameter", "no"}},
    {"Task not found. The task must be", {"api", "task_not_in_group", "yes"}},
    {NULL, {NULL, NULL, NULL}},
};

static const bx_outcome *look_up(const row *rows, const char *key, size_t length) {
  for (; rows->key != NULL; rows++)
    if (strlen(rows->key) == length && strncasecmp(rows->key, key, length) == 0) return &rows->outcome;
  return NULL;
}

static const bx_outcome *look_up_text(const char *text, size_t length) {
  const row *r;
  const bx_outcome *found;
  while (length > 0 && memchr(" \t\r\n", text[0], 4) != NULL) text++, length--;
  while (length > 0 && memchr(" \t\r\n.!", text[length - 1], 6) != NULL) length--;
  if ((found = look_up(texts, text, length)) != NULL) return found;
  for (r = beginnings; r->key != NULL; r++)
    if (length >= strlen(r->key) && strncasecmp(r->key, text, strlen(r->key)) == 0) return &r->outcome;
  return NULL;
}

static bx_outcome by_status(long status) {
  bx_outcome m = {"api", "unknown", "yes"};
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

bx_outcome bx_catalog_meaning(const char *code, size_t code_length, const char *text, size_t text_length, long status) {
  const bx_outcome *by_code = look_up(codes, code, code_length);
  const bx_outcome *by_text = text != NULL ? look_up_text(text, text_length) : NULL;
  /* "Https required." comes under a code that says less; every other known code says enough. */
  if (by_code != NULL && !(by_text != NULL && strcmp(by_text->reason, "https_required") == 0)) return *by_code;
  return by_text != NULL ? *by_text : by_status(status);
}

int bx_catalog_is_idempotent(const char *wire) {
  static const char *const reads[] = {"get", "list", "fields", "getfields", "current", "count", "info", "time"};
  const bx_method *m;
  size_t i, length = strlen(wire);
  const char *last;
  if (length > 5 && strcasecmp(wire + length - 5, ".json") == 0) length -= 5;
  for (m = bx_methods; m->name != NULL; m++)
    if (strlen(m->wire) == length && strncasecmp(m->wire, wire, length) == 0) return (m->flags & BX_IDEMPOTENT) != 0;
  for (last = wire + length; last > wire && last[-1] != '.'; last--) continue;
  length -= (size_t)(last - wire);
  for (i = 0; last > wire && i < sizeof reads / sizeof *reads; i++)
    if (strlen(reads[i]) == length && strncasecmp(reads[i], last, length) == 0) return 1;
  return 0;
}

bx_outcome bx_catalog_token_meaning(const char *code, size_t code_length, const char *text, size_t text_length,
                                    long status) {
  bx_outcome m = bx_catalog_meaning(code, code_length, text, text_length, status);
  m.kind = "auth";
  if (strcmp(m.reason, "unknown") == 0) {
    m.executed = status >= 500 || status == 408 ? "unknown" : "no";
    if (status >= 500 || status == 429) m.reason = "token_host_unavailable";
  }
  return m;
}

const bx_outcome *bx_catalog_reason(size_t i, const char **key) {
  static const row *const tables[] = {codes, texts, beginnings};
  size_t table, k;
  for (table = 0; table < sizeof tables / sizeof *tables; table++)
    for (k = 0; tables[table][k].key != NULL; k++)
      if (i-- == 0) {
        *key = tables[table][k].key;
        return &tables[table][k].outcome;
      }
  return NULL;
}
