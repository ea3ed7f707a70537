-- SPDX-License-Identifier: BSD-3-Clause
-- The Lua module as a rock, on libc's allocator: `luarocks make` in this folder. Needs a C compiler, GNU make, SWIG
-- 4.1 and Python 3, which writes a header and the annotations from a header.
rockspec_format = "3.0"
package = "zmalloc"
version = "scm-1"

-- Where it is: in the folder that this file lies in.
source = {
   url = "file://.",
}

description = {
   summary = "Memory blocks from an allocator that always knows how many bytes are in use, and where the memory is",
   license = "BSD-3-Clause",
   labels = {"allocator", "malloc", "memory", "rss"},
}

supported_platforms = {"unix"}

dependencies = {
   "lua >= 5.1, < 5.6",
}

build = {
   type = "make",
   makefile = "bindings/lua/rock.mk",
   build_target = "module",
   build_variables = {
      CC = "$(CC)",
      CFLAGS = "$(CFLAGS)",
      LIBFLAG = "$(LIBFLAG)",
      LUA_INCDIR = "$(LUA_INCDIR)",
   },
   install_pass = false,
   install = {
      lib = {zmalloc = "build/rock/zmalloc.so"},
      lua = {["zmalloc.busted"] = "bindings/lua/zmalloc/busted.lua"},
   },
   copy_directories = {"build/rock/library"},
}
