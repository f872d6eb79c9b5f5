// Random draws. See include/mk_random.h.
#include "include/mk_random.h"
#include "mk_rows.h"
#include "philox.h"

typedef struct random_table {
    void (*words)(uint32_t *out, uint64_t key, uint64_t counter, int64_t blocks);
    void (*uniform_f32)(float *out, const uint32_t *words, float low, float range, float limit, int64_t n);
    void (*uniform_f64)(double *out, const uint32_t *words, double low, double range, double limit, int64_t n);
    void (*normal_f32)(float *out, const uint32_t *words, float mean, float std, int64_t pairs);
    void (*normal_f64)(double *out, const uint32_t *words, double mean, double std, int64_t pairs);
    void (*integers)(int64_t *out, const uint32_t *words, int64_t low, uint64_t range, int64_t n);
    void (*flags)(uint8_t *out, const uint32_t *words, uint32_t last, int64_t n);
    void (*flags_f32)(float *out, const uint32_t *words, uint32_t last, int64_t n);
    void (*dropout_f32)(float *out, const float *in, const uint32_t *words, uint32_t last, float scale, int64_t n);
    void (*dropout_f64)(double *out, const double *in, const uint32_t *words, uint32_t last, double scale, int64_t n);
} random_table;

#define MK_KERNELS "random_kernels.h"
#include "mk_each_isa.h"
static const random_table *const random_tables[MK_ISA_COUNT] = MK_ISA_TABLES(random_table_);

void mk_philox(uint64_t seed, uint64_t stream, uint64_t offset, uint32_t out[4]) {
    philox_block block = philox(offset, stream, seed);
    memcpy(out, block.words, sizeof block.words);
}

#define TILE 512   // elements drawn at a time; even, so that a tile begins at a block
#define GRAIN 8192 // elements of a chunk, whole tiles

typedef struct random_job {
    const mk_tensor *out;
    const mk_tensor *in; // dropout
    uint64_t seed, offset;
    double a, b, limit; // low and range, or mean and standard deviation
    int64_t low;
    uint64_t range;
    uint32_t last; // the largest word that is a success, unless `never`
    bool never;
    double scale;
    int64_t words; // per element
    void (*tile)(const struct random_job *job, const uint32_t *words, int64_t at, int64_t n);
} random_job;

static void random_range(void *context, int64_t begin, int64_t end) {
    const random_job *job = context;
    uint32_t words[2 * TILE];
    for (int64_t i = begin; i < end; i += TILE) {
        int64_t n = mk_min64(TILE, end - i);
        MK_TABLE(random_tables)->words(words, job->seed, job->offset + (uint64_t)(i * job->words / 4),
                                       mk_div_up(n * job->words, 4));
        job->tile(job, words, i, n);
    }
}

static void draw(random_job *job, int64_t words) {
    job->words = words;
    mk_parallel_range(mk_count(job->out), GRAIN, random_range, job);
}

static void *element(const mk_tensor *t, int64_t i) { return (char *)t->data + i * mk_size_of(t->dtype); }

// MARK: uniform

static void uniform_tile(const random_job *job, const uint32_t *words, int64_t at, int64_t n) {
    const random_table *table = MK_TABLE(random_tables);
    int32_t dtype = job->out->dtype;
    void *out = element(job->out, at);
    if (dtype == MK_F64) {
        table->uniform_f64(out, words, job->a, job->b, job->limit, n);
        return;
    }
    float tile[TILE], *floats = dtype == MK_F32 ? out : tile;
    table->uniform_f32(floats, words, (float)job->a, (float)job->b, (float)job->limit, n);
    if (floats == tile) mk_floats_to(out, dtype, tile, n);
}

// The largest number of the dtype that is below `high`, but not below `low`: rounding must not reach the open end.
static double largest_below(int32_t dtype, double low, double high) {
    double limit;
    if (dtype == MK_F64) {
        limit = nextafter(high, -INFINITY);
    } else if (dtype == MK_F32) {
        float x = (float)high;
        limit = (double)x < high ? x : nextafterf(x, -INFINITY);
    } else {
        uint16_t bits;
        mk_store_float(&bits, dtype, (float)high);
        if ((double)mk_load_float(&bits, dtype) >= high)
            bits = (uint16_t)((bits & 0x7fff) == 0 ? 0x8001 : (bits & 0x8000) != 0 ? bits + 1 : bits - 1);
        limit = mk_load_float(&bits, dtype);
    }
    return limit < low ? low : limit;
}

void mk_random_uniform(const mk_tensor *out, uint64_t seed, uint64_t offset, double low, double high) {
    random_job job = {.out = out, .seed = seed, .offset = offset, .a = low, .b = high - low, .tile = uniform_tile};
    job.limit = largest_below(out->dtype, low, high);
    draw(&job, out->dtype == MK_F64 ? 2 : 1);
}

// MARK: normal

static void normal_tile(const random_job *job, const uint32_t *words, int64_t at, int64_t n) {
    const random_table *table = MK_TABLE(random_tables);
    int32_t dtype = job->out->dtype;
    void *out = element(job->out, at);
    int64_t pairs = mk_div_up(n, 2);
    bool direct = n % 2 == 0;
    if (dtype == MK_F64) {
        double tile[TILE], *doubles = direct ? out : tile;
        table->normal_f64(doubles, words, job->a, job->b, pairs);
        if (!direct) memcpy(out, tile, (size_t)n * sizeof(double));
        return;
    }
    float tile[TILE], *floats = direct && dtype == MK_F32 ? out : tile;
    table->normal_f32(floats, words, (float)job->a, (float)job->b, pairs);
    if (floats == tile) mk_floats_to(out, dtype, tile, n);
}

void mk_random_normal(const mk_tensor *out, uint64_t seed, uint64_t offset, double mean, double std) {
    random_job job = {.out = out, .seed = seed, .offset = offset, .a = mean, .b = std, .tile = normal_tile};
    draw(&job, out->dtype == MK_F64 ? 2 : 1);
}

// MARK: integers

static void integers_tile(const random_job *job, const uint32_t *words, int64_t at, int64_t n) {
    int64_t tile[TILE];
    if (job->range <= UINT32_MAX) {
        MK_TABLE(random_tables)->integers(tile, words, job->low, job->range, n);
    } else {
        for (int64_t i = 0; i < n; i++) {
            uint64_t bits = (uint64_t)words[2 * i + 1] << 32 | words[2 * i];
            tile[i] = (int64_t)((uint64_t)job->low + (uint64_t)((unsigned __int128)bits * job->range >> 64));
        }
    }
    mk_unblock_i64(element(job->out, at), job->out->dtype, mk_size_of(job->out->dtype), tile, n);
}

void mk_random_integers(const mk_tensor *out, uint64_t seed, uint64_t offset, int64_t low, int64_t high) {
    random_job job = {.out = out, .seed = seed, .offset = offset, .low = low, .tile = integers_tile};
    job.range = (uint64_t)high - (uint64_t)low;
    draw(&job, 2);
}

// MARK: Bernoulli

static void set_probability(random_job *job, double p) {
    uint64_t successes = p >= 1.0 ? UINT64_C(1) << 32 : p > 0.0 ? (uint64_t)(p * 0x1p32 + 0.5) : 0;
    job->never = successes == 0;
    job->last = job->never ? 0 : (uint32_t)(successes - 1);
}

static void bernoulli_tile(const random_job *job, const uint32_t *words, int64_t at, int64_t n) {
    const random_table *table = MK_TABLE(random_tables);
    int32_t dtype = job->out->dtype;
    int64_t size = mk_size_of(dtype);
    void *out = element(job->out, at);
    if (job->never) {
        memset(out, 0, (size_t)(n * size)); // zero in every dtype
    } else if (size == 1) {
        table->flags(out, words, job->last, n);
    } else if (mk_is_float(dtype)) {
        float floats[TILE];
        double doubles[TILE];
        table->flags_f32(floats, words, job->last, n);
        if (dtype == MK_F64) {
            memcpy(out, mk_block_f64(doubles, floats, MK_F32, sizeof(float), n), (size_t)n * sizeof(double));
        } else {
            mk_floats_to(out, dtype, floats, n);
        }
    } else {
        uint8_t flags[TILE];
        int64_t integers[TILE];
        table->flags(flags, words, job->last, n);
        mk_unblock_i64(out, dtype, size, mk_block_i64(integers, flags, MK_U8, 1, n), n);
    }
}

void mk_random_bernoulli(const mk_tensor *out, uint64_t seed, uint64_t offset, double p) {
    random_job job = {.out = out, .seed = seed, .offset = offset, .tile = bernoulli_tile};
    set_probability(&job, p);
    draw(&job, 1);
}

// MARK: dropout

static void dropout_tile(const random_job *job, const uint32_t *words, int64_t at, int64_t n) {
    const random_table *table = MK_TABLE(random_tables);
    int32_t dtype = job->out->dtype;
    void *out = element(job->out, at);
    const void *in = element(job->in, at);
    if (job->never) {
        memset(out, 0, (size_t)(n * mk_size_of(dtype)));
    } else if (dtype == MK_F64) {
        table->dropout_f64(out, in, words, job->last, job->scale, n);
    } else if (dtype == MK_F32) {
        table->dropout_f32(out, in, words, job->last, (float)job->scale, n);
    } else {
        float floats[TILE];
        mk_floats_from(floats, in, dtype, n);
        table->dropout_f32(floats, floats, words, job->last, (float)job->scale, n);
        mk_floats_to(out, dtype, floats, n);
    }
}

void mk_dropout(const mk_tensor *out, const mk_tensor *in, uint64_t seed, uint64_t offset, double p) {
    random_job job = {.out = out, .in = in, .seed = seed, .offset = offset, .scale = 1.0 / (1.0 - p),
                      .tile = dropout_tile};
    set_probability(&job, 1.0 - p);
    draw(&job, 1);
}
