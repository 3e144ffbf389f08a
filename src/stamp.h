/* Where a call goes and who calls: stamped on its request right before each attempt, because a retry may find the portal at
   another address and the access token renewed. Knows no Lua. Nothing here throws. */
#ifndef BX_STAMP_H
#define BX_STAMP_H

#include "settings.h"

/* All zero but for `base` before the first attempt. */
typedef struct bx_stamp {
  size_t base;                   /* how much of the address is the settings' base, as it was then */
  size_t plain;                  /* how much of the body is the parameters, without a token; 0: not stamped yet */
  size_t token_at, token_length; /* the access token within the body */
} bx_stamp;

/* Brings the transfer's address and body up to date: "auth" goes last into the body, which is a JSON object. Not while the
   transfer is under way. 0, or -1 when memory ran out: then it can still be stamped and sent later. */
int bx_stamp_renew(bx_stamp *stamp, const bx_settings *settings, bx_transfer *t);

#endif
