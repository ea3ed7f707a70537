# SPDX-License-Identifier: BSD-3-Clause
# The Lua module without Meson, as luarocks builds it: it contains the library, on libc's allocator. Run in the root.
CC ?= cc
CFLAGS ?= -O2 -fPIC
LIBFLAG ?= -shared
LUA_INCDIR ?= /usr/include/lua5.4
SWIG ?= swig
PYTHON ?= python3

out := build/rock
system := $(shell uname -s | tr '[:upper:]' '[:lower:]')

# The lists of sources are the library's own and the modules'.
of = $(shell sed -n 's/^$1 \{1,\}/$2\//p' $2/sources.txt)
os_sources := $(or $(call of,os:$(system),src),$(call of,os:none,src))
sources := $(call of,core,src) $(call of,allocator:libc,src) $(os_sources) \
    $(call of,common,bindings) $(call of,lua,bindings)

flags := -std=c11 -D_GNU_SOURCE '-DZM_ALLOCATOR_HOT_HALF="libc.h"' -fvisibility=hidden -pthread
includes := -Iinclude -Isrc -Ibindings/common -Ibindings/lua/c -I$(out) -I$(LUA_INCDIR)

# The entry is all that shows. An unloaded library's destructors would be a crash when the next thread ends.
ifeq ($(system),darwin)
link_flags := -Wl,-exported_symbol,_luaopen_zmalloc
else
link_flags := -Wl,--version-script=$(out)/exports -Wl,-z,nodelete
endif

# Always anew: the next may be for another Lua.
.PHONY: module
module:
	mkdir -p $(out)/library
	echo '{ global: luaopen_zmalloc; local: *; };' >$(out)/exports
	$(PYTHON) bindings/common/struct_fields.py include/zmalloc.h $(out)/struct_fields.h
	$(PYTHON) bindings/lua/annotations.py bindings/lua/library/zmalloc.lua.in include/zmalloc.h \
	    bindings/lua/zmalloc.lua $(out)/library/zmalloc.lua
	$(PYTHON) bindings/roles.py $(out)/roles.i
	$(SWIG) -Wall -Werror -Iinclude -Ibindings -I$(out) -lua -nomoduleglobal -o $(out)/zmalloc_lua.c \
	    bindings/zmalloc.i
	$(CC) $(CFLAGS) $(flags) $(includes) $(LIBFLAG) -o $(out)/zmalloc.so $(out)/zmalloc_lua.c $(sources) $(link_flags)
