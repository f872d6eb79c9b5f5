// Indexing kernels. Indices are i64; a negative one counts from the end. Each kernel that takes indices first checks them
// all and, on the first that is out of range, writes nothing and returns its position in row-major order (>= 0), else -1.
#ifndef MK_INDEX_H
#define MK_INDEX_H

#include "mk_base.h"

typedef enum mk_scatter_mode { MK_SCATTER_SET, MK_SCATTER_ADD, MK_SCATTER_MUL, MK_SCATTER_MAX, MK_SCATTER_MIN } mk_scatter_mode;

#if defined(__cplusplus)
extern "C" {
#endif

// out[i, j, k] = in[index[i, j, k], j, k] for dim 0, and so on: torch.gather. out and index have one shape.
int64_t mk_gather(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull in, const mk_tensor *_Nonnull index, int32_t dim);
// out = base, of its shape and dtype, then out[index[i, j, k], j, k] (mode)= src[i, j, k]; index and src have one shape (src
// may be broadcast by zero strides). Repeated targets are combined in row-major order of index (deterministic). Where an index
// is out of range, parts of an `out` that is not base's memory may have been written.
int64_t mk_scatter(mk_scatter_mode mode, const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull base,
                   const mk_tensor *_Nonnull index, const mk_tensor *_Nonnull src, int32_t dim);
// out[.., i, ..] = in[.., index[i], ..] along dim; index has rank 1. Rows that are contiguous are copied with memcpy speed.
int64_t mk_index_select(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull in, const mk_tensor *_Nonnull index, int32_t dim);
// out[.., index[i], ..] += alpha * src[.., i, ..]; repeated indices add in order of i (deterministic, also in parallel: rows or
// columns are partitioned, never the order). src may be of another floating dtype than out (bf16 gradients into f32).
int64_t mk_index_add(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull index, const mk_tensor *_Nonnull src,
                     int32_t dim, double alpha);
// out[r, :] = the sum of src[i, :] over the i with index[i] == r, in their order, in f32 (f64 for f64); zeros where there is
// none, and in row `ignored` (-1: no such row). out [V, d] contiguous, index i64 [n] within -V..<V, src [n, d] with
// contiguous rows, of out's dtype or another floating one.
void mk_embedding_backward(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull index, const mk_tensor *_Nonnull src,
                           int64_t ignored);
// out[.., index[i], ..] = src[.., i, ..]; the last of repeated indices wins.
int64_t mk_index_copy(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull index, const mk_tensor *_Nonnull src, int32_t dim);
// Number of elements that are not zero, and their coordinates ([count, rank] i64, row-major order).
int64_t mk_count_nonzero(const mk_tensor *_Nonnull in);
void mk_nonzero(const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull in);
// True where every corresponding pair is equal (one dtype, one shape); NaN equals NaN when equal_nan. Used by tests/allClose.
bool mk_all_close(const mk_tensor *_Nonnull a, const mk_tensor *_Nonnull b, double rtol, double atol, bool equal_nan);

#if defined(__cplusplus)
}
#endif
#endif
