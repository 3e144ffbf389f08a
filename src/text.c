/* Texts on their way to the portal: see text.h. */
#include "text.h"

#include <stdio.h>
#include <time.h>

int bx_text_is_utf8(const char *text, size_t length) {
  const unsigned char *s = (const unsigned char *)text;
  size_t i = 0, more;
  while (i < length) {
    unsigned char c = s[i++];
    if (c < 0x80) continue;
    if (c >= 0xC2 && c <= 0xDF)
      more = 1;
    else if (c >= 0xE0 && c <= 0xEF)
      more = 2;
    else if (c >= 0xF0 && c <= 0xF4)
      more = 3;
    else
      return 0;
    if (more > length - i) return 0;
    /* No longer forms than needed, no surrogates, nothing above U+10FFFF. */
    if ((c == 0xE0 && s[i] < 0xA0) || (c == 0xED && s[i] > 0x9F) || (c == 0xF0 && s[i] < 0x90) ||
        (c == 0xF4 && s[i] > 0x8F))
      return 0;
    for (; more > 0; more--)
      if ((s[i++] & 0xC0) != 0x80) return 0;
  }
  return 1;
}

int bx_text_quote(bx_buffer *out, const char *text, size_t length) {
  size_t i, plain = 0;
  if (bx_buffer_append(out, "\"", 1) != 0) return -1;
  for (i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    char escape[8];
    if (c >= ' ' && c != '"' && c != '\\' && c != 127) continue;
    if (c == '"' || c == '\\')
      snprintf(escape, sizeof escape, "\\%c", c);
    else
      snprintf(escape, sizeof escape, "\\u%04x", c);
    if (bx_buffer_append(out, text + plain, i - plain) != 0 || bx_buffer_puts(out, escape) != 0) return -1;
    plain = i + 1;
  }
  return bx_buffer_append(out, text + plain, length - plain) != 0 ? -1 : bx_buffer_append(out, "\"", 1);
}

/* A text that is read from left to right. */
typedef struct cursor {
  const char *at, *end;
} cursor;

static int skip(cursor *c, char expected) {
  if (c->at == c->end || *c->at != expected) return 0;
  c->at++;
  return 1;
}

/* Reads exactly `digits` digits; -1 where they are not. */
static int number(cursor *c, int digits) {
  int n = 0;
  for (; digits > 0; digits--, c->at++) {
    if (c->at == c->end || *c->at < '0' || *c->at > '9') return -1;
    n = n * 10 + (*c->at - '0');
  }
  return n;
}

static int is_within(int n, int least, int most) { return n >= least && n <= most; }

static int skip_day(cursor *c) {
  static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int year = number(c, 4), month, day, leap;
  if (year < 1 || !skip(c, '-') || !is_within(month = number(c, 2), 1, 12) || !skip(c, '-')) return 0;
  day = number(c, 2);
  leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return is_within(day, 1, days[month - 1]) && (month != 2 || leap || day < 29);
}

static int skip_time(cursor *c) {
  if (!is_within(number(c, 2), 0, 23) || !skip(c, ':') || !is_within(number(c, 2), 0, 59)) return 0;
  if (!skip(c, ':')) return 1;
  if (!is_within(number(c, 2), 0, 60)) return 0;
  if (!skip(c, '.')) return 1;
  if (number(c, 1) < 0) return 0;
  while (c->at < c->end && *c->at >= '0' && *c->at <= '9') c->at++;
  return 1;
}

static int skip_zone(cursor *c) {
  if (c->at == c->end || skip(c, 'Z')) return 1;
  if (!skip(c, '+') && !skip(c, '-')) return 0;
  if (!is_within(number(c, 2), 0, 14)) return 0;
  if (c->at == c->end) return 1;
  skip(c, ':');
  return is_within(number(c, 2), 0, 59);
}

int bx_text_is_date(const char *text, size_t length) {
  cursor c;
  c.at = text;
  c.end = text + length;
  if (!skip_day(&c)) return 0;
  if (c.at == c.end) return 1;
  return (skip(&c, 'T') || skip(&c, ' ')) && skip_time(&c) && skip_zone(&c) && c.at == c.end;
}

int bx_text_date(double seconds, char out[BX_TEXT_DATE]) {
  struct tm parts;
  time_t whole;
  if (!(seconds >= -30610224000.0 && seconds < 253402300800.0)) return 0;
  whole = (time_t)seconds;
  if ((double)whole > seconds) whole--;
  return gmtime_r(&whole, &parts) != NULL && strftime(out, BX_TEXT_DATE, "%Y-%m-%dT%H:%M:%S+00:00", &parts) != 0;
}

void bx_text_fingerprint(const char *text, size_t length, char out[BX_TEXT_FINGERPRINT]) {
  unsigned long long hash = 14695981039346656037ULL;
  size_t i;
  for (i = 0; i < length; i++) hash = ((hash ^ (unsigned char)text[i]) * 1099511628211ULL) & 0xFFFFFFFFFFFFFFFFULL;
  snprintf(out, BX_TEXT_FINGERPRINT, "%016llx", hash);
}
