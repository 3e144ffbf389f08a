/* A request to the token host, which wants a form and answers without a `result`: see exchange.h. */
#include <string.h>

#include "exchange.h"
#include "form.h"
#include "redact.h"

int bx_exchange_form(lua_State *L) {
  static const char *const lines[] = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json",
                                      "Expect:"};
  bx_session *session = bx_session_check(L, 1);
  size_t length, i;
  const char *address = luaL_checklstring(L, 2, &length), *problem;
  bx_exchange *x;
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  if (!bx_exchange_check_open(L, session, "form")) return bx_exchange_refuse(L, session);
  if ((problem = bx_settings_check_form(address, length)) != NULL) {
    if (problem == bx_settings_no_memory) luaL_error(L, "%s", bx_settings_no_memory);
    lua_pushstring(L, problem);
    return bx_exchange_refuse(L, session);
  }
  bx_exchange_push(L, session, "");
  x = bx_exchange_check(L, -1);
  x->shape = BX_TOKENS;
  x->transfer.id[0] = '\0';
  x->transfer.url.length = 0;
  if (bx_buffer_append(&x->transfer.url, address, length + 1) != 0) luaL_error(L, "%s", bx_settings_no_memory);
  for (i = 0; i < sizeof lines / sizeof *lines; i++) {
    struct curl_slist *longer = curl_slist_append(x->transfer.headers, lines[i]);
    if (longer == NULL) luaL_error(L, "%s", bx_settings_no_memory);
    x->transfer.headers = longer;
  }
  lua_pushnil(L);
  while (lua_next(L, 3) != 0) {
    size_t name_length, value_length;
    const char *name, *value;
    luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING, 3, "strings by names expected");
    name = lua_tolstring(L, -2, &name_length);
    value = lua_tolstring(L, -1, &value_length);
    if ((bx_redact_is_credential(name, name_length) || strcmp(name, "code") == 0) &&
        bx_secrets_add_token(&session->settings.secrets, value, value_length) != 0)
      luaL_error(L, "%s", bx_settings_no_memory);
    if (bx_form_pair(&x->transfer.body, name, name_length, value, value_length) != 0)
      luaL_error(L, "%s", bx_settings_no_memory);
    lua_pop(L, 1);
  }
  return 1;
}
