// Blocks of the backward pass for the REAL and instruction set of the including file; see attention_backward.c.
#include "attention_blocks.h"

// What a block of rows needs, all in one piece of scratch memory.
typedef struct {
    REAL *dense;        // [rows, dim] while packing
    REAL *queries;      // scaled, packed as a
    REAL *query_strips; // scaled, packed as b over the rows
    REAL *gradient;     // of the output, packed as a
    REAL *gradient_strips;
    REAL *lse, *delta;                // per row
    REAL *weights;                    // [rows, MICRO_TILE_ROW]: scores, then softmax weights
    REAL *slopes;                     // the same for the gradient of the weights, then of the scores
    REAL *weight_pairs, *slope_pairs; // the same rounded to bfloat16, rows in pairs: [rows / 2, MICRO_TILE_ROW]
    REAL *rounded;                    // slopes rounded to bfloat16, keys in pairs: [rows, MICRO_PAIR_ROW]
    REAL *dq;                         // [rows, PADDED(dim)]
    REAL *keys, *key_strips, *values; // one block of keys
    REAL *temporary;
    int64_t bytes;
} RFN(backward_scratch);

static RFN(backward_scratch) RFN(backward_alloc)(int64_t rows, int64_t dim) {
    RFN(backward_scratch) w;
    const int64_t m = (rows + MR - 1) / MR * MR, padded = PADDED(dim);
    const int64_t sizes[] = {m * dim,
                             m * dim + LANES,
                             rows * padded,
                             m * dim + LANES,
                             rows * padded,
                             rows,
                             rows,
                             m * MICRO_TILE_ROW,
                             m * MICRO_TILE_ROW,
                             MICRO_HAS_PAIRS ? (m + 1) / 2 * MICRO_TILE_ROW : 0,
                             MICRO_HAS_PAIRS ? (m + 1) / 2 * MICRO_TILE_ROW : 0,
                             MICRO_HAS_PAIRS ? m * MICRO_PAIR_ROW : 0,
                             m * padded,
                             ATTENTION_KEYS * dim + LANES,
                             ATTENTION_KEYS * padded,
                             ATTENTION_KEYS * dim + LANES,
                             NR * mk_max64(dim, ATTENTION_KEYS)};
    REAL **const places[] = {&w.dense,   &w.queries,     &w.query_strips, &w.gradient, &w.gradient_strips, &w.lse,
                             &w.delta,   &w.weights,     &w.slopes,       &w.weight_pairs, &w.slope_pairs,
                             &w.rounded, &w.dq,          &w.keys,         &w.key_strips,   &w.values,
                             &w.temporary};
    int64_t total = 0;
    const int64_t count = (int64_t)(sizeof sizes / sizeof *sizes);
    for (int64_t i = 0; i < count; i++) total += (sizes[i] + 15) / 16 * 16;
    w.bytes = total * (int64_t)sizeof(REAL);
    REAL *at = mk_scratch(w.bytes);
    for (int64_t i = 0; i < count; i++) {
        *places[i] = at;
        at += (sizes[i] + 15) / 16 * 16;
    }
    return w;
}

static void RFN(backward_free)(const RFN(backward_scratch) * w) { mk_scratch_free(w->dense, w->bytes); }

// Packs queries and output gradients of the rows and fills lse and delta. `strips` says whether b's packing is wanted
// too.
static void RFN(backward_rows)(const backward_job *job, const attention_rows *rows, const RFN(backward_scratch) * w,
                               bool strips) {
    const attention_shape *s = &job->shape;
    const int64_t dim = s->dim, count = rows->count;
    if (s->pairs) {
#if MICRO_HAS_PAIRS
        // The queries are not scaled: the scores are, and dk.
        RFN(pack_pairs_of)(w->queries, (char *)w->dense, s->q, rows, dim);
        if (strips) RFN(pack_row_pairs)(w->query_strips, (const char *)w->dense, dim * 2, dim, count);
        RFN(pack_pairs_of)(w->gradient, (char *)w->dense, job->g, rows, dim);
        if (strips) RFN(pack_row_pairs)(w->gradient_strips, (const char *)w->dense, dim * 2, dim, count);
#endif
    } else {
        RFN(gather_rows)(w->dense, s->q, rows, dim, (REAL)s->options.scale);
        for (int64_t i = 0; i < count; i += MR)
            RFN(transpose_strip)(w->queries + i * dim, MR, MR, w->dense + i * dim, dim, (int)mk_min64(MR, count - i),
                                 dim);
        if (strips)
            RFN(pack)(w->query_strips, NR, (const char *)w->dense, REAL_DTYPE, 1, dim, dim, count, w->temporary);
        RFN(gather_rows)(w->dense, job->g, rows, dim, 1);
        for (int64_t i = 0; i < count; i += MR)
            RFN(transpose_strip)(w->gradient + i * dim, MR, MR, w->dense + i * dim, dim, (int)mk_min64(MR, count - i),
                                 dim);
        if (strips)
            RFN(pack)(w->gradient_strips, NR, (const char *)w->dense, REAL_DTYPE, 1, dim, dim, count, w->temporary);
    }
    for (int64_t i = 0; i < count; i++) {
        const int64_t r = rows->first + i, position = r / rows->heads, head = rows->head + r % rows->heads;
        w->lse[i] = ((const REAL *)job->lse)[(rows->batch * s->groups * s->heads + head) * s->queries + position];
        const REAL *out = RFN(row_in)(w->temporary, attention_row(job->out, rows, i), job->out->dtype, dim);
        const REAL *gradient = w->dense + i * dim;
        if (s->pairs) {
            RFN(convert_in)(w->temporary + dim, (const char *)w->dense + i * dim * 2, MK_BF16, dim);
            gradient = w->temporary + dim;
        }
        w->delta[i] = RFN(row_dot)(gradient, out, dim);
    }
}

// A row of scores becomes softmax weights, and the gradient of the weights that of the scores (before the scale); 0
// where the row may not look, which is outside of [low, high). Whole registers are computed: the rows have room for them.
MK_INLINE void RFN(weigh_row)(REAL *weight, REAL *slope, int64_t low, int64_t high, int64_t n, REAL scale, REAL lse,
                              REAL delta) {
    const int64_t first = low / LANES * LANES, last = mk_div_up(high, LANES) * LANES;
    // Rounding may put a score a little above the sum it is part of, hence the general exponential.
    for (int64_t j = first; j < last; j += LANES) {
        REAL_LOOP
        for (int l = 0; l < LANES; l++) {
            const REAL p = RFN(exp)(weight[j + l] * scale - lse);
            weight[j + l] = p;
            slope[j + l] = p * (slope[j + l] - delta);
        }
    }
    for (int64_t j = 0; j < low; j++) weight[j] = slope[j] = 0;
    for (int64_t j = high; j < mk_max64(n, last); j++) weight[j] = slope[j] = 0;
}

// weights = softmax weights and slopes = gradient of the scores (before the scale) of the rows at keys key..<key + n; 0
// where a row may not look. `strips` says whether the keys are wanted as b over the keys too.
static void RFN(backward_scores)(const backward_job *job, const attention_rows *rows, const attention_range *visible,
                                 const RFN(backward_scratch) * w, int64_t key, int64_t n, bool strips) {
    const attention_shape *s = &job->shape;
    const int64_t dim = s->dim, count = rows->count, k_row = s->k->strides[1], v_row = s->v->strides[1];
    const char *k = attention_key(s, s->k, rows, key), *v = attention_key(s, s->v, rows, key);
    REAL scale = 1;
    if (s->pairs) {
#if MICRO_HAS_PAIRS
        scale = (REAL)s->options.scale;
        RFN(pack_pairs)(w->keys, NR, k, k_row, n, dim);
        if (strips) RFN(pack_row_pairs)(w->key_strips, k, k_row * 2, dim, n);
        RFN(pack_pairs)(w->values, NR, v, v_row, n, dim);
        RFN(product_packed)(true, count, n, dim / 2, w->queries, w->keys, w->weights, MICRO_TILE_ROW, false);
        RFN(product_packed)(true, count, n, dim / 2, w->gradient, w->values, w->slopes, MICRO_TILE_ROW, false);
#endif
    } else {
        RFN(pack)(w->keys, NR, k, s->k->dtype, k_row, 1, n, dim, w->temporary);
        if (strips) RFN(pack)(w->key_strips, NR, k, s->k->dtype, 1, k_row, dim, n, w->temporary);
        RFN(pack)(w->values, NR, v, s->v->dtype, v_row, 1, n, dim, w->temporary);
        RFN(product_packed)(false, count, n, dim, w->queries, w->keys, w->weights, MICRO_TILE_ROW, false);
        RFN(product_packed)(false, count, n, dim, w->gradient, w->values, w->slopes, MICRO_TILE_ROW, false);
    }
    for (int64_t i = 0; i < count; i++) {
        REAL *weight = w->weights + i * MICRO_TILE_ROW, *slope = w->slopes + i * MICRO_TILE_ROW;
        int64_t low = mk_max64(0, visible[i].begin - key), high = mk_min64(n, visible[i].end - key);
        if (low >= high || w->lse[i] == -(REAL)INFINITY) low = high = 0;
        if (s->bias && low < high) {
            for (int64_t j = low; j < high; j++) weight[j] *= scale;
            RFN(add_bias)(weight + low, s, rows, i, key + low, key + high);
        }
        RFN(weigh_row)(weight, slope, low, high, n, s->bias ? 1 : scale, w->lse[i], w->delta[i]);
    }
}

#if MICRO_HAS_PAIRS
// Rounds weights and slopes of rows 0..<count and n keys for the products that follow.
static void RFN(backward_round)(const RFN(backward_scratch) * w, int64_t count, int64_t n) {
    for (int64_t i = 0; i < count; i++) {
        REAL *weight = w->weights + i * MICRO_TILE_ROW, *slope = w->slopes + i * MICRO_TILE_ROW;
        // The partner of an odd last key.
        slope[n] = 0;
        RFN(round_row)(w->rounded + i * MICRO_PAIR_ROW, slope, n);
        if (i % 2) {
            const int64_t at = i / 2 * MICRO_TILE_ROW;
            RFN(round_row_pair)(w->weight_pairs + at, weight - MICRO_TILE_ROW, weight, n);
            RFN(round_row_pair)(w->slope_pairs + at, slope - MICRO_TILE_ROW, slope, n);
        } else if (i + 1 == count) {
            const int64_t at = i / 2 * MICRO_TILE_ROW;
            RFN(round_row_pair)(w->weight_pairs + at, weight, NULL, n);
            RFN(round_row_pair)(w->slope_pairs + at, slope, NULL, n);
        }
    }
}
#endif

// c[n, dim] += tile[rows, n]^T b: the columns of a block of scores times rows packed as b. k counts rows, or pairs of
// them.
MK_INLINE void RFN(product_tile_columns)(bool pairs, int64_t n, int64_t dim, int64_t k, const REAL *tile,
                                         const REAL *b, REAL *c, int64_t c_row) {
    for (int64_t j = 0; j < dim; j += NR)
        for (int64_t i = 0; i < n; i += MR)
            RFN(micro_packed)(pairs, (int)mk_min64(MR, n - i), dim - j > LANES ? 2 : 1, k, tile + i, MICRO_TILE_ROW,
                              b + j * k, NR, c + i * c_row + j, c_row, true);
}

static int64_t RFN(backward_partial_bytes)(int64_t keys, int64_t dim) {
    // The last register tile may touch one row past the keys.
    return 2 * (keys + 2) * PADDED(dim) * (int64_t)sizeof(REAL);
}

// Stores keys `range` of dk or dv of the pair these rows belong to; sums has keys from range.begin on.
static void RFN(store_keys)(const attention_shape *s, const mk_tensor *t, const attention_rows *rows,
                            attention_range range, const REAL *sums) {
    const int64_t dim = s->dim, padded = PADDED(dim);
    for (int64_t key = range.begin; key < range.end; key++)
        RFN(convert_out)(attention_key(s, t, rows, key), t->dtype, sums + (key - range.begin) * padded, dim);
}

static void RFN(store_zero_keys)(const attention_shape *s, const mk_tensor *t, const attention_rows *rows,
                                 int64_t begin, int64_t end) {
    for (int64_t key = begin; key < end; key++)
        memset(attention_key(s, t, rows, key), 0, (size_t)(s->dim * mk_size_of(t->dtype)));
}

// All blocks of rows of one chunk: dq, and the chunk's share of dk and dv.
static void RFN(backward_chunk)(void *context, int64_t task) {
    const backward_job *job = context;
    const attention_shape *s = &job->shape;
    const attention_rows chunk = backward_chunk_rows(job, task);
    const int64_t dim = s->dim, padded = PADDED(dim);
    const attention_range seen = backward_chunk_keys(s, &chunk);
    const int64_t span = seen.end - seen.begin, bytes = RFN(backward_partial_bytes)(span, dim);
    REAL *sums = job->chunks > 1 ? (REAL *)((char *)job->partials + task * job->partial_bytes) : mk_scratch(bytes);
    memset(sums, 0, (size_t)bytes);
    REAL *dk = sums, *dv = sums + (span + 2) * padded;
    const RFN(backward_scratch) w = RFN(backward_alloc)(mk_min64(s->block, chunk.count), dim);
    for (int64_t first = 0; first < chunk.count; first += s->block) {
        attention_rows rows = chunk;
        rows.first += first;
        rows.count = mk_min64(s->block, chunk.count - first);
        const int64_t count = rows.count;
        attention_range visible[ATTENTION_ROWS];
        for (int64_t i = 0; i < count; i++)
            visible[i] = attention_visible(s, rows.batch, (rows.first + i) / rows.heads);
        const attention_range block = attention_visible_rows(s, &rows);
        RFN(backward_rows)(job, &rows, &w, true);
        memset(w.dq, 0, (size_t)(count * padded) * sizeof(REAL));
        for (int64_t key = block.begin / ATTENTION_KEYS * ATTENTION_KEYS; key < block.end; key += ATTENTION_KEYS) {
            const int64_t n = mk_min64(ATTENTION_KEYS, block.end - key), at = (key - seen.begin) * padded;
            RFN(backward_scores)(job, &rows, visible, &w, key, n, true);
            const REAL *weights = w.weights, *columns = w.slopes, *slopes = w.slopes;
            int64_t rows_k = count, keys_k = n;
#if MICRO_HAS_PAIRS
            if (s->pairs) {
                RFN(backward_round)(&w, count, n);
                weights = w.weight_pairs, columns = w.slope_pairs, slopes = w.rounded;
                rows_k = (count + 1) / 2, keys_k = (n + 1) / 2;
            }
#endif
            RFN(product_tile_columns)(s->pairs, n, dim, rows_k, weights, w.gradient_strips, dv + at, padded);
            RFN(product_tile_columns)(s->pairs, n, dim, rows_k, columns, w.query_strips, dk + at, padded);
            RFN(product_tile_rows)(s->pairs, count, dim, keys_k, slopes, w.key_strips, w.dq, padded);
        }
        const REAL scale = (REAL)s->options.scale;
        for (int64_t i = 0; i < count; i++) {
            REAL *row = w.dq + i * padded;
            for (int64_t d = 0; d < dim; d++) row[d] *= scale;
            RFN(convert_out)(attention_row(job->dq, &rows, i), job->dq->dtype, row, dim);
        }
    }
    RFN(backward_free)(&w);
    if (s->pairs)
        for (int64_t x = 0; x < span * padded; x++) dk[x] *= (REAL)s->options.scale;
    if (job->chunks > 1) return;
    RFN(store_zero_keys)(s, job->dk, &chunk, 0, seen.begin);
    RFN(store_zero_keys)(s, job->dv, &chunk, 0, seen.begin);
    RFN(store_keys)(s, job->dk, &chunk, seen, dk);
    RFN(store_keys)(s, job->dv, &chunk, seen, dv);
    RFN(store_zero_keys)(s, job->dk, &chunk, seen.end, s->keys);
    RFN(store_zero_keys)(s, job->dv, &chunk, seen.end, s->keys);
    mk_scratch_free(sums, bytes);
}

// Adds the chunks' shares of dk and dv for ATTENTION_KEYS keys of one pair, in order of the chunks.
static void RFN(backward_combine)(void *context, int64_t task) {
    const backward_job *job = context;
    const attention_shape *s = &job->shape;
    const int64_t dim = s->dim, padded = PADDED(dim), blocks = mk_div_up(s->keys, ATTENTION_KEYS);
    const int64_t pair = task / blocks, key = task % blocks * ATTENTION_KEYS;
    const attention_range range = {key, mk_min64(s->keys, key + ATTENTION_KEYS)};
    const int64_t bytes = ATTENTION_KEYS * padded * (int64_t)sizeof(REAL);
    REAL *sums = mk_scratch(bytes);
    attention_rows rows = {0};
    for (int which = 0; which < 2; which++) {
        memset(sums, 0, (size_t)bytes);
        for (int64_t c = 0; c < job->chunks; c++) {
            const int64_t chunk = backward_chunk_index(job, pair, c);
            rows = backward_chunk_rows(job, chunk);
            const attention_range seen = backward_chunk_keys(s, &rows);
            const REAL *from = (const REAL *)((const char *)job->partials + chunk * job->partial_bytes);
            if (which == 1) from += (seen.end - seen.begin + 2) * padded;
            const int64_t begin = mk_max64(range.begin, seen.begin), end = mk_min64(range.end, seen.end);
            for (int64_t x = begin; x < end; x++) {
                const REAL *row = from + (x - seen.begin) * padded;
                REAL *to = sums + (x - key) * padded;
                for (int64_t d = 0; d < dim; d++) to[d] += row[d];
            }
        }
        RFN(store_keys)(s, which == 0 ? job->dk : job->dv, &rows, range, sums);
    }
    mk_scratch_free(sums, bytes);
}

// One block of dbias: a block of query positions (all of them when bias has one row) and a block of keys, summed over
// the batch elements, heads and positions that share it in a fixed order. Scores are computed anew: only a caller who
// wants this gradient pays for it, and nothing of the size of the scores is kept.
static void RFN(backward_bias)(void *context, int64_t task) {
    const backward_job *job = context;
    const attention_shape *s = &job->shape;
    const mk_tensor *dbias = job->dbias;
    const int64_t heads_all = s->groups * s->heads, key_blocks = mk_div_up(s->keys, ATTENTION_KEYS);
    const bool per_batch = dbias->shape[0] > 1, per_head = dbias->shape[1] > 1, per_row = dbias->shape[2] > 1;
    const int64_t step = job->bias_rows, row_blocks = per_row ? mk_div_up(s->queries, step) : 1;
    const int64_t key = task % key_blocks * ATTENTION_KEYS, rest = task / key_blocks;
    const int64_t row_block = rest % row_blocks, outer = rest / row_blocks;
    const int64_t head = per_head ? outer % dbias->shape[1] : 0, batch = per_batch ? outer / dbias->shape[1] : 0;
    const int64_t n = mk_min64(ATTENTION_KEYS, s->keys - key), sum_rows = per_row ? step : 1;
    const int64_t bytes = sum_rows * ATTENTION_KEYS * (int64_t)sizeof(REAL);
    REAL *sums = mk_scratch(bytes);
    memset(sums, 0, (size_t)bytes);
    const RFN(backward_scratch) w = RFN(backward_alloc)(mk_min64(step, s->queries), s->dim);
    for (int64_t b = per_batch ? batch : 0; b < (per_batch ? batch + 1 : s->batch); b++)
        for (int64_t h = per_head ? head : 0; h < (per_head ? head + 1 : heads_all); h++)
            for (int64_t t = per_row ? row_block * step : 0;
                 t < (per_row ? mk_min64(s->queries, (row_block + 1) * step) : s->queries); t += step) {
                const attention_rows rows = {b, h, 1, t, mk_min64(step, s->queries - t)};
                const attention_range seen = attention_visible_rows(s, &rows);
                if (seen.begin >= key + n || seen.end <= key) continue;
                attention_range visible[ATTENTION_ROWS];
                for (int64_t i = 0; i < rows.count; i++) visible[i] = attention_visible(s, b, t + i);
                RFN(backward_rows)(job, &rows, &w, false);
                RFN(backward_scores)(job, &rows, visible, &w, key, n, false);
                for (int64_t i = 0; i < rows.count; i++) {
                    REAL *to = sums + (per_row ? i * ATTENTION_KEYS : 0);
                    const REAL *slope = w.slopes + i * MICRO_TILE_ROW;
                    for (int64_t j = 0; j < n; j++) to[j] += slope[j];
                }
            }
    RFN(backward_free)(&w);
    const int64_t first = per_row ? row_block * step : 0;
    const int64_t count = per_row ? mk_min64(step, s->queries - first) : 1;
    const int64_t row = (batch * dbias->shape[1] + head) * dbias->shape[2] + first;
    for (int64_t i = 0; i < count; i++)
        memcpy((REAL *)dbias->data + (row + i) * s->keys + key, sums + i * ATTENTION_KEYS, (size_t)n * sizeof(REAL));
    mk_scratch_free(sums, bytes);
}

static const backward_table RFN(backward_table) = {RFN(backward_chunk), RFN(backward_combine), RFN(backward_bias),
                                                   RFN(backward_partial_bytes), MR};
