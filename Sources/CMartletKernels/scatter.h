// Private to index.c and scatter_engine.c: what the two share, and one run of a scatter.
#ifndef SCATTER_H
#define SCATTER_H

#include "include/mk_index.h"

// For i in 0..<n with low <= k < high, where k is index[i]: `out` at i * out_stride + k * step (mode)= src[i].
// Strides are in bytes; indices are checked already and count from the end of `size` where negative.
typedef struct mk_scatter_run {
    char *out;
    const char *index;
    const char *src;
    int64_t n;
    int64_t out_stride, index_stride, src_stride;
    int64_t size, step, low, high;
    double alpha; // ADD multiplies src by it
    int64_t integer_alpha;
} mk_scatter_run;
typedef void (*mk_scatter_fn)(const mk_scatter_run *run);

// src's dtype is out's, or F32 for ADD to a half dtype.
mk_scatter_fn mk_scatter_kernel(mk_scatter_mode mode, int32_t out_dtype, int32_t src_dtype);

// The row-major position of the first index outside -size..<size, or -1.
int64_t mk_first_out_of_range(const mk_tensor *index, int64_t size);
// mk_scatter into what `out` holds, with indices that are checked already; ADD multiplies src by alpha.
void mk_scatter_into(mk_scatter_mode mode, const mk_tensor *out, const mk_tensor *index, const mk_tensor *src,
                     int32_t dim, double alpha);

#endif
