// Products of a few rows with a large matrix, for the REAL and instruction set of the including file: what matters is
// to read the large one once, in order, and to convert it on the way.

#undef THIN_DEPTH
#define THIN_DEPTH 8
// Bytes of the rows and of a column up to which the first-level cache holds the rows while columns go by. Then they are
// taken one after the other, so that the large operand is one stream of memory; sums of neighbouring columns overlap all
// the same. Several at once share what comes of longer rows from further away, and the conversion of narrower types.
#undef THIN_HELD
#define THIN_HELD 24576
// How far from such a column memory is fetched; where columns follow each other, `in_order` bytes.
MK_INLINE int64_t RFN(thin_stream_ahead)(int64_t bytes, int64_t column_bytes, int64_t in_order) {
    return bytes == column_bytes ? in_order : 8 * column_bytes;
}
#undef THIN_AHEAD
#define THIN_AHEAD 4096

// Numbers of rows, and how many columns are taken at once with them: 32 registers hold the sums and what is multiplied.
#undef THIN_EACH
#define THIN_EACH(at_once)                                                                                             \
    at_once(2, 4) at_once(3, 4) at_once(4, 4) at_once(5, 4) at_once(6, 4) at_once(7, 3) at_once(8, 3)

// Three rows and more that have more bytes together than this (fewer of floats than of pairs) go by blocks of k of at most
// THIN_BLOCK bytes, which stay in the first-level cache while THIN_COLUMNS columns go by: those keep the registers of their
// sums from one block to the next, so that the order of sums is the same.
#undef THIN_LONG
#undef THIN_BLOCK
#undef THIN_COLUMNS
#define THIN_LONG(size) ((size) == 2 ? 65536 : 40960)
#define THIN_BLOCK 16384
#define THIN_COLUMNS 48
typedef struct {
    REAL *kept;          // of a tile, THIN_COLUMNS * 8 registers for all
    bool goes_on, stays; // the sums begin with what is kept, are kept
} RFN(thin_sums);

MK_INLINE int64_t RFN(thin_block)(int64_t rows, int64_t k, int64_t size) {
    const bool blocks = rows > 2 && rows * k * size > THIN_LONG(size);
    return blocks ? THIN_BLOCK / (rows * size) / (2 * LANES) * (2 * LANES) : k;
}
// All columns of b from j on, one after the other, by THIN_TILE(rows, columns, to, left, right, depth, ahead, sums).
#undef THIN_ONE
#define THIN_ONE(rows, columns)                                                                                        \
    for (; held && m == rows && j < n; j++)                                                                            \
        THIN_TILE(rows, 1, c + j, a, b + j * b_column_bytes, k, rows == 1 ? single_ahead : ahead_of_one, whole);
// All columns of b that fill tiles of `columns` from j on, by the same.
#undef THIN_AT_ONCE
#define THIN_AT_ONCE(rows, columns)                                                                                    \
    for (; m == rows && block == k && j + columns <= n; j += columns)                                                  \
        THIN_TILE(rows, columns, c + j, a, b + j * b_column_bytes, k, columns * b_column_bytes, whole);                \
    while (m == rows && j + columns <= n) {                                                                            \
        const int64_t width = columns * b_column_bytes;                                                                \
        const int64_t tiles = (n - j) / columns < THIN_COLUMNS / columns ? (n - j) / columns : THIN_COLUMNS / columns; \
        for (int64_t p = 0; p < k; p += block) {                                                                       \
            const bool last = k - p <= block;                                                                          \
            for (int64_t t = 0; t < tiles; t++) {                                                                      \
                /* What is read next: the next tile's, the first tile's of the next block, the next tiles' first. */   \
                const int64_t ahead = t + 1 < tiles ? width : last ? width - p * bytes : block * bytes - t * width;    \
                const RFN(thin_sums) sums = {kept + t * rows * columns * LANES, p > 0, !last};                         \
                THIN_TILE(rows, columns, c + j + t * columns, a + p, b + j * b_column_bytes + t * width + p * bytes,   \
                          last ? k - p : block, ahead, sums);                                                          \
            }                                                                                                          \
        }                                                                                                              \
        j += tiles * columns;                                                                                          \
    }

// c[m, n] += a[m, THIN_DEPTH] @ b[THIN_DEPTH, n], columns of b contiguous and `depth` of its rows used.
MK_INLINE void RFN(thin_update_of)(REAL *c, int64_t c_row, const REAL *a, int64_t a_row, const char *b,
                                   int64_t b_row_bytes, int32_t dtype, int64_t bytes, int64_t m, int64_t n) {
    // Short rows may lie pages apart, where the processor does not prefetch by itself.
    const bool prefetch = n * bytes <= 2048;
    for (int64_t j = 0; j + LANES <= n; j += LANES) {
        RFN(vec) right[THIN_DEPTH];
#pragma clang loop unroll(full)
        for (int p = 0; p < THIN_DEPTH; p++) {
            REAL x[LANES];
            const char *at = b + p * b_row_bytes + j * bytes;
            RFN(convert_in)(x, at, dtype, LANES);
            right[p] = RFN(load)(x);
            if (prefetch) __builtin_prefetch(at + THIN_DEPTH * b_row_bytes);
        }
        for (int64_t i = 0; i < m; i++) {
            RFN(vec) sum = RFN(load)(c + i * c_row + j);
#pragma clang loop unroll(full)
            for (int p = 0; p < THIN_DEPTH; p++) sum += (RFN(vec))a[i * a_row + p] * right[p];
            RFN(store)(c + i * c_row + j, sum);
        }
    }
    for (int64_t j = n / LANES * LANES; j < n; j++)
        for (int p = 0; p < THIN_DEPTH; p++) {
            REAL x;
            RFN(convert_in)(&x, b + p * b_row_bytes + j * bytes, dtype, 1);
            for (int64_t i = 0; i < m; i++) c[i * c_row + j] += a[i * a_row + p] * x;
        }
}

MK_INLINE void RFN(thin_begin)(RFN(vec) sum[8][8], const int rows, const int columns, RFN(thin_sums) sums) {
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++)
            sum[i][j] = sums.goes_on ? RFN(load)(sums.kept + (i * columns + j) * LANES) : (RFN(vec))(REAL)0;
}
// Whether they are kept.
MK_INLINE bool RFN(thin_keep)(RFN(vec) sum[8][8], const int rows, const int columns, RFN(thin_sums) sums) {
    if (!sums.stays) return false;
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) RFN(store)(sums.kept + (i * columns + j) * LANES, sum[i][j]);
    return true;
}

// c[i, j] for some columns j of b, each contiguous along k. What lies `ahead` bytes further is prefetched, unless 0.
MK_INLINE void RFN(thin_dots_tile)(REAL *c, int64_t c_row, const REAL *a, int64_t a_row, const char *b,
                                   int64_t b_column_bytes, int32_t dtype, int64_t bytes, const int rows,
                                   const int columns, int64_t k, int64_t ahead, RFN(thin_sums) sums) {
    RFN(vec) sum[8][8];
    RFN(thin_begin)(sum, rows, columns, sums);
    int64_t p = 0;
    for (; p + LANES <= k; p += LANES) {
        RFN(vec) right[8];
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) {
            REAL x[LANES];
            RFN(convert_in)(x, b + j * b_column_bytes + p * bytes, dtype, LANES);
            right[j] = RFN(load)(x);
        }
        // Once a line.
        if (ahead && p * bytes % 64 == 0) {
#pragma clang loop unroll(full)
            for (int j = 0; j < columns; j++) __builtin_prefetch(b + j * b_column_bytes + p * bytes + ahead, 0, 2);
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            RFN(vec) left = RFN(load)(a + i * a_row + p);
#pragma clang loop unroll(full)
            for (int j = 0; j < columns; j++) sum[i][j] += left * right[j];
        }
    }
    if (RFN(thin_keep)(sum, rows, columns, sums)) return;
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) {
            REAL total = RFN(add_lanes)(sum[i][j]);
            for (int64_t q = p; q < k; q++) {
                REAL x;
                RFN(convert_in)(&x, b + j * b_column_bytes + q * bytes, dtype, 1);
                total += a[i * a_row + q] * x;
            }
            c[i * c_row + j] = total;
        }
}

MK_INLINE void RFN(thin_dots_of)(REAL *c, int64_t c_row, const REAL *a, int64_t a_row, const char *b,
                                 int64_t b_column_bytes, int32_t dtype, int64_t bytes, int64_t m, int64_t n,
                                 int64_t k) {
    const RFN(thin_sums) whole = {NULL, false, false};
    REAL kept[THIN_COLUMNS * 8 * LANES];
    int64_t j = 0;
    const bool held = bytes >= 4 && (m + 1) * k * bytes <= THIN_HELD;
    const int64_t block = RFN(thin_block)(m, k, sizeof(REAL));
    // One stream of floats the processor fetches best by itself, unless several rows take its time.
    const int64_t single_ahead = RFN(thin_stream_ahead)(k * bytes, b_column_bytes, 0);
    const int64_t ahead_of_one = RFN(thin_stream_ahead)(k * bytes, b_column_bytes, THIN_AHEAD);
#define THIN_TILE(rows, columns, to, left, right, depth, ahead, sums)                                                  \
    RFN(thin_dots_tile)(to, c_row, left, a_row, right, b_column_bytes, dtype, bytes, rows, columns, depth, ahead, sums)
    THIN_ONE(1, 1)
    THIN_EACH(THIN_ONE)
    for (; m == 1 && j + 8 <= n; j += 8)
        RFN(thin_dots_tile)(c + j, c_row, a, a_row, b + j * b_column_bytes, b_column_bytes, dtype, bytes, 1, 8, k,
                            8 * b_column_bytes, whole);
    // All rows at once, so that each column of b is read and converted once.
    if (sizeof(RFN(vec)) == 64) {
        THIN_EACH(THIN_AT_ONCE)
    }
#undef THIN_TILE
    for (; j < n; j += 4) {
        const char *columns = b + j * b_column_bytes;
        // The processor does not prefetch across pages by itself.
        const bool is_short = k * bytes <= 2048;
        const int64_t ahead = is_short ? 0 : 4 * b_column_bytes;
        if (is_short)
            for (int64_t q = 8; q < 12; q++)
                for (int64_t line = 0; line < k * bytes; line += 64)
                    __builtin_prefetch(columns + q * b_column_bytes + line);
        for (int64_t i = 0; i < m; i += 4) {
            REAL *to = c + i * c_row + j;
            const REAL *left = a + i * a_row;
            // A group that is not full goes one element at a time; each element's order of sums is the same.
            if (n - j >= 4 && m - i >= 4) {
                RFN(thin_dots_tile)(to, c_row, left, a_row, columns, b_column_bytes, dtype, bytes, 4, 4, k,
                                    i == 0 ? ahead : 0, whole);
            } else if (n - j >= 4) {
                for (int64_t r = 0; r < m - i; r++)
                    RFN(thin_dots_tile)(to + r * c_row, c_row, left + r * a_row, a_row, columns, b_column_bytes, dtype,
                                        bytes, 1, 4, k, i + r == 0 ? ahead : 0, whole);
            } else {
                for (int64_t r = 0; r < m - i && r < 4; r++)
                    for (int64_t q = 0; q < n - j; q++)
                        RFN(thin_dots_tile)(to + r * c_row + q, c_row, left + r * a_row, a_row,
                                            columns + q * b_column_bytes, b_column_bytes, dtype, bytes, 1, 1, k, 0,
                                            whole);
            }
        }
    }
}

// The dtype is made a constant, so that conversions are inlined.
#define THIN_DTYPES(call)                        \
    if (dtype == REAL_DTYPE) {                   \
        call(REAL_DTYPE, (int64_t)sizeof(REAL)); \
    } else if (dtype == MK_BF16) {               \
        call(MK_BF16, 2);                        \
    } else if (dtype == MK_I8) {                 \
        call(MK_I8, 1);                          \
    } else {                                     \
        call(MK_F16, 2);                         \
    }

// c[m, n] += a[m, THIN_DEPTH] @ b[THIN_DEPTH, n]; rows of b are contiguous and b_row_bytes apart.
static void RFN(thin_update)(REAL *c, int64_t c_row, const REAL *a, int64_t a_row, const char *b, int64_t b_row_bytes,
                             int32_t dtype, int64_t m, int64_t n) {
#define THIN_CALL(type, bytes) RFN(thin_update_of)(c, c_row, a, a_row, b, b_row_bytes, type, bytes, m, n)
    THIN_DTYPES(THIN_CALL)
#undef THIN_CALL
}

// c[m, n] = a[m, k] @ b[k, n]; columns of b are contiguous and b_column_bytes apart.
static void RFN(thin_dots)(REAL *c, int64_t c_row, const REAL *a, int64_t a_row, const char *b, int64_t b_column_bytes,
                           int32_t dtype, int64_t m, int64_t n, int64_t k) {
#define THIN_CALL(type, bytes) RFN(thin_dots_of)(c, c_row, a, a_row, b, b_column_bytes, type, bytes, m, n, k)
    THIN_DTYPES(THIN_CALL)
#undef THIN_CALL
}
#undef THIN_DTYPES

#if MICRO_HAS_PAIRS
// thin_dots of bfloat16 by bfloat16, neighbours along k in pairs: a third of the instructions that widening takes, so that
// more of memory is under way at once.
MK_INLINE void RFN(thin_pairs_tile)(REAL *c, int64_t c_row, const uint16_t *a, int64_t a_row, const char *b,
                                    int64_t b_column_bytes, const int rows, const int columns, int64_t k,
                                    int64_t ahead, RFN(thin_sums) sums) {
    RFN(vec) sum[8][8];
    RFN(thin_begin)(sum, rows, columns, sums);
    int64_t p = 0;
#define THIN_STEP(read)                                                                                                \
    do {                                                                                                               \
        __m512bh right[8];                                                                                             \
        _Pragma("clang loop unroll(full)") for (int j = 0; j < columns; j++) {                                         \
            const char *at = b + j * b_column_bytes + p * 2;                                                           \
            right[j] = (__m512bh)read(at);                                                                             \
            if (ahead) __builtin_prefetch(at + ahead, 0, 2);                                                           \
        }                                                                                                              \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < rows; i++) {                                            \
            const __m512bh left = (__m512bh)read(a + i * a_row + p);                                                   \
            _Pragma("clang loop unroll(full)") for (int j = 0; j < columns; j++)                                       \
                sum[i][j] = (RFN(vec))_mm512_dpbf16_ps((__m512)sum[i][j], left, right[j]);                             \
        }                                                                                                              \
    } while (0)
    // The processor fetches nothing after what is read under a mask, so that only the end is, where what is past it
    // counts as zero.
    for (; p + 32 <= k; p += 32) THIN_STEP(_mm512_loadu_si512);
#define THIN_REST(at) _mm512_maskz_loadu_epi16(((__mmask32)1 << (k - p)) - 1, at)
    if (p < k) THIN_STEP(THIN_REST);
#undef THIN_REST
#undef THIN_STEP
    if (RFN(thin_keep)(sum, rows, columns, sums)) return;
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) c[i * c_row + j] = RFN(add_lanes)(sum[i][j]);
}

// c[m, n] = a[m, k] @ b[k, n], columns of b contiguous and b_column_bytes apart, rows of a a_row apart.
static __attribute__((unused)) void RFN(thin_pairs)(REAL *c, int64_t c_row, const uint16_t *a, int64_t a_row,
                                                    const char *b, int64_t b_column_bytes, int64_t m, int64_t n,
                                                    int64_t k) {
    // How a column is summed does not depend on how many are taken at once.
    const RFN(thin_sums) whole = {NULL, false, false};
    REAL kept[THIN_COLUMNS * 8 * LANES];
    int64_t j = 0;
    enum { bytes = 2 };
    const bool held = (m + 1) * k * bytes <= THIN_HELD;
    const int64_t block = RFN(thin_block)(m, k, bytes);
    const int64_t ahead_of_one = RFN(thin_stream_ahead)(k * bytes, b_column_bytes, THIN_AHEAD);
    const int64_t single_ahead = ahead_of_one;
#define THIN_TILE(rows, columns, to, left, right, depth, ahead, sums)                                                  \
    RFN(thin_pairs_tile)(to, c_row, left, a_row, right, b_column_bytes, rows, columns, depth, ahead, sums)
    THIN_ONE(1, 1)
    THIN_EACH(THIN_ONE)
    for (; m == 1 && j + 8 <= n; j += 8)
        RFN(thin_pairs_tile)(c + j, c_row, a, a_row, b + j * b_column_bytes, b_column_bytes, 1, 8, k,
                             8 * b_column_bytes, whole);
    // All rows at once, as in thin_dots.
    THIN_EACH(THIN_AT_ONCE)
#undef THIN_TILE
    for (; j < n; j++)
        for (int64_t i = 0; i < m; i++)
            RFN(thin_pairs_tile)(c + i * c_row + j, c_row, a + i * a_row, a_row, b + j * b_column_bytes,
                                 b_column_bytes, 1, 1, k, 0, whole);
}
#endif
