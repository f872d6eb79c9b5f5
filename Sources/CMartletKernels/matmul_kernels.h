// One tile of a product for one floating type and one instruction set; see matmul.c.
#include "micro_kernels.h"

// Packs `lanes` rows (of a) or columns (of b) as strips of `width`: strip s holds out[p][i] for p < k, i < width.
// `temporary` has room for width * k elements.
static void RFN(pack)(REAL *out, int width, const char *in, int32_t dtype, int64_t lane_stride, int64_t k_stride,
                      int64_t lanes, int64_t k, REAL *temporary) {
    const int64_t bytes = mk_size_of(dtype);
    for (int64_t s = 0; s < lanes; s += width, out += (int64_t)width * k) {
        int count = lanes - s < width ? (int)(lanes - s) : width;
        const char *from = in + s * lane_stride * bytes;
        if (lane_stride == 1) {
            for (int64_t p = 0; p < k; p++) {
                const char *row = from + p * k_stride * bytes;
                REAL *to = out + p * width;
                if (count == width) {
                    RFN(convert_in)(to, row, dtype, width);
                } else {
                    RFN(convert_in)(to, row, dtype, count);
                    for (int i = count; i < width; i++) to[i] = 0;
                }
            }
        } else if (k_stride == 1) {
            const REAL *rows = (const REAL *)from;
            int64_t row = lane_stride;
            if (dtype != (REAL_DTYPE)) {
                for (int i = 0; i < count; i++)
                    RFN(convert_in)(temporary + i * k, from + i * lane_stride * bytes, dtype, k);
                rows = temporary;
                row = k;
            }
            RFN(transpose_strip)(out, width, width, rows, row, count, k);
        } else {
            for (int64_t p = 0; p < k; p++)
                for (int i = 0; i < width; i++) {
                    REAL x = 0;
                    if (i < count) RFN(convert_in)(&x, from + (i * lane_stride + p * k_stride) * bytes, dtype, 1);
                    out[p * width + i] = x;
                }
        }
    }
}

// out (+)= alpha * c for a block whose columns may have any stride. beta 0 does not read out.
static void RFN(write_block)(const product *g, char *out, const REAL *c, int64_t c_row, int64_t m, int64_t n, REAL *row) {
    const int64_t bytes = mk_size_of(g->out_dtype);
    const REAL alpha = (REAL)g->alpha, beta = (REAL)g->beta;
    for (int64_t i = 0; i < m; i++) {
        char *to = out + i * g->out_row * bytes;
        const REAL *from = c + i * c_row;
        if (g->out_column == 1) {
            if (beta != 0) {
                RFN(convert_in)(row, to, g->out_dtype, n);
                for (int64_t j = 0; j < n; j++) row[j] = alpha * from[j] + beta * row[j];
            } else {
                for (int64_t j = 0; j < n; j++) row[j] = alpha * from[j];
            }
            RFN(convert_out)(to, g->out_dtype, row, n);
        } else {
            for (int64_t j = 0; j < n; j++) {
                char *at = to + j * g->out_column * bytes;
                REAL old = 0;
                if (beta != 0) RFN(convert_in)(&old, at, g->out_dtype, 1);
                REAL value = beta != 0 ? alpha * from[j] + beta * old : alpha * from[j];
                RFN(convert_out)(at, g->out_dtype, &value, 1);
            }
        }
    }
}

// out[m0..., n0...] of one batch element: at most g->tile_m x g->tile_n, all of k. Each element is summed over k in
// order, in blocks of g->tile_k, whatever the tile is.
static void RFN(product_tile)(const product *g, const char *a, const char *b, char *out, int64_t m, int64_t n, void *scratch) {
    const int64_t tile_k = g->tile_k;
    const int64_t m_padded = (m + MR - 1) / MR * MR, n_padded = (n + NR - 1) / NR * NR;
    REAL *packed_a = scratch;
    REAL *packed_b = packed_a + m_padded * tile_k + 16;
    REAL *c = packed_b + n_padded * tile_k + 16;
    REAL *row = c + (g->direct ? MR * NR : m_padded * n_padded);
    REAL *temporary = row + n_padded;
    const int64_t bytes = mk_size_of(g->in_dtype);
    if (g->k == 0) memset(c, 0, (size_t)(m_padded * n_padded) * sizeof(REAL));
    for (int64_t k0 = 0; k0 < g->k; k0 += tile_k) {
        const int64_t k = g->k - k0 < tile_k ? g->k - k0 : tile_k;
        RFN(pack)(packed_a, MR, a + k0 * g->a_column * bytes, g->in_dtype, g->a_row, g->a_column, m, k, temporary);
        RFN(pack)(packed_b, NR, b + k0 * g->b_row * bytes, g->in_dtype, g->b_column, g->b_row, n, k, temporary);
        for (int64_t j = 0; j < n; j += NR) {
            const int columns = n - j < NR ? (int)(n - j) : NR;
            const int vectors = columns <= LANES ? 1 : 2;
            for (int64_t i = 0; i < m; i += MR) {
                const int rows = m - i < MR ? (int)(m - i) : MR;
                const REAL *left = packed_a + i * k, *right = packed_b + j * k;
                if (!g->direct) {
                    RFN(micro_packed)(rows, vectors, k, left, MR, right, NR, c + i * n_padded + j, n_padded, k0 > 0);
                    continue;
                }
                REAL *to = (REAL *)out + i * g->out_row + j;
                const bool accumulate = k0 > 0 || g->beta != 0;
                if (rows == MR && columns == NR) {
                    RFN(micro_packed)(MR, 2, k, left, MR, right, NR, to, g->out_row, accumulate);
                    continue;
                }
                RFN(micro_packed)(rows, vectors, k, left, MR, right, NR, c, NR, false);
                for (int r = 0; r < rows; r++)
                    for (int q = 0; q < columns; q++) {
                        REAL *at = to + r * g->out_row + q;
                        *at = accumulate ? *at + c[r * NR + q] : c[r * NR + q];
                    }
            }
        }
    }
    if (!g->direct) RFN(write_block)(g, out, c, n_padded, m, n, row);
}

// MARK: thin products (a few rows of a against all of b: what matters is to read b once, in order)

#define THIN_DEPTH 8

// c[m, n] += a[m, THIN_DEPTH] @ b[THIN_DEPTH, n], columns of b contiguous and `depth` of its rows used.
MK_INLINE void RFN(thin_update)(REAL *c, int64_t c_row, const REAL *a, int64_t a_row, const char *b, int64_t b_row_bytes,
                                int32_t dtype, int64_t bytes, int64_t m, int64_t n) {
    for (int64_t j = 0; j + LANES <= n; j += LANES) {
        RFN(vec) right[THIN_DEPTH];
#pragma clang loop unroll(full)
        for (int p = 0; p < THIN_DEPTH; p++) {
            REAL x[LANES];
            RFN(convert_in)(x, b + p * b_row_bytes + j * bytes, dtype, LANES);
            right[p] = RFN(load)(x);
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

// c[i, j] for two columns j of b, each contiguous along k.
MK_INLINE void RFN(thin_dots)(REAL *c, int64_t c_row, const REAL *a, int64_t a_row, const char *b, int64_t b_column_bytes,
                              int32_t dtype, int64_t bytes, const int rows, const int columns, int64_t k) {
    RFN(vec) sum[4][4];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) sum[i][j] = (RFN(vec))(REAL)0;
    int64_t p = 0;
    for (; p + LANES <= k; p += LANES) {
        RFN(vec) right[4];
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) {
            REAL x[LANES];
            RFN(convert_in)(x, b + j * b_column_bytes + p * bytes, dtype, LANES);
            right[j] = RFN(load)(x);
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            RFN(vec) left = RFN(load)(a + i * a_row + p);
#pragma clang loop unroll(full)
            for (int j = 0; j < columns; j++) sum[i][j] += left * right[j];
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) {
            REAL total = 0;
            for (int l = 0; l < LANES; l++) total += sum[i][j][l];
            for (int64_t q = p; q < k; q++) {
                REAL x;
                RFN(convert_in)(&x, b + j * b_column_bytes + q * bytes, dtype, 1);
                total += a[i * a_row + q] * x;
            }
            c[i * c_row + j] = total;
        }
}

MK_INLINE void RFN(thin_dots_all)(REAL *c, int64_t c_row, const REAL *a, int64_t a_row, const char *b,
                                  int64_t b_column_bytes, int32_t dtype, int64_t bytes, int64_t m, int64_t n, int64_t k) {
    for (int64_t j = 0; j < n; j += 4) {
        const char *columns = b + j * b_column_bytes;
        for (int64_t i = 0; i < m; i += 4) {
            REAL *to = c + i * c_row + j;
            const REAL *left = a + i * a_row;
            // A group that is not full goes one element at a time; each element's order of sums is the same.
            if (n - j >= 4 && m - i >= 4) {
                RFN(thin_dots)(to, c_row, left, a_row, columns, b_column_bytes, dtype, bytes, 4, 4, k);
            } else if (n - j >= 4) {
                for (int64_t r = 0; r < m - i; r++)
                    RFN(thin_dots)(to + r * c_row, c_row, left + r * a_row, a_row, columns, b_column_bytes, dtype, bytes,
                                   1, 4, k);
            } else {
                for (int64_t r = 0; r < m - i && r < 4; r++)
                    for (int64_t q = 0; q < n - j; q++)
                        RFN(thin_dots)(to + r * c_row + q, c_row, left + r * a_row, a_row, columns + q * b_column_bytes,
                                       b_column_bytes, dtype, bytes, 1, 1, k);
            }
        }
    }
}

// out[0..<m, 0..<n] of one batch element, m <= THIN_ROWS, all of k; b has contiguous rows or columns.
static void RFN(thin_product)(const product *g, const char *a, const char *b, char *out, int64_t m, int64_t n,
                              void *scratch) {
    const int64_t bytes = mk_size_of(g->in_dtype), k = g->k, k_padded = (k + THIN_DEPTH - 1) / THIN_DEPTH * THIN_DEPTH;
    REAL *left = scratch, *c = left + m * k_padded, *row = c + m * n;
    for (int64_t i = 0; i < m; i++) {
        REAL *to = left + i * k_padded;
        const char *from = a + i * g->a_row * bytes;
        if (g->a_column == 1)
            RFN(convert_in)(to, from, g->in_dtype, k);
        else
            for (int64_t p = 0; p < k; p++) RFN(convert_in)(to + p, from + p * g->a_column * bytes, g->in_dtype, 1);
    }
    if (g->b_column == 1) {
        memset(c, 0, (size_t)(m * n) * sizeof(REAL));
        const int64_t row_bytes = g->b_row * bytes;
        int64_t p = 0;
        for (; p + THIN_DEPTH <= k; p += THIN_DEPTH) {
            const char *from = b + p * row_bytes;
            if (g->in_dtype == MK_BF16) RFN(thin_update)(c, n, left + p, k_padded, from, row_bytes, MK_BF16, 2, m, n);
            else if (g->in_dtype == MK_F16) RFN(thin_update)(c, n, left + p, k_padded, from, row_bytes, MK_F16, 2, m, n);
            else RFN(thin_update)(c, n, left + p, k_padded, from, row_bytes, REAL_DTYPE, bytes, m, n);
        }
        for (; p < k; p++) {
            RFN(convert_in)(row, b + p * row_bytes, g->in_dtype, n);
            for (int64_t i = 0; i < m; i++) {
                const REAL x = left[i * k_padded + p];
                for (int64_t j = 0; j < n; j++) c[i * n + j] += x * row[j];
            }
        }
    } else {
        const int64_t column_bytes = g->b_column * bytes;
        if (g->in_dtype == MK_BF16)
            RFN(thin_dots_all)(c, n, left, k_padded, b, column_bytes, MK_BF16, 2, m, n, k);
        else if (g->in_dtype == MK_F16)
            RFN(thin_dots_all)(c, n, left, k_padded, b, column_bytes, MK_F16, 2, m, n, k);
        else
            RFN(thin_dots_all)(c, n, left, k_padded, b, column_bytes, REAL_DTYPE, bytes, m, n, k);
    }
    RFN(write_block)(g, out, c, n, m, n, row);
}
#undef THIN_DEPTH

static const product_kernels RFN(product_kernels) = {RFN(product_tile), RFN(thin_product), MR, NR, sizeof(REAL)};
