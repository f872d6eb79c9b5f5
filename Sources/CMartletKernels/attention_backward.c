// Scaled dot-product attention, backward: scores are computed again block by block from the saved log-sum-exp.
//
// A task is a chunk of rows of one (batch element, key/value head). It owns dq of its rows and sums its share of dk and
// dv in scratch memory; where a pair has several chunks their shares are added afterwards, in order. How many chunks
// there are follows from the shape alone, so every sum has one order for any number of threads.
#include "attention.h"

typedef struct {
    attention_shape shape;
    const mk_tensor *dq, *dk, *dv, *dbias, *g, *out;
    const void *lse;
    int64_t chunks, chunk_rows; // of one pair
    void *partials;
    int64_t partial_bytes;
    int64_t bias_rows; // positions of one block of dbias
} backward_job;

// Chunks with later rows, which see more keys under a causal mask, go first.
static int64_t backward_chunk_index(const backward_job *job, int64_t pair, int64_t chunk) {
    return (job->chunks - 1 - chunk) * job->shape.batch * job->shape.groups + pair;
}

static attention_rows backward_chunk_rows(const backward_job *job, int64_t index) {
    const attention_shape *s = &job->shape;
    const int64_t pairs = s->batch * s->groups, pair = index % pairs;
    const int64_t first = (job->chunks - 1 - index / pairs) * job->chunk_rows;
    return (attention_rows){pair / s->groups, pair % s->groups * s->heads, s->heads, first,
                            mk_min64(job->chunk_rows, s->rows - first)};
}

// The keys a chunk may see, from a block's start.
static attention_range backward_chunk_keys(const attention_shape *s, const attention_rows *chunk) {
    attention_range seen = attention_visible_rows(s, chunk);
    seen.begin = mk_min64(seen.begin, s->keys) / ATTENTION_KEYS * ATTENTION_KEYS;
    seen.end = mk_max64(seen.begin, mk_min64(seen.end, s->keys));
    return seen;
}

typedef struct {
    void (*chunk)(void *context, int64_t task);
    void (*combine)(void *context, int64_t task);
    void (*bias)(void *context, int64_t task);
    int64_t (*partial_bytes)(int64_t keys, int64_t dim);
    int32_t tile_rows;
} backward_table;

#define MK_WANT_AVX512BF16
#define MK_REAL_KERNELS "attention_backward_kernels.h"
#define MK_KERNELS "mk_each_real.h"
#include "mk_each_isa.h"
static const backward_table *const f32_tables[MK_ISA_COUNT] = MK_ISA_TABLES_BF16(backward_table_f32);
static const backward_table *const f64_tables[MK_ISA_COUNT] = MK_ISA_TABLES(backward_table_f64);

// Pairs without a single row (no queries) leave dk and dv to this.
static void zero(const mk_tensor *t) {
    const int64_t bytes = t->shape[3] * mk_size_of(t->dtype);
    for (int64_t b = 0; b < t->shape[0]; b++)
        for (int64_t s = 0; s < t->shape[1]; s++)
            for (int64_t h = 0; h < t->shape[2]; h++)
                memset((char *)t->data +
                           (b * t->strides[0] + s * t->strides[1] + h * t->strides[2]) * mk_size_of(t->dtype),
                       0, (size_t)bytes);
}

void mk_attention_backward(const mk_tensor *dq, const mk_tensor *dk, const mk_tensor *dv, const mk_tensor *dbias,
                           const mk_tensor *g, const mk_tensor *out, const mk_tensor *lse, const mk_tensor *q,
                           const mk_tensor *k, const mk_tensor *v, const mk_tensor *bias, const mk_tensor *key_start,
                           mk_attention_options options) {
    const backward_table *table = MK_TABLE(q->dtype == MK_F64 ? f64_tables : f32_tables);
    backward_job job = {
        .shape = attention_shape_of(q, k, v, bias, key_start, options, table->tile_rows),
        .dq = dq,
        .dk = dk,
        .dv = dv,
        .dbias = dbias,
        .g = g,
        .out = out,
        .lse = lse->data,
    };
    job.shape.pairs &= g->dtype == MK_BF16;
    const attention_shape *s = &job.shape;
    const int64_t pairs = s->batch * s->groups;
    if (pairs == 0) return;
    if (s->rows == 0) {
        zero(dk);
        zero(dv);
    } else {
        // Chunks of whole blocks: enough tasks for a large machine, but no more shares of dk and dv than that takes.
        const int64_t wanted = mk_min64(mk_div_up(32, pairs), s->blocks);
        const int64_t blocks = mk_div_up(s->blocks, wanted);
        job.chunk_rows = blocks * s->block;
        job.chunks = mk_div_up(s->rows, job.chunk_rows);
        if (job.chunks > 1) {
            job.partial_bytes = table->partial_bytes(s->keys, s->dim);
            job.partials = mk_scratch(pairs * job.chunks * job.partial_bytes);
        }
        mk_parallel(pairs * job.chunks, table->chunk, &job);
        if (job.chunks > 1) {
            mk_parallel(pairs * mk_div_up(s->keys, ATTENTION_KEYS), table->combine, &job);
            mk_scratch_free(job.partials, pairs * job.chunks * job.partial_bytes);
        }
    }
    if (!dbias || s->keys == 0) return;
    job.bias_rows = mk_div_up(128, table->tile_rows) * table->tile_rows;
    const int64_t row_blocks = dbias->shape[2] > 1 ? mk_div_up(s->queries, job.bias_rows) : 1;
    mk_parallel(dbias->shape[0] * dbias->shape[1] * row_blocks * mk_div_up(s->keys, ATTENTION_KEYS), table->bias, &job);
}
