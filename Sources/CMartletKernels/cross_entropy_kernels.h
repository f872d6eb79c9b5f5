// Rows of cross_entropy.c.

// e = exp(scale * x - shift); returns its sum.
static REAL RFN(entropy_exp)(REAL *restrict e, const REAL *restrict x, REAL scale, REAL shift, int64_t n) {
    MK_REASSOCIATE
    REAL sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const REAL y = RFN(exp_nonpositive)(x[i] * scale - shift);
        e[i] = y;
        sum += y;
    }
    return sum;
}

static REAL RFN(row_min)(const REAL *x, int64_t n) {
    REAL least = (REAL)INFINITY;
    for (int64_t i = 0; i < n; i++) least = x[i] < least ? x[i] : least;
    return least;
}

static void RFN(entropy_rows)(void *context, int64_t begin, int64_t end) {
    const entropy_job *job = context;
    const mk_tensor *logits = job->logits, *dlogits = job->dlogits;
    const int64_t n = job->classes, bytes = 2 * n * (int64_t)sizeof(REAL);
    const int64_t in_bytes = mk_size_of(logits->dtype), out_bytes = dlogits ? mk_size_of(dlogits->dtype) : 0;
    const int64_t share = mk_share(n * in_bytes, n, dlogits ? 2 : 1);
    const REAL scale = (REAL)job->logit_scale, smoothing = (REAL)job->smoothing, z = (REAL)job->z_loss;
    REAL *losses = job->loss, *lses = job->lse, *buffer = mk_scratch(bytes), *e = buffer + n;
    for (int64_t r = begin; r < end; r++) {
        const int64_t target = job->targets[r * job->target_stride];
        char *out = dlogits ? (char *)dlogits->data + r * dlogits->strides[0] * out_bytes : NULL;
        const REAL *x =
            RFN(row_in)(buffer, (const char *)logits->data + r * logits->strides[0] * in_bytes, logits->dtype, n);
        const REAL top = scale >= 0 ? scale * RFN(row_max)(x, n) : scale * RFN(row_min)(x, n);
        const char *next = (const char *)logits->data + (r + 1) * logits->strides[0] * in_bytes;
        mk_ahead ahead = mk_ahead_of(job->fetches && r + 1 < end ? next : NULL, n * in_bytes);
        REAL sum = 0;
        for (int64_t at = 0; at < n; at += MK_PIECE) {
            mk_fetch(&ahead, share);
            sum += RFN(entropy_exp)(e + at, x + at, scale, top, mk_min64(MK_PIECE, n - at));
        }
        const REAL lse = top + RFN(log)(sum);
        lses[r] = lse;
        if (target == job->ignore_index) {
            losses[r] = 0;
            if (out) memset(out, 0, (size_t)(n * out_bytes));
            continue;
        }
        // A target that is no class has no loss; NaN shows it where reading past the row would not.
        const bool valid = target >= 0 && target < n;
        REAL loss = valid ? lse - ((REAL)1 - smoothing) * scale * x[target] : (REAL)NAN;
        if (smoothing != 0) loss -= smoothing * scale * (RFN(row_sum)(x, n) / (REAL)n);
        losses[r] = loss + z * lse * lse;
        if (!out) continue;
        const REAL row_scale = (REAL)job->row_scale * scale;
        const REAL factor = valid ? row_scale * ((REAL)1 + 2 * z * lse) / sum : (REAL)NAN;
        const REAL base = row_scale * smoothing / (REAL)n;
        for (int64_t at = 0; at < n; at += MK_PIECE) {
            const int64_t m = mk_min64(MK_PIECE, n - at);
            mk_fetch(&ahead, share);
            REAL *d = RFN(row_target)(e + at, out + at * out_bytes, dlogits->dtype, job->stream);
            REAL_LOOP
            for (int64_t i = 0; i < m; i++) d[i] = e[at + i] * factor - base;
            if (valid && target >= at && target < at + m) d[target - at] -= row_scale * ((REAL)1 - smoothing);
            RFN(row_out)(out + at * out_bytes, dlogits->dtype, d, m, job->stream);
        }
    }
    mk_scratch_free(buffer, bytes);
}

static const entropy_table RFN(entropy_table) = {RFN(entropy_rows)};
