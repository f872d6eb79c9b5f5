// Private to the fused kernels: rows (last dimension contiguous, the others strided) of several tensors of one leading
// shape.
#ifndef MK_ROW_WALK_H
#define MK_ROW_WALK_H

#include "mk_rows.h"

// Elements of the walk are rows, numbered in row-major order; use it with mk_runs.
MK_INLINE void mk_row_walk_init(mk_walk *walk, int32_t operands, const mk_tensor *const *tensors) {
    mk_tensor leading[MK_WALK_MAX];
    const mk_tensor *pointers[MK_WALK_MAX];
    for (int32_t k = 0; k < operands; k++) {
        leading[k] = *tensors[k];
        leading[k].rank -= 1;
        pointers[k] = &leading[k];
    }
    mk_walk_init(walk, operands, pointers, false);
}

// for (...) body with `row` 0..<count of a run: where operand k's row starts.
#define MK_ROW_AT(runs, k, row) ((runs).at[k] + (row) * (runs).walk->strides[0][k])

// Elements of a row that are computed at once.
#define MK_PIECE 512

// The row of operand `k` after `row`, for mk_fetch; nothing after the last one of a run, and nothing unless `fetches`.
MK_INLINE mk_ahead mk_next_row(const mk_runs *runs, int32_t k, int64_t row, int64_t bytes, bool fetches) {
    return mk_ahead_of(fetches && row + 1 < runs->length ? MK_ROW_AT(*runs, k, row + 1) : NULL, bytes);
}
// Of a row of `bytes`, what to fetch with each piece of n elements so that all of it has been after `passes` over them.
MK_INLINE int64_t mk_share(int64_t bytes, int64_t n, int64_t passes) {
    return mk_div_up(mk_div_up(bytes, 64), mk_max64(mk_div_up(n, MK_PIECE), 1) * passes) * 64;
}

#endif
