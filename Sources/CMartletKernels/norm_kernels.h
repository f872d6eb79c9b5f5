// Rows of norm.c.

static void RFN(norm_scale)(void *out, const mk_tensor *weight, double offset) {
    REAL *to = out;
    const int64_t n = weight->shape[0], bytes = mk_size_of(weight->dtype);
    for (int64_t i = 0; i < n; i++) {
        RFN(convert_in)(to + i, (const char *)weight->data + i * weight->strides[0] * bytes, weight->dtype, 1);
        to[i] += (REAL)offset;
    }
}

static REAL RFN(square_deviation)(const REAL *x, REAL mean, int64_t n) {
    MK_REASSOCIATE
    REAL sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

static void RFN(norm_forward)(void *context, int64_t begin, int64_t end) {
    const norm_job *job = context;
    const int64_t n = job->length, bytes = n * (int64_t)sizeof(REAL);
    const REAL *scale = job->scale, *bias = job->bias;
    REAL *means = job->mean, *rstds = job->rstd, *buffer = mk_scratch(bytes);
    int64_t index = begin;
    mk_runs runs;
    for (mk_runs_begin(&runs, &job->walk, begin, end); mk_runs_next(&runs);)
        for (int64_t r = 0; r < runs.length; r++, index++) {
            void *out = MK_ROW_AT(runs, 0, r);
            const REAL *x = RFN(row_in)(buffer, MK_ROW_AT(runs, 1, r), job->dtypes[1], n);
            REAL *y = RFN(row_target)(buffer, out, job->dtypes[0]);
            const REAL mean = job->rms ? 0 : RFN(row_sum)(x, n) / (REAL)n;
            const REAL rstd = (REAL)1 / RFN(sqrt)(RFN(square_deviation)(x, mean, n) / (REAL)n + (REAL)job->eps);
            if (means) means[index] = mean;
            if (rstds) rstds[index] = rstd;
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
            RFN(row_out)(out, job->dtypes[0], y, n);
        }
    mk_scratch_free(buffer, bytes);
}

// Sums of scaled g, and of scaled g times the normalised x.
static void RFN(norm_sums)(const REAL *g, const REAL *x, const REAL *scale, REAL mean, REAL rstd, int64_t n,
                           REAL *plain, REAL *weighted) {
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
    *plain = a;
    *weighted = b * rstd;
}

static void RFN(norm_backward)(void *context, int64_t chunk) {
    const norm_job *job = context;
    const int64_t n = job->length, bytes = 2 * n * (int64_t)sizeof(REAL);
    const REAL *scale = job->scale, *means = job->mean, *rstds = job->rstd;
    REAL *buffer = mk_scratch(bytes);
    REAL *dweight = (REAL *)job->partials + 2 * chunk * n, *dbias = dweight + n;
    if (job->wants_weight) memset(dweight, 0, (size_t)n * sizeof(REAL));
    if (job->wants_bias) memset(dbias, 0, (size_t)n * sizeof(REAL));
    const int64_t begin = chunk * job->rows_per_chunk, end = mk_min64(job->rows, begin + job->rows_per_chunk);
    int64_t index = begin;
    mk_runs runs;
    for (mk_runs_begin(&runs, &job->walk, begin, end); mk_runs_next(&runs);)
        for (int64_t r = 0; r < runs.length; r++, index++) {
            const REAL *g = RFN(row_in)(buffer, MK_ROW_AT(runs, 0, r), job->dtypes[0], n);
            const REAL *x = RFN(row_in)(buffer + n, MK_ROW_AT(runs, 1, r), job->dtypes[1], n);
            const REAL mean = means && !job->rms ? means[index] : 0, rstd = rstds[index];
            if (job->wants_weight) {
                REAL_LOOP
                for (int64_t i = 0; i < n; i++) dweight[i] += g[i] * ((x[i] - mean) * rstd);
            }
            if (job->wants_bias) {
                REAL_LOOP
                for (int64_t i = 0; i < n; i++) dbias[i] += g[i];
            }
            if (!job->wants_dx) continue;
            REAL plain, weighted;
            RFN(norm_sums)(g, x, scale, mean, rstd, n, &plain, &weighted);
            const REAL shift = job->rms ? 0 : plain / (REAL)n, slope = weighted / (REAL)n * rstd;
            void *out = MK_ROW_AT(runs, 2, r);
            REAL *dx = RFN(row_target)(buffer, out, job->dtypes[2]);
            if (scale) {
                REAL_LOOP
                for (int64_t i = 0; i < n; i++) dx[i] = rstd * (g[i] * scale[i] - shift - (x[i] - mean) * slope);
            } else {
                REAL_LOOP
                for (int64_t i = 0; i < n; i++) dx[i] = rstd * (g[i] - shift - (x[i] - mean) * slope);
            }
            RFN(row_out)(out, job->dtypes[2], dx, n);
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
