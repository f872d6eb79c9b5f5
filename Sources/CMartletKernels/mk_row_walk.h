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

#endif
