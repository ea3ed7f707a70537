/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every call that can fail inside the library, failed in turn, in every public operation: the first, the second and
 * so on, alone and with all after it, until the operation ends without having met the fault. After each everything
 * must be as the header says. Its argument is where the headers are.
 */
#include "emulation.h"
#include "operations.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct operations *const topics[] = {&calls_operations, &limits_operations, &questions_operations,
                                                  &allocator_operations};

/* Of the block that operations free, resize or measure. */
enum { OLD_SIZE = 300000 };

/* The tables must have all that the headers declare. */
static bool is_tried(const char *call, size_t length)
{
    bool found = is_way_or_release(call, length);
    for (size_t t = 0; t < LENGTH(topics); t++) {
        for (size_t i = 0; i < topics[t]->count; i++) {
            found |= begins_with(topics[t]->all[i].call, call, length);
        }
    }
    return found;
}

static int untried_in(const char *headers, const char *file)
{
    char path[4096];
    char line[256];
    int declared = 0;
    int untried = 0;
    snprintf(path, sizeof(path), "%s/%s", headers, file);
    FILE *header = fopen(path, "r");
    while (header != NULL && fgets(line, sizeof(line), header) != NULL) {
        const char *bracket = strchr(line, '(');
        if (strncmp(line, "ZMALLOC_API ", strlen("ZMALLOC_API ")) != 0 || bracket == NULL) {
            continue;
        }
        const char *call = bracket;
        while (call[-1] != ' ' && call[-1] != '*') {
            call--;
        }
        declared++;
        if (!is_tried(call, (size_t) (bracket - call))) {
            fprintf(stderr, "no fault is tried in %.*s\n", (int) (bracket - call), call);
            untried++;
        }
    }
    if (header == NULL || declared == 0) {
        fprintf(stderr, "no declarations in %s\n", path);
        untried++;
    }
    if (header != NULL) {
        fclose(header);
    }
    return untried;
}

static void try_operations(void)
{
    choose_old(OLD_SIZE);
    for (size_t t = 0; t < LENGTH(topics); t++) {
        for (size_t i = 0; i < topics[t]->count; i++) {
            try_everywhere(&topics[t]->all[i]);
        }
    }
}

static void run_once(const struct operation *operation)
{
    if (operation->prepare != NULL) {
        operation->prepare();
    }
    operation->run();
}

/* Once without a fault: whatever sets itself up does so now. */
static void warm_up(void)
{
    trial.nth = UINT_MAX;
    name_trial("warming up", "");
    choose_old(OLD_SIZE);
    for (size_t t = 0; t < LENGTH(topics); t++) {
        for (size_t i = 0; i < topics[t]->count; i++) {
            run_once(&topics[t]->all[i]);
        }
    }
}

int main(int argc, char **argv)
{
    bool struck = faults_disarm() > 0;
    if (is_emulated()) {
        puts("skipped: under emulation not all calls work even without a fault");
        return 77; /* to Meson */
    }
    const char *headers = argc > 1 ? argv[1] : "include";
    zmalloc_set_oom_handler(note_oom);
    if (getenv("ZMALLOC_FAULT") != NULL) {
        return live_with_it(struck);
    }
    int untried = untried_in(headers, "zmalloc.h") + untried_in(headers, "zmalloc_lua.h");

    count_met_faults();
    make_bystanders();
    start_other();
    try_first_times();
    warm_up();
    note_descriptors();

    try_start(headers);
    try_ways();
    try_resizes();
    try_releases();
    try_operations();
    try_without_slots();
    try_to_lose_slots();

    end_other();
    print_met_faults();
    return complain_of_faults_never_met() + untried != 0;
}
