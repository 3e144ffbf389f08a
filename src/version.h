/* The version number, written down here and nowhere else in C or Lua. */
#ifndef BX_VERSION_H
#define BX_VERSION_H

#define BX_VERSION "0.1.0"

#endif
