/* What the client knows about Bitrix24: methods, their parameters, and what the portal's codes and texts mean.
   A table and the look-ups into it; knows no Lua. Adding a method is adding rows in catalog.c. */
#ifndef BX_CATALOG_H
#define BX_CATALOG_H

#include <stddef.h>

typedef enum bx_type {
  BX_INTEGER /* an integer, an integral float or a string of digits; sent as a JSON number */
} bx_type;

enum {
  BX_REQUIRED = 1,
  BX_FIELD = 2 /* goes under "fields" on the wire */
};

typedef struct bx_param {
  const char *name; /* in Lua */
  const char *wire; /* on the wire */
  bx_type type;
  unsigned flags;
} bx_param;

enum {
  BX_IDEMPOTENT = 1, /* running it twice does no more than running it once: reads and deletes */
  BX_CHANGES = 2     /* an update: at least one field must be given */
};

typedef struct bx_method {
  const char *space; /* "scrum" */
  const char *name;  /* "backlog_add" */
  const char *wire;  /* "tasks.api.scrum.backlog.add" */
  unsigned flags;
  const bx_param *params; /* those that are no fields first; ends with a NULL name */
} bx_method;

/* All methods; ends with a NULL name. */
extern const bx_method bx_methods[];

/* What an error answer means. Static texts, but for the defaults all from the table. */
typedef struct bx_meaning {
  const char *kind;     /* "api", "auth", "limit" */
  const char *reason;   /* "backlog_already_added", "unknown" */
  const char *executed; /* "no", "yes", "unknown" */
} bx_meaning;

/* Classifies by code first (without regard to case), then by text (likewise, and without a full stop or white
   space around it), then by HTTP status. `text` may be NULL. */
bx_meaning bx_catalog_meaning(const char *code, size_t code_length, const char *text, size_t text_length, long status);

/* Walks over the reasons that the portal's answers can have: the i-th, or NULL after the last. */
const bx_meaning *bx_catalog_reason(size_t i);

#endif
