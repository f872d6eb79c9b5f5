// Rounding of rows to bfloat16. Included once per instruction set.

// mk_f32_to_bf16 of n floats; the two do not overlap.
MK_INLINE void MK_FN(round_to_bf16)(uint16_t *out, const float *in, int64_t n) {
    int64_t i = 0;
#if MK_ISA_LEVEL == 3
    // The processor's instruction is right but for denormals, which it takes for zero.
    enum { DENORMAL = 0x20 };
    for (; i + 32 <= n; i += 32) {
        const __m512 low = _mm512_loadu_ps(in + i), high = _mm512_loadu_ps(in + i + 16);
        const __mmask16 wrong = _mm512_fpclass_ps_mask(low, DENORMAL) | _mm512_fpclass_ps_mask(high, DENORMAL);
        _mm512_storeu_si512(out + i, (__m512i)_mm512_cvtne2ps_pbh(high, low));
        if (__builtin_expect(wrong != 0, 0))
            for (int64_t j = i; j < i + 32; j++) out[j] = mk_f32_to_bf16(in[j]);
    }
#endif
    for (; i < n; i++) out[i] = mk_f32_to_bf16(in[i]);
}
