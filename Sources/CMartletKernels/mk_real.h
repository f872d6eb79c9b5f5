// Vectors, conversions and mathematics of REAL: see mk_each_real.h.
#undef REAL
#undef RFN
#undef LANES
#if REAL_IS_DOUBLE
#define REAL double
#define RFN(name) MK_FN(name##_f64)
#define LANES (MK_LANES / 2)
#else
#define REAL float
#define RFN(name) MK_FN(name##_f32)
#define LANES MK_LANES
#endif

// REAL_LOOP before a loop: iterations are independent although pointers may be equal (each element is read before it is
// written), so that in-place calls are vectorized too. Double precision calls the mathematical library, where clang
// would only warn that it cannot.
#undef REAL_DTYPE
#undef REAL_LOOP
#if REAL_IS_DOUBLE
#define REAL_DTYPE MK_F64
#define REAL_LOOP
#else
#define REAL_DTYPE MK_F32
#define REAL_LOOP _Pragma("clang loop vectorize(assume_safety)")
#endif

typedef REAL RFN(vec) __attribute__((ext_vector_type(LANES)));
// The same at any address.
typedef REAL RFN(vec_u) __attribute__((ext_vector_type(LANES), aligned(sizeof(REAL)), may_alias));

MK_INLINE RFN(vec) RFN(load)(const REAL *p) { return *(const RFN(vec_u) *)p; }
MK_INLINE void RFN(store)(REAL *p, RFN(vec) v) { *(RFN(vec_u) *)p = v; }
// All lanes as one, in halves: the order is that of a balanced tree.
#undef FOLD_LANES
#if LANES == 16
#define FOLD_LANES(v, of)                                                                                              \
    __auto_type v8 = of((v).lo, (v).hi);                                                                               \
    __auto_type v4 = of(v8.lo, v8.hi);                                                                                 \
    __auto_type v2 = of(v4.lo, v4.hi);
#elif LANES == 8
#define FOLD_LANES(v, of)                                                                                              \
    __auto_type v4 = of((v).lo, (v).hi);                                                                               \
    __auto_type v2 = of(v4.lo, v4.hi);
#elif LANES == 4
#define FOLD_LANES(v, of) __auto_type v2 = of((v).lo, (v).hi);
#else
#define FOLD_LANES(v, of) __auto_type v2 = (v);
#endif
MK_INLINE REAL RFN(add_lanes)(RFN(vec) v) {
#undef SUM_OF
#define SUM_OF(a, b) ((a) + (b))
    FOLD_LANES(v, SUM_OF)
    return SUM_OF(v2[0], v2[1]);
}
// The larger one, of vectors too; b where one is NaN: a single instruction, which fmax is not.
#undef LARGER_OF
#define LARGER_OF(a, b) ((a) > (b) ? (a) : (b))
MK_INLINE REAL RFN(largest_lane)(RFN(vec) v) {
    FOLD_LANES(v, LARGER_OF)
    return LARGER_OF(v2[0], v2[1]);
}
// NaN in the data is skipped.
MK_INLINE REAL RFN(row_max)(const REAL *x, int64_t n) {
    REAL best = -(REAL)INFINITY;
    int64_t i = 0;
    if (n >= LANES) {
        RFN(vec) m[4];
        for (int j = 0; j < 4; j++) m[j] = (RFN(vec))best;
        for (; i + 4 * LANES <= n; i += 4 * LANES)
            for (int j = 0; j < 4; j++) m[j] = LARGER_OF(RFN(load)(x + i + j * LANES), m[j]);
        for (; i + LANES <= n; i += LANES) m[0] = LARGER_OF(RFN(load)(x + i), m[0]);
        best = RFN(largest_lane)(LARGER_OF(LARGER_OF(m[0], m[1]), LARGER_OF(m[2], m[3])));
    }
    for (; i < n; i++) best = LARGER_OF(x[i], best);
    return best;
}

// Converts n contiguous elements of any floating dtype of at most REAL's precision, or of int8.
MK_INLINE void RFN(convert_in)(REAL *out, const void *in, int32_t dtype, int64_t n) {
    if (dtype == (REAL_DTYPE)) {
        memcpy(out, in, (size_t)n * sizeof(REAL));
    } else if (dtype == MK_BF16) {
        const uint16_t *h = in;
        for (int64_t i = 0; i < n; i++) out[i] = (REAL)mk_bf16_to_f32(h[i]);
    } else if (dtype == MK_F16) {
        const uint16_t *h = in;
        for (int64_t i = 0; i < n; i++) out[i] = (REAL)mk_f16_to_f32(h[i]);
    } else if (dtype == MK_F32) {
        const float *f = in;
        for (int64_t i = 0; i < n; i++) out[i] = (REAL)f[i];
    } else if (dtype == MK_I8) {
        const int8_t *b = in;
        for (int64_t i = 0; i < n; i++) out[i] = (REAL)b[i];
    } else {
        const double *d = in;
        for (int64_t i = 0; i < n; i++) out[i] = (REAL)d[i];
    }
}

#if !REAL_IS_DOUBLE
#include "bf16_kernels.h"
#endif
MK_INLINE void RFN(convert_out)(void *out, int32_t dtype, const REAL *in, int64_t n) {
    if (dtype == (REAL_DTYPE)) {
        memcpy(out, in, (size_t)n * sizeof(REAL));
    } else if (dtype == MK_BF16) {
#if REAL_IS_DOUBLE
        uint16_t *h = out;
        for (int64_t i = 0; i < n; i++) h[i] = mk_f32_to_bf16((float)in[i]);
#else
        MK_FN(round_to_bf16)(out, in, n);
#endif
    } else if (dtype == MK_F16) {
        uint16_t *h = out;
        for (int64_t i = 0; i < n; i++) h[i] = mk_f32_to_f16((float)in[i]);
    } else if (dtype == MK_F32) {
        float *f = out;
        for (int64_t i = 0; i < n; i++) f[i] = (float)in[i];
    } else {
        double *d = out;
        for (int64_t i = 0; i < n; i++) d[i] = (double)in[i];
    }
}

// The row itself where it is REAL already, else converted into `buffer`.
MK_INLINE const REAL *RFN(row_in)(REAL *buffer, const void *in, int32_t dtype, int64_t n) {
    if (dtype == REAL_DTYPE) return in;
    RFN(convert_in)(buffer, in, dtype, n);
    return buffer;
}
// Where to compute a row that row_out then stores: the row itself where it is REAL, unless it goes past the caches
// (`stream`).
MK_INLINE REAL *RFN(row_target)(REAL *buffer, void *out, int32_t dtype, bool stream) {
    return dtype == REAL_DTYPE && !stream ? (REAL *)out : buffer;
}
// Not inlined, so that rows which the caches hold do not pay for it.
static __attribute__((noinline, unused)) void RFN(stream_row)(void *out, int32_t dtype, const REAL *row, int64_t n) {
    if (dtype == REAL_DTYPE) {
        mk_stream(out, row, n * (int64_t)sizeof(REAL));
        return;
    }
    _Alignas(64) char converted[1024 * sizeof(double)];
    const int64_t size = mk_size_of(dtype);
    for (int64_t i = 0; i < n; i += 1024) {
        const int64_t m = n - i < 1024 ? n - i : 1024;
        RFN(convert_out)(converted, dtype, row + i, m);
        mk_stream((char *)out + i * size, converted, m * size);
    }
}
MK_INLINE void RFN(row_out)(void *out, int32_t dtype, const REAL *row, int64_t n, bool stream) {
    if (stream) RFN(stream_row)(out, dtype, row, n);
    else if (row != out) RFN(convert_out)(out, dtype, row, n);
}

// Whether n elements can be written past the caches by stream_two, straight from the registers: a piece that is stored and
// read again first takes a tenth to a sixth longer.
MK_INLINE bool RFN(streams_registers)(const void *out, int32_t dtype, int64_t n, bool stream) {
    const bool known = dtype == REAL_DTYPE || (MK_ISA_LEVEL == 3 && dtype == MK_BF16);
    return stream && known && (uintptr_t)out % 64 == 0 && n % (2 * LANES) == 0;
}
// Element i of `out` and those after it become a and b.
MK_INLINE void RFN(stream_two)(void *out, int32_t dtype, int64_t i, RFN(vec) a, RFN(vec) b) {
#if MK_ISA_LEVEL == 3 && !REAL_IS_DOUBLE
    if (dtype == MK_BF16) {
        _mm512_stream_si512((__m512i *)(void *)((uint16_t *)out + i), MK_FN(round_two_to_bf16)((__m512)a, (__m512)b));
        return;
    }
#endif
    (void)dtype;
    RFN(vec) *to = (RFN(vec) *)(void *)((REAL *)out + i);
    __builtin_nontemporal_store(a, to);
    __builtin_nontemporal_store(b, to + 1);
}

#if REAL_IS_DOUBLE
MK_INLINE double RFN(exp)(double x) { return exp(x); }
MK_INLINE double RFN(exp_nonpositive)(double x) { return exp(x); }
MK_INLINE double RFN(log)(double x) { return log(x); }
MK_INLINE double RFN(erf)(double x) { return erf(x); }
MK_INLINE double RFN(sigmoid)(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}
MK_INLINE double RFN(sqrt)(double x) { return __builtin_elementwise_sqrt(x); }
#else
MK_INLINE float RFN(exp)(float x) { return mk_expf(x); }
MK_INLINE float RFN(exp_nonpositive)(float x) { return mk_expf_nonpositive(x); }
MK_INLINE float RFN(log)(float x) { return mk_logf(x); }
MK_INLINE float RFN(erf)(float x) { return mk_erff(x); }
MK_INLINE float RFN(sigmoid)(float x) { return mk_sigmoidf(x); }
MK_INLINE float RFN(sqrt)(float x) { return __builtin_elementwise_sqrt(x); }
#endif

MK_INLINE REAL RFN(row_sum)(const REAL *a, int64_t n) {
    MK_REASSOCIATE
    REAL sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i];
    return sum;
}
MK_INLINE REAL RFN(row_dot)(const REAL *a, const REAL *b, int64_t n) {
    MK_REASSOCIATE
    REAL sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}
// out = exp(x - shift); returns the sum. out and x may be the same.
MK_INLINE REAL RFN(row_exp)(REAL *out, const REAL *x, REAL shift, int64_t n) {
    MK_REASSOCIATE
    REAL sum = 0;
    REAL_LOOP
    for (int64_t i = 0; i < n; i++) {
        REAL e = RFN(exp_nonpositive)(x[i] - shift);
        out[i] = e;
        sum += e;
    }
    return sum;
}
// The same for whole registers, n being a multiple of LANES: no element is computed alone.
MK_INLINE REAL RFN(row_exp_whole)(REAL *out, const REAL *x, REAL shift, int64_t n) {
    RFN(vec) sum = (RFN(vec))(REAL)0;
    for (int64_t i = 0; i < n; i += LANES) {
        REAL_LOOP
        for (int j = 0; j < LANES; j++) out[i + j] = RFN(exp_nonpositive)(x[i + j] - shift);
        sum += RFN(load)(out + i);
    }
    return RFN(add_lanes)(sum);
}
