// Scatter over operands of any layout. See include/mk_index.h.
//
// Lines along the indexed dimension share no target. They are shared out among threads, and the targets of each are met in
// the order of their positions.
#include "include/mk_elementwise.h"
#include "mk_rows.h"
#include "scatter.h"

// MARK: in place

typedef struct scatter_job {
    mk_walk lines;  // out, index, src, each with dim taken out
    int64_t length; // of a line
    int64_t index_step, src_step;
    int64_t grain, parts;
    bool along_lines; // the inner loop runs along dim, not across lines
    mk_scatter_targets targets;
    mk_scatter_run run;
} scatter_job;

// Lines share no target, and a line's targets are met in order of position by whoever owns them. Chunk c has lines
// (c / parts) and, of each, the targets in the (c % parts)-th part of out's dimension.
static void scatter_chunk(void *context, int64_t chunk) {
    const scatter_job *job = context;
    int64_t begin = chunk / job->parts * job->grain;
    int64_t end = mk_min64(begin + job->grain, job->lines.count);
    int64_t part = chunk % job->parts;
    const int64_t *across = job->lines.strides[0];
    mk_scatter_targets targets = job->targets;
    mk_scatter_run run = job->run;
    targets.low = targets.size * part / job->parts;
    targets.high = targets.size * (part + 1) / job->parts;
    targets.out_stride = job->along_lines ? 0 : across[0];
    targets.index_stride = job->along_lines ? job->index_step : across[1];
    run.src_stride = job->along_lines ? job->src_step : across[2];
    // Indices are checked already.
    mk_runs runs;
    if (job->along_lines) {
        mk_runs_begin(&runs, &job->lines, begin, end);
        while (mk_runs_next(&runs)) {
            for (int64_t i = 0; i < runs.length; i++) {
                run.out = runs.at[0] + i * across[0];
                run.src = runs.at[2] + i * across[2];
                mk_scatter_run_to(&targets, run, runs.at[1] + i * across[1], job->length);
            }
        }
        return;
    }
    for (int64_t j = 0; j < job->length; j++) {
        mk_runs_begin(&runs, &job->lines, begin, end);
        while (mk_runs_next(&runs)) {
            run.out = runs.at[0];
            run.src = runs.at[2] + j * job->src_step;
            mk_scatter_run_to(&targets, run, runs.at[1] + j * job->index_step, runs.length);
        }
    }
}

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

void mk_scatter_into(mk_scatter_mode mode, const mk_tensor *out, const mk_tensor *index, const mk_tensor *src,
                     int32_t dim, double alpha) {
    mk_tensor converted = *src;
    int64_t converted_bytes = 0;
    int32_t compute = out->dtype == MK_F64 ? MK_F64 : MK_F32;
    if (src->dtype != out->dtype && src->dtype != compute) {
        // Rare: an index_add from another dtype into rows that are not contiguous.
        converted.dtype = compute;
        int64_t stride = 1;
        for (int32_t d = src->rank - 1; d >= 0; d--) {
            converted.strides[d] = stride;
            stride *= src->shape[d];
        }
        converted_bytes = stride * mk_size_of(compute);
        converted.data = mk_scratch(converted_bytes);
        mk_copy(&converted, src);
    }
    src = &converted;

    scatter_job job = {
        .length = index->shape[dim],
        .index_step = mk_byte_stride(index, dim),
        .src_step = mk_byte_stride(src, dim),
        .targets = {.fn = mk_scatter_kernel(mode, out->dtype, src->dtype),
                    .size = out->shape[dim],
                    .step = mk_byte_stride(out, dim)},
        .run = {.alpha = alpha, .integer_alpha = (int64_t)alpha},
    };
    // Elsewhere index may be smaller than out.
    mk_tensor target = *out;
    memcpy(target.shape, index->shape, sizeof target.shape);
    mk_tensor a = mk_without(&target, dim), b = mk_without(index, dim), c = mk_without(src, dim);
    const mk_tensor *operands[] = {&a, &b, &c};
    mk_walk_init(&job.lines, 3, operands, true);
    if (job.lines.count > 0 && job.length > 0) {
        const int64_t *across = job.lines.strides[0];
        int64_t step = magnitude(job.src_step) + magnitude(job.index_step) + magnitude(job.targets.step);
        job.along_lines = job.lines.shape[0] == 1 ||
                          step < magnitude(across[0]) + magnitude(across[1]) + magnitude(across[2]);
        // Neither lines nor parts decide any result, so they may follow the number of threads.
        int64_t threads = mk_thread_count(), lines = job.lines.count;
        job.grain = job.along_lines ? mk_grain_of(job.length) : mk_max64(16, mk_div_up(lines, threads));
        if (lines * job.length <= MK_GRAIN) job.grain = lines;
        int64_t groups = mk_div_up(lines, job.grain);
        // Every part reads all the indices, which pays from four parts on.
        int64_t parts = mk_min64(mk_div_up(threads, groups), job.targets.size);
        job.parts = parts >= 4 && lines * job.length > 2 * MK_GRAIN ? parts : 1;
        mk_parallel(groups * job.parts, scatter_chunk, &job);
    }
    if (converted_bytes) mk_scratch_free(converted.data, converted_bytes);
}

// MARK: beside a copy
//
// A large output that begins as a copy of another tensor is made strip by strip: a strip of that tensor is copied into a
// buffer in the second-level cache, its elements meet there, and it is written out past the caches. Done in two passes,
// the second would fetch all that the first has written, a cache line for each element where the targets lie far apart.

// Bytes of a buffer.
#define STRIP (INT64_C(1) << 20)
// Rows of a strip that are fetched before their turn: they lie far apart.
#define ROWS_AHEAD 16
#define INDICES_AHEAD 4
// Bytes that are written while as many of the next line are fetched.
#define LINE_PIECE 1024

typedef struct strip_job {
    mk_walk lines; // out, index, src, base, each with dim taken out
    int64_t length, size, element;
    int64_t out_step, index_step, src_step, base_step;
    int64_t width, strips; // lines of a strip, strips of a row of `lines`
    bool along_lines, is_bad; // is_bad: an index is out of range
    mk_scatter_targets targets; // in a buffer
    mk_scatter_run run;
} strip_job;

// One line, which is contiguous. False where an index is out of range.
static bool scatter_line(const strip_job *job, const mk_cursor *at, int64_t line, char *buffer) {
    const int64_t *across = job->lines.strides[0], bytes = job->size * job->element;
    const char *base = at->at[3] + line * across[3], *next = line + 1 < job->lines.shape[0] ? base + across[3] : NULL;
    char *out = at->at[0] + line * across[0];
    mk_scatter_run run = job->run;
    run.out = buffer;
    run.src = at->at[2] + line * across[2];
    memcpy(buffer, base, (size_t)bytes);
    if (!mk_scatter_run_to(&job->targets, run, at->at[1] + line * across[1], job->length)) return false;
    mk_ahead ahead = mk_ahead_of(next, bytes);
    for (int64_t i = 0; i < bytes; i += LINE_PIECE) {
        mk_fetch(&ahead, LINE_PIECE);
        mk_stream(out + i, buffer + i, mk_min64(LINE_PIECE, bytes - i));
    }
    return true;
}

// n lines that are neighbours.
static bool scatter_strip(const strip_job *job, const mk_cursor *at, int64_t line, int64_t n, char *buffer) {
    const int64_t *across = job->lines.strides[0], bytes = n * job->element, step = job->targets.step;
    char *out = at->at[0] + line * job->element;
    const char *base = at->at[3] + line * job->element;
    mk_scatter_run run = job->run;
    run.out = buffer;
    for (int64_t k = 0; k < job->size; k++) {
        if (k + ROWS_AHEAD < job->size) mk_fetch_all(base + (k + ROWS_AHEAD) * job->base_step, bytes);
        memcpy(buffer + k * step, base + k * job->base_step, (size_t)bytes);
    }
    for (int64_t j = 0; j < job->length; j++) {
        const char *index = at->at[1] + line * across[1] + j * job->index_step;
        run.src = at->at[2] + line * across[2] + j * job->src_step;
        if (j + INDICES_AHEAD < job->length) {
            mk_fetch_all(index + INDICES_AHEAD * job->index_step, n * across[1]);
            mk_fetch_all(run.src + INDICES_AHEAD * job->src_step, n * across[2]);
        }
        if (!mk_scatter_run_to(&job->targets, run, index, n)) return false;
    }
    for (int64_t k = 0; k < job->size; k++) mk_stream(out + k * job->out_step, buffer + k * step, bytes);
    return true;
}

static void strips_range(void *context, int64_t begin, int64_t end) {
    strip_job *job = context;
    const int64_t bytes = job->width * job->size * job->element;
    char *buffer = mk_scratch(bytes);
    bool good = true;
    for (int64_t unit = begin; good && unit < end; unit++) {
        const int64_t line = unit % job->strips * job->width;
        mk_cursor cursor;
        mk_cursor_seek(&job->lines, &cursor, unit / job->strips);
        good = job->along_lines
                   ? scatter_line(job, &cursor, line, buffer)
                   : scatter_strip(job, &cursor, line, mk_min64(job->width, job->lines.shape[0] - line), buffer);
    }
    if (!good) __atomic_store_n(&job->is_bad, true, __ATOMIC_RELAXED);
    mk_scratch_free(buffer, bytes);
}

// False where strips would not pay, lines are not whole or an index is out of range.
static bool scatter_strips(mk_scatter_mode mode, const mk_tensor *out, const mk_tensor *base, const mk_tensor *index,
                           const mk_tensor *src, int32_t dim) {
    if (!mk_streams(out, 1, &base) || index->shape[dim] == 0) return false;
    for (int32_t d = 0; d < out->rank; d++)
        if (d != dim && index->shape[d] != out->shape[d]) return false;
    strip_job job = {
        .length = index->shape[dim],
        .size = out->shape[dim],
        .element = mk_size_of(out->dtype),
        .out_step = mk_byte_stride(out, dim),
        .index_step = mk_byte_stride(index, dim),
        .src_step = mk_byte_stride(src, dim),
        .base_step = mk_byte_stride(base, dim),
        .targets = {.fn = mk_scatter_kernel(mode, out->dtype, src->dtype),
                    .size = out->shape[dim],
                    .high = out->shape[dim]},
        .run = {.alpha = 1, .integer_alpha = 1},
    };
    mk_tensor a = mk_without(out, dim), b = mk_without(index, dim), c = mk_without(src, dim), d = mk_without(base, dim);
    const mk_tensor *operands[] = {&a, &b, &c, &d};
    mk_walk_init(&job.lines, 4, operands, true);
    const int64_t *across = job.lines.strides[0], element = job.element, bytes = job.size * element;
    job.along_lines = job.out_step == element && job.base_step == element;
    if (job.along_lines) {
        if (bytes < 512 || bytes > STRIP) return false;
        job.width = 1;
    } else {
        job.width = mk_min64(STRIP / bytes, job.lines.shape[0]) * element / 64 * 64 / element;
        // Fewer elements than cache lines are better looked for one by one: a strip is read and written in short pieces.
        const bool is_sparse = job.length * 64 / element < job.size;
        if (across[0] != element || across[3] != element || job.width == 0 || is_sparse) return false;
    }
    job.strips = mk_div_up(job.lines.shape[0], job.width);
    job.targets.step = job.width * element;
    job.targets.out_stride = job.along_lines ? 0 : element;
    job.targets.index_stride = job.along_lines ? job.index_step : across[1];
    job.run.src_stride = job.along_lines ? job.src_step : across[2];
    mk_parallel_range(mk_walk_rows(&job.lines) * job.strips,
                      job.along_lines ? mk_stream_grain(job.size, true) : 1, strips_range, &job);
    mk_finish_stores();
    return !job.is_bad;
}

int64_t mk_scatter(mk_scatter_mode mode, const mk_tensor *out, const mk_tensor *base, const mk_tensor *index,
                   const mk_tensor *src, int32_t dim) {
    if (scatter_strips(mode, out, base, index, src, dim)) return -1;
    const int64_t bad = mk_first_out_of_range(index, out->shape[dim]);
    if (bad >= 0) return bad;
    mk_copy(out, base);
    mk_scatter_into(mode, out, index, src, dim, 1.0);
    return -1;
}
