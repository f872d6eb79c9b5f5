// Private to the attention kernels: geometry.
//
// Query heads that share a key/value head are handled as one tall matrix: with `heads` of them, row r of the pair
// (batch element, key/value head) is query position r / heads of the group's head r % heads. Rows of one position are
// neighbours, so the keys a block of rows sees are one range however many heads share them.
#ifndef ATTENTION_H
#define ATTENTION_H

#include "include/mk_nn.h"
#include "mk_rows.h"

// Keys of one block, and the distance between rows of a block of scores: padded so that rows start in different cache
// sets.
#define ATTENTION_KEYS 128
#define MICRO_TILE_ROW (ATTENTION_KEYS + 16)
// The same for a block of scores that was rounded to bfloat16, in pairs.
#define MICRO_PAIR_ROW (ATTENTION_KEYS / 2 + 16)
// No block has more rows.
#define ATTENTION_ROWS 160

typedef struct {
    const mk_tensor *q, *k, *v, *bias;
    const int64_t *key_start;
    int64_t key_start_stride;
    mk_attention_options options;
    int64_t batch, queries, keys, groups, heads, dim;
    int64_t rows;   // of one (batch element, key/value head)
    int64_t block;  // rows of a block
    int64_t blocks; // blocks of `rows`
    bool pairs;     // products of bfloat16 operands as they are (pair_kernels.h)
} attention_shape;

// Rows first..<first + count of heads head..<head + heads: a block of consecutive rows in the sense above.
typedef struct {
    int64_t batch, head, heads, first, count;
} attention_rows;

typedef struct {
    int64_t begin, end;
} attention_range;

MK_INLINE attention_shape attention_shape_of(const mk_tensor *q, const mk_tensor *k, const mk_tensor *v,
                                             const mk_tensor *bias, const mk_tensor *key_start,
                                             mk_attention_options options, int64_t tile_rows) {
    attention_shape s = {
        .q = q,
        .k = k,
        .v = v,
        .bias = bias,
        .key_start = key_start ? key_start->data : NULL,
        .key_start_stride = key_start ? key_start->strides[0] : 0,
        .options = options,
        .batch = q->shape[0],
        .queries = q->shape[1],
        .keys = k->shape[1],
        .groups = k->shape[2],
        .heads = k->shape[2] ? q->shape[2] / k->shape[2] : 0,
        .dim = q->shape[3],
    };
    s.rows = s.queries * s.heads;
    // About 128 rows, the same number in every block.
    const int64_t limit = mk_div_up(128, tile_rows) * tile_rows;
    s.blocks = mk_div_up(s.rows, limit);
    s.block = s.blocks ? mk_div_up(s.rows, s.blocks) : 0;
    // Keys and values are read as pairs: rows of whole pairs are needed.
    s.pairs = mk_has_fast_pairs() && q->dtype == MK_BF16 && k->dtype == MK_BF16 && v->dtype == MK_BF16 &&
              s.dim % 2 == 0 && k->strides[1] % 2 == 0 && v->strides[1] % 2 == 0;
    return s;
}

// The keys that query position t of batch element b may see; begin >= end when there are none. Both ends rise with t.
MK_INLINE attention_range attention_visible(const attention_shape *s, int64_t b, int64_t t) {
    const int64_t diagonal = t + s->keys - s->queries;
    attention_range r = {0, s->keys};
    if (s->options.causal) r.end = mk_max64(0, mk_min64(s->keys, diagonal + 1));
    if (s->options.window > 0) r.begin = mk_max64(0, diagonal - s->options.window + 1);
    if (s->key_start) r.begin = mk_max64(r.begin, s->key_start[b * s->key_start_stride]);
    return r;
}

// The keys that any of the rows may see.
MK_INLINE attention_range attention_visible_rows(const attention_shape *s, const attention_rows *rows) {
    attention_range first = attention_visible(s, rows->batch, rows->first / rows->heads);
    attention_range last = attention_visible(s, rows->batch, (rows->first + rows->count - 1) / rows->heads);
    return (attention_range){first.begin, mk_max64(first.begin, last.end)};
}

// Bytes from a tensor's start to row i of the block; t is [batch, position, head, dim].
MK_INLINE char *attention_row(const mk_tensor *t, const attention_rows *rows, int64_t i) {
    const int64_t r = rows->first + i, position = r / rows->heads, head = rows->head + r % rows->heads;
    return (char *)t->data +
           (rows->batch * t->strides[0] + position * t->strides[1] + head * t->strides[2]) * mk_size_of(t->dtype);
}

// Where key `s` of the group of these rows starts in k or v.
MK_INLINE char *attention_key(const attention_shape *shape, const mk_tensor *t, const attention_rows *rows, int64_t s) {
    const int64_t group = rows->head / shape->heads;
    return (char *)t->data +
           (rows->batch * t->strides[0] + s * t->strides[1] + group * t->strides[2]) * mk_size_of(t->dtype);
}

#endif
