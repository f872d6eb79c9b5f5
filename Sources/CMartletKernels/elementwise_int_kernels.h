// Compiled once per instruction set by elementwise_int.c.

#define UNARY(name, T, T_OUT, formula)                                                                                 \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        (void)parameters;                                                                                              \
        T_OUT *out = out_;                                                                                             \
        const T *in_0 = in[0];                                                                                         \
        MK_VECTORIZE_IN_PLACE for (int64_t i = 0; i < n; i++) {                                                        \
            T x = in_0[i];                                                                                             \
            (void)x;                                                                                                   \
            out[i] = (T_OUT)(formula);                                                                                 \
        }                                                                                                              \
    }
#define BINARY(name, T, T_OUT, formula)                                                                                \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        (void)parameters;                                                                                              \
        T_OUT *out = out_;                                                                                             \
        const T *in_0 = in[0], *in_1 = in[1];                                                                          \
        MK_VECTORIZE_IN_PLACE for (int64_t i = 0; i < n; i++) {                                                        \
            T a = in_0[i], b = in_1[i];                                                                                \
            out[i] = (T_OUT)(formula);                                                                                 \
        }                                                                                                              \
    }
#define CLAMP(name, T, MIN, MAX)                                                                                       \
    static void MK_FN(name)(void *out_, const void *const *in, int64_t n, const void *parameters) {                    \
        T *out = out_;                                                                                                 \
        const T *in_0 = in[0];                                                                                         \
        const mk_scalar *bounds = parameters;                                                                          \
        T low = (T)(bounds[0].i < MIN ? MIN : bounds[0].i > MAX ? MAX : bounds[0].i);                                  \
        T high = (T)(bounds[1].i < MIN ? MIN : bounds[1].i > MAX ? MAX : bounds[1].i);                                 \
        MK_VECTORIZE_IN_PLACE for (int64_t i = 0; i < n; i++) {                                                        \
            T x = in_0[i];                                                                                             \
            x = x < low ? low : x;                                                                                     \
            out[i] = x > high ? high : x;                                                                              \
        }                                                                                                              \
    }

#define PREDICATES(p, T)                                                                                               \
    UNARY(p##_LOGICAL_NOT, T, uint8_t, x == 0)                                                                         \
    UNARY(p##_never, T, uint8_t, 0)                                                                                    \
    UNARY(p##_always, T, uint8_t, 1)

#define MK_T int64_t
#define MK_U uint64_t
#define F(op, formula) UNARY(i64_##op, MK_T, MK_T, formula)
MK_INT_UNARY(F)
#undef F
#define F(op, formula) BINARY(i64_##op, MK_T, MK_T, formula)
MK_INT_BINARY(F)
#undef F
#define F(op, formula) BINARY(i64_##op, MK_T, uint8_t, formula)
MK_COMPARISONS(F)
#undef F
PREDICATES(i64, MK_T)
CLAMP(i64_clamp, MK_T, INT64_MIN, INT64_MAX)
#undef MK_T
#undef MK_U

#define MK_U uint32_t

#define MK_T int32_t
#define F(op, formula) UNARY(i32_##op, MK_T, MK_T, formula)
MK_INT_UNARY(F)
#undef F
#define F(op, formula) BINARY(i32_##op, MK_T, MK_T, formula)
MK_INT_BINARY(F)
#undef F
#define F(op, formula) BINARY(i32_##op, MK_T, uint8_t, formula)
MK_COMPARISONS(F)
#undef F
PREDICATES(i32, MK_T)
CLAMP(i32_clamp, MK_T, INT32_MIN, INT32_MAX)
#undef MK_T

#define MK_T int16_t
#define F(op, formula) UNARY(i16_##op, MK_T, MK_T, formula)
MK_INT_UNARY(F)
#undef F
#define F(op, formula) BINARY(i16_##op, MK_T, MK_T, formula)
MK_INT_BINARY(F)
#undef F
#define F(op, formula) BINARY(i16_##op, MK_T, uint8_t, formula)
MK_COMPARISONS(F)
#undef F
PREDICATES(i16, MK_T)
CLAMP(i16_clamp, MK_T, INT16_MIN, INT16_MAX)
#undef MK_T

#define MK_T int8_t
#define F(op, formula) UNARY(i8_##op, MK_T, MK_T, formula)
MK_INT_UNARY(F)
#undef F
#define F(op, formula) BINARY(i8_##op, MK_T, MK_T, formula)
MK_INT_BINARY(F)
#undef F
#define F(op, formula) BINARY(i8_##op, MK_T, uint8_t, formula)
MK_COMPARISONS(F)
#undef F
PREDICATES(i8, MK_T)
CLAMP(i8_clamp, MK_T, INT8_MIN, INT8_MAX)
#undef MK_T

#define MK_T uint8_t
#define F(op, formula) UNARY(u8_##op, MK_T, MK_T, formula)
MK_INT_UNARY(F)
#undef F
#define F(op, formula) BINARY(u8_##op, MK_T, MK_T, formula)
MK_INT_BINARY(F)
#undef F
#define F(op, formula) BINARY(u8_##op, MK_T, uint8_t, formula)
MK_COMPARISONS(F)
#undef F
PREDICATES(u8, MK_T)
CLAMP(u8_clamp, MK_T, 0, UINT8_MAX)

// bool is stored as bytes 0 and 1.
UNARY(bool_BITWISE_NOT, uint8_t, uint8_t, x ^ 1u)
#define F(op, formula) BINARY(bool_##op, uint8_t, uint8_t, formula)
MK_BOOL_BINARY(F)
#undef F
#undef MK_T
#undef MK_U

#define E(p, op) [MK_##op] = {MK_FN(p##_##op)},
#define I64(op, formula) E(i64, op)
#define I32(op, formula) E(i32, op)
#define I16(op, formula) E(i16, op)
#define I8(op, formula) E(i8, op)
#define U8(op, formula) E(u8, op)
#define BOOL(op, formula) E(bool, op)
#define P(p)                                                                                                           \
    [MK_LOGICAL_NOT] = {MK_FN(p##_LOGICAL_NOT)}, [MK_IS_NAN] = {MK_FN(p##_never)}, [MK_IS_INF] = {MK_FN(p##_never)},   \
    [MK_IS_FINITE] = {MK_FN(p##_always)}
static const int_table MK_FN(int_table) = {
    .unary = {{MK_INT_UNARY(I64) P(i64)},
              {MK_INT_UNARY(I32) P(i32)},
              {MK_INT_UNARY(I16) P(i16)},
              {MK_INT_UNARY(I8) P(i8)},
              {MK_INT_UNARY(U8) P(u8)},
              {BOOL(BITWISE_NOT, ) P(u8)}},
    .binary = {{MK_INT_BINARY(I64) MK_COMPARISONS(I64)},
               {MK_INT_BINARY(I32) MK_COMPARISONS(I32)},
               {MK_INT_BINARY(I16) MK_COMPARISONS(I16)},
               {MK_INT_BINARY(I8) MK_COMPARISONS(I8)},
               {MK_INT_BINARY(U8) MK_COMPARISONS(U8)},
               {MK_BOOL_BINARY(BOOL) MK_COMPARISONS(U8)}},
    .clamp = {{MK_FN(i64_clamp)}, {MK_FN(i32_clamp)}, {MK_FN(i16_clamp)}, {MK_FN(i8_clamp)}, {MK_FN(u8_clamp)}},
};
#undef E
#undef I64
#undef I32
#undef I16
#undef I8
#undef U8
#undef BOOL
#undef P
#undef UNARY
#undef BINARY
#undef CLAMP
#undef PREDICATES
