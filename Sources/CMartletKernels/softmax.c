// Softmax and log-softmax over the last dimension.
#include "include/mk_nn.h"
#include "mk_row_walk.h"

typedef struct {
    mk_walk walk;
    int64_t length;
    int32_t dtypes[3];
    bool log;
    bool stream, fetches; // past the caches; rows of large inputs before their turn
} softmax_job;

typedef struct {
    mk_range_fn forward, backward;
} softmax_table;

#define MK_WANT_AVX512BF16
#define MK_REAL_KERNELS "softmax_kernels.h"
#define MK_KERNELS "mk_each_real.h"
#include "mk_each_isa.h"
static const softmax_table *const f32_tables[MK_ISA_COUNT] = MK_ISA_TABLES_BF16(softmax_table_f32);
static const softmax_table *const f64_tables[MK_ISA_COUNT] = MK_ISA_TABLES(softmax_table_f64);

static void run(int32_t operands, const mk_tensor *const *tensors, bool log, bool backward) {
    softmax_job job = {.log = log,
                       .stream = mk_streams(tensors[0], operands - 1, tensors + 1),
                       .fetches = mk_is_large(tensors[1])};
    mk_row_walk_init(&job.walk, operands, tensors);
    bool wide = false;
    for (int32_t k = 0; k < operands; k++) {
        job.dtypes[k] = tensors[k]->dtype;
        wide |= tensors[k]->dtype == MK_F64;
    }
    job.length = tensors[0]->shape[tensors[0]->rank - 1];
    if (job.length == 0) return;
    const softmax_table *table = MK_TABLE(wide ? f64_tables : f32_tables);
    mk_parallel_range(job.walk.count, mk_stream_grain(job.length, job.stream),
                      backward ? table->backward : table->forward, &job);
    if (job.stream) mk_finish_stores();
}

void mk_softmax(const mk_tensor *out, const mk_tensor *in, bool log) {
    run(2, (const mk_tensor *const[]){out, in}, log, false);
}

void mk_softmax_backward(const mk_tensor *dx, const mk_tensor *g, const mk_tensor *y, bool log) {
    run(3, (const mk_tensor *const[]){dx, g, y}, log, true);
}
