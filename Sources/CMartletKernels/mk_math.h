// Branch-free float functions that the loop vectorizer handles like ordinary arithmetic: call them on scalars inside a
// simple loop. Every function is within about 2 ulp of the exact result, keeps NaN, and is right at +-0 and +-infinity.
//
// Rounding to an integer adds and subtracts 1.5 * 2^23 because baseline x86-64 has no rounding instruction. That is why
// no function here may be compiled with reassociation; `#pragma clang fp reassociate(on)` in a caller does not reach
// them.
#ifndef MK_MATH_H
#define MK_MATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define MK_INLINE static inline __attribute__((always_inline, unused))

#pragma clang fp contract(fast)

MK_INLINE uint32_t mk_bits(float x) { return __builtin_bit_cast(uint32_t, x); }
MK_INLINE float mk_float(uint32_t x) { return __builtin_bit_cast(float, x); }
MK_INLINE float mk_absf(float x) { return mk_float(mk_bits(x) & 0x7fffffffu); }
MK_INLINE float mk_copysignf(float x, float sign) {
    return mk_float((mk_bits(x) & 0x7fffffffu) | (mk_bits(sign) & 0x80000000u));
}
// NaN in x passes through; NaN in bound does not matter because bounds are constants.
MK_INLINE float mk_at_most(float x, float bound) { return x > bound ? bound : x; }
MK_INLINE float mk_at_least(float x, float bound) { return x < bound ? bound : x; }
// 2^n for n in -126...127.
MK_INLINE float mk_pow2i(uint32_t n) { return mk_float((n + 127u) << 23); }

#define MK_ROUNDER 12582912.0f /* 1.5 * 2^23 */
#define MK_ROUNDER_BITS 0x4b400000u
#define MK_LN2_HI 0.693145752f /* the low 9 bits are zero, so n * MK_LN2_HI is exact for |n| < 512 */
#define MK_LN2_LO 1.42860677e-6f

// p * 2^n for n in -252...254, in two steps so that results below FLT_MIN round once and large ones reach infinity.
MK_INLINE float mk_scale2(float p, uint32_t n) {
    uint32_t half = (uint32_t)((int32_t)n >> 1);
    return p * mk_pow2i(half) * mk_pow2i(n - half);
}

MK_INLINE float mk_expf(float x) {
    float c = mk_at_least(mk_at_most(x, 89.0f), -104.0f);
    float t = c * 1.44269504f + MK_ROUNDER;
    uint32_t n = mk_bits(t) - MK_ROUNDER_BITS;
    float k = t - MK_ROUNDER;
    float r = c - k * MK_LN2_HI;
    r = r - k * MK_LN2_LO;
    float q = 1.3813142358e-03f;
    q = q * r + 8.3694190433e-03f;
    q = q * r + 4.1668456833e-02f;
    q = q * r + 1.6666514789e-01f;
    q = q * r + 4.9999993050e-01f;
    float p = 1.0f + (r + r * r * q);
    // Zero before scaling: a product that underflows costs a microcode assist, and masked softmax has many of them.
    p = x < -103.98f ? 0.0f : p;
    return mk_scale2(p, n);
}

// exp for x <= 0 where results below 2^-126 may become 0: one scaling step less. The usual case inside softmax.
MK_INLINE float mk_expf_nonpositive(float x) {
    float c = mk_at_least(x, -87.33f);
    float t = c * 1.44269504f + MK_ROUNDER;
    uint32_t n = mk_bits(t) - MK_ROUNDER_BITS;
    float k = t - MK_ROUNDER;
    float r = c - k * MK_LN2_HI;
    r = r - k * MK_LN2_LO;
    float q = 1.3813142358e-03f;
    q = q * r + 8.3694190433e-03f;
    q = q * r + 4.1668456833e-02f;
    q = q * r + 1.6666514789e-01f;
    q = q * r + 4.9999993050e-01f;
    float p = 1.0f + (r + r * r * q);
    p = x < -87.33f ? 0.0f : p;
    return p * mk_pow2i(n);
}

MK_INLINE float mk_exp2f(float x) {
    float c = mk_at_least(mk_at_most(x, 129.0f), -150.5f);
    float t = c + MK_ROUNDER;
    uint32_t n = mk_bits(t) - MK_ROUNDER_BITS;
    float r = c - (t - MK_ROUNDER);
    float q = 1.5352316008e-04f;
    q = q * r + 1.3400170583e-03f;
    q = q * r + 9.6184499691e-03f;
    q = q * r + 5.5503293482e-02f;
    q = q * r + 2.4022647742e-01f;
    q = q * r + 6.9314720418e-01f;
    float p = 1.0f + r * q;
    p = x < -150.0f ? 0.0f : p;
    return mk_scale2(p, n);
}

MK_INLINE float mk_expm1f(float x) {
    float c = mk_at_least(mk_at_most(x, 89.0f), -18.0f);
    float t = c * 1.44269504f + MK_ROUNDER;
    uint32_t n = mk_bits(t) - MK_ROUNDER_BITS;
    float k = t - MK_ROUNDER;
    float r = c - k * MK_LN2_HI;
    r = r - k * MK_LN2_LO;
    float q = 1.9915032989e-04f;
    q = q * r + 1.3942059816e-03f;
    q = q * r + 8.3332717182e-03f;
    q = q * r + 4.1666341884e-02f;
    q = q * r + 1.6666666821e-01f;
    q = q * r + 5.0000000493e-01f;
    float p = r + r * r * q;
    // 2^n itself overflows at n = 128, so work at half scale.
    float s = mk_pow2i(n - 1u);
    float y = (s * p + (s - 0.5f)) * 2.0f;
    return mk_absf(x) < 1e-30f ? x : y;
}

// log(1 + f) - f for f in [sqrt(1/2) - 1, sqrt(2) - 1].
MK_INLINE float mk_log_tail(float f) {
    float p = -5.9878184183e-02f;
    p = p * f + 1.0650285696e-01f;
    p = p * f - 1.0825012715e-01f;
    p = p * f + 1.1033688862e-01f;
    p = p * f - 1.2423293131e-01f;
    p = p * f + 1.4285209657e-01f;
    p = p * f - 1.6669465863e-01f;
    p = p * f + 2.0000090137e-01f;
    p = p * f - 2.4999966014e-01f;
    p = p * f + 3.3333332356e-01f;
    float f2 = f * f;
    return f2 * (f * p - 0.5f);
}

// Splits x > 0 (denormals too) into 2^n * (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
MK_INLINE float mk_log_split(float x, float *f) {
    float small = x < 1.17549435e-38f ? 23.0f : 0.0f;
    float scaled = x < 1.17549435e-38f ? x * 8388608.0f : x;
    uint32_t i = mk_bits(scaled) - 0x3f3504f3u;
    *f = mk_float((i & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    return (float)((int32_t)i >> 23) - small;
}

MK_INLINE float mk_log_special(float x, float y) {
    y = x == INFINITY ? x : y;
    y = x == 0.0f ? -INFINITY : y;
    y = x < 0.0f ? NAN : y;
    return x != x ? x : y;
}

MK_INLINE float mk_logf(float x) {
    float f;
    float k = mk_log_split(x, &f);
    return mk_log_special(x, k * MK_LN2_HI + (f + (mk_log_tail(f) + k * MK_LN2_LO)));
}

MK_INLINE float mk_log2f(float x) {
    float f;
    float k = mk_log_split(x, &f);
    float tail = mk_log_tail(f);
    // log2(e) = 1 + 0.442695041: the leading f is added exactly.
    float low = tail + (f + tail) * 0.442695041f;
    return mk_log_special(x, k + (f + low));
}

MK_INLINE float mk_log10f(float x) {
    float f;
    float k = mk_log_split(x, &f);
    float tail = mk_log_tail(f);
    // log10(2) = 0.301025391 + 4.60503891e-6 and log10(e) = 0.434082031 + 2.12451e-4; the high parts have few bits.
    float low = tail * 0.434294482f + (f * 2.12451e-4f + k * 4.60503891e-6f);
    return mk_log_special(x, k * 0.301025391f + (f * 0.434082031f + low));
}

MK_INLINE float mk_log1pf(float x) {
    float u = 1.0f + x;
    uint32_t i = mk_bits(u) - 0x3f3504f3u;
    uint32_t n = (uint32_t)((int32_t)i >> 23);
    float k = (float)(int32_t)n;
    float s = mk_float((127u - n) << 23);
    // (1 + x) / 2^n - 1 without the rounding of 1 + x; where n is large that rounding no longer matters.
    float exact = x * s + (s - 1.0f);
    float plain = mk_float((i & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    float f = k > 24.0f ? plain : exact;
    float y = k * MK_LN2_HI + (f + (mk_log_tail(f) + k * MK_LN2_LO));
    y = mk_absf(x) < 1e-30f ? x : y;
    return mk_log_special(u, y);
}

MK_INLINE float mk_tanhf(float x) {
    float t = mk_expm1f(2.0f * mk_at_most(mk_absf(x), 10.0f));
    return mk_copysignf(t / (t + 2.0f), x);
}

MK_INLINE float mk_sigmoidf(float x) {
    float e = mk_expf(-mk_absf(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

// log(1 + exp(x)).
MK_INLINE float mk_softplusf(float x) { return mk_at_least(x, 0.0f) + mk_log1pf(mk_expf(-mk_absf(x))); }
MK_INLINE float mk_log_sigmoidf(float x) { return mk_at_most(x, 0.0f) - mk_log1pf(mk_expf(-mk_absf(x))); }

MK_INLINE float mk_erff(float x) {
    float a = mk_at_most(mk_absf(x), 4.0f);
    float z = a * a;
    float p = -9.6391009395e-06f;
    p = p * z + 1.1257166947e-04f;
    p = p * z - 8.4830088434e-04f;
    p = p * z + 5.2209682146e-03f;
    p = p * z - 2.6865411821e-02f;
    p = p * z + 1.1283782237e-01f;
    p = p * z - 3.7612638455e-01f;
    p = p * z + 1.2837916706e-01f;
    float small = a + a * p;
    float q = 2.1697688108e-05f;
    q = q * a - 4.4147355347e-04f;
    q = q * a + 4.2052893685e-03f;
    q = q * a - 2.5210352612e-02f;
    q = q * a + 1.0842212068e-01f;
    q = q * a + 6.3321637641e-01f;
    q = q * a + 1.1295803223e+00f;
    q = q * a - 1.8847024368e-04f;
    float large = 1.0f - mk_expf_nonpositive(-q);
    return mk_copysignf(a < 1.0f ? small : large, x);
}

// sin and cos for |x| <= MK_SINCOS_LIMIT. A caller with larger arguments uses libm for them; PERIODIC in
// elementwise_float_kernels.h keeps the loop vectorized all the same.
#define MK_SINCOS_LIMIT 1.0e6f
MK_INLINE float mk_sincos_reduced(float x, uint32_t quarter) {
    // Reduction in double: the high part of pi/2 has 33 bits, so k * high is exact for k < 2^20.
    double d = (double)x;
    double t = d * 0.63661977236758134308 + 6755399441055744.0;
    uint32_t n = (uint32_t)__builtin_bit_cast(uint64_t, t) + quarter;
    double k = t - 6755399441055744.0;
    double rd = d - k * 1.57079632673412561417;
    float r = (float)(rd - k * 6.07710050650619224932e-11);
    float z = r * r;
    float s = 2.7175644073e-06f;
    s = s * z - 1.9839256628e-04f;
    s = s * z + 8.3333291439e-03f;
    s = s * z - 1.6666666640e-01f;
    s = r + r * z * s;
    float c = -2.7203303144e-07f;
    c = c * z + 2.4799436400e-05f;
    c = c * z - 1.3888883438e-03f;
    c = c * z + 4.1666666619e-02f;
    c = 1.0f - (0.5f * z - z * z * c);
    float y = (n & 1u) != 0 ? c : s;
    return mk_float(mk_bits(y) ^ ((n & 2u) << 30));
}
MK_INLINE float mk_sinf_bounded(float x) { return mk_sincos_reduced(x, 0u); }
MK_INLINE float mk_cosf_bounded(float x) { return mk_sincos_reduced(x, 1u); }

// MARK: half precision

// The bits of a float, or of a vector of them, rounded to bfloat16 in their upper half; wrong for some NaN.
#define MK_ROUND_BITS(u) ((u) + 0x7fffu + (((u) >> 16) & 1u))

// Round to nearest even; NaN stays NaN (quiet), with its sign. The same in every instruction set: the processor's own
// conversion to bfloat16 flushes denormals.
MK_INLINE uint16_t mk_f32_to_bf16(float x) {
    uint32_t u = mk_bits(x);
    uint32_t rounded = MK_ROUND_BITS(u) >> 16;
    uint32_t nan = (u >> 16) | 0x40u;
    return (uint16_t)(x != x ? nan : rounded);
}
MK_INLINE float mk_bf16_to_f32(uint16_t h) { return mk_float((uint32_t)h << 16); }

// bfloat16 in pairs: a 32-bit word holds two neighbours, each a float after one shift or mask, so a vector of pairs needs
// none of the shuffles that widen and narrow 16-bit elements. Tensors are aligned to their elements only.
typedef uint32_t mk_bf16_pair __attribute__((aligned(2), may_alias));
MK_INLINE float mk_bf16_low(uint32_t pair) { return mk_float(pair << 16); }
MK_INLINE float mk_bf16_high(uint32_t pair) { return mk_float(pair & 0xffff0000u); }
// A NaN needs no care in rounding: one that comes from bfloat16 operands, or from arithmetic, has no bits that a carry
// could start from.
MK_INLINE uint32_t mk_bf16_pair_of(float low, float high) {
    return MK_ROUND_BITS(mk_bits(low)) >> 16 | (MK_ROUND_BITS(mk_bits(high)) & 0xffff0000u);
}

MK_INLINE uint16_t mk_f32_to_f16_soft(float x) {
    uint32_t u = mk_bits(x);
    uint32_t sign = (u >> 16) & 0x8000u;
    uint32_t a = u & 0x7fffffffu;
    uint32_t normal = (a + 0xfffu + ((a >> 13) & 1u) - 0x38000000u) >> 13;
    // Below 2^-14 the addition of 0.5 makes the float unit round at the last bit of a half denormal.
    uint32_t denormal = mk_bits(mk_float(a < 0x38800000u ? a : 0u) + 0.5f) - 0x3f000000u;
    uint32_t h = a < 0x38800000u ? denormal : normal;
    h = a > 0x477fefffu ? 0x7c00u : h;
    h = a > 0x7f800000u ? 0x7e00u | ((a >> 13) & 0x3ffu) : h;
    return (uint16_t)(h | sign);
}
MK_INLINE float mk_f16_to_f32_soft(uint16_t h) {
    uint32_t sign = ((uint32_t)h & 0x8000u) << 16;
    uint32_t a = (uint32_t)h & 0x7fffu;
    uint32_t normal = (a << 13) + 0x38000000u;
    normal = a > 0x7bffu ? normal + 0x38000000u : normal;
    normal = a > 0x7c00u ? normal | 0x400000u : normal;
    uint32_t denormal = mk_bits((float)(int32_t)(a & 0x3ffu) * 5.9604644775390625e-8f);
    return mk_float((a < 0x400u ? denormal : normal) | sign);
}
#if defined(__x86_64__) || defined(__aarch64__)
// One instruction for a vector where the target has it (F16C, every arm64).
MK_INLINE uint16_t mk_f32_to_f16_hard(float x) { return __builtin_bit_cast(uint16_t, (_Float16)x); }
MK_INLINE float mk_f16_to_f32_hard(uint16_t h) { return (float)__builtin_bit_cast(_Float16, h); }
#endif

#endif
