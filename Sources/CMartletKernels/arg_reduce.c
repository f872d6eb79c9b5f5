// argmax and argmin along one dimension.
#include "reduce.h"

typedef void (*arg_columns)(void *values, int32_t *index, const void *const *rows, int64_t count, int32_t i,
                            int64_t n);
typedef struct arg_table {
    arg_columns columns[REDUCE_TYPES][2]; // minimum, maximum
    arg_columns columns_bf16[2];          // of bfloat16 numbers that are not converted first, for REDUCE_F32
} arg_table;

#define MK_KERNELS "arg_reduce_kernels.h"
#include "mk_each_isa.h"
static const arg_table *const arg_tables[MK_ISA_COUNT] = MK_ISA_TABLES(arg_table_);

#define TILE 4096           // lines of one piece of work across them
#define BLOCK 512           // of them at a time
#define FETCH 512           // bytes of them at a time where the next elements are fetched meanwhile
#define GROUP 4             // elements of each of them at a time
#define SEARCH 32           // elements of a block that are compared at once
#define SEGMENT 65536       // elements of a line in one piece of work
#define TILE_SEGMENT (1 << 21) // of a tile of lines
#define SEGMENTS 256        // at most

// The best element of a line or of a segment of it.
typedef struct best_element {
    reduce_total value;
    int64_t index;
} best_element;

typedef struct arg_job {
    mk_walk lines; // in, indices, values (indices again when there are none)
    const mk_tensor *in;
    const mk_tensor *values;
    const reduce_kernels *kernels;
    int type;
    bool maximum;
    bool fetches; // across lines: elements before their turn
    int64_t length, step;      // of a line; bytes between its elements
    int64_t segment, segments; // elements of a line in one segment
    int64_t tiles;             // per row of `lines`
    best_element *partials;    // [segments][lines] when segments > 1
} arg_job;

static bool is_better(const arg_job *job, reduce_total a, reduce_total than) {
    if (job->type == REDUCE_I64) return job->maximum ? a.i > than.i : a.i < than.i;
    if (than.d != than.d) return false;
    return a.d != a.d || (job->maximum ? a.d > than.d : a.d < than.d);
}

static reduce_total widen(int type, const void *elements, int64_t i) {
    switch (type) {
        case REDUCE_F32: return (reduce_total){.d = ((const float *)elements)[i]};
        case REDUCE_F64: return (reduce_total){.d = ((const double *)elements)[i]};
        default: return (reduce_total){.i = ((const int64_t *)elements)[i]};
    }
}

static void store(const arg_job *job, char *index_at, char *value_at, best_element best) {
    *(int64_t *)(void *)index_at = best.index;
    if (job->values) mk_reduce_store(job->type, value_at, job->values->dtype, 0, &best.value, 1);
}

// MARK: along lines

// The extreme of each block comes from the reduction kernel; only the block that holds the answer is searched.
static best_element best_of_line(const arg_job *job, const char *line, int64_t begin, int64_t end) {
    int32_t dtype = job->in->dtype;
    _Alignas(64) union {
        double d[MK_BLOCK];
        int64_t i[MK_BLOCK];
    } buffer;
    best_element best = {.index = -1};
    for (int64_t i = begin; i < end; i += MK_BLOCK) {
        int64_t n = mk_min64(MK_BLOCK, end - i);
        reduce_total value = mk_reduce_identity(job->type, job->maximum ? MK_REDUCE_MAX : MK_REDUCE_MIN);
        if (dtype == MK_BF16 && job->step == 2) {
            job->kernels->row_bf16(&value, line + i * job->step, n);
        } else {
            const void *at = line + i * job->step;
            job->kernels->row(&value, mk_reduce_block(job->type, &buffer, at, dtype, job->step, n), n);
        }
        if (best.index < 0 || is_better(job, value, best.value)) best = (best_element){value, i};
    }
    int64_t n = mk_min64(MK_BLOCK, end - best.index), j = 0;
    const void *block = mk_reduce_block(job->type, &buffer, line + best.index * job->step, dtype, job->step, n);
    // Many at a time, then one by one where it is among them.
    if (job->type == REDUCE_F32 && best.value.d == best.value.d) {
        const float *x = block, value = (float)best.value.d;
        for (; j + SEARCH < n; j += SEARCH) {
            int32_t found = 0;
            for (int64_t l = 0; l < SEARCH; l++) found |= x[j + l] == value;
            if (found) break;
        }
    }
    for (; j < n - 1; j++) {
        reduce_total x = widen(job->type, block, j);
        if (job->type == REDUCE_I64 ? x.i == best.value.i
                                    : x.d == best.value.d || (x.d != x.d && best.value.d != best.value.d))
            break;
    }
    best.index += j;
    return best;
}

static void lines_range(void *context, int64_t begin, int64_t end) {
    const arg_job *job = context;
    const int64_t *strides = job->lines.strides[0];
    mk_runs runs;
    mk_runs_begin(&runs, &job->lines, begin, end);
    while (mk_runs_next(&runs))
        for (int64_t l = 0; l < runs.length; l++)
            store(job, runs.at[1] + l * strides[1], runs.at[2] + l * strides[2],
                  best_of_line(job, runs.at[0] + l * strides[0], 0, job->length));
}

static void line_segment(void *context, int64_t chunk) {
    const arg_job *job = context;
    int64_t line = chunk / job->segments, segment = chunk % job->segments;
    mk_runs runs;
    mk_runs_begin(&runs, &job->lines, line, line + 1);
    mk_runs_next(&runs);
    int64_t begin = segment * job->segment;
    job->partials[segment * job->lines.count + line] =
        best_of_line(job, runs.at[0], begin, mk_min64(begin + job->segment, job->length));
}

// MARK: across lines

static void tile_unit(const arg_job *job, int64_t unit) {
    int64_t segment = unit % job->segments, tile = unit / job->segments % job->tiles,
            row = unit / job->segments / job->tiles;
    const int64_t *strides = job->lines.strides[0];
    int64_t first = tile * TILE, n = mk_min64(TILE, job->lines.shape[0] - first);
    int64_t begin = segment * job->segment, end = mk_min64(begin + job->segment, job->length);
    mk_cursor cursor;
    mk_cursor_seek(&job->lines, &cursor, row);
    const char *in = cursor.at[0] + first * strides[0];
    _Alignas(64) union {
        float f[TILE];
        double d[TILE];
        int64_t i[TILE];
    } values;
    _Alignas(64) double buffers[GROUP][BLOCK];
    _Alignas(64) int32_t index[TILE]; // from the segment's beginning: as wide as a float, and segments are short
    int64_t size = job->type == REDUCE_F32 ? 4 : 8;
    bool plain_bf16 = mk_plain_type(job->type, job->in->dtype, strides[0]) == REDUCE_TYPES;
    const arg_table *table = MK_TABLE(arg_tables);
    arg_columns columns = plain_bf16 ? table->columns_bf16[job->maximum] : table->columns[job->type][job->maximum];
    for (int64_t i = begin; i < end; i += GROUP) {
        int64_t count = mk_min64(GROUP, end - i);
        // Elements of a line lie far apart, where the processor does not fetch by itself.
        const int64_t ahead = job->fetches && i + 2 * GROUP <= end ? GROUP * job->step : 0;
        const int64_t width = ahead != 0 ? FETCH / strides[0] : BLOCK;
        for (int64_t j = 0; j < n; j += width) {
            int64_t m = mk_min64(width, n - j);
            char *best = (char *)&values + j * size;
            const void *rows[GROUP];
            for (int64_t k = 0; k < count; k++) {
                rows[k] = in + (i + k) * job->step + j * strides[0];
                if (ahead != 0) mk_fetch_all((const char *)rows[k] + ahead, m * strides[0]);
                if (!plain_bf16 || i == begin)
                    rows[k] = mk_reduce_block(job->type, buffers[k], rows[k], job->in->dtype, strides[0], m);
            }
            if (i == begin) {
                memcpy(best, rows[0], (size_t)(m * size));
                memset(index + j, 0, (size_t)m * sizeof *index);
                table->columns[job->type][job->maximum](best, index + j, rows, count, 0, m);
            } else {
                columns(best, index + j, rows, count, (int32_t)(i - begin), m);
            }
        }
    }
    best_element *partials =
        job->segments > 1 ? job->partials + segment * job->lines.count + row * job->lines.shape[0] + first : NULL;
    for (int64_t j = 0; j < n; j++) {
        best_element best = {widen(job->type, &values, j), begin + index[j]};
        if (partials) {
            partials[j] = best;
        } else {
            store(job, cursor.at[1] + (first + j) * strides[1], cursor.at[2] + (first + j) * strides[2], best);
        }
    }
}

static void tiles_range(void *context, int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) tile_unit(context, unit);
}

// MARK: merging

static void merge_range(void *context, int64_t begin, int64_t end) {
    const arg_job *job = context;
    const int64_t *strides = job->lines.strides[0];
    mk_runs runs;
    mk_runs_begin(&runs, &job->lines, begin, end);
    int64_t line = begin;
    while (mk_runs_next(&runs)) {
        for (int64_t l = 0; l < runs.length; l++, line++) {
            best_element best = job->partials[line];
            for (int64_t s = 1; s < job->segments; s++) {
                best_element other = job->partials[s * job->lines.count + line];
                if (is_better(job, other.value, best.value)) best = other;
            }
            store(job, runs.at[1] + l * strides[1], runs.at[2] + l * strides[2], best);
        }
    }
}

void mk_arg_reduce(bool maximum, const mk_tensor *indices, const mk_tensor *values, const mk_tensor *in, int32_t dim) {
    arg_job job = {.in = in,
                   .values = values,
                   .type = mk_reduce_type(in->dtype),
                   .maximum = maximum,
                   .length = in->rank > 0 ? in->shape[dim] : 1,
                   .step = in->rank > 0 ? mk_byte_stride(in, dim) : 0,
                   .segments = 1};
    job.kernels = mk_reduce_kernels(job.type, maximum ? MK_REDUCE_MAX : MK_REDUCE_MIN);
    mk_tensor start = in->rank > 0 ? mk_without(in, dim) : *in;
    const mk_tensor *operands[] = {&start, indices, values ? values : indices};
    mk_walk_init(&job.lines, 3, operands, true);
    int64_t lines = job.lines.count;
    if (lines == 0 || job.length == 0) return;

    bool across = mk_across_lines(&job.lines, job.step);
    job.fetches = mk_is_large(in) && job.lines.strides[0][0] == mk_size_of(in->dtype);
    int64_t width = across ? mk_min64(job.lines.shape[0], TILE) : 1;
    job.tiles = mk_div_up(job.lines.shape[0], TILE);
    job.segment = mk_max64((across ? TILE_SEGMENT : SEGMENT) / width, mk_div_up(job.length, SEGMENTS));
    if (job.length > 2 * job.segment) {
        job.segments = mk_div_up(job.length, job.segment);
    } else {
        job.segment = job.length;
    }
    int64_t bytes = job.segments > 1 ? job.segments * lines * (int64_t)sizeof(best_element) : 0;
    if (bytes) job.partials = mk_scratch(bytes);
    if (across) {
        mk_parallel_range(mk_walk_rows(&job.lines) * job.tiles * job.segments, mk_grain_of(width * job.segment),
                          tiles_range, &job);
    } else if (job.segments > 1) {
        mk_parallel_shares(lines * job.segments, line_segment, &job);
    } else {
        mk_parallel_range(lines, mk_grain_of(job.length), lines_range, &job);
    }
    if (bytes) {
        mk_parallel_range(lines, mk_grain_of(job.segments), merge_range, &job);
        mk_scratch_free(job.partials, bytes);
    }
}
