// Threads, instruction-set choice and thread-local state.
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "mk_stream.h"

// MARK: threads

// libgomp's entry points, declared by hand so that nothing has to be compiled with -fopenmp.
extern void GOMP_parallel(void (*fn)(void *), void *data, unsigned threads, unsigned flags);
extern void omp_set_num_threads(int threads);
extern int omp_get_thread_num(void);

static atomic_int thread_count;
static _Thread_local __attribute__((tls_model("initial-exec"))) int parallel_depth;

static int default_thread_count(void) {
    const char *text = getenv("OMP_NUM_THREADS");
    if (text != NULL) {
        // A list gives one number per nesting level; libgomp itself reports a malformed value.
        char *end;
        long n = strtol(text, &end, 10);
        if (end != text && n > 0 && n < 1 << 16) return (int)n;
    }
    for (int cpus = 1024; cpus <= 1 << 18; cpus *= 4) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (set == NULL) break;
        size_t size = CPU_ALLOC_SIZE(cpus);
        int n = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (n > 0) return n;
    }
    return 1;
}

int mk_thread_count(void) { return atomic_load_explicit(&thread_count, memory_order_relaxed); }

void mk_set_thread_count(int count) {
    if (count < 1) count = 1;
    atomic_store_explicit(&thread_count, count, memory_order_relaxed);
    // So that libraries on the same pool use as many when called from this thread.
    omp_set_num_threads(count);
}

// Chunks that are taken in order, by one thread first and then by whoever is done with others.
typedef struct {
    _Alignas(64) atomic_llong next;
    int64_t end;
} chunk_share;
#define SHARES 64

typedef struct {
    void (*fn)(void *context, int64_t chunk);
    void *context;
    int64_t count;
    chunk_share shares[SHARES];
} parallel_job;

static void parallel_worker(void *data) {
    parallel_job *job = data;
    const int64_t self = omp_get_thread_num();
    parallel_depth++;
    for (int64_t k = 0; k < job->count; k++) {
        chunk_share *share = &job->shares[(self + k) % job->count];
        while (atomic_load_explicit(&share->next, memory_order_relaxed) < share->end) {
            int64_t i = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
            if (i < share->end) job->fn(job->context, i);
        }
    }
    mk_finish_stores();
    parallel_depth--;
}

// In at most `shares` shares.
static void run_chunks(int64_t chunks, int64_t shares, void (*fn)(void *context, int64_t chunk), void *context) {
    int64_t threads = mk_thread_count();
    if (chunks <= 1 || threads == 1 || parallel_depth > 0) {
        for (int64_t i = 0; i < chunks; i++) fn(context, i);
        if (chunks > 1) mk_finish_stores();
        return;
    }
    if (threads > chunks) threads = chunks;
    parallel_job job;
    job.fn = fn;
    job.context = context;
    job.count = threads < shares ? threads : shares;
    for (int64_t k = 0; k < job.count; k++) {
        atomic_init(&job.shares[k].next, chunks * k / job.count);
        job.shares[k].end = chunks * (k + 1) / job.count;
    }
    GOMP_parallel(parallel_worker, &job, (unsigned)threads, 0);
}

void mk_parallel(int64_t chunks, void (*fn)(void *context, int64_t chunk), void *context) {
    run_chunks(chunks, 1, fn, context);
}

void mk_parallel_shares(int64_t chunks, void (*fn)(void *context, int64_t chunk), void *context) {
    run_chunks(chunks, SHARES, fn, context);
}

typedef struct {
    mk_range_fn fn;
    void *context;
    int64_t total, grain;
} range_job;

static void range_chunk(void *context, int64_t chunk) {
    const range_job *job = context;
    int64_t begin = chunk * job->grain;
    int64_t end = begin + job->grain;
    job->fn(job->context, begin, end < job->total ? end : job->total);
}

// Each thread begins with a share of its own, the same part of every range, because the next op mostly reads what this
// one wrote: cores that share no cache would have to fetch it from each other.
void mk_parallel_range_slow(int64_t total, int64_t grain, mk_range_fn fn, void *context) {
    range_job job = {fn, context, total, grain};
    mk_parallel_shares((total + grain - 1) / grain, range_chunk, &job);
}

// MARK: instruction sets

int mk_isa_level = MK_ISA_BASELINE;
static bool has_fast_pairs;
static const char *const isa_names[MK_ISA_COUNT] = {"baseline", "avx2", "avx512", "avx512bf16"};

static int best_isa_level(void) {
    int level = MK_ISA_BASELINE;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c") &&
        __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("lzcnt") &&
        __builtin_cpu_supports("movbe") && __builtin_cpu_supports("popcnt")) {
        level = MK_ISA_AVX2;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
            __builtin_cpu_supports("avx512cd")) {
            level = MK_ISA_AVX512;
            if (__builtin_cpu_supports("avx512bf16")) level = MK_ISA_AVX512BF16;
        }
    }
#endif
    return level;
}

bool mk_processor_has_fast_pairs(void) { return has_fast_pairs; }

const char *mk_isa(void) { return isa_names[mk_isa_level]; }

int mk_set_isa(const char *name) {
    for (int level = 0; level < MK_ISA_COUNT; level++) {
        if (strcmp(name, isa_names[level]) != 0) continue;
        if (level > best_isa_level()) return -1;
        mk_isa_level = level;
        return 0;
    }
    return -1;
}

__attribute__((constructor)) static void start(void) {
    atomic_store(&thread_count, default_thread_count());
    mk_isa_level = best_isa_level();
#if defined(__x86_64__)
    // Intel's unit for them, after Cooper Lake, has half the rate of its float unit.
    has_fast_pairs =
        __builtin_cpu_supports("avx512bf16") && (__builtin_cpu_is("amd") || __builtin_cpu_is("cooperlake"));
#endif
    const char *wanted = getenv("MARTLET_ISA");
    if (wanted != NULL && *wanted != 0 && mk_set_isa(wanted) != 0) {
        fprintf(stderr, "MARTLET_ISA=%s: expected baseline, avx2, avx512 or avx512bf16, and at most %s here\n", wanted,
                isa_names[best_isa_level()]);
        exit(2);
    }
}

// MARK: thread-local state

static _Thread_local __attribute__((tls_model("initial-exec"))) mk_thread_state thread_state;

mk_thread_state *mk_thread(void) { return &thread_state; }

// MARK: profiling

int mk_profiles;

uint64_t mk_nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec + 1;
}

int32_t mk_thread_number(void) { return (int32_t)syscall(SYS_gettid); }
