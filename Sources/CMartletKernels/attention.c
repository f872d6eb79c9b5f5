// Scaled dot-product attention, forward: blocks of rows against blocks of keys with a running softmax, so that no more
// than one block of scores exists per thread.
#include "attention.h"

// Up to so many rows, keys and values are read in place: packing them would cost more than the products.
enum { ATTENTION_THIN = 8 };

typedef struct {
    attention_shape shape;
    const mk_tensor *out;
    void *lse;
    // With few rows and many keys a block is split over the keys; partials holds each split's result.
    int64_t splits, split_keys;
    void *partials;
} attention_job;

// Later rows see more keys under a causal mask; they go first so that no long block is left for the end.
static attention_rows attention_job_rows(const attention_job *job, int64_t block) {
    const attention_shape *s = &job->shape;
    const int64_t pairs = s->batch * s->groups;
    const int64_t pair = block % pairs, first = (s->blocks - 1 - block / pairs) * s->block;
    return (attention_rows){pair / s->groups, pair % s->groups * s->heads, s->heads, first,
                            mk_min64(s->block, s->rows - first)};
}

typedef struct {
    void (*block)(void *context, int64_t task);
    void (*combine)(void *context, int64_t block);
    int64_t (*partial_bytes)(int64_t count, int64_t dim);
    int32_t tile_rows;
} attention_table;

#define MK_WANT_AVX512BF16
#define MK_REAL_KERNELS "attention_kernels.h"
#define MK_KERNELS "mk_each_real.h"
#include "mk_each_isa.h"
static const attention_table *const f32_tables[MK_ISA_COUNT] = MK_ISA_TABLES_BF16(attention_table_f32);
static const attention_table *const f64_tables[MK_ISA_COUNT] = MK_ISA_TABLES(attention_table_f64);

void mk_attention(const mk_tensor *out, const mk_tensor *lse, const mk_tensor *q, const mk_tensor *k,
                  const mk_tensor *v, const mk_tensor *bias, const mk_tensor *key_start, mk_attention_options options) {
    const attention_table *table = MK_TABLE(q->dtype == MK_F64 ? f64_tables : f32_tables);
    attention_job job = {
        .shape = attention_shape_of(q, k, v, bias, key_start, options, table->tile_rows),
        .out = out,
        .lse = lse ? lse->data : NULL,
        .splits = 1,
    };
    const attention_shape *s = &job.shape;
    const int64_t blocks = s->batch * s->groups * s->blocks;
    if (blocks == 0) return;
    job.split_keys = s->keys;
    // How keys are split follows from the shape alone, never from the number of threads.
    if (blocks < 16 && s->keys >= 4 * ATTENTION_KEYS) {
        const int64_t most = mk_div_up(16, blocks);
        job.split_keys = mk_div_up(mk_max64(s->keys / most, 2 * ATTENTION_KEYS), ATTENTION_KEYS) * ATTENTION_KEYS;
        job.splits = mk_div_up(s->keys, job.split_keys);
    }
    const int64_t bytes = job.splits > 1 ? blocks * job.splits * table->partial_bytes(s->block, s->dim) : 0;
    if (bytes) job.partials = mk_scratch(bytes);
    mk_parallel(blocks * job.splits, table->block, &job);
    if (bytes) {
        mk_parallel(blocks, table->combine, &job);
        mk_scratch_free(job.partials, bytes);
    }
}
