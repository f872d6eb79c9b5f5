// Types shared by every CPU kernel: tensor descriptors, dtypes, the thread pool, the allocator and instruction-set choice.
//
// Callers (the Swift ops layer) have already checked shapes, dtypes and aliasing; kernels only compute.
#ifndef MK_BASE_H
#define MK_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MK_MAX_DIMS 8

typedef enum mk_dtype {
    MK_F64 = 0,
    MK_F32 = 1,
    MK_F16 = 2,
    MK_BF16 = 3,
    MK_I64 = 4,
    MK_I32 = 5,
    MK_I16 = 6,
    MK_I8 = 7,
    MK_U8 = 8,
    MK_BOOL = 9,
} mk_dtype;

// A strided view of memory. `data` points at the first element of the view (any storage offset is applied already);
// strides are in elements, may be 0 (broadcast) and may be negative. Rank 0 is a scalar.
typedef struct mk_tensor {
    void *_Nullable data;
    int32_t dtype;
    int32_t rank;
    int64_t shape[MK_MAX_DIMS];
    int64_t strides[MK_MAX_DIMS];
} mk_tensor;

// A scalar operand: `d` is read for floating-point dtypes, `i` for integer and bool dtypes.
typedef struct mk_scalar {
    double d;
    int64_t i;
} mk_scalar;

#if defined(__cplusplus)
extern "C" {
#endif

// MARK: threads

// Number of threads kernels use (the calling thread included). Defaults to OMP_NUM_THREADS or the cores this process
// may run on.
int mk_thread_count(void);
void mk_set_thread_count(int count);

// Runs fn(context, i) for i in 0..<chunks on the pool that oneDNN uses too (libgomp) and returns when all are done. What
// a chunk is must not depend on the number of threads wherever it decides the order of a floating-point reduction.
// Runs inline when chunks == 1, when one thread is set, or when called from inside another mk_parallel.
void mk_parallel(int64_t chunks, void (*_Nonnull fn)(void *_Nullable context, int64_t chunk), void *_Nullable context);
// The same where chunks read long runs of memory: each thread begins with a part of its own of 0..<chunks.
void mk_parallel_shares(int64_t chunks, void (*_Nonnull fn)(void *_Nullable context, int64_t chunk),
                        void *_Nullable context);

// MARK: instruction sets

// Whether the processor multiplies pairs of bfloat16 numbers (AVX512-BF16) faster than floats, whatever set is in use.
bool mk_processor_has_fast_pairs(void);
// "baseline", "avx2", "avx512" or "avx512bf16": what was chosen at start for this processor.
const char *_Nonnull mk_isa(void);
// Chooses a set by name (for tests and for the MARTLET_ISA environment variable). Returns 0, or -1 when this processor
// lacks it or the name is unknown.
int mk_set_isa(const char *_Nonnull name);

// MARK: memory

// A caching allocator of 64-byte aligned blocks. mk_free keeps blocks in size classes for the next mk_alloc of the class,
// up to a bound; beyond it memory goes back to the system. Safe from any thread. mk_alloc returns NULL when out of memory.
// The block of a size-0 request is a valid, freeable pointer.
void *_Nullable mk_alloc(size_t bytes);
void mk_free(void *_Nullable block, size_t bytes);
typedef struct mk_memory_stats {
    int64_t live_bytes;       // requested by callers and not freed
    int64_t peak_bytes;       // highest live_bytes since the last mk_reset_peak_memory
    int64_t cached_bytes;     // held by the cache, not live
    int64_t allocation_count; // mk_alloc calls so far
    int64_t system_count;     // of those, the ones that asked the system for memory
} mk_memory_stats;
mk_memory_stats mk_memory(void);
void mk_reset_peak_memory(void);
void mk_empty_cache(void);
// Bytes the cache may hold; the least recently freed blocks go first. Below 0 (the default without
// MARTLET_CACHE_BYTES): 1 GiB, or as much as was live at once before less what is live now, plus an eighth.
void mk_set_cache_limit(int64_t bytes);

#if defined(__cplusplus)
}
#endif

// Ends the process as an illegal instruction does, which debuggers stop at and Swift prints a backtrace for.
_Noreturn static inline void mk_trap(void) { __builtin_trap(); }

// MARK: thread-local state of the Swift layers
// Kept in C because Swift has no cheap thread-local storage.
typedef struct mk_thread_state {
    int32_t no_grad_depth;      // > 0: operations are not recorded
    int32_t inference;          // reserved for inference mode
    int32_t draining;           // autograd nodes are being released iteratively
    int32_t anomaly;            // anomaly mode depth
    void *_Nullable slots[8];   // owned by the Swift layers, see ThreadState.swift
    // Kept up only while something is profiled.
    int64_t allocated_bytes;    // requested by this thread so far
    int64_t attributed_bytes;   // of those, what the profiler has given to an event
    double counted_flops;       // done by this thread's kernels so far, where known
    int32_t profile_depth;      // ranges that are open
} mk_thread_state;
mk_thread_state *_Nonnull mk_thread(void);

// MARK: profiling
// How many profiles are being recorded, on any thread: the one thing that ops look at where none is.
extern int mk_profiles;
static inline bool mk_is_profiling(void) { return __atomic_load_n(&mk_profiles, __ATOMIC_RELAXED) > 0; }
static inline void mk_add_profiles(int change) { __atomic_fetch_add(&mk_profiles, change, __ATOMIC_SEQ_CST); }
// Nanoseconds of the monotonic clock; never 0.
uint64_t mk_nanoseconds(void);
// The kernel's number of this thread.
int32_t mk_thread_number(void);

#endif
