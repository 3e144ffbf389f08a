#!/bin/sh
# Builds for each interpreter and runs the specs on it: tools/run-specs.sh 5.4 luajit ...
# Last line: `N passed, N failed[, N skipped]`, the sum. A build that fails or a busted that dies counts as one failure.
#   SPEC="spec/portal spec/json_spec.lua"   only these          BUSTED_FLAGS="--filter=..."   more for busted
#   BUILD=build/asan                        where to build      BUILD_FLAGS="WERROR=1"        more for make
#   RUN="valgrind ..."                      what to put before the interpreter
#   LUA_BIN=build/asan/bin                  directory with programs that stand in for the interpreters
# A spec that starts a Lua of its own takes the program that BITRIX_LUA names.
set -u

build=${BUILD:-build}
make=${MAKE:-make}
here=$(pwd)
reports=$here/$build/reports
mkdir -p "$reports"
rm -f "$reports/total"
lua_path=${LUA_PATH:-;}
lua_cpath=${LUA_CPATH:-;}
passed=0 failed=0 skipped=0
summary=

# A locale with a decimal comma, for the spec that answers are read in any. Not for sanitizers and valgrind: with LOCPATH
# set, a library below libcurl loses a few bytes in glibc's newlocale.
if [ "$build" = build ]; then
  if [ ! -d build/locale/de_DE.UTF-8 ] && mkdir -p build/locale; then
    localedef -i de_DE -f UTF-8 build/locale/de_DE.UTF-8 2>/dev/null || true
  fi
  export LOCPATH="$here/build/locale"
fi

for id in "$@"; do
  lua=$(tools/luas.sh name "$id")
  counts=$reports/$id.counts
  rm -f "$counts"
  why=

  # shellcheck disable=SC2086 # flags are split on purpose
  if ! command -v "$lua" >/dev/null; then
    why="no such interpreter"
  elif ! $make all BUILD="$build" LUA="$lua" ${BUILD_FLAGS-}; then
    why="did not build"
  else
    # What the specs tagged #once do is the same whoever runs them, and takes long: once, on Lua 5.4.
    not=--exclude-tags=once note=' (without #once: that runs in make test, on Lua 5.4)'
    if [ "$id" = 5.4 ] && [ "$build" = build ]; then not='' note=''; fi
    run=$lua
    [ -z "${LUA_BIN-}" ] || run=$here/$LUA_BIN/$lua
    echo "--- $lua$note"
    # The versioned variables would win over ours.
    env -u LUA_PATH_5_4 -u LUA_PATH_5_3 -u LUA_PATH_5_2 -u LUA_CPATH_5_4 -u LUA_CPATH_5_3 -u LUA_CPATH_5_2 \
      -u BITRIX24_WEBHOOK_URL \
      LUA_PATH="$here/lua/?.lua;$here/lua/?/init.lua;$here/spec/?.lua;$lua_path" \
      LUA_CPATH="$here/$build/$id/?.so;$lua_cpath" \
      BITRIX_SPEC_COUNTS="$counts" BITRIX_LUA="$run" PATH="${LUA_BIN:+$here/$LUA_BIN:}$PATH" \
      ${RUN-} "$run" tools/busted.lua -o tools/busted_output.lua $not ${BUSTED_FLAGS-} ${SPEC:-spec}
    code=$?
    if [ ! -s "$counts" ]; then
      why="busted ended without a count (exit code $code)"
    else
      read -r p f s <"$counts"
      # An exit code without a failed spec: the interpreter, a sanitizer or valgrind complained at the end.
      if [ $code -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1
        echo "$lua: every spec passed, but the exit code is $code"
      fi
      if [ $((p + f)) -eq 0 ]; then why="no spec was run"; fi
    fi
  fi
  if [ -n "$why" ]; then
    echo "$lua: $why"
    p=0 f=1 s=0
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  summary="$summary$(printf '%-8s %s passed, %s failed, %s skipped%s' "$id" "$p" "$f" "$s" "${why:+ ($why)}")
"
done

[ $# -gt 0 ] || { echo "no interpreter to test"; failed=1; }
echo "$passed $failed $skipped" >"$reports/total"
printf -- '---\n%s' "$summary"
echo "$passed passed, $failed failed$([ $skipped -eq 0 ] || echo ", $skipped skipped")"
[ $failed -eq 0 ]
