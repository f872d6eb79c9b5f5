// One source for float and double: includes MK_REAL_KERNELS once for each. Use it as the MK_KERNELS of a kernel file:
//
//     #define MK_REAL_KERNELS "softmax_rows.h"
//     #define MK_KERNELS "mk_each_real.h"
//     #include "mk_each_isa.h"
//     static const softmax_table *const f32_tables[MK_ISA_COUNT] = MK_ISA_TABLES(softmax_table_f32);
//     static const softmax_table *const f64_tables[MK_ISA_COUNT] = MK_ISA_TABLES(softmax_table_f64);
//
// Inside, REAL is the type, REAL_IS_DOUBLE 0 or 1, LANES the elements of a register and RFN(name) the name of a
// function for this type and instruction set. Halves are computed in float.
#define REAL_IS_DOUBLE 0
#include "mk_real.h"
#include MK_REAL_KERNELS
#undef REAL_IS_DOUBLE
// Double precision gains nothing from AVX512-BF16.
#if MK_ISA_LEVEL < 3
#define REAL_IS_DOUBLE 1
#include "mk_real.h"
#include MK_REAL_KERNELS
#undef REAL_IS_DOUBLE
#endif
