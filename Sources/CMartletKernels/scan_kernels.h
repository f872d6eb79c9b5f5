// See scan.c. Included once per instruction set. Lanes and the order of additions are the same in all of them.

#pragma clang fp contract(off)

#ifndef MK_SCAN_KERNELS
#define MK_SCAN_KERNELS

typedef double scan_doubles __attribute__((ext_vector_type(8), aligned(8)));
typedef float scan_floats __attribute__((ext_vector_type(8), aligned(4)));
typedef uint32_t scan_words __attribute__((ext_vector_type(8), aligned(4)));
typedef int32_t scan_masks __attribute__((ext_vector_type(8), aligned(4)));
typedef uint16_t scan_halves __attribute__((ext_vector_type(8), aligned(2)));

#define MK_READ_F64(p) (*(const scan_doubles *)(p))
#define MK_READ_F32(p) __builtin_convertvector(*(const scan_floats *)(p), scan_doubles)
#define MK_READ_BF16(p)                                                                                                \
    __builtin_convertvector(__builtin_bit_cast(scan_floats, __builtin_convertvector(*(const scan_halves *)(p),         \
                                                                                    scan_words) << 16), scan_doubles)
#define MK_WRITE_F64(p, v) (*(scan_doubles *)(p) = (v))
#define MK_WRITE_F32(p, v) (*(scan_floats *)(p) = __builtin_convertvector(v, scan_floats))
// mk_f32_to_bf16 of the elements of a vector.
#define MK_ROUND_BF16(narrow, WORDS, MASKS, HALVES)                                                                    \
    ({                                                                                                                 \
        WORDS bits = __builtin_bit_cast(WORDS, narrow), nan = (bits >> 16) | 0x40u;                                    \
        MASKS is_nan = narrow != narrow;                                                                               \
        __builtin_convertvector(is_nan ? nan : MK_ROUND_BITS(bits) >> 16, HALVES);                                     \
    })
#define MK_WRITE_BF16(p, v)                                                                                            \
    do {                                                                                                               \
        scan_floats narrow = __builtin_convertvector(v, scan_floats);                                                  \
        *(scan_halves *)(p) = MK_ROUND_BF16(narrow, scan_words, scan_masks, scan_halves);                              \
    } while (0)
#define MK_ONE_F64(x) (x)
#define MK_ONE_F32(x) ((double)(x))
#define MK_ONE_BF16(x) ((double)mk_bf16_to_f32(x))
#define MK_BACK_F64(x) (x)
#define MK_BACK_F32(x) ((float)(x))
#define MK_BACK_BF16(x) mk_f32_to_bf16((float)(x))

typedef float scan_wide_floats __attribute__((ext_vector_type(16)));
typedef uint32_t scan_wide_words __attribute__((ext_vector_type(16)));
typedef int32_t scan_wide_masks __attribute__((ext_vector_type(16)));
typedef uint16_t scan_wide_halves __attribute__((ext_vector_type(16)));
typedef uint16_t scan_line_halves __attribute__((ext_vector_type(32)));

static const double scan_zeros[8];

// Sums within eight in three steps of additions that do not wait for what came before; index 8 is a lane of zeros.
#define MK_SHIFT(v, ...) __builtin_shufflevector(v, zero, __VA_ARGS__)
#define MK_PREFIX(v)                                                                                                   \
    v += MK_SHIFT(v, 8, 0, 1, 2, 3, 4, 5, 6);                                                                          \
    v += MK_SHIFT(v, 8, 8, 0, 1, 2, 3, 4, 5);                                                                          \
    v += MK_SHIFT(v, 8, 8, 8, 8, 0, 1, 2, 3);
#define MK_SUFFIX(v)                                                                                                   \
    v += MK_SHIFT(v, 1, 2, 3, 4, 5, 6, 7, 8);                                                                          \
    v += MK_SHIFT(v, 2, 3, 4, 5, 6, 7, 8, 8);                                                                          \
    v += MK_SHIFT(v, 4, 5, 6, 7, 8, 8, 8, 8);

#endif

// row: sums of a line from either end, after *carry, which becomes the sum of all.
// columns: acc[j] += in[j], out[j] = acc[j] for `count` rows, one after the other.
#define MK_SCAN_SUMS(TYPE, E)                                                                                          \
    static void MK_FN(scan_row_##TYPE)(double *carry, const void *data, void *result, int64_t n, bool reverse) {       \
        const double *zeros = scan_zeros;                                                                              \
        /* The compiler must not see that they are: it would take an instruction for it that is slow on Zen. */        \
        __asm__("" : "+r"(zeros));                                                                                     \
        const scan_doubles zero = *(const scan_doubles *)zeros;                                                        \
        const E *in = data;                                                                                            \
        E *out = result;                                                                                               \
        double before = *carry;                                                                                        \
        int64_t whole = n / 8 * 8;                                                                                     \
        if (reverse) {                                                                                                 \
            for (int64_t i = n - 1; i >= whole; i--) out[i] = MK_BACK_##TYPE(before += MK_ONE_##TYPE(in[i]));          \
            for (int64_t i = whole - 8; i >= 0; i -= 8) {                                                              \
                scan_doubles v = MK_READ_##TYPE(in + i);                                                               \
                MK_SUFFIX(v)                                                                                           \
                MK_WRITE_##TYPE(out + i, v + before);                                                                  \
                before += v[0];                                                                                        \
            }                                                                                                          \
        } else {                                                                                                       \
            for (int64_t i = 0; i < whole; i += 8) {                                                                   \
                scan_doubles v = MK_READ_##TYPE(in + i);                                                               \
                MK_PREFIX(v)                                                                                           \
                MK_WRITE_##TYPE(out + i, v + before);                                                                  \
                before += v[7];                                                                                        \
            }                                                                                                          \
            for (int64_t i = whole; i < n; i++) out[i] = MK_BACK_##TYPE(before += MK_ONE_##TYPE(in[i]));               \
        }                                                                                                              \
        *carry = before;                                                                                               \
    }                                                                                                                  \
    static void MK_FN(scan_columns_##TYPE)(double *restrict acc, const char *data, int64_t in_step, char *result,      \
                                           int64_t out_step, int64_t count, int64_t n) {                               \
        int64_t k = 0;                                                                                                 \
        for (; k + 4 <= count; k += 4) {                                                                               \
            const E *i0 = (const E *)(data + k * in_step), *i1 = (const E *)(data + (k + 1) * in_step);                \
            const E *i2 = (const E *)(data + (k + 2) * in_step), *i3 = (const E *)(data + (k + 3) * in_step);          \
            E *o0 = (E *)(result + k * out_step), *o1 = (E *)(result + (k + 1) * out_step);                            \
            E *o2 = (E *)(result + (k + 2) * out_step), *o3 = (E *)(result + (k + 3) * out_step);                      \
            MK_VECTORIZE_IN_PLACE for (int64_t j = 0; j < n; j++) {                                                    \
                double a = acc[j] + MK_ONE_##TYPE(i0[j]), b = a + MK_ONE_##TYPE(i1[j]);                                \
                double c = b + MK_ONE_##TYPE(i2[j]), d = c + MK_ONE_##TYPE(i3[j]);                                     \
                o0[j] = MK_BACK_##TYPE(a);                                                                             \
                o1[j] = MK_BACK_##TYPE(b);                                                                             \
                o2[j] = MK_BACK_##TYPE(c);                                                                             \
                o3[j] = MK_BACK_##TYPE(d);                                                                             \
                acc[j] = d;                                                                                            \
            }                                                                                                          \
        }                                                                                                              \
        for (; k < count; k++) {                                                                                       \
            const E *in = (const E *)(data + k * in_step);                                                             \
            E *out = (E *)(result + k * out_step);                                                                     \
            MK_VECTORIZE_IN_PLACE for (int64_t j = 0; j < n; j++) {                                                    \
                acc[j] += MK_ONE_##TYPE(in[j]);                                                                        \
                out[j] = MK_BACK_##TYPE(acc[j]);                                                                       \
            }                                                                                                          \
        }                                                                                                              \
    }
MK_SCAN_SUMS(F64, double)
MK_SCAN_SUMS(F32, float)
MK_SCAN_SUMS(BF16, uint16_t)
#undef MK_SCAN_SUMS

// columns of SCAN_PIECE neighbours, whose sums stay in registers, written past the caches to where cache lines begin.
#define MK_SCAN_BOTH(a, b) __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
#define MK_SCAN_FLOATS(sums)                                                                                           \
    MK_SCAN_BOTH(__builtin_convertvector((sums)[0], scan_floats), __builtin_convertvector((sums)[1], scan_floats))
#define MK_SCAN_STREAM(TYPE, E, WRITE)                                                                                 \
    static void MK_FN(scan_stream_##TYPE)(double *acc, const char *in, int64_t in_step, char *out, int64_t out_step,   \
                                          int64_t count) {                                                             \
        enum { SUMS = SCAN_PIECE / 8 };                                                                                \
        scan_doubles sums[SUMS];                                                                                       \
        _Pragma("clang loop unroll(full)") for (int j = 0; j < SUMS; j++) sums[j] = MK_READ_F64(acc + 8 * j);          \
        for (int64_t k = 0; k < count; k++, in += in_step, out += out_step) {                                          \
            const E *x = (const E *)in;                                                                                \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < SUMS; j++) sums[j] += MK_READ_##TYPE(x + 8 * j);    \
            WRITE                                                                                                      \
        }                                                                                                              \
        _Pragma("clang loop unroll(full)") for (int j = 0; j < SUMS; j++) MK_WRITE_F64(acc + 8 * j, sums[j]);          \
    }
MK_SCAN_STREAM(F32, float, {
    _Pragma("clang loop unroll(full)") for (int j = 0; j < SUMS; j += 2)
        __builtin_nontemporal_store(MK_SCAN_FLOATS(sums + j), (scan_wide_floats *)(void *)(out + 32 * j));
})
MK_SCAN_STREAM(BF16, uint16_t, {
    _Pragma("clang loop unroll(full)") for (int j = 0; j < SUMS; j += 4) {
        const scan_wide_floats first = MK_SCAN_FLOATS(sums + j);
        const scan_wide_floats second = MK_SCAN_FLOATS(sums + j + 2);
        const scan_wide_halves low = MK_ROUND_BF16(first, scan_wide_words, scan_wide_masks, scan_wide_halves);
        const scan_wide_halves high = MK_ROUND_BF16(second, scan_wide_words, scan_wide_masks, scan_wide_halves);
        const scan_line_halves both =
            __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
                                    21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
        __builtin_nontemporal_store(both, (scan_line_halves *)(void *)(out + 16 * j));
    }
})
#undef MK_SCAN_STREAM
#undef MK_SCAN_BOTH
#undef MK_SCAN_FLOATS

static const scan_table MK_FN(scan_table_) = {
    .stream = {[MK_F32] = MK_FN(scan_stream_F32), [MK_BF16] = MK_FN(scan_stream_BF16)},
    .row = {[MK_F64] = MK_FN(scan_row_F64), [MK_F32] = MK_FN(scan_row_F32), [MK_BF16] = MK_FN(scan_row_BF16)},
    .columns = {[MK_F64] = MK_FN(scan_columns_F64),
                [MK_F32] = MK_FN(scan_columns_F32),
                [MK_BF16] = MK_FN(scan_columns_BF16)},
};
