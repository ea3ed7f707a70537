#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Lua 5.5: in generational mode, which the stand-alone interpreter chooses, a loop over large strings holds them all.
#
# Versions: Debian's liblua5.5-0 5.5.1-1 (forky) beside liblua5.4-0 5.4.7-1+b2 (trixie).
# Each turn of the loop makes a string of half a megabyte by string.rep and another of it by .., and keeps neither.
# 5.4 in both modes and 5.5 in incremental mode, the library's default, hold under 5 MB. 5.5 in generational mode
# holds more with each turn, over 300 MB after 1,000 of them, while collectgarbage "count" says 2 MB. A full
# collection frees it.
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

static const char *range(size_t bytes)
{
    return bytes < 5000000 ? "under 5 MB" : bytes < 50000000 ? "under 50 MB" : bytes < 300000000 ? "under 300 MB" :
        "over 300 MB";
}

int main(void)
{
    const int modes[] = {LUA_GCINC, LUA_GCGEN};
    for (int i = 0; i < 2; i++) {
#if LUA_VERSION_NUM >= 505
        lua_State *state = lua_newstate(allocate, NULL, 1);
        lua_gc(state, modes[i]);
#else
        lua_State *state = lua_newstate(allocate, NULL);
        modes[i] == LUA_GCINC ? lua_gc(state, LUA_GCINC, 0, 0, 0) : lua_gc(state, LUA_GCGEN, 0, 0);
#endif
        luaL_openlibs(state);
        if (luaL_dostring(state, "for i = 1, 1000 do local a = ('x'):rep(500000 + i) local b = a .. a end"))
            puts(lua_tostring(state, -1));
        size_t counted = (size_t)lua_gc(state, LUA_GCCOUNT) * 1024;
        printf("%s, %s: holds %s, counts %s", LUA_RELEASE, i == 0 ? "incremental" : "generational", range(held),
            range(counted));
        lua_gc(state, LUA_GCCOLLECT);
        printf(", after a full collection holds %s\n", range(held));
        lua_close(state);
    }
}
C
    run "$work/ask"
}

{
    debian trixie libc6=2.41-12+deb13u5 liblua5.4-0=5.4.7-1+b2 liblua5.4-dev=5.4.7-1+b2
    ask lua5.4
    debian forky libc6=2.43-7 liblua5.5-0=5.5.1-1 liblua5.5-dev=5.5.1-1
    ask lua5.5
} | expect 'Lua 5.4.7, incremental: holds under 5 MB, counts under 5 MB, after a full collection holds under 5 MB
Lua 5.4.7, generational: holds under 5 MB, counts under 5 MB, after a full collection holds under 5 MB
Lua 5.5.1, incremental: holds under 5 MB, counts under 5 MB, after a full collection holds under 5 MB
Lua 5.5.1, generational: holds over 300 MB, counts under 5 MB, after a full collection holds under 5 MB'
