// Private to copies, reductions, scans, sorting, indexing and random numbers: runs of elements, blocks of a computation's
// type.
#ifndef MK_ROWS_H
#define MK_ROWS_H

#include "mk_stream.h"

#include <stdio.h>
#include <stdlib.h>

// MARK: scratch memory

// Kernels have no way to report failure, and their scratch memory is small beside their operands.
MK_INLINE void *mk_scratch(int64_t bytes) {
    void *p = mk_alloc((size_t)bytes);
    if (!p) {
        fprintf(stderr, "Martlet: out of memory: a kernel could not get %lld bytes of scratch space\n",
                (long long)bytes);
        abort();
    }
    return p;
}
MK_INLINE void mk_scratch_free(void *p, int64_t bytes) { mk_free(p, (size_t)bytes); }

// MARK: shapes

MK_INLINE int64_t mk_min64(int64_t a, int64_t b) { return a < b ? a : b; }
MK_INLINE int64_t mk_max64(int64_t a, int64_t b) { return a > b ? a : b; }
MK_INLINE int64_t mk_div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The view with dimension `dim` reduced to its first element.
MK_INLINE mk_tensor mk_without(const mk_tensor *t, int32_t dim) {
    mk_tensor r = *t;
    r.shape[dim] = 1;
    r.strides[dim] = 0;
    return r;
}
MK_INLINE int64_t mk_byte_stride(const mk_tensor *t, int32_t dim) { return t->strides[dim] * mk_size_of(t->dtype); }

// MARK: rows that lie anywhere in memory
//
// The processor cannot guess where the next ones are.

#define MK_ROW_AHEAD 8192 // bytes that are fetched before their turn

// How many rows that is.
MK_INLINE int64_t mk_rows_ahead(int64_t bytes) { return mk_max64(1, MK_ROW_AHEAD / mk_max64(1, bytes)); }
// Fetches a row, or the beginning of a long one.
MK_INLINE void mk_fetch_row(const void *row, int64_t bytes) { mk_fetch_all(row, mk_min64(bytes, MK_ROW_AHEAD)); }
// Copies a row and fetches a later one, unless `next` is NULL.
MK_INLINE void mk_store_row(void *out, const void *row, int64_t bytes, bool stream, const void *next) {
    const bool spreads = stream && bytes >= 256 && bytes <= MK_ROW_AHEAD;
    if (spreads) {
        mk_stream_fetching(out, row, bytes, next);
    } else {
        if (next) mk_fetch_row(next, bytes);
        mk_store(out, row, bytes, stream);
    }
}

// MARK: runs

// Elements begin..<end of a walk, run by run: while (mk_runs_next(&runs)) { runs.at[k], runs.length }.
typedef struct mk_runs {
    const mk_walk *walk;
    mk_cursor cursor;
    int64_t column, left, length;
    char *at[MK_WALK_MAX];
} mk_runs;

MK_INLINE void mk_runs_begin(mk_runs *runs, const mk_walk *walk, int64_t begin, int64_t end) {
    runs->walk = walk;
    runs->left = end - begin;
    runs->length = 0;
    runs->column = 0;
    if (runs->left <= 0) return;
    mk_cursor_seek(walk, &runs->cursor, begin / walk->shape[0]);
    runs->column = begin % walk->shape[0];
}
MK_INLINE bool mk_runs_next(mk_runs *runs) {
    if (runs->left <= 0) return false;
    const mk_walk *walk = runs->walk;
    if (runs->column == walk->shape[0]) {
        mk_cursor_next(walk, &runs->cursor);
        runs->column = 0;
    }
    runs->length = mk_min64(runs->left, walk->shape[0] - runs->column);
    for (int32_t k = 0; k < walk->operands; k++)
        runs->at[k] = runs->cursor.at[k] + runs->column * walk->strides[0][k];
    runs->column += runs->length;
    runs->left -= runs->length;
    return true;
}

// MARK: blocks

// Elements that a block buffer must hold room for.
#define MK_BLOCK 1024

// Copies n elements of `size` bytes that are `stride` bytes apart into neighbours.
void mk_gather_run(void *out, const void *in, int64_t size, int64_t stride, int64_t n);

// `n` elements, `stride` bytes apart, as contiguous values of the computation's type. The result is `in` itself where
// it is already that, else `buffer`. f32: F32, F16 or BF16 in. f64: any floating dtype. i64: integers and bool.
const float *mk_block_f32(float *buffer, const void *in, int32_t dtype, int64_t stride, int64_t n);
const double *mk_block_f64(double *buffer, const void *in, int32_t dtype, int64_t stride, int64_t n);
const int64_t *mk_block_i64(int64_t *buffer, const void *in, int32_t dtype, int64_t stride, int64_t n);
// 1 where the element is not zero (NaN is not), else 0; any dtype.
void mk_block_nonzero(int64_t *buffer, const void *in, int32_t dtype, int64_t stride, int64_t n);
// How many of n <= MK_BLOCK contiguous elements are not zero.
int64_t mk_block_count_nonzero(const void *in, int32_t dtype, int64_t n);
// The other way. f32: to F32, F16, BF16. f64: to any floating dtype (rounded once for F32, through float for halves).
// i64: to integers (wrapping) and bool (`!= 0`). n <= MK_BLOCK where `out` is not contiguous.
void mk_unblock_f32(void *out, int32_t dtype, int64_t stride, const float *in, int64_t n);
void mk_unblock_f64(void *out, int32_t dtype, int64_t stride, const double *in, int64_t n);
void mk_unblock_i64(void *out, int32_t dtype, int64_t stride, const int64_t *in, int64_t n);

// acc[i] += alpha * in[i], contiguous; in F32, F16 or BF16 (any floating dtype for f64).
void mk_block_axpy_f32(float *acc, const void *in, int32_t dtype, float alpha, int64_t n);
void mk_block_axpy_f64(double *acc, const void *in, int32_t dtype, double alpha, int64_t n);

// Sorts keys ascending. The high half of a key decides and has at most `bits` bits; low halves ascend at the start, and
// equal high halves keep their order. `scratch` has room for n keys; the result is in `keys`.
void mk_sort_packed(uint64_t *keys, uint64_t *scratch, int64_t n, int32_t bits, bool parallel);

#endif
