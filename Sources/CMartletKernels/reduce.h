// Private to the reductions and scans: their inner kernels.
#ifndef REDUCE_H
#define REDUCE_H

#include "include/mk_reduce.h"
#include "mk_rows.h"

// The type that elements are read in. Totals are double for the first two.
enum { REDUCE_F32, REDUCE_F64, REDUCE_I64, REDUCE_TYPES };
#define REDUCE_OPS (MK_REDUCE_SUM_ABS + 1)

// How far from eight rows that lie `step` bytes apart memory is best fetched while they are read: of more rows at a
// distance that is a power of two, one would push the other out of the cache. Rows without gaps do not.
MK_INLINE int64_t mk_eight_ahead(int64_t step, bool gapless) { return (gapless ? 16 : 8) * step; }
// Fetches sixteen cache lines of what lies `ahead` bytes from eight rows of `bytes` bytes, which are read side by side and
// have come to `offset`: two of each row, or those of one run where nothing lies between rows, because memory is read
// faster in order.
MK_INLINE void mk_fetch_eight(const void *const *rows, int64_t bytes, int64_t offset, int64_t ahead) {
    const int64_t apart = (const char *)rows[1] - (const char *)rows[0];
    const bool gapless = apart == bytes;
    const char *at = (const char *)rows[0] + ahead + (gapless ? 8 * offset : offset);
    const int64_t step = gapless ? 128 : apart;
    for (int k = 0; k < 8; k++) {
        __builtin_prefetch(at + k * step, 0, 2);
        __builtin_prefetch(at + k * step + 64, 0, 2);
    }
}

// The result so far of a reduction.
typedef union reduce_total {
    double d;
    int64_t i;
} reduce_total;

typedef struct reduce_kernels {
    // *total = *total op (the reduction of n elements).
    void (*row)(void *total, const void *in, int64_t n);
    // acc[j] = acc[j] op ((rows[0][j] op rows[1][j]) op ...), in the type of the elements; count <= 8. Meanwhile memory
    // that lies `ahead` bytes from each of eight rows is fetched, unless 0.
    void (*columns)(void *acc, const void *const *rows, int64_t count, int64_t n, int64_t ahead);
    // totals[j] = totals[j] op acc[j], then acc[j] = identity.
    void (*fold)(void *totals, void *acc, int64_t n);
    // totals[j] = totals[j] op partials[j].
    void (*merge)(void *totals, const void *partials, int64_t n);
    // row and columns of bfloat16 numbers that are not converted first; for REDUCE_F32 alone.
    void (*row_bf16)(void *total, const void *in, int64_t n);
    void (*columns_bf16)(void *acc, const void *const *rows, int64_t count, int64_t n, int64_t ahead);
} reduce_kernels;

// For SUM...SUM_ABS; PROD has none for REDUCE_F32.
const reduce_kernels *mk_reduce_kernels(int type, mk_reduce_op op);
reduce_total mk_reduce_identity(int type, mk_reduce_op op);

MK_INLINE int mk_reduce_type(int32_t dtype) {
    return dtype == MK_F64 ? REDUCE_F64 : mk_is_float(dtype) ? REDUCE_F32 : REDUCE_I64;
}

// n <= MK_BLOCK elements in the given type: mk_block_*.
MK_INLINE const void *mk_reduce_block(int type, void *buffer, const void *in, int32_t dtype, int64_t stride,
                                      int64_t n) {
    switch (type) {
        case REDUCE_F32: return mk_block_f32(buffer, in, dtype, stride, n);
        case REDUCE_F64: return mk_block_f64(buffer, in, dtype, stride, n);
        default: return mk_block_i64(buffer, in, dtype, stride, n);
    }
}
// Which kernels take elements `stride` bytes apart as they are: those of `type`, REDUCE_TYPES for those of bfloat16, or -1
// for none.
MK_INLINE int mk_plain_type(int type, int32_t dtype, int64_t stride) {
    static const int32_t direct[REDUCE_TYPES] = {MK_F32, MK_F64, MK_I64};
    if (stride != mk_size_of(dtype)) return -1;
    if (dtype == MK_BF16 && type == REDUCE_F32) return REDUCE_TYPES;
    return dtype == direct[type] ? type : -1;
}
// Writes n <= MK_BLOCK totals.
MK_INLINE void mk_reduce_store(int type, void *out, int32_t dtype, int64_t stride, const reduce_total *totals,
                               int64_t n) {
    if (type == REDUCE_I64) {
        mk_unblock_i64(out, dtype, stride, &totals->i, n);
    } else {
        mk_unblock_f64(out, dtype, stride, &totals->d, n);
    }
}

// `in` without its reduced dimensions, those in which `out` has another size, and with nothing but them.
MK_INLINE void mk_split_reduced(const mk_tensor *in, const mk_tensor *out, mk_tensor *kept, mk_tensor *reduced) {
    *kept = *reduced = *in;
    for (int32_t d = 0; d < in->rank; d++) {
        mk_tensor *drop = out->shape[d] == in->shape[d] ? reduced : kept;
        drop->shape[d] = 1;
        drop->strides[d] = 0;
    }
}

// Reductions of so few elements over as many results run in columns whatever the layout.
#define REDUCE_FEW 16

// Whether a kept dimension is innermost in memory, so that rows are added to a tile of accumulators.
MK_INLINE bool mk_in_columns(const mk_walk *kept, const mk_walk *reduced) {
    if (kept->count == 1 || reduced->count == 0) return false;
    if (reduced->count <= REDUCE_FEW && kept->shape[0] >= REDUCE_FEW) return true;
    int64_t across = kept->strides[0][0], along = reduced->strides[0][0];
    across = across < 0 ? -across : across;
    along = along < 0 ? -along : along;
    return reduced->count == 1 || (across != 0 && kept->shape[0] > 1 && across < along);
}

// Whether to work across lines (dimension 0 of `lines`, operand 0) rather than along them, `step` bytes an element.
MK_INLINE bool mk_across_lines(const mk_walk *lines, int64_t step) {
    int64_t across = lines->strides[0][0];
    across = across < 0 ? -across : across;
    step = step < 0 ? -step : step;
    return lines->shape[0] >= 16 && across != 0 && across < step;
}

#endif
