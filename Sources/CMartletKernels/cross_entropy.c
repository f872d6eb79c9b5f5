// Softmax cross-entropy with label smoothing, z-loss and the gradient of the logits. Exponentials are computed for the
// loss and again for the gradient, which takes less time than to keep them.
#include "include/mk_nn.h"
#include "mk_row_walk.h"

typedef struct {
    const mk_tensor *logits, *dlogits;
    const int64_t *targets;
    int64_t target_stride;
    void *loss, *tops, *sums; // loss: NULL where tops and sums are there already
    int64_t classes, ignore_index;
    double smoothing, z_loss, logit_scale, row_scale;
    bool stream, fetches; // dlogits past the caches; pieces of large logits before their turn
} entropy_job;

// Logits that are fetched before their turn: the next but one piece.
#define ENTROPY_AHEAD (2 * MK_PIECE)

typedef struct {
    mk_range_fn rows;
} entropy_table;

#define MK_WANT_AVX512BF16
#define MK_REAL_KERNELS "cross_entropy_kernels.h"
#define MK_KERNELS "mk_each_real.h"
#include "mk_each_isa.h"
static const entropy_table *const f32_tables[MK_ISA_COUNT] = MK_ISA_TABLES_BF16(entropy_table_f32);
static const entropy_table *const f64_tables[MK_ISA_COUNT] = MK_ISA_TABLES(entropy_table_f64);

void mk_cross_entropy(const mk_tensor *loss, const mk_tensor *statistics, const mk_tensor *dlogits,
                      const mk_tensor *logits, const mk_tensor *targets, int64_t ignore_index, double label_smoothing,
                      double z_loss, double logit_scale, double row_scale) {
    entropy_job job = {
        .logits = logits,
        .dlogits = dlogits,
        .targets = targets->data,
        .target_stride = targets->strides[0],
        .loss = loss ? loss->data : NULL,
        .tops = statistics->data,
        .sums = (char *)statistics->data + statistics->strides[0] * mk_size_of(statistics->dtype),
        .classes = logits->shape[1],
        .ignore_index = ignore_index,
        .smoothing = label_smoothing,
        .z_loss = z_loss,
        .logit_scale = logit_scale,
        .row_scale = row_scale,
        .stream = dlogits && mk_streams(dlogits, 1, &logits),
        .fetches = mk_is_large(logits),
    };
    const entropy_table *table = MK_TABLE(logits->dtype == MK_F64 ? f64_tables : f32_tables);
    mk_parallel_range(logits->shape[0], mk_stream_grain(job.classes, job.stream), table->rows, &job);
    if (job.stream) mk_finish_stores();
}
