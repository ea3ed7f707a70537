/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host that knows nothing of the library: a C++ program whose threads are at work before they load it, and whose
 * thread_local objects use it while their threads end. The argument is the library.
 */
#include <dlfcn.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace
{

constexpr int EARLY = 6;
constexpr int LATE = 40;
constexpr int STEPS = 2000;

#define check(condition) check_at(__LINE__, (condition), #condition)

void check_at(int line, bool holds, const char *condition)
{
    if (!holds) {
        const char *reason = dlerror();
        std::fprintf(stderr, "line %d: not so: %s (%s)\n", line, condition, reason != nullptr ? reason : "");
        std::_Exit(1);
    }
}

void *(*allocate)(size_t size);
void *(*resize)(void *block, size_t size);
void (*release)(void *block);
size_t (*size_of)(void *block);
size_t (*used)();

/* What this program reckons. */
std::atomic<size_t> allocated{0};
std::atomic<size_t> freed{0};

char *make(size_t size)
{
    auto *block = static_cast<char *>(allocate(size));
    check(block != nullptr);
    allocated += size_of(block);
    std::memset(block, static_cast<int>(size % 256), size);
    return block;
}

char *change(char *block, size_t size)
{
    freed += size_of(block);
    block = static_cast<char *>(resize(block, size));
    check(block != nullptr);
    allocated += size_of(block);
    return block;
}

void end(char *block)
{
    freed += size_of(block);
    release(block);
}

/* Blocks of the program's own malloc and of the library, side by side. */
struct belongings {
    std::vector<std::string> texts;
    std::vector<char *> blocks;

    ~belongings();
};

/* One that is made only while its thread ends, and before that in some. */
struct latecomer {
    std::string text = std::string(300, 'l');
    char *block = nullptr;

    ~latecomer()
    {
        if (block != nullptr) {
            end(change(block, 7000));
        }
    }
};

thread_local belongings own;

latecomer &late()
{
    thread_local latecomer one;
    return one;
}

belongings::~belongings()
{
    if (allocate == nullptr) {
        return;
    }
    for (char *block : blocks) {
        end(block);
    }
    if (late().block == nullptr) {
        late().block = make(500);
    }
    texts.emplace_back(1000, 'x');
}

std::mutex mutex;
std::vector<char *> left;
std::vector<std::string> left_texts;

void step(size_t i)
{
    size_t size = 1 + i * 7919 % 5000;
    char *block = make(size);
    std::string text(size, 't');
    if (i % 3 == 0) {
        block = change(block, 2 * size);
    }
    check(block[size - 1] == static_cast<char>(size % 256));
    if (i % 5 == 0) {
        std::lock_guard<std::mutex> lock(mutex);
        left.push_back(block);
        left_texts.push_back(std::move(text));
        if (left.size() > 20) {
            end(left.front());
            left.erase(left.begin());
            left_texts.erase(left_texts.begin());
        }
    } else if (own.blocks.size() < 30) {
        own.blocks.push_back(block);
        own.texts.push_back(std::move(text));
    } else {
        end(own.blocks.back());
        own.blocks.back() = block;
    }
}

std::condition_variable changed;
bool loaded;

/* Such threads have TLS of their own already when the library comes. */
void work_early(size_t number)
{
    own.texts.emplace_back(100, 'e');
    std::unique_lock<std::mutex> lock(mutex);
    changed.wait(lock, [] { return loaded; });
    lock.unlock();
    for (size_t i = 0; i < STEPS; i++) {
        step(i + number);
    }
}

void work_late(size_t number)
{
    if (number % 2 == 0) {
        late().block = make(100);
    }
    for (size_t i = 0; i < number; i++) {
        step(i);
    }
}

template <class Function> void find(void *library, const char *name, Function &function)
{
    function = reinterpret_cast<Function>(dlsym(library, name));
    check(function != nullptr);
}

void *load(const char *path)
{
    std::lock_guard<std::mutex> lock(mutex);
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    check(library != nullptr);
    find(library, "zrealloc", resize);
    find(library, "zfree", release);
    find(library, "zmalloc_size", size_of);
    find(library, "zmalloc_used_memory", used);
    find(library, "zmalloc", allocate);
    loaded = true;
    return library;
}

} // namespace

int main(int argc, char **argv)
{
    check(argc == 2);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < EARLY; i++) {
        threads.emplace_back(work_early, i);
    }
    void *library = load(argv[1]);
    changed.notify_all();
    for (size_t i = 0; i < LATE; i++) {
        threads.emplace_back(work_late, i);
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    check(used() == allocated - freed);
    for (char *block : left) {
        end(block);
    }
    check(used() == 0 && allocated == freed && allocated > 0);
    own.blocks.push_back(make(50)); /* for the end of the main thread */
    check(dlclose(library) == 0);
    std::puts("done");
    return 0;
}
