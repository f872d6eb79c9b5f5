// Register-tiled products on packed or in-place blocks, for the REAL and instruction set of the including file (see
// mk_each_real.h). MR x NR is the register tile.

#undef MR
#undef NR
// The accumulators (MR x 2 registers), two registers of b and one or two for a must fit the register file.
#if MK_ISA_LEVEL >= 2
#define MR 14
#elif MK_ISA_LEVEL == 1
#define MR 6
#elif defined(__aarch64__)
#define MR 10
#else
#define MR 4
#endif
#define NR (2 * LANES)

// Pairs of bfloat16 numbers, each pair as one float, and sums of their products: see pair_kernels.h.
#undef MICRO_HAS_PAIRS
#define MICRO_HAS_PAIRS (MK_ISA_LEVEL == 3 && !REAL_IS_DOUBLE)

MK_INLINE RFN(vec) RFN(multiply_add)(RFN(vec) sum, RFN(vec) left, RFN(vec) right, const bool pairs) {
#if MICRO_HAS_PAIRS
    if (pairs) return (RFN(vec))_mm512_dpbf16_ps((__m512)sum, (__m512bh)left, (__m512bh)right);
#else
    (void)pairs;
#endif
    return sum + left * right;
}

// A strip of MR rows of a that a tile packs meanwhile, for the tile below it: multiplying leaves the processor's other
// units idle. Element (i, p) is at in[i * row + p]; with `across` at in[i + p * row], and of pairs there, pair (i, p) is
// number i of rows 2p and 2p + 1, which are `row` numbers apart.
typedef struct {
    REAL *out; // out[p * MR + i]
    const REAL *in;
    int64_t row;
    bool across;
} RFN(strip);

// What a tile packs: nothing, or a strip of either kind.
enum { RFN(PACKS_NOTHING), RFN(PACKS_ALONG), RFN(PACKS_ACROSS) };

// Moves by the processor's registers for integers: those for vectors all hold sums.
MK_INLINE void RFN(move_one)(REAL *out, const REAL *in) {
#if REAL_IS_DOUBLE
    uint64_t bits;
#else
    uint32_t bits;
#endif
    memcpy(&bits, in, sizeof bits);
    __asm__("" : "+r"(bits));
    memcpy(out, &bits, sizeof bits);
}
MK_INLINE void RFN(move_column)(REAL *out, const REAL *in) {
    for (size_t i = 0; i < MR * sizeof(REAL); i += 8) {
        uint64_t bits;
        memcpy(&bits, (const char *)in + i, 8);
        __asm__("" : "+r"(bits));
        memcpy((char *)out + i, &bits, 8);
    }
}
#if MICRO_HAS_PAIRS
// MR pairs of the numbers at `in` and those `row` numbers further.
MK_INLINE void RFN(move_pair_column)(REAL *out, const uint16_t *in, int64_t row) {
    for (int i = 0; i < MR; i += 2) {
        uint32_t low, high;
        memcpy(&low, in + i, 4);
        memcpy(&high, in + row + i, 4);
        const uint64_t bits = _pdep_u64(low, 0x0000ffff0000ffff) | _pdep_u64(high, 0xffff0000ffff0000);
        memcpy(out + i, &bits, 8);
    }
}
#endif

// What a whole tile does besides multiplying.
typedef struct {
    // Memory that comes into the cache, ahead_step bytes with each step of k.
    const char *ahead;
    int64_t ahead_step;
    // Packed where out is not NULL.
    RFN(strip) strip;
    // Of pairs: where the sums go as bfloat16 instead of to c, if anywhere; with `adds` they are added to what is there.
    uint16_t *rounded;
    int64_t rounded_row;
    bool adds;
} RFN(besides);

// What a tile brings into the cache meanwhile, a line or two with each step of k: memory from `ahead` on, and the rows
// that it reads or writes at its end.
typedef struct {
    const char *ahead;
    int64_t step;
    const char *used, *last;
    int64_t row, half; // bytes from row to row, and half of what is used of one
} RFN(fetches);

MK_INLINE RFN(fetches) RFN(fetches_of)(const RFN(besides) *besides, int rows, const REAL *c, int64_t c_row,
                                       bool accumulate) {
    RFN(fetches) f = {besides->ahead, besides->ahead_step, (const char *)c, NULL, c_row * (int64_t)sizeof(REAL),
                      LANES * sizeof(REAL)};
    // What is read is waited for, what is written is not.
    if (besides->rounded && !accumulate) {
        f.used = (const char *)besides->rounded;
        f.row = besides->rounded_row * 2;
        f.half = LANES * 2;
    }
    f.last = f.used + (rows - 1) * f.row;
    return f;
}

MK_INLINE void RFN(fetch)(RFN(fetches) *f) {
    __builtin_prefetch(f->ahead, 0, 2);
    __builtin_prefetch(f->used, 1, 2);
    __builtin_prefetch(f->used + f->half, 1, 2);
    f->ahead += f->step;
    f->used = f->used == f->last ? f->last : f->used + f->row;
}

// One step of k.
MK_INLINE void RFN(tile_step)(RFN(vec) sum[MR][2], const int rows, const int vectors, const REAL *a,
                              const int64_t a_row, const REAL *b, const bool pairs) {
    RFN(vec) right[2];
#pragma clang loop unroll(full)
    for (int j = 0; j < vectors; j++) right[j] = RFN(load)(b + j * LANES);
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        RFN(vec) left = (RFN(vec))a[i * a_row];
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) sum[i][j] = RFN(multiply_add)(sum[i][j], left, right[j], pairs);
    }
}

#if MICRO_HAS_PAIRS
// Stores the sums as bfloat16, or adds them to what is there.
MK_INLINE void RFN(store_rounded)(const RFN(besides) *besides, RFN(vec) sum[MR][2]) {
#pragma clang loop unroll(full)
    for (int i = 0; i < MR; i++) {
        uint16_t *to = besides->rounded + i * besides->rounded_row;
        if (besides->adds) {
            REAL old[NR];
            RFN(convert_in)(old, to, MK_BF16, NR);
            sum[i][0] += RFN(load)(old);
            sum[i][1] += RFN(load)(old + LANES);
        }
        _mm512_storeu_si512(to, MK_FN(round_two_to_bf16)((__m512)sum[i][0], (__m512)sum[i][1]));
    }
}
#endif

// c[rows, vectors * LANES] (+)= a[rows, k] b[k, ...], element (i, p) of a at a[i * a_row + p * a_step]. With rows,
// vectors, a_row, pairs and packs known when this is inlined, everything stays in registers. `besides` is NULL or what
// a whole tile does meanwhile; where it is rounded, c is only read.
MK_INLINE void RFN(tile)(const int rows, const int vectors, int64_t k, const REAL *a, const int64_t a_row,
                         int64_t a_step, const REAL *b, int64_t b_step, REAL *c, int64_t c_row, bool accumulate,
                         const bool pairs, const RFN(besides) *besides, const int packs) {
    RFN(vec) sum[MR][2];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) sum[i][j] = (RFN(vec))(REAL)0;
    RFN(fetches) fetches;
    if (besides) fetches = RFN(fetches_of)(besides, rows, c, c_row, accumulate);
    int64_t p = 0;
    if (packs == RFN(PACKS_ALONG)) {
        // A square of MR x MR in as many steps: one of its rows with each.
        const RFN(strip) strip = besides->strip;
        const REAL *in = strip.in;
        REAL *out = strip.out;
        for (; p + MR <= k; p += MR, in += MR, out += MR * MR) {
            const REAL *from = in;
            for (int s = 0; s < MR; s++, from += strip.row, a += a_step, b += b_step) {
                __builtin_prefetch(from + MR * strip.row, 0, 2);
                __builtin_prefetch(out + MR * MR + s * MR, 1, 3);
#pragma clang loop unroll(full)
                for (int q = 0; q < MR; q++) RFN(move_one)(out + q * MR + s, from + q);
                RFN(fetch)(&fetches);
                RFN(tile_step)(sum, rows, vectors, a, a_row, b, pairs);
            }
        }
        for (int i = 0; i < MR; i++)
            for (int64_t q = 0; q < k - p; q++) RFN(move_one)(out + q * MR + i, in + i * strip.row + q);
    } else if (packs == RFN(PACKS_ACROSS)) {
        const int64_t row = besides->strip.row;
        const REAL *in = besides->strip.in;
        REAL *out = besides->strip.out;
        // Two rows of bfloat16 numbers are as far apart as one of floats.
        for (; p < k; p++, in += row, out += MR, a += a_step, b += b_step) {
            __builtin_prefetch(in + 2 * MR, 0, 2);
            __builtin_prefetch(out + 8 * MR, 1, 3);
#if MICRO_HAS_PAIRS
            if (pairs) {
                const uint16_t *numbers = (const uint16_t *)in;
                __builtin_prefetch(numbers + row + 4 * MR, 0, 2);
                RFN(move_pair_column)(out, numbers, row);
            }
#endif
            if (!pairs) RFN(move_column)(out, in);
            RFN(fetch)(&fetches);
            RFN(tile_step)(sum, rows, vectors, a, a_row, b, pairs);
        }
    }
    for (; p < k; p++, a += a_step, b += b_step) {
        if (besides) RFN(fetch)(&fetches);
        RFN(tile_step)(sum, rows, vectors, a, a_row, b, pairs);
    }
    if (accumulate)
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
            for (int j = 0; j < vectors; j++) sum[i][j] += RFN(load)(c + i * c_row + j * LANES);
#if MICRO_HAS_PAIRS
    if (besides && besides->rounded) {
        RFN(store_rounded)(besides, sum);
        return;
    }
#endif
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < vectors; j++) RFN(store)(c + i * c_row + j * LANES, sum[i][j]);
}

#define MICRO_TILE(rows, vectors) \
    RFN(tile)(rows, vectors, k, a, a_row, a_step, b, b_step, c, c_row, accumulate, pairs, NULL, RFN(PACKS_NOTHING))
#define MICRO_CASE(rows)                       \
    case rows:                                 \
        if (vectors == 2) MICRO_TILE(rows, 2); \
        else MICRO_TILE(rows, 1);              \
        break;
#if MR == 14
#define MICRO_CASES \
    MICRO_CASE(1) MICRO_CASE(2) MICRO_CASE(4) MICRO_CASE(6) MICRO_CASE(8) MICRO_CASE(10) MICRO_CASE(12) MICRO_CASE(14)
#elif MR == 10
#define MICRO_CASES MICRO_CASE(1) MICRO_CASE(2) MICRO_CASE(4) MICRO_CASE(6) MICRO_CASE(8) MICRO_CASE(10)
#elif MR == 6
#define MICRO_CASES MICRO_CASE(1) MICRO_CASE(2) MICRO_CASE(4) MICRO_CASE(6)
#else
#define MICRO_CASES MICRO_CASE(1) MICRO_CASE(2) MICRO_CASE(4)
#endif

MK_INLINE void RFN(micro)(int rows, int vectors, int64_t k, const REAL *a, const int64_t a_row, int64_t a_step,
                          const REAL *b, int64_t b_step, REAL *c, int64_t c_row, bool accumulate, const bool pairs) {
    switch (rows == 1 ? 1 : (rows + 1) & ~1) { MICRO_CASES }
}
#undef MICRO_CASE
#undef MICRO_TILE
#undef MICRO_CASES

// `rows` 1...MR is rounded up to 1 or an even number, so a and c must have that many rows (c's values there are
// garbage). With pairs, where there are such, k counts them.
static void RFN(micro_packed)(bool pairs, int rows, int vectors, int64_t k, const REAL *a, int64_t a_step,
                              const REAL *b, int64_t b_step, REAL *c, int64_t c_row, bool accumulate) {
    if (MICRO_HAS_PAIRS && pairs)
        RFN(micro)(rows, vectors, k, a, 1, a_step, b, b_step, c, c_row, accumulate, true);
    else
        RFN(micro)(rows, vectors, k, a, 1, a_step, b, b_step, c, c_row, accumulate, false);
}

// The same for a whole MR x NR tile.
static __attribute__((unused)) void RFN(micro_whole)(bool pairs, int64_t k, const REAL *a, const REAL *b, REAL *c,
                                                     int64_t c_row, bool accumulate, const RFN(besides) *besides) {
#define MICRO_WHOLE(pairs, packs) \
    RFN(tile)(MR, 2, k, a, 1, MR, b, NR, c, c_row, accumulate, pairs, besides, RFN(packs))
#define MICRO_WHOLES(pairs)                                           \
    if (!besides->strip.out) MICRO_WHOLE(pairs, PACKS_NOTHING);       \
    else if (besides->strip.across) MICRO_WHOLE(pairs, PACKS_ACROSS); \
    else MICRO_WHOLE(pairs, PACKS_ALONG)
    if (MICRO_HAS_PAIRS && pairs) {
        MICRO_WHOLES(true);
    } else {
        MICRO_WHOLES(false);
    }
#undef MICRO_WHOLES
#undef MICRO_WHOLE
}

// a is a row-major block whose rows are MICRO_TILE_ROW apart, those of pairs MICRO_PAIR_ROW: constants, so that no
// register holds an address per row.
#if defined(MICRO_TILE_ROW)
static void RFN(micro_rows)(bool pairs, int rows, int vectors, int64_t k, const REAL *a, const REAL *b, int64_t b_step,
                            REAL *c, int64_t c_row, bool accumulate) {
    if (MICRO_HAS_PAIRS && pairs)
        RFN(micro)(rows, vectors, k, a, MICRO_PAIR_ROW, 1, b, b_step, c, c_row, accumulate, true);
    else
        RFN(micro)(rows, vectors, k, a, MICRO_TILE_ROW, 1, b, b_step, c, c_row, accumulate, false);
}
#endif

// MARK: packing

// Transposes a square of LANES x LANES: `in` has rows in_row apart, `out` rows out_row apart. Rows of `in` from `rows`
// on are taken as zero. Rows of out are written in order, each LANES wide.
MK_INLINE void RFN(transpose_square)(REAL *out, int64_t out_row, const REAL *in, int64_t in_row, int rows) {
    RFN(vec) x[LANES], y[LANES];
#pragma clang loop unroll(full)
    for (int i = 0; i < LANES; i++) x[i] = i < rows ? RFN(load)(in + i * in_row) : (RFN(vec))(REAL)0;
    // Each round interleaves row i with row i + LANES/2; after log2(LANES) rounds the square is transposed.
#pragma clang loop unroll(full)
    for (int step = 1; step < LANES; step *= 2) {
#pragma clang loop unroll(full)
        for (int i = 0; i < LANES / 2; i++) {
            RFN(vec) low = x[i], high = x[i + LANES / 2];
#if MK_LANES == 16 && !REAL_IS_DOUBLE
            y[2 * i] = __builtin_shufflevector(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            y[2 * i + 1] =
                __builtin_shufflevector(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif (MK_LANES == 16 && REAL_IS_DOUBLE) || (MK_LANES == 8 && !REAL_IS_DOUBLE)
            y[2 * i] = __builtin_shufflevector(low, high, 0, 8, 1, 9, 2, 10, 3, 11);
            y[2 * i + 1] = __builtin_shufflevector(low, high, 4, 12, 5, 13, 6, 14, 7, 15);
#elif (MK_LANES == 8 && REAL_IS_DOUBLE) || (MK_LANES == 4 && !REAL_IS_DOUBLE)
            y[2 * i] = __builtin_shufflevector(low, high, 0, 4, 1, 5);
            y[2 * i + 1] = __builtin_shufflevector(low, high, 2, 6, 3, 7);
#else
            y[2 * i] = __builtin_shufflevector(low, high, 0, 2);
            y[2 * i + 1] = __builtin_shufflevector(low, high, 1, 3);
#endif
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < LANES; i++) x[i] = y[i];
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < LANES; i++) RFN(store)(out + i * out_row, x[i]);
}

// out[p * out_row + i] = in[i * in_row + p] for i < count, p < k; zero for count <= i < width. width <= out_row. Rows
// of out may be overwritten up to LANES - 1 elements past `width` by what belongs to the next row, so out needs LANES
// spare elements at its end.
MK_INLINE void RFN(transpose_strip)(REAL *out, int64_t out_row, int width, const REAL *in, int64_t in_row, int count,
                                    int64_t k) {
    int64_t p = 0;
    for (; p + LANES <= k; p += LANES)
        // From the right, so that a square's overhang is overwritten by the square that owns the place.
        for (int i = (width - 1) / LANES * LANES; i >= 0; i -= LANES) {
            REAL *to = out + p * out_row + i;
            const REAL *from = in + i * in_row + p;
            // The next strip's rows: they may lie pages apart, where the processor does not prefetch by itself.
            for (int j = 0; j < LANES; j++) __builtin_prefetch(from + (width + j) * in_row);
            if (count - i >= LANES)
                RFN(transpose_square)(to, out_row, from, in_row, LANES);
            else
                RFN(transpose_square)(to, out_row, from, in_row, count - i);
        }
    for (; p < k; p++)
        for (int i = 0; i < width; i++) out[p * out_row + i] = i < count ? in[i * in_row + p] : 0;
}

// How many bytes further on the rows are, an even number, that are fetched while rows of `bytes` bytes, row_bytes apart, are
// packed: the processor does not prefetch by itself what lies apart.
MK_INLINE int64_t RFN(pack_ahead)(int64_t row_bytes, int64_t bytes) {
    return row_bytes * mk_max64(2, mk_min64(mk_rows_ahead(bytes), 16) / 2 * 2);
}

// Rows of elements that lie side by side: along the rows of the source, whatever strip they go to; strips are `strip`
// elements apart. With `past`, whole strips of NR elements of REAL go past the caches.
MK_INLINE void RFN(pack_rows)(REAL *out, const int width, int64_t strip, const char *in, const int32_t dtype,
                              int64_t k_stride, int64_t lanes, int64_t k, const bool past) {
    const int64_t bytes = mk_size_of(dtype);
    const int64_t ahead_bytes = RFN(pack_ahead)(k_stride * bytes, lanes * bytes);
    for (int64_t p = 0; p < k; p++) {
        const char *row = in + p * k_stride * bytes, *ahead = row + ahead_bytes;
        REAL *to = out + p * width;
        for (int64_t s = 0; s < lanes; s += width, to += strip) {
            for (int64_t line = 0; line < width * bytes; line += 64) __builtin_prefetch(ahead + s * bytes + line);
            if (past && lanes - s >= NR) {
                for (int j = 0; j < NR; j += LANES)
                    __builtin_nontemporal_store(RFN(load)((const REAL *)row + s + j), (RFN(vec) *)(void *)(to + j));
            } else if (width < LANES && lanes - s >= LANES && p + 1 < k) {
                // A whole register: what is too much is overwritten by the next row.
                RFN(convert_in)(to, row + s * bytes, dtype, LANES);
            } else if (lanes - s >= width) {
                RFN(convert_in)(to, row + s * bytes, dtype, width);
            } else {
                const int64_t count = mk_min64(width, lanes - s);
                RFN(convert_in)(to, row + s * bytes, dtype, count);
                for (int64_t i = count; i < width; i++) to[i] = 0;
            }
        }
    }
}

// The same with what is constant for the usual types and widths.
static void RFN(pack_along)(REAL *out, int width, int64_t strip, const char *in, int32_t dtype, int64_t k_stride,
                            int64_t lanes, int64_t k, bool past) {
#define PACK_ROWS(width, dtype, past) RFN(pack_rows)(out, width, strip, in, dtype, k_stride, lanes, k, past)
    if (width == NR && dtype == REAL_DTYPE && past) PACK_ROWS(NR, REAL_DTYPE, true);
    else if (width == NR && dtype == REAL_DTYPE) PACK_ROWS(NR, REAL_DTYPE, false);
    else if (dtype == REAL_DTYPE) PACK_ROWS(MR, REAL_DTYPE, false);
    else if (width == NR && dtype == MK_BF16) PACK_ROWS(NR, MK_BF16, false);
    else if (dtype == MK_BF16) PACK_ROWS(MR, MK_BF16, false);
    else PACK_ROWS(width, dtype, false);
#undef PACK_ROWS
}

// Elements of other types that are converted before they are transposed, for each strip: they stay in the first-level
// cache.
enum { RFN(PACK_DEPTH) = 256 };

// Packs `lanes` rows (of a) or columns (of b) as strips of `width`, MR or NR: strip s holds out[p][i] for p < k,
// i < width. `temporary` has room for width * min(k, PACK_DEPTH) elements.
static __attribute__((unused)) void RFN(pack)(REAL *out, int width, const char *in, int32_t dtype, int64_t lane_stride,
                                              int64_t k_stride, int64_t lanes, int64_t k, REAL *temporary) {
    const int64_t bytes = mk_size_of(dtype);
    if (lane_stride == 1) {
        RFN(pack_along)(out, width, width * k, in, dtype, k_stride, lanes, k, false);
        return;
    }
    for (int64_t s = 0; s < lanes; s += width, out += (int64_t)width * k) {
        int count = lanes - s < width ? (int)(lanes - s) : width;
        const char *from = in + s * lane_stride * bytes;
        if (k_stride == 1 && dtype == REAL_DTYPE) {
            RFN(transpose_strip)(out, width, width, (const REAL *)from, lane_stride, count, k);
        } else if (k_stride == 1) {
            for (int64_t p = 0; p < k; p += RFN(PACK_DEPTH)) {
                const int64_t depth = k - p < RFN(PACK_DEPTH) ? k - p : RFN(PACK_DEPTH);
                for (int i = 0; i < count; i++) {
                    const char *at = from + (i * lane_stride + p) * bytes, *ahead = at + width * lane_stride * bytes;
                    for (int64_t line = 0; line < depth * bytes; line += 64) __builtin_prefetch(ahead + line);
                    RFN(convert_in)(temporary + i * depth, at, dtype, depth);
                }
                RFN(transpose_strip)(out + p * width, width, width, temporary, depth, count, depth);
            }
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
