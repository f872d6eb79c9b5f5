// What every elementwise operation computes, once for all types and back ends.
//
// Each list calls F(OP, formula) where MK_##OP is the operation's enum constant and the formula is a plain C expression
// in `x` (unary) or `a` and `b` (binary) of type MK_T. Whoever expands a list defines
//   MK_T           the type of the computation: float, double or an integer type
//   MK_U           the unsigned type integers are computed in: uint64_t for int64_t, else uint32_t
//   MK_NUM(c)      a floating literal of that type
//   MK_MATH(name)  the function of that type: mk_expf(...) for MK_MATH(exp)(...)
// so that the same text compiles as C, for one vector register or another, and as a CUDA kernel.
#ifndef MK_FORMULAS_H
#define MK_FORMULAS_H

// MARK: floating point

// Arithmetic that a processor vectorizes for float and double alike.
#define MK_FLOAT_UNARY_ARITHMETIC(F)                                                                                   \
    F(NEG, -x)                                                                                                         \
    F(ABS, MK_MATH(abs)(x))                                                                                            \
    F(SIGN, x > 0 ? MK_NUM(1.0) : (x < 0 ? MK_NUM(-1.0) : x))                                                          \
    F(SQUARE, x *x)                                                                                                    \
    F(RELU, x < 0 ? MK_NUM(0.0) : x)                                                                                   \
    F(SQRT, MK_MATH(sqrt)(x))                                                                                          \
    F(RSQRT, MK_NUM(1.0) / MK_MATH(sqrt)(x))                                                                           \
    F(RECIPROCAL, MK_NUM(1.0) / x)

// Rounding to integers: one instruction, except on baseline x86-64.
#define MK_FLOAT_UNARY_ROUNDING(F)                                                                                     \
    F(FLOOR, MK_MATH(floor)(x))                                                                                        \
    F(CEIL, MK_MATH(ceil)(x))                                                                                          \
    F(ROUND, MK_MATH(roundeven)(x))                                                                                    \
    F(TRUNC, MK_MATH(trunc)(x))                                                                                        \
    F(FRAC, x - MK_MATH(trunc)(x))

// Built on the branch-free functions of mk_math.h.
#define MK_FLOAT_UNARY_SMOOTH(F)                                                                                       \
    F(EXP, MK_MATH(exp)(x))                                                                                            \
    F(EXP2, MK_MATH(exp2)(x))                                                                                          \
    F(EXPM1, MK_MATH(expm1)(x))                                                                                        \
    F(LOG, MK_MATH(log)(x))                                                                                            \
    F(LOG2, MK_MATH(log2)(x))                                                                                          \
    F(LOG10, MK_MATH(log10)(x))                                                                                        \
    F(LOG1P, MK_MATH(log1p)(x))                                                                                        \
    F(TANH, MK_MATH(tanh)(x))                                                                                          \
    F(ERF, MK_MATH(erf)(x))                                                                                            \
    F(SIGMOID, MK_MATH(sigmoid)(x))                                                                                    \
    F(LOG_SIGMOID, MK_MATH(log_sigmoid)(x))                                                                            \
    F(SOFTPLUS, MK_MATH(softplus)(x))                                                                                  \
    F(SILU, x *MK_MATH(sigmoid)(x))                                                                                    \
    F(GELU, MK_NUM(0.5) * x * (MK_NUM(1.0) + MK_MATH(erf)(x * MK_NUM(0.70710678118654752440))))                        \
    F(GELU_TANH, x *MK_MATH(sigmoid)(MK_NUM(1.59576912160573071176) * (x + MK_NUM(0.044715) * x * x * x)))

// One call of the mathematical library per element.
#define MK_FLOAT_UNARY_LIBRARY(F)                                                                                      \
    F(TAN, MK_MATH(tan)(x))                                                                                            \
    F(ASIN, MK_MATH(asin)(x))                                                                                          \
    F(ACOS, MK_MATH(acos)(x))                                                                                          \
    F(ATAN, MK_MATH(atan)(x))                                                                                          \
    F(SINH, MK_MATH(sinh)(x))                                                                                          \
    F(COSH, MK_MATH(cosh)(x))                                                                                          \
    F(ASINH, MK_MATH(asinh)(x))                                                                                        \
    F(ACOSH, MK_MATH(acosh)(x))                                                                                        \
    F(ATANH, MK_MATH(atanh)(x))                                                                                        \
    F(ERFC, MK_MATH(erfc)(x))                                                                                          \
    F(ERFINV, MK_MATH(erfinv)(x))

// sin and cos stand apart: their vectorized form is bounded (MK_SINCOS_LIMIT).
#define MK_FLOAT_UNARY_PERIODIC(F)                                                                                     \
    F(SIN, MK_MATH(sin)(x))                                                                                            \
    F(COS, MK_MATH(cos)(x))

#define MK_FLOAT_PREDICATES(F)                                                                                         \
    F(LOGICAL_NOT, x == 0)                                                                                             \
    F(IS_NAN, x != x)                                                                                                  \
    F(IS_INF, (x == x) & (x - x != 0))                                                                                 \
    F(IS_FINITE, x - x == 0)

#define MK_FLOAT_BINARY_ARITHMETIC(F)                                                                                  \
    F(ADD, a + b)                                                                                                      \
    F(SUB, a - b)                                                                                                      \
    F(MUL, a *b)                                                                                                       \
    F(DIV, a / b)                                                                                                      \
    F(MAXIMUM, a > b || a != a ? a : b)                                                                                \
    F(MINIMUM, a < b || a != a ? a : b)                                                                                \
    F(RELU_BACKWARD, b <= 0 ? MK_NUM(0.0) : a)                                                                         \
    F(SIGMOID_BACKWARD, a *(b * (MK_NUM(1.0) - b)))                                                                    \
    F(TANH_BACKWARD, a *(MK_NUM(1.0) - b * b))                                                                         \
    F(LEAKY_RELU, a < 0 ? a * b : a)

#define MK_FLOAT_BINARY_SMOOTH(F)                                                                                      \
    F(SILU_BACKWARD, MK_MATH(silu_backward)(a, b))                                                                     \
    F(GELU_BACKWARD, MK_MATH(gelu_backward)(a, b))                                                                     \
    F(GELU_TANH_BACKWARD, MK_MATH(gelu_tanh_backward)(a, b))                                                           \
    F(SOFTPLUS_BACKWARD, a *MK_MATH(sigmoid)(b))                                                                       \
    F(ELU, a < 0 ? b * MK_MATH(expm1)(a) : a)

#define MK_FLOAT_BINARY_LIBRARY(F)                                                                                     \
    F(FLOOR_DIV, MK_MATH(floor_div)(a, b))                                                                             \
    F(REMAINDER, MK_MATH(remainder)(a, b))                                                                             \
    F(FMOD, MK_MATH(fmod)(a, b))                                                                                       \
    F(POW, MK_MATH(pow)(a, b))                                                                                         \
    F(ATAN2, MK_MATH(atan2)(a, b))                                                                                     \
    F(HYPOT, MK_MATH(hypot)(a, b))

// Every type; out is bool.
#define MK_COMPARISONS(F)                                                                                              \
    F(EQ, a == b)                                                                                                      \
    F(NE, a != b)                                                                                                      \
    F(LT, a < b)                                                                                                       \
    F(LE, a <= b)                                                                                                      \
    F(GT, a > b)                                                                                                       \
    F(GE, a >= b)                                                                                                      \
    F(LOGICAL_AND, (a != 0) & (b != 0))                                                                                \
    F(LOGICAL_OR, (a != 0) | (b != 0))                                                                                 \
    F(LOGICAL_XOR, (a != 0) ^ (b != 0))

// The derivatives that need several statements. FN(name) gives the full name of the function to define; MK_T, MK_NUM
// and MK_MATH are set as above.
#define MK_COMPOSITES(FN)                                                                                              \
    MK_INLINE MK_T FN(silu_backward)(MK_T g, MK_T x) {                                                                 \
        MK_T s = MK_MATH(sigmoid)(x);                                                                                  \
        return g * s * (MK_NUM(1.0) + x * (MK_NUM(1.0) - s));                                                          \
    }                                                                                                                  \
    MK_INLINE MK_T FN(gelu_backward)(MK_T g, MK_T x) {                                                                 \
        MK_T phi = MK_NUM(0.39894228040143267794) * MK_MATH(exp)(MK_NUM(-0.5) * x * x);                                \
        MK_T cdf = MK_NUM(0.5) * (MK_NUM(1.0) + MK_MATH(erf)(x * MK_NUM(0.70710678118654752440)));                     \
        return g * (cdf + x * phi);                                                                                    \
    }                                                                                                                  \
    MK_INLINE MK_T FN(gelu_tanh_backward)(MK_T g, MK_T x) {                                                            \
        /* The slope of the sigmoid is 0 far out, where x * x * x may overflow: bound x there. */                      \
        MK_T c = x > MK_NUM(100.0) ? MK_NUM(100.0) : (x < MK_NUM(-100.0) ? MK_NUM(-100.0) : x);                        \
        MK_T s = MK_MATH(sigmoid)(MK_NUM(1.59576912160573071176) * (c + MK_NUM(0.044715) * c * c * c));                \
        MK_T slope = MK_NUM(1.59576912160573071176) * (MK_NUM(1.0) + MK_NUM(0.134145) * c * c);                        \
        return g * (s + c * slope * s * (MK_NUM(1.0) - s));                                                            \
    }

// MARK: integers

// Wrapping arithmetic goes through the unsigned type; division by zero gives 0 and MIN / -1 wraps, so nothing traps.
#define MK_INT_UNARY(F)                                                                                                \
    F(NEG, (MK_T)(0u - (MK_U)x))                                                                                       \
    F(ABS, x < 0 ? (MK_T)(0u - (MK_U)x) : x)                                                                           \
    F(SIGN, (MK_T)((x > 0) - (x < 0)))                                                                                 \
    F(SQUARE, (MK_T)((MK_U)x * (MK_U)x))                                                                               \
    F(BITWISE_NOT, (MK_T)~x)

#define MK_INT_BINARY(F)                                                                                               \
    F(ADD, (MK_T)((MK_U)a + (MK_U)b))                                                                                  \
    F(SUB, (MK_T)((MK_U)a - (MK_U)b))                                                                                  \
    F(MUL, (MK_T)((MK_U)a * (MK_U)b))                                                                                  \
    F(MAXIMUM, a > b ? a : b)                                                                                          \
    F(MINIMUM, a < b ? a : b)                                                                                          \
    F(BITWISE_AND, (MK_T)(a & b))                                                                                      \
    F(BITWISE_OR, (MK_T)(a | b))                                                                                       \
    F(BITWISE_XOR, (MK_T)(a ^ b))

// Powers wrap; a negative exponent gives the integer part of the result (0 unless the base is 1 or -1, and 0 for 0).
// A shift by the width or more, or by a negative count, shifts every bit out.
#define MK_INT_BINARY_SLOW(F)                                                                                          \
    F(FLOOR_DIV, MK_MATH(floor_div)(a, b))                                                                             \
    F(REMAINDER, MK_MATH(remainder)(a, b))                                                                             \
    F(FMOD, MK_MATH(fmod)(a, b))                                                                                       \
    F(POW, MK_MATH(pow)(a, b))                                                                                         \
    F(SHIFT_LEFT, (MK_U)b >= sizeof(MK_U) * 8 ? (MK_T)0 : (MK_T)((MK_U)a << (MK_U)b))                                  \
    F(SHIFT_RIGHT, (MK_T)(a >> ((MK_U)b >= sizeof(MK_U) * 8 ? sizeof(MK_U) * 8 - 1 : (MK_U)b)))

// bool: + and max are or, * and min are and, - is exclusive or.
#define MK_BOOL_BINARY(F)                                                                                              \
    F(ADD, a | b)                                                                                                      \
    F(SUB, a ^ b)                                                                                                      \
    F(MUL, a &b)                                                                                                       \
    F(MAXIMUM, a | b)                                                                                                  \
    F(MINIMUM, a &b)                                                                                                   \
    F(BITWISE_AND, a &b)                                                                                               \
    F(BITWISE_OR, a | b)                                                                                               \
    F(BITWISE_XOR, a ^ b)

#endif
