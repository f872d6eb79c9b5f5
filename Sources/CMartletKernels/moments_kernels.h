// See moments.c. Included once per instruction set. Lanes and the order of additions are the same in all of them.

#pragma clang fp contract(off)

typedef double MK_FN(moments_sums) __attribute__((ext_vector_type(8)));

// row: Σ (x - center)², n elements. columns: acc[j] = Σ (rows[k][j] - center[j])², k < count.
#define MK_MOMENTS(NAME, T, LANES)                                                                                     \
    typedef T MK_FN(moments_##NAME) __attribute__((ext_vector_type(LANES), aligned(sizeof(T))));                       \
    typedef T MK_FN(moments_eight_##NAME) __attribute__((ext_vector_type(8)));                                         \
    static double MK_FN(deviation_row_##NAME)(const void *data, double mean, int64_t n) {                              \
        const T *in = data, center = (T)mean;                                                                          \
        MK_FN(moments_##NAME) acc = 0;                                                                                 \
        int64_t i = 0;                                                                                                 \
        for (; i + LANES <= n; i += LANES) {                                                                           \
            MK_FN(moments_##NAME) d = *(const MK_FN(moments_##NAME) *)(in + i) - center;                               \
            acc += d * d;                                                                                              \
        }                                                                                                              \
        double sum = 0;                                                                                                \
        for (; i < n; i++) sum += (double)(in[i] - center) * (double)(in[i] - center);                                 \
        MK_FN(moments_eight_##NAME) part;                                                                              \
        MK_FN(moments_sums) sums = 0;                                                                                  \
        for (int l = 0; l < LANES; l += 8) {                                                                           \
            memcpy(&part, (const T *)&acc + l, sizeof part);                                                           \
            sums += __builtin_convertvector(part, MK_FN(moments_sums));                                                \
        }                                                                                                              \
        const __auto_type four = sums.lo + sums.hi;                                                                    \
        const __auto_type two = four.lo + four.hi;                                                                     \
        return sum + (two[0] + two[1]);                                                                                \
    }                                                                                                                  \
    static void MK_FN(deviation_columns_##NAME)(double *restrict acc, const double *restrict mean,                     \
                                                const void *const *rows, int64_t count, int64_t n) {                   \
        T center[MOMENTS_TILE], sum[MOMENTS_TILE];                                                                     \
        MK_VECTORIZE for (int64_t j = 0; j < n; j++) {                                                                 \
            center[j] = (T)mean[j];                                                                                    \
            sum[j] = 0;                                                                                                \
        }                                                                                                              \
        for (int64_t k = 0; k + 4 <= count; k += 4) {                                                                  \
            const T *r0 = rows[k], *r1 = rows[k + 1], *r2 = rows[k + 2], *r3 = rows[k + 3];                            \
            MK_VECTORIZE for (int64_t j = 0; j < n; j++) {                                                             \
                T c = center[j], d0 = r0[j] - c, d1 = r1[j] - c, d2 = r2[j] - c, d3 = r3[j] - c;                       \
                sum[j] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);                                                   \
            }                                                                                                          \
        }                                                                                                              \
        for (int64_t k = count / 4 * 4; k < count; k++) {                                                              \
            const T *row = rows[k];                                                                                    \
            MK_VECTORIZE for (int64_t j = 0; j < n; j++) {                                                             \
                T d = row[j] - center[j];                                                                              \
                sum[j] += d * d;                                                                                       \
            }                                                                                                          \
        }                                                                                                              \
        MK_VECTORIZE for (int64_t j = 0; j < n; j++) acc[j] = (double)sum[j];                                          \
    }
MK_MOMENTS(f32, float, 64)
MK_MOMENTS(f64, double, 32)
#undef MK_MOMENTS

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
    .row = {[REDUCE_F32] = MK_FN(deviation_row_f32), [REDUCE_F64] = MK_FN(deviation_row_f64)},
    .columns = {[REDUCE_F32] = MK_FN(deviation_columns_f32), [REDUCE_F64] = MK_FN(deviation_columns_f64)},
};
