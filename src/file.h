/* What Lua's io lacks for files that must not be lost: private files replaced as a whole and durably, locks between
   processes, a journal. Knows nothing of Bitrix24. A failure of the system comes back as nil, message. */
#ifndef BX_FILE_H
#define BX_FILE_H

#include "compat.h"

/* Makes the metatables and pushes the table of functions. May throw (memory).
     read(path) → the bytes; nil where there is no file; or nil, message, also when it is not a plain file of this user that
       nobody else can read
     replace(path, bytes) → true; or nil, message. The file has mode 0600 and, whenever the machine stops, either its old
       content or the new one. Two at once would use the same name on the way, path.new: only under a lock
     lock(path, key, seconds) → a lock with :unlock(); or nil, "locked"; or nil, message. Held in the file `path`, until it
       is unlocked, collected, its process dies or the seconds are over, whichever is first. Two keys may share a lock
     mutex(path) → a lock with :unlock(), for moments: waits up to 5 seconds. It is not one of a key's */
void bx_file_open(lua_State *L);

/* Lua: append(path) → a journal; or nil, message. journal:write(line) appends the line and a line's end at once,
   journal:sync() waits until all is on the disk, both → true; or nil, message; journal:close(). One program at a time has it. */
int bx_file_append(lua_State *L);

#endif
