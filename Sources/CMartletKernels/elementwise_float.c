// Floating-point elementwise kernels on contiguous runs.
#include "mk_elementwise_private.h"
#include "mk_formulas.h"

typedef struct {
    mk_kernel unary[2][MK_UNARY_COUNT]; // [MK_F64, MK_F32]
    mk_kernel binary[2][MK_BINARY_COUNT];
    mk_kernel fused[2][3];
    mk_kernel clamp[2];
    mk_kernel where[4]; // by log2 of the element's size
} float_table;

// MARK: functions of a float beyond mk_math.h

// The elementwise builtins, unlike the library's functions, may not set errno, so they vectorize.
#define mk_sqrtf(x) __builtin_elementwise_sqrt(x)
#define mk_floorf(x) __builtin_elementwise_floor(x)
#define mk_ceilf(x) __builtin_elementwise_ceil(x)
#define mk_roundevenf(x) __builtin_elementwise_roundeven(x)
#define mk_truncf(x) __builtin_elementwise_trunc(x)
#define mk_tanf tanf
#define mk_asinf asinf
#define mk_acosf acosf
#define mk_atanf atanf
#define mk_sinhf sinhf
#define mk_coshf coshf
#define mk_asinhf asinhf
#define mk_acoshf acoshf
#define mk_atanhf atanhf
#define mk_erfcf erfcf
#define mk_fmodf fmodf
#define mk_powf powf
#define mk_atan2f atan2f
#define mk_hypotf hypotf

// MARK: functions of a double

#define mk_d_abs(x) __builtin_elementwise_abs(x)
#define mk_d_sqrt(x) __builtin_elementwise_sqrt(x)
#define mk_d_floor(x) __builtin_elementwise_floor(x)
#define mk_d_ceil(x) __builtin_elementwise_ceil(x)
#define mk_d_roundeven(x) __builtin_elementwise_roundeven(x)
#define mk_d_trunc(x) __builtin_elementwise_trunc(x)
#define mk_d_exp exp
#define mk_d_exp2 exp2
#define mk_d_expm1 expm1
#define mk_d_log log
#define mk_d_log2 log2
#define mk_d_log10 log10
#define mk_d_log1p log1p
#define mk_d_sin sin
#define mk_d_cos cos
#define mk_d_tan tan
#define mk_d_asin asin
#define mk_d_acos acos
#define mk_d_atan atan
#define mk_d_sinh sinh
#define mk_d_cosh cosh
#define mk_d_tanh tanh
#define mk_d_asinh asinh
#define mk_d_acosh acosh
#define mk_d_atanh atanh
#define mk_d_erf erf
#define mk_d_erfc erfc
#define mk_d_fmod fmod
#define mk_d_pow pow
#define mk_d_atan2 atan2
#define mk_d_hypot hypot

MK_INLINE double mk_d_sigmoid(double x) {
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1.0) / (1.0 + e);
}
MK_INLINE double mk_d_softplus(double x) { return (x < 0 ? 0.0 : x) + log1p(exp(-fabs(x))); }
MK_INLINE double mk_d_log_sigmoid(double x) { return (x > 0 ? 0.0 : x) - log1p(exp(-fabs(x))); }

static double mk_d_erfinv(double x) {
    double a = fabs(x);
    if (!(a < 1.0)) return a == 1.0 ? copysign(INFINITY, x) : NAN;
    // A start good to 2 digits (the series near 0, where the closed form cancels), then Halley's method, which triples
    // the digits at each step. Towards 1 the residual is taken from erfc, where it keeps its relative precision.
    double y = a * (0.88622692545275801365 + 0.23201366653465449 * a * a);
    if (a > 0.1) {
        double l = log1p(-a * a);
        double t = 4.3307467508 + 0.5 * l; // 2 / (pi * 0.147)
        y = sqrt(sqrt(t * t - l * (1.0 / 0.147)) - t);
    }
    for (int i = 0; i < 3; i++) {
        double residual = a > 0.5 ? (1.0 - a) - erfc(y) : erf(y) - a;
        double step = residual / (1.12837916709551257390 * exp(-y * y));
        y -= step / (1.0 + y * step);
    }
    return copysign(y, x);
}
MK_INLINE float mk_erfinvf(float x) { return (float)mk_d_erfinv((double)x); }

// Python's % and //: the remainder has the sign of the divisor, the quotient is rounded toward minus infinity.
#define MK_DIVISION(T, remainder, floor_div, fmod, floor, copysign)                                                    \
    MK_INLINE T remainder(T a, T b) {                                                                                  \
        T r = fmod(a, b);                                                                                              \
        if (r == 0) return copysign(r, b);                                                                             \
        return (r < 0) != (b < 0) ? r + b : r;                                                                         \
    }                                                                                                                  \
    MK_INLINE T floor_div(T a, T b) {                                                                                  \
        if (b == 0) return a / b;                                                                                      \
        T r = fmod(a, b);                                                                                              \
        T q = (a - r) / b;                                                                                             \
        if (r != 0 && (r < 0) != (b < 0)) q -= 1;                                                                      \
        if (q == 0) return copysign(q, a / b);                                                                         \
        /* The division above is of a near multiple of b, so q is within rounding of an integer. */                    \
        T f = floor(q);                                                                                                \
        return q - f > (T)0.5 ? f + 1 : f;                                                                             \
    }
MK_DIVISION(float, mk_remainderf, mk_floor_divf, fmodf, floorf, copysignf)
MK_DIVISION(double, mk_d_remainder, mk_d_floor_div, fmod, floor, copysign)

#define MK_T float
#define MK_NUM(c) c##f
#define MK_MATH(name) mk_##name##f
MK_COMPOSITES(MK_MATH)
#undef MK_T
#undef MK_NUM
#undef MK_MATH
#define MK_T double
#define MK_NUM(c) c
#define MK_MATH(name) mk_d_##name
MK_COMPOSITES(MK_MATH)
#undef MK_T
#undef MK_NUM
#undef MK_MATH

#define MK_KERNELS "elementwise_float_kernels.h"
#include "mk_each_isa.h"
static const float_table *const float_tables[MK_ISA_COUNT] = MK_ISA_TABLES(float_table);

// MARK: kernels that call the library for each element, the same for every instruction set

#define UNARY(name, formula)                                                                                           \
    static void name(void *out_, const void *const *in, int64_t n, const void *parameters) {                           \
        (void)parameters;                                                                                              \
        MK_T *out = out_;                                                                                              \
        const MK_T *in_0 = in[0];                                                                                      \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            MK_T x = in_0[i];                                                                                          \
            out[i] = (formula);                                                                                        \
        }                                                                                                              \
    }
#define BINARY(name, formula)                                                                                          \
    static void name(void *out_, const void *const *in, int64_t n, const void *parameters) {                           \
        (void)parameters;                                                                                              \
        MK_T *out = out_;                                                                                              \
        const MK_T *in_0 = in[0], *in_1 = in[1];                                                                       \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            MK_T a = in_0[i], b = in_1[i];                                                                             \
            out[i] = (formula);                                                                                        \
        }                                                                                                              \
    }

#define MK_T float
#define MK_NUM(c) c##f
#define MK_MATH(name) mk_##name##f
#define F(op, formula) UNARY(library_f32_##op, formula)
MK_FLOAT_UNARY_LIBRARY(F)
#undef F
#define F(op, formula) BINARY(library_f32_##op, formula)
MK_FLOAT_BINARY_LIBRARY(F)
#undef F
#undef MK_T
#undef MK_NUM
#undef MK_MATH

#define MK_T double
#define MK_NUM(c) c
#define MK_MATH(name) mk_d_##name
#define F(op, formula) UNARY(library_f64_##op, formula)
MK_FLOAT_UNARY_SMOOTH(F)
MK_FLOAT_UNARY_LIBRARY(F)
MK_FLOAT_UNARY_PERIODIC(F)
#undef F
#define F(op, formula) BINARY(library_f64_##op, formula)
MK_FLOAT_BINARY_SMOOTH(F)
MK_FLOAT_BINARY_LIBRARY(F)
#undef F
#undef MK_T
#undef MK_NUM
#undef MK_MATH

#define F32(op, formula) [MK_##op] = {library_f32_##op},
#define F64(op, formula) [MK_##op] = {library_f64_##op},
static const mk_kernel library_unary[2][MK_UNARY_COUNT] = {
    {MK_FLOAT_UNARY_SMOOTH(F64) MK_FLOAT_UNARY_LIBRARY(F64) MK_FLOAT_UNARY_PERIODIC(F64)},
    {MK_FLOAT_UNARY_LIBRARY(F32)},
};
static const mk_kernel library_binary[2][MK_BINARY_COUNT] = {
    {MK_FLOAT_BINARY_SMOOTH(F64) MK_FLOAT_BINARY_LIBRARY(F64)},
    {MK_FLOAT_BINARY_LIBRARY(F32)},
};

// MARK: lookup

mk_kernel mk_float_unary(mk_unary_op op, int32_t dtype) {
    mk_kernel kernel = MK_TABLE(float_tables)->unary[dtype][op];
    return kernel.run != NULL ? kernel : library_unary[dtype][op];
}
mk_kernel mk_float_binary(mk_binary_op op, int32_t dtype) {
    mk_kernel kernel = MK_TABLE(float_tables)->binary[dtype][op];
    return kernel.run != NULL ? kernel : library_binary[dtype][op];
}
mk_kernel mk_float_fused(mk_fused_op op, int32_t dtype) { return MK_TABLE(float_tables)->fused[dtype][op]; }
mk_kernel mk_float_clamp(int32_t dtype) { return MK_TABLE(float_tables)->clamp[dtype]; }
mk_kernel mk_where_kernel(int64_t size) { return MK_TABLE(float_tables)->where[__builtin_ctzll((uint64_t)size)]; }
