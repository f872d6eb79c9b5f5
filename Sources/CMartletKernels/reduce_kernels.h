// See reduce.c. Included once per instruction set. Lanes and the order of additions are the same in all of them, and
// nothing is fused, so every instruction set gives the same bits.

#pragma clang fp contract(off)

#ifndef MK_REDUCE_KERNELS
#define MK_REDUCE_KERNELS

// Unaligned vectors of two registers of the widest set.
typedef float reduce_floats __attribute__((ext_vector_type(32), aligned(4)));
typedef double reduce_doubles __attribute__((ext_vector_type(16), aligned(8)));
typedef int64_t reduce_integers __attribute__((ext_vector_type(16), aligned(8)));
typedef uint64_t reduce_words __attribute__((ext_vector_type(16), aligned(8)));
typedef uint16_t reduce_halves __attribute__((ext_vector_type(32), aligned(2)));
typedef uint32_t reduce_wide_halves __attribute__((ext_vector_type(32), aligned(4)));

// The processor's own prefetching stops at the end of a page. Into the second-level cache: there is room for more lines on
// their way than into the first.
#define MK_AHEAD(p)                                                                                                    \
    do {                                                                                                               \
        __builtin_prefetch((const char *)(p) + 4096, 0, 2);                                                            \
        __builtin_prefetch((const char *)(p) + 4160, 0, 2);                                                            \
    } while (0)

// These serve vectors as well as scalars.
#define MK_MAP_NONE(x) (x)
#define MK_MAP_SQUARE(x) ((x) * (x))
#define MK_MAP_ABS_FLOAT(x) __builtin_elementwise_abs(x)
#define MK_MAP_ABS_WORD(x) (((x) ^ (0 - ((x) >> 63))) + ((x) >> 63))
#define MK_OP_ADD(a, b) ((a) + (b))
#define MK_OP_MUL(a, b) ((a) * (b))
// NaN, once met, stays: no comparison replaces it.
#define MK_OP_MAX_FLOAT(a, b) ((((b) > (a)) | ((b) != (b))) ? (b) : (a))
#define MK_OP_MIN_FLOAT(a, b) ((((b) < (a)) | ((b) != (b))) ? (b) : (a))
#define MK_OP_MAX_INTEGER(a, b) (((b) > (a)) ? (b) : (a))
#define MK_OP_MIN_INTEGER(a, b) (((b) < (a)) ? (b) : (a))

// Maximum and minimum look for NaN on the side: two short chains of dependent instructions, not one long one. One
// comparison finds NaN in either half of a vector.
#define MK_STEP_ALL(OP, acc, x) OP(acc, x)
#define MK_NAN_ALL(nan, x) (nan)
#define MK_IS_NAN_ALL(x) false
#define MK_LANES_ALL(HALVE, OP, acc, nan) HALVE(OP, acc)
#define MK_UNLESS_ALL(nan, acc) (acc)
#define MK_STEP_MAX(OP, acc, x) ((x) > (acc) ? (x) : (acc))
#define MK_NAN_MAX(nan, x) ((((x).lo >= (x).hi) | ((x).lo < (x).hi)) ? (nan) : (__typeof__(nan))NAN)
#define MK_IS_NAN_MAX(x) ((x) != (x))
#define MK_MAX_OF_TWO(a, b) ((b) > (a) ? (b) : (a))
#define MK_LANES_MAX(HALVE, OP, acc, nan) (__builtin_reduce_or((nan) != (nan)) ? NAN : HALVE(MK_MAX_OF_TWO, acc))
#define MK_UNLESS_MAX(nan, acc) ((nan) ? NAN : (acc))
#define MK_STEP_MIN(OP, acc, x) ((x) < (acc) ? (x) : (acc))
#define MK_NAN_MIN MK_NAN_MAX
#define MK_IS_NAN_MIN MK_IS_NAN_MAX
#define MK_MIN_OF_TWO(a, b) ((b) < (a) ? (b) : (a))
#define MK_LANES_MIN(HALVE, OP, acc, nan) (__builtin_reduce_or((nan) != (nan)) ? NAN : HALVE(MK_MIN_OF_TWO, acc))
#define MK_UNLESS_MIN MK_UNLESS_MAX

// Combines the lanes of a vector, its halves first.
#define MK_HALVE_16(OP, v)                                                                                             \
    ({                                                                                                                 \
        __auto_type half = OP((v).lo, (v).hi);                                                                         \
        __auto_type quarter = OP(half.lo, half.hi);                                                                    \
        __auto_type eighth = OP(quarter.lo, quarter.hi);                                                               \
        OP(eighth.lo, eighth.hi);                                                                                      \
    })
#define MK_HALVE_32(OP, v)                                                                                             \
    ({                                                                                                                 \
        __auto_type halved = OP((v).lo, (v).hi);                                                                       \
        MK_HALVE_16(OP, halved);                                                                                       \
    })

#endif

// row: total = total op (n elements reduced in interleaved lanes that are combined pairwise).
// columns: acc[j] = acc[j] op ((rows[0][j] op rows[1][j]) op ...) for eight rows, else row after row. What lies `ahead`
// bytes from each of eight rows is fetched, unless 0: a little with every step, because many lines asked for at once wait.
// fold: total[j] = total[j] op acc[j], then acc[j] = identity. merge: total[j] = total[j] op partial[j].
#define MK_READ_ONE(x) (x)
#define MK_REDUCE_ROW(FUNCTION, E, READ, READ_ONE, T, V, TOTAL, HALVE, ROW, OP, MAP, IDENTITY)                         \
    static void MK_FN(FUNCTION)(void *total, const void *data, int64_t n) {                                            \
        enum { lanes = sizeof(V) / sizeof(T) };                                                                        \
        const E *in = data;                                                                                            \
        V acc = (V)(T)(IDENTITY);                                                                                      \
        __typeof__(acc.lo) nan = (__typeof__(acc.lo))(T)0;                                                             \
        int64_t i = 0;                                                                                                 \
        for (; i + lanes <= n; i += lanes) {                                                                           \
            MK_AHEAD(in + i);                                                                                          \
            V x = READ(in + i);                                                                                        \
            x = MAP(x);                                                                                                \
            acc = MK_STEP_##ROW(OP, acc, x);                                                                           \
            nan = MK_NAN_##ROW(nan, x);                                                                                \
        }                                                                                                              \
        if (i < n) {                                                                                                   \
            T lane[lanes];                                                                                             \
            *(V *)lane = acc;                                                                                          \
            for (int l = 0; i + l < n; l++) {                                                                          \
                T x = READ_ONE(in[i + l]);                                                                             \
                x = MAP(x);                                                                                            \
                lane[l] = MK_STEP_##ROW(OP, lane[l], x);                                                               \
                if (MK_IS_NAN_##ROW(x)) nan[0] = x;                                                                    \
            }                                                                                                          \
            acc = *(V *)lane;                                                                                          \
        }                                                                                                              \
        T result = MK_LANES_##ROW(HALVE, OP, acc, nan);                                                                \
        TOTAL value = (TOTAL)result;                                                                                   \
        *(TOTAL *)total = OP(*(TOTAL *)total, value);                                                                  \
    }
#define MK_REDUCE_EIGHT(READ_ONE, T, ROW, OP, MAP, j)                                                                  \
    T x0 = READ_ONE(r0[j]), x1 = READ_ONE(r1[j]), x2 = READ_ONE(r2[j]), x3 = READ_ONE(r3[j]);                          \
    T x4 = READ_ONE(r4[j]), x5 = READ_ONE(r5[j]), x6 = READ_ONE(r6[j]), x7 = READ_ONE(r7[j]);                          \
    x0 = MAP(x0), x1 = MAP(x1), x2 = MAP(x2), x3 = MAP(x3);                                                            \
    x4 = MAP(x4), x5 = MAP(x5), x6 = MAP(x6), x7 = MAP(x7);                                                            \
    T y0 = MK_STEP_##ROW(OP, x0, x1), y1 = MK_STEP_##ROW(OP, x2, x3);                                                  \
    T y2 = MK_STEP_##ROW(OP, x4, x5), y3 = MK_STEP_##ROW(OP, x6, x7);                                                  \
    T z0 = MK_STEP_##ROW(OP, y0, y1), z1 = MK_STEP_##ROW(OP, y2, y3);                                                  \
    T w = MK_STEP_##ROW(OP, z0, z1), a = MK_STEP_##ROW(OP, acc[j], w);                                                 \
    acc[j] = MK_UNLESS_##ROW(((x0 != x0) | (x1 != x1)) | ((x2 != x2) | (x3 != x3)) |                                   \
                             ((x4 != x4) | (x5 != x5)) | ((x6 != x6) | (x7 != x7)), a);
#define MK_REDUCE_COLUMNS(FUNCTION, E, READ_ONE, T, ROW, OP, MAP)                                                      \
    static void MK_FN(FUNCTION)(void *restrict accumulators, const void *const *rows, int64_t count, int64_t n,        \
                                int64_t ahead) {                                                                       \
        T *restrict acc = accumulators;                                                                                \
        if (count == 8) {                                                                                              \
            enum { width = 128 / sizeof(E) };                                                                          \
            const E *r0 = rows[0], *r1 = rows[1], *r2 = rows[2], *r3 = rows[3];                                        \
            const E *r4 = rows[4], *r5 = rows[5], *r6 = rows[6], *r7 = rows[7];                                        \
            int64_t j = 0;                                                                                             \
            for (; ahead != 0 && j + width <= n; j += width) {                                                         \
                mk_fetch_eight(rows, n * (int64_t)sizeof(E), j * (int64_t)sizeof(E), ahead);                           \
                MK_VECTORIZE for (int64_t i = j; i < j + width; i++) {                                                 \
                    MK_REDUCE_EIGHT(READ_ONE, T, ROW, OP, MAP, i)                                                      \
                }                                                                                                      \
            }                                                                                                          \
            MK_VECTORIZE for (; j < n; j++) {                                                                          \
                MK_REDUCE_EIGHT(READ_ONE, T, ROW, OP, MAP, j)                                                          \
            }                                                                                                          \
            return;                                                                                                    \
        }                                                                                                              \
        for (int64_t r = 0; r < count; r++) {                                                                          \
            const E *row = rows[r];                                                                                    \
            MK_VECTORIZE for (int64_t j = 0; j < n; j++) {                                                             \
                T x = READ_ONE(row[j]);                                                                                \
                x = MAP(x);                                                                                            \
                acc[j] = OP(acc[j], x);                                                                                \
            }                                                                                                          \
        }                                                                                                              \
    }
#define MK_REDUCE(NAME, T, V, TOTAL, HALVE, ROW, OP, MAP, IDENTITY)                                                    \
    MK_REDUCE_ROW(row_##NAME, T, *(const V *), MK_READ_ONE, T, V, TOTAL, HALVE, ROW, OP, MAP, IDENTITY)                \
    MK_REDUCE_COLUMNS(columns_##NAME, T, MK_READ_ONE, T, ROW, OP, MAP)                                                 \
    static void MK_FN(fold_##NAME)(void *restrict totals, void *restrict accumulators, int64_t n) {                    \
        TOTAL *restrict total = totals;                                                                                \
        T *restrict acc = accumulators;                                                                                \
        MK_VECTORIZE for (int64_t j = 0; j < n; j++) {                                                                 \
            TOTAL x = (TOTAL)acc[j];                                                                                   \
            total[j] = OP(total[j], x);                                                                                \
            acc[j] = (T)(IDENTITY);                                                                                    \
        }                                                                                                              \
    }                                                                                                                  \
    static void MK_FN(merge_##NAME)(void *restrict totals, const void *restrict partials, int64_t n) {                 \
        TOTAL *restrict total = totals;                                                                                \
        const TOTAL *restrict partial = partials;                                                                      \
        MK_VECTORIZE for (int64_t j = 0; j < n; j++) total[j] = OP(total[j], partial[j]);                              \
    }

// row and columns of bfloat16 numbers as they lie in memory: the bits of the others' after conversion.
#define MK_READ_BF16(p)                                                                                                \
    __builtin_bit_cast(reduce_floats, __builtin_convertvector(*(const reduce_halves *)(p), reduce_wide_halves) << 16)
#define MK_REDUCE_BF16(NAME, ROW, OP, MAP, IDENTITY)                                                                   \
    MK_REDUCE_ROW(row_bf16_##NAME, uint16_t, MK_READ_BF16, mk_bf16_to_f32, float, reduce_floats, double, MK_HALVE_32,  \
                  ROW, OP, MAP, IDENTITY)                                                                              \
    MK_REDUCE_COLUMNS(columns_bf16_##NAME, uint16_t, mk_bf16_to_f32, float, ROW, OP, MAP)
MK_REDUCE_BF16(sum_f32, ALL, MK_OP_ADD, MK_MAP_NONE, 0)
MK_REDUCE_BF16(squares_f32, ALL, MK_OP_ADD, MK_MAP_SQUARE, 0)
MK_REDUCE_BF16(abs_f32, ALL, MK_OP_ADD, MK_MAP_ABS_FLOAT, 0)
MK_REDUCE_BF16(max_f32, MAX, MK_OP_MAX_FLOAT, MK_MAP_NONE, -INFINITY)
MK_REDUCE_BF16(min_f32, MIN, MK_OP_MIN_FLOAT, MK_MAP_NONE, INFINITY)
#undef MK_REDUCE_BF16
#undef MK_READ_BF16

MK_REDUCE(sum_f32, float, reduce_floats, double, MK_HALVE_32, ALL, MK_OP_ADD, MK_MAP_NONE, 0)
MK_REDUCE(squares_f32, float, reduce_floats, double, MK_HALVE_32, ALL, MK_OP_ADD, MK_MAP_SQUARE, 0)
MK_REDUCE(abs_f32, float, reduce_floats, double, MK_HALVE_32, ALL, MK_OP_ADD, MK_MAP_ABS_FLOAT, 0)
MK_REDUCE(max_f32, float, reduce_floats, double, MK_HALVE_32, MAX, MK_OP_MAX_FLOAT, MK_MAP_NONE, -INFINITY)
MK_REDUCE(min_f32, float, reduce_floats, double, MK_HALVE_32, MIN, MK_OP_MIN_FLOAT, MK_MAP_NONE, INFINITY)
MK_REDUCE(sum_f64, double, reduce_doubles, double, MK_HALVE_16, ALL, MK_OP_ADD, MK_MAP_NONE, 0)
MK_REDUCE(product_f64, double, reduce_doubles, double, MK_HALVE_16, ALL, MK_OP_MUL, MK_MAP_NONE, 1)
MK_REDUCE(squares_f64, double, reduce_doubles, double, MK_HALVE_16, ALL, MK_OP_ADD, MK_MAP_SQUARE, 0)
MK_REDUCE(abs_f64, double, reduce_doubles, double, MK_HALVE_16, ALL, MK_OP_ADD, MK_MAP_ABS_FLOAT, 0)
MK_REDUCE(max_f64, double, reduce_doubles, double, MK_HALVE_16, MAX, MK_OP_MAX_FLOAT, MK_MAP_NONE, -INFINITY)
MK_REDUCE(min_f64, double, reduce_doubles, double, MK_HALVE_16, MIN, MK_OP_MIN_FLOAT, MK_MAP_NONE, INFINITY)
// Integers wrap, which C allows unsigned ones only.
MK_REDUCE(sum_i64, uint64_t, reduce_words, uint64_t, MK_HALVE_16, ALL, MK_OP_ADD, MK_MAP_NONE, 0)
MK_REDUCE(product_i64, uint64_t, reduce_words, uint64_t, MK_HALVE_16, ALL, MK_OP_MUL, MK_MAP_NONE, 1)
MK_REDUCE(squares_i64, uint64_t, reduce_words, uint64_t, MK_HALVE_16, ALL, MK_OP_ADD, MK_MAP_SQUARE, 0)
MK_REDUCE(abs_i64, uint64_t, reduce_words, uint64_t, MK_HALVE_16, ALL, MK_OP_ADD, MK_MAP_ABS_WORD, 0)
MK_REDUCE(max_i64, int64_t, reduce_integers, int64_t, MK_HALVE_16, ALL, MK_OP_MAX_INTEGER, MK_MAP_NONE, INT64_MIN)
MK_REDUCE(min_i64, int64_t, reduce_integers, int64_t, MK_HALVE_16, ALL, MK_OP_MIN_INTEGER, MK_MAP_NONE, INT64_MAX)
#undef MK_REDUCE

#define MK_ENTRY(NAME)                                                                                                 \
    {MK_FN(row_##NAME), MK_FN(columns_##NAME), MK_FN(fold_##NAME), MK_FN(merge_##NAME), NULL, NULL}
#define MK_FLOAT_ENTRY(NAME)                                                                                           \
    {MK_FN(row_##NAME),   MK_FN(columns_##NAME),  MK_FN(fold_##NAME),                                                  \
     MK_FN(merge_##NAME), MK_FN(row_bf16_##NAME), MK_FN(columns_bf16_##NAME)}
static const reduce_table MK_FN(reduce_table_) = {{
    [REDUCE_F32] = {[MK_REDUCE_SUM] = MK_FLOAT_ENTRY(sum_f32), [MK_REDUCE_SUM_SQUARES] = MK_FLOAT_ENTRY(squares_f32),
                    [MK_REDUCE_SUM_ABS] = MK_FLOAT_ENTRY(abs_f32), [MK_REDUCE_MAX] = MK_FLOAT_ENTRY(max_f32),
                    [MK_REDUCE_MIN] = MK_FLOAT_ENTRY(min_f32)},
    [REDUCE_F64] = {[MK_REDUCE_SUM] = MK_ENTRY(sum_f64), [MK_REDUCE_PROD] = MK_ENTRY(product_f64),
                    [MK_REDUCE_SUM_SQUARES] = MK_ENTRY(squares_f64), [MK_REDUCE_SUM_ABS] = MK_ENTRY(abs_f64),
                    [MK_REDUCE_MAX] = MK_ENTRY(max_f64), [MK_REDUCE_MIN] = MK_ENTRY(min_f64)},
    [REDUCE_I64] = {[MK_REDUCE_SUM] = MK_ENTRY(sum_i64), [MK_REDUCE_PROD] = MK_ENTRY(product_i64),
                    [MK_REDUCE_SUM_SQUARES] = MK_ENTRY(squares_i64), [MK_REDUCE_SUM_ABS] = MK_ENTRY(abs_i64),
                    [MK_REDUCE_MAX] = MK_ENTRY(max_i64), [MK_REDUCE_MIN] = MK_ENTRY(min_i64)},
}};
#undef MK_ENTRY
#undef MK_FLOAT_ENTRY
#undef MK_REDUCE_ROW
#undef MK_REDUCE_COLUMNS
#undef MK_REDUCE_EIGHT
#undef MK_READ_ONE
