// Packing of bfloat16 matrices for products that sum pairs of neighbours at once (AVX512-BF16). Two numbers that are
// neighbours along the summed dimension are one float here: an operand whose rows lie along that dimension is packed like
// a float matrix of half the width, and one whose rows lie across it has two rows interleaved. The bits are moved as
// floats and never computed with.
#if MICRO_HAS_PAIRS

// Packs `lanes` rows of `k` numbers, row_stride apart (both even), as strips of `width`.
MK_INLINE void RFN(pack_pairs)(REAL *out, int width, const char *in, int64_t row_stride, int64_t lanes, int64_t k) {
    for (int64_t s = 0; s < lanes; s += width, out += width * (k / 2))
        RFN(transpose_strip)(out, width, width, (const REAL *)(in + s * row_stride * 2), row_stride / 2,
                             lanes - s < width ? (int)(lanes - s) : width, k / 2);
}

// n numbers rounded to bfloat16, n rounded up to 2 * LANES; neighbours make a pair.
MK_INLINE void RFN(round_row)(REAL *out, const REAL *in, int64_t n) {
    for (int64_t j = 0; j < n; j += 2 * LANES)
        _mm512_storeu_si512(out + j / 2, (__m512i)_mm512_cvtne2ps_pbh((__m512)RFN(load)(in + j + LANES),
                                                                      (__m512)RFN(load)(in + j)));
}

// Two registers of 16 numbers each, interleaved.
MK_INLINE __m512i RFN(interleave)(__m256i low, __m256i high) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                                           21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
}

// Packs k rows of `lanes` numbers, row_bytes apart, as strips of `width`, MR or NR, that are `strip` elements apart; an odd
// last row is paired with zeros. A second register of a strip that no lane is in is left as it was. With `past`, strips of
// NR go past the caches.
MK_INLINE void RFN(pack_row_pairs_of)(REAL *out, const int width, int64_t strip, const char *in, int64_t row_bytes,
                                      int64_t lanes, int64_t k, const bool past) {
    const int part = width < LANES ? width : LANES;
    const __mmask16 whole = (__mmask16)((1u << part) - 1);
    const int64_t ahead_bytes = RFN(pack_ahead)(row_bytes, lanes * 2);
    for (int64_t p = 0; p < k; p += 2) {
        const char *row = in + p * row_bytes, *ahead = row + ahead_bytes;
        REAL *to = out + p / 2 * width;
        for (int64_t s = 0; s < lanes; s += part) {
            const __mmask16 mask = lanes - s >= part ? whole : (__mmask16)((1u << (lanes - s)) - 1);
            // Rows may lie pages apart, where the processor does not prefetch by itself.
            if (s % 32 < part) {
                __builtin_prefetch(ahead + s * 2);
                __builtin_prefetch(ahead + row_bytes + s * 2);
            }
            const __m256i low = _mm256_maskz_loadu_epi16(mask, row + s * 2);
            const __m256i high =
                p + 1 < k ? _mm256_maskz_loadu_epi16(mask, row + row_bytes + s * 2) : _mm256_setzero_si256();
            if (past) _mm512_stream_si512((void *)(to + s / width * strip + s % width), RFN(interleave)(low, high));
            else _mm512_mask_storeu_epi32(to + s / width * strip + s % width, whole, RFN(interleave)(low, high));
        }
    }
}
static void RFN(pack_row_pairs)(REAL *out, const char *in, int64_t row_bytes, int64_t lanes, int64_t k) {
    RFN(pack_row_pairs_of)(out, NR, NR * ((k + 1) / 2), in, row_bytes, lanes, k, false);
}

// The same for two rows, whose elements j make pair j; n rounded up to LANES. NULL stands for zeros.
MK_INLINE void RFN(round_row_pair)(REAL *out, const REAL *low, const REAL *high, int64_t n) {
    for (int64_t j = 0; j < n; j += LANES) {
        const __m512 second = high ? (__m512)RFN(load)(high + j) : _mm512_setzero_ps();
        const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(second, (__m512)RFN(load)(low + j));
        _mm512_storeu_si512(out + j, RFN(interleave)(_mm512_castsi512_si256(both), _mm512_extracti64x4_epi64(both, 1)));
    }
}

#endif
