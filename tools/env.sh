#!/bin/sh
# Prints the shell lines that put the built tree first on Lua's search paths: tools/env.sh build/5.4
# What LUA_PATH and LUA_CPATH were before stays behind it; ";;" is Lua's own default.
set -eu

quote() { printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"; }

here=$(pwd)
case $1 in /*) built=$1 ;; *) built=$here/$1 ;; esac
printf 'export LUA_PATH=%s\n' "$(quote "$here/lua/?.lua;$here/lua/?/init.lua;${LUA_PATH:-;}")"
printf 'export LUA_CPATH=%s\n' "$(quote "$built/?.so;${LUA_CPATH:-;}")"
