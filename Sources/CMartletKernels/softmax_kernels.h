// Rows of softmax.c.

static REAL RFN(exp_sum)(const REAL *x, REAL shift, int64_t n) {
    MK_REASSOCIATE
    REAL sum = 0;
    for (int64_t i = 0; i < n; i++) sum += RFN(exp_nonpositive)(x[i] - shift);
    return sum;
}

static void RFN(softmax_rows)(void *context, int64_t begin, int64_t end) {
    const softmax_job *job = context;
    const int64_t n = job->length, bytes = n * (int64_t)sizeof(REAL);
    REAL *buffer = mk_scratch(bytes);
    mk_runs runs;
    for (mk_runs_begin(&runs, &job->walk, begin, end); mk_runs_next(&runs);)
        for (int64_t r = 0; r < runs.length; r++) {
            void *out = MK_ROW_AT(runs, 0, r);
            const REAL *x = RFN(row_in)(buffer, MK_ROW_AT(runs, 1, r), job->dtypes[1], n);
            REAL *y = RFN(row_target)(buffer, out, job->dtypes[0]);
            const REAL top = RFN(row_max)(x, n);
            if (job->log) {
                const REAL shift = top + RFN(log)(RFN(exp_sum)(x, top, n));
                REAL_LOOP
                for (int64_t i = 0; i < n; i++) y[i] = x[i] - shift;
            } else {
                const REAL scale = (REAL)1 / RFN(row_exp)(y, x, top, n);
                for (int64_t i = 0; i < n; i++) y[i] *= scale;
            }
            RFN(row_out)(out, job->dtypes[0], y, n);
        }
    mk_scratch_free(buffer, bytes);
}

static void RFN(softmax_backward_rows)(void *context, int64_t begin, int64_t end) {
    const softmax_job *job = context;
    const int64_t n = job->length, bytes = 2 * n * (int64_t)sizeof(REAL);
    REAL *buffer = mk_scratch(bytes);
    mk_runs runs;
    for (mk_runs_begin(&runs, &job->walk, begin, end); mk_runs_next(&runs);)
        for (int64_t r = 0; r < runs.length; r++) {
            void *out = MK_ROW_AT(runs, 0, r);
            const REAL *g = RFN(row_in)(buffer, MK_ROW_AT(runs, 1, r), job->dtypes[1], n);
            const REAL *y = RFN(row_in)(buffer + n, MK_ROW_AT(runs, 2, r), job->dtypes[2], n);
            REAL *dx = RFN(row_target)(buffer, out, job->dtypes[0]);
            if (job->log) {
                const REAL sum = RFN(row_sum)(g, n);
                REAL_LOOP
                for (int64_t i = 0; i < n; i++) dx[i] = g[i] - RFN(exp)(y[i]) * sum;
            } else {
                const REAL sum = RFN(row_dot)(g, y, n);
                REAL_LOOP
                for (int64_t i = 0; i < n; i++) dx[i] = y[i] * (g[i] - sum);
            }
            RFN(row_out)(out, job->dtypes[0], dx, n);
        }
    mk_scratch_free(buffer, bytes);
}

static const softmax_table RFN(softmax_table) = {RFN(softmax_rows), RFN(softmax_backward_rows)};
