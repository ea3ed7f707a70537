#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Lua 5.5: collectgarbage "count" misses strings that were built in a buffer: string.rep, table.concat, string.format.
#
# Versions: Debian's liblua5.5-0 5.5.1-1 (forky) beside liblua5.4-0 5.4.7-1+b2 (trixie).
# A host's allocation function adds up what the state holds. With 5.4 the collector's count is the same to the byte.
# With 5.5 a string of 10 MB made by string.rep is in the allocation function's sum and not in the count, and the
# collector's pace follows the count; the same bytes made by .. are in both.
. "$(dirname "$0")/debian.sh"

ask() {
    compile "$work/ask" -isystem "$root/usr/include/$1" "$lib/lib$1.so.0" << 'C'
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>

static size_t held;

static void *allocate(void *data, void *block, size_t old, size_t size)
{
    (void)data;
    if (block == NULL) old = 0;
    if (size == 0) { free(block); held -= old; return NULL; }
    void *new = realloc(block, size);
    if (new != NULL) held += size - old;
    return new;
}

static void tell(lua_State *state, const char *code)
{
    lua_settop(state, 0);
    lua_gc(state, LUA_GCCOLLECT);
    if (luaL_dostring(state, code) != LUA_OK) { puts(lua_tostring(state, -1)); return; }
    lua_gc(state, LUA_GCCOLLECT);
    long counted = (long)lua_gc(state, LUA_GCCOUNT) * 1024 + lua_gc(state, LUA_GCCOUNTB);
    printf("  %-42s %s\n", code, (long)held - counted > 9000000 ? "10 MB are not counted"
        : held == (size_t)counted ? "counted to the byte" : "counted nearly");
}

int main(void)
{
#if LUA_VERSION_NUM >= 505
    lua_State *state = lua_newstate(allocate, NULL, 1);
#else
    lua_State *state = lua_newstate(allocate, NULL);
#endif
    luaL_openlibs(state);
    puts(LUA_RELEASE);
    tell(state, "half = ('x'):rep(5000000)");
    tell(state, "half = nil");
    tell(state, "text = ('x'):rep(10000000)");
    tell(state, "text = nil");
    tell(state, "text = table.concat({('x'):rep(9999999), 'y'})");
    tell(state, "text = nil");
    tell(state, "text = ('x'):rep(5000000) .. ('y'):rep(5000000)");
    lua_close(state);
    printf("  closed: %zu bytes held\n", held);
}
C
    run "$work/ask"
}

{
    debian trixie libc6=2.41-12+deb13u5 liblua5.4-0=5.4.7-1+b2 liblua5.4-dev=5.4.7-1+b2
    ask lua5.4
    debian forky libc6=2.43-7 liblua5.5-0=5.5.1-1 liblua5.5-dev=5.5.1-1
    ask lua5.5
} | expect 'Lua 5.4.7
  half = ('\''x'\''):rep(5000000)                  counted to the byte
  half = nil                                 counted to the byte
  text = ('\''x'\''):rep(10000000)                 counted to the byte
  text = nil                                 counted to the byte
  text = table.concat({('\''x'\''):rep(9999999), '\''y'\''}) counted to the byte
  text = nil                                 counted to the byte
  text = ('\''x'\''):rep(5000000) .. ('\''y'\''):rep(5000000) counted to the byte
  closed: 0 bytes held
Lua 5.5.1
  half = ('\''x'\''):rep(5000000)                  counted nearly
  half = nil                                 counted to the byte
  text = ('\''x'\''):rep(10000000)                 10 MB are not counted
  text = nil                                 counted to the byte
  text = table.concat({('\''x'\''):rep(9999999), '\''y'\''}) 10 MB are not counted
  text = nil                                 counted to the byte
  text = ('\''x'\''):rep(5000000) .. ('\''y'\''):rep(5000000) counted to the byte
  closed: 0 bytes held'
