/* SPDX-License-Identifier: BSD-3-Clause */
/* C++'s operators new and delete, by their names for the linker. No program in C gets a C++ library from us: the one
 * that throws is the program's own. */
#include "preload/preload.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

/* Parts of the names: size_t as an argument, and others. */
#ifdef __LP64__
#define SIZE "m"
#else
#define SIZE "j"
#endif
#define ALIGNED "St11align_val_t"
#define NOTHROW "RKSt9nothrow_t"

/*
 * The operator of the program's C++ library. It asks malloc, which is ours, calls the program's new handler as long
 * as there is one, and throws. It is not just the next one after ours, which may be another allocator's.
 */
static void *find(const char *name)
{
    static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1", "libc++abi.so.1"};
    for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        void *found = library != NULL ? dlsym(library, name) : NULL;
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

static void *find_or_abort(const char *name)
{
    static const char message[] = "zmalloc: operator new: out of memory, and there is no C++ library to say so\n";
    void *found = find(name);
    if (found == NULL) {
        ssize_t written = write(STDERR_FILENO, message, sizeof(message) - 1);
        (void) written;
        abort();
    }
    return found;
}

static void *new_again(size_t size)
{
    return ((void *(*) (size_t)) find_or_abort("_Znw" SIZE))(size);
}

static __attribute__((noinline)) void *new_aligned_again(size_t size, size_t alignment)
{
    return ((void *(*) (size_t, size_t)) find_or_abort("_Znw" SIZE ALIGNED))(size, alignment);
}

static __attribute__((noinline)) void *new_nothrow_again(size_t size, const void *nothrow)
{
    void *(*again)(size_t, const void *) = (void *(*) (size_t, const void *) ) find("_Znw" SIZE NOTHROW);
    return again != NULL ? again(size, nothrow) : NULL;
}

static __attribute__((noinline)) void *new_aligned_nothrow_again(size_t size, size_t alignment, const void *nothrow)
{
    void *(*again)(size_t, size_t, const void *) =
        (void *(*) (size_t, size_t, const void *) ) find("_Znw" SIZE ALIGNED NOTHROW);
    return again != NULL ? again(size, alignment, nothrow) : NULL;
}

static ZM_SLOW_PATH void *new_plain_slow(size_t size)
{
    void *block = ztrymalloc(size);
    return ZM_UNLIKELY(block == NULL) ? new_again(size) : block;
}

static inline void *new_plain(size_t size)
{
    return zm_preload_allocate(size, new_plain_slow);
}

static inline void *new_aligned(size_t size, size_t alignment)
{
    void *block = ztryaligned_alloc(alignment, size);
    return ZM_UNLIKELY(block == NULL) ? new_aligned_again(size, alignment) : block;
}

static inline void *new_nothrow(size_t size, const void *nothrow)
{
    void *block = ztrymalloc(size);
    return ZM_UNLIKELY(block == NULL) ? new_nothrow_again(size, nothrow) : block;
}

static inline void *new_aligned_nothrow(size_t size, size_t alignment, const void *nothrow)
{
    void *block = ztryaligned_alloc(alignment, size);
    return ZM_UNLIKELY(block == NULL) ? new_aligned_nothrow_again(size, alignment, nothrow) : block;
}

/* Each kind twice: w and l are for objects, a is for arrays. */
#define NEW(kind, arguments, values, suffix)                                                                         \
    ZM_EXPORTED void *zm_preload_##kind arguments __asm__("_Znw" SIZE suffix);                                       \
    ZM_EXPORTED void *zm_preload_##kind##_array arguments __asm__("_Zna" SIZE suffix);                               \
    void *zm_preload_##kind arguments                                                                                \
    {                                                                                                                \
        return kind values;                                                                                          \
    }                                                                                                                \
    void *zm_preload_##kind##_array arguments                                                                        \
    {                                                                                                                \
        return kind values;                                                                                          \
    }

NEW(new_plain, (size_t size), (size), "")
NEW(new_aligned, (size_t size, size_t alignment), (size, alignment), ALIGNED)
NEW(new_nothrow, (size_t size, const void *nothrow), (size, nothrow), NOTHROW)
NEW(new_aligned_nothrow, (size_t size, size_t alignment, const void *nothrow), (size, alignment, nothrow),
    ALIGNED NOTHROW)

/* What follows the block is no better than what the allocator knows. */
#define DELETE(kind, suffix)                                                                                         \
    ZM_EXPORTED void zm_preload_delete_##kind(void *block) __asm__("_ZdlPv" suffix);                                 \
    ZM_EXPORTED void zm_preload_delete_array_##kind(void *block) __asm__("_ZdaPv" suffix);                           \
    void zm_preload_delete_##kind(void *block)                                                                       \
    {                                                                                                                \
        zm_preload_free(block);                                                                                      \
    }                                                                                                                \
    void zm_preload_delete_array_##kind(void *block)                                                                 \
    {                                                                                                                \
        zm_preload_free(block);                                                                                      \
    }

DELETE(plain, "")
DELETE(sized, SIZE)
DELETE(aligned, ALIGNED)
DELETE(sized_aligned, SIZE ALIGNED)
DELETE(nothrow, NOTHROW)
DELETE(aligned_nothrow, ALIGNED NOTHROW)
