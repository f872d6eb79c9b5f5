// Adafactor, with a full or a factored second moment.
//
// The update is divided by its root mean square, which is known only when every element has been seen. So there are two
// passes: the first brings the second moment up to date and sums squares, the second computes the update again and
// applies it. Sums are over fixed pieces and then over the pieces, in order and in double.
#include "include/mk_optim.h"
#include "mk_rows.h"

// Elements of one piece: what one chunk of work sums.
enum { PIECE = 16384 };

typedef struct {
    char *param, *master;
    const char *grad;
    char *m, *v;
    int32_t param_dtype, grad_dtype;
    int64_t count;
    const mk_adafactor_options *options;
    // Factored: the two factors of 1 / sqrt(v), of the type of the computation; NULL when v is full.
    int64_t rows, columns;
    void *row_factor, *column_factor;
    // Per piece: sums of squares of the parameter and of the update.
    double *sums;
    double step; // what y is multiplied by, after clipping
    // Factored statistics: per strip of rows, sums of g2 over columns (in v_row) and partial sums over rows.
    char *v_row, *v_column;
    int64_t strip_rows, strips;
    double *partials;
} adafactor_job;

typedef struct {
    void (*measure)(void *context, int64_t piece);
    void (*apply)(void *context, int64_t piece);
    void (*statistics)(void *context, int64_t strip);
    mk_range_fn combine_columns;
    void (*factors)(const adafactor_job *job);
    int64_t bytes;
} adafactor_table;

#define MK_REAL_KERNELS "adafactor_kernels.h"
#define MK_KERNELS "mk_each_real.h"
#include "mk_each_isa.h"
static const adafactor_table *const f32_tables[MK_ISA_COUNT] = MK_ISA_TABLES(adafactor_table_f32);
static const adafactor_table *const f64_tables[MK_ISA_COUNT] = MK_ISA_TABLES(adafactor_table_f64);

static adafactor_job make_job(const mk_tensor *param, const mk_tensor *master, const mk_tensor *grad,
                              const mk_tensor *m, const mk_adafactor_options *options) {
    return (adafactor_job){
        .param = param->data,
        .master = master ? master->data : NULL,
        .grad = grad->data,
        .m = m ? m->data : NULL,
        .param_dtype = param->dtype,
        .grad_dtype = grad->dtype,
        .count = mk_count(param),
        .options = options,
    };
}

// Both passes, once v (or its factors) can be had.
static void run(adafactor_job *job, const adafactor_table *table) {
    const mk_adafactor_options *o = job->options;
    const int64_t pieces = mk_div_up(job->count, PIECE);
    const int64_t bytes = 2 * pieces * (int64_t)sizeof(double);
    job->sums = mk_scratch(bytes);
    mk_parallel_shares(pieces, table->measure, job);
    double squares = 0, updates = 0;
    for (int64_t i = 0; i < pieces; i++) {
        squares += job->sums[2 * i];
        updates += job->sums[2 * i + 1];
    }
    job->step = o->lr;
    if (o->clip_threshold > 0) {
        const double ratio = sqrt(updates / (double)job->count) / o->clip_threshold;
        // NaN must reach the parameters, not be clipped away.
        if (!(ratio <= 1)) job->step /= ratio;
    }
    if (o->multiply_by_parameter_scale) {
        const double scale = sqrt(squares / (double)job->count);
        job->step *= scale < o->eps2 ? o->eps2 : scale;
    }
    mk_parallel_shares(pieces, table->apply, job);
    mk_scratch_free(job->sums, bytes);
}

void mk_adafactor(const mk_tensor *param, const mk_tensor *master, const mk_tensor *grad, const mk_tensor *m,
                  const mk_tensor *v, mk_adafactor_options options) {
    adafactor_job job = make_job(param, master, grad, m, &options);
    if (job.count == 0) return;
    job.v = v->data;
    run(&job, MK_TABLE(param->dtype == MK_F64 ? f64_tables : f32_tables));
}

void mk_adafactor_factored(const mk_tensor *param, const mk_tensor *master, const mk_tensor *grad, const mk_tensor *m,
                           const mk_tensor *v_row, const mk_tensor *v_col, mk_adafactor_options options) {
    adafactor_job job = make_job(param, master, grad, m, &options);
    if (job.count == 0) return;
    const adafactor_table *table = MK_TABLE(param->dtype == MK_F64 ? f64_tables : f32_tables);
    job.rows = v_row->shape[0];
    job.columns = v_col->shape[0];
    job.v_row = v_row->data;
    job.v_column = v_col->data;
    // At most 64 strips, so that their partial sums over rows stay small beside the matrix.
    job.strip_rows = mk_max64(mk_max64(1, PIECE / job.columns), mk_div_up(job.rows, 64));
    job.strips = mk_div_up(job.rows, job.strip_rows);
    const int64_t partial_bytes = job.strips * job.columns * (int64_t)sizeof(double);
    const int64_t factor_bytes = (job.rows + job.columns) * table->bytes;
    job.partials = mk_scratch(partial_bytes);
    job.row_factor = mk_scratch(factor_bytes);
    job.column_factor = (char *)job.row_factor + job.rows * table->bytes;
    mk_parallel_shares(job.strips, table->statistics, &job);
    mk_parallel_range(job.columns, mk_max64(64, MK_GRAIN / job.strips), table->combine_columns, &job);
    table->factors(&job);
    run(&job, table);
    mk_scratch_free(job.row_factor, factor_bytes);
    mk_scratch_free(job.partials, partial_bytes);
}
