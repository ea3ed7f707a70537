# SPDX-License-Identifier: BSD-3-Clause
# Shortcuts over Meson, for a machine with Debian's packages. `make help` lists them.

# Debian's own tools, whatever else is first on PATH.
PYTHON ?= /usr/bin/python3
MESON ?= /usr/bin/meson

# A tree is a build directory: an allocator, and behind hyphens what else is special about it.
TREES := jemalloc tcmalloc libc mimalloc libc-prefix
# These have only the tests that another compiler, a sanitizer or the hardened build looks at: in C; with AddressSanitizer,
# scripts' too. jemalloc-hardened is another that can be asked for.
CHECKED_TREES := libc-clang libc-asan libc-tsan jemalloc-tsan libc-hardened

WORDS = $(wordlist 2,9,$(subst -, ,$*))
ENVIRONMENT_clang = CC=clang CXX=clang++
OPTIONS_prefix = -Dsize_prefix=true
OPTIONS_hardened = -Dhardened=true -Dbenchmarks=disabled -Dexamples=disabled
OPTIONS_asan = -Db_sanitize=address,undefined -Dbenchmarks=disabled -Dexamples=disabled
OPTIONS_tsan = -Db_sanitize=thread -Dc_args=-fsanitize=undefined -Dc_link_args=-fsanitize=undefined \
    -Dpython=disabled -Dlua=disabled -Dbenchmarks=disabled -Dexamples=disabled
SUITES = $(if $(filter $(CHECKED_TREES),$*),--suite c $(if $(filter asan,$(WORDS)),--suite python --suite lua) \
    $(if $(filter hardened,$(WORDS)),--suite hardened --suite python))

COMMON = -Dtests=enabled -Dpython_command=$(PYTHON) --werror
OPTIONS = -Dallocator=$(firstword $(subst -, ,$*)) -Dpython=enabled -Dlua=enabled $(COMMON) \
    $(foreach word,$(WORDS),$(OPTIONS_$(word)))

# These test the Lua module for 5.4; those for the other Luas are of one allocator, with which they have nothing to do.
LUA_TREES := lua5.1 lua5.2 lua5.3 luajit
LUA_OPTIONS = -Dallocator=libc -Dlua=enabled -Dlua_version=$* -Dpython=disabled -Dbenchmarks=disabled -Dexamples=disabled $(COMMON)

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint fuzz valgrind cross arches soak bench coverage mutation docs clean format
.SECONDARY:

help: ## this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "TREE is one of $(TREES) $(CHECKED_TREES)"

setup: ## install what is missing to build and test: Debian's packages (as root or with sudo) and jemalloc's source
	@tools/setup

demo: ## install what that takes, build with jemalloc and run the three examples, in C, Python and Lua
	@tools/setup demo
	@$(MAKE) --no-print-directory build-demo
	@MESON=$(MESON) PYTHON=$(PYTHON) examples/demo build/demo
	@echo "make demo: done"

test: setup ## build and test every tree, and build for other platforms
	@for tree in $(TREES) $(CHECKED_TREES) $(LUA_TREES); do $(MAKE) --no-print-directory test-$$tree || exit; done
	@$(MAKE) --no-print-directory lint cross
	@tools/count $(patsubst %,build/%,$(TREES) $(CHECKED_TREES) $(LUA_TREES) lint cross)
	@echo "make test: done"

lint: setup ## have clang-tidy, cppcheck and gcc's analyzer read the library's sources
	@$(MAKE) --no-print-directory build-jemalloc
	@echo "== lint"
	@tools/lint

fuzz: setup ## try two million inputs on the parsers; TIMES=10 for ten times as many
	@$(MAKE) --no-print-directory build-libc
	@ZMALLOC_FUZZ_TIMES=$(or $(TIMES),1) $(MESON) test -C build/libc --no-rebuild --print-errorlogs --suite fuzz -t 0
	@grep '^figure: ' build/libc/meson-logs/testlog.txt

valgrind: setup ## have valgrind look on at tests in C, with the C library's malloc and with jemalloc
	@for tree in libc jemalloc; do $(MAKE) --no-print-directory build-$$tree && \
	    $(MESON) test -C build/$$tree --no-rebuild --print-errorlogs --suite valgrind || exit; done

cross: ## build for macOS, FreeBSD and musl with zig, where that can be installed; run what runs here
	@echo "== cross"
	@MESON=$(MESON) PYTHON=$(PYTHON) tools/cross

arches: ## build for i386, aarch64, s390x and musl and run the tests in C there; ARGS="s390x-linux/libc" for some
	@tools/setup arches
	@MESON=$(MESON) PYTHON=$(PYTHON) tools/arches $(ARGS)

bench: setup ## build every tree and run the benchmarks; ARGS="--subject churn --json FILE" for some
	@for tree in $(TREES); do $(MAKE) --no-print-directory build-$$tree || exit; done
	@$(PYTHON) bench/run.py $(TREES:%=build/%) $(ARGS)

soak: setup ## the long forms of the tests, over and over: MINUTES=10; prints what they held
	@for tree in $(TREES) libc-hardened; do $(MAKE) --no-print-directory build-$$tree || exit; done
	@tools/setup long
	@$(MESON) test -C build/libc --no-rebuild --print-errorlogs --suite long
	@MESON=$(MESON) $(PYTHON) tests/soak.py $(or $(MINUTES),10) $(TREES:%=build/%) build/libc-hardened

coverage: ## which branches of our own C the tests reach, into build/coverage; TREES=libc for one tree
	@tools/setup long
	@MESON=$(MESON) PYTHON=$(PYTHON) $(PYTHON) tests/coverage/run.py build/coverage \
	    $(if $(filter command line,$(origin TREES)),$(TREES),$(TREES) hardened)

mutation: setup ## small changes to src/ that tests have to notice: COUNT=300 SEED=1
	@$(PYTHON) tests/mutation/run.py build/mutation --count $(or $(COUNT),300) --seed $(or $(SEED),1) \
	    --setup "$(MESON) setup -Dpython_command=$(PYTHON)"

docs: setup ## the reference for C, Python and Lua, into build/docs
	@$(MAKE) --no-print-directory build-libc
	@PYTHON=$(PYTHON) tools/docs build/libc build/docs
	@echo "make docs: build/docs/index.html"

build-%: build/%/build.ninja ## build one TREE
	@echo "== $*: build"
	@$(MESON) compile -C build/$*

test-%: build-% ## build and test one TREE
	@echo "== $*: test"
	@$(MESON) test -C build/$* --no-rebuild --print-errorlogs $(SUITES)

build/%/build.ninja:
	@echo "== $*: configure"
	@$(foreach word,$(WORDS),$(ENVIRONMENT_$(word))) $(MESON) setup build/$* $(OPTIONS)

# No tests, and no --werror: a newcomer's compiler may warn of more than ours.
build/demo/build.ninja:
	@echo "== demo: configure"
	@$(MESON) setup build/demo -Dallocator=jemalloc -Dpython=enabled -Dlua=enabled -Dexamples=enabled -Dtests=disabled \
	    -Dbenchmarks=disabled -Dpython_command=$(PYTHON)

test-lua%: build/lua%/build.ninja ## build and test the module for one Lua: test-lua5.1, test-luajit
	@echo "== lua$*: build and test"
	@$(MESON) compile -C build/lua$* lua-module
	@$(MESON) test -C build/lua$* --no-rebuild --suite lua --print-errorlogs

build/lua%/build.ninja:
	@echo "== lua$*: configure"
	@$(MESON) setup build/lua$* $(LUA_OPTIONS)

format: ## lay the C sources out as .clang-format says
	clang-format -i $$(git ls-files '*.c' '*.h' '*.cc')

clean: ## remove the build directories
	rm -rf build
