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

// Tokens, all batch elements counted together.
static void RFN(rope_rows)(void *context, int64_t begin, int64_t end) {
    const rope_job *job = context;
    const mk_tensor *in = job->in, *out = job->out;
    const int64_t length = in->shape[1], heads = in->shape[2], dim = in->shape[3], half = job->half;
    const int64_t in_bytes = mk_size_of(in->dtype), out_bytes = mk_size_of(out->dtype);
    const int64_t bytes = (dim + half) * (int64_t)sizeof(REAL);
    REAL *row = mk_scratch(bytes), *negated = row + dim;
    for (int64_t token = begin; token < end; token++) {
        const int64_t b = token / length, t = token % length;
        int64_t position = job->start + t;
        if (job->positions) {
            const mk_tensor *p = job->positions;
            position = ((const int64_t *)p->data)[b * p->strides[0] + t * p->strides[1]];
        }
        const REAL *c = (const REAL *)job->cos + position * half, *s = (const REAL *)job->sin + position * half;
        if (job->inverse) {
            for (int64_t i = 0; i < half; i++) negated[i] = -s[i];
            s = negated;
        }
        const char *from = (const char *)in->data + (b * in->strides[0] + t * in->strides[1]) * in_bytes;
        char *to = (char *)out->data + (b * out->strides[0] + t * out->strides[1]) * out_bytes;
        for (int64_t h = 0; h < heads; h++) {
            const REAL *x = RFN(row_in)(row, from + h * in->strides[2] * in_bytes, in->dtype, dim);
            void *target = to + h * out->strides[2] * out_bytes;
            REAL *y = RFN(row_target)(row, target, out->dtype, job->stream);
            RFN(rope_row)(y, x, c, s, half, job->interleaved);
            if (x != y && dim > 2 * half) memcpy(y + 2 * half, x + 2 * half, (size_t)(dim - 2 * half) * sizeof *y);
            RFN(row_out)(target, out->dtype, y, dim, job->stream);
        }
    }
    mk_scratch_free(row, bytes);
}

static const rope_table RFN(rope_table) = {RFN(rope_rows)};
