// Compiled once per instruction set by elementwise_half.c.

#define F16_UNARY(name, formula)                                                                                       \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        (void)parameters;                                                                                              \
        uint16_t *out = out_;                                                                                          \
        const uint16_t *in_0 = in[0];                                                                                  \
        MK_VECTORIZE_IN_PLACE for (int64_t i = 0; i < n; i++) {                                                        \
            float x = mk_f16_to_f32(in_0[i]);                                                                          \
            out[i] = mk_f32_to_f16(formula);                                                                           \
        }                                                                                                              \
    }
#define F16_BINARY(name, formula)                                                                                      \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        (void)parameters;                                                                                              \
        uint16_t *out = out_;                                                                                          \
        const uint16_t *in_0 = in[0], *in_1 = in[1];                                                                   \
        MK_VECTORIZE_IN_PLACE for (int64_t i = 0; i < n; i++) {                                                        \
            float a = mk_f16_to_f32(in_0[i]), b = mk_f16_to_f32(in_1[i]);                                              \
            out[i] = mk_f32_to_f16(formula);                                                                           \
        }                                                                                                              \
    }

// Two at a time: see mk_bf16_pair.
#define BF16_UNARY(name, formula)                                                                                      \
    MK_INLINE float MK_FN(name##_one)(float x) { return (formula); }                                                   \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        (void)parameters;                                                                                              \
        mk_bf16_pair *out = out_;                                                                                      \
        const mk_bf16_pair *in_0 = in[0];                                                                              \
        MK_VECTORIZE_IN_PLACE for (int64_t i = 0; i < n / 2; i++) {                                                    \
            uint32_t x = in_0[i];                                                                                      \
            const float low = MK_FN(name##_one)(mk_bf16_low(x));                                                       \
            const float high = MK_FN(name##_one)(mk_bf16_high(x));                                                     \
            out[i] = mk_bf16_pair_of(low, high);                                                                       \
        }                                                                                                              \
        if (n % 2 != 0) {                                                                                              \
            uint16_t x = ((const uint16_t *)in[0])[n - 1];                                                             \
            ((uint16_t *)out_)[n - 1] = mk_f32_to_bf16(MK_FN(name##_one)(mk_bf16_to_f32(x)));                          \
        }                                                                                                              \
    }
#define BF16_BINARY(name, formula)                                                                                     \
    MK_INLINE float MK_FN(name##_one)(float a, float b) { return (formula); }                                          \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        (void)parameters;                                                                                              \
        mk_bf16_pair *out = out_;                                                                                      \
        const mk_bf16_pair *in_0 = in[0], *in_1 = in[1];                                                               \
        MK_VECTORIZE_IN_PLACE for (int64_t i = 0; i < n / 2; i++) {                                                    \
            uint32_t a = in_0[i], b = in_1[i];                                                                         \
            const float low = MK_FN(name##_one)(mk_bf16_low(a), mk_bf16_low(b));                                       \
            const float high = MK_FN(name##_one)(mk_bf16_high(a), mk_bf16_high(b));                                    \
            out[i] = mk_bf16_pair_of(low, high);                                                                       \
        }                                                                                                              \
        if (n % 2 != 0) {                                                                                              \
            uint16_t a = ((const uint16_t *)in[0])[n - 1], b = ((const uint16_t *)in[1])[n - 1];                       \
            ((uint16_t *)out_)[n - 1] = mk_f32_to_bf16(MK_FN(name##_one)(mk_bf16_to_f32(a), mk_bf16_to_f32(b)));       \
        }                                                                                                              \
    }

#define F(op, formula) F16_UNARY(f16_##op, formula)
MK_FLOAT_UNARY_ARITHMETIC(F)
MK_HALF_ACTIVATIONS(F)
#undef F
#define F(op, formula) BF16_UNARY(bf16_##op, formula)
MK_FLOAT_UNARY_ARITHMETIC(F)
MK_HALF_ACTIVATIONS(F)
#undef F
#define F(op, formula) F16_BINARY(f16_##op, formula)
MK_FLOAT_BINARY_ARITHMETIC(F)
#undef F
#define F(op, formula) BF16_BINARY(bf16_##op, formula)
MK_FLOAT_BINARY_ARITHMETIC(F)
#undef F

#define F16(op, formula) [MK_##op] = {MK_FN(f16_##op)},
#define BF16(op, formula) [MK_##op] = {MK_FN(bf16_##op)},
static const half_table MK_FN(half_table) = {
    .unary = {{MK_FLOAT_UNARY_ARITHMETIC(F16) MK_HALF_ACTIVATIONS(F16)},
              {MK_FLOAT_UNARY_ARITHMETIC(BF16) MK_HALF_ACTIVATIONS(BF16)}},
    .binary = {{MK_FLOAT_BINARY_ARITHMETIC(F16)}, {MK_FLOAT_BINARY_ARITHMETIC(BF16)}},
};
#undef F16
#undef BF16
#undef F16_UNARY
#undef F16_BINARY
#undef BF16_UNARY
#undef BF16_BINARY
