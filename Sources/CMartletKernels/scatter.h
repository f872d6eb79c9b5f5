// Private to index.c and scatter_engine.c: what the two share, and one run of a scatter.
#ifndef SCATTER_H
#define SCATTER_H

#include "include/mk_index.h"

// For i in 0..<n: `out` at offsets[i] (mode)= `src` at positions[i] * src_stride, or at i * src_stride where positions is
// NULL. Offsets and strides are in bytes.
typedef struct mk_scatter_run {
    char *out;
    const int64_t *offsets;
    const char *src;
    const int32_t *positions;
    int64_t n, src_stride;
    double alpha; // ADD multiplies src by it
    int64_t integer_alpha;
} mk_scatter_run;
typedef void (*mk_scatter_fn)(const mk_scatter_run *run);

// Element i of a run goes to i * out_stride + k * step, where k is its index, which counts from the end of `size` where
// it is negative. Elements with k outside low..<high are left out.
typedef struct mk_scatter_targets {
    mk_scatter_fn fn;
    int64_t size, low, high;
    int64_t step, out_stride, index_stride;
} mk_scatter_targets;

// Scatters n elements: `run` says from where and to where, but for the offsets and positions, which are computed here
// from the indices. False, with some of them done, where an index is outside -size..<size.
bool mk_scatter_run_to(const mk_scatter_targets *targets, mk_scatter_run run, const char *index, int64_t n);

// src's dtype is out's, or F32 for ADD to a half dtype.
mk_scatter_fn mk_scatter_kernel(mk_scatter_mode mode, int32_t out_dtype, int32_t src_dtype);

// The row-major position of the first index outside -size..<size, or -1.
int64_t mk_first_out_of_range(const mk_tensor *index, int64_t size);
// mk_scatter into what `out` holds, with indices that are checked already; ADD multiplies src by alpha.
void mk_scatter_into(mk_scatter_mode mode, const mk_tensor *out, const mk_tensor *index, const mk_tensor *src,
                     int32_t dim, double alpha);

#endif
