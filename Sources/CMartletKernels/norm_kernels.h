// Rows of norm.c.

static void RFN(norm_scale)(void *out, const mk_tensor *weight, double offset) {
    REAL *to = out;
    const int64_t n = weight->shape[0], bytes = mk_size_of(weight->dtype);
    for (int64_t i = 0; i < n; i++) {
        RFN(convert_in)(to + i, (const char *)weight->data + i * weight->strides[0] * bytes, weight->dtype, 1);
        to[i] += (REAL)offset;
    }
}

// y = (x - mean) * rstd, scaled and shifted where that is wanted. y may be x.
MK_INLINE void RFN(norm_piece)(REAL *y, const REAL *x, REAL mean, REAL rstd, const REAL *scale, const REAL *bias,
                               int64_t n) {
    if (scale && bias) {
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd * scale[i] + bias[i];
    } else if (scale) {
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd * scale[i];
    } else if (bias) {
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd + bias[i];
    } else {
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * rstd;
    }
}

// The same past the caches.
#define NORM_STREAM(expression)                                                                                        \
    for (int64_t i = 0; i < n; i += 2 * LANES) {                                                                       \
        RFN(vec) y[2];                                                                                                 \
        for (int k = 0; k < 2; k++) {                                                                                  \
            const int64_t j = i + k * LANES;                                                                           \
            const RFN(vec) v = RFN(load)(x + j);                                                                       \
            y[k] = (expression);                                                                                       \
        }                                                                                                              \
        RFN(stream_two)(out, dtype, i, y[0], y[1]);                                                                    \
    }
MK_INLINE void RFN(norm_stream)(void *out, int32_t dtype, const REAL *x, REAL mean, REAL rstd, const REAL *scale,
                                const REAL *bias, int64_t n) {
    if (scale && bias) NORM_STREAM((v - mean) * rstd * RFN(load)(scale + j) + RFN(load)(bias + j))
    else if (scale) NORM_STREAM((v - mean) * rstd * RFN(load)(scale + j))
    else if (bias) NORM_STREAM((v - mean) * rstd + RFN(load)(bias + j))
    else NORM_STREAM((v - mean) * rstd)
}
#undef NORM_STREAM

MK_INLINE REAL RFN(square_deviation)(const REAL *x, REAL mean, int64_t n) {
    MK_REASSOCIATE
    REAL sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

static void RFN(norm_forward)(void *context, int64_t begin, int64_t end) {
    const norm_job *job = context;
    const int64_t n = job->length, bytes = n * (int64_t)sizeof(REAL);
    const REAL *scale = job->scale, *bias = job->bias;
    const int64_t out_size = mk_size_of(job->dtypes[0]), in_size = mk_size_of(job->dtypes[1]);
    const int64_t share = mk_share(n * in_size, n, job->rms ? 2 : 3);
    REAL *means = job->mean, *rstds = job->rstd, *buffer = mk_scratch(bytes);
    int64_t index = begin;
    mk_runs runs;
    for (mk_runs_begin(&runs, &job->walk, begin, end); mk_runs_next(&runs);)
        for (int64_t r = 0; r < runs.length; r++, index++) {
            char *out = MK_ROW_AT(runs, 0, r);
            const char *in = MK_ROW_AT(runs, 1, r);
            mk_ahead ahead = mk_next_row(&runs, 1, r, n * in_size, job->fetches);
            REAL sum = 0, squares = 0;
            const REAL *x = in_size == sizeof(REAL) ? (const REAL *)(const void *)in : buffer;
            for (int64_t at = 0; at < n; at += MK_PIECE) {
                const int64_t m = mk_min64(MK_PIECE, n - at);
                RFN(row_in)(buffer + at, in + at * in_size, job->dtypes[1], m);
                if (job->rms) continue;
                mk_fetch(&ahead, share);
                sum += RFN(row_sum)(x + at, m);
            }
            const REAL mean = sum / (REAL)n;
            for (int64_t at = 0; at < n; at += MK_PIECE) {
                mk_fetch(&ahead, share);
                squares += RFN(square_deviation)(x + at, mean, mk_min64(MK_PIECE, n - at));
            }
            const REAL rstd = (REAL)1 / RFN(sqrt)(squares / (REAL)n + (REAL)job->eps);
            if (means) means[index] = mean;
            if (rstds) rstds[index] = rstd;
            for (int64_t at = 0; at < n; at += MK_PIECE) {
                const int64_t m = mk_min64(MK_PIECE, n - at);
                mk_fetch(&ahead, share);
                char *to = out + at * out_size;
                const REAL *s = scale ? scale + at : NULL, *b = bias ? bias + at : NULL;
                if (RFN(streams_registers)(to, job->dtypes[0], m, job->stream)) {
                    RFN(norm_stream)(to, job->dtypes[0], x + at, mean, rstd, s, b, m);
                    continue;
                }
                REAL *y = RFN(row_target)(buffer + at, to, job->dtypes[0], job->stream);
                RFN(norm_piece)(y, x + at, mean, rstd, s, b, m);
                RFN(row_out)(to, job->dtypes[0], y, m, job->stream);
            }
        }
    mk_scratch_free(buffer, bytes);
}

// Adds a row's part to the gradients of weight and bias; NULL for one that is not wanted.
MK_INLINE void RFN(norm_gradients)(REAL *dweight, REAL *dbias, const REAL *g, const REAL *x, REAL mean, REAL rstd,
                                   int64_t n) {
    if (dweight) {
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) dweight[i] += g[i] * ((x[i] - mean) * rstd);
    }
    if (dbias) {
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) dbias[i] += g[i];
    }
}

// dx may be g.
MK_INLINE void RFN(norm_backward_piece)(REAL *dx, const REAL *g, const REAL *x, const REAL *scale, REAL mean, REAL rstd,
                                        REAL shift, REAL slope, int64_t n) {
    if (scale) {
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) dx[i] = rstd * (g[i] * scale[i] - shift - (x[i] - mean) * slope);
    } else {
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) dx[i] = rstd * (g[i] - shift - (x[i] - mean) * slope);
    }
}

// The same past the caches.
#define NORM_STREAM(slope_of_g)                                                                                        \
    for (int64_t i = 0; i < n; i += 2 * LANES) {                                                                       \
        RFN(vec) d[2];                                                                                                 \
        for (int k = 0; k < 2; k++) {                                                                                  \
            const int64_t j = i + k * LANES;                                                                           \
            d[k] = rstd * (slope_of_g - shift - (RFN(load)(x + j) - mean) * slope);                                    \
        }                                                                                                              \
        RFN(stream_two)(out, dtype, i, d[0], d[1]);                                                                    \
    }
MK_INLINE void RFN(norm_backward_stream)(void *out, int32_t dtype, const REAL *g, const REAL *x, const REAL *scale,
                                         REAL mean, REAL rstd, REAL shift, REAL slope, int64_t n) {
    if (scale) NORM_STREAM(RFN(load)(g + j) * RFN(load)(scale + j))
    else NORM_STREAM(RFN(load)(g + j))
}
#undef NORM_STREAM

// Adds the sums of scaled g, and of scaled g times the centred x.
MK_INLINE void RFN(norm_sums)(const REAL *g, const REAL *x, const REAL *scale, REAL mean, int64_t n, REAL *plain,
                              REAL *weighted) {
    MK_REASSOCIATE
    REAL a = 0, b = 0;
    if (scale) {
        for (int64_t i = 0; i < n; i++) {
            REAL d = g[i] * scale[i];
            a += d;
            b += d * (x[i] - mean);
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            a += g[i];
            b += g[i] * (x[i] - mean);
        }
    }
    *plain += a;
    *weighted += b;
}

// The weight's gradient and the sums at once, for a weight that the usual norms have.
MK_INLINE void RFN(norm_gradient_and_sums)(REAL *dweight, const REAL *g, const REAL *x, const REAL *scale, REAL mean,
                                           REAL rstd, int64_t n, REAL *plain, REAL *weighted) {
    MK_REASSOCIATE
    REAL a = 0, b = 0;
    REAL_LOOP
    for (int64_t i = 0; i < n; i++) {
        const REAL d = g[i] * scale[i], centred = x[i] - mean;
        a += d;
        b += d * centred;
        dweight[i] += g[i] * (centred * rstd);
    }
    *plain += a;
    *weighted += b;
}

static void RFN(norm_backward)(void *context, int64_t chunk) {
    const norm_job *job = context;
    const int64_t n = job->length, bytes = 2 * n * (int64_t)sizeof(REAL);
    const REAL *scale = job->scale, *means = job->mean, *rstds = job->rstd;
    const int64_t g_size = mk_size_of(job->dtypes[0]), x_size = mk_size_of(job->dtypes[1]);
    const int64_t dx_size = mk_size_of(job->dtypes[2]);
    const int64_t passes = job->wants_dx ? 2 : 1;
    const int64_t g_share = mk_share(n * g_size, n, passes), x_share = mk_share(n * x_size, n, passes);
    REAL *buffer = mk_scratch(bytes);
    REAL *dweight = (REAL *)job->partials + 2 * chunk * n, *dbias = dweight + n;
    if (job->wants_weight) memset(dweight, 0, (size_t)n * sizeof(REAL));
    if (job->wants_bias) memset(dbias, 0, (size_t)n * sizeof(REAL));
    const int64_t begin = chunk * job->rows_per_chunk, end = mk_min64(job->rows, begin + job->rows_per_chunk);
    int64_t index = begin;
    mk_runs runs;
    for (mk_runs_begin(&runs, &job->walk, begin, end); mk_runs_next(&runs);)
        for (int64_t r = 0; r < runs.length; r++, index++) {
            const char *g_in = MK_ROW_AT(runs, 0, r), *x_in = MK_ROW_AT(runs, 1, r);
            const REAL *g = g_size == sizeof(REAL) ? (const REAL *)(const void *)g_in : buffer;
            const REAL *x = x_size == sizeof(REAL) ? (const REAL *)(const void *)x_in : buffer + n;
            const REAL mean = means && !job->rms ? means[index] : 0, rstd = rstds[index];
            mk_ahead g_ahead = mk_next_row(&runs, 0, r, n * g_size, job->fetches);
            mk_ahead x_ahead = mk_next_row(&runs, 1, r, n * x_size, job->fetches);
            REAL plain = 0, weighted = 0;
            for (int64_t at = 0; at < n; at += MK_PIECE) {
                const int64_t m = mk_min64(MK_PIECE, n - at);
                RFN(row_in)(buffer + at, g_in + at * g_size, job->dtypes[0], m);
                RFN(row_in)(buffer + n + at, x_in + at * x_size, job->dtypes[1], m);
                mk_fetch(&g_ahead, g_share);
                mk_fetch(&x_ahead, x_share);
                REAL *dw = job->wants_weight ? dweight + at : NULL, *db = job->wants_bias ? dbias + at : NULL;
                const bool both = dw && scale && job->wants_dx;
                RFN(norm_gradients)(both ? NULL : dw, db, g + at, x + at, mean, rstd, m);
                if (both)
                    RFN(norm_gradient_and_sums)(dw, g + at, x + at, scale + at, mean, rstd, m, &plain, &weighted);
                else if (job->wants_dx)
                    RFN(norm_sums)(g + at, x + at, scale ? scale + at : NULL, mean, m, &plain, &weighted);
            }
            if (!job->wants_dx) continue;
            const REAL shift = job->rms ? 0 : plain / (REAL)n, slope = weighted * rstd / (REAL)n * rstd;
            char *out = MK_ROW_AT(runs, 2, r);
            for (int64_t at = 0; at < n; at += MK_PIECE) {
                const int64_t m = mk_min64(MK_PIECE, n - at);
                mk_fetch(&g_ahead, g_share);
                mk_fetch(&x_ahead, x_share);
                char *to = out + at * dx_size;
                const REAL *s = scale ? scale + at : NULL;
                if (RFN(streams_registers)(to, job->dtypes[2], m, job->stream)) {
                    RFN(norm_backward_stream)(to, job->dtypes[2], g + at, x + at, s, mean, rstd, shift, slope, m);
                    continue;
                }
                REAL *dx = RFN(row_target)(buffer + at, to, job->dtypes[2], job->stream);
                RFN(norm_backward_piece)(dx, g + at, x + at, s, mean, rstd, shift, slope, m);
                RFN(row_out)(to, job->dtypes[2], dx, m, job->stream);
            }
        }
    mk_scratch_free(buffer, bytes);
}

// Columns begin..<end of the sums over chunks, in double and in order of the chunks.
static void RFN(norm_combine)(void *context, int64_t begin, int64_t end) {
    const norm_job *job = context;
    const int64_t n = job->length;
    const REAL *partials = job->partials;
    for (int which = 0; which < 2; which++) {
        REAL *out = which == 0 ? job->dweight : job->dbias;
        if (!out) continue;
        for (int64_t i = begin; i < end; i += 64) {
            const int64_t columns = mk_min64(64, end - i);
            double sums[64] = {0};
            for (int64_t c = 0; c < job->chunks; c++) {
                const REAL *row = partials + (2 * c + which) * n + i;
                for (int64_t j = 0; j < columns; j++) sums[j] += (double)row[j];
            }
            for (int64_t j = 0; j < columns; j++) out[i + j] = (REAL)sums[j];
        }
    }
}

static const norm_table RFN(norm_table) = {RFN(norm_scale), RFN(norm_forward), RFN(norm_backward), RFN(norm_combine),
                                           sizeof(REAL)};
