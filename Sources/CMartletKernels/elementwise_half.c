// Half-precision kernels for the operations that are so cheap that staging their operands as floats would cost more
// than the operation, and for those that transformers are made of: they convert in registers. Results are the same
// either way, but for GELU.
#include "mk_elementwise_private.h"
#include "mk_formulas.h"

typedef struct {
    mk_kernel unary[2][MK_UNARY_COUNT]; // [MK_F16, MK_BF16]
    mk_kernel binary[2][MK_BINARY_COUNT];
} half_table;

#define MK_HALF_ACTIVATIONS(F)    \
    F(EXP, mk_expf(x))            \
    F(SILU, x *mk_sigmoidf(x))    \
    F(GELU, x *mk_normal_cdf_half(x))

// The normal distribution function as a polynomial, the least largest error of x * cdf over |x| < 5: below 1e-6, twice
// what float arithmetic leaves of the exact formula, and without its exponential. At -5 what is cut off is 3e-7.
MK_INLINE float mk_normal_cdf_half(float x) {
    float t = mk_at_most(x * x * 0.08f, 2.0f) - 1.0f;
    float p = 4.929684219e-04f;
    p = p * t - 1.514153322e-03f;
    p = p * t + 2.001862973e-03f;
    p = p * t - 2.915674122e-03f;
    p = p * t + 6.165428087e-03f;
    p = p * t - 1.097323094e-02f;
    p = p * t + 1.649765670e-02f;
    p = p * t - 2.333673090e-02f;
    p = p * t + 3.142622858e-02f;
    p = p * t - 4.043294862e-02f;
    p = p * t + 5.152142048e-02f;
    p = p * t - 7.029665262e-02f;
    p = p * t + 1.413637847e-01f;
    float cdf = 0.5f + mk_at_most(x, 5.0f) * p;
    return x < -5.0f ? 0.0f : cdf;
}

#define MK_NUM(c) c##f
#define MK_MATH(name) mk_##name##f
#define mk_sqrtf(x) __builtin_elementwise_sqrt(x)
#define MK_KERNELS "elementwise_half_kernels.h"
#include "mk_each_isa.h"
static const half_table *const half_tables[MK_ISA_COUNT] = MK_ISA_TABLES(half_table);

mk_kernel mk_half_unary(mk_unary_op op, int32_t dtype) { return MK_TABLE(half_tables)->unary[dtype - MK_F16][op]; }
mk_kernel mk_half_binary(mk_binary_op op, int32_t dtype) { return MK_TABLE(half_tables)->binary[dtype - MK_F16][op]; }
