/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that runs one instruction at a time, and which of them are the library's own. For x86-64. */
#ifndef SINGLE_STEPS_H
#define SINGLE_STEPS_H

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

/* From now on each instruction of this thread raises SIGTRAP, or none does. */
static inline void step(bool on)
{
    if (on) {
        __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
    } else {
        __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
    }
}

/* The same from a handler, for what it has interrupted. */
static inline void stop_steps(ucontext_t *interrupted)
{
    interrupted->uc_mcontext.gregs[REG_EFL] &= ~0x100;
}

/* The library's, without that of an allocator in the same file. */
struct own_code {
    uintptr_t begin;
    uintptr_t end;
};

/* Not the parts of functions that a compiler moves elsewhere: their names have a dot. */
static inline bool is_own(const char *name)
{
    return name[0] == 'z' && strchr(name, '.') == NULL;
}

static inline void add_functions(const char *file, const ElfW(Shdr) * table, uintptr_t base, struct own_code *code)
{
    const ElfW(Shdr) *sections = (const ElfW(Shdr) *) (file + ((const ElfW(Ehdr) *) file)->e_shoff);
    const char *names = file + sections[table->sh_link].sh_offset;
    const ElfW(Sym) *symbols = (const ElfW(Sym) *) (file + table->sh_offset);
    for (size_t i = 0; i < table->sh_size / sizeof(*symbols); i++) {
        uintptr_t begin = base + symbols[i].st_value;
        if ((symbols[i].st_info & 15) != STT_FUNC || symbols[i].st_size == 0 || !is_own(names + symbols[i].st_name)) {
            continue;
        }
        code->begin = code->begin == 0 || begin < code->begin ? begin : code->begin;
        code->end = begin + symbols[i].st_size > code->end ? begin + symbols[i].st_size : code->end;
    }
}

static inline int look_for_own_code(struct dl_phdr_info *info, size_t size, void *code)
{
    (void) size;
    struct stat status;
    int fd = strstr(info->dlpi_name, "libzmalloc") != NULL ? open(info->dlpi_name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0 || fstat(fd, &status) != 0) {
        return 0;
    }
    const char *file = mmap(NULL, (size_t) status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (file == MAP_FAILED) {
        return 0;
    }
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *) file;
    const ElfW(Shdr) *sections = (const ElfW(Shdr) *) (file + header->e_shoff);
    for (size_t i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type == SHT_SYMTAB) {
            add_functions(file, &sections[i], info->dlpi_addr, code);
        }
    }
    return 1;
}

/* All 0: not a shared library, or one without its symbols. */
static inline struct own_code find_own_code(void)
{
    struct own_code code = {0, 0};
    dl_iterate_phdr(look_for_own_code, &code);
    return code;
}

static inline bool is_in_own_code(const ucontext_t *interrupted, struct own_code code)
{
    uintptr_t instruction = (uintptr_t) interrupted->uc_mcontext.gregs[REG_RIP];
    return instruction >= code.begin && instruction < code.end;
}

#endif
