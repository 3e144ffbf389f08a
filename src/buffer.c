/* Memory outside Lua: see buffer.h. */
#include "buffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef BX_TEST_ALLOC
void *bx_test_realloc(void *pointer, size_t size);

void *bx_realloc(void *pointer, size_t size) { return bx_test_realloc(pointer, size); }

void bx_free(void *pointer) {
  if (pointer != NULL) bx_test_realloc(pointer, 0);
}
#else
void *bx_realloc(void *pointer, size_t size) { return realloc(pointer, size); }

void bx_free(void *pointer) { free(pointer); }
#endif

char *bx_strndup(const char *text, size_t length) {
  char *copy = bx_realloc(NULL, length + 1);
  if (copy == NULL) return NULL;
  memcpy(copy, text, length);
  copy[length] = '\0';
  return copy;
}

/* Makes room for `more` bytes behind the content. 0, or -1 when memory ran out (content unchanged). */
static int reserve(bx_buffer *buffer, size_t more) {
  size_t capacity = buffer->capacity;
  char *data;
  if (more <= capacity - buffer->length) return 0;
  if (more > SIZE_MAX / 4 - buffer->length) return -1;
  if (capacity < 256) capacity = 256;
  while (capacity < buffer->length + more) capacity += capacity / 2;
  data = bx_realloc(buffer->data, capacity);
  if (data == NULL) return -1;
  buffer->data = data;
  buffer->capacity = capacity;
  return 0;
}

int bx_buffer_append(bx_buffer *buffer, const char *bytes, size_t length) {
  if (length == 0) return 0;
  if (reserve(buffer, length) != 0) return -1;
  memcpy(buffer->data + buffer->length, bytes, length);
  buffer->length += length;
  return 0;
}

int bx_buffer_puts(bx_buffer *buffer, const char *text) { return bx_buffer_append(buffer, text, strlen(text)); }

int bx_buffer_integer(bx_buffer *buffer, long long number) {
  char digits[24];
  char *p = digits + sizeof digits;
  unsigned long long rest = number < 0 ? 0ULL - (unsigned long long)number : (unsigned long long)number;
  do {
    *--p = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (number < 0) *--p = '-';
  return bx_buffer_append(buffer, p, (size_t)(digits + sizeof digits - p));
}

void bx_buffer_free(bx_buffer *buffer) {
  bx_free(buffer->data);
  buffer->data = NULL;
  buffer->length = 0;
  buffer->capacity = 0;
}
