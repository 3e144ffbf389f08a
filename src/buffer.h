/* Memory outside Lua: the three allocation functions and a byte buffer that grows.
   Knows no Lua and no libcurl. Nothing here throws. */
#ifndef BX_BUFFER_H
#define BX_BUFFER_H

#include <stddef.h>

/* realloc and free (NULL is fine) of everything that is not Lua's or libcurl's. With BX_TEST_ALLOC they
   go through bx_test_realloc(pointer, size), which a test driver supplies to make them fail. */
void *bx_realloc(void *pointer, size_t size);
void bx_free(void *pointer);

/* A copy of `length` bytes with a NUL after them, or NULL. The caller frees it with bx_free. */
char *bx_strndup(const char *text, size_t length);

/* Bytes, not a C string; all zero is a valid empty buffer. The owner frees it with bx_buffer_free. */
typedef struct bx_buffer {
  char *data;
  size_t length;
  size_t capacity;
} bx_buffer;

/* Appends. 0, or -1 when memory ran out (content unchanged). */
int bx_buffer_append(bx_buffer *buffer, const char *bytes, size_t length);
int bx_buffer_puts(bx_buffer *buffer, const char *text);

/* Appends a decimal integer. 0 or -1. */
int bx_buffer_integer(bx_buffer *buffer, long long number);

/* Gives the memory back; the buffer is empty and usable afterwards. */
void bx_buffer_free(bx_buffer *buffer);

#endif
