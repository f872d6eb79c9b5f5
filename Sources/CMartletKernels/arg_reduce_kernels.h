// See arg_reduce.c. Included once per instruction set.

// best[j], index[j] = the better of them and (row[j], i); the first NaN is best of all.
#define MK_ARG(NAME, T, TEST)                                                                                          \
    static void MK_FN(arg_##NAME)(void *restrict values, int32_t *restrict index, const void *restrict data,           \
                                  int32_t i, int64_t n) {                                                              \
        T *restrict best = values;                                                                                     \
        const T *restrict row = data;                                                                                  \
        MK_VECTORIZE for (int64_t j = 0; j < n; j++) {                                                                 \
            T x = row[j], b = best[j];                                                                                 \
            bool take = TEST;                                                                                          \
            best[j] = take ? x : b;                                                                                    \
            index[j] = take ? i : index[j];                                                                            \
        }                                                                                                              \
    }
MK_ARG(max_f32, float, (x > b) | ((x != x) & (b == b)))
MK_ARG(min_f32, float, (x < b) | ((x != x) & (b == b)))
MK_ARG(max_f64, double, (x > b) | ((x != x) & (b == b)))
MK_ARG(min_f64, double, (x < b) | ((x != x) & (b == b)))
MK_ARG(max_i64, int64_t, x > b)
MK_ARG(min_i64, int64_t, x < b)
#undef MK_ARG

static const arg_table MK_FN(arg_table_) = {{
    [REDUCE_F32] = {MK_FN(arg_min_f32), MK_FN(arg_max_f32)},
    [REDUCE_F64] = {MK_FN(arg_min_f64), MK_FN(arg_max_f64)},
    [REDUCE_I64] = {MK_FN(arg_min_i64), MK_FN(arg_max_i64)},
}};
