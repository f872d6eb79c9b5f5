// Compiled once per instruction set by convert.c.

#define CONVERT(name, T_IN, T_OUT, expression)                                                                         \
    static void MK_FN(convert_##name)(void *restrict out_, const void *restrict in_, int64_t n) {                      \
        T_OUT *restrict out = out_;                                                                                    \
        const T_IN *restrict in = in_;                                                                                 \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            T_IN x = in[i];                                                                                            \
            out[i] = (expression);                                                                                     \
        }                                                                                                              \
    }

// Float to integer truncates, saturates at the ends of the range, and takes NaN to 0.
#define SATURATE(T, low, high, past, most)                                                                             \
    (x != x ? (T)0 : x >= past ? (T)most : (T)(x < low ? low : x > high ? high : x))

#define FROM_FLOAT(s, S, HIGH_I32)                                                                                     \
    CONVERT(s##_i64, S, int64_t, SATURATE(int64_t, -0x1p63f, 0x1.fffffep62f, 0x1p63f, INT64_MAX))                      \
    CONVERT(s##_i32, S, int32_t, SATURATE(int32_t, -0x1p31f, HIGH_I32, 0x1p31f, INT32_MAX))                            \
    CONVERT(s##_i16, S, int16_t, (int16_t)SATURATE(int32_t, -32768.0f, 32767.0f, 32767.0f, 32767))                     \
    CONVERT(s##_i8, S, int8_t, (int8_t)SATURATE(int32_t, -128.0f, 127.0f, 127.0f, 127))                                \
    CONVERT(s##_u8, S, uint8_t, (uint8_t)SATURATE(int32_t, 0.0f, 255.0f, 255.0f, 255))                                 \
    CONVERT(s##_bool, S, uint8_t, x != 0)

#define FROM_INT(s, S)                                                                                                 \
    CONVERT(s##_f64, S, double, (double)x)                                                                             \
    CONVERT(s##_f32, S, float, (float)x)                                                                               \
    CONVERT(s##_i64, S, int64_t, (int64_t)x)                                                                           \
    CONVERT(s##_i32, S, int32_t, (int32_t)x)                                                                           \
    CONVERT(s##_i16, S, int16_t, (int16_t)x)                                                                           \
    CONVERT(s##_i8, S, int8_t, (int8_t)x)                                                                              \
    CONVERT(s##_u8, S, uint8_t, (uint8_t)x)                                                                            \
    CONVERT(s##_bool, S, uint8_t, x != 0)

FROM_FLOAT(f64, double, 2147483647.0)
FROM_FLOAT(f32, float, 2147483520.0f)
CONVERT(f64_f64, double, double, x)
CONVERT(f64_f32, double, float, (float)x)
CONVERT(f32_f64, float, double, (double)x)
CONVERT(f32_f32, float, float, x)
FROM_INT(i64, int64_t)
FROM_INT(i32, int32_t)
FROM_INT(i16, int16_t)
FROM_INT(i8, int8_t)
FROM_INT(u8, uint8_t)
// Stored as 0 or 1.
FROM_INT(bool, uint8_t)

// Toward zero, with the last bit set where that was inexact.
MK_INLINE float MK_FN(round_to_odd)(double d) {
    float f = (float)d;
    uint32_t bits = mk_bits(f);
    double back = (double)f;
    uint32_t inexact = back != d ? 1u : 0u;
    uint32_t past = __builtin_fabs(back) > __builtin_fabs(d) ? 1u : 0u;
    return d != d ? f : mk_float((bits - past) | inexact);
}

CONVERT(f64_odd, double, float, MK_FN(round_to_odd)(x))
CONVERT(i64_odd, int64_t, float, MK_FN(round_to_odd)((double)x))
CONVERT(i32_odd, int32_t, float, MK_FN(round_to_odd)((double)x))

CONVERT(f16_f32, uint16_t, float, mk_f16_to_f32(x))
CONVERT(f32_f16, float, uint16_t, mk_f32_to_f16(x))
CONVERT(bf16_f32, uint16_t, float, mk_bf16_to_f32(x))
#include "bf16_kernels.h"
static void MK_FN(convert_f32_bf16)(void *restrict out, const void *restrict in, int64_t n) {
    MK_FN(round_to_bf16)(out, in, n);
}

#include "past_kernels.h"
#define CONVERT_PAST(name, T_IN, T_OUT)                                                                                \
    static void MK_FN(convert_##name##_past)(void *out_, const void *const *in_, int64_t n, const void *parameters) {  \
        enum { BLOCK = MK_PAST_BYTES / sizeof(T_OUT) };                                                                \
        (void)parameters;                                                                                              \
        T_OUT *out = out_;                                                                                             \
        const T_IN *in = in_[0];                                                                                       \
        for (int64_t i = 0; i < n; i += BLOCK) {                                                                       \
            T_OUT block[BLOCK];                                                                                        \
            MK_FN(convert_##name)(block, in + i, BLOCK);                                                               \
            MK_FN(past_write)(out + i, block);                                                                         \
        }                                                                                                              \
    }
CONVERT_PAST(f32_bf16, float, uint16_t)
CONVERT_PAST(bf16_f32, uint16_t, float)

#define ROW(s)                                                                                                         \
    {                                                                                                                  \
        MK_FN(convert_##s##_f64), MK_FN(convert_##s##_f32), MK_FN(convert_##s##_i64), MK_FN(convert_##s##_i32),        \
            MK_FN(convert_##s##_i16), MK_FN(convert_##s##_i8), MK_FN(convert_##s##_u8), MK_FN(convert_##s##_bool)      \
    }

static const convert_table MK_FN(convert_table) = {
    .basis = {ROW(f64), ROW(f32), ROW(i64), ROW(i32), ROW(i16), ROW(i8), ROW(u8), ROW(bool)},
    .to_odd = {MK_FN(convert_f64_odd), MK_FN(convert_f32_f32), MK_FN(convert_i64_odd), MK_FN(convert_i32_odd),
               MK_FN(convert_i16_f32), MK_FN(convert_i8_f32), MK_FN(convert_u8_f32), MK_FN(convert_bool_f32)},
    .f16_to_f32 = MK_FN(convert_f16_f32),
    .f32_to_f16 = MK_FN(convert_f32_f16),
    .bf16_to_f32 = MK_FN(convert_bf16_f32),
    .f32_to_bf16 = MK_FN(convert_f32_bf16),
    .bf16_to_f32_past = MK_FN(convert_bf16_f32_past),
    .f32_to_bf16_past = MK_FN(convert_f32_bf16_past),
};

#undef CONVERT
#undef CONVERT_PAST
#undef SATURATE
#undef FROM_FLOAT
#undef FROM_INT
#undef ROW
