// Gather, scatter and their relatives that take a list of rows. See include/mk_index.h.
//
// One engine reads (gather, index_select) and one, in scatter_engine.c, writes (scatter, and the row operations where
// rows are not contiguous); a list of rows is an index with zero strides in every other dimension. Contiguous rows have
// engines of their own.
#include "include/mk_index.h"
#include "mk_rows.h"
#include "scatter.h"

// MARK: checking

typedef struct check_job {
    mk_walk walk;
    int64_t size;
    int64_t first_bad;
} check_job;

static void check_range(void *context, int64_t begin, int64_t end) {
    check_job *job = context;
    mk_runs runs;
    mk_runs_begin(&runs, &job->walk, begin, end);
    int64_t position = begin, size = job->size;
    while (mk_runs_next(&runs)) {
        int64_t stride = job->walk.strides[0][0];
        const char *at = runs.at[0];
        uint64_t bad = 0;
        for (int64_t i = 0; i < runs.length; i++) {
            int64_t k = *(const int64_t *)(at + i * stride);
            bad |= (uint64_t)(k >= size) | (uint64_t)(k < -size);
        }
        if (bad) {
            int64_t i = 0;
            for (;; i++) {
                int64_t k = *(const int64_t *)(at + i * stride);
                if (k >= size || k < -size) break;
            }
            int64_t found = position + i;
            int64_t seen = __atomic_load_n(&job->first_bad, __ATOMIC_RELAXED);
            while (seen < 0 || found < seen) {
                if (__atomic_compare_exchange_n(&job->first_bad, &seen, found, true, __ATOMIC_RELAXED,
                                                __ATOMIC_RELAXED))
                    break;
            }
            return;
        }
        position += runs.length;
    }
}

int64_t mk_first_out_of_range(const mk_tensor *index, int64_t size) {
    check_job job = {.size = size, .first_bad = -1};
    const mk_tensor *operands[] = {index};
    mk_walk_init(&job.walk, 1, operands, false);
    mk_parallel_range(job.walk.count, MK_GRAIN, check_range, &job);
    return job.first_bad;
}

// MARK: reading

typedef struct gather_job {
    mk_walk walk; // out, in (stride 0 along dim), index
    int64_t size; // of in along dim
    int64_t step; // bytes from one index to the next
    int64_t element;
} gather_job;

// Elements whose place is looked up before their turn.
enum { AHEAD = 24 };
// Bytes of a line that is read from end to end before elements are taken from it: what the second cache holds of two.
enum { WHOLE_LINE = 1 << 18 };

#define MK_GATHER_RUN(T)                                                                                               \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        int64_t k = *(const int64_t *)(index + i * index_stride);                                                      \
        k += k < 0 ? size : 0;                                                                                         \
        if (i + AHEAD < n) {                                                                                           \
            int64_t l = *(const int64_t *)(index + (i + AHEAD) * index_stride);                                        \
            __builtin_prefetch(in + (i + AHEAD) * in_stride + (l + (l < 0 ? size : 0)) * step);                        \
        }                                                                                                              \
        *(T *)(out + i * out_stride) = *(const T *)(in + i * in_stride + k * step);                                    \
    }                                                                                                                  \
    break;

#define MK_COPY_RUN(T)                                                                                                 \
    for (int64_t i = 0; i < n; i++) *(T *)(out + i * out_stride) = *(const T *)(in + i * in_stride);                   \
    break;

static void copy_run(char *out, int64_t out_stride, const char *in, int64_t in_stride, int64_t n, int64_t element) {
    if (out_stride == element && in_stride == element) {
        memcpy(out, in, (size_t)(n * element));
        return;
    }
    switch (element) {
        case 8: MK_COPY_RUN(uint64_t)
        case 4: MK_COPY_RUN(uint32_t)
        case 2: MK_COPY_RUN(uint16_t)
        default: MK_COPY_RUN(uint8_t)
    }
}

static void gather_range(void *context, int64_t begin, int64_t end) {
    const gather_job *job = context;
    int64_t size = job->size, step = job->step;
    int64_t out_stride = job->walk.strides[0][0], in_stride = job->walk.strides[0][1],
            index_stride = job->walk.strides[0][2];
    mk_runs runs;
    mk_runs_begin(&runs, &job->walk, begin, end);
    while (mk_runs_next(&runs)) {
        char *out = runs.at[0];
        const char *in = runs.at[1], *index = runs.at[2];
        int64_t n = runs.length;
        // A run that takes elements from most cache lines of its line is faster when they are read in order first.
        if (in_stride == 0 && step == job->element && size * step <= mk_min64(WHOLE_LINE, n * 64))
            for (int64_t at = 0; at < size * step; at += 64) (void)*(const volatile char *)(in + at);
        if (index_stride == 0) {
            int64_t k = *(const int64_t *)index;
            copy_run(out, out_stride, in + (k + (k < 0 ? size : 0)) * step, in_stride, n, job->element);
            continue;
        }
        switch (job->element) {
            case 8: MK_GATHER_RUN(uint64_t)
            case 4: MK_GATHER_RUN(uint32_t)
            case 2: MK_GATHER_RUN(uint16_t)
            default: MK_GATHER_RUN(uint8_t)
        }
    }
}

// `index` has out's shape.
static void gather(const mk_tensor *out, const mk_tensor *in, const mk_tensor *index, int32_t dim) {
    mk_tensor source = *in;
    memcpy(source.shape, out->shape, sizeof source.shape);
    source.strides[dim] = 0;
    gather_job job = {.size = in->shape[dim], .step = mk_byte_stride(in, dim), .element = mk_size_of(in->dtype)};
    const mk_tensor *operands[] = {out, &source, index};
    mk_walk_init(&job.walk, 3, operands, true);
    mk_parallel_range(job.walk.count, MK_GRAIN, gather_range, &job);
}

// A rank-1 index as one of `like`'s shape that changes along dim only.
static mk_tensor spread_index(const mk_tensor *index, const mk_tensor *like, int32_t dim) {
    mk_tensor spread = *like;
    spread.data = index->data;
    spread.dtype = MK_I64;
    memset(spread.strides, 0, sizeof spread.strides);
    spread.strides[dim] = index->strides[0];
    return spread;
}

int64_t mk_gather(const mk_tensor *out, const mk_tensor *in, const mk_tensor *index, int32_t dim) {
    int64_t bad = mk_first_out_of_range(index, in->shape[dim]);
    if (bad < 0) gather(out, in, index, dim);
    return bad;
}

typedef struct copy_job {
    char *out;
    const char *in, *index;
    int64_t bytes, in_step, out_step, index_step, size;
    bool stream;
} copy_job;

static const char *row_to_copy(const copy_job *job, int64_t i) {
    int64_t k = *(const int64_t *)(job->index + i * job->index_step);
    return job->in + (k + (k < 0 ? job->size : 0)) * job->in_step;
}

static void copy_rows(void *context, int64_t begin, int64_t end) {
    const copy_job *job = context;
    const int64_t distance = mk_rows_ahead(job->bytes);
    for (int64_t i = begin; i < end && i < begin + distance; i++) mk_fetch_row(row_to_copy(job, i), job->bytes);
    for (int64_t i = begin; i < end; i++)
        mk_store_row(job->out + i * job->out_step, row_to_copy(job, i), job->bytes, job->stream,
                     i + distance < end ? row_to_copy(job, i + distance) : NULL);
}

// Whether what follows the first dimension is one run of memory.
static bool has_whole_rows(const mk_tensor *t) {
    mk_tensor row = *t;
    row.shape[0] = 1;
    return mk_is_contiguous(&row);
}

int64_t mk_index_select(const mk_tensor *out, const mk_tensor *in, const mk_tensor *index, int32_t dim) {
    int64_t bad = mk_first_out_of_range(index, in->shape[dim]);
    if (bad >= 0) return bad;
    if (dim == 0 && has_whole_rows(in) && has_whole_rows(out)) {
        copy_job job = {.out = out->data,
                        .in = in->data,
                        .index = index->data,
                        .in_step = mk_byte_stride(in, 0),
                        .out_step = mk_byte_stride(out, 0),
                        .index_step = mk_byte_stride(index, 0),
                        .size = in->shape[0],
                        .stream = mk_streams(out, 1, &in)};
        const int64_t rows = out->shape[0], count = mk_count(out);
        if (count == 0) return -1;
        job.bytes = count / rows * mk_size_of(in->dtype);
        mk_parallel_range(rows, mk_grain_of(count / rows), copy_rows, &job);
        if (job.stream) mk_finish_stores();
        return -1;
    }
    mk_tensor spread = spread_index(index, out, dim);
    gather(out, in, &spread, dim);
    return -1;
}

// MARK: writing contiguous rows

// Columns of one unit of work. Groups differ in length, so rows are cut small enough to share a long group out.
#define ROW_TILE 256

// The rows of one target: begin..<end of `sorted`.
typedef struct row_group {
    int64_t begin, end;
} row_group;

typedef struct rows_job {
    mk_walk rows;            // out, src with dim taken out; contiguous along dimension 0
    const uint64_t *sorted;  // target << 32 | position, ascending
    const row_group *groups;
    int64_t tiles;           // per row
    int64_t units_per_group; // tiles of all the rows of one target
    int64_t out_step, src_step;
    int32_t out_dtype, src_dtype;
    double alpha;
    int64_t integer_alpha;
    bool copy; // else add
} rows_job;

#define MK_ADD_ROW(T)                                                                                                  \
    for (int64_t i = 0; i < n; i++)                                                                                    \
        ((T *)out)[i] = (T)((uint64_t)((T *)out)[i] + scale * (uint64_t)((const T *)src)[i]);                          \
    break;

static void add_integer_row(char *out, const char *src, int32_t dtype, int64_t alpha, int64_t n) {
    uint64_t scale = (uint64_t)alpha;
    switch (dtype) {
        case MK_I64: MK_ADD_ROW(int64_t)
        case MK_I32: MK_ADD_ROW(int32_t)
        case MK_I16: MK_ADD_ROW(int16_t)
        case MK_I8: MK_ADD_ROW(int8_t)
        case MK_U8: MK_ADD_ROW(uint8_t)
        default:
            for (int64_t i = 0; i < n; i++) out[i] = (char)(out[i] | (alpha != 0 && src[i]));
    }
}

static const char *row_of(const rows_job *job, const char *src, uint64_t entry) {
    return src + (int64_t)(uint32_t)entry * job->src_step;
}

// One unit of work: n columns of a target, from `out` on, where they are in row 0 of the source, and the entries whose rows
// go there.
typedef struct rows_unit {
    char *out;
    const char *src;
    const uint64_t *entry, *last;
    int64_t n;
} rows_unit;

static rows_unit unit_of(const rows_job *job, int64_t unit) {
    int64_t group = unit / job->units_per_group, rest = unit % job->units_per_group;
    int64_t column = rest % job->tiles * ROW_TILE;
    mk_cursor cursor;
    mk_cursor_seek(&job->rows, &cursor, rest / job->tiles);
    const uint64_t *entry = job->sorted + job->groups[group].begin;
    return (rows_unit){
        .out = cursor.at[0] + column * mk_size_of(job->out_dtype) + (int64_t)(*entry >> 32) * job->out_step,
        .src = cursor.at[1] + column * mk_size_of(job->src_dtype),
        .entry = entry,
        .last = job->sorted + job->groups[group].end,
        .n = mk_min64(ROW_TILE, job->rows.shape[0] - column),
    };
}

static void rows_range(void *context, int64_t begin, int64_t end) {
    const rows_job *job = context;
    const int64_t out_size = mk_size_of(job->out_dtype), src_size = mk_size_of(job->src_dtype);
    rows_unit next = unit_of(job, begin);
    for (int64_t i = begin; i < end; i++) {
        const rows_unit unit = next;
        if (i + 1 < end) {
            // Targets and what goes there can lie anywhere.
            next = unit_of(job, i + 1);
            mk_fetch_all(row_of(job, next.src, job->copy ? next.last[-1] : *next.entry), next.n * src_size);
            if (!job->copy) mk_fetch_all(next.out, next.n * out_size);
        }
        const uint64_t *entry = unit.entry, *last = unit.last;
        char *out = unit.out;
        const char *src = unit.src;
        const int64_t n = unit.n;
        if (job->copy) {
            memcpy(out, row_of(job, src, last[-1]), (size_t)(n * out_size));
            continue;
        }
        float floats[ROW_TILE];
        double doubles[ROW_TILE];
        switch (job->out_dtype) {
            case MK_F64:
                for (; entry < last; entry++)
                    mk_block_axpy_f64((double *)(void *)out, row_of(job, src, *entry), job->src_dtype, job->alpha, n);
                break;
            case MK_F32:
            case MK_F16:
            case MK_BF16: {
                if (job->src_dtype == MK_F64) {
                    mk_block_f64(doubles, out, job->out_dtype, out_size, n);
                    for (; entry < last; entry++)
                        mk_block_axpy_f64(doubles, row_of(job, src, *entry), MK_F64, job->alpha, n);
                    mk_unblock_f64(out, job->out_dtype, out_size, doubles, n);
                    break;
                }
                float *acc = job->out_dtype == MK_F32 ? (float *)(void *)out : floats;
                if (acc == floats) mk_floats_from(floats, out, job->out_dtype, n);
                for (; entry < last; entry++)
                    mk_block_axpy_f32(acc, row_of(job, src, *entry), job->src_dtype, (float)job->alpha, n);
                if (acc == floats) mk_floats_to(out, job->out_dtype, floats, n);
                break;
            }
            default:
                for (; entry < last; entry++)
                    add_integer_row(out, row_of(job, src, *entry), job->out_dtype, job->integer_alpha, n);
        }
    }
}

// Adds or copies rows where they are contiguous in both and wide enough for this to pay; false where they are not.
static bool write_rows(const mk_tensor *out, const mk_tensor *index, const mk_tensor *src, int32_t dim, double alpha,
                       bool copy) {
    int64_t n = index->shape[0], size = out->shape[dim];
    if (n >= INT64_C(1) << 32 || size >= INT64_C(1) << 32) return false;
    rows_job job = {
        .out_step = mk_byte_stride(out, dim),
        .src_step = mk_byte_stride(src, dim),
        .out_dtype = out->dtype,
        .src_dtype = src->dtype,
        .alpha = alpha,
        .integer_alpha = (int64_t)alpha,
        .copy = copy,
    };
    mk_tensor a = mk_without(out, dim), b = mk_without(src, dim);
    const mk_tensor *operands[] = {&a, &b};
    mk_walk_init(&job.rows, 2, operands, true);
    if (n == 0 || job.rows.count == 0) return true;
    if (job.rows.shape[0] < 16 || job.rows.strides[0][0] != mk_size_of(out->dtype) ||
        job.rows.strides[0][1] != mk_size_of(src->dtype))
        return false;

    // Grouped by target, in order of position within a group.
    int64_t bytes = 4 * n * 8;
    uint64_t *sorted = mk_scratch(bytes);
    for (int64_t i = 0; i < n; i++) {
        int64_t k = ((const int64_t *)index->data)[i * index->strides[0]];
        k += k < 0 ? size : 0;
        sorted[i] = (uint64_t)k << 32 | (uint64_t)i;
    }
    mk_sort_packed(sorted, sorted + n, n, 64 - __builtin_clzll((uint64_t)size), true);
    // Long groups (padding, say) to the front and short ones to the back: their tiles are shared out one by one.
    row_group *groups = (row_group *)(void *)(sorted + 2 * n);
    int64_t long_groups = 0, short_groups = 0;
    for (int64_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && sorted[end] >> 32 == sorted[i] >> 32;) end++;
        bool is_long = !copy && (end - i) * ROW_TILE >= MK_GRAIN;
        groups[is_long ? long_groups++ : n - ++short_groups] = (row_group){i, end};
    }

    job.sorted = sorted;
    job.tiles = mk_div_up(job.rows.shape[0], ROW_TILE);
    job.units_per_group = mk_walk_rows(&job.rows) * job.tiles;
    job.groups = groups;
    mk_parallel_range(long_groups * job.units_per_group, 1, rows_range, &job);
    job.groups = groups + n - short_groups;
    int64_t rows_of_short = 0;
    for (int64_t g = 0; g < short_groups; g++) rows_of_short += job.groups[g].end - job.groups[g].begin;
    int64_t work = mk_min64(job.rows.shape[0], ROW_TILE) * mk_div_up(rows_of_short, mk_max64(short_groups, 1));
    mk_parallel_range(short_groups * job.units_per_group, mk_grain_of(work), rows_range, &job);
    mk_scratch_free(sorted, bytes);
    return true;
}

int64_t mk_index_add(const mk_tensor *out, const mk_tensor *index, const mk_tensor *src, int32_t dim, double alpha) {
    int64_t bad = mk_first_out_of_range(index, out->shape[dim]);
    if (bad >= 0) return bad;
    if (!write_rows(out, index, src, dim, alpha, false)) {
        mk_tensor spread = spread_index(index, src, dim);
        mk_scatter_into(MK_SCATTER_ADD, out, &spread, src, dim, alpha);
    }
    return -1;
}

int64_t mk_index_copy(const mk_tensor *out, const mk_tensor *index, const mk_tensor *src, int32_t dim) {
    int64_t bad = mk_first_out_of_range(index, out->shape[dim]);
    if (bad >= 0) return bad;
    if (!write_rows(out, index, src, dim, 1.0, true)) {
        mk_tensor spread = spread_index(index, src, dim);
        mk_scatter_into(MK_SCATTER_SET, out, &spread, src, dim, 1.0);
    }
    return -1;
}
