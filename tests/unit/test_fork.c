/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the account notes before a fork and does in a child, one step at a time: for threads whose memory is gone or
 * another's by then, for threads that were in a fork as well, and when there are more of those than notes. It has the
 * source in it, in the place of the library's.
 */
#include "account/fork.c"

#include "../c/threads.h"

#include <sys/mman.h>
#include <sys/wait.h>

static size_t page_size;

/* A thread with a slot, as the parent had it; its counters may be elsewhere than the thread itself. */
struct past {
    struct zm_slot slot;
    char *pages; /* the thread's, and those of its two counters */
    struct zm_thread *thread;
    _Atomic size_t *allocated;
    _Atomic size_t *freed;
};

enum { OF_THREAD, OF_ALLOCATED, OF_FREED, PAGES };

static void begin(struct past *past)
{
    memset(&past->slot, 0, sizeof(past->slot));
    past->pages = mmap(NULL, PAGES * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(past->pages != MAP_FAILED);
    past->thread = (void *) past->pages;
    past->allocated = (void *) (past->pages + OF_ALLOCATED * page_size);
    past->freed = (void *) (past->pages + OF_FREED * page_size);
    atomic_store(&past->slot.owner, past->thread);
    atomic_store(&past->slot.thread, past->thread);
    atomic_store(&past->thread->slot, &past->slot);
    zm_counters_attach(&past->slot.counters, past->allocated, past->freed, NULL);
    atomic_store(past->allocated, 300);
    atomic_store(past->freed, 200);
    note_sums(&past->slot, NULL);
    atomic_store(past->allocated, 310);
    atomic_store(past->freed, 205);
}

static void check_sums(const struct past *past, size_t allocated, size_t freed)
{
    check(zm_counters_allocated(&past->slot.counters) == allocated);
    check(zm_counters_freed(&past->slot.counters) == freed);
}

static void check_ended(const struct past *past, size_t allocated, size_t freed)
{
    check_sums(past, allocated, freed);
    check(atomic_load(&past->slot.owner) == NULL && atomic_load(&past->slot.thread) == NULL);
    munmap(past->pages, PAGES * page_size);
}

static void a_thread_that_is_there_has_its_last_sums(void)
{
    struct past past;
    begin(&past);
    end_thread(&past.slot);
    atomic_store(past.allocated, 1); /* nobody looks there any more */
    atomic_store(past.freed, 2);
    check_ended(&past, 310, 205);
}

static void one_whose_memory_is_gone_has_those_before_the_fork(void)
{
    struct past past;
    for (size_t gone = 0; gone < PAGES; gone++) {
        begin(&past);
        munmap(past.pages + gone * page_size, page_size);
        end_thread(&past.slot);
        check_ended(&past, 300, 200);
    }
}

static void one_whose_memory_is_anothers_too(void)
{
    struct past past;
    struct past other;
    begin(&past);
    begin(&other);
    atomic_store(&past.thread->slot, &other.slot);
    end_thread(&past.slot);
    check_ended(&past, 300, 200);
    check(atomic_load(&other.slot.owner) == other.thread);
    end_thread(&other.slot);
    check_ended(&other, 310, 205);
}

/* It has its slot still, and is waiting for readers: what it did is summed up. */
static void one_that_was_ending_has_its_last_sums(void)
{
    struct past past;
    begin(&past);
    zm_counters_detach_in_child(&past.slot.counters);
    atomic_store(past.allocated, 1);
    munmap(past.pages, page_size);
    end_thread(&past.slot);
    check_ended(&past, 310, 205);

    begin(&past);
    zm_counters_detach_in_child(&past.slot.counters);
    atomic_store(past.allocated, 1);
    end_thread(&past.slot);
    check_ended(&past, 310, 205);
}

static void a_note_lasts_until_the_fork_is_over(void)
{
    check(find(&zm_self) == NULL);
    after_fork_in_parent(); /* a child that goes on with its parent's fork, in whose handler it was born, has no note
                             */
    before_fork();
    struct forker *first = find(&zm_self);
    check(first != NULL && first->slot == zm_slots_own());
    before_fork(); /* in a handler */
    after_fork_in_parent();
    check(find(&zm_self) != NULL);
    after_fork_in_parent();
    check(find(&zm_self) == NULL);
}

/* It is not one of these that the note is of. After each grace period readings are counted in the other phase. */
static void note_readings(void)
{
    for (int i = 0; i < 3; i++) {
        struct zm_reader visit = zm_readers_enter();
        before_fork();
        const struct forker *own = find(&zm_self);
        check(own->readings[visit.phase] == 1 && own->readings[1 - visit.phase] == 0);
        after_fork_in_parent();
        check(zm_readers_leave(visit));
        zm_readers_synchronize();
        struct zm_reader next = zm_readers_enter();
        check(next.phase != visit.phase && zm_readers_leave(next));
    }
}

static atomic_bool has_note;
static atomic_bool may_end;

static void *fork_for_a_while(void *argument)
{
    before_fork();
    atomic_store(&has_note, true);
    while (!atomic_load(&may_end)) {
        usleep(100);
    }
    after_fork_in_parent();
    return argument;
}

/* Whoever finds no note free waits for one, however long that takes. */
static void more_threads_fork_than_there_are_notes(void)
{
    for (size_t i = 0; i < FORKERS; i++) {
        check(take() != NULL);
    }
    pthread_t thread = start(fork_for_a_while, NULL);
    usleep(30000);
    check(!atomic_load(&has_note));
    set_free(&forkers[FORKERS - 2]);
    while (!atomic_load(&has_note)) {
        usleep(100);
    }
    const struct zm_thread *noted = atomic_load(&forkers[FORKERS - 2].thread);
    check(noted != NULL && noted != &zm_self);
    atomic_store(&may_end, true);
    join(thread);
    for (size_t i = 0; i < FORKERS; i++) {
        check(atomic_load(&forkers[i].thread) == NULL);
        set_free(&forkers[i]);
    }
}

static struct forker *note(struct zm_thread *thread, struct zm_slot *slot)
{
    struct forker *forker = take();
    forker->slot = slot;
    forker->readings[0] = 0;
    forker->readings[1] = 0;
    atomic_store(&forker->thread, thread);
    return forker;
}

/* Until it is known who forked; but for one whose memory is another's, or nobody's. */
static void one_that_may_have_forked_is_spared(void)
{
    struct past past;
    struct past other;
    begin(&past);
    begin(&other);
    struct forker *of_other = note(other.thread, &other.slot);
    struct forker *last = &forkers[FORKERS - 1];
    last->slot = &past.slot;
    atomic_store(&last->thread, past.thread);
    end_unless_it_forks(&past.slot);
    check(atomic_load(&past.slot.owner) == past.thread && last->slot == &past.slot);

    atomic_store(&last->thread, NULL); /* it is not known to fork any more */
    end_unless_it_forks(&past.slot);
    check_ended(&past, 310, 205);
    check(atomic_load(&other.slot.owner) == other.thread && of_other->slot == &other.slot);

    atomic_store(&other.thread->slot, NULL);
    end_unless_it_forks(&other.slot);
    check(of_other->slot == NULL && last->slot == &past.slot);
    check_ended(&other, 300, 200);
    set_free(of_other);
}

/* Who settles the child first can't say of those that were in a fork; then the one that did fork can. */
static void whether_a_thread_has_ended(void)
{
    static const struct zm_child_stage first = {.first = true};
    static const struct zm_child_stage last = {.last = true};
    static const struct zm_child_stage both = {.first = true, .last = true};
    static struct zm_thread other;
    check(zm_fork_has_ended(&other, first) && zm_fork_has_ended(&other, both));
    check(!zm_fork_has_ended(&other, last)); /* of this child */
    check(!zm_fork_has_ended(&zm_self, first) && !zm_fork_has_ended(&zm_self, last));
    struct forker *forker = note(&other, NULL);
    check(!zm_fork_has_ended(&other, first));
    check(zm_fork_has_ended(&other, last) && zm_fork_has_ended(&other, both));
    struct forker *own = note(&zm_self, NULL);
    check(!zm_fork_has_ended(&zm_self, first) && !zm_fork_has_ended(&zm_self, both));
    set_free(forker);
    set_free(own);
}

/* A child that is settled by another thread begins with the readings of all that may have forked. */
static void their_readings_are_counted(void)
{
    static struct zm_thread others[2];
    unsigned readings[2] = {0, 0};
    check(!inherit_forkers(readings));
    struct forker *noted[2];
    for (unsigned i = 0; i < 2; i++) {
        noted[i] = note(&others[i], NULL);
        noted[i]->readings[0] = 2 + i;
        noted[i]->readings[1] = 10 * (i + 1);
    }
    struct forker *without_name = take();
    check(inherit_forkers(readings));
    check(readings[0] == 2 + 3 && readings[1] == 10 + 20);
    check(noted[0]->is_inherited && noted[0]->is_counted && noted[1]->is_inherited && noted[1]->is_counted);
    check(without_name->is_inherited && !without_name->is_counted);
    for (unsigned i = 0; i < 2; i++) {
        noted[i]->is_inherited = false;
        set_free(noted[i]);
    }
    without_name->is_inherited = false;
    set_free(without_name);
}

/* By its slot a thread that settles the child knows that it forked itself: others' readings are not counted then. */
static void one_that_forked_counts_its_own(void)
{
    static struct zm_thread others[2];
    struct zm_slot own = {.owner = &zm_self};
    atomic_store(&zm_self.slot, &own);
    struct forker *noted[2];
    for (int i = 0; i < 2; i++) {
        noted[i] = note(&others[i], NULL);
        noted[i]->readings[0] = 1;
        noted[i]->readings[1] = 2;
        noted[i]->is_counted = true; /* in an earlier child */
    }
    start_child((struct zm_child_stage){.first = true});
    for (int i = 0; i < 2; i++) {
        check(noted[i]->is_inherited && !noted[i]->is_counted);
    }
    start_child((struct zm_child_stage){.last = true});
    zm_readers_synchronize(); /* nothing is taken off */
    check(find(&others[0]) == NULL && find(&others[1]) == NULL);
    atomic_store(&zm_self.slot, NULL);
}

#ifdef __linux__
static void *ask_for_own_number(void *argument)
{
    check(!zm_os_is_first_thread(pthread_self()));
    pid_t child = fork();
    if (child == 0) {
        _exit(zm_os_is_first_thread(pthread_self()) ? 0 : 1);
    }
    int status;
    check(waitpid(child, &status, 0) == child && status == 0);
    return argument;
}

static void a_thread_that_forked_has_its_number(void)
{
    check(zm_os_is_first_thread(pthread_self()));
    join(start(ask_for_own_number, NULL));
    void *gone = mmap(NULL, page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(gone != MAP_FAILED && munmap(gone, page_size) == 0);
    check(!zm_os_is_first_thread((pthread_t) gone));
}

/* A fork of its own would be amid what the child of another does here. */
static void *live_for_a_while(void *argument)
{
    check(!zm_os_is_first_thread(pthread_self()));
    while (!atomic_load(&may_end)) {
        usleep(100);
    }
    return argument;
}

static struct forker *note_readings_of(struct past *past, pthread_t id, unsigned readings)
{
    struct forker *noted = note(past->thread, NULL);
    noted->id = id;
    noted->readings[0] = readings;
    noted->readings[1] = readings + 1;
    return noted;
}

/* Also by that number, where another thread settles the child: not by one that was inherited, as it is of a fork
 * before. What it had got since the note is its own. */
static void one_that_forked_is_known_to_others(void)
{
    struct past past;
    struct past other;
    begin(&past);
    begin(&other);
    atomic_store(&may_end, false);
    pthread_t thread = start(live_for_a_while, NULL);
    struct forker *stale = note_readings_of(&other, pthread_self(), 9);
    stale->is_inherited = true;
    stale->is_counted = true;
    struct forker *of_other = note_readings_of(&other, thread, 5);
    of_other->slot = &other.slot;
    struct forker *who = note_readings_of(&past, pthread_self(), 2);
    start_child((struct zm_child_stage){.first = true});
    atomic_store(&may_end, true);
    join(thread);
    check(left == &past.slot && who->slot == &past.slot && of_other->slot == NULL);
    check(!who->is_counted && !of_other->is_counted && !stale->is_counted);
    zm_readers_forget(0, 2);
    zm_readers_forget(1, 3);
    zm_readers_synchronize(); /* there were no more of them */
    atomic_store(&other.slot.owner, NULL);
    check(slot_of(of_other) == NULL);
    atomic_store(&other.slot.owner, other.thread);
    for (size_t i = 0; i < FORKERS; i++) {
        forkers[i].is_inherited = false;
        set_free(&forkers[i]);
    }
    end_thread(&past.slot);
    check_ended(&past, 310, 205);
    end_thread(&other.slot);
    check_ended(&other, 310, 205);
}
#endif

static void inherit(struct forker *forker, unsigned readings)
{
    forker->is_inherited = true;
    forker->is_counted = readings > 0;
    forker->readings[0] = readings;
    forker->readings[1] = readings + 1;
}

/* The last stage: those that were spared end, and their readings with them. */
static void only_one_of_them_forked(void)
{
    static struct zm_thread others[2];
    struct past past;
    struct past reused;
    begin(&past);
    begin(&reused);
    struct forker *spared = note(past.thread, &past.slot);
    struct forker *of_no_slot = note(&others[0], NULL);
    struct forker *lost = note(&others[1], &reused.slot);
    struct forker *without_name = take();
    struct forker *own = note(&zm_self, NULL);
    inherit(spared, 2);
    inherit(of_no_slot, 0);
    inherit(lost, 1);
    inherit(without_name, 0);
    inherit(own, 1);
    struct forker *of_this_child = note(&others[0], &reused.slot);
    zm_readers_start_child((const unsigned[]){2 + 1 + 1, 3 + 2 + 2});

    start_child((struct zm_child_stage){.last = true});
    zm_readers_forget(0, 1);
    zm_readers_forget(1, 2);
    zm_readers_synchronize(); /* none of their readings is left, and its own were */
    check_ended(&past, 310, 205);
    check(atomic_load(&reused.slot.owner) == reused.thread);
    check(atomic_load(&of_this_child->is_taken) && atomic_load(&of_this_child->thread) == &others[0]);
    set_free(of_this_child);
    for (size_t i = 0; i < FORKERS; i++) {
        check(!atomic_load(&forkers[i].is_taken) && !forkers[i].is_inherited);
    }
    end_thread(&reused.slot);
    check_ended(&reused, 310, 205);
}

/* By another thread, which can't know who forked, before the last stage. */
static void a_reading_that_a_fork_came_amid_is_told_so(void)
{
    struct zm_reader visit = zm_readers_enter();
    struct forker *own = note(&zm_self, NULL);
    own->readings[visit.phase] = 1;
    start_child((struct zm_child_stage){.first = true});
    start_child((struct zm_child_stage){.last = true});
    check(!zm_readers_leave(visit));
    zm_readers_synchronize();
}

static atomic_bool may_go;

/* A thread with a slot. */
struct living {
    pthread_t thread;
    _Atomic(struct zm_slot *) slot;
};

static void *live(void *argument)
{
    struct living *living = argument;
    zfree(zmalloc(1000));
    atomic_store(&living->slot, zm_slots_own());
    while (!atomic_load(&may_go)) {
        usleep(100);
    }
    return NULL;
}

static void begin_living(struct living *living)
{
    atomic_store(&may_go, false);
    atomic_store(&living->slot, NULL);
    living->thread = start(live, living);
    while (atomic_load(&living->slot) == NULL) {
        usleep(100);
    }
}

static bool is_ended(const struct living *living)
{
    return atomic_load(&living->slot->owner) == NULL;
}

/* Another library's handler started it. */
static void *settle_without_slot(void *argument)
{
    (void) argument;
    check(zm_slots_own() == NULL);
    start_child((struct zm_child_stage){.first = true});
    return NULL;
}

/* Of two threads one is in a fork: it is spared, and its readings are counted. If nobody is, nobody ends. */
static void a_thread_that_can_not_know_settles_it(void)
{
    struct living others[2];
    begin_living(&others[0]);
    begin_living(&others[1]);
    join(start(settle_without_slot, NULL));
    check(!is_ended(&others[0]) && !is_ended(&others[1]));

    struct zm_slot *slot = others[0].slot;
    struct forker *noted = note(atomic_load(&slot->owner), slot);
    noted->readings[0] = 2;
    noted->readings[1] = 3;
    join(start(settle_without_slot, NULL));
    check(!is_ended(&others[0]) && is_ended(&others[1]));
    zm_readers_forget(0, 2);
    zm_readers_forget(1, 3);
    zm_readers_synchronize(); /* there were as many as that */
    noted->is_inherited = false;
    set_free(noted);
    atomic_store(&may_go, true);
    join(others[0].thread);
    join(others[1].thread);
}

/* Amid a reading, in one phase and in the other. All others end, and of the readings its own are left. */
static void *settle_with_slot(void *argument)
{
    struct living *other = argument;
    zfree(zmalloc(1));
    check(zm_slots_own() != NULL);
    for (int i = 0; i < 2; i++) {
        zm_readers_start_child((const unsigned[]){5, 7});
        zm_readers_adopt_own();
        struct zm_reader visit = zm_readers_enter();
        start_child((struct zm_child_stage){.first = true, .last = i == 1});
        check(!zm_readers_leave(visit));
        zm_readers_synchronize();
        visit = zm_readers_enter();
        check(zm_readers_leave(visit));
    }
    check(atomic_load(&zm_slots_own()->owner) == &zm_self && is_ended(other));
    return NULL;
}

static void the_thread_that_forked_settles_it(void)
{
    struct living other;
    begin_living(&other);
    join(start(settle_with_slot, &other));
    atomic_store(&may_go, true);
    join(other.thread);
}

/* What is noted before a fork: whose slot is whose, and how far all sums were. */
static void *fork_with_slot(void *argument)
{
    zfree(zmalloc(1000));
    struct zm_slot *slot = zm_slots_own();
    before_fork();
    check(slot != NULL && find(&zm_self)->slot == slot);
    check(atomic_load(&slot->before_fork.allocated) == zm_counters_allocated(&slot->counters));
    check(atomic_load(&slot->before_fork.freed) == zm_counters_freed(&slot->counters));
    check(atomic_load(&slot->before_fork.freed) >= 1000);
    after_fork_in_parent();
    return argument;
}

int main(void)
{
    alarm(60); /* who waits for a reader that is not there waits for ever */
    page_size = zm_os_page_size();
    a_thread_that_is_there_has_its_last_sums();
    one_whose_memory_is_gone_has_those_before_the_fork();
    one_whose_memory_is_anothers_too();
    one_that_was_ending_has_its_last_sums();
    a_note_lasts_until_the_fork_is_over();
    note_readings();
    more_threads_fork_than_there_are_notes();
    one_that_may_have_forked_is_spared();
    whether_a_thread_has_ended();
    their_readings_are_counted();
    one_that_forked_counts_its_own();
#ifdef __linux__
    a_thread_that_forked_has_its_number();
    one_that_forked_is_known_to_others();
#endif
    only_one_of_them_forked();
    a_reading_that_a_fork_came_amid_is_told_so();
    join(start(fork_with_slot, NULL));
    a_thread_that_can_not_know_settles_it();
    the_thread_that_forked_settles_it();
    return 0;
}
