// Layer normalisation and RMSNorm over the last dimension.
#include "include/mk_nn.h"
#include "mk_row_walk.h"

typedef struct {
    mk_walk walk;
    int64_t rows, length;
    int32_t dtypes[3];        // forward: out, in; backward: g, in, dx
    void *mean, *rstd;        // contiguous, of the type of the computation; may be NULL
    const void *scale, *bias; // rows of the type of the computation; NULL when absent. scale is weight + offset
    double eps;
    bool rms, wants_dx;
    bool stream, fetches; // dx or out past the caches; rows of large inputs before their turn
    // Backward: rows of one chunk, and per chunk the partial sums of dweight and dbias (2 rows of `length`).
    int64_t rows_per_chunk;
    void *partials;
    bool wants_weight, wants_bias;
    void *dweight, *dbias;
    int64_t chunks;
} norm_job;

typedef struct {
    void (*scale)(void *out, const mk_tensor *weight, double offset);
    mk_range_fn forward;
    void (*backward)(void *context, int64_t chunk);
    mk_range_fn combine;
    int64_t bytes;
} norm_table;

#define MK_WANT_AVX512BF16
#define MK_REAL_KERNELS "norm_kernels.h"
#define MK_KERNELS "mk_each_real.h"
#include "mk_each_isa.h"
static const norm_table *const f32_tables[MK_ISA_COUNT] = MK_ISA_TABLES_BF16(norm_table_f32);
static const norm_table *const f64_tables[MK_ISA_COUNT] = MK_ISA_TABLES(norm_table_f64);

void mk_layer_norm(const mk_tensor *out, const mk_tensor *mean, const mk_tensor *rstd, const mk_tensor *in,
                   const mk_tensor *weight, const mk_tensor *bias, double eps, double weight_offset, bool rms) {
    const norm_table *table = MK_TABLE(in->dtype == MK_F64 ? f64_tables : f32_tables);
    norm_job job = {.dtypes = {out->dtype, in->dtype}, .eps = eps, .rms = rms};
    job.stream = mk_streams(out, 1, &in);
    job.fetches = mk_is_large(in);
    mk_row_walk_init(&job.walk, 2, (const mk_tensor *const[]){out, in});
    const int64_t n = in->shape[in->rank - 1];
    job.length = n;
    job.mean = mean ? mean->data : NULL;
    job.rstd = rstd ? rstd->data : NULL;
    const int64_t bytes = 2 * n * table->bytes;
    char *parameters = mk_scratch(bytes);
    if (weight) {
        table->scale(parameters, weight, weight_offset);
        job.scale = parameters;
    }
    if (bias) {
        table->scale(parameters + n * table->bytes, bias, 0);
        job.bias = parameters + n * table->bytes;
    }
    mk_parallel_range(job.walk.count, mk_stream_grain(n, job.stream), table->forward, &job);
    if (job.stream) mk_finish_stores();
    mk_scratch_free(parameters, bytes);
}

void mk_layer_norm_backward(const mk_tensor *dx, const mk_tensor *dweight, const mk_tensor *dbias, const mk_tensor *g,
                            const mk_tensor *in, const mk_tensor *weight, const mk_tensor *mean, const mk_tensor *rstd,
                            double weight_offset, bool rms) {
    const norm_table *table = MK_TABLE(in->dtype == MK_F64 ? f64_tables : f32_tables);
    norm_job job = {.dtypes = {g->dtype, in->dtype, dx ? dx->dtype : in->dtype}, .rms = rms, .wants_dx = dx != NULL};
    job.stream = dx && mk_streams(dx, 2, (const mk_tensor *const[]){g, in});
    job.fetches = mk_is_large(in);
    mk_row_walk_init(&job.walk, dx ? 3 : 2, (const mk_tensor *const[]){g, in, dx});
    const int64_t n = in->shape[in->rank - 1];
    job.rows = job.walk.count;
    job.length = n;
    job.mean = mean ? mean->data : NULL;
    job.rstd = rstd->data;
    job.wants_weight = dweight != NULL;
    job.wants_bias = dbias != NULL;
    job.dweight = dweight ? dweight->data : NULL;
    job.dbias = dbias ? dbias->data : NULL;
    // At most 128 partial sums, so that combining them costs little; chunks follow from the shape alone.
    job.rows_per_chunk = mk_max64(mk_max64(mk_grain_of(n), 8), mk_div_up(job.rows, 128));
    job.chunks = mk_div_up(job.rows, job.rows_per_chunk);
    const int64_t bytes = n * table->bytes, partial_bytes = 2 * job.chunks * bytes;
    void *scale = mk_scratch(bytes);
    job.partials = mk_scratch(partial_bytes);
    if (weight) {
        table->scale(scale, weight, weight_offset);
        job.scale = scale;
    }
    mk_parallel_shares(job.chunks, table->backward, &job);
    if (job.stream) mk_finish_stores();
    if (job.wants_weight || job.wants_bias)
        mk_parallel_range(n, mk_max64(64, mk_grain_of(job.chunks)), table->combine, &job);
    mk_scratch_free(job.partials, partial_bytes);
    mk_scratch_free(scale, bytes);
}
