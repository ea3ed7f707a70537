/* SPDX-License-Identifier: BSD-3-Clause */
/* See defrag.h. */
#include "defrag.h"

#include "block.h"
#include "convert.h"
#include "defrag_steps.h"

int to_blocks(lua_State *L, int index, const char *call, const char *argument)
{
    if (!lua_istable(L, index)) {
        refuse_type(L, index, call, argument, "a table of Blocks");
    }
    return index;
}

#if LUA_VERSION_NUM < 502
static size_t length_of(lua_State *L, int blocks)
{
    return lua_objlen(L, blocks);
}
#else
static size_t length_of(lua_State *L, int blocks)
{
    return lua_rawlen(L, blocks);
}
#endif

/* NULL for one that must stay as it is. To look may run finalisers, which may close it: so its state comes last. */
static struct block *block_at(lua_State *L, int blocks, size_t i, const char *call)
{
    lua_rawgeti(L, blocks, (int) i + 1);
    struct block *block = test_block(L, -1);
    if (block == NULL) {
        luaL_error(L, "%s: argument 'blocks' must hold Blocks, and holds %s at %d", call, luaL_typename(L, -1),
                   (int) i + 1);
        return NULL;
    }
    lua_pop(L, 1); /* the table still has it */
    return block->memory != NULL && !block->busy ? block : NULL;
}

void defrag_blocks(lua_State *L, int blocks, size_t start, size_t max_us, struct zmalloc_defrag *done, int *status)
{
    struct defrag_steps steps;
    *status = defrag_begin(&steps, start, max_us);
    while (*status == 0 && steps.sums.position < length_of(L, blocks) && defrag_is_in_time(&steps)) {
        struct block *block = block_at(L, blocks, steps.sums.position, "zmalloc_defrag");
        *status = defrag_step(&steps, block != NULL ? &block->memory : NULL);
    }
    *done = steps.sums;
}

void hint_blocks(lua_State *L, int blocks, int *status)
{
    lua_newtable(L);
    *status = zmalloc_defrag_hints(NULL, 0, NULL);
    for (size_t i = 0; i < length_of(L, blocks) && *status == 0; i++) {
        struct block *block = block_at(L, blocks, i, "zmalloc_defrag_hints");
        int helps = 0;
        *status = block != NULL ? zmalloc_defrag_hint(block->memory, &helps) : 0;
        lua_pushboolean(L, helps);
        lua_rawseti(L, -2, (int) i + 1);
    }
}
