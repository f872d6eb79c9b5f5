// Rotary position embedding.
#include "include/mk_nn.h"
#include "mk_row_walk.h"

typedef struct {
    const mk_tensor *out, *in, *positions;
    const void *cos, *sin;
    int64_t start, half; // half: pairs that rotate
    bool interleaved, inverse, stream;
    bool pairs; // bfloat16 that is computed two neighbours at a time
} rope_job;

typedef struct {
    mk_range_fn rows;
} rope_table;

#define MK_REAL_KERNELS "rope_kernels.h"
#define MK_KERNELS "mk_each_real.h"
#include "mk_each_isa.h"
static const rope_table *const f32_tables[MK_ISA_COUNT] = MK_ISA_TABLES(rope_table_f32);
static const rope_table *const f64_tables[MK_ISA_COUNT] = MK_ISA_TABLES(rope_table_f64);

void mk_rope(const mk_tensor *out, const mk_tensor *in, const mk_tensor *cos, const mk_tensor *sin,
             const mk_tensor *positions, int64_t start, bool interleaved, bool inverse) {
    rope_job job = {out, in, positions, cos->data, sin->data, start, cos->shape[1], interleaved, inverse,
                    mk_streams(out, 1, &in), false};
    job.pairs = in->dtype == MK_BF16 && out->dtype == MK_BF16 && cos->dtype == MK_F32 &&
                (interleaved || job.half % 2 == 0);
    const int64_t tokens = in->shape[0] * in->shape[1], elements = in->shape[2] * in->shape[3];
    if (elements == 0) return;
    const rope_table *table = MK_TABLE(in->dtype == MK_F64 ? f64_tables : f32_tables);
    mk_parallel_range(tokens, mk_stream_grain(elements, job.stream), table->rows, &job);
    if (job.stream) mk_finish_stores();
}
