// See blocks.c. Included once per instruction set.

#pragma clang fp contract(off)

#define MK_WIDEN(NAME, TO, FROM, EXPRESSION)                                                                               \
    static void MK_FN(NAME)(TO *restrict out, const FROM *restrict in, int64_t n) {                                        \
        MK_VECTORIZE for (int64_t i = 0; i < n; i++) {                                                                     \
            FROM x = in[i];                                                                                                \
            out[i] = (TO)(EXPRESSION);                                                                                     \
        }                                                                                                                  \
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
// A floating-point zero is all bits clear but the sign's.
MK_WIDEN(nonzero_f64, int64_t, uint64_t, (x << 1) != 0)
MK_WIDEN(nonzero_f32, int64_t, uint32_t, (x << 1) != 0)
MK_WIDEN(nonzero_half, int64_t, uint16_t, (uint16_t)(x << 1) != 0)
MK_WIDEN(i32_from_i64, int32_t, int64_t, x)
MK_WIDEN(i16_from_i64, int16_t, int64_t, x)
MK_WIDEN(i8_from_i64, int8_t, int64_t, x)
MK_WIDEN(bool_from_i64, uint8_t, int64_t, x != 0)
#undef MK_WIDEN

#define MK_AXPY(NAME, ACC, FROM, EXPRESSION)                                                                               \
    static void MK_FN(NAME)(ACC *restrict acc, const FROM *restrict in, ACC alpha, int64_t n) {                            \
        MK_VECTORIZE for (int64_t i = 0; i < n; i++) {                                                                     \
            FROM x = in[i];                                                                                                \
            acc[i] = acc[i] + alpha * (EXPRESSION);                                                                        \
        }                                                                                                                  \
    }
MK_AXPY(axpy_f32_f32, float, float, x)
MK_AXPY(axpy_f32_f16, float, uint16_t, mk_f16_to_f32(x))
MK_AXPY(axpy_f32_bf16, float, uint16_t, mk_bf16_to_f32(x))
MK_AXPY(axpy_f64_f64, double, double, x)
MK_AXPY(axpy_f64_f32, double, float, (double)x)
#undef MK_AXPY

static const blocks_table MK_FN(blocks_table_) = {
    MK_FN(f64_from_f32), MK_FN(f32_from_f64), MK_FN(i64_from_i32), MK_FN(i64_from_i16),   MK_FN(i64_from_i8),
    MK_FN(i64_from_u8),  MK_FN(nonzero_8),    MK_FN(nonzero_4),    MK_FN(nonzero_2),      MK_FN(nonzero_1),
    MK_FN(nonzero_f64),  MK_FN(nonzero_f32),  MK_FN(nonzero_half), MK_FN(i32_from_i64),   MK_FN(i16_from_i64),
    MK_FN(i8_from_i64),  MK_FN(bool_from_i64), MK_FN(axpy_f32_f32), MK_FN(axpy_f32_f16),  MK_FN(axpy_f32_bf16),
    MK_FN(axpy_f64_f64), MK_FN(axpy_f64_f32),
};
