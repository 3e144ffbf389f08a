/* Names for requests, sent as the header X-Request-ID: what the portal's owner finds in a log. Knows no Lua. Never throws. */
#ifndef BX_REQUEST_ID_H
#define BX_REQUEST_ID_H

enum { BX_REQUEST_ID = 16 /* characters */ };

/* Writes an id that no other request of this process has, and hardly one of another: hexadecimal digits, and a NUL behind them. */
void bx_request_id(char id[BX_REQUEST_ID + 1]);

#endif
