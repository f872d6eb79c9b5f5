// Rows of glu.c. A row is computed in pieces that fit the first-level cache.

#define GLU_LOOP(expression)           \
    REAL_LOOP                          \
    for (int64_t i = 0; i < n; i++) {  \
        const REAL x = gate[i];        \
        out[i] = (expression) * up[i]; \
    }

// `out` may be an operand: an element is read before it is written.
static void RFN(glu_piece)(mk_glu_op op, REAL *out, const REAL *gate, const REAL *up, int64_t n) {
    switch (op) {
        case MK_GLU_SILU: GLU_LOOP(x * RFN(sigmoid)(x)) break;
        case MK_GLU_GELU: GLU_LOOP((REAL)0.5 * x * ((REAL)1 + RFN(erf)(x * (REAL)0.70710678118654752440))) break;
        case MK_GLU_GELU_TANH:
            GLU_LOOP(x * RFN(sigmoid)((REAL)1.59576912160573071176 * (x + (REAL)0.044715 * x * x * x)))
            break;
        case MK_GLU_RELU: GLU_LOOP((x > 0 ? x : (REAL)0)) break;
        case MK_GLU_SIGMOID: GLU_LOOP(RFN(sigmoid)(x)) break;
    }
}

// Sets value and slope to the activation and its derivative at x.
#define GLU_BACKWARD_LOOP(statements)                \
    REAL_LOOP                                        \
    for (int64_t i = 0; i < n; i++) {                \
        const REAL x = gate[i], u = up[i], d = g[i]; \
        REAL value, slope;                           \
        statements;                                  \
        dgate[i] = d * u * slope;                    \
        dup[i] = d * value;                          \
    }

static void RFN(glu_backward_piece)(mk_glu_op op, REAL *dgate, REAL *dup, const REAL *g, const REAL *gate,
                                    const REAL *up, int64_t n) {
    switch (op) {
        case MK_GLU_SILU:
            GLU_BACKWARD_LOOP({
                const REAL s = RFN(sigmoid)(x);
                value = x * s;
                slope = s * ((REAL)1 + x * ((REAL)1 - s));
            })
            break;
        case MK_GLU_GELU:
            GLU_BACKWARD_LOOP({
                const REAL cdf = (REAL)0.5 * ((REAL)1 + RFN(erf)(x * (REAL)0.70710678118654752440));
                value = x * cdf;
                slope = cdf + x * ((REAL)0.39894228040143267794 * RFN(exp)((REAL)-0.5 * x * x));
            })
            break;
        case MK_GLU_GELU_TANH:
            GLU_BACKWARD_LOOP({
                // Far out the slope of the sigmoid is 0, but x * x * x may overflow: the slope is taken at a bounded x.
                const REAL c = x > 100 ? (REAL)100 : (x < -100 ? (REAL)-100 : x);
                const REAL s = RFN(sigmoid)((REAL)1.59576912160573071176 * (c + (REAL)0.044715 * c * c * c));
                value = x * s;
                slope = s + c * s * ((REAL)1 - s) * (REAL)1.59576912160573071176 * ((REAL)1 + (REAL)0.134145 * c * c);
            })
            break;
        case MK_GLU_RELU:
            GLU_BACKWARD_LOOP({
                value = x > 0 ? x : (REAL)0;
                slope = x > 0 ? (REAL)1 : (REAL)0;
            })
            break;
        case MK_GLU_SIGMOID:
            GLU_BACKWARD_LOOP({
                value = RFN(sigmoid)(x);
                slope = value * ((REAL)1 - value);
            })
            break;
    }
}
#undef GLU_LOOP
#undef GLU_BACKWARD_LOOP

static void RFN(glu_rows)(void *context, int64_t begin, int64_t end) {
    const glu_job *job = context;
    _Alignas(64) REAL buffers[2][MK_PIECE];
    mk_runs runs;
    for (mk_runs_begin(&runs, &job->walk, begin, end); mk_runs_next(&runs);)
        for (int64_t r = 0; r < runs.length; r++)
            for (int64_t at = 0; at < job->length; at += MK_PIECE) {
                const int64_t n = mk_min64(MK_PIECE, job->length - at);
                char *piece[3];
                for (int k = 0; k < 3; k++) piece[k] = MK_ROW_AT(runs, k, r) + at * mk_size_of(job->dtypes[k]);
                const REAL *gate = RFN(row_in)(buffers[0], piece[1], job->dtypes[1], n);
                const REAL *up = RFN(row_in)(buffers[1], piece[2], job->dtypes[2], n);
                REAL *out = RFN(row_target)(buffers[0], piece[0], job->dtypes[0], job->stream);
                RFN(glu_piece)(job->op, out, gate, up, n);
                RFN(row_out)(piece[0], job->dtypes[0], out, n, job->stream);
            }
}

static void RFN(glu_backward_rows)(void *context, int64_t begin, int64_t end) {
    const glu_job *job = context;
    _Alignas(64) REAL buffers[3][MK_PIECE];
    mk_runs runs;
    for (mk_runs_begin(&runs, &job->walk, begin, end); mk_runs_next(&runs);)
        for (int64_t r = 0; r < runs.length; r++)
            for (int64_t at = 0; at < job->length; at += MK_PIECE) {
                const int64_t n = mk_min64(MK_PIECE, job->length - at);
                char *piece[5];
                for (int k = 0; k < 5; k++) piece[k] = MK_ROW_AT(runs, k, r) + at * mk_size_of(job->dtypes[k]);
                const REAL *g = RFN(row_in)(buffers[0], piece[2], job->dtypes[2], n);
                const REAL *gate = RFN(row_in)(buffers[1], piece[3], job->dtypes[3], n);
                const REAL *up = RFN(row_in)(buffers[2], piece[4], job->dtypes[4], n);
                REAL *dgate = RFN(row_target)(buffers[1], piece[0], job->dtypes[0], job->stream);
                REAL *dup = RFN(row_target)(buffers[2], piece[1], job->dtypes[1], job->stream);
                RFN(glu_backward_piece)(job->op, dgate, dup, g, gate, up, n);
                RFN(row_out)(piece[0], job->dtypes[0], dgate, n, job->stream);
                RFN(row_out)(piece[1], job->dtypes[1], dup, n, job->stream);
            }
}

static const glu_table RFN(glu_table) = {RFN(glu_rows), RFN(glu_backward_rows)};
