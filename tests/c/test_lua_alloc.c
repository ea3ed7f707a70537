/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole Lua states on zmalloc_lua_alloc: real scripts, and memory that is known to the byte until nothing is left. */
#include "sanitizers.h"
#include "support.h"

#include <zmalloc_lua.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <pthread.h>
#include <sys/resource.h>

_Static_assert(LUA_VERSION_NUM == LUA_ASKED_FOR, "another Lua was found");

/* First the call itself, as Lua makes it; while there is no other thread, whose memory would be in the way. */

static void test_what_is_new_has_a_type_and_no_size(void **state)
{
    (void) state;
    size_t used = 0;
    static const size_t types[] = {0, LUA_TSTRING, LUA_TTABLE, LUA_TFUNCTION, LUA_TTHREAD, 10, PTRDIFF_MAX, SIZE_MAX};
    for (size_t t = 0; t < LENGTH(types); t++) {
        size_t type = types[t];
        for (size_t size = 1; size < 20000; size += size / 3 + 1) {
            void *block = zmalloc_lua_alloc(&used, NULL, type, size);
            assert_non_null(block);
            assert_int_equal(used, zmalloc_size(block));
            assert_null(zmalloc_lua_alloc(&used, block, size, 0));
            assert_int_equal(used, 0);
        }
        assert_null(zmalloc_lua_alloc(&used, NULL, type, 0));
        assert_null(zmalloc_lua_alloc(NULL, NULL, type, 0));
        assert_null(zmalloc_lua_alloc(&used, NULL, SIZE_MAX, PTRDIFF_MAX));
    }
    assert_int_equal(used, 0);
    assert_int_equal(oom.calls, 0);
}

static void test_what_can_not_grow_stays(void **state)
{
    (void) state;
    static const size_t sizes[] = {1, 24, 100, 4000, 300000};
    for (size_t b = 0; b < LENGTH(sizes); b++) {
        size_t used = 0;
        void *block = zmalloc_lua_alloc(&used, NULL, LUA_TTABLE, sizes[b]);
        fill(block, 0, sizes[b], 3);
        for (size_t s = 0; s < LENGTH(impossible_sizes); s++) {
            assert_null(zmalloc_lua_alloc(&used, block, sizes[b], impossible_sizes[s]));
            assert_int_equal(used, zmalloc_size(block));
            assert_true(filled(block, sizes[b], 3));
        }
        assert_null(zmalloc_lua_alloc(&used, block, sizes[b], 0));
        assert_int_equal(used, 0);
    }
    assert_int_equal(oom.calls, 0);
}

static void limit_address_space(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

/* A block that the allocator would move to a smaller place, when there is no such place left. */
static void test_what_can_not_shrink_stays(void **state)
{
    (void) state;
    enum { LARGE = 4000, SMALL = 100, ROOM = 2 << 20 };
    if (ADDRESS_SANITIZER || THREAD_SANITIZER) {
        skip(); /* they have taken more address space than there is memory */
    }
    size_t used = 0;
    void *large[32];
    for (size_t i = 0; i < LENGTH(large); i++) {
        large[i] = zmalloc_lua_alloc(&used, NULL, LUA_TTABLE, LARGE);
        fill(large[i], 0, LARGE, (unsigned) i);
    }

    size_t mapped;
    assert_int_equal(zmalloc_smap_bytes_by_field("Size", -1, &mapped), 0);
    void **last = NULL;
    limit_address_space(mapped + ROOM);
    for (void **next; (next = ztrymalloc(SMALL)) != NULL; last = next) {
        *next = last;
    }
    for (size_t i = 0; i < LENGTH(large); i++) {
        large[i] = zmalloc_lua_alloc(&used, large[i], LARGE, SMALL);
    }
    limit_address_space(RLIM_INFINITY);

    while (last != NULL) {
        void **next = *last;
        zfree(last);
        last = next;
    }
    size_t sum = 0;
    for (size_t i = 0; i < LENGTH(large); i++) {
        assert_non_null(large[i]);
        assert_true(filled(large[i], SMALL, (unsigned) i));
        sum += zmalloc_size(large[i]);
    }
    assert_int_equal(used, sum);
    for (size_t i = 0; i < LENGTH(large); i++) {
        assert_null(zmalloc_lua_alloc(&used, large[i], SMALL, 0));
    }
    assert_int_equal(used, 0);
    assert_int_equal(oom.calls, 0);
}

/* A state's memory, summed beside what zmalloc_lua_alloc keeps, and what goes wrong between the two. */
struct shadow {
    size_t used; /* zmalloc_lua_alloc's */
    size_t sum;
    size_t asked; /* as Lua counts */
    size_t limit; /* on asked */
    size_t start; /* what others have in use */
    bool alone;   /* no other thread has a part in the account */
    size_t calls;
    size_t refused;
    size_t wrong;
};

static void *shadow_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
    struct shadow *shadow = ud;
    size_t old = ptr != NULL ? osize : 0;
    shadow->calls++;
    if (nsize > old && shadow->asked + (nsize - old) > shadow->limit) {
        shadow->refused++;
        return NULL;
    }
    size_t before = zmalloc_size(ptr);
    void *block = zmalloc_lua_alloc(&shadow->used, ptr, osize, nsize);
    shadow->sum += zmalloc_size(block) - before;
    shadow->asked += nsize - old;
    bool served = nsize == 0 ? block == NULL : block != NULL && zmalloc_usable_size(block) >= nsize && aligned(block);
    bool counted = shadow->used == shadow->sum && shadow->sum >= shadow->asked;
    bool in_account = !shadow->alone || zmalloc_used_memory() == shadow->start + shadow->sum;
    shadow->wrong += !served || !counted || !in_account;
    return block;
}

static struct shadow new_shadow(void)
{
    return (struct shadow){.limit = SIZE_MAX, .start = zmalloc_used_memory(), .alone = true};
}

/* The bytes that Lua itself says it has. */
static size_t lua_count(lua_State *L)
{
    return (size_t) lua_gc(L, LUA_GCCOUNT, 0) * 1024 + (size_t) lua_gc(L, LUA_GCCOUNTB, 0);
}

/* 5.5 does not count strings that it built in a buffer. */
static void check_count(const struct shadow *shadow, lua_State *L)
{
#if LUA_VERSION_NUM >= 505
    assert_true(shadow->asked >= lua_count(L));
#else
    assert_int_equal(shadow->asked, lua_count(L));
#endif
}

static lua_State *new_state(lua_Alloc alloc, void *ud)
{
#if LUA_VERSION_NUM >= 505
    return lua_newstate(alloc, ud, 1); /* the seed of its hashes */
#else
    return lua_newstate(alloc, ud);
#endif
}

static lua_State *open_state(lua_Alloc alloc, void *ud)
{
    lua_State *L = new_state(alloc, ud);
    assert_non_null(L);
    luaL_openlibs(L);
    return L;
}

static void run(lua_State *L, const char *script)
{
    if (luaL_loadstring(L, script) != 0 || lua_pcall(L, 0, 0, 0) != 0) {
        fail_msg("%s", lua_tostring(L, -1));
    }
}

/* Each checks itself, and leaves garbage behind. In words that every Lua knows. */
static const char *const scripts[] = {
    /* Tables that grow, shrink and are filled anew. */
    "local t = {}\n"
    "for i = 1, 3000 do t[i] = {i, name = 'n' .. i} end\n"
    "for i = 1, 3000, 2 do t[i] = nil end\n"
    "collectgarbage()\n"
    "for i = 2, 3000, 2 do assert(t[i][1] == i and t[i].name == 'n' .. i) end\n"
    "for i = 3000, 1, -1 do t[i] = i end\n"
    "table.sort(t, function(a, b) return a > b end)\n"
    "assert(t[1] == 3000 and t[3000] == 1 and #t == 3000)",
    /* Strings, short and long. */
    "local parts = {}\n"
    "for i = 1, 600 do parts[i] = ('%d,'):format(i):rep(i % 7 + 1) end\n"
    "local text = table.concat(parts)\n"
    "local digits = text:gsub('%D', '')\n"
    "assert(#text > #digits and digits:sub(1, 6) == '112223')\n"
    "local s = 'x'\n"
    "for _ = 1, 16 do s = s .. s end\n"
    "assert(#s == 2 ^ 16 and s:reverse():upper() == ('X'):rep(2 ^ 16))",
    /* Coroutines, many of them and never finished. */
    "local function numbers(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i) end end) end\n"
    "local all = {}\n"
    "for i = 1, 200 do all[i] = numbers(i) end\n"
    "local sum = 0\n"
    "for _, next_number in ipairs(all) do sum = sum + next_number() end\n"
    "assert(sum == 200)\n"
    "for n in numbers(1000) do sum = sum + n end\n"
    "assert(sum == 200 + 500500)",
    /* Errors, from deep inside. */
    "local function fall(n) if n == 0 then error({n = n}) end return 1 + fall(n - 1) end\n"
    "for n = 0, 150 do local ok, e = pcall(fall, n) assert(not ok and e.n == 0) end\n"
    "assert(not pcall(function() return nil .. 'x' end))\n"
    "assert((loadstring or load)('return 6 * 7')() == 42 and not (loadstring or load)('return ='))",
    /* Closures, weak tables and finalizers. */
    "local count = 0\n"
    "local weak = setmetatable({}, {__mode = 'k'})\n"
    "for i = 1, 500 do\n"
    "   local up = i\n"
    "   weak[{}] = function() up = up + 1 return up end\n"
    "   if newproxy then getmetatable(newproxy(true)).__gc = function() count = count + 1 end\n"
    "   else setmetatable({}, {__gc = function() count = count + 1 end}) end\n"
    "end\n"
    "collectgarbage()\n"
    "collectgarbage()\n"
    "assert(next(weak) == nil and count > 400)",
};

static void test_scripts(void **state)
{
    (void) state;
    struct shadow shadow = new_shadow();
    lua_State *L = open_state(shadow_alloc, &shadow);
    for (size_t i = 0; i < LENGTH(scripts); i++) {
        run(L, scripts[i]);
        assert_int_equal(shadow.wrong, 0);
        check_count(&shadow, L);
        assert_true(shadow.used >= shadow.asked);
    }
    lua_close(L);
    assert_int_equal(shadow.wrong, 0);
    assert_int_equal(shadow.used, 0);
    assert_true(shadow.calls > 10000);
}

#ifndef LUA_JITLIBNAME
/* With ever more memory, until it is enough. A script's own pcall may hide that it was not, so it may fail later. */
static size_t times_refused(lua_State *L, struct shadow *shadow, const char *script)
{
    size_t failed = 0;
    for (size_t more = 0;; more += more / 2 + 5000) {
        lua_gc(L, LUA_GCCOLLECT, 0);
        shadow->limit = shadow->asked + more;
        shadow->refused = 0;
        bool well = luaL_loadstring(L, script) == 0 && lua_pcall(L, 0, 0, 0) == 0;
        shadow->limit = SIZE_MAX;
        lua_settop(L, 0);
        if (well) {
            return failed;
        }
        failed++;
        assert_true(shadow->refused > 0);
    }
}

static void test_a_limit(void **state)
{
    (void) state;
    struct shadow shadow = new_shadow();
    lua_State *L = open_state(shadow_alloc, &shadow);
    for (size_t i = 0; i < LENGTH(scripts); i++) {
        assert_true(times_refused(L, &shadow, scripts[i]) > 2);
        assert_int_equal(shadow.wrong, 0);
        check_count(&shadow, L);
    }
    for (size_t i = 0; i < LENGTH(scripts); i++) {
        run(L, scripts[i]);
    }
    lua_close(L);
    assert_int_equal(shadow.wrong, 0);
    assert_int_equal(shadow.used, 0);
    assert_int_equal(oom.calls, 0);
}

/* lua_newstate asks for memory several times: whichever is refused, nothing is left. */
static void test_a_state_that_can_not_be_made(void **state)
{
    (void) state;
    size_t limit = 0;
    for (;; limit += 200) {
        struct shadow shadow = new_shadow();
        shadow.limit = limit;
        lua_State *L = new_state(shadow_alloc, &shadow);
        if (L != NULL) {
            shadow.limit = SIZE_MAX;
            lua_close(L);
        }
        assert_int_equal(shadow.used, 0);
        assert_int_equal(shadow.wrong, 0);
        assert_int_equal(zmalloc_used_memory(), used_at_start);
        if (L != NULL) {
            break;
        }
    }
    assert_true(limit > 1000);
}
#endif

static void test_out_of_memory_is_an_error_of_lua(void **state)
{
    (void) state;
    struct shadow shadow = new_shadow();
    lua_State *L = open_state(shadow_alloc, &shadow);
    shadow.limit = shadow.asked + (1 << 20);
    assert_int_equal(luaL_loadstring(L, "local t = {} for i = 1, 1e9 do t[i] = {} end"), 0);
    assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_ERRMEM);
    assert_string_equal(lua_tostring(L, -1), "not enough memory");
    shadow.limit = SIZE_MAX;
    lua_close(L);
    assert_int_equal(shadow.wrong, 0);
    assert_int_equal(shadow.used, 0);
    assert_int_equal(oom.calls, 0);
}

static void test_each_state_is_counted_on_its_own(void **state)
{
    (void) state;
    size_t used[3] = {0};
    lua_State *states[3];
    for (size_t i = 0; i < LENGTH(states); i++) {
        states[i] = open_state(zmalloc_lua_alloc, &used[i]);
    }
    assert_int_equal(zmalloc_used_memory(), used_at_start + used[0] + used[1] + used[2]);
    size_t empty[] = {used[0], used[1], used[2]};
    run(states[1], "kept = ('x'):rep(2 ^ 20)");
    assert_true(used[1] > empty[1] + (1 << 20));
    assert_int_equal(used[0], empty[0]);
    assert_int_equal(used[2], empty[2]);
    assert_int_equal(zmalloc_used_memory(), used_at_start + used[0] + used[1] + used[2]);
    for (size_t i = 0; i < LENGTH(states); i++) {
        lua_close(states[i]);
        assert_int_equal(used[i], 0);
    }
}

static void test_a_state_need_not_be_counted(void **state)
{
    (void) state;
    lua_State *L = open_state(zmalloc_lua_alloc, NULL);
    assert_true(zmalloc_used_memory() >= used_at_start + lua_count(L));
    for (size_t i = 0; i < LENGTH(scripts); i++) {
        run(L, scripts[i]);
    }
    lua_close(L);
}

#if LUA_VERSION_NUM >= 505
/* A string on a block of ours: the state takes it over as it lies, and frees it by the function. */
static void test_a_string_on_a_block(void **state)
{
    (void) state;
    enum { LENGTH_OF_STRING = 100000 };
    lua_State *L = open_state(zmalloc_lua_alloc, NULL);
    lua_gc(L, LUA_GCCOLLECT, 0);
    size_t before = zmalloc_used_memory();
    char *block = zmalloc(LENGTH_OF_STRING + 1);
    size_t size = zmalloc_size(block);
    memset(block, 'x', LENGTH_OF_STRING);
    block[LENGTH_OF_STRING] = '\0';
    assert_ptr_equal(lua_pushexternalstring(L, block, LENGTH_OF_STRING, zmalloc_lua_alloc, NULL), block);
    assert_true(zmalloc_used_memory() >= before + size);
    assert_true(zmalloc_used_memory() < before + size + size / 2); /* no second one */
    lua_setglobal(L, "text");
    run(L, "assert(text == ('x'):rep(100000))");
    run(L, "text = nil collectgarbage()");
    assert_true(zmalloc_used_memory() < before + size / 2);
    lua_close(L);
}
#endif

static void *run_all_in_a_state(void *context)
{
    struct shadow *shadow = context;
    lua_State *L = new_state(shadow_alloc, shadow);
    luaL_openlibs(L);
    for (size_t i = 0; i < LENGTH(scripts); i++) {
        shadow->wrong += luaL_loadstring(L, scripts[i]) != 0 || lua_pcall(L, 0, 0, 0) != 0;
    }
    return L;
}

/* Made and used by threads that end, and closed by another. */
static void test_states_of_many_threads(void **state)
{
    (void) state;
    pthread_t threads[4];
    struct shadow shadows[LENGTH(threads)];
    for (size_t i = 0; i < LENGTH(threads); i++) {
        shadows[i] = new_shadow();
        shadows[i].alone = false;
        assert_int_equal(pthread_create(&threads[i], NULL, run_all_in_a_state, &shadows[i]), 0);
    }
    size_t sum = 0;
    void *states[LENGTH(threads)];
    for (size_t i = 0; i < LENGTH(threads); i++) {
        assert_int_equal(pthread_join(threads[i], &states[i]), 0);
        sum += shadows[i].used;
    }
    assert_int_equal(zmalloc_used_memory(), used_at_start + sum);
    for (size_t i = 0; i < LENGTH(threads); i++) {
        lua_close(states[i]);
        assert_int_equal(shadows[i].wrong, 0);
        assert_int_equal(shadows[i].used, 0);
    }
}

static const struct CMUnitTest tests[] = {
    balanced(test_what_is_new_has_a_type_and_no_size),
    balanced(test_what_can_not_grow_stays),
    balanced(test_what_can_not_shrink_stays),
    balanced(test_scripts),
    balanced(test_out_of_memory_is_an_error_of_lua),
#ifndef LUA_JITLIBNAME
    /* LuaJIT 2.1 crashes where some things are refused, as it does on plain malloc. */
    balanced(test_a_limit),
    balanced(test_a_state_that_can_not_be_made),
#endif
    balanced(test_each_state_is_counted_on_its_own),
    balanced(test_a_state_need_not_be_counted),
#if LUA_VERSION_NUM >= 505
    balanced(test_a_string_on_a_block),
#endif
    balanced(test_states_of_many_threads),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
