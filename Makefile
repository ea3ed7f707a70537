# SPDX-License-Identifier: BSD-3-Clause
# Shortcuts over Meson, for a machine with Debian's packages. `make help` lists them.

# Debian's own tools, whatever else is first on PATH.
PYTHON ?= /usr/bin/python3
MESON ?= /usr/bin/meson

# A tree is a build directory: an allocator, or an allocator with each size kept in a prefix.
TREES := jemalloc tcmalloc libc mimalloc libc-prefix
COMMON = -Dlua=enabled -Dtests=enabled -Dpython_command=$(PYTHON) --werror
OPTIONS = -Dallocator=$(firstword $(subst -, ,$*)) $(if $(findstring -prefix,$*),-Dsize_prefix=true) \
    -Dpython=enabled $(COMMON)

# These test the Lua module for 5.4; those for the other Luas are of one allocator, with which they have nothing to do.
LUA_TREES := lua5.1 lua5.2 lua5.3 luajit
LUA_OPTIONS = -Dallocator=libc -Dlua_version=$* -Dpython=disabled -Dbenchmarks=disabled -Dexamples=disabled $(COMMON)

.DEFAULT_GOAL := help
.PHONY: help setup demo test cross bench docs clean format
.SECONDARY:

help: ## this list
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "TREE is one of $(TREES)"

setup: ## install what is missing: Debian's packages (as root or with sudo) and jemalloc's source
	@.ci/setup

demo: setup ## build with jemalloc and run the three examples, in C, Python and Lua
	@$(MAKE) --no-print-directory build-jemalloc
	@MESON=$(MESON) PYTHON=$(PYTHON) examples/demo build/jemalloc
	@echo "make demo: done"

test: setup ## build and test every tree, and build for other platforms
	@for tree in $(TREES) $(LUA_TREES); do $(MAKE) --no-print-directory test-$$tree || exit; done
	@$(MAKE) --no-print-directory cross
	@.ci/count $(patsubst %,build/%,$(TREES) $(LUA_TREES)) build/cross
	@echo "make test: done"

cross: ## build for macOS, FreeBSD and musl with zig, where that can be installed; run what runs here
	@echo "== cross"
	@MESON=$(MESON) PYTHON=$(PYTHON) .ci/cross

bench: setup ## build every tree and run the benchmarks; ARGS="--subject churn --json FILE" for some
	@for tree in $(TREES); do $(MAKE) --no-print-directory build-$$tree || exit; done
	@$(PYTHON) bench/run.py $(TREES:%=build/%) $(ARGS)

docs: setup ## the reference for C, Python and Lua, into build/docs
	@$(MAKE) --no-print-directory build-libc
	@PYTHON=$(PYTHON) docs/build build/libc build/docs
	@echo "make docs: build/docs/index.html"

build-%: build/%/build.ninja ## build one TREE
	@echo "== $*: build"
	@$(MESON) compile -C build/$*

test-%: build-% ## build and test one TREE
	@echo "== $*: test"
	@$(MESON) test -C build/$* --no-rebuild --print-errorlogs

build/%/build.ninja:
	@echo "== $*: configure"
	@$(MESON) setup build/$* $(OPTIONS)

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
