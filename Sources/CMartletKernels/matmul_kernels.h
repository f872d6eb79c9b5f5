// One tile of a product for one floating type and one instruction set; see matmul.c.
#include "micro_kernels.h"
#include "pair_kernels.h"
#include "thin_kernels.h"

// out (+)= alpha * c for a block whose columns may have any stride. beta 0 does not read out.
static void RFN(write_block)(const product *g, char *out, const REAL *c, int64_t c_row, int64_t m, int64_t n,
                             REAL *row) {
    const int64_t bytes = mk_size_of(g->out_dtype);
    const REAL alpha = (REAL)g->alpha, beta = (REAL)g->beta;
    const REAL *scale = g->scale;
    const bool is_plain = !scale && alpha == 1 && beta == 0 && g->out_column == 1;
#if !REAL_IS_DOUBLE
    if (is_plain && g->out_dtype == MK_BF16 && n == NR) {
        // The usual case of bfloat16, with the number of columns known.
        for (int64_t i = 0; i < m; i++)
            RFN(convert_out)(out + i * g->out_row * 2, MK_BF16, c + i * c_row, NR);
        return;
    }
#endif
    for (int64_t i = 0; i < m; i++) {
        char *to = out + i * g->out_row * bytes;
        const REAL *from = c + i * c_row;
        if (is_plain) {
            RFN(convert_out)(to, g->out_dtype, from, n);
            continue;
        }
        if (scale) {
            for (int64_t j = 0; j < n; j++) row[j] = from[j] * scale[j];
            RFN(convert_out)(to, g->out_dtype, row, n);
            continue;
        }
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

#include "int4_kernels.h"

// out[m0..., n0...] of one batch element: at most g->tile_m x g->tile_n, all of k. Each element is summed over k in
// order, in blocks of g->tile_k, whatever the tile is.
static void RFN(product_tile)(const product *g, const char *a, const char *b, char *out, int64_t m, int64_t n,
                              void *scratch) {
    const int64_t tile_k = g->tile_k;
    const int64_t m_padded = (m + MR - 1) / MR * MR, n_padded = (n + NR - 1) / NR * NR;
    REAL *packed_a = scratch;
    REAL *packed_b = packed_a + m_padded * tile_k + 16;
    REAL *c = packed_b + n_padded * tile_k + 16;
    REAL *row = c + (g->direct ? MR * NR : m_padded * n_padded);
    REAL *temporary = row + n_padded;
    const int64_t a_bytes = mk_size_of(g->a_dtype), b_bytes = mk_size_of(g->b_dtype);
    if (g->k == 0) memset(c, 0, (size_t)(m_padded * n_padded) * sizeof(REAL));
    for (int64_t k0 = 0; k0 < g->k; k0 += tile_k) {
        const int64_t k = g->k - k0 < tile_k ? g->k - k0 : tile_k;
        RFN(pack)(packed_a, MR, a + k0 * g->a_column * a_bytes, g->a_dtype, g->a_row, g->a_column, m, k, temporary);
        RFN(pack)(packed_b, NR, b + k0 * g->b_row * b_bytes, g->b_dtype, g->b_column, g->b_row, n, k, temporary);
        for (int64_t j = 0; j < n; j += NR) {
            const int columns = n - j < NR ? (int)(n - j) : NR;
            const int vectors = columns <= LANES ? 1 : 2;
            for (int64_t i = 0; i < m; i += MR) {
                const int rows = m - i < MR ? (int)(m - i) : MR;
                const REAL *left = packed_a + i * k, *right = packed_b + j * k;
                if (!g->direct) {
                    RFN(micro_packed)(false, rows, vectors, k, left, MR, right, NR, c + i * n_padded + j, n_padded,
                                      k0 > 0);
                    continue;
                }
                REAL *to = (REAL *)out + i * g->out_row + j;
                const bool accumulate = k0 > 0 || g->beta != 0;
                if (rows == MR && columns == NR) {
                    RFN(micro_packed)(false, MR, 2, k, left, MR, right, NR, to, g->out_row, accumulate);
                    continue;
                }
                RFN(micro_packed)(false, rows, vectors, k, left, MR, right, NR, c, NR, false);
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

#if !REAL_IS_DOUBLE
// Columns of b that are stored as integers, packed like those of numbers: int8 as they are, which bfloat16 holds
// exactly, weights of 4 bits times their factors. `temporary` has room for NR * k elements.
MK_INLINE void RFN(pack_integers)(const product *g, REAL *out, const char *b, int64_t first, int64_t columns,
                                  REAL *temporary) {
    const int64_t step = g->group_scale ? 2 : 1, factors = g->k / INT4_GROUP, factor = mk_size_of(g->a_dtype);
    REAL row[RFN(PACK_DEPTH)] = {0};
    for (int64_t s = 0; s < columns; s += NR, out += NR * g->steps) {
        const int count = columns - s < NR ? (int)(columns - s) : NR;
        for (int64_t p = 0; p < g->k; p += RFN(PACK_DEPTH)) {
            const int64_t depth = mk_min64(g->k - p, RFN(PACK_DEPTH)), length = g->pairs ? depth / 2 : depth;
            for (int i = 0; i < count; i++) {
                const int64_t column = first + s + i;
                const char *at = b + column * g->b_column + p / step;
                REAL *to = g->pairs ? row : temporary + i * length;
                mk_fetch_all(at + NR * g->b_column, depth / step);
                if (g->group_scale) {
                    REAL scale[RFN(PACK_DEPTH) / INT4_GROUP];
                    const char *own = (const char *)g->group_scale + (column * factors + p / INT4_GROUP) * factor;
                    RFN(convert_in)(scale, own, g->a_dtype, depth / INT4_GROUP);
                    RFN(int4_row)(to, (const uint8_t *)at, scale, depth / 64);
                } else {
                    RFN(convert_in)(to, at, MK_I8, depth);
                }
#if MICRO_HAS_PAIRS
                if (g->pairs) RFN(round_row)(temporary + i * length, row, depth);
#endif
            }
            RFN(transpose_strip)(out + (g->pairs ? p / 2 : p) * NR, NR, NR, temporary, length, count, length);
        }
    }
}
#endif

// A part of b, packed to where it belongs in `panel`: strips first..<last of NR columns. All of k where columns are
// contiguous, else k0..<k1 (even but for k itself): rows are read along, because memory gives longer runs faster.
static void RFN(pack_panel)(const product *g, const char *b, int64_t first, int64_t last, int64_t k0, int64_t k1,
                            void *panel, void *temporary) {
    const int64_t columns = mk_min64(g->n, last * NR) - first * NR, b_bytes = mk_size_of(g->b_dtype);
    REAL *to = (REAL *)panel + first * NR * g->steps;
    const char *from = b + (first * NR * g->b_column + k0 * g->b_row) * b_bytes;
#if !REAL_IS_DOUBLE
    if (g->group_scale || (g->pairs && g->b_dtype == MK_I8)) {
        RFN(pack_integers)(g, to, b, first * NR, columns, temporary);
        return;
    }
#endif
    const int64_t strip = NR * g->steps;
#if MICRO_HAS_PAIRS
    if (g->pairs) {
        REAL *rows_to = to + k0 / 2 * NR;
        if (g->b_column != 1) RFN(pack_pairs)(to, NR, from, g->b_column, columns, g->k);
        else if (g->past) RFN(pack_row_pairs_of)(rows_to, NR, strip, from, g->b_row * 2, columns, k1 - k0, true);
        else RFN(pack_row_pairs_of)(rows_to, NR, strip, from, g->b_row * 2, columns, k1 - k0, false);
        return;
    }
#endif
    if (g->b_column == 1)
        RFN(pack_along)(to + k0 * NR, NR, strip, from, g->b_dtype, g->b_row, columns, k1 - k0, g->past);
    else
        RFN(pack)(to, NR, from, g->b_dtype, g->b_column, g->b_row, columns, g->k, temporary);
}

// The rows of a that product_rows works on, for steps s0..<s0 + steps along k.
MK_INLINE void RFN(pack_rows_of_a)(const product *g, REAL *packed, const char *a, int64_t m, int64_t s0, int64_t steps,
                                   REAL *temporary) {
#if MICRO_HAS_PAIRS
    if (g->pairs) {
        const int64_t k = mk_min64(g->k - 2 * s0, 2 * steps);
        const char *from = a + 2 * s0 * g->a_column * 2;
        if (g->a_row != 1) RFN(pack_pairs)(packed, MR, from, g->a_row, m, k);
        else RFN(pack_row_pairs_of)(packed, MR, MR * steps, from, g->a_column * 2, m, k, false);
        return;
    }
#endif
    RFN(pack)(packed, MR, a + s0 * g->a_column * mk_size_of(g->a_dtype), g->a_dtype, g->a_row, g->a_column, m, steps,
              temporary);
}

// Whether a tile can pack a's next strip meanwhile (RFN(strip)): where numbers are moved as they are, between whole
// tiles.
MK_INLINE bool RFN(packs_meanwhile)(const product *g, int64_t n) {
    if (n < NR) return false;
    if (g->pairs) return g->a_row != 1 || g->k % 2 == 0;
    return g->a_dtype == REAL_DTYPE && (g->a_column == 1 || g->a_row == 1);
}

// out[0..<m, 0..<n] of one batch element with b's columns packed by pack_panel: packs its rows of a, a block of k at a
// time, which stay in the second-level cache while strips of b pass by. Sums as product_tile does.
static void RFN(product_rows)(const product *g, const char *a, const void *panel, char *out, int64_t m, int64_t n,
                              void *scratch) {
    const int64_t tile = g->tile_k, all = g->steps;
    const int64_t m_padded = (m + MR - 1) / MR * MR, n_padded = (n + NR - 1) / NR * NR;
    // Sums of several blocks of k are kept in float until the last one.
    const bool keeps = !g->direct && all > tile;
    REAL *packed = scratch;
    REAL *c = packed + m_padded * tile + 16;
    REAL *row = c + (keeps ? m_padded * n_padded : MR * NR);
    REAL *temporary = row + NR;
    const int64_t out_bytes = mk_size_of(g->out_dtype);
    const bool meanwhile = RFN(packs_meanwhile)(g, n), across = g->a_row == 1;
    const int64_t a_bytes = mk_size_of(g->a_dtype), pair = g->pairs ? 2 : 1;
    // Whole tiles are rounded in registers.
    const bool rounds = MICRO_HAS_PAIRS && g->pairs && !g->scale && g->alpha == 1 && (g->beta == 0 || g->beta == 1) &&
                        g->out_column == 1 && g->out_dtype == MK_BF16;
    product edge = *g;
    for (int64_t s0 = 0; s0 < all; s0 += tile) {
        const int64_t steps = all - s0 < tile ? all - s0 : tile;
        const bool accumulate = s0 > 0 || g->beta != 0, is_last = s0 + steps == all;
        RFN(pack_rows_of_a)(g, packed, a, meanwhile ? mk_min64(m, MR) : m, s0, steps, temporary);
        for (int64_t j = 0; j < n; j += NR) {
            const int columns = n - j < NR ? (int)(n - j) : NR;
            const REAL *right = (const REAL *)panel + j * all + s0 * NR;
            // The next strip of b comes from the outer caches: a part of it with each tile.
            RFN(besides) besides = {.ahead = (const char *)(right + NR * all),
                                    .ahead_step = NR * (int64_t)sizeof(REAL) * MR / m_padded,
                                    .rounded_row = g->out_row,
                                    .adds = g->beta != 0};
            for (int64_t i = 0; i < m; i += MR) {
                const int rows = m - i < MR ? (int)(m - i) : MR;
                const REAL *left = packed + i * steps;
                char *to = out + (i * g->out_row + j * g->out_column) * out_bytes;
                const int64_t next = i + MR;
                besides.strip.out = NULL;
                if (meanwhile && j == 0 && next < m) {
                    const char *below = a + next * g->a_row * a_bytes;
                    if (next + MR <= m)
                        besides.strip = (RFN(strip)){packed + next * steps,
                                                     (const REAL *)(below + s0 * pair * g->a_column * a_bytes),
                                                     across ? g->a_column : g->a_row / pair, across};
                    else
                        RFN(pack_rows_of_a)(g, packed + next * steps, below, m - next, s0, steps, temporary);
                }
                if (g->direct && rows == MR && columns == NR) {
                    RFN(micro_whole)(g->pairs, steps, left, right, (REAL *)to, g->out_row, accumulate, &besides);
                } else if (g->direct) {
                    RFN(micro_packed)(g->pairs, rows, 2, steps, left, MR, right, NR, c, NR, false);
                    for (int r = 0; r < rows; r++)
                        for (int q = 0; q < columns; q++) {
                            REAL *at = (REAL *)to + r * g->out_row + q;
                            *at = accumulate ? *at + c[r * NR + q] : c[r * NR + q];
                        }
                } else {
                    REAL *sums = keeps ? c + i * n_padded + j : c;
                    const int64_t sums_row = keeps ? n_padded : NR;
                    besides.rounded = rounds && is_last && rows == MR && columns == NR ? (uint16_t *)to : NULL;
                    if (rows == MR)
                        RFN(micro_whole)(g->pairs, steps, left, right, sums, sums_row, s0 > 0, &besides);
                    else
                        RFN(micro_packed)(g->pairs, rows, 2, steps, left, MR, right, NR, sums, sums_row, s0 > 0);
                    if (is_last && !besides.rounded) {
                        if (g->scale) edge.scale = (const REAL *)g->scale + j;
                        RFN(write_block)(&edge, to, sums, sums_row, rows, columns, row);
                    }
                }
                besides.ahead += steps * besides.ahead_step;
            }
        }
    }
}

// out[0..<m, 0..<n] of one batch element, m <= THIN_ROWS, all of k; b has contiguous rows or columns.
static void RFN(thin_product)(const product *g, const char *a, const char *b, char *out, int64_t m, int64_t n,
                              void *scratch) {
    const int64_t a_bytes = mk_size_of(g->a_dtype), b_bytes = mk_size_of(g->b_dtype);
    // Rows of a whose distance is a power of two would share one set of the first-level cache with those of b.
    const int64_t k = g->k, k_padded = mk_div_up(k, 16) * 16 + 16;
    REAL *left = scratch, *c = left + m * k_padded, *row = c + m * n;
#if MICRO_HAS_PAIRS
    if (g->pairs) {
        const uint16_t *rows = (const uint16_t *)a;
        int64_t a_row = g->a_row;
        if (m > 1) {
            for (int64_t i = 0; i < m; i++) memcpy(left + i * k_padded, rows + i * a_row, (size_t)k * sizeof *rows);
            rows = (const uint16_t *)left;
            a_row = 2 * k_padded;
        }
        RFN(thin_pairs)(c, n, rows, a_row, b, g->b_column * b_bytes, m, n, k);
        RFN(write_block)(g, out, c, n, m, n, row);
        return;
    }
#endif
    for (int64_t i = 0; i < m; i++) {
        REAL *to = left + i * k_padded;
        const char *from = a + i * g->a_row * a_bytes;
        if (g->a_column == 1)
            RFN(convert_in)(to, from, g->a_dtype, k);
        else
            for (int64_t p = 0; p < k; p++) RFN(convert_in)(to + p, from + p * g->a_column * a_bytes, g->a_dtype, 1);
    }
    if (g->b_column == 1) {
        memset(c, 0, (size_t)(m * n) * sizeof(REAL));
        const int64_t row_bytes = g->b_row * b_bytes;
        int64_t p = 0;
        for (; p + THIN_DEPTH <= k; p += THIN_DEPTH)
            RFN(thin_update)(c, n, left + p, k_padded, b + p * row_bytes, row_bytes, g->b_dtype, m, n);
        for (; p < k; p++) {
            RFN(convert_in)(row, b + p * row_bytes, g->b_dtype, n);
            for (int64_t i = 0; i < m; i++) {
                const REAL x = left[i * k_padded + p];
                for (int64_t j = 0; j < n; j++) c[i * n + j] += x * row[j];
            }
        }
    } else {
        RFN(thin_dots)(c, n, left, k_padded, b, g->b_column * b_bytes, g->b_dtype, m, n, k);
    }
    RFN(write_block)(g, out, c, n, m, n, row);
}

static const product_kernels RFN(product_kernels) = {
    .tile = RFN(product_tile),
    .thin = RFN(thin_product),
#if !REAL_IS_DOUBLE
    .int4 = RFN(int4_product),
#endif
    .pack_panel = RFN(pack_panel),
    .rows_of_panel = RFN(product_rows),
    .rows = MR,
    .columns = NR,
    .bytes = sizeof(REAL),
};
