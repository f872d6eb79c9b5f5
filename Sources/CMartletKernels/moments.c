// Mean and variance over any set of dimensions, in one pass over the memory.
//
// Of a block of elements the deviations d from a number near its mean are summed, and so are their squares: its mean is
// that number + Σd / n, its squares are Σd² - (Σd)² / n. The number is the mean of all blocks before it, or of a few
// elements of the first block: it lies among the elements, so the difference cancels little. Blocks are joined in double
// by the update of Chan, Golub and LeVeque (1979), which cancels nothing where the mean is large beside the deviations.
// There are two orders of work, as in reduce.c; all sizes depend on shape and strides alone.
#include "reduce.h"

#define MOMENTS_TILE 2048    // columns at a time
#define MOMENTS_PIECE 128    // of them where they are converted first
#define MOMENTS_ROWS 64      // elements of each of them at a time
#define FIRST_ROWS 8         // elements of a column whose mean its first block is measured from
#define FIRST 64             // the same of a row
#define ROW_AHEAD 8192       // bytes that blocks of a row are fetched before their turn
#define ROW_SEGMENT 65536    // elements of a segment along rows
#define COLUMN_SEGMENT 262144
#define COLUMN_UNITS 128     // tiles and segments, where they do not get smaller than that
#define SEGMENTS 256         // of a row at most
#define SHORT_RUN 64         // runs shorter than this are packed into blocks

typedef struct moments_table {
    // Mean and squares of n elements, or of `count` in each of n columns, from the deviations from `center`. Memory that
    // lies `ahead` bytes from each row is fetched, unless 0. The last is for bfloat16 numbers that are not converted first.
    void (*near_row[REDUCE_TYPES + 1])(const void *in, double center, int64_t n, double *mean, double *squares);
    void (*near_columns[REDUCE_TYPES + 1])(double *mean, double *squares, const double *center,
                                           const void *const *rows, int64_t count, int64_t n, int64_t ahead);
    // join of n parts of `before` elements each with others, whose share of all elements is given.
    void (*join)(double *mean, double *squares, const double *other_mean, const double *other_squares, double share,
                 double before, int64_t n);
} moments_table;

#define MK_KERNELS "moments_kernels.h"
#include "mk_each_isa.h"
static const moments_table *const moments_tables[MK_ISA_COUNT] = MK_ISA_TABLES(moments_table_);

// Of `count` elements, which whoever holds this knows.
typedef struct moments_part {
    double mean, squares; // squares: Σ (x - mean)²
} moments_part;

typedef struct moments_job {
    const mk_tensor *mean, *variance, *in;
    mk_walk kept;    // in, mean, variance
    mk_walk reduced; // in
    int type;
    bool fetches; // rows or blocks before their turn
    double divisor;
    int64_t segments, segment;
    int64_t tiles;
    double *means, *squares; // of parts, [segments][kept.count] when segments > 1
} moments_job;

static void join(moments_part *a, int64_t na, moments_part b, int64_t nb) {
    if (na == 0) *a = b;
    else MK_TABLE(moments_tables)->join(&a->mean, &a->squares, &b.mean, &b.squares, (double)nb / (double)(na + nb),
                                        (double)na, 1);
}

// Writes n results, `stride` bytes apart in each output.
static void finish(const moments_job *job, char *mean, int64_t mean_stride, char *variance, int64_t variance_stride,
                   const double *means, const double *squares, int64_t n) {
    double values[MOMENTS_TILE];
    for (int64_t i = 0; i < n; i += MOMENTS_TILE) {
        int64_t m = mk_min64(MOMENTS_TILE, n - i);
        for (int64_t j = 0; j < m; j++) values[j] = squares[i + j] / job->divisor;
        mk_unblock_f64(mean + i * mean_stride, job->mean->dtype, mean_stride, means + i, m);
        mk_unblock_f64(variance + i * variance_stride, job->variance->dtype, variance_stride, values, m);
    }
}

// MARK: rows

static void add_block(const moments_job *job, moments_part *part, int64_t *count, const void *in, int64_t stride,
                      int64_t n) {
    _Alignas(64) double buffer[MK_BLOCK];
    const int plain = mk_plain_type(job->type, job->in->dtype, stride), type = plain >= 0 ? plain : job->type;
    // Memory would be idle during the arithmetic.
    if (job->fetches) mk_fetch_all((const char *)in + ROW_AHEAD, n * stride);
    const void *block = plain >= 0 ? in : mk_reduce_block(job->type, buffer, in, job->in->dtype, stride, n);
    double center = part->mean;
    if (*count == 0) {
        const reduce_kernels *sum = mk_reduce_kernels(job->type, MK_REDUCE_SUM);
        const int64_t some = mk_min64(FIRST, n);
        reduce_total total = {.d = 0};
        (type == REDUCE_TYPES ? sum->row_bf16 : sum->row)(&total, block, some);
        center = total.d / (double)some;
    }
    moments_part own;
    MK_TABLE(moments_tables)->near_row[type](block, center, n, &own.mean, &own.squares);
    join(part, *count, own, n);
    *count += n;
}

static moments_part part_of_row(const moments_job *job, int64_t offset, int64_t begin, int64_t end) {
    const mk_walk *reduced = &job->reduced;
    int64_t stride = reduced->strides[0][0], size = mk_size_of(job->in->dtype), count = 0, filled = 0;
    bool packs = reduced->shape[0] < SHORT_RUN && reduced->rank > 1;
    _Alignas(64) uint64_t packed[MK_BLOCK];
    moments_part part = {NAN, NAN};
    mk_runs runs;
    mk_runs_begin(&runs, reduced, begin, end);
    while (mk_runs_next(&runs)) {
        const char *at = runs.at[0] + offset;
        if (packs) {
            mk_gather_run((char *)packed + filled * size, at, size, stride, runs.length);
            filled += runs.length;
            if (filled <= MK_BLOCK - SHORT_RUN) continue;
            add_block(job, &part, &count, packed, size, filled);
            filled = 0;
            continue;
        }
        for (int64_t i = 0; i < runs.length; i += MK_BLOCK)
            add_block(job, &part, &count, at + i * stride, stride, mk_min64(MK_BLOCK, runs.length - i));
    }
    if (filled > 0) add_block(job, &part, &count, packed, size, filled);
    return part;
}

static void rows_range(void *context, int64_t begin, int64_t end) {
    const moments_job *job = context;
    const int64_t *strides = job->kept.strides[0];
    mk_runs runs;
    mk_runs_begin(&runs, &job->kept, begin, end);
    while (mk_runs_next(&runs)) {
        for (int64_t j = 0; j < runs.length; j++) {
            int64_t offset = runs.at[0] + j * strides[0] - (char *)job->in->data;
            moments_part part = part_of_row(job, offset, 0, job->reduced.count);
            finish(job, runs.at[1] + j * strides[1], strides[1], runs.at[2] + j * strides[2], strides[2], &part.mean,
                   &part.squares, 1);
        }
    }
}

static void rows_segment(void *context, int64_t chunk) {
    const moments_job *job = context;
    int64_t result = chunk / job->segments, segment = chunk % job->segments, begin = segment * job->segment;
    mk_runs runs;
    mk_runs_begin(&runs, &job->kept, result, result + 1);
    mk_runs_next(&runs);
    const moments_part part = part_of_row(job, runs.at[0] - (char *)job->in->data, begin,
                                          mk_min64(begin + job->segment, job->reduced.count));
    job->means[segment * job->kept.count + result] = part.mean;
    job->squares[segment * job->kept.count + result] = part.squares;
}

// MARK: columns

// The parts of a tile's columns.
typedef struct moments_tile {
    _Alignas(64) double mean[MOMENTS_TILE], squares[MOMENTS_TILE];
} moments_tile;

// Joins n <= MOMENTS_TILE columns of rows that the kernels of `type` take to parts that have `before` elements each.
static void join_rows(int type, double *all_means, double *all_squares, int64_t before, const void *const *rows,
                      int64_t count, int64_t n, int64_t ahead) {
    _Alignas(64) double mean[MOMENTS_TILE], squares[MOMENTS_TILE];
    const moments_table *table = MK_TABLE(moments_tables);
    if (before > 0) {
        table->near_columns[type](mean, squares, all_means, rows, count, n, ahead);
        const double share = (double)count / (double)(before + count);
        table->join(all_means, all_squares, mean, squares, share, (double)before, n);
        return;
    }
    const int64_t some = mk_min64(FIRST_ROWS, count);
    const reduce_kernels *sum = mk_reduce_kernels(type == REDUCE_TYPES ? REDUCE_F32 : type, MK_REDUCE_SUM);
    _Alignas(64) double acc[MOMENTS_TILE] = {0};
    for (int64_t j = 0; j < n; j++) mean[j] = 0;
    (type == REDUCE_TYPES ? sum->columns_bf16 : sum->columns)(acc, rows, some, n, 0);
    sum->fold(mean, acc, n);
    for (int64_t j = 0; j < n; j++) mean[j] /= (double)some;
    table->near_columns[type](all_means, all_squares, mean, rows, count, n, ahead);
}

// Joins rows to the parts, which have `before` elements each. `ahead`: bytes from a row to one that is worth fetching
// because rows lie too far apart for the processor to do so by itself, else 0.
static void add_rows(const moments_job *job, moments_tile *parts, int64_t before, const char *const *at, int64_t count,
                     int64_t stride, int64_t n, int64_t ahead) {
    const int plain = mk_plain_type(job->type, job->in->dtype, stride);
    if (plain >= 0) {
        join_rows(plain, parts->mean, parts->squares, before, (const void *const *)at, count, n, ahead);
        return;
    }
    _Alignas(64) double buffers[MOMENTS_ROWS][MOMENTS_PIECE];
    for (int64_t j = 0; j < n; j += MOMENTS_PIECE) {
        const int64_t m = mk_min64(MOMENTS_PIECE, n - j);
        const void *rows[MOMENTS_ROWS];
        for (int64_t k = 0; k < count; k++) {
            const char *from = at[k] + j * stride;
            rows[k] = mk_reduce_block(job->type, buffers[k], from, job->in->dtype, stride, m);
            if (ahead != 0) mk_fetch_all(from + ahead, m * stride);
        }
        join_rows(job->type, parts->mean + j, parts->squares + j, before, rows, count, m, 0);
    }
}

static void columns_unit(const moments_job *job, int64_t unit) {
    int64_t segment = unit % job->segments, tile = unit / job->segments % job->tiles,
            row = unit / job->segments / job->tiles;
    const int64_t *strides = job->kept.strides[0];
    int64_t width = job->kept.shape[0], column = tile * MOMENTS_TILE, n = mk_min64(MOMENTS_TILE, width - column);
    int64_t step = job->reduced.strides[0][0];
    mk_cursor cursor;
    mk_cursor_seek(&job->kept, &cursor, row);
    int64_t offset = cursor.at[0] - (char *)job->in->data + column * strides[0];
    const int64_t ahead = job->fetches ? mk_eight_ahead(step, step == n * strides[0]) : 0;
    moments_tile parts;
    const char *rows[MOMENTS_ROWS];
    int64_t filled = 0, count = 0;
    mk_runs runs;
    mk_runs_begin(&runs, &job->reduced, segment * job->segment,
                  mk_min64((segment + 1) * job->segment, job->reduced.count));
    while (mk_runs_next(&runs)) {
        for (int64_t r = 0; r < runs.length; r++) {
            rows[filled++] = runs.at[0] + offset + r * step;
            if (filled < MOMENTS_ROWS) continue;
            add_rows(job, &parts, count, rows, filled, strides[0], n, ahead);
            count += filled;
            filled = 0;
        }
    }
    if (filled > 0) add_rows(job, &parts, count, rows, filled, strides[0], n, 0);
    if (job->segments > 1) {
        const int64_t at = segment * job->kept.count + row * width + column;
        memcpy(job->means + at, parts.mean, (size_t)n * sizeof(double));
        memcpy(job->squares + at, parts.squares, (size_t)n * sizeof(double));
    } else {
        finish(job, cursor.at[1] + column * strides[1], strides[1], cursor.at[2] + column * strides[2], strides[2],
               parts.mean, parts.squares, n);
    }
}

static void columns_range(void *context, int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) columns_unit(context, unit);
}

// MARK: the public function

static void merge_range(void *context, int64_t begin, int64_t end) {
    const moments_job *job = context;
    const int64_t *strides = job->kept.strides[0];
    const moments_table *table = MK_TABLE(moments_tables);
    const int64_t length = job->reduced.count;
    int64_t position = begin;
    moments_tile parts;
    mk_runs runs;
    mk_runs_begin(&runs, &job->kept, begin, end);
    while (mk_runs_next(&runs)) {
        for (int64_t i = 0, n; i < runs.length; i += n, position += n) {
            n = mk_min64(MOMENTS_TILE, runs.length - i);
            memcpy(parts.mean, job->means + position, (size_t)n * sizeof(double));
            memcpy(parts.squares, job->squares + position, (size_t)n * sizeof(double));
            for (int64_t s = 1; s < job->segments; s++) {
                const int64_t before = s * job->segment, own = mk_min64(job->segment, length - before);
                const int64_t at = s * job->kept.count + position;
                table->join(parts.mean, parts.squares, job->means + at, job->squares + at,
                            (double)own / (double)(before + own), (double)before, n);
            }
            finish(job, runs.at[1] + i * strides[1], strides[1], runs.at[2] + i * strides[2], strides[2], parts.mean,
                   parts.squares, n);
        }
    }
}

void mk_moments(const mk_tensor *mean, const mk_tensor *variance, const mk_tensor *in, double divisor) {
    moments_job job = {.mean = mean,
                       .variance = variance,
                       .in = in,
                       .type = mk_reduce_type(in->dtype),
                       .divisor = divisor,
                       .segments = 1};
    mk_tensor kept_in, reduced_in;
    mk_split_reduced(in, mean, &kept_in, &reduced_in);
    const mk_tensor *kept[] = {&kept_in, mean, variance}, *reduced[] = {&reduced_in};
    mk_walk_init(&job.kept, 3, kept, true);
    mk_walk_init(&job.reduced, 1, reduced, true);
    int64_t results = job.kept.count, length = job.reduced.count;
    if (results == 0) return;

    bool columns = mk_in_columns(&job.kept, &job.reduced);
    const int64_t inner = columns ? job.kept.strides[0][0] : job.reduced.strides[0][0];
    job.fetches = inner == mk_size_of(in->dtype) && mk_is_large(in);
    int64_t width = columns ? mk_min64(MOMENTS_TILE, job.kept.shape[0]) : 1;
    job.tiles = mk_div_up(job.kept.shape[0], MOMENTS_TILE);
    const int64_t least = columns ? COLUMN_SEGMENT / width : ROW_SEGMENT;
    const int64_t most = columns ? mk_div_up(COLUMN_UNITS, mk_walk_rows(&job.kept) * job.tiles) : SEGMENTS;
    job.segment = mk_max64(least, mk_div_up(length, most));
    if (length > 2 * job.segment) job.segments = mk_div_up(length, job.segment);
    else job.segment = length;
    const int64_t parts = job.segments > 1 ? job.segments * results : 0, bytes = 2 * parts * (int64_t)sizeof(double);
    if (parts) {
        job.means = mk_scratch(bytes);
        job.squares = job.means + parts;
    }
    if (columns) {
        mk_parallel_range(mk_walk_rows(&job.kept) * job.tiles * job.segments, mk_grain_of(width * job.segment),
                          columns_range, &job);
    } else if (job.segments > 1) {
        mk_parallel_shares(results * job.segments, rows_segment, &job);
    } else {
        mk_parallel_range(results, mk_grain_of(length), rows_range, &job);
    }
    if (parts) {
        mk_parallel_range(results, mk_grain_of(job.segments), merge_range, &job);
        mk_scratch_free(job.means, bytes);
    }
}
