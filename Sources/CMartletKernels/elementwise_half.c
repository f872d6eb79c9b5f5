// Half-precision kernels for the operations that are so cheap that staging their operands as floats would cost more
// than the operation, and for those that transformers are made of: they convert in registers. Results are the same
// either way, but for GELU.
#include "mk_elementwise_private.h"
#include "mk_formulas.h"

typedef struct {
    mk_kernel unary[2][MK_UNARY_COUNT]; // [MK_F16, MK_BF16]
    mk_kernel binary[2][MK_BINARY_COUNT];
} half_table;

// Two neighbours; tensors are aligned to their elements only.
typedef uint32_t bf16_pair __attribute__((aligned(2), may_alias));

#define MK_HALF_ACTIVATIONS(F)    \
    F(EXP, mk_expf(x))            \
    F(SILU, x *mk_sigmoidf(x))    \
    F(GELU, x *mk_normal_cdf_half(x))

// The normal distribution function within 7.5e-8 (Abramowitz and Stegun 1964, 26.2.17): closer than halves can tell, for
// half of what an error function costs that is exact to float precision.
MK_INLINE float mk_normal_cdf_half(float x) {
    float u = mk_absf(x);
    float t = 1.0f / (1.0f + 0.2316419f * u);
    float p = 1.330274429f;
    p = p * t - 1.821255978f;
    p = p * t + 1.781477937f;
    p = p * t - 0.356563782f;
    p = p * t + 0.319381530f;
    float above = 0.39894228f * mk_expf_nonpositive(-0.5f * u * u) * p * t;
    return x < 0.0f ? above : 1.0f - above;
}

#define MK_NUM(c) c##f
#define MK_MATH(name) mk_##name##f
#define mk_sqrtf(x) __builtin_elementwise_sqrt(x)
#define MK_KERNELS "elementwise_half_kernels.h"
#include "mk_each_isa.h"
static const half_table *const half_tables[MK_ISA_COUNT] = MK_ISA_TABLES(half_table);

mk_kernel mk_half_unary(mk_unary_op op, int32_t dtype) { return MK_TABLE(half_tables)->unary[dtype - MK_F16][op]; }
mk_kernel mk_half_binary(mk_binary_op op, int32_t dtype) { return MK_TABLE(half_tables)->binary[dtype - MK_F16][op]; }
