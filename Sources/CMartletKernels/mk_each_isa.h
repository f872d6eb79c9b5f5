// Includes MK_KERNELS once per instruction set. See mk_simd.h. No include guard: each kernel file includes it.
#ifndef MK_KERNELS
#error "define MK_KERNELS as the quoted name of the header with the kernels"
#endif

#if defined(MK_WANT_AVX512BF16) && defined(__x86_64__)
#include <immintrin.h>
#endif

// Outside this header the conversions to and from half are the portable ones.
#undef mk_f32_to_f16
#undef mk_f16_to_f32

#define MK_ISA_LEVEL 0
#define MK_FN(name) name##_baseline
#define MK_LANES 4
#if defined(__aarch64__)
#define MK_HAS_FMA 1
#define mk_f32_to_f16 mk_f32_to_f16_hard
#define mk_f16_to_f32 mk_f16_to_f32_hard
#else
#define MK_HAS_FMA 0
#define mk_f32_to_f16 mk_f32_to_f16_soft
#define mk_f16_to_f32 mk_f16_to_f32_soft
#endif
#include MK_KERNELS
#undef MK_ISA_LEVEL
#undef MK_FN
#undef MK_LANES
#undef MK_HAS_FMA
#undef mk_f32_to_f16
#undef mk_f16_to_f32

#if defined(__x86_64__)
#define MK_AVX2_TARGET "avx2,fma,f16c,bmi,bmi2,lzcnt,popcnt,movbe"
#define MK_AVX512_TARGET MK_AVX2_TARGET ",avx512f,avx512dq,avx512bw,avx512vl,avx512cd"
#define MK_HAS_FMA 1
#define mk_f32_to_f16 mk_f32_to_f16_hard
#define mk_f16_to_f32 mk_f16_to_f32_hard

#define MK_ISA_LEVEL 1
#define MK_FN(name) name##_avx2
#define MK_LANES 8
#pragma clang attribute push(__attribute__((target(MK_AVX2_TARGET))), apply_to = function)
#include MK_KERNELS
#pragma clang attribute pop
#undef MK_ISA_LEVEL
#undef MK_FN
#undef MK_LANES

#define MK_ISA_LEVEL 2
#define MK_FN(name) name##_avx512
#define MK_LANES 16
#pragma clang attribute push(__attribute__((target(MK_AVX512_TARGET))), apply_to = function)
#include MK_KERNELS
#pragma clang attribute pop
#undef MK_ISA_LEVEL
#undef MK_FN

#if defined(MK_WANT_AVX512BF16)
#define MK_ISA_LEVEL 3
#define MK_FN(name) name##_avx512bf16
#pragma clang attribute push(__attribute__((target(MK_AVX512_TARGET ",avx512bf16"))), apply_to = function)
#include MK_KERNELS
#pragma clang attribute pop
#undef MK_ISA_LEVEL
#undef MK_FN
#endif

#undef MK_LANES
#undef MK_HAS_FMA
#undef MK_AVX2_TARGET
#undef MK_AVX512_TARGET
#undef mk_f32_to_f16
#undef mk_f16_to_f32
#endif

#define mk_f32_to_f16 mk_f32_to_f16_soft
#define mk_f16_to_f32 mk_f16_to_f32_soft
#undef MK_KERNELS
