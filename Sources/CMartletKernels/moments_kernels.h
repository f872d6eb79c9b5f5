// See moments.c. Included once per instruction set. Lanes and the order of additions are the same in all of them.

#pragma clang fp contract(off)

typedef double MK_FN(moments_sums) __attribute__((ext_vector_type(8)));

// Σ of the lanes of a vector.
#define MK_MOMENTS_TYPE(NAME, T, LANES)                                                                                \
    typedef T MK_FN(moments_##NAME) __attribute__((ext_vector_type(LANES), aligned(sizeof(T))));                       \
    typedef T MK_FN(moments_eight_##NAME) __attribute__((ext_vector_type(8)));                                         \
    MK_INLINE double MK_FN(moments_total_##NAME)(const T *v) {                                                         \
        MK_FN(moments_eight_##NAME) part;                                                                              \
        MK_FN(moments_sums) sums = 0;                                                                                  \
        for (int l = 0; l < LANES; l += 8) {                                                                           \
            memcpy(&part, v + l, sizeof part);                                                                         \
            sums += __builtin_convertvector(part, MK_FN(moments_sums));                                                \
        }                                                                                                              \
        const __auto_type four = sums.lo + sums.hi;                                                                    \
        const __auto_type two = four.lo + four.hi;                                                                     \
        return two[0] + two[1];                                                                                        \
    }
MK_MOMENTS_TYPE(f32, float, 64)
MK_MOMENTS_TYPE(f64, double, 32)
#undef MK_MOMENTS_TYPE

// near_row and near_columns, of elements of the type E that are read as T. Where `near` is infinite or NaN so is the mean
// of all, whatever this finds.
#define MK_NEAR_EIGHT(READ_ONE, T, j)                                                                                  \
    const T c = center[j], d0 = READ_ONE(r0[j]) - c, d1 = READ_ONE(r1[j]) - c, d2 = READ_ONE(r2[j]) - c;               \
    const T d3 = READ_ONE(r3[j]) - c, d4 = READ_ONE(r4[j]) - c, d5 = READ_ONE(r5[j]) - c;                              \
    const T d6 = READ_ONE(r6[j]) - c, d7 = READ_ONE(r7[j]) - c;                                                        \
    sum[j] += ((d0 + d1) + (d2 + d3)) + ((d4 + d5) + (d6 + d7));                                                       \
    square[j] += ((d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3)) + ((d4 * d4 + d5 * d5) + (d6 * d6 + d7 * d7));
#define MK_MOMENTS_NEAR(NAME, E, READ, READ_ONE, WIDE, T, LANES)                                                       \
    static void MK_FN(near_row_##NAME)(const void *data, double near, int64_t n, double *mean, double *squares) {      \
        const E *in = data;                                                                                            \
        const T center = near - near == 0 ? (T)near : 0;                                                               \
        MK_FN(moments_##WIDE) sums = 0, square = 0;                                                                    \
        int64_t i = 0;                                                                                                 \
        for (; i + LANES <= n; i += LANES) {                                                                           \
            MK_FN(moments_##WIDE) d = READ(in + i) - center;                                                           \
            sums += d;                                                                                                 \
            square += d * d;                                                                                           \
        }                                                                                                              \
        double s = MK_FN(moments_total_##WIDE)((const T *)&sums);                                                      \
        double q = MK_FN(moments_total_##WIDE)((const T *)&square);                                                    \
        for (; i < n; i++) {                                                                                           \
            const double d = (double)(READ_ONE(in[i]) - center);                                                       \
            s += d;                                                                                                    \
            q += d * d;                                                                                                \
        }                                                                                                              \
        const double rest = q - s * s / (double)n;                                                                     \
        *mean = (double)center + s / (double)n;                                                                        \
        *squares = rest < 0 ? 0 : rest;                                                                                \
    }                                                                                                                  \
    static void MK_FN(near_columns_##NAME)(double *restrict mean, double *restrict squares, const double *near,        \
                                           const void *const *rows, int64_t count, int64_t n, int64_t ahead) {         \
        enum { width = 128 / sizeof(E) };                                                                              \
        _Alignas(64) T center[MOMENTS_TILE], sum[MOMENTS_TILE], square[MOMENTS_TILE];                                  \
        MK_VECTORIZE for (int64_t j = 0; j < n; j++) {                                                                 \
            center[j] = near[j] - near[j] == 0 ? (T)near[j] : 0;                                                       \
            sum[j] = square[j] = 0;                                                                                    \
        }                                                                                                              \
        int64_t k = 0;                                                                                                 \
        for (; k + 8 <= count; k += 8) {                                                                               \
            const E *r0 = rows[k], *r1 = rows[k + 1], *r2 = rows[k + 2], *r3 = rows[k + 3];                            \
            const E *r4 = rows[k + 4], *r5 = rows[k + 5], *r6 = rows[k + 6], *r7 = rows[k + 7];                        \
            int64_t i = 0;                                                                                             \
            for (; ahead != 0 && i + width <= n; i += width) {                                                         \
                mk_fetch_eight(rows + k, n * (int64_t)sizeof(E), i * (int64_t)sizeof(E), ahead);                       \
                MK_VECTORIZE for (int64_t j = i; j < i + width; j++) {                                                 \
                    MK_NEAR_EIGHT(READ_ONE, T, j)                                                                      \
                }                                                                                                      \
            }                                                                                                          \
            MK_VECTORIZE for (int64_t j = i; j < n; j++) {                                                             \
                MK_NEAR_EIGHT(READ_ONE, T, j)                                                                          \
            }                                                                                                          \
        }                                                                                                              \
        for (; k < count; k++) {                                                                                       \
            const E *row = rows[k];                                                                                    \
            MK_VECTORIZE for (int64_t j = 0; j < n; j++) {                                                             \
                const T d = READ_ONE(row[j]) - center[j];                                                              \
                sum[j] += d;                                                                                           \
                square[j] += d * d;                                                                                    \
            }                                                                                                          \
        }                                                                                                              \
        const double one_of = 1 / (double)count;                                                                       \
        MK_VECTORIZE for (int64_t j = 0; j < n; j++) {                                                                 \
            const double s = (double)sum[j], rest = (double)square[j] - s * s * one_of;                                \
            mean[j] = (double)center[j] + s * one_of;                                                                  \
            squares[j] = rest < 0 ? 0 : rest;                                                                          \
        }                                                                                                              \
    }
typedef uint16_t MK_FN(moments_halves) __attribute__((ext_vector_type(64), aligned(2)));
typedef uint32_t MK_FN(moments_words) __attribute__((ext_vector_type(64)));
#define MK_AS_IT_IS(x) (x)
#define MK_READ_F32(p) (*(const MK_FN(moments_f32) *)(p))
#define MK_READ_F64(p) (*(const MK_FN(moments_f64) *)(p))
#define MK_READ_BF16(p)                                                                                                \
    __builtin_bit_cast(MK_FN(moments_f32),                                                                             \
                       __builtin_convertvector(*(const MK_FN(moments_halves) *)(p), MK_FN(moments_words)) << 16)
MK_MOMENTS_NEAR(f32, float, MK_READ_F32, MK_AS_IT_IS, f32, float, 64)
MK_MOMENTS_NEAR(f64, double, MK_READ_F64, MK_AS_IT_IS, f64, double, 32)
MK_MOMENTS_NEAR(bf16, uint16_t, MK_READ_BF16, mk_bf16_to_f32, f32, float, 64)
#undef MK_AS_IT_IS
#undef MK_READ_F32
#undef MK_READ_F64
#undef MK_READ_BF16
#undef MK_MOMENTS_NEAR
#undef MK_NEAR_EIGHT

static void MK_FN(moments_join)(double *restrict mean, double *restrict squares, const double *restrict other_mean,
                                const double *restrict other_squares, double share, double before, int64_t n) {
    MK_VECTORIZE for (int64_t j = 0; j < n; j++) {
        double a = mean[j], b = other_mean[j], d = b - a;
        bool finite = d - d == 0;
        // Where it is infinite or NaN the mean is what the sum of all says.
        mean[j] = finite ? a + d * share : a * (1 - share) + b * share;
        squares[j] = finite ? squares[j] + (other_squares[j] + d * d * share * before) : (double)NAN;
    }
}

static const moments_table MK_FN(moments_table_) = {
    .join = MK_FN(moments_join),
    .near_row = {[REDUCE_F32] = MK_FN(near_row_f32),
                 [REDUCE_F64] = MK_FN(near_row_f64),
                 [REDUCE_TYPES] = MK_FN(near_row_bf16)},
    .near_columns = {[REDUCE_F32] = MK_FN(near_columns_f32),
                     [REDUCE_F64] = MK_FN(near_columns_f64),
                     [REDUCE_TYPES] = MK_FN(near_columns_bf16)},
};
