// See sort_keys.c. Included once per instruction set.

// Keys whose unsigned order is the order of the elements: NaN last, -0 equal to 0; `flip` of all ones reverses it.
#define MK_KEYS(NAME, KEY, BITS, EXPRESSION)                                                                           \
    static void MK_FN(keys_##NAME)(void *restrict keys, const void *restrict data, uint64_t flip, int64_t n) {         \
        KEY *restrict out = keys;                                                                                      \
        const BITS *restrict in = data;                                                                                \
        KEY reverse = (KEY)(BITS)flip;                                                                                 \
        MK_VECTORIZE for (int64_t i = 0; i < n; i++) {                                                                 \
            KEY x = in[i];                                                                                             \
            out[i] = (EXPRESSION) ^ reverse;                                                                           \
        }                                                                                                              \
    }
// Negative numbers have all their bits inverted, others the sign bit.
#define MK_FLOAT_KEY(KEY, SIGN, INFINITE, ALL)                                                                         \
    ((KEY)((x & (KEY)(SIGN - 1)) > (KEY)(INFINITE)   ? (KEY)(ALL)                                                      \
           : (x & (KEY)(SIGN - 1)) == 0              ? (KEY)(SIGN)                                                     \
           : x ^ ((x & (KEY)(SIGN)) != 0 ? (KEY)(ALL) : (KEY)(SIGN))))
MK_KEYS(f64, uint64_t, uint64_t, MK_FLOAT_KEY(uint64_t, 0x8000000000000000u, 0x7ff0000000000000u, 0xffffffffffffffffu))
MK_KEYS(f32, uint32_t, uint32_t, MK_FLOAT_KEY(uint32_t, 0x80000000u, 0x7f800000u, 0xffffffffu))
MK_KEYS(f16, uint32_t, uint16_t, MK_FLOAT_KEY(uint32_t, 0x8000u, 0x7c00u, 0xffffu))
MK_KEYS(bf16, uint32_t, uint16_t, MK_FLOAT_KEY(uint32_t, 0x8000u, 0x7f80u, 0xffffu))
MK_KEYS(i64, uint64_t, uint64_t, x ^ 0x8000000000000000u)
MK_KEYS(i32, uint32_t, uint32_t, x ^ 0x80000000u)
MK_KEYS(i16, uint32_t, uint16_t, x ^ 0x8000u)
MK_KEYS(i8, uint32_t, uint8_t, x ^ 0x80u)
MK_KEYS(u8, uint32_t, uint8_t, x)
#undef MK_KEYS
#undef MK_FLOAT_KEY

// Bit i says whether keys[i], of 64, is below the bound.
#define MK_BELOW(NAME, KEY)                                                                                            \
    typedef KEY MK_FN(group_##NAME) __attribute__((ext_vector_type(64), aligned(sizeof(KEY))));                        \
    static uint64_t MK_FN(below_##NAME)(const void *keys, uint64_t bound) {                                            \
        return __builtin_bit_cast(uint64_t, __builtin_convertvector(*(const MK_FN(group_##NAME) *)keys < (KEY)bound,   \
                                                                    key_flags));                                       \
    }
MK_BELOW(32, uint32_t)
MK_BELOW(64, uint64_t)
#undef MK_BELOW

static const sort_table MK_FN(sort_table_) = {
    {MK_FN(keys_f64), MK_FN(keys_f32), MK_FN(keys_f16), MK_FN(keys_bf16), MK_FN(keys_i64), MK_FN(keys_i32),
     MK_FN(keys_i16), MK_FN(keys_i8), MK_FN(keys_u8), MK_FN(keys_u8)},
    MK_FN(below_32),
    MK_FN(below_64),
};
