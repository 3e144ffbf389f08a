-- Runs busted in the very interpreter that runs this file: `lua5.4 tools/busted.lua [busted's arguments]`.
-- Debian's `busted` is started by whatever `lua` is, and starts the wanted one through a shell; a preloaded sanitizer
-- or valgrind would then watch the wrong program. From a string: busted ends a standalone 5.1 script by error().
local load = loadstring or load
assert(load("require 'busted.runner' { standalone = false }", "=busted"))()
