// One block of rows of the forward pass; see attention.c.
#include "attention_blocks.h"
#include "thin_kernels.h"

// Turns the scores of one row into weights exp(score - maximum), 0 where the row may not look, and brings the running
// maximum, sum and output of the row up to date. [begin, end) are the keys it may see, of n. Whole registers are
// computed: the row has room for them.
MK_INLINE void RFN(softmax_step)(REAL *score, int64_t begin, int64_t end, int64_t n, REAL *maximum, REAL *sum,
                                 REAL *out, int64_t dim) {
    const int64_t first = begin / LANES * LANES, last = mk_div_up(end, LANES) * LANES;
    for (int64_t j = first; j < begin; j++) score[j] = -(REAL)INFINITY;
    for (int64_t j = end; j < last; j++) score[j] = -(REAL)INFINITY;
    for (int64_t j = 0; j < first; j++) score[j] = 0;
    for (int64_t j = last; j < n; j++) score[j] = 0;
    const REAL top = RFN(row_max)(score + first, last - first);
    const REAL old = *maximum, new = top > old ? top : old;
    if (new == -(REAL)INFINITY) {
        for (int64_t j = first; j < last; j++) score[j] = score[j] != score[j] ? score[j] : 0;
        return;
    }
    if (new != old) {
        const REAL factor = RFN(exp_nonpositive)(old - new);
        *maximum = new;
        *sum *= factor;
        if (old != -(REAL)INFINITY)
            for (int64_t d = 0; d < dim; d++) out[d] *= factor;
    }
    *sum += RFN(row_exp_whole)(score + first, score + first, new, last - first);
}

// Keys from..<to (a multiple of ATTENTION_KEYS apart from the last) for a block of rows: maximum, sum and unnormalised
// output [count, PADDED(dim)].
static void RFN(attend)(const attention_job *job, const attention_rows *rows, int64_t from, int64_t to, REAL *maximum,
                        REAL *sum, REAL *out) {
    const attention_shape *s = &job->shape;
    const int64_t dim = s->dim, padded = PADDED(dim), count = rows->count;
    const int64_t count_padded = (count + MR - 1) / MR * MR;
    const bool thin = count <= ATTENTION_THIN;
    const int64_t bytes = (int64_t)sizeof(REAL) * (count_padded * (dim + dim + MICRO_TILE_ROW + MICRO_PAIR_ROW) +
                                                   ATTENTION_KEYS * (dim + padded) +
                                                   2 * NR * mk_max64(dim, ATTENTION_KEYS));
    REAL *dense = mk_scratch(bytes);
    REAL *queries = dense + count_padded * dim;
    REAL *tile = queries + count_padded * dim + LANES;
    REAL *keys = tile + count_padded * MICRO_TILE_ROW;
    REAL *values = keys + ATTENTION_KEYS * dim + LANES;
    REAL *temporary = values + ATTENTION_KEYS * padded;
#if MICRO_HAS_PAIRS
    const bool pairs = s->pairs && !thin;
    REAL *rounded = temporary + NR * mk_max64(dim, ATTENTION_KEYS);
    // Of the scores: the queries stay as they are.
    const REAL scale = pairs ? (REAL)s->options.scale : 1;
#else
    const bool pairs = false;
    const REAL scale = 1;
#endif

    for (int64_t i = 0; i < count; i++) maximum[i] = -(REAL)INFINITY, sum[i] = 0;
    memset(out, 0, (size_t)(count * padded) * sizeof(REAL));
    if (pairs) {
#if MICRO_HAS_PAIRS
        RFN(pack_pairs_of)(queries, (char *)dense, s->q, rows, dim);
#endif
    } else {
        RFN(gather_rows)(dense, s->q, rows, dim, (REAL)s->options.scale);
        for (int64_t i = 0; i < count && !thin; i += MR)
            RFN(transpose_strip)(queries + i * dim, MR, MR, dense + i * dim, dim, (int)mk_min64(MR, count - i), dim);
    }

    attention_range visible[ATTENTION_ROWS];
    for (int64_t i = 0; i < count; i++) visible[i] = attention_visible(s, rows->batch, (rows->first + i) / rows->heads);
    const attention_range seen = attention_visible_rows(s, rows);
    const int64_t begin = mk_max64(from, seen.begin / ATTENTION_KEYS * ATTENTION_KEYS), end = mk_min64(to, seen.end);
    const int64_t k_row = s->k->strides[1], v_row = s->v->strides[1];
    for (int64_t key = begin; key < end; key += ATTENTION_KEYS) {
        const int64_t n = mk_min64(ATTENTION_KEYS, end - key);
        const char *k = attention_key(s, s->k, rows, key), *v = attention_key(s, s->v, rows, key);
        if (thin) {
            RFN(thin_dots)(tile, MICRO_TILE_ROW, dense, dim, k, k_row * mk_size_of(s->k->dtype), s->k->dtype, count, n,
                           dim);
#if MICRO_HAS_PAIRS
        } else if (pairs) {
            RFN(pack_pairs)(keys, NR, k, k_row, n, dim);
            RFN(product_packed)(true, count, n, dim / 2, queries, keys, tile, MICRO_TILE_ROW, false);
#endif
        } else {
            RFN(pack)(keys, NR, k, s->k->dtype, k_row, 1, n, dim, temporary);
            RFN(product_packed)(false, count, n, dim, queries, keys, tile, MICRO_TILE_ROW, false);
        }
        for (int64_t i = 0; i < count; i++) {
            REAL *score = tile + i * MICRO_TILE_ROW;
            const int64_t low = mk_max64(0, visible[i].begin - key), high = mk_min64(n, visible[i].end - key);
            if (low < high) {
                if (scale != 1)
                    for (int64_t j = 0; j < n; j++) score[j] *= scale;
                if (s->bias) RFN(add_bias)(score + low, s, rows, i, key + low, key + high);
                RFN(softmax_step)(score, low, high, n, &maximum[i], &sum[i], out + i * padded, dim);
            } else {
                for (int64_t j = 0; j < n; j++) score[j] = 0;
            }
#if MICRO_HAS_PAIRS
            if (pairs) {
                // The partner of an odd last key.
                score[n] = 0;
                RFN(round_row)(rounded + i * MICRO_PAIR_ROW, score, n);
            }
#endif
        }
        if (thin) {
            const int64_t v_bytes = v_row * mk_size_of(s->v->dtype);
            int64_t j = 0;
            for (; j + THIN_DEPTH <= n; j += THIN_DEPTH)
                RFN(thin_update)(out, padded, tile + j, MICRO_TILE_ROW, v + j * v_bytes, v_bytes, s->v->dtype, count,
                                 dim);
            for (; j < n; j++) {
                RFN(convert_in)(values, v + j * v_bytes, s->v->dtype, dim);
                for (int64_t i = 0; i < count; i++) {
                    const REAL weight = tile[i * MICRO_TILE_ROW + j];
                    for (int64_t d = 0; d < dim; d++) out[i * padded + d] += weight * values[d];
                }
            }
#if MICRO_HAS_PAIRS
        } else if (pairs) {
            RFN(pack_row_pairs)(values, v, v_row * 2, dim, n);
            RFN(product_tile_rows)(true, count, dim, (n + 1) / 2, rounded, values, out, padded);
#endif
        } else {
            RFN(pack)(values, NR, v, s->v->dtype, 1, v_row, dim, n, temporary);
            RFN(product_tile_rows)(false, count, dim, n, tile, values, out, padded);
        }
    }
    mk_scratch_free(dense, bytes);
}

// Divides by the sums and stores; row i of the block.
MK_INLINE void RFN(finish_row)(const attention_job *job, const attention_rows *rows, int64_t i, REAL maximum, REAL sum,
                               REAL *out) {
    const attention_shape *s = &job->shape;
    const REAL factor = sum == 0 ? 0 : (REAL)1 / sum;
    for (int64_t d = 0; d < s->dim; d++) out[d] *= factor;
    RFN(convert_out)(attention_row(job->out, rows, i), job->out->dtype, out, s->dim);
    if (job->lse) {
        const int64_t r = rows->first + i, position = r / rows->heads, head = rows->head + r % rows->heads;
        ((REAL *)job->lse)[(rows->batch * s->groups * s->heads + head) * s->queries + position] =
            sum == 0 ? -(REAL)INFINITY : maximum + RFN(log)(sum);
    }
}

static void RFN(attention_block)(void *context, int64_t task) {
    const attention_job *job = context;
    const attention_shape *s = &job->shape;
    const int64_t split = task % job->splits, block = task / job->splits;
    const attention_rows rows = attention_job_rows(job, block);
    const int64_t padded = PADDED(s->dim), count = s->block;
    // Of one block and split: maxima, sums, then rows of output, with spare rows that the register tile may touch.
    const int64_t partial = 2 * count + (count + MR) * padded, bytes = partial * (int64_t)sizeof(REAL);
    REAL *result = job->splits > 1 ? (REAL *)job->partials + task * partial : mk_scratch(bytes);
    REAL *maximum = result, *sum = result + count, *out = result + 2 * count;
    const int64_t from = split * job->split_keys, to = mk_min64(s->keys, from + job->split_keys);
    RFN(attend)(job, &rows, from, to, maximum, sum, out);
    if (job->splits > 1) return;
    for (int64_t i = 0; i < rows.count; i++) RFN(finish_row)(job, &rows, i, maximum[i], sum[i], out + i * padded);
    mk_scratch_free(result, bytes);
}

// Puts the splits of one block together, in order.
static void RFN(attention_combine)(void *context, int64_t block) {
    const attention_job *job = context;
    const attention_shape *s = &job->shape;
    const attention_rows rows = attention_job_rows(job, block);
    const int64_t padded = PADDED(s->dim), count = s->block, partial = 2 * count + (count + MR) * padded;
    REAL *base = (REAL *)job->partials + block * job->splits * partial;
    for (int64_t i = 0; i < rows.count; i++) {
        REAL top = -(REAL)INFINITY, sum = 0;
        for (int64_t j = 0; j < job->splits; j++) top = base[j * partial + i] > top ? base[j * partial + i] : top;
        REAL *out = base + 2 * count + i * padded;
        for (int64_t j = 0; j < job->splits; j++) {
            const REAL own = base[j * partial + i];
            const REAL factor = own == -(REAL)INFINITY ? 0 : RFN(exp_nonpositive)(own - top);
            const REAL *from = out + j * partial;
            sum += base[j * partial + count + i] * factor;
            if (j == 0)
                for (int64_t d = 0; d < s->dim; d++) out[d] = from[d] * factor;
            else if (factor != 0)
                for (int64_t d = 0; d < s->dim; d++) out[d] += from[d] * factor;
        }
        RFN(finish_row)(job, &rows, i, top, sum, out);
    }
}

static int64_t RFN(attention_partial_bytes)(int64_t count, int64_t dim) {
    return (2 * count + (count + MR) * PADDED(dim)) * (int64_t)sizeof(REAL);
}

static const attention_table RFN(attention_table) = {RFN(attention_block), RFN(attention_combine),
                                                     RFN(attention_partial_bytes), MR};
