// Fused kernels of transformers, forward and backward. Dtypes f64, f32, bf16 and f16 unless said otherwise; statistics are
// kept in f32 (f64 for f64 inputs). "rows" means: last dimension has stride 1, the leading dimensions may be strided.
#ifndef MK_NN_H
#define MK_NN_H

#include "mk_base.h"

#if defined(__cplusplus)
extern "C" {
#endif

// Softmax or log-softmax over the last dimension; rows. out dtype may be f32 for half inputs.
void mk_softmax(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull in, bool log);
// dx from the gradient g and the forward output y.
void mk_softmax_backward(const mk_tensor *_Nonnull dx, const mk_tensor *_Nonnull g, const mk_tensor *_Nonnull y, bool log);

// Layer normalisation over the last dimension (rms: RMSNorm, no mean is subtracted). weight and bias have shape [d] or are
// NULL. mean (NULL for rms) and rstd are f32 (f64) contiguous of in's leading shape, written for the backward pass; NULL when not wanted.
// y = (x - mean) * rstd * (weight + weight_offset) + bias.
void mk_layer_norm(const mk_tensor *_Nonnull out, const mk_tensor *_Nullable mean, const mk_tensor *_Nullable rstd,
                   const mk_tensor *_Nonnull in, const mk_tensor *_Nullable weight, const mk_tensor *_Nullable bias,
                   double eps, double weight_offset, bool rms);
// dweight and dbias (f32 or f64, contiguous, overwritten) may be NULL; summed over rows in a fixed order.
void mk_layer_norm_backward(const mk_tensor *_Nullable dx, const mk_tensor *_Nullable dweight, const mk_tensor *_Nullable dbias,
                            const mk_tensor *_Nonnull g, const mk_tensor *_Nonnull in, const mk_tensor *_Nullable weight,
                            const mk_tensor *_Nullable mean, const mk_tensor *_Nonnull rstd, double weight_offset, bool rms);

// Rotary position embedding (Su et al. 2021) of in [B, T, H, D], D even and stride 1, other strides free; out may be in.
// cos and sin: f32 (f64 for f64 inputs) contiguous [P, rotary/2], rotary <= D even; dimensions past `rotary` are copied.
// Row of the table for (b, t): positions[b, t] (i64, rank 2, may be broadcast) or `start + t` when positions is NULL.
// interleaved false: halves (i, i + rotary/2) rotate together; true: pairs (2i, 2i+1). inverse rotates back (the backward pass).
void mk_rope(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull in, const mk_tensor *_Nonnull cos, const mk_tensor *_Nonnull sin,
             const mk_tensor *_Nullable positions, int64_t start, bool interleaved, bool inverse);

typedef enum mk_glu_op { MK_GLU_SILU, MK_GLU_GELU, MK_GLU_GELU_TANH, MK_GLU_RELU, MK_GLU_SIGMOID } mk_glu_op;
// out = act(gate) * up; rows (gate and up may be halves of one matrix).
void mk_glu(mk_glu_op op, const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull gate, const mk_tensor *_Nonnull up);
void mk_glu_backward(mk_glu_op op, const mk_tensor *_Nonnull dgate, const mk_tensor *_Nonnull dup, const mk_tensor *_Nonnull g,
                     const mk_tensor *_Nonnull gate, const mk_tensor *_Nonnull up);

// Scaled dot-product attention that never stores the T x S matrix (FlashAttention's recurrence, Dao et al. 2022, on the CPU).
// q, out [B, T, H, D]; k, v [B, S, G, D] with H a multiple of G (G = 1: multi-query; query head h reads head h / (H/G));
// last dimension stride 1, other strides free. lse [B, H, T] contiguous f32 (f64), natural log, written when not NULL.
// causal: query t sees keys s <= t + (S - T). bias (NULL or additive, q's dtype or f32) is [B or 1, H or 1, T or 1, S]
// by strides (0 = broadcast), added after the scale. key_start (NULL or i64 [B]): keys s < key_start[b] are masked
// (left padding). window > 0: only keys with t + (S - T) - s < window. A row with no visible key gives zeros and lse = -inf.
typedef struct mk_attention_options {
    double scale;
    bool causal;
    int64_t window;
} mk_attention_options;
void mk_attention(const mk_tensor *_Nonnull out, const mk_tensor *_Nullable lse, const mk_tensor *_Nonnull q,
                  const mk_tensor *_Nonnull k, const mk_tensor *_Nonnull v, const mk_tensor *_Nullable bias,
                  const mk_tensor *_Nullable key_start, mk_attention_options options);
// dq, dk, dv of q's, k's, v's shape and dtype (overwritten, any strides with last 1). dbias (NULL, or f32/f64 contiguous of the
// bias' own broadcastable shape given with size-1 dims, overwritten): summed over the broadcast dimensions.
void mk_attention_backward(const mk_tensor *_Nonnull dq, const mk_tensor *_Nonnull dk, const mk_tensor *_Nonnull dv,
                           const mk_tensor *_Nullable dbias, const mk_tensor *_Nonnull g, const mk_tensor *_Nonnull out,
                           const mk_tensor *_Nonnull lse, const mk_tensor *_Nonnull q, const mk_tensor *_Nonnull k,
                           const mk_tensor *_Nonnull v, const mk_tensor *_Nullable bias, const mk_tensor *_Nullable key_start,
                           mk_attention_options options);

// Softmax cross-entropy of logits [n, V] (rows) against targets i64 [n]; target == ignore_index: loss 0, gradient 0.
// loss[i] = lse_i - logit_i[target_i] (label_smoothing s: (1-s) of it + s * (lse_i - mean(logits_i))) + z_loss * lse_i^2.
// loss: f32 (f64) contiguous [n]. statistics: of loss's dtype, [2, n] with contiguous rows: the largest scaled logit of each row and
// sum_j exp(logit_ij - largest_i), so lse = statistics[0] + log(statistics[1]). With loss NULL they are what an earlier call
// has left, and only the gradient is computed. dlogits (NULL, or rows of any floating dtype; may be logits itself) gets
// row_scale * d loss[i] / d logits.  Logits are multiplied by logit_scale first (gradient included).
void mk_cross_entropy(const mk_tensor *_Nullable loss, const mk_tensor *_Nonnull statistics,
                      const mk_tensor *_Nullable dlogits, const mk_tensor *_Nonnull logits,
                      const mk_tensor *_Nonnull targets, int64_t ignore_index, double label_smoothing, double z_loss,
                      double logit_scale, double row_scale);

#if defined(__cplusplus)
}
#endif
#endif
