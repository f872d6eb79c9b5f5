// Compiled once per instruction set by elementwise_float.c: the operations that vectorize, for float and double.
#include "past_kernels.h"

// The compiler calls a function per element for these on baseline x86-64, so it cannot be told to vectorize.
#if MK_ISA_LEVEL > 0 || defined(__aarch64__)
#define ROUNDING_PRAGMA MK_VECTORIZE_IN_PLACE
#else
#define ROUNDING_PRAGMA
#endif

#define UNARY(name, pragma, T_OUT, formula)                                                                            \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        (void)parameters;                                                                                              \
        T_OUT *out = out_;                                                                                             \
        const MK_T *in_0 = in[0];                                                                                      \
        pragma for (int64_t i = 0; i < n; i++) {                                                                       \
            MK_T x = in_0[i];                                                                                          \
            out[i] = (T_OUT)(formula);                                                                                 \
        }                                                                                                              \
    }

#define BINARY(name, T_OUT, formula)                                                                                   \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        (void)parameters;                                                                                              \
        T_OUT *out = out_;                                                                                             \
        const MK_T *in_0 = in[0], *in_1 = in[1];                                                                       \
        MK_VECTORIZE_IN_PLACE for (int64_t i = 0; i < n; i++) {                                                        \
            MK_T a = in_0[i], b = in_1[i];                                                                             \
            out[i] = (T_OUT)(formula);                                                                                 \
        }                                                                                                              \
    }

// The same past the caches: see mk_kernel.
#define UNARY_PAST(name, formula)                                                                                      \
    static void MK_FN(name##_past)(void *out_, const void *const *in, int64_t n, const void *parameters) {             \
        enum { BLOCK = MK_PAST_BYTES / sizeof(MK_T) };                                                                 \
        (void)parameters;                                                                                              \
        MK_T *out = out_, xs[BLOCK], ys[BLOCK];                                                                        \
        const MK_T *in_0 = in[0];                                                                                      \
        for (int64_t i = 0; i < n; i += BLOCK) {                                                                       \
            MK_FN(past_read)(xs, in_0 + i);                                                                            \
            ROUNDING_PRAGMA for (int64_t j = 0; j < BLOCK; j++) {                                                      \
                MK_T x = xs[j];                                                                                        \
                ys[j] = (formula);                                                                                     \
            }                                                                                                          \
            MK_FN(past_write)(out + i, ys);                                                                            \
        }                                                                                                              \
    }
#define BINARY_PAST(name, formula)                                                                                     \
    static void MK_FN(name##_past)(void *out_, const void *const *in, int64_t n, const void *parameters) {             \
        enum { BLOCK = MK_PAST_BYTES / sizeof(MK_T) };                                                                 \
        (void)parameters;                                                                                              \
        MK_T *out = out_, as[BLOCK], bs[BLOCK], ys[BLOCK];                                                             \
        const MK_T *in_0 = in[0], *in_1 = in[1];                                                                       \
        for (int64_t i = 0; i < n; i += BLOCK) {                                                                       \
            MK_FN(past_read)(as, in_0 + i);                                                                            \
            MK_FN(past_read)(bs, in_1 + i);                                                                            \
            MK_VECTORIZE for (int64_t j = 0; j < BLOCK; j++) {                                                         \
                MK_T a = as[j], b = bs[j];                                                                             \
                ys[j] = (formula);                                                                                     \
            }                                                                                                          \
            MK_FN(past_write)(out + i, ys);                                                                            \
        }                                                                                                              \
    }

// out = a + alpha * (b combined with c).
#define FUSED(name, operands, formula)                                                                                 \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        MK_T *out = out_;                                                                                              \
        const MK_T *in_0 = in[0], *in_1 = in[1], *in_2 = in[operands - 1];                                             \
        MK_T alpha = (MK_T) * (const double *)parameters;                                                              \
        MK_VECTORIZE_IN_PLACE for (int64_t i = 0; i < n; i++) {                                                        \
            MK_T a = in_0[i], b = in_1[i], c = in_2[i];                                                                \
            (void)c;                                                                                                   \
            out[i] = (formula);                                                                                        \
        }                                                                                                              \
    }

#define CLAMP(name)                                                                                                    \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        MK_T *out = out_;                                                                                              \
        const MK_T *in_0 = in[0];                                                                                      \
        MK_T low = (MK_T)((const mk_scalar *)parameters)[0].d, high = (MK_T)((const mk_scalar *)parameters)[1].d;      \
        MK_VECTORIZE_IN_PLACE for (int64_t i = 0; i < n; i++) {                                                        \
            MK_T x = in_0[i];                                                                                          \
            x = x < low ? low : x;                                                                                     \
            out[i] = x > high ? high : x;                                                                              \
        }                                                                                                              \
    }

// MARK: float

#define MK_T float
#define MK_NUM(c) c##f
#define MK_MATH(name) mk_##name##f

#define F(op, formula) UNARY(f32_##op, MK_VECTORIZE_IN_PLACE, float, formula)
MK_FLOAT_UNARY_ARITHMETIC(F)
MK_FLOAT_UNARY_SMOOTH(F)
#undef F
#define F(op, formula) UNARY(f32_##op, ROUNDING_PRAGMA, float, formula)
MK_FLOAT_UNARY_ROUNDING(F)
#undef F
#define F(op, formula) UNARY_PAST(f32_##op, formula)
MK_FLOAT_UNARY_ARITHMETIC(F)
MK_FLOAT_UNARY_ROUNDING(F)
#undef F
#define F(op, formula) BINARY_PAST(f32_##op, formula)
MK_FLOAT_BINARY_ARITHMETIC(F)
#undef F
#define F(op, formula) UNARY(f32_##op, MK_VECTORIZE_IN_PLACE, uint8_t, formula)
MK_FLOAT_PREDICATES(F)
#undef F
#define F(op, formula) BINARY(f32_##op, float, formula)
MK_FLOAT_BINARY_ARITHMETIC(F)
MK_FLOAT_BINARY_SMOOTH(F)
#undef F
#define F(op, formula) BINARY(f32_##op, uint8_t, formula)
MK_COMPARISONS(F)
#undef F
FUSED(f32_addcmul, 3, a + alpha * b * c)
FUSED(f32_addcdiv, 3, a + alpha * b / c)
FUSED(f32_axpy, 2, a + alpha * b)
CLAMP(f32_clamp)

// Blocks whose arguments are all within the bound of the vectorized form use it; others call the library.
#define PERIODIC(name, bounded, library)                                                                               \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        (void)parameters;                                                                                              \
        float *out = out_;                                                                                             \
        const float *x = in[0];                                                                                        \
        for (; n > 0; n -= 256, out += 256, x += 256) {                                                                \
            int64_t m = n < 256 ? n : 256;                                                                             \
            uint32_t large = 0;                                                                                        \
            MK_VECTORIZE for (int64_t i = 0; i < m; i++) {                                                             \
                large |= mk_absf(x[i]) <= MK_SINCOS_LIMIT ? 0u : 1u;                                                   \
            }                                                                                                          \
            if (large) {                                                                                               \
                for (int64_t i = 0; i < m; i++) out[i] = library(x[i]);                                                \
            } else {                                                                                                   \
                MK_VECTORIZE_IN_PLACE for (int64_t i = 0; i < m; i++) out[i] = bounded(x[i]);                          \
            }                                                                                                          \
        }                                                                                                              \
    }
PERIODIC(f32_SIN, mk_sinf_bounded, sinf)
PERIODIC(f32_COS, mk_cosf_bounded, cosf)

#undef MK_T
#undef MK_NUM
#undef MK_MATH

// MARK: double

#define MK_T double
#define MK_NUM(c) c
#define MK_MATH(name) mk_d_##name

#define F(op, formula) UNARY(f64_##op, MK_VECTORIZE_IN_PLACE, double, formula)
MK_FLOAT_UNARY_ARITHMETIC(F)
#undef F
#define F(op, formula) UNARY(f64_##op, ROUNDING_PRAGMA, double, formula)
MK_FLOAT_UNARY_ROUNDING(F)
#undef F
#define F(op, formula) UNARY_PAST(f64_##op, formula)
MK_FLOAT_UNARY_ARITHMETIC(F)
MK_FLOAT_UNARY_ROUNDING(F)
#undef F
#define F(op, formula) BINARY_PAST(f64_##op, formula)
MK_FLOAT_BINARY_ARITHMETIC(F)
#undef F
#define F(op, formula) UNARY(f64_##op, MK_VECTORIZE_IN_PLACE, uint8_t, formula)
MK_FLOAT_PREDICATES(F)
#undef F
#define F(op, formula) BINARY(f64_##op, double, formula)
MK_FLOAT_BINARY_ARITHMETIC(F)
#undef F
#define F(op, formula) BINARY(f64_##op, uint8_t, formula)
MK_COMPARISONS(F)
#undef F
FUSED(f64_addcmul, 3, a + alpha * b * c)
FUSED(f64_addcdiv, 3, a + alpha * b / c)
FUSED(f64_axpy, 2, a + alpha * b)
CLAMP(f64_clamp)

#undef MK_T
#undef MK_NUM
#undef MK_MATH

// MARK: where

// As many of n elements as fill registers; how many those are.
#define WHERE(name, T)                                                                                                 \
    MK_INLINE int64_t MK_FN(name##_of)(T *out, const void *const *in, int64_t n, const bool past) {                    \
        enum { LANES = MK_LANES * 4 / sizeof(T) };                                                                     \
        typedef T vec __attribute__((ext_vector_type(LANES)));                                                         \
        typedef T vec_u __attribute__((ext_vector_type(LANES), aligned(sizeof(T))));                                   \
        typedef uint8_t flags __attribute__((ext_vector_type(LANES), aligned(1)));                                     \
        const uint8_t *condition = in[0];                                                                              \
        const T *a = in[1], *b = in[2];                                                                                \
        int64_t i = 0;                                                                                                 \
        for (; i + LANES <= n; i += LANES) {                                                                           \
            vec x = *(const vec_u *)(a + i), y = *(const vec_u *)(b + i);                                              \
            MK_WHOLE(x);                                                                                               \
            MK_WHOLE(y);                                                                                               \
            const vec chosen = __builtin_convertvector(*(const flags *)(condition + i) != 0, vec) ? x : y;             \
            if (past) __builtin_nontemporal_store(chosen, (vec *)(void *)(out + i));                                   \
            else *(vec_u *)(out + i) = chosen;                                                                         \
        }                                                                                                              \
        return i;                                                                                                      \
    }                                                                                                                  \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        (void)parameters;                                                                                              \
        T *out = out_;                                                                                                 \
        const T *a = in[1], *b = in[2];                                                                                \
        for (int64_t i = MK_FN(name##_of)(out, in, n, false); i < n; i++)                                              \
            out[i] = ((const uint8_t *)in[0])[i] != 0 ? a[i] : b[i];                                                   \
    }                                                                                                                  \
    static void MK_FN(name##_past)(void *out, const void *const *in, int64_t n, const void *parameters) {              \
        (void)parameters;                                                                                              \
        MK_FN(name##_of)(out, in, n, true);                                                                            \
    }
WHERE(where_1, uint8_t)
WHERE(where_2, uint16_t)
WHERE(where_4, uint32_t)
WHERE(where_8, uint64_t)

// MARK: table

#define F32(op, formula) [MK_##op] = {MK_FN(f32_##op)},
#define F64(op, formula) [MK_##op] = {MK_FN(f64_##op)},
#define F32_PAST(op, formula) [MK_##op] = {MK_FN(f32_##op), MK_FN(f32_##op##_past)},
#define F64_PAST(op, formula) [MK_##op] = {MK_FN(f64_##op), MK_FN(f64_##op##_past)},
#define PAST(name) {MK_FN(name), MK_FN(name##_past)}
static const float_table MK_FN(float_table) = {
    .unary = {{MK_FLOAT_UNARY_ARITHMETIC(F64_PAST) MK_FLOAT_UNARY_ROUNDING(F64_PAST) MK_FLOAT_PREDICATES(F64)},
              {MK_FLOAT_UNARY_ARITHMETIC(F32_PAST) MK_FLOAT_UNARY_ROUNDING(F32_PAST) MK_FLOAT_UNARY_SMOOTH(F32)
                   MK_FLOAT_UNARY_PERIODIC(F32) MK_FLOAT_PREDICATES(F32)}},
    .binary = {{MK_FLOAT_BINARY_ARITHMETIC(F64_PAST) MK_COMPARISONS(F64)},
               {MK_FLOAT_BINARY_ARITHMETIC(F32_PAST) MK_FLOAT_BINARY_SMOOTH(F32) MK_COMPARISONS(F32)}},
    .fused = {{{MK_FN(f64_addcmul)}, {MK_FN(f64_addcdiv)}, {MK_FN(f64_axpy)}},
              {{MK_FN(f32_addcmul)}, {MK_FN(f32_addcdiv)}, {MK_FN(f32_axpy)}}},
    .clamp = {{MK_FN(f64_clamp)}, {MK_FN(f32_clamp)}},
    .where = {PAST(where_1), PAST(where_2), PAST(where_4), PAST(where_8)},
};
#undef F32
#undef F64
#undef F32_PAST
#undef F64_PAST
#undef PAST
#undef UNARY
#undef BINARY
#undef UNARY_PAST
#undef BINARY_PAST
#undef FUSED
#undef CLAMP
#undef PERIODIC
#undef ROUNDING_PRAGMA
#undef WHERE
