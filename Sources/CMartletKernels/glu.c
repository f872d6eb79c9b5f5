// Gated linear units: act(gate) * up.
#include "include/mk_nn.h"
#include "mk_row_walk.h"

typedef struct {
    mk_walk walk;
    int64_t length;
    int32_t dtypes[5];
    mk_glu_op op;
    bool stream;
} glu_job;

typedef struct {
    mk_range_fn forward, backward;
} glu_table;

#define MK_WANT_AVX512BF16
#define MK_REAL_KERNELS "glu_kernels.h"
#define MK_KERNELS "mk_each_real.h"
#include "mk_each_isa.h"
static const glu_table *const f32_tables[MK_ISA_COUNT] = MK_ISA_TABLES_BF16(glu_table_f32);
static const glu_table *const f64_tables[MK_ISA_COUNT] = MK_ISA_TABLES(glu_table_f64);

static void run(int32_t operands, const mk_tensor *const *tensors, mk_glu_op op, bool backward) {
    const int32_t outputs = backward ? 2 : 1;
    glu_job job = {.op = op, .stream = true};
    for (int32_t k = 0; k < outputs; k++) job.stream &= mk_streams(tensors[k], operands - outputs, tensors + outputs);
    mk_row_walk_init(&job.walk, operands, tensors);
    bool wide = false;
    for (int32_t k = 0; k < operands; k++) {
        job.dtypes[k] = tensors[k]->dtype;
        wide |= tensors[k]->dtype == MK_F64;
    }
    job.length = tensors[0]->shape[tensors[0]->rank - 1];
    if (job.length == 0) return;
    const glu_table *table = MK_TABLE(wide ? f64_tables : f32_tables);
    mk_parallel_range(job.walk.count, mk_stream_grain(job.length, job.stream),
                      backward ? table->backward : table->forward, &job);
    if (job.stream) mk_finish_stores();
}

void mk_glu(mk_glu_op op, const mk_tensor *out, const mk_tensor *gate, const mk_tensor *up) {
    run(3, (const mk_tensor *const[]){out, gate, up}, op, false);
}

void mk_glu_backward(mk_glu_op op, const mk_tensor *dgate, const mk_tensor *dup, const mk_tensor *g,
                     const mk_tensor *gate, const mk_tensor *up) {
    run(5, (const mk_tensor *const[]){dgate, dup, g, gate, up}, op, true);
}
