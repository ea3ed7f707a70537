# SPDX-License-Identifier: BSD-3-Clause
# Shortcuts over Meson, for a machine with Debian's packages. `make help` lists them.

# Debian's own tools, whatever else is first on PATH.
PYTHON ?= /usr/bin/python3
MESON ?= /usr/bin/meson

# A tree is a build directory: an allocator, or an allocator with each size kept in a prefix.
TREES := jemalloc tcmalloc libc mimalloc libc-prefix
OPTIONS = -Dallocator=$(firstword $(subst -, ,$*)) $(if $(findstring -prefix,$*),-Dsize_prefix=true) \
    -Dpython=enabled -Dlua=enabled -Dtests=enabled -Dpython_command=$(PYTHON) --werror

.DEFAULT_GOAL := help
.PHONY: help setup demo test cross bench clean format
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
	@for tree in $(TREES); do $(MAKE) --no-print-directory test-$$tree || exit; done
	@$(MAKE) --no-print-directory cross
	@.ci/count $(TREES:%=build/%) build/cross
	@echo "make test: done"

cross: ## build for macOS, FreeBSD and musl with zig, where that can be installed; run what runs here
	@echo "== cross"
	@MESON=$(MESON) PYTHON=$(PYTHON) .ci/cross

bench: setup ## build every tree and run the benchmarks; ARGS="--subject churn --json FILE" for some
	@for tree in $(TREES); do $(MAKE) --no-print-directory build-$$tree || exit; done
	@$(PYTHON) bench/run.py $(TREES:%=build/%) $(ARGS)

build-%: build/%/build.ninja ## build one TREE
	@echo "== $*: build"
	@$(MESON) compile -C build/$*

test-%: build-% ## build and test one TREE
	@echo "== $*: test"
	@$(MESON) test -C build/$* --no-rebuild --print-errorlogs

build/%/build.ninja:
	@echo "== $*: configure"
	@$(MESON) setup build/$* $(OPTIONS)

format: ## lay the C sources out as .clang-format says
	clang-format -i $$(git ls-files '*.c' '*.h' '*.cc')

clean: ## remove the build directories
	rm -rf build
