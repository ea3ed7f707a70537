/* SPDX-License-Identifier: BSD-3-Clause */
/* zmalloc for programs that embed Lua: a whole Lua state on counted blocks of zmalloc's allocator. */
#ifndef ZMALLOC_LUA_H
#define ZMALLOC_LUA_H

#include "zmalloc.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A lua_Alloc, for Lua 5.1 to 5.5 and LuaJIT (on x64, one with LJ_GC64). It needs no header of theirs. A state's
 * memory is then part of zmalloc_used_memory. If ud points to a size_t, the state is also counted on its own: that
 * size_t has the bytes that the state has in use, each block by its zmalloc_size. It must be 0 when the state is
 * made, and live as long as the state. It is 0 again when lua_close has returned. ud may be NULL; then the state is
 * not counted on its own.
 *
 *     size_t used = 0;
 *     lua_State *L = lua_newstate(zmalloc_lua_alloc, &used); // in 5.5 with a seed: luaL_makeseed(NULL)
 *
 * As Lua requires, nsize 0 frees the block at ptr (NULL is ignored) and returns NULL. With ptr NULL it allocates
 * nsize bytes. Otherwise it resizes the block as ztryrealloc does. A request that fails returns NULL; the
 * out-of-memory handler is never called. A block that can't be made smaller stays as it is, because Lua assumes that
 * this never fails. osize is only what Lua last asked for.
 *
 * What Lua does when a request fails depends on its version. 5.1 and LuaJIT raise an error at once. 5.2 collects its
 * garbage and asks once more. Later versions do so for most requests, but not for strings that the library builds, as
 * string.rep, string.format, string.gsub and table.concat do: these raise an error at once, even if all other memory
 * is garbage. So collect when a script has failed, and run it again; examples/embed.c does. The error is LUA_ERRMEM;
 * that of such a string in 5.3 is LUA_ERRRUN.
 *
 * In 5.5, strings that are built so are missing in collectgarbage "count", and *ud has them. Before, *ud is what that
 * count says, and what blocks have beyond it.
 *
 * A state, and so *ud, is used by one thread at a time. To limit a state, write a lua_Alloc of your own that refuses
 * what would pass the limit, and passes on the rest.
 */
ZMALLOC_API void *zmalloc_lua_alloc(void *ud, void *ptr, size_t osize, size_t nsize);

#ifdef __cplusplus
}
#endif

#endif
