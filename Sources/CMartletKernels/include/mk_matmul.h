// Our own matrix products: matmul.c says of what, and what is left to oneDNN.
#ifndef MK_MATMUL_H
#define MK_MATMUL_H

#include "mk_base.h"

#if defined(__cplusplus)
extern "C" {
#endif

// out [B, M, N] = alpha * a [B, M, K] @ b [B, K, N] + beta * out; rank 3, one dtype (out may be f32 for half inputs), any
// strides (batch stride 0 broadcasts a or b). Accumulates in f32 (f64 for f64, i64 for integers), in a fixed order.
void mk_matmul(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull a, const mk_tensor *_Nonnull b, double alpha, double beta);

// Whether mk_matmul multiplies large matrices of bfloat16 with these strides as they are, at the processor's full rate.
bool mk_matmul_takes_pairs(int64_t m, int64_t n, int64_t k, int64_t a_row, int64_t a_column, int64_t b_row,
                           int64_t b_column);

// out [M, N] = (a [M, K] @ w [N, K]^T) * scale [N] for weights stored as int8: rank 2, w's rows contiguous, a and scale f32
// or half precision (scale contiguous), out of a's dtype or f32. Weights are widened on the way into registers; many rows of
// bf16 multiply them as pairs where mk_matmul would, which holds 8 bits exactly.
void mk_matmul_int8(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull a, const mk_tensor *_Nonnull w,
                    const mk_tensor *_Nonnull scale);

// out [M, N] = a [M, K] @ w^T for weights of 4 bits in groups of 32 that share a scale: w u8 [N, K / 2] contiguous, scale
// [N, K / 32] contiguous of a's dtype, K a multiple of 64, a's rows contiguous, f32 or half precision. Byte i of each 32 in
// w holds weight i in its low half and weight 32 + i of its 64 in the high one, both 8 more than the value. Up to 47 rows
// each have the bits that they have alone, scales multiplying sums of 32; for more, weights are multiplied by their scales
// first, and rounded to bf16 where mk_matmul multiplies pairs of it.
void mk_matmul_int4(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull a, const mk_tensor *_Nonnull w,
                    const mk_tensor *_Nonnull scale);

// Up to MK_MATMUL_TOGETHER products out = a @ b, of rank 3, that do not depend on each other, all given to the threads at
// once: few rows are multiplied sooner than threads are started. scales[i] is mk_matmul_int8's for a b of int8 with
// contiguous columns, mk_matmul_int4's for one of u8, else it has no data. Each has the bits that it has alone.
enum { MK_MATMUL_TOGETHER = 8 };
void mk_matmul_together(int32_t count, const mk_tensor *_Nonnull outs, const mk_tensor *_Nonnull as,
                        const mk_tensor *_Nonnull bs, const mk_tensor *_Nonnull scales);

#if defined(__cplusplus)
}
#endif
#endif
