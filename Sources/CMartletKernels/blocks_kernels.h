// See blocks.c. Included once per instruction set.

#pragma clang fp contract(off)

#define MK_WIDEN(NAME, TO, FROM, EXPRESSION)                                                                           \
    static void MK_FN(NAME)(TO *restrict out, const FROM *restrict in, int64_t n) {                                    \
        MK_VECTORIZE for (int64_t i = 0; i < n; i++) {                                                                 \
            FROM x = in[i];                                                                                            \
            out[i] = (TO)(EXPRESSION);                                                                                 \
        }                                                                                                              \
    }
MK_WIDEN(f64_from_f32, double, float, x)
MK_WIDEN(f32_from_f64, float, double, x)
MK_WIDEN(i64_from_i32, int64_t, int32_t, x)
MK_WIDEN(i64_from_i16, int64_t, int16_t, x)
MK_WIDEN(i64_from_i8, int64_t, int8_t, x)
MK_WIDEN(i64_from_u8, int64_t, uint8_t, x)
MK_WIDEN(nonzero_8, int64_t, uint64_t, x != 0)
MK_WIDEN(nonzero_4, int64_t, uint32_t, x != 0)
MK_WIDEN(nonzero_2, int64_t, uint16_t, x != 0)
MK_WIDEN(nonzero_1, int64_t, uint8_t, x != 0)
MK_WIDEN(nonzero_f64, int64_t, uint64_t, (x << 1) != 0)
MK_WIDEN(nonzero_f32, int64_t, uint32_t, (x << 1) != 0)
MK_WIDEN(nonzero_half, int64_t, uint16_t, (uint16_t)(x << 1) != 0)
MK_WIDEN(i32_from_i64, int32_t, int64_t, x)
MK_WIDEN(i16_from_i64, int16_t, int64_t, x)
MK_WIDEN(i8_from_i64, int8_t, int64_t, x)
MK_WIDEN(bool_from_i64, uint8_t, int64_t, x != 0)
#undef MK_WIDEN

#define MK_AXPY(NAME, ACC, FROM, EXPRESSION)                                                                           \
    static void MK_FN(NAME)(ACC *restrict acc, const FROM *restrict in, ACC alpha, int64_t n) {                        \
        MK_VECTORIZE for (int64_t i = 0; i < n; i++) {                                                                 \
            FROM x = in[i];                                                                                            \
            acc[i] = acc[i] + alpha * (EXPRESSION);                                                                    \
        }                                                                                                              \
    }
MK_AXPY(axpy_f32_f32, float, float, x)
MK_AXPY(axpy_f32_f16, float, uint16_t, mk_f16_to_f32(x))
MK_AXPY(axpy_f32_bf16, float, uint16_t, mk_bf16_to_f32(x))
MK_AXPY(axpy_f64_f64, double, double, x)
MK_AXPY(axpy_f64_f32, double, float, (double)x)
#undef MK_AXPY

// Counts in lanes of the element's own width, which n <= MK_BLOCK cannot overflow; their sum needs 16 bits.
#define MK_COUNT(NAME, T, V, SUM, MASK)                                                                                \
    static int64_t MK_FN(count_##NAME)(const void *data, int64_t n) {                                                  \
        enum { lanes = sizeof(V) / sizeof(T) };                                                                        \
        const T *in = data;                                                                                            \
        V acc = 0;                                                                                                     \
        int64_t i = 0;                                                                                                 \
        for (; i + lanes <= n; i += lanes) acc -= (V)((*(const V *)(in + i) & (T)(MASK)) != 0);                        \
        int64_t count = (int64_t)__builtin_reduce_add(__builtin_convertvector(acc, SUM));                              \
        for (; i < n; i++) count += (in[i] & (T)(MASK)) != 0;                                                          \
        return count;                                                                                                  \
    }
// A floating-point zero is all bits clear but the sign's.
MK_COUNT(f64, uint64_t, blocks_u64, blocks_u64, 0x7fffffffffffffff)
MK_COUNT(f32, uint32_t, blocks_u32, blocks_u32, 0x7fffffff)
MK_COUNT(half, uint16_t, blocks_u16, blocks_u16, 0x7fff)
MK_COUNT(8, uint64_t, blocks_u64, blocks_u64, -1)
MK_COUNT(4, uint32_t, blocks_u32, blocks_u32, -1)
MK_COUNT(2, uint16_t, blocks_u16, blocks_u16, -1)
MK_COUNT(1, uint8_t, blocks_u8, blocks_sums, -1)
#undef MK_COUNT

static const blocks_table MK_FN(blocks_table_) = {
    MK_FN(f64_from_f32), MK_FN(f32_from_f64), MK_FN(i64_from_i32), MK_FN(i64_from_i16),   MK_FN(i64_from_i8),
    MK_FN(i64_from_u8),  MK_FN(nonzero_8),    MK_FN(nonzero_4),    MK_FN(nonzero_2),      MK_FN(nonzero_1),
    MK_FN(nonzero_f64),  MK_FN(nonzero_f32),  MK_FN(nonzero_half), MK_FN(i32_from_i64),   MK_FN(i16_from_i64),
    MK_FN(i8_from_i64),  MK_FN(bool_from_i64), MK_FN(axpy_f32_f32), MK_FN(axpy_f32_f16),  MK_FN(axpy_f32_bf16),
    MK_FN(axpy_f64_f64), MK_FN(axpy_f64_f32),
    {MK_FN(count_f64), MK_FN(count_f32), MK_FN(count_half), MK_FN(count_half), MK_FN(count_8), MK_FN(count_4),
     MK_FN(count_2), MK_FN(count_1), MK_FN(count_1), MK_FN(count_1)},
};
