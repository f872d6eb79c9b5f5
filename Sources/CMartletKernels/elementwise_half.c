// Half-precision kernels for the operations that are so cheap that staging their operands as floats would cost more
// than the operation: they convert in registers. Results are the same either way.
#include "mk_elementwise_private.h"
#include "mk_formulas.h"

typedef struct {
    mk_kernel unary[2][MK_UNARY_COUNT]; // [MK_F16, MK_BF16]
    mk_kernel binary[2][MK_BINARY_COUNT];
} half_table;

// Two neighbours; tensors are aligned to their elements only.
typedef uint32_t bf16_pair __attribute__((aligned(2), may_alias));

#define MK_NUM(c) c##f
#define MK_MATH(name) mk_##name##f
#define mk_sqrtf(x) __builtin_elementwise_sqrt(x)
#define MK_KERNELS "elementwise_half_kernels.h"
#include "mk_each_isa.h"
static const half_table *const half_tables[MK_ISA_COUNT] = MK_ISA_TABLES(half_table);

mk_kernel mk_half_unary(mk_unary_op op, int32_t dtype) { return MK_TABLE(half_tables)->unary[dtype - MK_F16][op]; }
mk_kernel mk_half_binary(mk_binary_op op, int32_t dtype) { return MK_TABLE(half_tables)->binary[dtype - MK_F16][op]; }
