/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The library in C++: containers on z* blocks that pass between threads, and thread_local objects whose destructors
 * allocate, free and come to life anew. The argument is how many seconds that goes on.
 */
#include "zmalloc.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace
{

constexpr int THREADS = 24;
constexpr int STEPS = 400;
constexpr int SECONDS = 10;

#define check(condition) check_at(__LINE__, (condition), #condition)

void check_at(int line, bool holds, const char *condition)
{
    if (!holds) {
        std::fprintf(stderr, "line %d: not so: %s\n", line, condition);
        std::_Exit(1);
    }
}

/* What this program reckons. */
std::atomic<size_t> allocated{0};
std::atomic<size_t> freed{0};

void *counted(void *block)
{
    if (block == nullptr) {
        throw std::bad_alloc();
    }
    allocated += zmalloc_size(block);
    return block;
}

void release(void *block)
{
    freed += zmalloc_size(block);
    zfree(block);
}

/* Containers know the size of what they free. */
template <class T> struct allocator {
    using value_type = T;

    allocator() = default;
    template <class U> allocator(const allocator<U> &)
    {
    }

    T *allocate(size_t number)
    {
        return static_cast<T *>(counted(zmalloc(number * sizeof(T))));
    }

    void deallocate(T *block, size_t number)
    {
        freed += zmalloc_size(block);
        zfree_with_size(block, number * sizeof(T));
    }

    template <class U> bool operator==(const allocator<U> &) const
    {
        return true;
    }

    template <class U> bool operator!=(const allocator<U> &) const
    {
        return false;
    }
};

using text = std::basic_string<char, std::char_traits<char>, allocator<char>>;
using texts = std::vector<text, allocator<text>>;
using table = std::map<int, text, std::less<int>, allocator<std::pair<const int, text>>>;

/* An object for which plain new would be too little aligned. */
struct alignas(128) line {
    char bytes[300];

    static void *operator new(size_t size)
    {
        return counted(zaligned_alloc(alignof(line), size));
    }

    static void operator delete(void *block)
    {
        release(block);
    }
};

/* Where threads leave things for others to take or free. */
struct exchange {
    std::mutex mutex;
    std::vector<texts, allocator<texts>> left;

    void leave(texts &&some)
    {
        std::lock_guard<std::mutex> lock(mutex);
        left.push_back(std::move(some));
    }

    texts take()
    {
        std::lock_guard<std::mutex> lock(mutex);
        texts some;
        if (!left.empty()) {
            some = std::move(left.back());
            left.pop_back();
        }
        return some;
    }
};

exchange *shared;

text some_text(std::minstd_rand &random)
{
    return text(random() % 2000, 'x');
}

/* Two that hold blocks while their thread ends; each uses the other in its destructor. */
struct holder {
    texts held;
    void *block = counted(zcalloc(100));

    ~holder();
};

struct late {
    std::unique_ptr<line> own;

    ~late()
    {
        void *block = counted(zmalloc(700));
        own.reset(new line);
        release(block);
    }
};

thread_local holder holds;

/*
 * If nobody needs it before, it is made while the thread ends. Not beside the other, with which the compiler would
 * make it, and then destroy it first.
 */
late &lately()
{
    thread_local late own;
    return own;
}

holder::~holder()
{
    held.push_back(text(1000, 'h'));
    shared->leave(std::move(held));
    if (!lately().own) {
        lately().own.reset(new line);
    }
    release(block);
}

void step(std::minstd_rand &random, texts &own, table &numbered)
{
    switch (random() % 8) {
    case 0:
        own.push_back(some_text(random));
        break;
    case 1:
        if (!own.empty()) {
            own.back() += some_text(random);
        }
        break;
    case 2:
        numbered[static_cast<int>(random() % 50)] = some_text(random);
        break;
    case 3:
        numbered.erase(static_cast<int>(random() % 50));
        break;
    case 4:
        shared->leave(std::move(own));
        own = texts();
        break;
    case 5:
        own = shared->take();
        break;
    case 6:
        holds.held.push_back(some_text(random));
        break;
    default: {
        std::unique_ptr<line> one(new line);
        check(reinterpret_cast<uintptr_t>(one.get()) % alignof(line) == 0);
        one->bytes[random() % sizeof(one->bytes)] = 1;
    }
    }
}

void work(unsigned seed)
{
    std::minstd_rand random(seed);
    texts own;
    table numbered;
    if (seed % 3 == 0) {
        lately().own.reset(new line);
    }
    for (int i = 0; i < STEPS; i++) {
        step(random, own, numbered);
    }
}

void compare(size_t before)
{
    check(zmalloc_used_memory() == before + allocated - freed);
    check(zmalloc_total_allocated() - zmalloc_total_freed() == zmalloc_used_memory());
}

} // namespace

int main(int argc, char **argv)
{
    using clock = std::chrono::steady_clock;
    const auto end = clock::now() + std::chrono::seconds(argc > 1 ? std::atoi(argv[1]) : SECONDS);
    const size_t before = zmalloc_used_memory();
    const size_t total_before = zmalloc_total_allocated();

    exchange place;
    shared = &place;
    unsigned seed = 1;
    do {
        std::vector<std::thread> threads;
        for (int i = 0; i < THREADS; i++) {
            threads.emplace_back(work, seed++);
        }
        for (std::thread &thread : threads) {
            thread.join();
        }
        compare(before);
    } while (clock::now() < end);

    place.left.clear();
    place.left.shrink_to_fit();
    compare(before);
    check(allocated == freed);
    check(zmalloc_used_memory() == before);
    check(zmalloc_total_allocated() - total_before == allocated);
    std::printf("figure: %u threads of C++ ended\n", seed - 1);
    return 0;
}
