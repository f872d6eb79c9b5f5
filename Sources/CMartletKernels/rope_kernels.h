// Heads of rope.c.

// y, which may be x, gets the rotated row; s is already negated for the inverse.
static void RFN(rope_row)(REAL *y, const REAL *x, const REAL *c, const REAL *s, int64_t half, bool interleaved) {
    if (interleaved) {
        REAL_LOOP
        for (int64_t i = 0; i < half; i++) {
            const REAL a = x[2 * i], b = x[2 * i + 1];
            y[2 * i] = a * c[i] - b * s[i];
            y[2 * i + 1] = b * c[i] + a * s[i];
        }
    } else {
        REAL_LOOP
        for (int64_t i = 0; i < half; i++) {
            const REAL a = x[i], b = x[half + i];
            y[i] = a * c[i] - b * s[i];
            y[half + i] = b * c[i] + a * s[i];
        }
    }
}

// Halves of rows, n elements of each, past the caches to where cache lines begin; n is a multiple of LANES.
static void RFN(rope_stream)(REAL *y, const REAL *x, const REAL *c, const REAL *s, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        const RFN(vec) a = RFN(load)(x + i), b = RFN(load)(x + n + i);
        const RFN(vec) cosine = RFN(load)(c + i), sine = RFN(load)(s + i);
        __builtin_nontemporal_store(a * cosine - b * sine, (RFN(vec) *)(void *)(y + i));
        __builtin_nontemporal_store(b * cosine + a * sine, (RFN(vec) *)(void *)(y + n + i));
    }
}

#if !REAL_IS_DOUBLE
// The same for bfloat16, two neighbours at a time. Without `interleaved`, `half` is even, and c and s have their even
// elements in the first half and the odd ones in the second.
static void RFN(rope_row_bf16)(mk_bf16_pair *y, const mk_bf16_pair *x, const float *c, const float *s, int64_t half,
                               bool interleaved) {
    if (interleaved) {
        REAL_LOOP
        for (int64_t i = 0; i < half; i++) {
            const float a = mk_bf16_low(x[i]), b = mk_bf16_high(x[i]);
            y[i] = mk_bf16_pair_of(a * c[i] - b * s[i], b * c[i] + a * s[i]);
        }
        return;
    }
    const int64_t n = half / 2;
    REAL_LOOP
    for (int64_t i = 0; i < n; i++) {
        const float a = mk_bf16_low(x[i]), b = mk_bf16_low(x[n + i]);
        const float next_a = mk_bf16_high(x[i]), next_b = mk_bf16_high(x[n + i]);
        y[i] = mk_bf16_pair_of(a * c[i] - b * s[i], next_a * c[n + i] - next_b * s[n + i]);
        y[n + i] = mk_bf16_pair_of(b * c[i] + a * s[i], next_b * c[n + i] + next_a * s[n + i]);
    }
}

typedef uint32_t RFN(words) __attribute__((ext_vector_type(LANES)));
typedef uint32_t RFN(words_u) __attribute__((ext_vector_type(LANES), aligned(sizeof(uint16_t)), may_alias));
// mk_bf16_pair_of each element.
MK_INLINE void RFN(stream_pairs)(mk_bf16_pair *y, RFN(vec) low, RFN(vec) high) {
    const RFN(words) first = (RFN(words))low, second = (RFN(words))high;
    const RFN(words) pairs = MK_ROUND_BITS(first) >> 16 | (MK_ROUND_BITS(second) & 0xffff0000u);
    __builtin_nontemporal_store(pairs, (RFN(words) *)(void *)y);
}
// rope_stream of n pairs of each half; c and s as in rope_row_bf16.
static void RFN(rope_stream_bf16)(mk_bf16_pair *y, const mk_bf16_pair *x, const float *c, const float *s, int64_t n) {
    for (int64_t i = 0; i < n; i += LANES) {
        const RFN(words) first = *(const RFN(words_u) *)(const void *)(x + i);
        const RFN(words) second = *(const RFN(words_u) *)(const void *)(x + n + i);
        const RFN(vec) a = (RFN(vec))(first << 16), next_a = (RFN(vec))(first & 0xffff0000u);
        const RFN(vec) b = (RFN(vec))(second << 16), next_b = (RFN(vec))(second & 0xffff0000u);
        const RFN(vec) c0 = RFN(load)(c + i), c1 = RFN(load)(c + n + i);
        const RFN(vec) s0 = RFN(load)(s + i), s1 = RFN(load)(s + n + i);
        RFN(stream_pairs)(y + i, a * c0 - b * s0, next_a * c1 - next_b * s1);
        RFN(stream_pairs)(y + n + i, b * c0 + a * s0, next_b * c1 + next_a * s1);
    }
}
#endif

// One head of one token. `buffer` holds a row.
MK_INLINE void RFN(rope_head)(const rope_job *job, void *target, const void *source, const REAL *c, const REAL *s,
                              REAL *buffer) {
    const int64_t half = job->half, dim = job->in->shape[3];
    const int32_t in = job->in->dtype, out = job->out->dtype;
    // Both halves are whole lines, and nothing lies behind them.
    const bool lines = job->stream && !job->interleaved && dim == 2 * half && (uintptr_t)target % 64 == 0 &&
                       half * mk_size_of(out) % 64 == 0;
#if !REAL_IS_DOUBLE
    if (job->pairs && lines) {
        RFN(rope_stream_bf16)(target, source, c, s, half / 2);
        return;
    }
    if (job->pairs) {
        mk_bf16_pair *y = job->stream ? (mk_bf16_pair *)(void *)buffer : target;
        RFN(rope_row_bf16)(y, source, c, s, half, job->interleaved);
        if ((void *)y != source && dim > 2 * half)
            memcpy(y + half, (const uint16_t *)source + 2 * half, (size_t)(dim - 2 * half) * sizeof(uint16_t));
        if (job->stream) mk_stream(target, buffer, dim * 2);
        return;
    }
#endif
    const REAL *x = RFN(row_in)(buffer, source, in, dim);
    if (lines && out == REAL_DTYPE) {
        RFN(rope_stream)(target, x, c, s, half);
        return;
    }
    REAL *y = RFN(row_target)(buffer, target, out, job->stream);
    RFN(rope_row)(y, x, c, s, half, job->interleaved);
    if (x != y && dim > 2 * half) memcpy(y + 2 * half, x + 2 * half, (size_t)(dim - 2 * half) * sizeof *y);
    RFN(row_out)(target, out, y, dim, job->stream);
}

// Tokens, all batch elements counted together.
static void RFN(rope_rows)(void *context, int64_t begin, int64_t end) {
    const rope_job *job = context;
    const mk_tensor *in = job->in, *out = job->out;
    const int64_t length = in->shape[1], heads = in->shape[2], dim = in->shape[3], half = job->half;
    const int64_t in_bytes = mk_size_of(in->dtype), out_bytes = mk_size_of(out->dtype);
    const int64_t bytes = (dim + 2 * half) * (int64_t)sizeof(REAL);
    REAL *buffer = mk_scratch(bytes), *cosines = buffer + dim, *sines = cosines + half;
    for (int64_t token = begin; token < end; token++) {
        const int64_t b = token / length, t = token % length;
        int64_t position = job->start + t;
        if (job->positions) {
            const mk_tensor *p = job->positions;
            position = ((const int64_t *)p->data)[b * p->strides[0] + t * p->strides[1]];
        }
        const REAL *c = (const REAL *)job->cos + position * half, *s = (const REAL *)job->sin + position * half;
        if (job->inverse) {
            for (int64_t i = 0; i < half; i++) sines[i] = -s[i];
            s = sines;
        }
        if (job->pairs && !job->interleaved) {
            // Of the sines, `buffer` holds what is overwritten too early.
            memcpy(buffer, s, (size_t)half * sizeof *s);
            for (int64_t i = 0; i < half / 2; i++) {
                cosines[i] = c[2 * i];
                cosines[half / 2 + i] = c[2 * i + 1];
                sines[i] = buffer[2 * i];
                sines[half / 2 + i] = buffer[2 * i + 1];
            }
            c = cosines;
            s = sines;
        }
        const char *from = (const char *)in->data + (b * in->strides[0] + t * in->strides[1]) * in_bytes;
        char *to = (char *)out->data + (b * out->strides[0] + t * out->strides[1]) * out_bytes;
        for (int64_t h = 0; h < heads; h++)
            RFN(rope_head)(job, to + h * out->strides[2] * out_bytes, from + h * in->strides[2] * in_bytes, c, s,
                           buffer);
    }
    mk_scratch_free(buffer, bytes);
}

static const rope_table RFN(rope_table) = {RFN(rope_rows)};
