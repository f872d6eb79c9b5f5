// A thin layer over oneDNN (2.x and 3.x C APIs): matrix products with a bounded cache of primitives.
#ifndef CONEDNN_H
#define CONEDNN_H

#include "mk_base.h"

#if defined(__cplusplus)
extern "C" {
#endif

// out [B, M, N] = a [B, M, K] @ b [B, K, N] (+ out when accumulate); rank 3; a and b of one dtype: f32, bf16 (also f16 where the
// processor has it); out of that dtype or f32. Rows or columns of a and b must have stride 1 (either transposition is
// fine), out's last dimension stride 1; batch stride 0 broadcasts a or b.
// Returns 0, or a negative number when oneDNN cannot do it (the caller then uses mk_matmul); mdnn_last_error says why.
int mdnn_matmul(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull a, const mk_tensor *_Nonnull b, bool accumulate);

// "oneDNN 2.6.3" and so on.
const char *_Nonnull mdnn_version(void);
const char *_Nonnull mdnn_last_error(void);

// The cache holds at most `capacity` primitives (default 256, or MARTLET_PRIMITIVE_CACHE); least recently used ones go.
typedef struct mdnn_cache_stats {
    int64_t size, capacity, hits, misses, evictions;
} mdnn_cache_stats;
mdnn_cache_stats mdnn_cache(void);
void mdnn_set_cache_capacity(int64_t capacity);

#if defined(__cplusplus)
}
#endif
#endif
