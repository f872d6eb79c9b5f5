// Products with weights of 4 bits in groups of 32 that share a scale, for float and the instruction set of the
// including file. 64 weights of one output are a block of 32 bytes: byte i holds weight i in its low half and weight
// 32 + i in its high half, each 8 more than its value.
#if !REAL_IS_DOUBLE

// `blocks` of 64 weights of 4 bits times their factors, of which each block has two.
MK_INLINE void RFN(int4_row)(REAL *restrict out, const uint8_t *restrict b, const REAL *scale, int64_t blocks) {
    for (int64_t block = 0; block < blocks; block++, b += 32, out += 64, scale += 2)
        for (int i = 0; i < 32; i++) {
            out[i] = (REAL)((int32_t)(b[i] & 15) - 8) * scale[0];
            out[32 + i] = (REAL)((int32_t)(b[i] >> 4) - 8) * scale[1];
        }
}

// c[i * c_row] for some rows of a and one output.
MK_INLINE void RFN(int4_dots)(REAL *c, int64_t c_row, const REAL *a, int64_t a_row, const uint8_t *b,
                              const REAL *scale, const int rows, int64_t blocks) {
    RFN(vec) sum[4];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) sum[i] = (RFN(vec))(REAL)0;
    for (int64_t block = 0; block < blocks; block++, b += 32, scale += 2)
#pragma clang loop unroll(full)
        for (int part = 0; part < 64; part += LANES) {
            const uint8_t *bytes = b + part % 32;
            REAL weights[LANES];
            for (int l = 0; l < LANES; l++)
                weights[l] = (REAL)((int32_t)(part < 32 ? bytes[l] & 15 : bytes[l] >> 4) - 8);
            const RFN(vec) right = RFN(load)(weights) * scale[part / 32];
#pragma clang loop unroll(full)
            for (int i = 0; i < rows; i++) sum[i] += RFN(load)(a + i * a_row + block * 64 + part) * right;
        }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) c[i * c_row] = RFN(add_lanes)(sum[i]);
}

#if MICRO_HAS_PAIRS
// The same for bfloat16 without conversion, for several outputs. A register of 16-bit words with a byte each picks 32
// weights from a table: its instruction looks at five bits, of which the fifth, from the other half, changes nothing.
MK_INLINE void RFN(int4_pairs)(REAL *c, int64_t c_row, const uint16_t *a, int64_t a_row, const uint8_t *b,
                               int64_t b_column, const uint16_t *scale, const int rows, const int columns,
                               int64_t blocks) {
    // -8 ... 7 as bfloat16, twice.
    const __m256i values = _mm256_set_epi16(0x40e0, 0x40c0, 0x40a0, 0x4080, 0x4040, 0x4000, 0x3f80, 0,
                                            (short)0xbf80, (short)0xc000, (short)0xc040, (short)0xc080,
                                            (short)0xc0a0, (short)0xc0c0, (short)0xc0e0, (short)0xc100);
    const __m512i table = _mm512_inserti64x4(_mm512_castsi256_si512(values), values, 1);
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    __m512 sum[4][8];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) sum[i][j] = _mm512_setzero_ps();
    for (int64_t block = 0; block < blocks; block++)
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) {
            const uint8_t *at = b + j * b_column + block * 32;
            if (block % 2 == 0) __builtin_prefetch(at + columns * b_column, 0, 2);
            const __m512i words = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)at));
            const __m512bh low = (__m512bh)_mm512_permutexvar_epi16(words, table);
            const __m512bh high = (__m512bh)_mm512_permutexvar_epi16(_mm512_srli_epi16(words, 4), table);
            uint32_t pair;
            memcpy(&pair, scale + j * blocks * 2 + block * 2, sizeof pair);
            const __m512i both = _mm512_set1_epi32((int)pair);
            const __m512 low_scale = (__m512)_mm512_slli_epi32(both, 16);
            const __m512 high_scale = (__m512)_mm512_and_si512(both, upper);
#pragma clang loop unroll(full)
            for (int i = 0; i < rows; i++) {
                const uint16_t *left = a + i * a_row + block * 64;
                const __m512 first =
                    _mm512_dpbf16_ps(_mm512_setzero_ps(), (__m512bh)_mm512_loadu_si512(left), low);
                const __m512 second =
                    _mm512_dpbf16_ps(_mm512_setzero_ps(), (__m512bh)_mm512_loadu_si512(left + 32), high);
                sum[i][j] = _mm512_fmadd_ps(second, high_scale, _mm512_fmadd_ps(first, low_scale, sum[i][j]));
            }
        }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++)
#pragma clang loop unroll(full)
        for (int j = 0; j < columns; j++) c[i * c_row + j] = RFN(add_lanes)((RFN(vec))sum[i][j]);
}
#endif

// out[0..<m, 0..<n], all of k, for few rows. How an element is summed depends neither on the number of rows nor on where tiles are
// cut.
static void RFN(int4_product)(const product *g, const char *a, const char *b, char *out, int64_t m, int64_t n,
                              void *scratch) {
    const int64_t k = g->k, blocks = k / 64, bytes = mk_size_of(g->a_dtype);
    const uint8_t *weights = (const uint8_t *)b;
    REAL *c = scratch, *row = c + m * n, *left = row + n, *scale = left + m * k;
#if MICRO_HAS_PAIRS
    if (g->pairs) {
        const uint16_t *x = (const uint16_t *)a, *scales = g->group_scale;
        for (int64_t i = 0; i < m;) {
            const int rows = m - i >= 4 ? 4 : 1;
            int64_t j = 0;
            for (; rows == 1 && j + 8 <= n; j += 8)
                RFN(int4_pairs)(c + i * n + j, n, x + i * g->a_row, g->a_row, weights + j * g->b_column, g->b_column,
                                scales + j * 2 * blocks, 1, 8, blocks);
            for (; rows == 4 && j + 4 <= n; j += 4)
                RFN(int4_pairs)(c + i * n + j, n, x + i * g->a_row, g->a_row, weights + j * g->b_column, g->b_column,
                                scales + j * 2 * blocks, 4, 4, blocks);
            for (; j < n; j++)
                for (int r = 0; r < rows; r++)
                    RFN(int4_pairs)(c + (i + r) * n + j, n, x + (i + r) * g->a_row, g->a_row,
                                    weights + j * g->b_column, g->b_column, scales + j * 2 * blocks, 1, 1, blocks);
            i += rows;
        }
        RFN(write_block)(g, out, c, n, m, n, row);
        return;
    }
#endif
    for (int64_t i = 0; i < m; i++) RFN(convert_in)(left + i * k, a + i * g->a_row * bytes, g->a_dtype, k);
    for (int64_t j = 0; j < n; j++) {
        RFN(convert_in)(scale, (const char *)g->group_scale + j * 2 * blocks * bytes, g->a_dtype, 2 * blocks);
        int64_t i = 0;
        for (; i + 4 <= m; i += 4)
            RFN(int4_dots)(c + i * n + j, n, left + i * k, k, weights + j * g->b_column, scale, 4, blocks);
        for (; i < m; i++)
            RFN(int4_dots)(c + i * n + j, n, left + i * k, k, weights + j * g->b_column, scale, 1, blocks);
    }
    RFN(write_block)(g, out, c, n, m, n, row);
}

#endif
