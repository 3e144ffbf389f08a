/* What the client knows about Bitrix24: methods, their parameters, and what the portal's codes and texts mean.
   A table and the look-ups into it; knows no Lua. Adding a method is adding rows in catalog.c. */
#ifndef BX_CATALOG_H
#define BX_CATALOG_H

#include <stddef.h>

#include "outcome.h"

typedef enum bx_type {
  BX_INTEGER, /* an integer, an integral float or a string of digits; sent as a JSON number */
  BX_STRING,  /* a string or a number; sent as a JSON string, because the portal ignores numbers there */
  BX_DATE,    /* an ISO 8601 string, or seconds since 1970; sent as an ISO 8601 string */
  BX_CHOICE,  /* one of `choices` */
  BX_TABLE    /* a table; sent as it is */
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
  const char *const *choices; /* BX_CHOICE: ends with NULL */
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
  const bx_param *params; /* ends with a NULL name */
  /* The fields of the result's rows that are integers although the portal sends strings; ends with NULL, or NULL. */
  const char *const *integers;
} bx_method;

/* All methods; ends with a NULL name, which bx_catalog_count does not count. */
extern const bx_method bx_methods[];
extern const size_t bx_catalog_count;

/* Whether running the method twice does no more than running it once: a row of the catalog that is marked so, or a name that
   only a read has (crm.deal.list, user.current, tasks.task.getFields); without regard to case and a ".json" behind it.
   False for every other name. */
int bx_catalog_is_idempotent(const char *wire);

/* What an error answer means: by code first (without regard to case), then by text (likewise, and without a full stop or white
   space around it), then by HTTP status. `text` may be NULL. */
bx_outcome bx_catalog_meaning(const char *code, size_t code_length, const char *text, size_t text_length, long status);

/* What an error answer of the token host means, likewise. Its kind is always "auth". */
bx_outcome bx_catalog_token_meaning(const char *code, size_t code_length, const char *text, size_t text_length,
                                    long status);

/* Walks over all that is told apart: the i-th outcome, and in *key the portal's code or text; NULL after the last. */
const bx_outcome *bx_catalog_reason(size_t i, const char **key);

#endif
