// Stable sort and top-k along one dimension. See include/mk_reduce.h.
#include "include/mk_reduce.h"
#include "sort.h"

typedef struct sort_job {
    mk_walk lines; // in, values, indices
    key_rule rule;
    int64_t length, in_step;
    int64_t k, value_step, index_step; // of an output line
    bool parallel;                     // sort one line with every thread
} sort_job;

typedef struct sort_line {
    const char *in;
    char *values;
    char *indices;
} sort_line;

static void make_packed(const sort_job *job, const char *in, uint64_t *entries) {
    uint32_t keys[MK_BLOCK];
    for (int64_t i = 0; i < job->length; i += MK_BLOCK) {
        int64_t n = mk_min64(MK_BLOCK, job->length - i);
        mk_make_keys(job->rule, keys, in + i * job->in_step, job->in_step, n);
        for (int64_t j = 0; j < n; j++) entries[i + j] = (uint64_t)keys[j] << 32 | (uint64_t)(i + j);
    }
}

static void make_wide(const sort_job *job, const char *in, wide_entry *entries) {
    uint64_t keys[MK_BLOCK];
    for (int64_t i = 0; i < job->length; i += MK_BLOCK) {
        int64_t n = mk_min64(MK_BLOCK, job->length - i);
        mk_make_keys(job->rule, keys, in + i * job->in_step, job->in_step, n);
        for (int64_t j = 0; j < n; j++) entries[i + j] = (wide_entry){keys[j], (uint64_t)(i + j)};
    }
}

// Writes output elements begin..<end of a line from sorted entries.
typedef struct store_job {
    const sort_job *job;
    sort_line line;
    const uint64_t *packed;
    const wide_entry *wide;
} store_job;

static void store_range(void *context, int64_t begin, int64_t end) {
    const store_job *store = context;
    const sort_job *job = store->job;
    const sort_line *line = &store->line;
    for (int64_t j = begin; j < end; j++) {
        uint64_t key = store->packed ? store->packed[j] >> 32 : store->wide[j].key;
        int64_t position = (int64_t)(store->packed ? (uint32_t)store->packed[j] : store->wide[j].position);
        mk_store_key(job->rule, line->values + j * job->value_step, key, line->in, job->in_step, position);
        *(int64_t *)(void *)(line->indices + j * job->index_step) = position;
    }
}

static void store_entries(const sort_job *job, const sort_line *line, const uint64_t *packed, const wide_entry *wide,
                          int64_t n) {
    store_job store = {job, *line, packed, wide};
    mk_parallel_range(n, MK_GRAIN, store_range, &store);
}

static int64_t entry_size(const sort_job *job) { return job->rule.wide ? sizeof(wide_entry) : sizeof(uint64_t); }

static void each_line(const sort_job *job, int64_t begin, int64_t end, void *memory,
                      void (*fn)(const sort_job *job, const sort_line *line, void *memory)) {
    const int64_t *strides = job->lines.strides[0];
    mk_runs runs;
    mk_runs_begin(&runs, &job->lines, begin, end);
    while (mk_runs_next(&runs)) {
        for (int64_t l = 0; l < runs.length; l++) {
            sort_line line = {runs.at[0] + l * strides[0], runs.at[1] + l * strides[1], runs.at[2] + l * strides[2]};
            fn(job, &line, memory);
        }
    }
}

static sort_job make_job(const mk_tensor *values, const mk_tensor *indices, const mk_tensor *in, int32_t dim,
                         bool descending) {
    bool scalar = in->rank == 0;
    sort_job job = {
        .length = scalar ? 1 : in->shape[dim],
        .in_step = scalar ? 0 : mk_byte_stride(in, dim),
        .k = scalar ? 1 : values->shape[dim],
        .value_step = scalar ? 0 : mk_byte_stride(values, dim),
        .index_step = scalar ? 0 : mk_byte_stride(indices, dim),
    };
    job.rule = mk_key_rule(in->dtype, job.length, descending);
    mk_tensor a = scalar ? *in : mk_without(in, dim), b = scalar ? *values : mk_without(values, dim),
              c = scalar ? *indices : mk_without(indices, dim);
    const mk_tensor *operands[] = {&a, &b, &c};
    mk_walk_init(&job.lines, 3, operands, true);
    return job;
}

// MARK: sort

// `memory`: entries and as much scratch.
static void sort_one(const sort_job *job, const sort_line *line, void *memory) {
    int64_t n = job->length;
    if (job->rule.wide) {
        wide_entry *entries = memory;
        make_wide(job, line->in, entries);
        mk_sort_wide(entries, entries + n, n, job->rule.bits, job->parallel);
        store_entries(job, line, NULL, entries, n);
    } else {
        uint64_t *entries = memory;
        make_packed(job, line->in, entries);
        mk_sort_packed(entries, entries + n, n, job->rule.bits, job->parallel);
        store_entries(job, line, entries, NULL, n);
    }
}

static void sort_range(void *context, int64_t begin, int64_t end) {
    const sort_job *job = context;
    int64_t bytes = 2 * job->length * entry_size(job);
    void *memory = mk_scratch(bytes);
    each_line(job, begin, end, memory, sort_one);
    mk_scratch_free(memory, bytes);
}

void mk_sort(const mk_tensor *values, const mk_tensor *indices, const mk_tensor *in, int32_t dim, bool descending) {
    sort_job job = make_job(values, indices, in, dim, descending);
    if (job.lines.count == 0 || job.length == 0) return;
    // Entries differ, so there is one sorted order and how it is found may follow the number of threads.
    if (job.lines.count < mk_thread_count()) {
        job.parallel = true;
        sort_range(&job, 0, job.lines.count);
    } else {
        mk_parallel_range(job.lines.count, mk_grain_of(4 * job.length), sort_range, &job);
    }
}

// MARK: top k

// For so few the best so far are kept in order, which makes every bound the tightest.
#define TOPK_FEW 32

// Entries gathered before they are cut back to the k best.
static int64_t topk_capacity(const sort_job *job) {
    return mk_min64(job->length, mk_max64(2 * job->k, job->k + KEY_GROUP)) + KEY_GROUP;
}

// The k best so far and newcomers are kept; once full, only the k best stay and the k-th is the bound. A newcomer must
// be strictly better: at equal keys the earlier position wins.
#define MK_TOPK(NAME, ENTRY, KEY, MAKE, KEY_OF)                                                                        \
    /* Every key that is below the bound when its group is met, one by one. */                                         \
    MK_INLINE void topk_keys_##NAME(const sort_job *job, const sort_line *line, ENTRY *entries, ENTRY *scratch,        \
                                    int64_t *kept, bool few) {                                                         \
        int64_t capacity = topk_capacity(job), k = job->k, count = 0;                                                  \
        bool bounded = false;                                                                                          \
        KEY bound = 0, keys[MK_BLOCK];                                                                                 \
        for (int64_t i = 0; i < job->length; i += MK_BLOCK) {                                                          \
            int64_t n = mk_min64(MK_BLOCK, job->length - i);                                                           \
            mk_make_keys(job->rule, keys, line->in + i * job->in_step, job->in_step, n);                               \
            for (int64_t g = 0; g < n; g += KEY_GROUP) {                                                               \
                uint64_t left = bounded ? mk_keys_below(job->rule, keys + g, bound) : UINT64_MAX;                      \
                if (n - g < KEY_GROUP) left &= (UINT64_C(1) << (n - g)) - 1;                                           \
                for (; left != 0; left &= left - 1) {                                                                  \
                    int64_t j = g + __builtin_ctzll(left);                                                             \
                    KEY key = keys[j];                                                                                 \
                    uint64_t position = (uint64_t)(i + j);                                                             \
                    ENTRY entry = MAKE;                                                                                \
                    if (!few) {                                                                                        \
                        entries[count++] = entry;                                                                      \
                        continue;                                                                                      \
                    }                                                                                                  \
                    if (bounded && key >= bound) continue;                                                             \
                    int64_t at = bounded ? k - 1 : count++;                                                            \
                    for (; at > 0 && KEY_OF(entries[at - 1]) > key; at--) entries[at] = entries[at - 1];               \
                    entries[at] = entry;                                                                               \
                    bounded = count == k;                                                                              \
                    bound = (KEY)KEY_OF(entries[count - 1]);                                                           \
                }                                                                                                      \
                if (!few && count > capacity - KEY_GROUP) {                                                            \
                    mk_select_##NAME(entries, scratch, count, k);                                                      \
                    count = k;                                                                                         \
                    ENTRY worst = entries[0];                                                                          \
                    for (int64_t j = 1; j < k; j++)                                                                    \
                        if (KEY_OF(entries[j]) > KEY_OF(worst)) worst = entries[j];                                    \
                    bound = (KEY)KEY_OF(worst);                                                                        \
                    bounded = true;                                                                                    \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        *kept = count;                                                                                                 \
    }                                                                                                                  \
    static void topk_##NAME(const sort_job *job, const sort_line *line, void *memory) {                                \
        ENTRY *entries = memory, *scratch = entries + topk_capacity(job);                                              \
        int64_t k = job->k, count;                                                                                     \
        if (k <= TOPK_FEW) {                                                                                           \
            topk_keys_##NAME(job, line, entries, scratch, &count, true);                                               \
        } else {                                                                                                       \
            topk_keys_##NAME(job, line, entries, scratch, &count, false);                                              \
            if (count > k) mk_select_##NAME(entries, scratch, count, k);                                               \
            mk_merge_sort_##NAME(entries, scratch, k);                                                                 \
        }                                                                                                              \
        store_entries(job, line, (const uint64_t *)(sizeof(KEY) == 4 ? (void *)entries : NULL),                        \
                      (const wide_entry *)(sizeof(KEY) == 8 ? (void *)entries : NULL), k);                             \
    }
#define PACKED_KEY(entry) ((entry) >> 32)
#define WIDE_KEY(entry) ((entry).key)
MK_TOPK(packed, uint64_t, uint32_t, (uint64_t)key << 32 | position, PACKED_KEY)
MK_TOPK(wide, wide_entry, uint64_t, ((wide_entry){key, position}), WIDE_KEY)

static void topk_range(void *context, int64_t begin, int64_t end) {
    const sort_job *job = context;
    int64_t bytes = 2 * topk_capacity(job) * entry_size(job);
    void *memory = mk_scratch(bytes);
    each_line(job, begin, end, memory, job->rule.wide ? topk_wide : topk_packed);
    mk_scratch_free(memory, bytes);
}

void mk_topk(const mk_tensor *values, const mk_tensor *indices, const mk_tensor *in, int32_t dim, bool largest) {
    sort_job job = make_job(values, indices, in, dim, largest);
    if (job.lines.count == 0 || job.k == 0) return;
    mk_parallel_range(job.lines.count, mk_grain_of(job.length), topk_range, &job);
}
