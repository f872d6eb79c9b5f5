// Elementwise kernels: strided, broadcast by zero strides, any dtype. Half precision computes in float.
#ifndef MK_ELEMENTWISE_H
#define MK_ELEMENTWISE_H

#include "mk_base.h"

// Every operand below has the shape of `out` (the caller broadcast it with zero strides). `out` may be exactly the same
// view as an input (in-place); any other overlap is the caller's mistake.

typedef enum mk_unary_op {
    // Every numeric dtype.
    MK_NEG, MK_ABS, MK_SIGN, MK_SQUARE, MK_BITWISE_NOT /* integers and bool */,
    // Floating point only.
    MK_RELU, MK_EXP, MK_EXP2, MK_EXPM1, MK_LOG, MK_LOG2, MK_LOG10, MK_LOG1P, MK_SQRT, MK_RSQRT, MK_RECIPROCAL,
    MK_SIN, MK_COS, MK_TAN, MK_ASIN, MK_ACOS, MK_ATAN, MK_SINH, MK_COSH, MK_TANH, MK_ASINH, MK_ACOSH, MK_ATANH,
    MK_ERF, MK_ERFC, MK_ERFINV, MK_SIGMOID, MK_LOG_SIGMOID, MK_SOFTPLUS, MK_SILU, MK_GELU /* erf */, MK_GELU_TANH,
    MK_FLOOR, MK_CEIL, MK_ROUND /* half to even */, MK_TRUNC, MK_FRAC,
    // Predicates: out is bool.
    MK_LOGICAL_NOT, MK_IS_NAN, MK_IS_INF, MK_IS_FINITE,
} mk_unary_op;

typedef enum mk_binary_op {
    // out, a, b of one dtype.
    // Integers wrap on overflow. Integer FLOOR_DIV, REMAINDER and FMOD by 0 give 0; integer POW with a negative
    // exponent gives the integer part (0 unless the base is 1 or -1); a shift by the width or more, or by a negative
    // count, shifts every bit out.
    MK_ADD, MK_SUB, MK_MUL, MK_DIV /* floating point only */, MK_FLOOR_DIV /* toward minus infinity, as Python's // */,
    MK_REMAINDER /* sign of the divisor, as Python's % */, MK_FMOD /* sign of the dividend, as C's */, MK_POW,
    MK_MAXIMUM, MK_MINIMUM /* both propagate NaN */, MK_ATAN2, MK_HYPOT,
    MK_BITWISE_AND, MK_BITWISE_OR, MK_BITWISE_XOR, MK_SHIFT_LEFT, MK_SHIFT_RIGHT, /* integers; and/or/xor bool too */
    // Derivatives: a is the gradient of the output, b the input (x) or the output (y) of the forward op.
    MK_RELU_BACKWARD /* y or x */, MK_SIGMOID_BACKWARD /* y */, MK_TANH_BACKWARD /* y */, MK_SILU_BACKWARD /* x */,
    MK_GELU_BACKWARD /* x */, MK_GELU_TANH_BACKWARD /* x */, MK_SOFTPLUS_BACKWARD /* x */,
    MK_LEAKY_RELU, MK_ELU, /* b is the slope or alpha: used with mk_binary_scalar */
    // Comparisons: a and b of one dtype, out is bool.
    MK_EQ, MK_NE, MK_LT, MK_LE, MK_GT, MK_GE, MK_LOGICAL_AND, MK_LOGICAL_OR, MK_LOGICAL_XOR,
} mk_binary_op;

#if defined(__cplusplus)
extern "C" {
#endif

// Copies with conversion between any two dtypes. Float to integer truncates, saturates at the ends of the range and
// takes NaN to 0; integer to integer wraps; to bool is `!= 0`; to bf16/f16 rounds to nearest even.
void mk_copy(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull in);
void mk_fill(const mk_tensor *_Nonnull out, mk_scalar value);
// out[i] = start + i * step in row-major order of out's logical elements (computed in double or int64).
void mk_arange(const mk_tensor *_Nonnull out, mk_scalar start, mk_scalar step);
void mk_unary(mk_unary_op op, const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull a);
void mk_binary(mk_binary_op op, const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull a, const mk_tensor *_Nonnull b);
// `scalar op a` when scalar_on_left, else `a op scalar`. The scalar takes part at the precision of the computation
// (float for f16/bf16), not rounded to the dtype.
void mk_binary_scalar(mk_binary_op op, const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull a, mk_scalar scalar,
                      bool scalar_on_left);
// condition is bool; out, a, b of one dtype.
void mk_where(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull condition, const mk_tensor *_Nonnull a,
              const mk_tensor *_Nonnull b);
// NaN passes through.
void mk_clamp(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull a, mk_scalar low, mk_scalar high);
// out = a + alpha * b * c (addcmul); out = a + alpha * b / c (addcdiv). Floating point only.
void mk_addcmul(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull a, const mk_tensor *_Nonnull b,
                const mk_tensor *_Nonnull c, double alpha);
void mk_addcdiv(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull a, const mk_tensor *_Nonnull b,
                const mk_tensor *_Nonnull c, double alpha);
// out = a + alpha * b, the gradient-accumulation kernel: a and b may differ in floating dtype from out.
void mk_axpy(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull a, const mk_tensor *_Nonnull b, double alpha);
// The name of an operation as its constant has it, after MK_: "EXP".
const char *_Nonnull mk_unary_name(mk_unary_op op);
const char *_Nonnull mk_binary_name(mk_binary_op op);

#if defined(__cplusplus)
}
#endif
#endif
