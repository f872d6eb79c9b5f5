// Pieces of adafactor.c.
#undef ADAFACTOR_BLOCK
#define ADAFACTOR_BLOCK 1024

MK_INLINE const REAL *RFN(adafactor_grad)(const adafactor_job *job, REAL *buffer, int64_t at, int64_t n) {
    return RFN(row_in)(buffer, job->grad + at * mk_size_of(job->grad_dtype), job->grad_dtype, n);
}

// Of elements at..<at + n with a factored v, in runs along rows: does `run` for `count` elements from i, which begin at
// column j; `factor` is what their gradient is multiplied by beside the columns' own factors.
#undef ADAFACTOR_RUNS
#define ADAFACTOR_RUNS(job, at, n, run)                                                                                \
    for (int64_t i = 0; i < n;) {                                                                                      \
        const int64_t row = (at + i) / job->columns, j = (at + i) % job->columns;                                      \
        const int64_t count = mk_min64(n - i, job->columns - j);                                                       \
        const REAL factor = (REAL)job->options->grad_scale * ((const REAL *)job->row_factor)[row];                     \
        run;                                                                                                           \
        i += count;                                                                                                    \
    }

MK_INLINE void RFN(adafactor_run)(REAL *y, const REAL *g, REAL factor, const REAL *columns, int64_t n) {
    REAL_LOOP
    for (int64_t i = 0; i < n; i++) y[i] = g[i] * factor * columns[i];
}

// y = gradient / sqrt(v) for elements at..<at + n. In the first pass a full v is brought up to date.
MK_INLINE void RFN(adafactor_update)(const adafactor_job *job, REAL *y, int64_t at, int64_t n, bool first) {
    const mk_adafactor_options *o = job->options;
    const REAL grad_scale = (REAL)o->grad_scale;
    const REAL *g = RFN(adafactor_grad)(job, y, at, n);
    if (job->row_factor) {
        const REAL *columns = job->column_factor;
        ADAFACTOR_RUNS(job, at, n, RFN(adafactor_run)(y + i, g + i, factor, columns + j, count))
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

// The sum of squares of the update g * factor * columns.
MK_INLINE REAL RFN(adafactor_squares)(const REAL *g, REAL factor, const REAL *columns, int64_t n) {
    MK_REASSOCIATE
    REAL sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const REAL y = g[i] * factor * columns[i];
        sum += y * y;
    }
    return sum;
}
MK_INLINE void RFN(adafactor_step)(REAL *p, const REAL *g, REAL factor, const REAL *columns, REAL keep, REAL step,
                                   int64_t n) {
    REAL_LOOP
    for (int64_t i = 0; i < n; i++) p[i] = keep * p[i] - g[i] * factor * columns[i] * step;
}

static void RFN(adafactor_measure)(void *context, int64_t piece) {
    const adafactor_job *job = context;
    const int64_t begin = piece * PIECE, end = mk_min64(job->count, begin + PIECE);
    _Alignas(64) REAL y[ADAFACTOR_BLOCK], params[ADAFACTOR_BLOCK];
    double squares = 0, updates = 0;
    const int64_t grad_bytes = mk_size_of(job->grad_dtype);
    for (int64_t at = begin; at < end; at += ADAFACTOR_BLOCK) {
        const int64_t n = mk_min64(ADAFACTOR_BLOCK, end - at);
        // The next block, which comes from memory while this one is computed.
        mk_fetch_all(job->grad + (at + n) * grad_bytes, n * grad_bytes);
        if (job->row_factor) {
            const REAL *g = RFN(adafactor_grad)(job, y, at, n), *columns = job->column_factor;
            ADAFACTOR_RUNS(job, at, n,
                           updates += (double)RFN(adafactor_squares)(g + i, factor, columns + j, count))
        } else {
            RFN(adafactor_update)(job, y, at, n, true);
            updates += (double)RFN(row_dot)(y, y, n);
        }
        if (job->options->multiply_by_parameter_scale) {
            const REAL *p = RFN(adafactor_param)(job, params, at, n);
            if (p != params) mk_fetch_all(p + n, n * (int64_t)sizeof *p);
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
        REAL *p = RFN(adafactor_param)(job, params, at, n);
        if (job->row_factor && !job->m) {
            const REAL *g = RFN(adafactor_grad)(job, y, at, n), *columns = job->column_factor;
            ADAFACTOR_RUNS(job, at, n, RFN(adafactor_step)(p + i, g + i, factor, columns + j, keep, step, count))
            RFN(row_out)(job->param + at * mk_size_of(job->param_dtype), job->param_dtype, p, n, false);
            continue;
        }
        RFN(adafactor_update)(job, y, at, n, false);
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

// sums[i] += the squares of n gradients of each of four rows, plus eps; totals[r] += the same of row r.
MK_INLINE void RFN(adafactor_four_rows)(double *sums, double *totals, const REAL *const *rows, REAL grad_scale,
                                        REAL eps1, int64_t n) {
    MK_REASSOCIATE
    const REAL *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];
    REAL t0 = 0, t1 = 0, t2 = 0, t3 = 0;
    REAL_LOOP
    for (int64_t i = 0; i < n; i++) {
        const REAL g0 = r0[i] * grad_scale, g1 = r1[i] * grad_scale, g2 = r2[i] * grad_scale, g3 = r3[i] * grad_scale;
        const REAL a0 = g0 * g0 + eps1, a1 = g1 * g1 + eps1, a2 = g2 * g2 + eps1, a3 = g3 * g3 + eps1;
        t0 += a0;
        t1 += a1;
        t2 += a2;
        t3 += a3;
        sums[i] += (double)((a0 + a1) + (a2 + a3));
    }
    totals[0] += (double)t0;
    totals[1] += (double)t1;
    totals[2] += (double)t2;
    totals[3] += (double)t3;
}
MK_INLINE void RFN(adafactor_row)(double *sums, double *total, const REAL *row, REAL grad_scale, REAL eps1, int64_t n) {
    MK_REASSOCIATE
    REAL t = 0;
    REAL_LOOP
    for (int64_t i = 0; i < n; i++) {
        const REAL g = row[i] * grad_scale, a = g * g + eps1;
        t += a;
        sums[i] += (double)a;
    }
    *total += (double)t;
}

// Rows of one strip: v_row is brought up to date, and the strip's sums of g2 over rows are left in partials.
static void RFN(adafactor_statistics)(void *context, int64_t strip) {
    enum { ROWS = 4, BLOCK = 256 };
    const adafactor_job *job = context;
    const mk_adafactor_options *o = job->options;
    const int64_t begin = strip * job->strip_rows, end = mk_min64(job->rows, begin + job->strip_rows);
    const REAL grad_scale = (REAL)o->grad_scale, eps1 = (REAL)o->eps1;
    double *sums = job->partials + strip * job->columns;
    memset(sums, 0, (size_t)job->columns * sizeof(double));
    _Alignas(64) REAL buffers[ROWS][BLOCK];
    for (int64_t row = begin; row < end; row += ROWS) {
        const int64_t rows = mk_min64(ROWS, end - row);
        double totals[ROWS] = {0};
        for (int64_t column = 0; column < job->columns; column += BLOCK) {
            const int64_t n = mk_min64(BLOCK, job->columns - column);
            const REAL *g[ROWS];
            for (int64_t r = 0; r < rows; r++) {
                const int64_t at = (row + r) * job->columns + column, bytes = mk_size_of(job->grad_dtype);
                g[r] = RFN(adafactor_grad)(job, buffers[r], at, n);
                mk_fetch_all(job->grad + (at + ROWS * job->columns) * bytes, n * bytes);
            }
            if (rows == ROWS) RFN(adafactor_four_rows)(sums + column, totals, g, grad_scale, eps1, n);
            else
                for (int64_t r = 0; r < rows; r++)
                    RFN(adafactor_row)(sums + column, &totals[r], g[r], grad_scale, eps1, n);
        }
        for (int64_t r = 0; r < rows; r++) {
            REAL *v = (REAL *)job->v_row + row + r;
            *v = (REAL)(o->beta2 * (double)*v + (1 - o->beta2) * (totals[r] / (double)job->columns));
        }
    }
}

static void RFN(adafactor_combine_columns)(void *context, int64_t begin, int64_t end) {
    const adafactor_job *job = context;
    const double beta2 = job->options->beta2;
    enum { COLUMNS = 64 };
    for (int64_t i = begin; i < end; i += COLUMNS) {
        const int64_t n = mk_min64(COLUMNS, end - i);
        double totals[COLUMNS] = {0};
        for (int64_t strip = 0; strip < job->strips; strip++)
            for (int64_t j = 0; j < n; j++) totals[j] += job->partials[strip * job->columns + i + j];
        for (int64_t j = 0; j < n; j++) {
            REAL *v = (REAL *)job->v_column + i + j;
            *v = (REAL)(beta2 * (double)*v + (1 - beta2) * (totals[j] / (double)job->rows));
        }
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
