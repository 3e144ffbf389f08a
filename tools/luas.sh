#!/bin/sh
# Which Lua interpreters there are. `tools/luas.sh` lists the ids to test: 5.4 and luajit always, 5.3 to 5.1 where the
# interpreter, its headers and what the specs need are here. `tools/luas.sh name 5.4` says what the interpreter is called.
set -u

name() {
  case $1 in
    5.[0-9])
      for n in "lua$1" "lua-$1" "lua$(echo "$1" | tr -d .)"; do
        command -v "$n" >/dev/null && echo "$n" && return
      done
      echo "lua$1" ;;
    *) echo "$1" ;;
  esac
}

headers() { pkg-config --exists "lua$1" || pkg-config --exists "lua-$1" || pkg-config --exists "lua$(echo "$1" | tr -d .)"; }

case ${1-} in
  name) name "$2" ;;
  *)
    echo 5.4
    echo luajit
    for id in 5.3 5.2 5.1; do
      lua=$(name $id)
      command -v "$lua" >/dev/null || continue
      if ! headers $id 2>/dev/null; then
        echo "Lua $id is here, but not its C headers: left out" >&2
      elif ! "$lua" -e 'require "busted.runner" require "cjson" require "socket"' >/dev/null 2>&1; then
        echo "Lua $id is here, but not its busted, cjson or socket: left out" >&2
      else
        echo $id
      fi
    done ;;
esac
