// Rows of softmax.c.

static REAL RFN(exp_sum)(const REAL *x, REAL shift, int64_t n) {
    MK_REASSOCIATE
    REAL sum = 0;
    for (int64_t i = 0; i < n; i++) sum += RFN(exp_nonpositive)(x[i] - shift);
    return sum;
}

// y * scale past the caches.
MK_INLINE void RFN(scale_stream)(void *out, int32_t dtype, const REAL *y, REAL scale, int64_t n) {
    for (int64_t i = 0; i < n; i += 2 * LANES)
        RFN(stream_two)(out, dtype, i, RFN(load)(y + i) * scale, RFN(load)(y + i + LANES) * scale);
}

// The gradient y * (g - sum) past the caches.
MK_INLINE void RFN(softmax_backward_stream)(void *out, int32_t dtype, const REAL *g, const REAL *y, REAL sum,
                                            int64_t n) {
    for (int64_t i = 0; i < n; i += 2 * LANES)
        RFN(stream_two)(out, dtype, i, RFN(load)(y + i) * (RFN(load)(g + i) - sum),
                        RFN(load)(y + i + LANES) * (RFN(load)(g + i + LANES) - sum));
}

static void RFN(softmax_rows)(void *context, int64_t begin, int64_t end) {
    const softmax_job *job = context;
    const int64_t n = job->length, bytes = n * (int64_t)sizeof(REAL);
    const int64_t out_size = mk_size_of(job->dtypes[0]), in_size = mk_size_of(job->dtypes[1]);
    const int64_t share = mk_share(n * in_size, n, 2);
    REAL *buffer = mk_scratch(bytes);
    mk_runs runs;
    for (mk_runs_begin(&runs, &job->walk, begin, end); mk_runs_next(&runs);)
        for (int64_t r = 0; r < runs.length; r++) {
            char *out = MK_ROW_AT(runs, 0, r);
            const char *in = MK_ROW_AT(runs, 1, r);
            mk_ahead ahead = mk_next_row(&runs, 1, r, n * in_size, job->fetches);
            const REAL *x = RFN(row_in)(buffer, in, job->dtypes[1], n);
            REAL *y = RFN(row_target)(buffer, out, job->dtypes[0], job->stream);
            const REAL top = RFN(row_max)(x, n);
            REAL sum = 0;
            for (int64_t at = 0; at < n; at += MK_PIECE) {
                const int64_t m = mk_min64(MK_PIECE, n - at);
                mk_fetch(&ahead, share);
                sum += job->log ? RFN(exp_sum)(x + at, top, m) : RFN(row_exp)(y + at, x + at, top, m);
            }
            const REAL scale = (REAL)1 / sum, shift = job->log ? top + RFN(log)(sum) : 0;
            for (int64_t at = 0; at < n; at += MK_PIECE) {
                const int64_t m = mk_min64(MK_PIECE, n - at);
                mk_fetch(&ahead, share);
                char *to = out + at * out_size;
                if (job->log) {
                    REAL_LOOP
                    for (int64_t i = at; i < at + m; i++) y[i] = x[i] - shift;
                } else if (RFN(streams_registers)(to, job->dtypes[0], m, job->stream)) {
                    RFN(scale_stream)(to, job->dtypes[0], y + at, scale, m);
                    continue;
                } else {
                    for (int64_t i = at; i < at + m; i++) y[i] *= scale;
                }
                RFN(row_out)(to, job->dtypes[0], y + at, m, job->stream);
            }
        }
    mk_scratch_free(buffer, bytes);
}

static void RFN(softmax_backward_rows)(void *context, int64_t begin, int64_t end) {
    const softmax_job *job = context;
    const int64_t n = job->length, bytes = 2 * n * (int64_t)sizeof(REAL);
    const int64_t dx_size = mk_size_of(job->dtypes[0]), g_size = mk_size_of(job->dtypes[1]);
    const int64_t y_size = mk_size_of(job->dtypes[2]);
    const int64_t g_share = mk_share(n * g_size, n, 1), y_share = mk_share(n * y_size, n, 1);
    REAL *buffer = mk_scratch(bytes);
    mk_runs runs;
    for (mk_runs_begin(&runs, &job->walk, begin, end); mk_runs_next(&runs);)
        for (int64_t r = 0; r < runs.length; r++) {
            char *out = MK_ROW_AT(runs, 0, r);
            const REAL *g = RFN(row_in)(buffer, MK_ROW_AT(runs, 1, r), job->dtypes[1], n);
            const REAL *y = RFN(row_in)(buffer + n, MK_ROW_AT(runs, 2, r), job->dtypes[2], n);
            REAL *dx = RFN(row_target)(buffer, out, job->dtypes[0], job->stream);
            const REAL sum = job->log ? RFN(row_sum)(g, n) : RFN(row_dot)(g, y, n);
            mk_ahead g_ahead = mk_next_row(&runs, 1, r, n * g_size, job->fetches);
            mk_ahead y_ahead = mk_next_row(&runs, 2, r, n * y_size, job->fetches);
            for (int64_t at = 0; at < n; at += MK_PIECE) {
                const int64_t m = mk_min64(MK_PIECE, n - at);
                mk_fetch(&g_ahead, g_share);
                mk_fetch(&y_ahead, y_share);
                char *to = out + at * dx_size;
                if (job->log) {
                    REAL_LOOP
                    for (int64_t i = at; i < at + m; i++) dx[i] = g[i] - RFN(exp)(y[i]) * sum;
                } else if (RFN(streams_registers)(to, job->dtypes[0], m, job->stream)) {
                    RFN(softmax_backward_stream)(to, job->dtypes[0], g + at, y + at, sum, m);
                    continue;
                } else {
                    REAL_LOOP
                    for (int64_t i = at; i < at + m; i++) dx[i] = y[i] * (g[i] - sum);
                }
                RFN(row_out)(to, job->dtypes[0], dx + at, m, job->stream);
            }
        }
    mk_scratch_free(buffer, bytes);
}

static const softmax_table RFN(softmax_table) = {RFN(softmax_rows), RFN(softmax_backward_rows)};
