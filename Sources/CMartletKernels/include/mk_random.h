// Counter-based random numbers: Philox 4x32-10 (Salmon et al., SC 2011). The key is the seed; element i of a draw that
// starts at `offset` reads word i % 4 of the block with counter (offset + i / 4), so any element can be made alone, in any
// order, on any device, with the same result. `out` is contiguous. Each function documents how many blocks it used.
#ifndef MK_RANDOM_H
#define MK_RANDOM_H

#include "mk_base.h"

#if defined(__cplusplus)
extern "C" {
#endif

// One block: counter = (offset low, offset high, stream low, stream high), key = (seed low, seed high).
void mk_philox(uint64_t seed, uint64_t stream, uint64_t offset, uint32_t out[_Nonnull 4]);

// Floating out, uniform in [low, high): 24 random bits per float (53, two words an element, for f64). Blocks: ceil(n/4); f64: ceil(n/2).
void mk_random_uniform(const mk_tensor *_Nonnull out, uint64_t seed, uint64_t offset, double low, double high);
// Box-Muller on the words in pairs; f64 computed in double. Blocks as uniform.
void mk_random_normal(const mk_tensor *_Nonnull out, uint64_t seed, uint64_t offset, double mean, double std);
// Integers in [low, high), out i64/i32/i16/i8/u8; two words an element (64-bit multiply-shift). Blocks: ceil(n/2).
void mk_random_integers(const mk_tensor *_Nonnull out, uint64_t seed, uint64_t offset, int64_t low, int64_t high);
// 1 with probability p: floating, integer or bool out. Blocks: ceil(n/4).
void mk_random_bernoulli(const mk_tensor *_Nonnull out, uint64_t seed, uint64_t offset, double p);
// out = in * keep / (1 - p) with keep ~ Bernoulli(1 - p) by element; contiguous, floating. The mask is not stored: the
// backward pass calls the same function on the gradient with the same seed and offset. Blocks: ceil(n/4).
void mk_dropout(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull in, uint64_t seed, uint64_t offset, double p);

#if defined(__cplusplus)
}
#endif
#endif
