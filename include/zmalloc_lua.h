/* SPDX-License-Identifier: BSD-3-Clause */
/* zmalloc for those who embed Lua: the memory of a whole Lua state, counted and in blocks of zmalloc's allocator. */
#ifndef ZMALLOC_LUA_H
#define ZMALLOC_LUA_H

#include "zmalloc.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A lua_Alloc, for Lua 5.1 to 5.4 and LuaJIT (on x64, one with LJ_GC64); no header of theirs is needed here. A
 * state's memory is then part of zmalloc_used_memory. It is also counted on its own if ud points to a size_t, which
 * must be 0 when the state is made and live as long as the state: the bytes that the state has in use, each block by
 * its zmalloc_size. They are 0 again when lua_close has returned. ud may be NULL: then nothing is counted but the
 * whole.
 *
 *     size_t used = 0;
 *     lua_State *L = lua_newstate(zmalloc_lua_alloc, &used);
 *
 * As Lua wants it: nsize 0 frees the block at ptr (NULL is ignored) and returns NULL; ptr NULL allocates nsize bytes;
 * otherwise the block is resized as by ztryrealloc. What can't be served is NULL, which Lua makes an error of its
 * own: the out-of-memory handler is never called. A block that can't be made smaller stays as it is, for Lua takes
 * that never to fail. osize tells no more than what Lua last asked for.
 *
 * A state is used by one thread at a time, and so is *ud. To limit a state, refuse in a lua_Alloc of your own what
 * would pass the limit, and pass on the rest.
 */
ZMALLOC_API void *zmalloc_lua_alloc(void *ud, void *ptr, size_t osize, size_t nsize);

#ifdef __cplusplus
}
#endif

#endif
