// Integer and bool elementwise kernels on contiguous runs.
#include "mk_elementwise_private.h"
#include "mk_formulas.h"

enum { INTS = MK_BOOL - MK_I64 + 1 };

typedef struct {
    mk_kernel unary[INTS][MK_UNARY_COUNT]; // from MK_I64
    mk_kernel binary[INTS][MK_BINARY_COUNT];
    mk_kernel clamp[INTS];
} int_table;

#define MK_KERNELS "elementwise_int_kernels.h"
#include "mk_each_isa.h"
static const int_table *const int_tables[MK_ISA_COUNT] = MK_ISA_TABLES(int_table);

// MARK: division, powers and shifts, which do not vectorize

// -1 is apart because MIN / -1 traps on x86.
#define FUNCTIONS(p, T, U)                                                                                             \
    MK_INLINE T p##_fmod(T a, T b) { return b == 0 || (b < 0 && b == (T) - 1) ? (T)0 : (T)(a % b); }                   \
    MK_INLINE T p##_remainder(T a, T b) {                                                                              \
        T r = p##_fmod(a, b);                                                                                          \
        return r != 0 && (r < 0) != (b < 0) ? (T)(r + b) : r;                                                          \
    }                                                                                                                  \
    MK_INLINE T p##_floor_div(T a, T b) {                                                                              \
        if (b == 0) return 0;                                                                                          \
        if (b < 0 && b == (T) - 1) return (T)(0u - (U)a);                                                              \
        T q = (T)(a / b);                                                                                              \
        return a % b != 0 && (a < 0) != (b < 0) ? (T)(q - 1) : q;                                                      \
    }                                                                                                                  \
    MK_INLINE T p##_pow(T a, T b) {                                                                                    \
        if (b < 0) return a == 1 ? 1 : a == (T) - 1 ? (T)((b & 1) != 0 ? -1 : 1) : 0;                                  \
        U result = 1, power = (U)a;                                                                                    \
        for (uint64_t e = (uint64_t)b; e != 0; e >>= 1) {                                                              \
            if ((e & 1) != 0) result *= power;                                                                         \
            power *= power;                                                                                            \
        }                                                                                                              \
        return (T)result;                                                                                              \
    }
FUNCTIONS(i64, int64_t, uint64_t)
FUNCTIONS(i32, int32_t, uint32_t)
FUNCTIONS(i16, int16_t, uint32_t)
FUNCTIONS(i8, int8_t, uint32_t)
FUNCTIONS(u8, uint8_t, uint32_t)

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

#define MK_T int64_t
#define MK_U uint64_t
#define MK_MATH(name) i64_##name
#define F(op, formula) BINARY(slow_i64_##op, formula)
MK_INT_BINARY_SLOW(F)
#undef F
#undef MK_T
#undef MK_U
#undef MK_MATH

#define MK_U uint32_t
#define MK_T int32_t
#define MK_MATH(name) i32_##name
#define F(op, formula) BINARY(slow_i32_##op, formula)
MK_INT_BINARY_SLOW(F)
#undef F
#undef MK_T
#undef MK_MATH

#define MK_T int16_t
#define MK_MATH(name) i16_##name
#define F(op, formula) BINARY(slow_i16_##op, formula)
MK_INT_BINARY_SLOW(F)
#undef F
#undef MK_T
#undef MK_MATH

#define MK_T int8_t
#define MK_MATH(name) i8_##name
#define F(op, formula) BINARY(slow_i8_##op, formula)
MK_INT_BINARY_SLOW(F)
#undef F
#undef MK_T
#undef MK_MATH

#define MK_T uint8_t
#define MK_MATH(name) u8_##name
#define F(op, formula) BINARY(slow_u8_##op, formula)
MK_INT_BINARY_SLOW(F)
#undef F
#undef MK_T
#undef MK_U
#undef MK_MATH

#define I64(op, formula) [MK_##op] = {slow_i64_##op},
#define I32(op, formula) [MK_##op] = {slow_i32_##op},
#define I16(op, formula) [MK_##op] = {slow_i16_##op},
#define I8(op, formula) [MK_##op] = {slow_i8_##op},
#define U8(op, formula) [MK_##op] = {slow_u8_##op},
static const mk_kernel slow_binary[INTS][MK_BINARY_COUNT] = {
    {MK_INT_BINARY_SLOW(I64)}, {MK_INT_BINARY_SLOW(I32)}, {MK_INT_BINARY_SLOW(I16)},
    {MK_INT_BINARY_SLOW(I8)},  {MK_INT_BINARY_SLOW(U8)},  {{NULL}},
};

// MARK: lookup

mk_kernel mk_integer_unary(mk_unary_op op, int32_t dtype) { return MK_TABLE(int_tables)->unary[dtype - MK_I64][op]; }
mk_kernel mk_integer_binary(mk_binary_op op, int32_t dtype) {
    mk_kernel kernel = MK_TABLE(int_tables)->binary[dtype - MK_I64][op];
    return kernel.run != NULL ? kernel : slow_binary[dtype - MK_I64][op];
}
mk_kernel mk_integer_clamp(int32_t dtype) { return MK_TABLE(int_tables)->clamp[dtype - MK_I64]; }
