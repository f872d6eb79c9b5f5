// Matrix products by oneDNN through its C API, 2.x and 3.x.
//
// Making a primitive compiles code (milliseconds); running one takes microseconds. So primitives are kept in a hash
// table with a least-recently-used list. An entry owns a free list of execution contexts (stream and memory objects),
// so a hit allocates nothing, and several threads may run one entry at the same time.
#include "COneDNN.h"

#include "mk_matmul.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// From libgomp, which oneDNN itself runs on; declared here because <omp.h> belongs to a compiler, not to the library.
extern int omp_get_max_threads(void);
extern void omp_set_num_threads(int count);
extern int omp_in_parallel(void);

enum { ARG_A, ARG_B, ARG_OUT, ARG_SCRATCH, ARG_COUNT };
enum { BUCKETS = 1024 };

// Everything that decides which primitive is made. Compared and hashed as an array of words: no padding.
typedef struct {
    int64_t batch, m, n, k;
    int64_t a_batch, a_row, a_column;
    int64_t b_batch, b_row, b_column;
    int64_t out_batch, out_row;
    int64_t dtype, out_dtype, accumulate, threads;
} product_key;

typedef struct context {
    struct context *next;
    dnnl_stream_t stream;
    dnnl_memory_t memory[ARG_COUNT];
} context;

typedef struct entry {
    product_key key;
    struct entry *chain;           // hash bucket
    struct entry *newer, *older;   // LRU list
    int users;                     // calls that run it now
    bool evicted;                  // freed by the last user
    const char *_Nullable failure; // oneDNN cannot do this product; kept so that it is not tried again
    bool loops;                    // one 2-D primitive run for every batch element
    dnnl_primitive_t primitive;
    size_t scratch_bytes;
    context *free_contexts;
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_engine_t engine;
static dnnl_status_t engine_status;
static entry *buckets[BUCKETS];
static entry *newest, *oldest;
static int64_t size, capacity = 256, hits, misses, evictions;
static bool bf16_is_fast;
static _Thread_local char last_error[256] = "no error";

static int fail(int code, const char *message) {
    snprintf(last_error, sizeof last_error, "%s", message);
    return code;
}

static const char *status_text(dnnl_status_t status) {
    switch (status) {
        case dnnl_success: return "success";
        case dnnl_out_of_memory: return "oneDNN is out of memory";
        case dnnl_invalid_arguments: return "oneDNN found the arguments invalid";
        case dnnl_unimplemented: return "oneDNN does not implement this product on this processor";
        case dnnl_runtime_error: return "oneDNN run-time error";
        default: return "oneDNN failed";
    }
}

// Whether bfloat16 products of this processor are faster than float ones. Intel's AVX512-BF16 (after Cooper Lake) has
// half the rate of its float unit, so there only AMX pays. Decided by what the processor says it is, never by a
// measurement: the choice changes the last bits of results.
static bool find_bf16_speed(void) {
#if defined(__x86_64__)
    uint32_t a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const bool amx = (d >> 22 & 1) && (d >> 24 & 1);
    if (amx) {
        uint32_t low, high;
        __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        if ((low >> 17 & 3) == 3) return true;
    }
    return mk_processor_has_fast_pairs();
#else
    return true;
#endif
}

static void initialize(void) {
    bf16_is_fast = find_bf16_speed();
    engine_status = dnnl_engine_create(&engine, dnnl_cpu, 0);
    // Our cache replaces oneDNN's own, which would hold on to what we evict.
    dnnl_set_primitive_cache_capacity(0);
    const char *text = getenv("MARTLET_PRIMITIVE_CACHE");
    if (text) {
        char *end;
        long long value = strtoll(text, &end, 10);
        if (end != text && *end == 0 && value >= 0)
            capacity = value;
        else
            fprintf(stderr, "martlet: MARTLET_PRIMITIVE_CACHE must be a count >= 0, found \"%s\"; using %lld\n", text,
                    (long long)capacity);
    }
}

// MARK: descriptors (the part that differs between the two APIs)

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t descriptor;
static dnnl_status_t make_descriptor(descriptor *d, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                                     const dnnl_dims_t strides) {
    return dnnl_memory_desc_create_with_strides(d, rank, dims, type, strides);
}
static void free_descriptor(descriptor *d) {
    if (*d) dnnl_memory_desc_destroy(*d);
}
static dnnl_status_t append_sum(dnnl_post_ops_t ops) {
    return dnnl_post_ops_append_sum(ops, 1.0f, 0, dnnl_data_type_undef);
}
static dnnl_status_t make_matmul(dnnl_primitive_desc_t *pd, const descriptor *md, dnnl_primitive_attr_t attributes) {
    return dnnl_matmul_primitive_desc_create(pd, engine, md[ARG_A], md[ARG_B], NULL, md[ARG_OUT], attributes);
}
static dnnl_status_t make_memory(dnnl_memory_t *memory, const_dnnl_memory_desc_t md) {
    return dnnl_memory_create(memory, md, engine, DNNL_MEMORY_NONE);
}
#else
typedef dnnl_memory_desc_t descriptor;
static dnnl_status_t make_descriptor(descriptor *d, int rank, const dnnl_dims_t dims, dnnl_data_type_t type,
                                     const dnnl_dims_t strides) {
    return dnnl_memory_desc_init_by_strides(d, rank, dims, type, strides);
}
static void free_descriptor(descriptor *d) { (void)d; }
static dnnl_status_t append_sum(dnnl_post_ops_t ops) { return dnnl_post_ops_append_sum(ops, 1.0f); }
static dnnl_status_t make_matmul(dnnl_primitive_desc_t *pd, const descriptor *md, dnnl_primitive_attr_t attributes) {
    dnnl_matmul_desc_t matmul;
    dnnl_status_t status = dnnl_matmul_desc_init(&matmul, &md[ARG_A], &md[ARG_B], NULL, &md[ARG_OUT]);
    if (status != dnnl_success) return status;
    return dnnl_primitive_desc_create(pd, &matmul, attributes, engine, NULL);
}
static dnnl_status_t make_memory(dnnl_memory_t *memory, const dnnl_memory_desc_t *md) {
    return dnnl_memory_create(memory, md, engine, DNNL_MEMORY_NONE);
}
#endif

static dnnl_data_type_t data_type(int64_t dtype) {
    switch (dtype) {
        case MK_F32: return dnnl_f32;
        case MK_BF16: return dnnl_bf16;
        case MK_F16: return dnnl_f16;
        default: return dnnl_data_type_undef;
    }
}

// MARK: primitives

// Fills e's primitive for a product of `rank` 2 or 3.
static dnnl_status_t build(entry *e, int rank) {
    const product_key *k = &e->key;
    dnnl_data_type_t type = data_type(k->dtype), out_type = data_type(k->out_dtype);
    descriptor md[3];
    memset(md, 0, sizeof md);
    const int64_t dims[3][3] = {
        {k->a_batch ? k->batch : 1, k->m, k->k}, {k->b_batch ? k->batch : 1, k->k, k->n}, {k->batch, k->m, k->n}};
    const int64_t strides[3][3] = {{k->a_batch ? k->a_batch : k->m * k->k, k->a_row, k->a_column},
                                   {k->b_batch ? k->b_batch : k->k * k->n, k->b_row, k->b_column},
                                   {k->out_batch, k->out_row, 1}};
    dnnl_status_t status = dnnl_success;
    for (int i = 0; i < 3 && status == dnnl_success; i++) {
        dnnl_dims_t d = {0}, s = {0};
        for (int j = 0; j < rank; j++) {
            d[j] = dims[i][3 - rank + j];
            s[j] = strides[i][3 - rank + j];
        }
        status = make_descriptor(&md[i], rank, d, i == ARG_OUT ? out_type : type, s);
    }
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t ops = NULL;
    dnnl_primitive_desc_t pd = NULL;
    if (status == dnnl_success) status = dnnl_primitive_attr_create(&attributes);
    if (status == dnnl_success) status = dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (status == dnnl_success && k->accumulate) {
        status = dnnl_post_ops_create(&ops);
        if (status == dnnl_success) status = append_sum(ops);
        if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(attributes, ops);
    }
    if (status == dnnl_success) status = make_matmul(&pd, md, attributes);
    if (status == dnnl_success) {
        const char *name = NULL;
        // The reference implementation is a triple loop; ours is far faster.
        if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name) == dnnl_success && name &&
            strncmp(name, "ref", 3) == 0)
            status = dnnl_unimplemented;
    }
    if (status == dnnl_success) status = dnnl_primitive_create(&e->primitive, pd);
    if (status == dnnl_success)
        e->scratch_bytes = dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0));
    if (pd) dnnl_primitive_desc_destroy(pd);
    if (ops) dnnl_post_ops_destroy(ops);
    if (attributes) dnnl_primitive_attr_destroy(attributes);
    for (int i = 0; i < 3; i++) free_descriptor(&md[i]);
    return status;
}

static void free_context(context *c) {
    for (int i = 0; i < ARG_COUNT; i++)
        if (c->memory[i]) dnnl_memory_destroy(c->memory[i]);
    if (c->stream) dnnl_stream_destroy(c->stream);
    free(c);
}

static dnnl_status_t make_context(const entry *e, context **result) {
    context *c = calloc(1, sizeof *c);
    if (!c) return dnnl_out_of_memory;
    const_dnnl_primitive_desc_t pd;
    dnnl_status_t status = dnnl_primitive_get_primitive_desc(e->primitive, &pd);
    if (status == dnnl_success) status = dnnl_stream_create(&c->stream, engine, dnnl_stream_default_flags);
    static const dnnl_query_t queries[ARG_COUNT] = {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md,
                                                    dnnl_query_scratchpad_md};
    for (int i = 0; i < ARG_COUNT && status == dnnl_success; i++)
        status = make_memory(&c->memory[i], dnnl_primitive_desc_query_md(pd, queries[i], 0));
    if (status == dnnl_success) {
        *result = c;
    } else {
        free_context(c);
    }
    return status;
}

static void free_entry(entry *e) {
    while (e->free_contexts) {
        context *next = e->free_contexts->next;
        free_context(e->free_contexts);
        e->free_contexts = next;
    }
    if (e->primitive) dnnl_primitive_destroy(e->primitive);
    free(e);
}

// MARK: the cache (every function below is called with the lock held)

static uint64_t hash(const product_key *key) {
    const uint64_t *words = (const uint64_t *)key;
    uint64_t h = 0x9e3779b97f4a7c15ull;
    for (size_t i = 0; i < sizeof *key / sizeof *words; i++) {
        h = (h ^ words[i]) * 0xff51afd7ed558ccdull;
        h ^= h >> 32;
    }
    return h;
}

static void unlink_lru(entry *e) {
    if (e->newer)
        e->newer->older = e->older;
    else
        newest = e->older;
    if (e->older)
        e->older->newer = e->newer;
    else
        oldest = e->newer;
    e->newer = e->older = NULL;
}

static void push_newest(entry *e) {
    e->older = newest;
    e->newer = NULL;
    if (newest) newest->newer = e;
    newest = e;
    if (!oldest) oldest = e;
}

static void evict_beyond(int64_t limit) {
    while (size > limit) {
        entry *e = oldest;
        unlink_lru(e);
        entry **link = &buckets[hash(&e->key) % BUCKETS];
        while (*link != e) link = &(*link)->chain;
        *link = e->chain;
        size--;
        evictions++;
        e->evicted = true;
        if (e->users == 0) free_entry(e);
    }
}

static entry *find(const product_key *key, uint64_t h) {
    for (entry *e = buckets[h % BUCKETS]; e; e = e->chain)
        if (memcmp(&e->key, key, sizeof *key) == 0) return e;
    return NULL;
}

// Returns the entry with one more user, made when absent; NULL when out of memory. Compilation happens outside the
// lock.
static entry *acquire(const product_key *key) {
    uint64_t h = hash(key);
    pthread_mutex_lock(&lock);
    entry *e = find(key, h);
    if (e) {
        hits++;
        unlink_lru(e);
        push_newest(e);
        e->users++;
        pthread_mutex_unlock(&lock);
        return e;
    }
    misses++;
    pthread_mutex_unlock(&lock);

    entry *made = calloc(1, sizeof *made);
    if (!made) return NULL;
    made->key = *key;
    dnnl_status_t status = dnnl_unimplemented;
    if (key->batch > 1) status = build(made, 3);
    if (status != dnnl_success) {
        // Layouts of the batch that the fast 3-D implementations do not take, and single products.
        made->loops = key->batch > 1;
        status = build(made, 2);
    }
    if (status != dnnl_success) made->failure = status_text(status);
    if (status == dnnl_out_of_memory) {
        free_entry(made);
        return NULL;
    }

    pthread_mutex_lock(&lock);
    e = find(key, h);
    if (e) {
        // Another thread made it meanwhile.
        e->users++;
        pthread_mutex_unlock(&lock);
        free_entry(made);
        return e;
    }
    made->users = 1;
    made->chain = buckets[h % BUCKETS];
    buckets[h % BUCKETS] = made;
    push_newest(made);
    size++;
    evict_beyond(capacity);
    pthread_mutex_unlock(&lock);
    return made;
}

static context *take_context(entry *e) {
    pthread_mutex_lock(&lock);
    context *c = e->free_contexts;
    if (c) e->free_contexts = c->next;
    pthread_mutex_unlock(&lock);
    return c;
}

static void release(entry *e, context *c) {
    pthread_mutex_lock(&lock);
    if (c) {
        c->next = e->free_contexts;
        e->free_contexts = c;
    }
    bool last = --e->users == 0 && e->evicted;
    pthread_mutex_unlock(&lock);
    if (last) free_entry(e);
}

// MARK: products

static size_t element_bytes(int64_t dtype) { return dtype == MK_F32 ? 4 : 2; }

// Makes the strides of a matrix canonical, so that views that mean the same share a primitive; false when neither rows
// nor columns are contiguous or elements overlap.
static bool canonical_matrix(int64_t rows, int64_t columns, int64_t *row, int64_t *column) {
    if (columns == 1 && rows == 1) {
        *row = *column = 1;
        return true;
    }
    if (columns == 1) {
        if (*row == 1)
            *column = rows;
        else
            *column = 1;
        return *row >= 1;
    }
    if (rows == 1) {
        if (*column == 1)
            *row = columns;
        else
            *row = 1;
        return *column >= 1;
    }
    return (*column == 1 && *row >= columns) || (*row == 1 && *column >= rows);
}

static dnnl_status_t run(const entry *e, context *c, void *scratch, void *a, void *b, void *out) {
    void *handles[ARG_COUNT] = {a, b, out, scratch};
    for (int i = 0; i < ARG_COUNT; i++) {
        dnnl_status_t status = dnnl_memory_set_data_handle(c->memory[i], handles[i]);
        if (status != dnnl_success) return status;
    }
    dnnl_exec_arg_t arguments[ARG_COUNT] = {{DNNL_ARG_SRC, c->memory[ARG_A]},
                                            {DNNL_ARG_WEIGHTS, c->memory[ARG_B]},
                                            {DNNL_ARG_DST, c->memory[ARG_OUT]},
                                            {DNNL_ARG_SCRATCHPAD, c->memory[ARG_SCRATCH]}};
    dnnl_status_t status = dnnl_primitive_execute(e->primitive, c->stream, ARG_COUNT, arguments);
    return status == dnnl_success ? dnnl_stream_wait(c->stream) : status;
}

static dnnl_status_t execute(entry *e, void *a, void *b, void *out) {
    const product_key *k = &e->key;
    context *c = take_context(e);
    dnnl_status_t status = dnnl_success;
    if (!c) status = make_context(e, &c);
    void *scratch = NULL;
    if (status == dnnl_success && e->scratch_bytes) {
        scratch = mk_alloc(e->scratch_bytes);
        if (!scratch) status = dnnl_out_of_memory;
    }
    int64_t count = e->loops ? k->batch : 1;
    size_t in_bytes = element_bytes(k->dtype), out_bytes = element_bytes(k->out_dtype);
    for (int64_t i = 0; i < count && status == dnnl_success; i++)
        status =
            run(e, c, scratch, (char *)a + (size_t)(i * k->a_batch) * in_bytes,
                (char *)b + (size_t)(i * k->b_batch) * in_bytes, (char *)out + (size_t)(i * k->out_batch) * out_bytes);
    if (scratch) mk_free(scratch, e->scratch_bytes);
    release(e, c);
    return status;
}

int mdnn_matmul(const mk_tensor *out, const mk_tensor *a, const mk_tensor *b, bool accumulate) {
    pthread_once(&once, initialize);
    if (engine_status != dnnl_success) return fail(-1, status_text(engine_status));
    if (out->rank != 3 || a->rank != 3 || b->rank != 3) return fail(-2, "operands must have rank 3");
    if (a->dtype != b->dtype || data_type(a->dtype) == dnnl_data_type_undef ||
        (out->dtype != a->dtype && out->dtype != MK_F32))
        return fail(-3, "operands must be of one dtype, float32, bfloat16 or float16, and the output of it or float32");

    product_key key;
    memset(&key, 0, sizeof key);
    key.batch = out->shape[0];
    key.m = out->shape[1];
    key.n = out->shape[2];
    key.k = a->shape[2];
    key.a_batch = a->strides[0];
    key.a_row = a->strides[1];
    key.a_column = a->strides[2];
    key.b_batch = b->strides[0];
    key.b_row = b->strides[1];
    key.b_column = b->strides[2];
    key.out_batch = out->strides[0];
    key.out_row = out->strides[1];
    if (key.batch == 0 || key.m == 0 || key.n == 0) return 0;
    if (key.n > 1 && out->strides[2] != 1) return fail(-4, "the output's last dimension must have stride 1");
    if (key.m == 1) key.out_row = key.n;
    if (key.out_row < key.n) return fail(-4, "the output's rows overlap");
    if (key.k == 0) {
        if (accumulate) return 0;
        size_t bytes = element_bytes(out->dtype);
        for (int64_t i = 0; i < key.batch; i++)
            for (int64_t j = 0; j < key.m; j++)
                memset((char *)out->data + (size_t)(i * key.out_batch + j * key.out_row) * bytes, 0,
                       (size_t)key.n * bytes);
        return 0;
    }
    if (!canonical_matrix(key.m, key.k, &key.a_row, &key.a_column) ||
        !canonical_matrix(key.k, key.n, &key.b_row, &key.b_column))
        return fail(-5, "an operand has neither contiguous rows nor contiguous columns");
    if (key.batch > 1 && (key.a_batch < 0 || key.b_batch < 0 || key.out_batch <= 0))
        return fail(-5, "batch strides must not be negative");
    // One tall product instead of many when b is shared and the rows of a and out follow one another.
    if (key.batch > 1 && key.b_batch == 0 && (key.k == 1 || key.a_column == 1)) {
        if (key.m == 1 && key.a_batch >= key.k && key.out_batch >= key.n) {
            key.a_row = key.a_batch;
            key.out_row = key.out_batch;
            key.m = key.batch;
            key.batch = 1;
        } else if (key.a_batch == key.m * key.a_row && key.out_batch == key.m * key.out_row) {
            key.m *= key.batch;
            key.batch = 1;
        }
        canonical_matrix(key.m, key.k, &key.a_row, &key.a_column);
    }
    if (key.batch == 1) key.a_batch = key.b_batch = key.out_batch = 0;
    key.dtype = a->dtype;
    key.out_dtype = out->dtype;
    key.accumulate = accumulate;
    // A few rows or columns are a matter of reading the other operand once, which our kernel does better (up to
    // twice the bandwidth), as it does single products of float and of bfloat16, that where the processor multiplies
    // pairs of it fast or its unit for it is slow.
    bool is_ours = a->dtype == MK_F32 && key.batch == 1;
    if (a->dtype == MK_BF16)
        is_ours = !bf16_is_fast ||
                  (key.batch == 1 && mk_matmul_takes_pairs(key.m, key.n, key.k, key.a_row, key.a_column, key.b_row,
                                                           key.b_column));
    if (key.m <= 8 || key.n <= 8 || is_ours) {
        mk_matmul(out, a, b, 1, accumulate ? 1 : 0);
        return 0;
    }
    // A primitive is built for a number of threads, and libgomp keeps that number per calling thread.
    key.threads = omp_in_parallel() ? 1 : mk_thread_count();
    if (omp_get_max_threads() != (int)key.threads) omp_set_num_threads((int)key.threads);

    entry *e = acquire(&key);
    if (!e) return fail(-6, "out of memory");
    if (e->failure) {
        const char *failure = e->failure;
        release(e, NULL);
        return fail(-7, failure);
    }
    dnnl_status_t status = execute(e, a->data, b->data, out->data);
    return status == dnnl_success ? 0 : fail(-8, status_text(status));
}

// MARK: introspection

static char version_text[32];
static pthread_once_t version_once = PTHREAD_ONCE_INIT;
static void format_version(void) {
    const dnnl_version_t *v = dnnl_version();
    snprintf(version_text, sizeof version_text, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
}

const char *mdnn_version(void) {
    pthread_once(&version_once, format_version);
    return version_text;
}

const char *mdnn_last_error(void) { return last_error; }

mdnn_cache_stats mdnn_cache(void) {
    pthread_once(&once, initialize);
    pthread_mutex_lock(&lock);
    mdnn_cache_stats stats = {size, capacity, hits, misses, evictions};
    pthread_mutex_unlock(&lock);
    return stats;
}

void mdnn_set_cache_capacity(int64_t count) {
    pthread_once(&once, initialize);
    pthread_mutex_lock(&lock);
    capacity = count < 0 ? 0 : count;
    evict_beyond(capacity);
    pthread_mutex_unlock(&lock);
}
