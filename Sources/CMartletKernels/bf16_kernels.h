// Rounding of rows to bfloat16. Included once per instruction set.

#if MK_ISA_LEVEL == 3
// mk_f32_to_bf16 of 16 floats and 16 more. The processor's instruction is right but for denormals, which it takes for
// zero.
MK_INLINE __m512i MK_FN(round_two_to_bf16)(__m512 low, __m512 high) {
    enum { DENORMAL = 0x20 };
    const __mmask16 wrong = _mm512_fpclass_ps_mask(low, DENORMAL) | _mm512_fpclass_ps_mask(high, DENORMAL);
    if (__builtin_expect(wrong != 0, 0)) {
        float in[32];
        uint16_t out[32];
        _mm512_storeu_ps(in, low);
        _mm512_storeu_ps(in + 16, high);
        for (int j = 0; j < 32; j++) out[j] = mk_f32_to_bf16(in[j]);
        return _mm512_loadu_si512(out);
    }
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}
#endif

// mk_f32_to_bf16 of n floats; the two do not overlap.
MK_INLINE void MK_FN(round_to_bf16)(uint16_t *out, const float *in, int64_t n) {
    int64_t i = 0;
#if MK_ISA_LEVEL == 3
    for (; i + 32 <= n; i += 32)
        _mm512_storeu_si512(out + i, MK_FN(round_two_to_bf16)(_mm512_loadu_ps(in + i), _mm512_loadu_ps(in + i + 16)));
#endif
    for (; i < n; i++) out[i] = mk_f32_to_bf16(in[i]);
}
