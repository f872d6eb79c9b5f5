// Philox 4x32-10 (Salmon et al., SC 2011) and what turns its words into numbers. Nothing here may be contracted to fused
// multiply-adds: every device and instruction set must give the same bits.
#ifndef PHILOX_H
#define PHILOX_H

#include <math.h>
#include <stdint.h>

#if defined(__clang__)
#pragma clang fp contract(off)
#endif

#define PHILOX_INLINE static inline __attribute__((always_inline, unused))

typedef struct philox_block {
    uint32_t words[4];
} philox_block;

// The products are of 64-bit values whose high halves are zero: one instruction a vector.
PHILOX_INLINE philox_block philox(uint64_t counter, uint64_t stream, uint64_t key) {
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32);
    uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
#pragma clang loop unroll(full)
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)c0 * 0xD2511F53u, p1 = (uint64_t)c2 * 0xCD9E8D57u;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (philox_block){{c0, c1, c2, c3}};
}

// Uniform in [0, 1).
PHILOX_INLINE float philox_unit_f32(uint32_t word) { return (float)(int32_t)(word >> 8) * 0x1p-24f; }
PHILOX_INLINE double philox_unit_f64(uint32_t low, uint32_t high) {
    // Through the exponent, since few processors convert 64-bit integers: 1.mantissa has 52 bits, the last is added.
    uint64_t bits = (uint64_t)high << 32 | low;
    double leading = __builtin_bit_cast(double, bits >> 12 | 0x3ff0000000000000u) - 1.0;
    return leading + (double)(int32_t)(bits >> 11 & 1) * 0x1p-53;
}

// Natural logarithm of x in (0, 1], relative error about 1e-7: 2 artanh(f / (2 + f)) by its series.
PHILOX_INLINE float philox_log_f32(float x) {
    uint32_t i = __builtin_bit_cast(uint32_t, x) - 0x3f3504f3u; // sqrt(1/2)
    float e = (float)((int32_t)i >> 23);
    float f = __builtin_bit_cast(float, (i & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
    float s = f / (2.0f + f), z = s * s;
    float p = 0.22222222f;
    p = p * z + 0.28571429f;
    p = p * z + 0.4f;
    p = p * z + 0.66666667f;
    // log(1 + f) = 2s + s^3 p = f - s (f - z p)
    return e * 0.693145752f + (f - (s * (f - z * p) - e * 1.42860677e-6f));
}
PHILOX_INLINE double philox_log_f64(double x) {
    uint64_t i = __builtin_bit_cast(uint64_t, x) - 0x3fe6a09e667f3bcdu;
    double e = (double)((int32_t)(i >> 32) >> 20);
    double f = __builtin_bit_cast(double, (i & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1.0;
    double s = f / (2.0 + f), z = s * s;
    double p = 2.0 / 25;
    p = p * z + 2.0 / 23;
    p = p * z + 2.0 / 21;
    p = p * z + 2.0 / 19;
    p = p * z + 2.0 / 17;
    p = p * z + 2.0 / 15;
    p = p * z + 2.0 / 13;
    p = p * z + 2.0 / 11;
    p = p * z + 2.0 / 9;
    p = p * z + 2.0 / 7;
    p = p * z + 2.0 / 5;
    p = p * z + 2.0 / 3;
    return e * 0x1.62e42fee00000p-1 + (f - (s * (f - z * p) - e * 0x1.a39ef35793c76p-33));
}

// cos and sin of 2 pi word / 2^32. The nearest quarter turn is split off in integers, so the rest is exact.
PHILOX_INLINE void philox_turn_f32(uint32_t word, float *cosine, float *sine) {
    uint32_t quarter = (word + 0x20000000u) >> 30;
    float x = (float)(int32_t)(word << 2) * (1.57079633f * 0x1p-32f), z = x * x;
    float s = 2.7557319e-6f;
    s = s * z - 1.9841270e-4f;
    s = s * z + 8.3333333e-3f;
    s = s * z - 1.6666667e-1f;
    s = x + x * z * s;
    float c = 2.4801587e-5f;
    c = c * z - 1.3888889e-3f;
    c = c * z + 4.1666667e-2f;
    c = 1.0f - (0.5f * z - z * z * c);
    float a = (quarter & 1) ? s : c, b = (quarter & 1) ? c : s;
    uint32_t a_sign = ((quarter + 1) & 2) << 30, b_sign = (quarter & 2) << 30;
    *cosine = __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, a) ^ a_sign);
    *sine = __builtin_bit_cast(float, __builtin_bit_cast(uint32_t, b) ^ b_sign);
}
PHILOX_INLINE void philox_turn_f64(double turns, double *cosine, double *sine) {
    double quarters = turns * 4.0;
    int32_t quarter = (int32_t)(quarters + 0.5);
    double x = (quarters - (double)quarter) * 1.57079632679489662, z = x * x;
    double s = 1.0 / 355687428096000;
    s = s * z - 1.0 / 1307674368000;
    s = s * z + 1.0 / 6227020800;
    s = s * z - 1.0 / 39916800;
    s = s * z + 1.0 / 362880;
    s = s * z - 1.0 / 5040;
    s = s * z + 1.0 / 120;
    s = s * z - 1.0 / 6;
    s = x + x * z * s;
    double c = 1.0 / 20922789888000;
    c = c * z - 1.0 / 87178291200;
    c = c * z + 1.0 / 479001600;
    c = c * z - 1.0 / 3628800;
    c = c * z + 1.0 / 40320;
    c = c * z - 1.0 / 720;
    c = c * z + 1.0 / 24;
    c = 1.0 - (0.5 * z - z * z * c);
    double a = (quarter & 1) ? s : c, b = (quarter & 1) ? c : s;
    *cosine = ((quarter + 1) & 2) ? -a : a;
    *sine = (quarter & 2) ? -b : b;
}

// Two independent standard normals (Box and Muller 1958) from two words; from four for double.
PHILOX_INLINE void philox_normal_f32(uint32_t w0, uint32_t w1, float *first, float *second) {
    // In (0, 1]: the conversion of all 32 bits keeps the tails to 6.7 standard deviations.
    float u = (float)(w0 >> 16) * 0x1p-16f + ((float)(w0 & 0xffffu) * 0x1p-32f + 0x1p-33f);
    float radius = __builtin_elementwise_sqrt(-2.0f * philox_log_f32(u));
    float cosine, sine;
    philox_turn_f32(w1, &cosine, &sine);
    *first = radius * cosine;
    *second = radius * sine;
}
PHILOX_INLINE void philox_normal_f64(uint32_t w0, uint32_t w1, uint32_t w2, uint32_t w3, double *first,
                                     double *second) {
    double u = 1.0 - philox_unit_f64(w0, w1);
    double radius = __builtin_elementwise_sqrt(-2.0 * philox_log_f64(u));
    double cosine, sine;
    philox_turn_f64(philox_unit_f64(w2, w3), &cosine, &sine);
    *first = radius * cosine;
    *second = radius * sine;
}

#endif
