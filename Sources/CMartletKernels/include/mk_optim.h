// Optimizer steps, one pass over memory each. Parameters and gradients may be f64, f32, bf16 or f16 (contiguous); moments are
// f32 (f64 for f64 parameters). `master` is an f32 copy of a half-precision parameter (updated, then rounded into param) or NULL.
// Every gradient is multiplied by grad_scale first (clipping by global norm, unscaling, averaging over micro-batches).
#ifndef MK_OPTIM_H
#define MK_OPTIM_H

#include "mk_base.h"

#if defined(__cplusplus)
extern "C" {
#endif

typedef struct mk_adam_options {
    double lr, beta1, beta2, eps, weight_decay, grad_scale;
    double bias_correction1, bias_correction2; // 1 - beta^step; 1 switches the correction off
    bool decoupled;                            // AdamW: p *= 1 - lr * weight_decay first; else grad += weight_decay * p
} mk_adam_options;
// p -= lr * (m / bc1) / (sqrt(v / bc2) + eps): PyTorch's formula.
void mk_adam(const mk_tensor *_Nonnull param, const mk_tensor *_Nullable master, const mk_tensor *_Nonnull grad,
             const mk_tensor *_Nonnull m, const mk_tensor *_Nonnull v, mk_adam_options options);

typedef struct mk_sgd_options {
    double lr, momentum, dampening, weight_decay, grad_scale;
    bool nesterov, first_step; // first_step: buffer = gradient, no dampening, as PyTorch
} mk_sgd_options;
void mk_sgd(const mk_tensor *_Nonnull param, const mk_tensor *_Nullable master, const mk_tensor *_Nonnull grad,
            const mk_tensor *_Nullable momentum_buffer, mk_sgd_options options);

typedef struct mk_rmsprop_options {
    double lr, alpha, eps, momentum, weight_decay, grad_scale;
} mk_rmsprop_options;
//   g = grad * grad_scale + weight_decay * p;  v = alpha * v + (1 - alpha) * g^2
//   s = g / (sqrt(v) + eps);  with `mean`: mean = alpha * mean + (1 - alpha) * g and s = g / (sqrt(v - mean^2) + eps)
//   with `momentum_buffer`: b = momentum * b + s and s = b;  p -= lr * s
void mk_rmsprop(const mk_tensor *_Nonnull param, const mk_tensor *_Nullable master, const mk_tensor *_Nonnull grad,
                const mk_tensor *_Nonnull v, const mk_tensor *_Nullable momentum_buffer,
                const mk_tensor *_Nullable mean, mk_rmsprop_options options);

typedef struct mk_adagrad_options {
    double lr, eps, weight_decay, grad_scale;
} mk_adagrad_options;
//   g = grad * grad_scale + weight_decay * p;  sum += g^2;  p -= lr * g / (sqrt(sum) + eps)
void mk_adagrad(const mk_tensor *_Nonnull param, const mk_tensor *_Nullable master, const mk_tensor *_Nonnull grad,
                const mk_tensor *_Nonnull sum, mk_adagrad_options options);

// Adafactor without factorisation, as T5X runs it for PaLM (t5x/adafactor.py): 
//   g2 = (g*grad_scale)^2 + eps1;  v = beta2 * v + (1 - beta2) * g2;  y = g / sqrt(v)
//   y /= max(1, RMS(y) / clip_threshold)            (clip_threshold <= 0: no update clipping)
//   y *= lr * max(RMS(p), eps2)                     (multiply_by_parameter_scale; else y *= lr)
//   m = beta1 * m + (1 - beta1) * y;  y = m         (m NULL: no momentum)
//   p = (1 - weight_decay) * p - y
typedef struct mk_adafactor_options {
    double lr, beta1, beta2, eps1, eps2, clip_threshold, weight_decay, grad_scale;
    bool multiply_by_parameter_scale;
} mk_adafactor_options;
void mk_adafactor(const mk_tensor *_Nonnull param, const mk_tensor *_Nullable master, const mk_tensor *_Nonnull grad,
                  const mk_tensor *_Nullable m, const mk_tensor *_Nonnull v, mk_adafactor_options options);
// The factored second moment for a [rows, cols] matrix (Shazeer & Stern 2018): v_row f32 [rows], v_col f32 [cols] are the
// running means of g2 over columns and rows; y = g * rsqrt(v_row / mean(v_row)) * rsqrt(v_col). The rest as above.
void mk_adafactor_factored(const mk_tensor *_Nonnull param, const mk_tensor *_Nullable master, const mk_tensor *_Nonnull grad,
                           const mk_tensor *_Nullable m, const mk_tensor *_Nonnull v_row, const mk_tensor *_Nonnull v_col,
                           mk_adafactor_options options);
// average = decay * average + (1 - decay) * value (exponential moving average of weights).
void mk_ema(const mk_tensor *_Nonnull average, const mk_tensor *_Nonnull value, double decay);

#if defined(__cplusplus)
}
#endif
#endif
