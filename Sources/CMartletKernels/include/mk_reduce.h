// Reductions, scans, sorting. Every floating-point order of addition is fixed by the shape alone, never by the number of
// threads: results are bit-identical from run to run and for any thread count.
#ifndef MK_REDUCE_H
#define MK_REDUCE_H

#include "mk_base.h"

typedef enum mk_reduce_op {
    MK_REDUCE_SUM, MK_REDUCE_PROD, MK_REDUCE_MAX, MK_REDUCE_MIN, /* max/min propagate NaN */
    MK_REDUCE_SUM_SQUARES, MK_REDUCE_SUM_ABS, MK_REDUCE_ANY, MK_REDUCE_ALL, MK_REDUCE_COUNT_NONZERO,
} mk_reduce_op;

typedef enum mk_scan_op { MK_SCAN_SUM, MK_SCAN_PROD, MK_SCAN_MAX, MK_SCAN_MIN, MK_SCAN_LOGSUMEXP } mk_scan_op;

#if defined(__cplusplus)
extern "C" {
#endif

// `out` has the rank of `in`; its reduced dimensions have size 1, the others in's size (that is how the kernel knows which
// are reduced). dtypes: SUM/PROD/SUM_SQUARES/SUM_ABS: floating in -> any floating out (accumulated in float, or double
// for f64, with error O(log n): blocks, then the block sums in double); integer or bool in -> i64 out. MAX/MIN: out = in.
// ANY/ALL: out bool. COUNT_NONZERO: out i64. SUM of nothing is 0, PROD 1, ALL true; MAX/MIN of nothing is not called.
// `scale` multiplies a floating SUM's result before rounding (mean = SUM with 1/n); pass 1.
void mk_reduce(mk_reduce_op op, const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull in, double scale);
// Mean and variance of a floating tensor: Σ (x - mean)² / divisor. The outputs are shaped as mk_reduce's, of any floating
// dtypes; both are NaN for nothing.
void mk_moments(const mk_tensor *_Nonnull mean, const mk_tensor *_Nonnull variance, const mk_tensor *_Nonnull in,
                double divisor);
// Index (i64, size 1 at dim as above) of the first maximum/minimum along dim; NaN counts as the extreme. `values` may be
// NULL or of out's shape and in's dtype.
void mk_arg_reduce(bool maximum, const mk_tensor *_Nonnull indices, const mk_tensor *_Nullable values,
                   const mk_tensor *_Nonnull in, int32_t dim);
// Inclusive scan along dim; out dtype = in's for floats, i64 for integer SUM/PROD. reverse scans from the end. Floating
// types accumulate in double.
void mk_scan(mk_scan_op op, const mk_tensor *_Nonnull out, const mk_tensor *_Nonnull in, int32_t dim, bool reverse);
// Stable sort along dim; NaN is greater than every number. indices are i64.
void mk_sort(const mk_tensor *_Nonnull values, const mk_tensor *_Nonnull indices, const mk_tensor *_Nonnull in,
             int32_t dim, bool descending);
// The k = values.shape[dim] largest (or smallest) along dim in sorted order; ties keep the lower index first.
void mk_topk(const mk_tensor *_Nonnull values, const mk_tensor *_Nonnull indices, const mk_tensor *_Nonnull in,
             int32_t dim, bool largest);

#if defined(__cplusplus)
}
#endif
#endif
