// The gradient of a table from which rows were looked up. Every row of it is written once: zeros where nothing was looked
// up, one gradient, or the sum of several in the order of their positions. Adding into a table of zeros would go over
// all of it twice more.
#include "include/mk_index.h"
#include "mk_elementwise_private.h"
#include "mk_rows.h"

typedef struct {
    const mk_tensor *out, *src;
    const int64_t *starts; // of each row's positions; one more than there are rows
    const int64_t *positions;
    bool stream;
} embedding_job;

// The gradient of entry i of the sorted positions.
static const char *looked_up(const embedding_job *job, int64_t i) {
    return (const char *)job->src->data + job->positions[i] * mk_byte_stride(job->src, 0);
}

static void embedding_rows(void *context, int64_t begin, int64_t end) {
    const embedding_job *job = context;
    const mk_tensor *out = job->out, *src = job->src;
    const int64_t width = out->shape[1], row_bytes = width * mk_size_of(out->dtype);
    const bool is_double = out->dtype == MK_F64;
    // A piece of a row is summed at a time.
    _Alignas(64) double sums[MK_BLOCK];
    _Alignas(64) char converted[MK_BLOCK * sizeof(float)];
    _Alignas(64) static const char zeros[4096];
    // Positions are in the order of the rows that are written, so they can lie anywhere.
    const int64_t src_bytes = width * mk_size_of(src->dtype), distance = mk_rows_ahead(src_bytes);
    const int64_t all = job->starts[end];
    for (int64_t i = job->starts[begin]; i < all && i < job->starts[begin] + distance; i++)
        mk_fetch_row(looked_up(job, i), src_bytes);
    for (int64_t r = begin; r < end; r++) {
        char *to = (char *)out->data + r * row_bytes;
        const int64_t first = job->starts[r], last = job->starts[r + 1];
        if (last == first) {
            for (int64_t at = 0; at < row_bytes; at += (int64_t)sizeof zeros)
                mk_store(to + at, zeros, mk_min64((int64_t)sizeof zeros, row_bytes - at), job->stream);
            continue;
        }
        if (last - first == 1 && src->dtype == out->dtype) {
            mk_store_row(to, looked_up(job, first), row_bytes, job->stream,
                         first + distance < all ? looked_up(job, first + distance) : NULL);
            continue;
        }
        for (int64_t i = first + distance; i < last + distance && i < all; i++)
            mk_fetch_row(looked_up(job, i), src_bytes);
        for (int64_t at = 0; at < width; at += MK_BLOCK) {
            const int64_t n = mk_min64(MK_BLOCK, width - at);
            char *piece = to + at * mk_size_of(out->dtype);
            for (int64_t i = first; i < last; i++) {
                const char *row = looked_up(job, i) + at * mk_size_of(src->dtype);
                if (i == first) mk_convert(sums, is_double ? MK_F64 : MK_F32, row, src->dtype, n);
                else if (is_double) mk_block_axpy_f64(sums, row, src->dtype, 1, n);
                else mk_block_axpy_f32((float *)(void *)sums, row, src->dtype, 1, n);
            }
            const void *sum = sums;
            if (mk_is_half(out->dtype)) {
                mk_floats_to(converted, out->dtype, (const float *)(const void *)sums, n);
                sum = converted;
            }
            mk_store(piece, sum, n * mk_size_of(out->dtype), job->stream);
        }
    }
}

void mk_embedding_backward(const mk_tensor *out, const mk_tensor *index, const mk_tensor *src, int64_t ignored) {
    const int64_t rows = out->shape[0], n = index->shape[0];
    if (rows == 0 || out->shape[1] == 0) return;
    // Positions by row, in order: a counting sort.
    const int64_t bytes = (rows + 1 + n) * (int64_t)sizeof(int64_t);
    int64_t *starts = mk_scratch(bytes), *positions = starts + rows + 1;
    memset(starts, 0, (size_t)(rows + 1) * sizeof(int64_t));
    const char *at = index->data;
    const int64_t step = mk_byte_stride(index, 0);
    for (int64_t i = 0; i < n; i++) {
        int64_t r = *(const int64_t *)(at + i * step);
        r += r < 0 ? rows : 0;
        if (r != ignored) starts[r + 1]++;
    }
    for (int64_t r = 0; r < rows; r++) starts[r + 1] += starts[r];
    for (int64_t i = 0; i < n; i++) {
        int64_t r = *(const int64_t *)(at + i * step);
        r += r < 0 ? rows : 0;
        if (r != ignored) positions[starts[r]++] = i;
    }
    // Each start has moved to the next one's place.
    memmove(starts + 1, starts, (size_t)rows * sizeof(int64_t));
    starts[0] = 0;
    embedding_job job = {out, src, starts, positions, mk_streams(out, 1, &src)};
    mk_parallel_range(rows, mk_grain_of(out->shape[1]), embedding_rows, &job);
    if (job.stream) mk_finish_stores();
    mk_scratch_free(starts, bytes);
}
