// SPDX-License-Identifier: BSD-3-Clause
// Operators new and delete of a program that knows nothing of the library: N rounds of each kind, and prints the
// bytes allocated and freed. With "fail": what they do when there is no memory; prints "ok".
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <new>

namespace
{

std::size_t allocated, freed;
int handled;

template <typename Type> Type *seen(Type *block)
{
    allocated += malloc_usable_size(const_cast<void *>(static_cast<const volatile void *>(block)));
    return block;
}

void *done(void *block)
{
    freed += malloc_usable_size(block);
    return block;
}

struct alignas(64) Wide {
    char bytes[192];
};

void do_round(std::size_t size)
{
    const std::align_val_t at{128};
    ::operator delete(done(seen(::operator new(size))));
    ::operator delete(done(seen(::operator new(size))), size);
    ::operator delete[](done(seen(::operator new[](size))));
    ::operator delete[](done(seen(::operator new[](size))), size);
    ::operator delete(done(seen(::operator new(size, std::nothrow))), std::nothrow);
    ::operator delete[](done(seen(::operator new[](size, std::nothrow))), std::nothrow);
    ::operator delete(done(seen(::operator new(size, at))), at);
    ::operator delete(done(seen(::operator new(size, at))), size, at);
    ::operator delete[](done(seen(::operator new[](size, at))), at);
    ::operator delete[](done(seen(::operator new[](size, at))), size, at);
    ::operator delete(done(seen(::operator new(size, at, std::nothrow))), at, std::nothrow);
    ::operator delete[](done(seen(::operator new[](size, at, std::nothrow))), at, std::nothrow);
    Wide *wide = seen(new Wide[3]);
    if (reinterpret_cast<std::uintptr_t>(wide) % alignof(Wide) != 0) {
        std::_Exit(3);
    }
    done(wide);
    delete[] wide;
}

void handle()
{
    if (++handled % 3 == 0) {
        std::set_new_handler(nullptr);
    }
}

// Whether it throws after the handler was called three times.
template <typename Call> bool throws(Call call)
{
    handled = 0;
    std::set_new_handler(handle);
    try {
        void *volatile block = call();
        (void) block;
    } catch (const std::bad_alloc &) {
        return handled == 3;
    }
    return false;
}

bool fails_as_it_should()
{
    volatile std::size_t most = PTRDIFF_MAX;
    const std::align_val_t at{128};
    std::set_new_handler(nullptr);
    return throws([&] { return ::operator new(most); }) && throws([&] { return ::operator new[](most); }) &&
           throws([&] { return ::operator new(most, at); }) && throws([&] { return ::operator new[](most, at); }) &&
           ::operator new(most, std::nothrow) == nullptr && ::operator new[](most, std::nothrow) ==
               nullptr && ::operator new(most, at, std::nothrow) ==
               nullptr && ::operator new[](most, at, std::nothrow) == nullptr;
}

} // namespace

int main(int count, char **words)
{
    if (count > 1 && std::strcmp(words[1], "fail") == 0) {
        std::puts(fails_as_it_should() ? "ok" : "not as it should");
        return 0;
    }
    const std::size_t rounds = count > 1 ? std::strtoul(words[1], nullptr, 10) : 0;
    for (std::size_t i = 0; i < rounds; i++) {
        do_round(i * 37 % 5000 + 1);
    }
    std::printf("%zu %zu\n", allocated, freed);
    return 0;
}
