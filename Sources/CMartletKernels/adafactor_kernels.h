// Pieces of adafactor.c.
#undef ADAFACTOR_BLOCK
#define ADAFACTOR_BLOCK 1024

MK_INLINE const REAL *RFN(adafactor_grad)(const adafactor_job *job, REAL *buffer, int64_t at, int64_t n) {
    return RFN(row_in)(buffer, job->grad + at * mk_size_of(job->grad_dtype), job->grad_dtype, n);
}

// y = gradient / sqrt(v) for elements at..<at + n. In the first pass a full v is brought up to date.
MK_INLINE void RFN(adafactor_update)(const adafactor_job *job, REAL *y, int64_t at, int64_t n, bool first) {
    const mk_adafactor_options *o = job->options;
    const REAL grad_scale = (REAL)o->grad_scale;
    const REAL *g = RFN(adafactor_grad)(job, y, at, n);
    if (job->row_factor) {
        const REAL *row_factor = job->row_factor, *column_factor = job->column_factor;
        for (int64_t i = 0; i < n;) {
            const int64_t row = (at + i) / job->columns, column = (at + i) % job->columns;
            const int64_t run = mk_min64(n - i, job->columns - column);
            const REAL factor = grad_scale * row_factor[row];
            REAL_LOOP
            for (int64_t j = 0; j < run; j++) y[i + j] = g[i + j] * factor * column_factor[column + j];
            i += run;
        }
        return;
    }
    REAL *v = (REAL *)job->v + at;
    if (first) {
        const REAL beta2 = (REAL)o->beta2, rest2 = (REAL)(1 - o->beta2), eps1 = (REAL)o->eps1;
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) {
            const REAL gradient = g[i] * grad_scale;
            const REAL v1 = beta2 * v[i] + rest2 * (gradient * gradient + eps1);
            v[i] = v1;
            y[i] = gradient / RFN(sqrt)(v1);
        }
    } else {
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) y[i] = g[i] * grad_scale / RFN(sqrt)(v[i]);
    }
}

MK_INLINE REAL *RFN(adafactor_param)(const adafactor_job *job, REAL *buffer, int64_t at, int64_t n) {
    if (job->master) return (REAL *)job->master + at;
    char *from = job->param + at * mk_size_of(job->param_dtype);
    if (job->param_dtype == REAL_DTYPE) return (REAL *)from;
    RFN(convert_in)(buffer, from, job->param_dtype, n);
    return buffer;
}

static void RFN(adafactor_measure)(void *context, int64_t piece) {
    const adafactor_job *job = context;
    const int64_t begin = piece * PIECE, end = mk_min64(job->count, begin + PIECE);
    _Alignas(64) REAL y[ADAFACTOR_BLOCK], params[ADAFACTOR_BLOCK];
    double squares = 0, updates = 0;
    for (int64_t at = begin; at < end; at += ADAFACTOR_BLOCK) {
        const int64_t n = mk_min64(ADAFACTOR_BLOCK, end - at);
        RFN(adafactor_update)(job, y, at, n, true);
        updates += (double)RFN(row_dot)(y, y, n);
        if (job->options->multiply_by_parameter_scale) {
            const REAL *p = RFN(adafactor_param)(job, params, at, n);
            squares += (double)RFN(row_dot)(p, p, n);
        }
    }
    job->sums[2 * piece] = squares;
    job->sums[2 * piece + 1] = updates;
}

static void RFN(adafactor_apply)(void *context, int64_t piece) {
    const adafactor_job *job = context;
    const mk_adafactor_options *o = job->options;
    const int64_t begin = piece * PIECE, end = mk_min64(job->count, begin + PIECE);
    const REAL step = (REAL)job->step, beta1 = (REAL)o->beta1, rest1 = (REAL)(1 - o->beta1);
    const REAL keep = (REAL)(1 - o->weight_decay);
    _Alignas(64) REAL y[ADAFACTOR_BLOCK], params[ADAFACTOR_BLOCK];
    for (int64_t at = begin; at < end; at += ADAFACTOR_BLOCK) {
        const int64_t n = mk_min64(ADAFACTOR_BLOCK, end - at);
        RFN(adafactor_update)(job, y, at, n, false);
        REAL *p = RFN(adafactor_param)(job, params, at, n);
        if (job->m) {
            REAL *m = (REAL *)job->m + at;
            REAL_LOOP
            for (int64_t i = 0; i < n; i++) {
                const REAL m1 = beta1 * m[i] + rest1 * (y[i] * step);
                m[i] = m1;
                p[i] = keep * p[i] - m1;
            }
        } else {
            REAL_LOOP
            for (int64_t i = 0; i < n; i++) p[i] = keep * p[i] - y[i] * step;
        }
        RFN(row_out)(job->param + at * mk_size_of(job->param_dtype), job->param_dtype, p, n, false);
    }
}

// Rows of one strip: v_row is brought up to date, and the strip's sums of g2 over rows are left in partials.
static void RFN(adafactor_statistics)(void *context, int64_t strip) {
    const adafactor_job *job = context;
    const mk_adafactor_options *o = job->options;
    const int64_t begin = strip * job->strip_rows, end = mk_min64(job->rows, begin + job->strip_rows);
    const REAL grad_scale = (REAL)o->grad_scale, eps1 = (REAL)o->eps1;
    double *sums = job->partials + strip * job->columns;
    memset(sums, 0, (size_t)job->columns * sizeof(double));
    _Alignas(64) REAL g2[ADAFACTOR_BLOCK];
    for (int64_t row = begin; row < end; row++) {
        double total = 0;
        for (int64_t column = 0; column < job->columns; column += ADAFACTOR_BLOCK) {
            const int64_t n = mk_min64(ADAFACTOR_BLOCK, job->columns - column);
            const REAL *g = RFN(adafactor_grad)(job, g2, row * job->columns + column, n);
            REAL_LOOP
            for (int64_t i = 0; i < n; i++) {
                const REAL gradient = g[i] * grad_scale;
                g2[i] = gradient * gradient + eps1;
            }
            total += (double)RFN(row_sum)(g2, n);
            for (int64_t i = 0; i < n; i++) sums[column + i] += (double)g2[i];
        }
        REAL *v = (REAL *)job->v_row + row;
        *v = (REAL)(o->beta2 * (double)*v + (1 - o->beta2) * (total / (double)job->columns));
    }
}

static void RFN(adafactor_combine_columns)(void *context, int64_t begin, int64_t end) {
    const adafactor_job *job = context;
    const double beta2 = job->options->beta2;
    for (int64_t i = begin; i < end; i++) {
        double total = 0;
        for (int64_t strip = 0; strip < job->strips; strip++) total += job->partials[strip * job->columns + i];
        REAL *v = (REAL *)job->v_column + i;
        *v = (REAL)(beta2 * (double)*v + (1 - beta2) * (total / (double)job->rows));
    }
}

static void RFN(adafactor_factors)(const adafactor_job *job) {
    const REAL *v_row = (const REAL *)job->v_row, *v_column = (const REAL *)job->v_column;
    REAL *row_factor = job->row_factor, *column_factor = job->column_factor;
    double total = 0;
    for (int64_t i = 0; i < job->rows; i++) total += (double)v_row[i];
    const double mean = total / (double)job->rows;
    for (int64_t i = 0; i < job->rows; i++) row_factor[i] = (REAL)(1 / sqrt((double)v_row[i] / mean));
    for (int64_t i = 0; i < job->columns; i++) column_factor[i] = (REAL)(1 / sqrt((double)v_column[i]));
}

static const adafactor_table RFN(adafactor_table) = {
    RFN(adafactor_measure),         RFN(adafactor_apply),   RFN(adafactor_statistics),
    RFN(adafactor_combine_columns), RFN(adafactor_factors), sizeof(REAL),
};
