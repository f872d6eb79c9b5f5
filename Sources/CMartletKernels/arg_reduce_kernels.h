// See arg_reduce.c. Included once per instruction set.

// values[j], index[j] = the first best of them and of (rows[k][j], i + k) for k < count; the first NaN is best of all.
#define MK_ARG(NAME, E, READ, T, TEST)                                                                                 \
    MK_INLINE void MK_FN(arg_step_##NAME)(T x, int32_t i, T *best, int32_t *index) {                                   \
        T b = *best;                                                                                                   \
        bool take = TEST;                                                                                              \
        *best = take ? x : b;                                                                                          \
        *index = take ? i : *index;                                                                                    \
    }                                                                                                                  \
    static void MK_FN(arg_##NAME)(void *restrict values, int32_t *restrict index, const void *const *rows,             \
                                  int64_t count, int32_t i, int64_t n) {                                               \
        T *restrict best = values;                                                                                     \
        if (count == 4) {                                                                                              \
            const E *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];                                        \
            MK_VECTORIZE for (int64_t j = 0; j < n; j++) {                                                             \
                T b = best[j];                                                                                         \
                int32_t at = index[j];                                                                                 \
                MK_FN(arg_step_##NAME)(READ(r0[j]), i, &b, &at);                                                       \
                MK_FN(arg_step_##NAME)(READ(r1[j]), i + 1, &b, &at);                                                   \
                MK_FN(arg_step_##NAME)(READ(r2[j]), i + 2, &b, &at);                                                   \
                MK_FN(arg_step_##NAME)(READ(r3[j]), i + 3, &b, &at);                                                   \
                best[j] = b;                                                                                           \
                index[j] = at;                                                                                         \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t k = 0; k < count; k++) {                                                                          \
            const E *row = rows[k];                                                                                    \
            MK_VECTORIZE for (int64_t j = 0; j < n; j++)                                                               \
                MK_FN(arg_step_##NAME)(READ(row[j]), i + (int32_t)k, &best[j], &index[j]);                             \
        }                                                                                                              \
    }
#define MK_AS_IT_IS(x) (x)
MK_ARG(max_f32, float, MK_AS_IT_IS, float, !(x <= b) & (b == b))
MK_ARG(min_f32, float, MK_AS_IT_IS, float, !(x >= b) & (b == b))
MK_ARG(max_bf16, uint16_t, mk_bf16_to_f32, float, !(x <= b) & (b == b))
MK_ARG(min_bf16, uint16_t, mk_bf16_to_f32, float, !(x >= b) & (b == b))
MK_ARG(max_f64, double, MK_AS_IT_IS, double, !(x <= b) & (b == b))
MK_ARG(min_f64, double, MK_AS_IT_IS, double, !(x >= b) & (b == b))
MK_ARG(max_i64, int64_t, MK_AS_IT_IS, int64_t, x > b)
MK_ARG(min_i64, int64_t, MK_AS_IT_IS, int64_t, x < b)
#undef MK_ARG
#undef MK_AS_IT_IS

static const arg_table MK_FN(arg_table_) = {.columns = {
    [REDUCE_F32] = {MK_FN(arg_min_f32), MK_FN(arg_max_f32)},
    [REDUCE_F64] = {MK_FN(arg_min_f64), MK_FN(arg_max_f64)},
    [REDUCE_I64] = {MK_FN(arg_min_i64), MK_FN(arg_max_i64)},
}, .columns_bf16 = {MK_FN(arg_min_bf16), MK_FN(arg_max_bf16)}};
