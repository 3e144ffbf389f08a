/* What a secret looks like and how it is blotted out: see redact.h. */
#include "redact.h"

#include <string.h>

static const char *const credentials[] = {
    "auth",  "access_token", "refresh_token", "client_secret", "application_token",
    "token", "auth_token",   "sessid",        "password",
};

/* A text under inspection: bytes, never a C string. */
typedef struct {
  const char *data;
  size_t length;
} view;

static int is_known(const bx_secrets *secrets, const char *text, size_t length) {
  size_t i;
  if (length == 0) return 1; /* nothing to hide */
  for (i = 0; i < secrets->count; i++)
    if (strlen(secrets->text[i]) == length && memcmp(secrets->text[i], text, length) == 0) return 1;
  return 0;
}

int bx_secrets_add(bx_secrets *secrets, const char *text, size_t length) {
  char *copy;
  if (is_known(secrets, text, length)) return 0;
  if (secrets->count != secrets->lasting || secrets->lasting == BX_SECRETS_LASTING) return -1;
  if ((copy = bx_strndup(text, length)) == NULL) return -1;
  secrets->text[secrets->count++] = copy;
  secrets->lasting++;
  return 0;
}

int bx_secrets_add_token(bx_secrets *secrets, const char *text, size_t length) {
  char *copy;
  if (is_known(secrets, text, length)) return 0;
  if ((copy = bx_strndup(text, length)) == NULL) return -1;
  if (secrets->count < secrets->lasting + BX_SECRETS_TOKENS) {
    secrets->text[secrets->count++] = copy;
    return 0;
  }
  if (secrets->oldest < secrets->lasting || secrets->oldest >= secrets->count) secrets->oldest = secrets->lasting;
  bx_free(secrets->text[secrets->oldest]);
  secrets->text[secrets->oldest++] = copy;
  return 0;
}

void bx_secrets_free(bx_secrets *secrets) {
  while (secrets->count > 0) bx_free(secrets->text[--secrets->count]);
  secrets->lasting = secrets->oldest = 0;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static int is_digit(char c) { return c >= '0' && c <= '9'; }

static int is_word(char c) { return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z'); }

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

static int hex(char c) {
  if (is_digit(c)) return c - '0';
  c = lower(c);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Whether `word` stands at `at`, in any case. */
static int stands(view t, size_t at, const char *word, size_t length) {
  size_t i;
  if (length > t.length - at) return 0;
  for (i = 0; i < length; i++)
    if (lower(t.data[at + i]) != lower(word[i])) return 0;
  return 1;
}

/* How many bytes a slash takes at `at`: "/", "\/" (JSON), "%2F" (a query), or 0. */
static size_t slash(view t, size_t at) {
  if (stands(t, at, "/", 1)) return 1;
  if (stands(t, at, "\\/", 2)) return 2;
  return stands(t, at, "%2f", 3) ? 3 : 0;
}

int bx_redact_is_credential(const char *key, size_t length) {
  char word[24];
  size_t i = 0, n = 0, k;
  /* Each piece between brackets is looked at by itself: auth[access_token] has two. */
  for (;;) {
    char c = '[';
    if (i < length) {
      c = key[i];
      if (c == '%' && i + 2 < length && hex(key[i + 1]) >= 0 && hex(key[i + 2]) >= 0) {
        c = (char)(hex(key[i + 1]) * 16 + hex(key[i + 2]));
        i += 2;
      }
    }
    if (c == '[' || c == ']') {
      for (k = 0; k < sizeof credentials / sizeof *credentials; k++)
        if (strlen(credentials[k]) == n && memcmp(credentials[k], word, n) == 0) return 1;
      n = 0;
    } else {
      if (n < sizeof word) word[n] = lower(c);
      if (n <= sizeof word) n++;
    }
    if (i >= length) return 0;
    i++;
  }
}

/* How many bytes the character at `at` takes in whatever spelling (itself, %53, \u0053), and in *c which it is. */
static size_t spelled(view t, size_t at, char *c) {
  size_t i = at + 1, n = 0;
  if (t.data[at] == '%')
    n = 3;
  else if (stands(t, at, "\\u00", 4))
    n = 6, i = at + 4;
  *c = t.data[at];
  if (n == 0 || n > t.length - at || hex(t.data[i]) < 0 || hex(t.data[i + 1]) < 0) return 1;
  *c = (char)(hex(t.data[i]) * 16 + hex(t.data[i + 1]));
  return n;
}

/* How many bytes `secret` takes at `at`, 0 where it does not stand; in *done how many of its characters they spell: fewer
   than all where the text ends within it. */
static size_t spells(view t, size_t at, const char *secret, size_t *done) {
  size_t i = at, k;
  char c;
  *done = 0;
  for (k = 0; secret[k] != '\0' && i < t.length; k++) {
    size_t n = spelled(t, i, &c);
    if (lower(c) != lower(secret[k])) return 0;
    i += n;
  }
  *done = k;
  return i - at;
}

/* Each finder looks at one place. It answers how many bytes the find takes, 0 for none, and in *keep
   how many of them stay before the mask. */

static size_t find_literal(const bx_secrets *secrets, view t, size_t at) {
  size_t i;
  for (i = 0; secrets != NULL && i < secrets->count; i++) {
    const char *secret = secrets->text[i];
    size_t n = strlen(secret), done, took = spells(t, at, secret, &done);
    if (n == 0 || took == 0) continue;
    /* A text that was cut off may end within a secret. */
    if (done < n && done < 4) continue;
    if (done == n && n < 8 && at > 0 && is_word(t.data[at - 1])) continue;
    if (done == n && n < 8 && at + took < t.length && is_word(t.data[at + took])) continue;
    return took;
  }
  return 0;
}

static size_t find_webhook(view t, size_t at, size_t *keep) {
  size_t i = at, s, start;
  if ((s = slash(t, i)) == 0) return 0;
  i += s;
  if (!stands(t, i, "rest", 4)) return 0;
  i += 4;
  if ((s = slash(t, i)) == 0) return 0;
  i += s;
  if (stands(t, i, "api", 3) && (s = slash(t, i + 3)) != 0) i += 3 + s;
  *keep = i - at;
  for (start = i; i < t.length && is_digit(t.data[i]); i++) continue;
  if (i == start || (s = slash(t, i)) == 0) return 0;
  i += s;
  for (start = i; i < t.length && (is_word(t.data[i]) || memchr("_-.~", t.data[i], 4) != NULL); i++) continue;
  return i == start ? 0 : i - at;
}

static size_t find_pair(view t, size_t at, size_t *keep) {
  size_t i = at;
  if (at > 0 && !is_space(t.data[at - 1]) && memchr("?&;\"'({,", t.data[at - 1], 8) == NULL) return 0;
  while (i < t.length && (is_word(t.data[i]) || memchr("_%[]", t.data[i], 4) != NULL)) i++;
  if (i == at || i >= t.length || t.data[i] != '=' || !bx_redact_is_credential(t.data + at, i - at)) return 0;
  i++;
  *keep = i - at;
  while (i < t.length && !is_space(t.data[i]) && memchr("&;#\"'<>", t.data[i], 7) == NULL) i++;
  return i - at;
}

static size_t find_json(view t, size_t at, size_t *keep) {
  size_t i = at + 1, key = at + 1;
  if (t.data[at] != '"') return 0;
  while (i < t.length && (is_word(t.data[i]) || t.data[i] == '_')) i++;
  if (i >= t.length || t.data[i] != '"' || !bx_redact_is_credential(t.data + key, i - key)) return 0;
  i++;
  while (i < t.length && is_space(t.data[i])) i++;
  if (i >= t.length || t.data[i] != ':') return 0;
  i++;
  while (i < t.length && is_space(t.data[i])) i++;
  if (i >= t.length || t.data[i] != '"') return 0;
  i++;
  *keep = i - at;
  while (i < t.length && t.data[i] != '"') i += t.data[i] == '\\' && i + 1 < t.length ? 2 : 1;
  return i - at;
}

static size_t find_userinfo(view t, size_t at, size_t *keep) {
  size_t i = at + 3;
  if (!stands(t, at, "://", 3)) return 0;
  *keep = 3;
  while (i < t.length && !is_space(t.data[i]) && memchr("/?#\"'<>@", t.data[i], 8) == NULL) i++;
  return i < t.length && t.data[i] == '@' && i > at + 3 ? i - at : 0;
}

static size_t find_authorization(view t, size_t at, size_t *keep) {
  size_t i;
  if (at > 0 && is_word(t.data[at - 1])) return 0;
  if (stands(t, at, "basic ", 6))
    i = at + 6;
  else if (stands(t, at, "bearer ", 7))
    i = at + 7;
  else
    return 0;
  *keep = i - at;
  while (i < t.length && (is_word(t.data[i]) || memchr("+/=_-.~", t.data[i], 7) != NULL)) i++;
  return i - at - *keep >= 8 ? i - at : 0;
}

int bx_redact_is_suspect(const bx_secrets *secrets, const char *text, size_t length) {
  /* What a byte may begin: 1 a credential's neighbourhood, 2 a secret or the name of an authorization. */
  unsigned char begins[256] = {0};
  view t;
  size_t i, k;
  t.data = text;
  t.length = length;
  begins['/'] = begins['='] = begins['"'] = begins['%'] = begins['\\'] = 1;
  begins['b'] = begins['B'] = 2;
  for (k = 0; k < secrets->count; k++) {
    unsigned char first = (unsigned char)lower(secrets->text[k][0]);
    begins[first] |= 2;
    if (first >= 'a' && first <= 'z') begins[first - 'a' + 'A'] |= 2;
  }
  for (i = 0; i < length; i++) {
    unsigned what = begins[(unsigned char)text[i]];
    if (what == 0) continue;
    if (what & 1 || stands(t, i, "bearer ", 7) || stands(t, i, "basic ", 6) || find_literal(secrets, t, i) != 0)
      return 1;
  }
  return 0;
}

int bx_redact(const bx_secrets *secrets, const char *text, size_t length, size_t limit, bx_buffer *out) {
  view t;
  size_t at = 0, plain = 0, i;
  t.data = text;
  t.length = length;
  if (limit > length) limit = length;
  while (at < limit) {
    size_t keep = 0, found = find_literal(secrets, t, at);
    if (found == 0 && (found = find_webhook(t, at, &keep)) == 0 && (found = find_pair(t, at, &keep)) == 0 &&
        (found = find_json(t, at, &keep)) == 0 && (found = find_userinfo(t, at, &keep)) == 0 &&
        (found = find_authorization(t, at, &keep)) == 0) {
      at++;
      continue;
    }
    /* What a finder took may end within a known secret: that goes, too. */
    for (i = at + keep; i < at + found; i++) {
      size_t more = find_literal(secrets, t, i);
      if (i + more > at + found) found = i + more - at;
    }
    if (bx_buffer_append(out, text + plain, at + keep - plain) != 0 || bx_buffer_puts(out, BX_MASK) != 0) return -1;
    at += found;
    plain = at;
  }
  return plain < limit ? bx_buffer_append(out, text + plain, limit - plain) : 0;
}
