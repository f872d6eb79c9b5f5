// Rows of cross_entropy.c.

// scale * x - top, never above 0: the product is rounded as it was for `top`, which a fused operation would not do.
MK_INLINE REAL RFN(below_top)(REAL x, REAL scale, REAL top) {
#pragma clang fp contract(off)
    return x * scale - top;
}

// The sum of exp(scale * x - top).
MK_INLINE REAL RFN(entropy_sum)(const REAL *x, REAL scale, REAL top, int64_t n) {
    MK_REASSOCIATE
    REAL sum = 0;
    for (int64_t i = 0; i < n; i++) sum += RFN(exp_nonpositive)(RFN(below_top)(x[i], scale, top));
    return sum;
}

static REAL RFN(row_min)(const REAL *x, int64_t n) {
    REAL least = (REAL)INFINITY;
    for (int64_t i = 0; i < n; i++) least = x[i] < least ? x[i] : least;
    return least;
}

// y * factor - base past the caches.
MK_INLINE void RFN(entropy_stream)(void *out, int32_t dtype, const REAL *y, REAL factor, REAL base, int64_t n) {
    for (int64_t i = 0; i < n; i += 2 * LANES)
        RFN(stream_two)(out, dtype, i, RFN(load)(y + i) * factor - base, RFN(load)(y + i + LANES) * factor - base);
}

// A piece of a row of logits, once the one after next has been asked for with `fetches`.
MK_INLINE const REAL *RFN(entropy_piece)(const entropy_job *job, REAL *buffer, const char *row, int64_t at, int64_t n,
                                         bool fetches) {
    const int64_t size = mk_size_of(job->logits->dtype);
    if (fetches) mk_fetch_all(row + (at + ENTROPY_AHEAD) * size, n * size);
    return RFN(row_in)(buffer, row + at * size, job->logits->dtype, n);
}

// The loss of one row and what its gradient needs: the largest logit and the sum of exponentials, which are taken from
// the largest logit up to there; a new largest one makes the sum of those before smaller.
static void RFN(entropy_loss)(const entropy_job *job, int64_t r, const char *row, int64_t target) {
    const int64_t n = job->classes;
    const REAL scale = (REAL)job->logit_scale, smoothing = (REAL)job->smoothing, z = (REAL)job->z_loss;
    _Alignas(64) REAL buffer[MK_PIECE];
    // A target that is no class has no loss; NaN shows it.
    REAL top = -(REAL)INFINITY, sum = 0, total = 0, own = (REAL)NAN;
    for (int64_t at = 0; at < n; at += MK_PIECE) {
        const int64_t m = mk_min64(MK_PIECE, n - at);
        const REAL *x = RFN(entropy_piece)(job, buffer, row, at, m, job->fetches);
        const REAL largest = scale * (scale >= 0 ? RFN(row_max)(x, m) : RFN(row_min)(x, m));
        if (largest > top) {
            sum *= RFN(exp_nonpositive)(top - largest);
            top = largest;
        }
        // Nothing but -inf up to here: exp(-inf - 0) is 0, where -inf - -inf would be NaN.
        sum += RFN(entropy_sum)(x, scale, top == -(REAL)INFINITY ? 0 : top, m);
        if (smoothing != 0) total += RFN(row_sum)(x, m);
        if (target >= at && target < at + m) own = x[target - at];
    }
    ((REAL *)job->tops)[r] = top;
    ((REAL *)job->sums)[r] = sum;
    // Log-probabilities from the distances to the largest logit, which may be far larger than they are.
    const REAL log_sum = RFN(log)(sum), lse = top + log_sum;
    REAL loss = log_sum - ((REAL)1 - smoothing) * RFN(below_top)(own, scale, top);
    if (smoothing != 0) loss -= smoothing * RFN(below_top)(total / (REAL)n, scale, top);
    ((REAL *)job->loss)[r] = target == job->ignore_index ? 0 : loss + z * lse * lse;
}

static void RFN(entropy_gradient)(const entropy_job *job, int64_t r, const char *row, int64_t target) {
    const int64_t n = job->classes;
    const int32_t dtype = job->dlogits->dtype;
    const int64_t size = mk_size_of(dtype);
    char *out = (char *)job->dlogits->data + r * job->dlogits->strides[0] * size;
    if (target == job->ignore_index) {
        memset(out, 0, (size_t)(n * size));
        return;
    }
    const REAL top = ((const REAL *)job->tops)[r], sum = ((const REAL *)job->sums)[r];
    const REAL scale = (REAL)job->logit_scale, smoothing = (REAL)job->smoothing, z = (REAL)job->z_loss;
    const REAL row_scale = (REAL)job->row_scale * scale, base = row_scale * smoothing / (REAL)n;
    const bool valid = target >= 0 && target < n;
    const REAL factor = valid ? row_scale * ((REAL)1 + 2 * z * (top + RFN(log)(sum))) / sum : (REAL)NAN;
    _Alignas(64) REAL buffer[MK_PIECE];
    for (int64_t at = 0; at < n; at += MK_PIECE) {
        const int64_t m = mk_min64(MK_PIECE, n - at);
        const REAL *x = RFN(entropy_piece)(job, buffer, row, at, m, job->fetches && !job->loss);
        char *to = out + at * size;
        REAL *d = RFN(row_target)(buffer, to, dtype, job->stream);
        const bool has_target = target >= at && target < at + m;
        if (!has_target && RFN(streams_registers)(to, dtype, m, job->stream)) {
            REAL_LOOP
            for (int64_t i = 0; i < m; i++) d[i] = RFN(exp_nonpositive)(RFN(below_top)(x[i], scale, top));
            RFN(entropy_stream)(to, dtype, d, factor, base, m);
            continue;
        }
        REAL_LOOP
        for (int64_t i = 0; i < m; i++)
            d[i] = RFN(exp_nonpositive)(RFN(below_top)(x[i], scale, top)) * factor - base;
        if (has_target) d[target - at] -= row_scale * ((REAL)1 - smoothing);
        RFN(row_out)(to, dtype, d, m, job->stream);
    }
}

static void RFN(entropy_rows)(void *context, int64_t begin, int64_t end) {
    const entropy_job *job = context;
    const int64_t bytes = job->logits->strides[0] * mk_size_of(job->logits->dtype);
    for (int64_t r = begin; r < end; r++) {
        const int64_t target = job->targets[r * job->target_stride];
        const char *row = (const char *)job->logits->data + r * bytes;
        if (job->loss) RFN(entropy_loss)(job, r, row, target);
        if (job->dlogits) RFN(entropy_gradient)(job, r, row, target);
    }
}

static const entropy_table RFN(entropy_table) = {RFN(entropy_rows)};
