// Pieces that the forward and the backward pass of attention share, for the REAL and instruction set of the including
// file.
#include "micro_kernels.h"
#include "pair_kernels.h"

// `dim` rounded up to whole strips of b.
#undef PADDED
#define PADDED(dim) (((dim) + NR - 1) / NR * NR)

// out[i, dim] = scale * row i of t, dense.
static void RFN(gather_rows)(REAL *out, const mk_tensor *t, const attention_rows *rows, int64_t dim, REAL scale) {
    for (int64_t i = 0; i < rows->count; i++) {
        REAL *to = out + i * dim;
        RFN(convert_in)(to, attention_row(t, rows, i), t->dtype, dim);
        if (scale != 1)
            for (int64_t d = 0; d < dim; d++) to[d] *= scale;
    }
}

// c[m, n] (+)= a b with both packed over k, which counts pairs where there are such.
MK_INLINE void RFN(product_packed)(bool pairs, int64_t m, int64_t n, int64_t k, const REAL *a, const REAL *b, REAL *c,
                                   int64_t c_row, bool accumulate) {
    for (int64_t j = 0; j < n; j += NR)
        for (int64_t i = 0; i < m; i += MR)
            RFN(micro_packed)(pairs, (int)mk_min64(MR, m - i), n - j > LANES ? 2 : 1, k, a + i * k, MR, b + j * k, NR,
                              c + i * c_row + j, c_row, accumulate);
}

// c[m, n] += tile[m, k] b: the rows of a block of scores times packed b.
MK_INLINE void RFN(product_tile_rows)(bool pairs, int64_t m, int64_t n, int64_t k, const REAL *tile, const REAL *b,
                                      REAL *c, int64_t c_row) {
    const int64_t tile_row = pairs ? MICRO_PAIR_ROW : MICRO_TILE_ROW;
    for (int64_t j = 0; j < n; j += NR)
        for (int64_t i = 0; i < m; i += MR)
            RFN(micro_rows)(pairs, (int)mk_min64(MR, m - i), n - j > LANES ? 2 : 1, k, tile + i * tile_row, b + j * k,
                            NR, c + i * c_row + j, c_row, true);
}

#if MICRO_HAS_PAIRS
// Rows of a bfloat16 tensor [batch, position, head, dim], one after the other.
static void RFN(copy_rows)(char *out, const mk_tensor *t, const attention_rows *rows, int64_t dim) {
    for (int64_t i = 0; i < rows->count; i++) memcpy(out + i * dim * 2, attention_row(t, rows, i), (size_t)dim * 2);
}
// The same packed as a; `dense` is left with the rows.
static void RFN(pack_pairs_of)(REAL *out, char *dense, const mk_tensor *t, const attention_rows *rows, int64_t dim) {
    RFN(copy_rows)(dense, t, rows, dim);
    RFN(pack_pairs)(out, MR, dense, dim, rows->count, dim);
}
#endif

// score[j] += bias of row i of the block at keys begin..<end; score points at key `begin`.
static void RFN(add_bias)(REAL *score, const attention_shape *s, const attention_rows *rows, int64_t i, int64_t begin,
                          int64_t end) {
    const mk_tensor *bias = s->bias;
    const int64_t r = rows->first + i, position = r / rows->heads, head = rows->head + r % rows->heads;
    const int64_t bytes = mk_size_of(bias->dtype), stride = bias->strides[3];
    const char *from = (const char *)bias->data + (rows->batch * bias->strides[0] + head * bias->strides[1] +
                                                   position * bias->strides[2] + begin * stride) *
                                                      bytes;
    REAL row[ATTENTION_KEYS];
    const int64_t n = end - begin;
    if (stride == 1)
        RFN(convert_in)(row, from, bias->dtype, n);
    else
        for (int64_t j = 0; j < n; j++) RFN(convert_in)(row + j, from + j * stride * bytes, bias->dtype, 1);
    for (int64_t j = 0; j < n; j++) score[j] += row[j];
}
