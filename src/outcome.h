/* What a failed call came to. The three answers that every error object gives first; all static texts. */
#ifndef BX_OUTCOME_H
#define BX_OUTCOME_H

typedef struct bx_outcome {
  const char *kind;     /* "api", "auth", "limit", "network", "timeout", "protocol" */
  const char *reason;   /* "backlog_already_added", "connect", "unknown" */
  const char *executed; /* "no", "yes", "unknown": whether the portal ran the call */
} bx_outcome;

#endif
