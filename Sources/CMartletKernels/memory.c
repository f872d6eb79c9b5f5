// The caching allocator.
//
// Capacities are a geometric series, so a block fits every later request of its class and the waste is bounded: eight
// steps per doubling below 1 MiB (at most 12.5 %), sixteen above, where a request may also take a block of the next
// class (again at most 12.5 % together). Each block has a 64-byte header in front of it. Cached blocks are on the list
// of their class and on one list in the order of being freed; the oldest go back to the system beyond the limit.
//
// Unless a limit is set, it follows the program: memory that was needed at once before stays, because a training step
// needs it again. A fixed limit below the peak of a step would give pages back and have the system clear new ones in
// every step, which took a quarter of its time.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mk_simd.h"

#define HEADER 64
#define BIG ((size_t)1 << 20)
#define HUGE_PAGE ((size_t)2 << 20)
#define CLASSES 1024

#define IN_USE 0x4d6b4c69u
#define CACHED 0x4d6b4361u

typedef struct block {
    size_t capacity;
    size_t requested;
    uint32_t state;
    uint32_t class_index;
    struct block *class_prev, *class_next; // towards the more / less recently freed block of the class
    struct block *age_prev, *age_next;     // the same over all classes
} block;
_Static_assert(sizeof(block) <= HEADER, "the header is one cache line");

typedef struct {
    block *newest, *oldest;
} block_list;

static struct {
    atomic_flag lock;
    block_list classes[CLASSES];
    block_list ages;
    int64_t cache_limit; // below 0: follows high_water
    int64_t high_water;  // the most bytes that were live at once since the cache was last emptied
    mk_memory_stats stats;
} cache = {.lock = ATOMIC_FLAG_INIT, .cache_limit = -1};

enum { CACHE_FLOOR = 1 << 30 };

static void lock(void) {
    int spins = 0;
    while (atomic_flag_test_and_set_explicit(&cache.lock, memory_order_acquire)) {
        // The lock is held for some tens of nanoseconds, so waiting in the kernel pays only if its holder was
        // preempted.
        if (++spins < 64) {
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        } else {
            sched_yield();
        }
    }
}
static void unlock(void) { atomic_flag_clear_explicit(&cache.lock, memory_order_release); }

// MARK: size classes

// Sets *capacity to the smallest class size that holds `bytes`. Requires bytes <= PTRDIFF_MAX / 2.
static uint32_t class_of(size_t bytes, size_t *capacity) {
    if (bytes <= 512) {
        size_t steps = bytes == 0 ? 1 : (bytes + 63) / 64;
        *capacity = steps * 64;
        return (uint32_t)steps - 1;
    }
    // 2^e < bytes <= 2^(e+1), cut into 2^s steps.
    int e = 63 - __builtin_clzll((unsigned long long)bytes - 1);
    int s = bytes > BIG ? 4 : 3;
    size_t step = (size_t)1 << (e - s);
    size_t index = (bytes - ((size_t)1 << e) + step - 1) / step;
    *capacity = ((size_t)1 << e) + index * step;
    // Below 1 MiB: 8 classes of <= 512 bytes, then 8 per doubling (e = 9...19); above, 16 per doubling.
    uint32_t first = bytes > BIG ? 8u + 11u * 8u + (uint32_t)(e - 20) * 16u : 8u + (uint32_t)(e - 9) * 8u;
    return first + (uint32_t)index - 1;
}

// MARK: lists (the lock is held)

static void push(block *b) {
    block_list *c = &cache.classes[b->class_index];
    b->class_prev = NULL;
    b->class_next = c->newest;
    if (c->newest != NULL) c->newest->class_prev = b;
    else c->oldest = b;
    c->newest = b;
    b->age_prev = NULL;
    b->age_next = cache.ages.newest;
    if (cache.ages.newest != NULL) cache.ages.newest->age_prev = b;
    else cache.ages.oldest = b;
    cache.ages.newest = b;
    cache.stats.cached_bytes += (int64_t)b->capacity;
}

static void take(block *b) {
    block_list *c = &cache.classes[b->class_index];
    if (b->class_prev != NULL) b->class_prev->class_next = b->class_next;
    else c->newest = b->class_next;
    if (b->class_next != NULL) b->class_next->class_prev = b->class_prev;
    else c->oldest = b->class_prev;
    if (b->age_prev != NULL) b->age_prev->age_next = b->age_next;
    else cache.ages.newest = b->age_next;
    if (b->age_next != NULL) b->age_next->age_prev = b->age_prev;
    else cache.ages.oldest = b->age_prev;
    cache.stats.cached_bytes -= (int64_t)b->capacity;
}

// Takes the oldest blocks until at most `limit` bytes are cached; returns them linked by class_next.
static block *evict(int64_t limit) {
    block *out = NULL;
    while (cache.stats.cached_bytes > limit) {
        block *b = cache.ages.oldest;
        take(b);
        b->class_next = out;
        out = b;
    }
    return out;
}

static int64_t limit_now(void) {
    if (cache.cache_limit >= 0) return cache.cache_limit;
    // An eighth more for what size classes waste.
    int64_t room = cache.high_water + cache.high_water / 8 - cache.stats.live_bytes;
    return room > CACHE_FLOOR ? room : CACHE_FLOOR;
}

// MARK: the system

static size_t mapped_bytes(size_t capacity) { return (HEADER + capacity + 4095) & ~(size_t)4095; }

static block *system_alloc(size_t capacity) {
    if (capacity <= BIG) return aligned_alloc(HEADER, HEADER + capacity);
    size_t size = mapped_bytes(capacity);
    // Over-map, then trim, so that huge pages can back the block from its first byte.
    size_t slack = capacity >= HUGE_PAGE ? HUGE_PAGE : 0;
    char *p = mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (slack != 0) {
        char *aligned = (char *)(((uintptr_t)p + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
        if (aligned != p) munmap(p, (size_t)(aligned - p));
        size_t tail = slack - (size_t)(aligned - p);
        if (tail != 0) munmap(aligned + size, tail);
        p = aligned;
        madvise(p, size, MADV_HUGEPAGE);
    }
    return (block *)p;
}

static void system_free(block *list) {
    while (list != NULL) {
        block *next = list->class_next;
        if (list->capacity <= BIG) free(list);
        else munmap(list, mapped_bytes(list->capacity));
        list = next;
    }
}

// MARK: public

void *mk_alloc(size_t bytes) {
    if (bytes > (size_t)PTRDIFF_MAX / 2) return NULL;
    if (mk_is_profiling()) mk_thread()->allocated_bytes += (int64_t)bytes;
    size_t capacity;
    uint32_t class_index = class_of(bytes, &capacity);
    lock();
    block *b = cache.classes[class_index].newest;
    if (b == NULL && capacity > BIG) b = cache.classes[class_index + 1].newest;
    bool cached = b != NULL;
    if (cached) {
        take(b);
    } else {
        unlock();
        b = system_alloc(capacity);
        if (b == NULL) {
            mk_empty_cache();
            b = system_alloc(capacity);
            if (b == NULL) return NULL;
        }
        b->capacity = capacity;
        b->class_index = class_index;
        lock();
        cache.stats.system_count++;
    }
    b->state = IN_USE;
    b->requested = bytes;
    cache.stats.allocation_count++;
    cache.stats.live_bytes += (int64_t)bytes;
    if (cache.stats.live_bytes > cache.stats.peak_bytes) cache.stats.peak_bytes = cache.stats.live_bytes;
    if (cache.stats.live_bytes > cache.high_water) cache.high_water = cache.stats.live_bytes;
    unlock();
    return (char *)b + HEADER;
}

void mk_free(void *p, size_t bytes) {
    if (p == NULL) return;
    block *b = (block *)((char *)p - HEADER);
    if (b->state != IN_USE || b->requested != bytes) {
        fprintf(stderr, "mk_free(%p, %zu): %s (the block was allocated with %zu bytes)\n", p, bytes,
                b->state == CACHED   ? "freed twice"
                : b->state != IN_USE ? "not a block of mk_alloc"
                                     : "wrong size",
                b->requested);
        abort();
    }
    b->state = CACHED;
    lock();
    cache.stats.live_bytes -= (int64_t)bytes;
    push(b);
    int64_t limit = limit_now();
    block *evicted = cache.stats.cached_bytes > limit ? evict(limit) : NULL;
    unlock();
    if (evicted != NULL) system_free(evicted);
}

mk_memory_stats mk_memory(void) {
    lock();
    mk_memory_stats stats = cache.stats;
    unlock();
    return stats;
}

void mk_reset_peak_memory(void) {
    lock();
    cache.stats.peak_bytes = cache.stats.live_bytes;
    unlock();
}

void mk_empty_cache(void) {
    lock();
    cache.high_water = cache.stats.live_bytes;
    block *evicted = evict(0);
    unlock();
    system_free(evicted);
}

void mk_set_cache_limit(int64_t bytes) {
    lock();
    cache.cache_limit = bytes < 0 ? -1 : bytes;
    block *evicted = evict(limit_now());
    unlock();
    system_free(evicted);
}

__attribute__((constructor)) static void start(void) {
    const char *text = getenv("MARTLET_CACHE_BYTES");
    if (text == NULL || *text == 0) return;
    char *end;
    errno = 0;
    long long bytes = strtoll(text, &end, 10);
    if (errno != 0 || *end != 0 || bytes < 0) {
        fprintf(stderr, "MARTLET_CACHE_BYTES=%s: expected a number of bytes, 0 or more\n", text);
        exit(2);
    }
    cache.cache_limit = bytes;
}
