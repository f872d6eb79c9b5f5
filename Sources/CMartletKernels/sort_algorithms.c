// Radix sort, merge sort and selection on entries. See sort.h.
#include "sort.h"

#define RADIX_BITS 8
#define RADIX (1 << RADIX_BITS)
#define RADIX_PASSES (64 / RADIX_BITS)
#define SMALL 24           // insertion sort up to here
#define RADIX_MINIMUM 256  // merge sort up to here
#define RADIX_BLOCK 65536  // entries of one thread's share of a parallel pass
#define PARALLEL_MINIMUM (2 * RADIX_BLOCK)

#define PACKED_LESS(a, b) ((a) < (b))
#define PACKED_DIGIT(x, pass) ((x) >> (32 + (pass) * RADIX_BITS) & (RADIX - 1))
#define WIDE_LESS(a, b) ((a).key != (b).key ? (a).key < (b).key : (a).position < (b).position)
#define WIDE_DIGIT(x, pass) ((x).key >> ((pass) * RADIX_BITS) & (RADIX - 1))

typedef struct radix_job {
    const void *in;
    void *out;
    int64_t n;
    int32_t pass;
    int64_t (*counts)[RADIX]; // of each block, then where each block's entries go
} radix_job;

#define MK_SORT_TEMPLATE(NAME, ENTRY, LESS, DIGIT)                                                                     \
    static void insertion_sort_##NAME(ENTRY *entries, int64_t n) {                                                     \
        for (int64_t i = 1; i < n; i++) {                                                                              \
            ENTRY x = entries[i];                                                                                      \
            int64_t j = i;                                                                                             \
            for (; j > 0 && LESS(x, entries[j - 1]); j--) entries[j] = entries[j - 1];                                 \
            entries[j] = x;                                                                                            \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    void mk_merge_sort_##NAME(ENTRY *entries, ENTRY *scratch, int64_t n) {                                             \
        for (int64_t i = 0; i < n; i += SMALL) insertion_sort_##NAME(entries + i, mk_min64(SMALL, n - i));             \
        ENTRY *from = entries, *to = scratch;                                                                          \
        for (int64_t width = SMALL; width < n; width *= 2) {                                                           \
            for (int64_t begin = 0; begin < n; begin += 2 * width) {                                                   \
                int64_t middle = mk_min64(begin + width, n), end = mk_min64(begin + 2 * width, n);                     \
                int64_t a = begin, b = middle;                                                                         \
                for (int64_t k = begin; k < end; k++) {                                                                \
                    bool left = b >= end || (a < middle && LESS(from[a], from[b]));                                    \
                    to[k] = left ? from[a] : from[b];                                                                  \
                    a += left;                                                                                         \
                    b += !left;                                                                                        \
                }                                                                                                      \
            }                                                                                                          \
            ENTRY *t = from;                                                                                           \
            from = to;                                                                                                 \
            to = t;                                                                                                    \
        }                                                                                                              \
        if (from != entries) memcpy(entries, from, (size_t)n * sizeof(ENTRY));                                         \
    }                                                                                                                  \
                                                                                                                       \
    static void count_##NAME(void *context, int64_t block) {                                                           \
        const radix_job *job = context;                                                                                \
        int64_t *counts = job->counts[block];                                                                          \
        const ENTRY *in = job->in;                                                                                     \
        memset(counts, 0, sizeof job->counts[0]);                                                                      \
        int64_t end = mk_min64((block + 1) * RADIX_BLOCK, job->n);                                                     \
        for (int64_t i = block * RADIX_BLOCK; i < end; i++) counts[DIGIT(in[i], job->pass)]++;                         \
    }                                                                                                                  \
    static void move_##NAME(void *context, int64_t block) {                                                            \
        const radix_job *job = context;                                                                                \
        int64_t *places = job->counts[block];                                                                          \
        const ENTRY *in = job->in;                                                                                     \
        ENTRY *out = job->out;                                                                                         \
        int64_t end = mk_min64((block + 1) * RADIX_BLOCK, job->n);                                                     \
        for (int64_t i = block * RADIX_BLOCK; i < end; i++) out[places[DIGIT(in[i], job->pass)]++] = in[i];            \
    }                                                                                                                  \
    static ENTRY *radix_in_blocks_##NAME(ENTRY *from, ENTRY *to, int64_t n, int32_t passes) {                          \
        int64_t blocks = mk_div_up(n, RADIX_BLOCK), bytes = blocks * (int64_t)sizeof(int64_t[RADIX]);                  \
        radix_job job = {.n = n, .counts = mk_scratch(bytes)};                                                         \
        for (job.pass = 0; job.pass < passes; job.pass++) {                                                            \
            job.in = from;                                                                                             \
            job.out = to;                                                                                              \
            mk_parallel(blocks, count_##NAME, &job);                                                                   \
            int64_t place = 0;                                                                                         \
            bool trivial = false;                                                                                      \
            for (int32_t digit = 0; digit < RADIX; digit++) {                                                          \
                int64_t before = place;                                                                                \
                for (int64_t block = 0; block < blocks; block++) {                                                     \
                    int64_t count = job.counts[block][digit];                                                          \
                    job.counts[block][digit] = place;                                                                  \
                    place += count;                                                                                    \
                }                                                                                                      \
                trivial |= place - before == n;                                                                        \
            }                                                                                                          \
            if (trivial) continue;                                                                                     \
            mk_parallel(blocks, move_##NAME, &job);                                                                    \
            ENTRY *t = from;                                                                                           \
            from = to;                                                                                                 \
            to = t;                                                                                                    \
        }                                                                                                              \
        mk_scratch_free(job.counts, bytes);                                                                            \
        return from;                                                                                                   \
    }                                                                                                                  \
    static ENTRY *radix_##NAME(ENTRY *from, ENTRY *to, int64_t n, int32_t passes) {                                    \
        int64_t counts[RADIX_PASSES][RADIX];                                                                           \
        memset(counts, 0, (size_t)passes * sizeof counts[0]);                                                          \
        for (int64_t i = 0; i < n; i++)                                                                                \
            for (int32_t pass = 0; pass < passes; pass++) counts[pass][DIGIT(from[i], pass)]++;                        \
        for (int32_t pass = 0; pass < passes; pass++) {                                                                \
            int64_t *places = counts[pass], place = 0;                                                                 \
            if (places[DIGIT(from[0], pass)] == n) continue;                                                           \
            for (int32_t digit = 0; digit < RADIX; digit++) {                                                          \
                int64_t count = places[digit];                                                                         \
                places[digit] = place;                                                                                 \
                place += count;                                                                                        \
            }                                                                                                          \
            for (int64_t i = 0; i < n; i++) to[places[DIGIT(from[i], pass)]++] = from[i];                              \
            ENTRY *t = from;                                                                                           \
            from = to;                                                                                                 \
            to = t;                                                                                                    \
        }                                                                                                              \
        return from;                                                                                                   \
    }                                                                                                                  \
    void mk_sort_##NAME(ENTRY *entries, ENTRY *scratch, int64_t n, int32_t bits, bool parallel) {                      \
        if (n < RADIX_MINIMUM) {                                                                                       \
            mk_merge_sort_##NAME(entries, scratch, n);                                                                 \
            return;                                                                                                    \
        }                                                                                                              \
        int32_t passes = (bits + RADIX_BITS - 1) / RADIX_BITS;                                                         \
        ENTRY *sorted = parallel && n >= PARALLEL_MINIMUM ? radix_in_blocks_##NAME(entries, scratch, n, passes)        \
                                                          : radix_##NAME(entries, scratch, n, passes);                 \
        if (sorted != entries) memcpy(entries, sorted, (size_t)n * sizeof(ENTRY));                                     \
    }                                                                                                                  \
                                                                                                                       \
    void mk_select_##NAME(ENTRY *entries, ENTRY *scratch, int64_t n, int64_t k) {                                      \
        int64_t low = 0, high = n;                                                                                     \
        for (int32_t rounds = 0; high - low > SMALL && low < k && k < high; rounds++) {                                \
            if (rounds == 64) {                                                                                        \
                mk_merge_sort_##NAME(entries + low, scratch, high - low);                                              \
                return;                                                                                                \
            }                                                                                                          \
            ENTRY a = entries[low], b = entries[low + (high - low) / 2], c = entries[high - 1];                        \
            ENTRY low_ab = LESS(a, b) ? a : b, high_ab = LESS(a, b) ? b : a;                                           \
            ENTRY pivot = LESS(c, low_ab) ? low_ab : LESS(high_ab, c) ? high_ab : c;                                   \
            int64_t i = low, j = high - 1;                                                                             \
            while (i <= j) {                                                                                           \
                while (LESS(entries[i], pivot)) i++;                                                                   \
                while (LESS(pivot, entries[j])) j--;                                                                   \
                if (i > j) break;                                                                                      \
                ENTRY t = entries[i];                                                                                  \
                entries[i++] = entries[j];                                                                             \
                entries[j--] = t;                                                                                      \
            }                                                                                                          \
            /* low..<=j are at most the pivot, i..<high at least; what lies between is the pivot. */                   \
            if (k <= j + 1) {                                                                                          \
                high = j + 1;                                                                                          \
            } else if (k >= i) {                                                                                       \
                low = i;                                                                                               \
            } else {                                                                                                   \
                return;                                                                                                \
            }                                                                                                          \
        }                                                                                                              \
        if (low < k && k < high) insertion_sort_##NAME(entries + low, high - low);                                     \
    }

MK_SORT_TEMPLATE(packed, uint64_t, PACKED_LESS, PACKED_DIGIT)
MK_SORT_TEMPLATE(wide, wide_entry, WIDE_LESS, WIDE_DIGIT)
