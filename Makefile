# SPDX-License-Identifier: BSD-3-Clause
# Shortcuts over Meson, for a machine with Debian's packages. `make help` lists them.

# Debian's own tools, whatever else is first on PATH.
PYTHON ?= /usr/bin/python3
MESON ?= /usr/bin/meson

# mimalloc 3.0.0 and 3.0.1, which the build refuses: aligned blocks overlap others. Known once setup has run.
BROKEN_MIMALLOC = $(shell grep -s '^.define MI_MALLOC_VERSION 30[01]\>' /usr/include/mimalloc.h \
    /usr/include/*/mimalloc.h)

# The source of jemalloc 5.3.1, known once setup has run: the release itself, or Debian's, which needs autoconf.
NEWER_JEMALLOC = $(shell cd subprojects/packagecache 2>/dev/null && { [ -e jemalloc-5.3.1.tar.bz2 ] || \
    { command -v autoconf >/dev/null && [ -e jemalloc_5.3.1.orig.tar.gz ]; }; } && echo yes)

# A variant is an allocator, and behind hyphens what else is special about the build. It is built in build/VARIANT.
VARIANTS = jemalloc tcmalloc libc $(if $(BROKEN_MIMALLOC),,mimalloc) libc-prefix
# These run only the tests that another compiler, a sanitizer or the hardened build concerns: those in C; with
# AddressSanitizer also those in Python and Lua, with another quantum those of sizes, and with another jemalloc those
# that it concerns. jemalloc-hardened can be built too.
CHECKED_VARIANTS = jemalloc-quantum8 $(if $(NEWER_JEMALLOC),jemalloc-5.3.1) libc-clang libc-asan libc-tsan \
    jemalloc-tsan libc-hardened
BENCH_VARIANTS := $(VARIANTS) jemalloc-quantum8 $(if $(NEWER_JEMALLOC),jemalloc-5.3.1)
# What make soak runs, for as long as asked.
SOAKED_VARIANTS := $(VARIANTS) libc-hardened libc-asan

WORDS = $(wordlist 2,9,$(subst -, ,$*))
# Those with jemalloc and with libc have a library to preload for each allocator.
OPTIONS_tcmalloc = -Dpreload=disabled
OPTIONS_mimalloc = -Dpreload=disabled
ENVIRONMENT_clang = CC=clang CXX=clang++
OPTIONS_prefix = -Dsize_prefix=true
OPTIONS_quantum8 = -Djemalloc_quantum=8 -Dexamples=disabled -Dpython=disabled -Dlua=disabled
OPTIONS_5.3.1 = -Djemalloc_version=5.3.1 -Dpreload=disabled -Dexamples=disabled -Dpython=disabled -Dlua=disabled
OPTIONS_hardened = -Dhardened=true -Dbenchmarks=disabled -Dexamples=disabled
OPTIONS_asan = -Db_sanitize=address,undefined -Dbenchmarks=disabled -Dexamples=disabled
OPTIONS_tsan = -Db_sanitize=thread -Dc_args=-fsanitize=undefined -Dc_link_args=-fsanitize=undefined \
    -Dpython=disabled -Dlua=disabled -Dbenchmarks=disabled -Dexamples=disabled
SUITES = $(or $(SUITES_$(word 2,$(subst -, ,$*))),$(SUITES_OF_CHECKED))
SUITES_OF_SIZES = quantum sizes aligned limit calls hostile_sizes
SUITES_quantum8 = $(SUITES_OF_SIZES) 'programs servers'
SUITES_5.3.1 = $(SUITES_OF_SIZES) allocator decay defrag report oom served threads_rlimit fork_handlers \
    instructions
SUITES_OF_CHECKED = $(if $(filter $(CHECKED_VARIANTS),$*),--suite c \
    $(if $(filter asan,$(WORDS)),--suite python --suite lua) \
    $(if $(filter hardened,$(WORDS)),--suite hardened --suite python))

COMMON = -Dtests=enabled -Dpython_command=$(PYTHON) --werror
OPTIONS = -Dallocator=$(firstword $(subst -, ,$*)) -Dpython=enabled -Dlua=enabled $(COMMON) \
    $(foreach word,$(WORDS),$(OPTIONS_$(word)))

# The variants above test the Lua module for 5.4. For the other Luas one allocator is enough. Not all systems have
# 5.5.
LUA_VARIANTS = lua5.1 lua5.2 lua5.3 $(shell pkg-config --exists lua5.5 2>&1 && echo lua5.5) luajit
LUA_OPTIONS = -Dallocator=libc -Dlua=enabled -Dlua_version=$* -Dpython=disabled -Dbenchmarks=disabled \
    -Dexamples=disabled $(COMMON)

# make -k: what fails is no reason to leave out the rest.
KEEPS_GOING = $(findstring k,$(filter-out --%,$(firstword -$(MAKEFLAGS))))

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint fuzz valgrind cross arches distros findings soak servers bench \
    coverage mutation docs clean
.PHONY: format
.SECONDARY:

help: ## this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "VARIANT is one of $(VARIANTS) $(CHECKED_VARIANTS)"

setup: ## install what building and testing need: Debian's packages (as root or with sudo), jemalloc's source
	@tools/setup

demo: ## install what it needs, build with jemalloc, run an example in C, Python and Lua: a minute or two
	@tools/setup demo
	@$(MAKE) --no-print-directory build-demo
	@MESON=$(MESON) PYTHON=$(PYTHON) examples/demo build/demo
	@echo "make demo: done"

test: setup ## build and test every variant, and build for other platforms: half an hour; with -k all, whatever fails
	@failed=; for target in $(patsubst %,test-%,$(VARIANTS) $(CHECKED_VARIANTS) $(LUA_VARIANTS)) lint cross; do \
	    $(MAKE) --no-print-directory $$target || { failed="$$failed $$target"; $(if $(KEEPS_GOING),:,break); }; done; \
	[ -z "$$failed" ] || { echo "make test: failed:$$failed" >&2; exit 1; }
	@tools/count $(patsubst %,build/%,$(VARIANTS) $(CHECKED_VARIANTS) $(LUA_VARIANTS) lint cross)
	@$(if $(NEWER_JEMALLOC),,echo "skipped: jemalloc-5.3.1: its source could not be had")
	@$(if $(BROKEN_MIMALLOC),echo "skipped: mimalloc: the build refuses its version here")
	@echo "make test: done"

lint: setup ## check the library's sources by clang-tidy, cppcheck and gcc's analyzer
	@$(MAKE) --no-print-directory build-jemalloc
	@echo "== lint"
	@tools/lint

fuzz: setup ## test the parsers with two million inputs; TIMES=10 for ten times as many
	@$(MAKE) --no-print-directory build-libc
	@ZMALLOC_FUZZ_TIMES=$(or $(TIMES),1) $(MESON) test -C build/libc --no-rebuild --print-errorlogs --suite fuzz -t 0
	@grep '^figure: ' build/libc/meson-logs/testlog.txt

valgrind: setup ## run tests in C under valgrind, with the C library's malloc and with jemalloc
	@for variant in libc jemalloc; do $(MAKE) --no-print-directory build-$$variant && \
	    $(MESON) test -C build/$$variant --no-rebuild --print-errorlogs --suite valgrind || exit; done

cross: ## build for macOS, FreeBSD and musl with zig, where that can be installed; run what runs here
	@echo "== cross"
	@MESON=$(MESON) PYTHON=$(PYTHON) tools/cross

arches: ## build for i386, aarch64, s390x and musl and run the tests in C there; ARGS="s390x-linux/libc" for some
	@tools/setup arches
	@MESON=$(MESON) PYTHON=$(PYTHON) tools/arches $(ARGS)

distros: ## a bare root of each of DISTROS="bookworm trixie forky", and make demo and make test in it: hours
	@tools/distros $(or $(DISTROS),bookworm trixie forky)

bench: setup ## build every variant and run the benchmarks; ARGS="--subject churn --json FILE" for some
	@for variant in $(BENCH_VARIANTS); do $(MAKE) --no-print-directory build-$$variant || exit; done
	@$(PYTHON) bench/run.py $(BENCH_VARIANTS:%=build/%) $(ARGS)

findings: ## run each script of findings/ and tell whether what it shows is still so: installs packages for itself
	@for script in $(filter-out findings/debian.sh,$(wildcard findings/*.sh)); do \
	    if said=$$($$script 2>&1); then echo "$$script: ok"; \
	    else echo "$$script: FAILED"; echo "$$said"; failed=1; fi; done; [ -z "$$failed" ]

soak: setup ## repeat the long forms of the tests for MINUTES=10; prints their figures
	@for variant in $(SOAKED_VARIANTS); do $(MAKE) --no-print-directory build-$$variant || exit; done
	@tools/setup long
	@$(MESON) test -C build/libc --no-rebuild --print-errorlogs --suite long
	@$(MESON) test -C build/jemalloc --no-rebuild --print-errorlogs --suite long 'programs preload_long'
	@MESON=$(MESON) $(PYTHON) tests/servers/run.py --short
	@MESON=$(MESON) $(PYTHON) tests/soak.py $(or $(MINUTES),10) $(SOAKED_VARIANTS:%=build/%)

servers: setup ## build servers from Debian's sources, with their own layer and on zmalloc, and compare: hours
	@tools/setup long
	@MESON=$(MESON) $(PYTHON) tests/servers/run.py $(ARGS)

coverage: ## report which branches of our C the tests reach, into build/coverage; VARIANTS=libc for one
	@tools/setup long
	@MESON=$(MESON) PYTHON=$(PYTHON) $(PYTHON) tests/coverage/run.py build/coverage \
	    $(if $(filter command line,$(origin VARIANTS)),$(VARIANTS),$(VARIANTS) hardened)

mutation: setup ## make small changes to src/ that the tests must notice: COUNT=300 SEED=1 ARGS="--minutes 60"
	@$(PYTHON) tests/mutation/run.py build/mutation --count $(or $(COUNT),300) --seed $(or $(SEED),1) \
	    --setup "$(MESON) setup -Dpython_command=$(PYTHON)" $(ARGS)

docs: setup ## make the documents and the reference, into build/docs
	@$(MAKE) --no-print-directory build-libc
	@PYTHON=$(PYTHON) tools/docs build/libc build/docs
	@echo "make docs: build/docs/index.html"

build-%: build/%/build.ninja ## build one VARIANT
	@echo "== $*: build"
	@$(MESON) compile -C build/$*

test-%: build-% ## build and test one VARIANT
	@echo "== $*: test"
	@$(MESON) test -C build/$* --no-rebuild --print-errorlogs $(SUITES)

build/%/build.ninja:
	@echo "== $*: configure"
	@$(foreach word,$(WORDS),$(ENVIRONMENT_$(word))) $(MESON) setup build/$* $(OPTIONS)

# No tests, and no --werror: a newcomer's compiler may warn of more than ours.
build/demo/build.ninja:
	@echo "== demo: configure"
	@$(MESON) setup build/demo -Dallocator=jemalloc -Dpython=enabled -Dlua=enabled -Dexamples=enabled -Dtests=disabled \
	    -Dpreload=disabled -Dbenchmarks=disabled -Dpython_command=$(PYTHON)

test-lua%: build/lua%/build.ninja ## build and test the module for one Lua: test-lua5.1, test-luajit
	@echo "== lua$*: build and test"
	@$(MESON) compile -C build/lua$* lua-module
	@$(MESON) test -C build/lua$* --no-rebuild --suite lua --print-errorlogs

build/lua%/build.ninja:
	@echo "== lua$*: configure"
	@$(MESON) setup build/lua$* $(LUA_OPTIONS)

format: ## format the C sources by .clang-format, and list lines that are too long
	clang-format -i $$(git ls-files '*.c' '*.h' '*.cc')
	@ZMALLOC_SOURCE=. $(PYTHON) -m pytest -q -p no:cacheprovider tests/test_text.py

clean: ## remove the build directories
	rm -rf build
