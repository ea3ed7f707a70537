// SPDX-License-Identifier: BSD-3-Clause
// A C++ program whose malloc, free and their like are the z* calls, with threads, and with as many keys for threads'
// values as are taken before main.
#include "zmalloc.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace
{

const std::size_t page = 4096;

// Before any other constructor: what the library and the allocator take comes after these.
__attribute__((constructor(101))) void take_keys()
{
    const char *number = std::getenv("KEYS");
    for (int left = number != nullptr ? std::atoi(number) : 0; left > 0; left--) {
        pthread_key_t key;
        if (pthread_key_create(&key, nullptr) != 0) {
            std::_Exit(3);
        }
    }
}

// As the standards want it of a failed allocation.
void *or_errno(void *block)
{
    if (block == nullptr) {
        errno = ENOMEM;
    }
    return block;
}

} // namespace

// What glibc lists in "Replacing malloc", and what else frees or measures a block.
extern "C" {

void *malloc(std::size_t size) noexcept
{
    return or_errno(ztrymalloc(size));
}

void free(void *ptr) noexcept
{
    int error = errno;
    zfree(ptr);
    errno = error;
}

void *calloc(std::size_t count, std::size_t size) noexcept
{
    std::size_t bytes;
    return or_errno(__builtin_mul_overflow(count, size, &bytes) ? nullptr : ztrycalloc(bytes));
}

void *realloc(void *ptr, std::size_t size) noexcept
{
    void *block = ztryrealloc(ptr, size);
    return size != 0 ? or_errno(block) : block;
}

void *aligned_alloc(std::size_t alignment, std::size_t size) noexcept
{
    return or_errno(ztryaligned_alloc(alignment, size));
}

void *memalign(std::size_t alignment, std::size_t size) noexcept
{
    return or_errno(ztryaligned_alloc(alignment, size));
}

int posix_memalign(void **ptr, std::size_t alignment, std::size_t size) noexcept
{
    void *block = ztryaligned_alloc(alignment, size);
    if (block == nullptr) {
        return ENOMEM;
    }
    *ptr = block;
    return 0;
}

void *valloc(std::size_t size) noexcept
{
    return or_errno(ztryaligned_alloc(page, size));
}

void *pvalloc(std::size_t size) noexcept
{
    return or_errno(ztryaligned_alloc(page, (size + page - 1) / page * page));
}

std::size_t malloc_usable_size(void *ptr) noexcept
{
    return ptr != nullptr ? zmalloc_usable_size(ptr) : 0;
}
}

namespace
{

// What C++ and the C library allocate by themselves: containers, exceptions, threads, thread_local objects.
std::size_t work(int number)
{
    thread_local std::vector<std::string> kept;
    std::map<int, std::unique_ptr<std::string>> names;
    std::size_t length = 0;
    for (int i = 0; i < 500; i++) {
        names[i % 50] = std::make_unique<std::string>(static_cast<std::size_t>(i * 7 + number), 'x');
        kept.push_back(std::to_string(i) + " and enough more that it is no short string");
        try {
            if (i % 10 == 0) {
                throw std::runtime_error(kept.back());
            }
        } catch (const std::runtime_error &error) {
            length += std::strlen(error.what());
        }
    }
    return length;
}

// Blocks that one thread allocates and another frees.
bool is_exact()
{
    std::vector<void *> blocks(100, nullptr);
    std::size_t before = zmalloc_used_memory(), bytes = 0;
    for (void *&block : blocks) {
        block = std::malloc(1000);
        bytes += zmalloc_usable_size(block);
    }
    bool counted = zmalloc_used_memory() == before + bytes;
    std::thread([&blocks] {
        for (void *block : blocks) {
            std::free(block);
        }
    }).join();
    return counted && zmalloc_used_memory() < before + bytes / 2;
}

} // namespace

int main()
{
    for (int round = 0; round < 20; round++) {
        std::vector<std::thread> threads;
        for (int number = 0; number < 10; number++) {
            threads.emplace_back([number] {
                if (work(number) == 0) {
                    std::_Exit(4);
                }
            });
        }
        for (std::thread &thread : threads) {
            thread.join();
        }
    }
    std::size_t used = zmalloc_used_memory();
    std::printf("%s, %s\n", zmalloc_allocator(), used > 0 && used < 10u << 20 && is_exact() ? "exact" : "not exact");
    return 0;
}
