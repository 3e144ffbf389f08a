# Builds bitrix.core (src/*.c) for one Lua or several, runs the demo and the checks. GNU make; `make help` lists the targets.
#
#   make                       for Lua 5.4            make LUA=luajit        for another (a name or a path)
#   make demo                  see it work            make test              all specs on every Lua that is here
#
# Each Lua has its own directory, build/<id>/, id being 5.1 to 5.4 or luajit; sanitizer builds have their own tree.
# `make V=1` shows the commands.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
Q := $(if $(V),,@)

# --- which Lua ----------------------------------------------------------------------------------------------------------

LUA ?= $(or $(shell for l in lua5.4 lua-5.4 lua54 lua; do \
  $$l -v 2>&1 | grep -q 'Lua 5\.4' && echo $$l && break; done),lua5.4)
LUA_ID := $(or $(shell $(LUA) -e 'print(type(jit) == "table" and "luajit" or _VERSION:match "%d.%d")' 2>/dev/null),unknown)
LUA_VERSION := $(patsubst luajit,5.1,$(LUA_ID))

# Headers: LUA_INCDIR (LuaRocks gives it) or LUA_CFLAGS where set, else the first name that pkg-config knows.
PKG_CONFIG ?= pkg-config
lua_pc_names = $(if $(filter luajit,$(1)),luajit,lua$(1) lua-$(1) lua$(subst .,,$(1)))
ifdef LUA_INCDIR
  LUA_CFLAGS ?= -I$(LUA_INCDIR)
else
  LUA_CFLAGS ?= $(shell for p in $(call lua_pc_names,$(LUA_ID)); do $(PKG_CONFIG) --cflags $$p 2>/dev/null && break; done)
endif

# --- flags --------------------------------------------------------------------------------------------------------------

CFLAGS ?= -O2
CURL_CFLAGS ?= $(shell $(PKG_CONFIG) --cflags libcurl 2>/dev/null || curl-config --cflags 2>/dev/null)
CURL_LIBS ?= $(shell $(PKG_CONFIG) --libs libcurl 2>/dev/null || curl-config --libs 2>/dev/null || echo -lcurl)

# -std=c99 hides POSIX; _GNU_SOURCE brings it back.
own_cflags = -std=c99 -D_GNU_SOURCE -fPIC -fvisibility=hidden -pthread $(WARNINGS) $(LUA_CFLAGS) $(CURL_CFLAGS)
ifdef WERROR
  WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror
endif

# The module is never linked with liblua: the interpreter brings it.
# -z nodelete: libcurl and our thread must not be unmapped when a Lua state closes (a crash at the exit of nginx's workers).
# -z now: a function that this Lua lacks is found by every `require`, not by the first call that needs it.
ifeq ($(shell uname -s),Darwin)
  LIBFLAG ?= -bundle -undefined dynamic_lookup# never tried
else
  LIBFLAG ?= -shared
  own_ldflags = -Wl,-z,nodelete -Wl,-z,now
endif

# --- the module ---------------------------------------------------------------------------------------------------------

BUILD ?= build
dir := $(BUILD)/$(LUA_ID)
core := $(dir)/bitrix/core.so
sources := $(wildcard src/*.c)
objects := $(sources:src/%.c=$(dir)/obj/%.o)
version := $(shell sed -n 's/^.define BX_VERSION "\(.*\)"/\1/p' src/version.h 2>/dev/null)

.PHONY: all
all: $(core) ## build for one Lua (LUA=lua5.4; another name or path by LUA=...)
	@:

$(core): $(objects)
	@mkdir -p $(@D)
	@$(if $(V),,echo "bitrix.core $(version) for $(notdir $(LUA)): $@")
	$(Q)$(CC) $(CFLAGS) $(LIBFLAG) $(own_ldflags) $(LDFLAGS) -pthread -o $@ $(objects) $(CURL_LIBS) -lm

$(dir)/obj/%.o: src/%.c $(dir)/flags | $(dir)/ready
	$(Q)$(CC) $(CFLAGS) $(CPPFLAGS) $(own_cflags) -MMD -MP -c -o $@ $<

# What a build needs, said in words before the compiler says it in its own.
$(dir)/ready:
	@[ $(LUA_ID) != unknown ] || { echo "make: cannot run '$(LUA)'; try: make deps, or LUA=<interpreter>" >&2; exit 1; }
	@printf '#include <lauxlib.h>\n' | $(CC) -E $(CPPFLAGS) $(CFLAGS) $(LUA_CFLAGS) - >/dev/null 2>&1 || \
	  { echo "make: no C headers for $(LUA) ($(LUA_ID)); try: make deps, or LUA_INCDIR=<directory of lua.h>" >&2; exit 1; }
	@printf '#include <curl/curl.h>\n' | $(CC) -E $(CPPFLAGS) $(CFLAGS) $(CURL_CFLAGS) - >/dev/null 2>&1 || \
	  { echo "make: no C headers for libcurl; try: make deps, or CURL_CFLAGS=-I<directory>" >&2; exit 1; }
	@mkdir -p $(dir)/obj && touch $@

# Changes when the command line does, and only then: what was compiled with other flags is compiled again.
$(dir)/flags: export BX_FLAGS = $(CC) $(CFLAGS) $(CPPFLAGS) $(own_cflags) / $(LIBFLAG) $(own_ldflags) $(LDFLAGS) $(CURL_LIBS) / $(sources)
$(dir)/flags: force
	@mkdir -p $(@D)
	@[ -f $@ ] && printf '%s\n' "$$BX_FLAGS" | cmp -s - $@ || printf '%s\n' "$$BX_FLAGS" >$@
.PHONY: force

-include $(objects:.o=.d)

# --- other targets ------------------------------------------------------------------------------------------------------

# `demo` and `test` are two makes, one after the other: what the first installs (a Lua, say) the second can find.
# Sub-makes compile in parallel unless the user said how many jobs there are to be.
jobs = $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1))
submake = $(MAKE) --no-print-directory $(jobs)

# The interpreters to build for and test, by id or name (LUAS="5.4 luajit"): lua5.4, luajit, and what else is complete here.
LUAS ?= $(shell tools/luas.sh)

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/\1:\2/p' Makefile | awk -F: '{ printf "  make %-15s %s\n", $$1, substr($$0, length($$1) + 2) }'

.PHONY: build-all
build-all: ## build for each Lua whose headers are here (LUAS="5.4 luajit" to choose)
	@for lua in $(LUAS); do $(submake) all LUA=$$(tools/luas.sh name $$lua) || exit 1; done

.PHONY: env
env: ## print the two lines that make the built tree usable: eval "$(make -s env)"
	@[ -f $(core) ] || echo "not built yet: run make$(if $(filter 5.4,$(LUA_ID)),, LUA=$(LUA)) first" >&2
	@tools/env.sh '$(dir)'

.PHONY: deps
deps: ## install what build, demo and tests need and this machine lacks (Debian, Ubuntu)
	@LUA='$(LUA)' tools/deps.sh test

.PHONY: demo
demo: ## build, start the emulated portal, run examples/backlog_add.lua against it (or against BITRIX24_WEBHOOK_URL)
	@LUA='$(LUA)' tools/deps.sh demo
	@$(MAKE) --no-print-directory run-demo
.PHONY: run-demo
run-demo:
	@$(submake) all
	@eval "$$(tools/env.sh '$(dir)')" && $(LUA) examples/backlog_add.lua $(DEMO_ARGS)

.PHONY: demo-openresty
demo-openresty: ## build for LuaJIT, run examples/openresty in nginx against the emulated portal (SERVE=1: until Ctrl-C)
	@LUA='$(LUA)' tools/deps.sh demo
	@$(submake) all LUA=luajit
	@eval "$$(tools/env.sh '$(dir)')" && LUA='$(LUA)' examples/openresty/demo

.PHONY: test
test: ## run all specs on every Lua that is here (SPEC=spec/portal LUAS="5.4 luajit" restrict it)
	@LUA='$(LUA)' tools/deps.sh test
	@$(MAKE) --no-print-directory run-test
.PHONY: run-test
run-test:
	@MAKE='$(submake)' tools/run-specs.sh $(LUAS)

.PHONY: check
check: ## what CI runs: lint, tests, sanitizers, valgrind, out-of-memory
	@.ci/run

.PHONY: lint
lint: ## luacheck, the C sources with all warnings as errors, their format, the shell scripts
	@MAKE='$(submake)' tools/lint.sh

.PHONY: docs
docs: all ## bring the parts of doc/ and library/ up to date that the catalog decides
	@eval "$$(tools/env.sh $(dir))" && $(LUA) tools/catalog_docs.lua

.PHONY: format
format: ## format the C sources in place
	clang-format -i src/*.[ch] $(wildcard spec/oom/*.[ch] spec/engine/*.[ch] bench/*.[ch])

.PHONY: check-asan
check-asan: ## all specs and the engine's states with AddressSanitizer and UndefinedBehaviorSanitizer, on Lua 5.4 and LuaJIT
	@MAKE='$(submake)' tools/check-asan.sh
	@$(submake) run-states SANITIZER=address,undefined

# States that open and close with exchanges on their way, in several threads; the driver is C.
states := build/$(SANITIZER)/$(LUA_ID)/states
states_cflags = -O1 -g -fsanitize=$(SANITIZER) -fno-omit-frame-pointer
lua_libs = $(shell for p in $(call lua_pc_names,$(LUA_ID)); do $(PKG_CONFIG) --libs $$p 2>/dev/null && break; done)

.PHONY: check-tsan
check-tsan: ## the engine with ThreadSanitizer: Lua states that open and close with exchanges on their way (STATES="threads rounds")
	@SANITIZER=thread TSAN_OPTIONS="halt_on_error=0:suppressions=tools/tsan.supp $$TSAN_OPTIONS" $(submake) run-states

.PHONY: run-states
run-states: $(states)
	@eval "$$(tools/env.sh '$(dir)')" && $(states) $(or $(STATES),3 100)

$(states): $(wildcard spec/engine/*.c) $(sources) $(wildcard src/*.h) Makefile | $(dir)/ready
	@mkdir -p $(@D)
	@$(if $(V),,echo "driver of states for $(notdir $(LUA)): $@")
	$(Q)$(CC) $(states_cflags) $(CPPFLAGS) $(own_cflags) -Isrc -o $@ $(wildcard spec/engine/*.c) $(sources) \
	  -Wl,-E $(lua_libs) $(CURL_LIBS) -lm -ldl

.PHONY: check-valgrind
check-valgrind: ## a part of the specs under valgrind: no error, no definite leak (VALGRIND_SPECS="..." to choose)
	@MAKE='$(submake)' tools/check-valgrind.sh

# The driver is C: it lets the n-th allocation of Lua, of libcurl, of ours fail, for every n.
oom := $(BUILD)/oom/$(LUA_ID)/oom
oom_sources := $(wildcard spec/oom/*.c)
OOM_CFLAGS ?= -O1 -g

.PHONY: check-oom
check-oom: $(oom) ## every allocation of a call fails once: an error or a result each time, no leak, and the next call works
	@eval "$$(tools/env.sh '$(dir)')" && LUA='$(LUA)' $(oom)

$(oom): $(oom_sources) $(sources) $(wildcard src/*.h spec/oom/*.h) Makefile | $(dir)/ready
	@[ -n '$(oom_sources)' ] || { echo "make: no driver in spec/oom/" >&2; exit 1; }
	@mkdir -p $(@D)
	@$(if $(V),,echo "out-of-memory driver for $(notdir $(LUA)): $@")
	$(Q)$(CC) $(OOM_CFLAGS) $(CPPFLAGS) $(own_cflags) -DBX_TEST_ALLOC -Isrc -o $@ \
	  $(oom_sources) $(sources) -Wl,-E $(lua_libs) $(CURL_LIBS) -lm

.PHONY: bench
bench: ## one backlog_add beside bare libcurl and other clients; 10,000 in batches beside the official SDK; long lists
	@$(submake) all
	@eval "$$(tools/env.sh '$(dir)')" && MAKE='$(submake)' LUA='$(LUA)' BITRIX_BUILD='$(dir)' bench/run && \
	  env -u BITRIX24_WEBHOOK_URL $(LUA) bench/many.lua

.PHONY: bench-openresty
bench-openresty: ## calls in nginx's handlers: this client beside a blocking one and a cosocket client written by hand
	@LUA='$(LUA)' tools/deps.sh test
	@$(submake) all LUA=luajit
	@eval "$$(tools/env.sh '$(dir)')" && LUA='$(LUA)' BENCH_BUILD='$(BUILD)/luajit' bench/openresty/run

# --- installation -------------------------------------------------------------------------------------------------------

PREFIX ?= /usr/local
INST_LUADIR ?= $(PREFIX)/share/lua/$(LUA_VERSION)
INST_LIBDIR ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
INST_BINDIR ?= $(PREFIX)/bin
INSTALL ?= install
lua_files = $(shell cd lua && find bitrix -type f)
bin_files = $(notdir $(wildcard bin/*))

# A program whose first line asks for some Lua gets the Lua that it was installed for.
.PHONY: install
install: all ## install into PREFIX=/usr/local (DESTDIR=... for packagers)
	$(Q)set -e; for f in $(lua_files); do $(INSTALL) -D -m 644 lua/$$f '$(DESTDIR)$(INST_LUADIR)'/$$f; done
	$(Q)$(INSTALL) -D -m 755 $(core) '$(DESTDIR)$(INST_LIBDIR)/bitrix/core.so'
	$(Q)set -e; for f in $(bin_files); do \
	  $(INSTALL) -D -m 755 bin/$$f '$(DESTDIR)$(INST_BINDIR)'/$$f; \
	  sed '1s,^#! */usr/bin/env lua.*,#!/usr/bin/env $(notdir $(LUA)),' bin/$$f >'$(DESTDIR)$(INST_BINDIR)'/$$f; done

.PHONY: uninstall
uninstall: ## remove what install put there
	$(Q)cd '$(DESTDIR)$(INST_LUADIR)' && rm -f $(lua_files)
	$(Q)rm -f '$(DESTDIR)$(INST_LIBDIR)/bitrix/core.so'
	$(Q)cd '$(DESTDIR)$(INST_BINDIR)' && rm -f $(bin_files)
	$(Q)-find '$(DESTDIR)$(INST_LUADIR)/bitrix' '$(DESTDIR)$(INST_LIBDIR)/bitrix' -depth -type d -empty -delete

.PHONY: dist
dist: ## a tarball of the last commit: build/bitrix-<version>.tar.gz
	@mkdir -p build
	git archive --format=tar.gz --prefix=bitrix-$(version)/ -o build/bitrix-$(version).tar.gz HEAD

.PHONY: clean
clean: ## remove everything that was built
	rm -rf build
