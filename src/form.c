/* Values as PHP's http_build_query writes them: see form.h. */
#include "form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int bx_form_text(bx_buffer *out, const char *text, size_t length) {
  static const char hex[] = "0123456789ABCDEF";
  size_t i, plain = 0;
  for (i = 0; i < length; i++) {
    unsigned char c = (unsigned char)text[i];
    char escape[3];
    size_t size = 3;
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.')
      continue;
    escape[0] = '%';
    escape[1] = hex[c >> 4];
    escape[2] = hex[c & 15];
    if (c == ' ') {
      escape[0] = '+';
      size = 1;
    }
    if (bx_buffer_append(out, text + plain, i - plain) != 0 || bx_buffer_append(out, escape, size) != 0) return -1;
    plain = i + 1;
  }
  return bx_buffer_append(out, text + plain, length - plain);
}

int bx_form_pair(bx_buffer *out, const char *name, size_t name_length, const char *value, size_t value_length) {
  if (out->length > 0 && bx_buffer_puts(out, "&") != 0) return -1;
  if (bx_form_text(out, name, name_length) != 0 || bx_buffer_puts(out, "=") != 0) return -1;
  return bx_form_text(out, value, value_length);
}

enum { MOST = 17 /* digits that any double needs at most */ };

/* A number's digits d.ddd and its exponent. */
typedef struct decimal {
  char digits[MOST + 1];
  int count;
  int exponent;
  char written[40]; /* as printf writes it in the locale that strtod reads */
} decimal;

/* The parts of `written`, d.ddde+xx, whatever the locale's point is. */
static void take_apart(decimal *d) {
  const char *e = strchr(d->written, 'e'), *p;
  d->count = 0;
  for (p = d->written; p < e && d->count < MOST; p++)
    if (*p >= '0' && *p <= '9') d->digits[d->count++] = *p;
  d->exponent = atoi(e + 1);
  while (d->count > 1 && d->digits[d->count - 1] == '0') d->count--;
}

/* One more in the last place. Nearest to a power of two this can be the shortest text although the rounded one is not. */
static int next_up(decimal *d) {
  char *p = strchr(d->written, 'e') - 1;
  while (*p == '9' || *p < '0' || *p > '9') {
    if (p == d->written) return 0;
    if (*p == '9') *p = '0';
    p--;
  }
  ++*p;
  return 1;
}

/* The shortest text that is read as this number, which is positive. */
static void shorten(double number, decimal *d) {
  int places;
  for (places = number < 1e-300 ? 0 : 14; places < MOST; places++) {
    snprintf(d->written, sizeof d->written, "%.*e", places, number);
    if (strtod(d->written, NULL) == number) break;
    if (next_up(d) && strtod(d->written, NULL) == number) break;
  }
  take_apart(d);
}

int bx_form_float(bx_buffer *out, double number) {
  char text[64], *p = text;
  decimal d;
  int i;
  if (number < 0 || (number == 0 && 1 / number < 0)) {
    *p++ = '-';
    number = -number;
  }
  if (number == 0) {
    *p++ = '0';
    return bx_buffer_append(out, text, (size_t)(p - text));
  }
  shorten(number, &d);
  if (d.exponent < -4 || d.exponent >= MOST) {
    *p++ = d.digits[0];
    *p++ = '.';
    if (d.count == 1) *p++ = '0';
    for (i = 1; i < d.count; i++) *p++ = d.digits[i];
    p += sprintf(p, "E%s%d", d.exponent < 0 ? "-" : "%2B", abs(d.exponent));
  } else if (d.exponent < 0) {
    *p++ = '0';
    *p++ = '.';
    for (i = -1; i > d.exponent; i--) *p++ = '0';
    for (i = 0; i < d.count; i++) *p++ = d.digits[i];
  } else {
    for (i = 0; i <= d.exponent || i < d.count; i++) {
      if (i == d.exponent + 1) *p++ = '.';
      *p++ = i < d.count ? d.digits[i] : '0';
    }
  }
  return bx_buffer_append(out, text, (size_t)(p - text));
}
