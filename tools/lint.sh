#!/bin/sh
# All that is checked without running: Lua (luacheck), C (warnings as errors, clang-format, cppcheck), shell (shellcheck).
# luacheck and the compiler are required; the others are used where they are installed, and named where they are not.
set -u

make=${MAKE:-make}
status=0

run() {
  title=$1
  shift
  echo "lint: $title"
  "$@" || status=1
}
if_installed() {
  if command -v "$2" >/dev/null; then run "$@"; else echo "lint: $1: no $2 here, not checked"; fi
}

# Lua files, and programs without a suffix whose first line asks for a Lua.
lua_files=$(find . -name '*.lua' -o -name .busted -o -name .luacheckrc -o -path './bin/*' -o -path './bench/*' |
  grep -v '^\./build/' | while read -r f; do
  case $f in
    *.lua | */.busted | */.luacheckrc) echo "$f" ;;
    *) head -n 1 "$f" 2>/dev/null | grep -q '^#!.*lua' && echo "$f" ;;
  esac
done)
c_files=$(find src spec/oom spec/engine bench tools \( -name '*.c' -o -name '*.h' \) 2>/dev/null)
sh_files=$(find tools bin bench examples .ci -type f 2>/dev/null | while read -r f; do
  head -n 1 "$f" | grep -qE '^#!.*(/| )(ba)?sh$' && echo "$f"
done)

# shellcheck disable=SC2086 # lists of files
{
  run "luacheck" luacheck --quiet --no-color $lua_files
  run "C warnings" $make all BUILD=build/werror WERROR=1
  if_installed "C format" clang-format --dry-run -Werror $c_files
  if_installed "C analysis" cppcheck --quiet --error-exitcode=1 --inline-suppr --std=c99 --language=c \
    --enable=warning,performance,portability \
    --suppress=missingIncludeSystem --suppress=duplicateAssignExpression src
  if_installed "shell scripts" shellcheck $sh_files
}
exit $status
