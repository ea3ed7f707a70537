#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Lua: what happens when the host's allocation function refuses, beside garbage that would make room, by version.
#
# Versions: Debian's liblua5.1-0 5.1.5-9, liblua5.2-0 5.2.4-3, liblua5.3-0 5.3.6-2, liblua5.4-0 5.4.4-3+deb12u1,
# libluajit-5.1-2 2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 (bookworm) and liblua5.5-0 5.5.1-1 (forky).
# A state holds 2 MB of garbage, and the function refuses what goes beyond 200 KB more. From 5.2 on Lua collects and
# asks again for a table and for "..". For strings that its library builds (rep, concat, format, gsub) only 5.2 does:
# from 5.3 on they fail, though a collection would have made room. 5.1 and LuaJIT never collect. In 5.3 such an error
# is no memory error but an ordinary one (LUA_ERRRUN), in the others it is LUA_ERRMEM.
. "$(dirname "$0")/debian.sh"

cat > "$work/ask.c" << 'C'
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

static size_t held;
static size_t limit;

static void *allocate(void *data, void *block, size_t old, size_t size)
{
    (void)data;
    if (block == NULL) old = 0;
    if (size > old && held + (size - old) > limit) return NULL;
    if (size == 0) { free(block); held -= old; return NULL; }
    void *new = realloc(block, size);
    if (new != NULL) held += size - old;
    return new;
}

static void must(lua_State *state, const char *code)
{
    if (luaL_loadstring(state, code) != 0 || lua_pcall(state, 0, 0, 0) != 0) {
        puts(lua_tostring(state, -1));
        exit(1);
    }
}

static void tell(const char *what, const char *code)
{
    limit = (size_t)-1;
#if LUA_VERSION_NUM >= 505
    lua_State *state = lua_newstate(allocate, NULL, 1);
#else
    lua_State *state = lua_newstate(allocate, NULL);
#endif
    luaL_openlibs(state);
    must(state, "half = ('x'):rep(500000) parts = {half, half}");
    /* The next collection is due when ten times as much is held. */
#if LUA_VERSION_NUM >= 505
    lua_gc(state, LUA_GCPARAM, LUA_GCPPAUSE, 1000);
#else
    lua_gc(state, LUA_GCSETPAUSE, 1000);
#endif
    lua_gc(state, LUA_GCCOLLECT, 0);
    must(state, "for i = 1, 4 do local _ = half .. i end");
    if (luaL_loadstring(state, code) != 0) exit(1);
    limit = held + 200000;
    int status = lua_pcall(state, 0, 0, 0);
    printf("  %-16s %s\n", what, status == 0 ? "collected"
        : status == LUA_ERRMEM ? "refused" : "refused, as an ordinary error");
    limit = (size_t)-1;
    lua_close(state);
}

int main(int argc, char **argv)
{
    (void)argc;
    puts(argv[1]);
    tell("a table", "local t = {} for i = 1, 50000 do t[i] = i end");
    tell("..", "local s = half .. 'y' .. half");
    tell("string.rep", "local s = ('y'):rep(1000000)");
    tell("table.concat", "local s = table.concat(parts)");
    tell("string.format", "local s = string.format('%s%s', half, half)");
    tell("string.gsub", "local s = half:gsub('x', 'yy')");
}
C
# ask NAME HEADERS LIBRARY
ask() {
    compile "$work/ask" -isystem "$root/usr/include/$2" "$lib/$3" < "$work/ask.c"
    run "$work/ask" "$1"
}

{
    debian bookworm libc6=2.36-9+deb12u14 libgcc-s1=12.2.0-14+deb12u1 \
        liblua5.1-0=5.1.5-9 liblua5.1-0-dev=5.1.5-9 liblua5.2-0=5.2.4-3 liblua5.2-dev=5.2.4-3 \
        liblua5.3-0=5.3.6-2 liblua5.3-dev=5.3.6-2 liblua5.4-0=5.4.4-3+deb12u1 liblua5.4-dev=5.4.4-3+deb12u1 \
        libluajit-5.1-2=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1 \
        libluajit-5.1-dev=2.1.0~beta3+git20220320+dfsg-4.1+deb12u1
    ask "Lua 5.1" lua5.1 liblua5.1.so.0
    ask LuaJIT luajit-2.1 libluajit-5.1.so.2
    ask "Lua 5.2" lua5.2 liblua5.2.so.0
    ask "Lua 5.3" lua5.3 liblua5.3.so.0
    ask "Lua 5.4" lua5.4 liblua5.4.so.0
    debian forky libc6=2.43-7 liblua5.5-0=5.5.1-1 liblua5.5-dev=5.5.1-1
    ask "Lua 5.5" lua5.5 liblua5.5.so.0
} | expect 'Lua 5.1
  a table          refused
  ..               refused
  string.rep       refused
  table.concat     refused
  string.format    refused
  string.gsub      refused
LuaJIT
  a table          refused
  ..               refused
  string.rep       refused
  table.concat     refused
  string.format    refused
  string.gsub      refused
Lua 5.2
  a table          collected
  ..               collected
  string.rep       collected
  table.concat     collected
  string.format    collected
  string.gsub      collected
Lua 5.3
  a table          collected
  ..               collected
  string.rep       refused, as an ordinary error
  table.concat     refused, as an ordinary error
  string.format    refused, as an ordinary error
  string.gsub      refused, as an ordinary error
Lua 5.4
  a table          collected
  ..               collected
  string.rep       refused
  table.concat     refused
  string.format    refused
  string.gsub      refused
Lua 5.5
  a table          collected
  ..               collected
  string.rep       refused
  table.concat     refused
  string.format    refused
  string.gsub      refused'
