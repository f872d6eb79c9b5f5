// Reductions over any set of dimensions of any layout. See include/mk_reduce.h.
//
// Elements are read in short blocks as f32, f64 or i64, reduced there, and the results of blocks are combined in double
// (i64 for integers). Two orders of work:
//   rows      the reduced dimensions are innermost in memory: each result is a run of blocks;
//   columns   a kept dimension is innermost: rows are added to a tile of accumulators, eight at a time.
// Long reductions are cut into segments, whose results are merged in order, so that few results still use every thread.
// All sizes below depend on shape and strides alone.
#include "reduce.h"

typedef struct reduce_table {
    reduce_kernels kernels[REDUCE_TYPES][REDUCE_OPS];
} reduce_table;

#define MK_KERNELS "reduce_kernels.h"
#include "mk_each_isa.h"
static const reduce_table *const reduce_tables[MK_ISA_COUNT] = MK_ISA_TABLES(reduce_table_);

const reduce_kernels *mk_reduce_kernels(int type, mk_reduce_op op) {
    return &MK_TABLE(reduce_tables)->kernels[type][op];
}

reduce_total mk_reduce_identity(int type, mk_reduce_op op) {
    reduce_total identity;
    if (type == REDUCE_I64) {
        identity.i = op == MK_REDUCE_PROD ? 1 : op == MK_REDUCE_MAX ? INT64_MIN : op == MK_REDUCE_MIN ? INT64_MAX : 0;
    } else {
        identity.d = op == MK_REDUCE_PROD  ? 1.0
                     : op == MK_REDUCE_MAX ? -INFINITY
                     : op == MK_REDUCE_MIN ? INFINITY
                                           : 0.0;
    }
    return identity;
}

#define ROW_SEGMENT 65536     // elements of a segment in rows order
#define ROW_SEGMENTS 1024     // at most
#define SHORT_RUN 64          // runs shorter than this are packed into blocks
#define COLUMN_TILE 2048      // accumulators of a tile in columns order
#define COLUMN_BLOCK 512      // of them at a time
#define COLUMN_FETCH 128      // of them at a time where the next rows are fetched meanwhile
#define COLUMN_GROUP 8        // rows at a time
#define COLUMN_FOLD 64        // rows summed in the type of the computation before the totals take them
#define COLUMN_SEGMENT 262144 // elements of a segment in columns order
#define COLUMN_UNITS 128      // tiles and segments, where they do not get smaller than that
#define NARROW 64             // rows shorter than this are packed, if nothing lies between them

typedef struct reduce_job {
    mk_reduce_op op;
    const reduce_kernels *kernels;
    const mk_tensor *out;
    const mk_tensor *in;
    mk_walk kept;    // in, out
    mk_walk reduced; // in
    int type;
    bool nonzero; // reduce `element != 0`
    bool fetches; // columns: rows before their turn
    bool round;   // multiply by scale
    double scale;
    reduce_total identity;
    float identity_f32;
    int64_t segments, segment; // elements (columns: rows) of one
    reduce_total *partials;    // [segments][kept.count] when segments > 1
    int64_t tiles;             // columns: per row of `kept`
    int64_t pack;              // columns: short rows without gaps that are taken as one row
} reduce_job;

// MARK: blocks

typedef union reduce_block {
    double d[MK_BLOCK];
    int64_t i[MK_BLOCK];
    float f[MK_BLOCK];
} reduce_block;

static const void *read_block(const reduce_job *job, void *buffer, const void *in, int64_t stride, int64_t n) {
    int32_t dtype = job->in->dtype;
    if (job->nonzero) {
        mk_block_nonzero(buffer, in, dtype, stride, n);
        return buffer;
    }
    return mk_reduce_block(job->type, buffer, in, dtype, stride, n);
}

// mk_plain_type of the operand.
static int plain_type(const reduce_job *job, int64_t stride) {
    return job->nonzero ? -1 : mk_plain_type(job->type, job->in->dtype, stride);
}

// Writes n results, `stride` bytes apart.
static void finish(const reduce_job *job, char *out, int64_t stride, reduce_total *totals, int64_t n) {
    int32_t dtype = job->out->dtype;
    for (int64_t i = 0; i < n; i += MK_BLOCK) {
        int64_t m = mk_min64(MK_BLOCK, n - i);
        reduce_total *t = totals + i;
        if (job->round)
            for (int64_t j = 0; j < m; j++) t[j].d *= job->scale;
        mk_reduce_store(job->type, out + i * stride, dtype, stride, t, m);
    }
}

static void fill(reduce_total *totals, reduce_total value, int64_t n) {
    for (int64_t i = 0; i < n; i++) totals[i] = value;
}

// MARK: rows

// total = total op (the n elements in a row).
static void reduce_block_of_row(const reduce_job *job, reduce_total *total, const void *in, int64_t stride, int64_t n) {
    if (job->nonzero && stride == mk_size_of(job->in->dtype)) {
        int64_t count = mk_block_count_nonzero(in, job->in->dtype, n);
        int64_t value = job->op == MK_REDUCE_ANY ? count > 0 : job->op == MK_REDUCE_ALL ? count == n : count;
        job->kernels->merge(total, &value, 1);
        return;
    }
    if (plain_type(job, stride) == REDUCE_TYPES) {
        job->kernels->row_bf16(total, in, n);
        return;
    }
    _Alignas(64) reduce_block block;
    job->kernels->row(total, read_block(job, &block, in, stride, n), n);
}

static void reduce_row(const reduce_job *job, reduce_total *total, int64_t offset, int64_t begin, int64_t end) {
    const mk_walk *reduced = &job->reduced;
    int64_t stride = reduced->strides[0][0], size = mk_size_of(job->in->dtype);
    mk_runs runs;
    mk_runs_begin(&runs, reduced, begin, end);
    if (reduced->shape[0] < SHORT_RUN && reduced->rank > 1) {
        _Alignas(64) uint64_t packed[MK_BLOCK];
        int64_t filled = 0;
        bool more;
        do {
            more = mk_runs_next(&runs);
            if (more) {
                mk_gather_run((char *)packed + filled * size, runs.at[0] + offset, size, stride, runs.length);
                filled += runs.length;
            }
            if (filled > MK_BLOCK - SHORT_RUN || (!more && filled > 0)) {
                reduce_block_of_row(job, total, packed, size, filled);
                filled = 0;
            }
        } while (more);
        return;
    }
    while (mk_runs_next(&runs)) {
        const char *at = runs.at[0] + offset;
        for (int64_t i = 0; i < runs.length; i += MK_BLOCK) {
            int64_t n = mk_min64(MK_BLOCK, runs.length - i);
            reduce_block_of_row(job, total, at + i * stride, stride, n);
        }
    }
}

// totals[j] = totals[j] op (row j), for rows that are one block as it lies in memory: most of the time of a short row
// would go into finding out what it is.
static bool reduce_plain_rows(const reduce_job *job, reduce_total *totals, const char *at, int64_t step, int64_t rows) {
    const mk_walk *reduced = &job->reduced;
    const int64_t n = reduced->count, stride = reduced->strides[0][0];
    if (reduced->rank != 1 || n > MK_BLOCK) return false;
    const int plain = plain_type(job, stride);
    if (plain < 0) return false;
    void (*row)(void *, const void *, int64_t) = plain == REDUCE_TYPES ? job->kernels->row_bf16 : job->kernels->row;
    for (int64_t j = 0; j < rows; j++) row(&totals[j], at + j * step, n);
    return true;
}

static void rows_range(void *context, int64_t begin, int64_t end) {
    const reduce_job *job = context;
    enum { batch = 256 };
    _Alignas(64) reduce_total totals[batch];
    mk_runs runs;
    mk_runs_begin(&runs, &job->kept, begin, end);
    int64_t in_stride = job->kept.strides[0][0], out_stride = job->kept.strides[0][1];
    while (mk_runs_next(&runs)) {
        int64_t offset = runs.at[0] - (char *)job->in->data;
        for (int64_t i = 0; i < runs.length; i += batch) {
            int64_t n = mk_min64(batch, runs.length - i);
            fill(totals, job->identity, n);
            const bool done = reduce_plain_rows(job, totals, runs.at[0] + i * in_stride, in_stride, n);
            for (int64_t j = 0; j < n && !done; j++)
                reduce_row(job, &totals[j], offset + (i + j) * in_stride, 0, job->reduced.count);
            finish(job, runs.at[1] + i * out_stride, out_stride, totals, n);
        }
    }
}

static void rows_segment(void *context, int64_t chunk) {
    const reduce_job *job = context;
    int64_t result = chunk / job->segments, segment = chunk % job->segments;
    int64_t begin = segment * job->segment;
    mk_runs runs;
    mk_runs_begin(&runs, &job->kept, result, result + 1);
    mk_runs_next(&runs);
    reduce_total total = job->identity;
    reduce_row(job, &total, runs.at[0] - (char *)job->in->data, begin,
               mk_min64(begin + job->segment, job->reduced.count));
    job->partials[segment * job->kept.count + result] = total;
}

// MARK: columns

typedef union column_accumulators {
    float f[COLUMN_TILE];
    double d[COLUMN_TILE];
    int64_t i[COLUMN_TILE];
} column_accumulators;

// acc[j] = acc[j] op rows[0][j] op rows[1][j]... for n columns that are `stride` bytes apart.
// `ahead`: bytes from a row to the one whose turn is next, where that is worth fetching, else 0.
static void add_rows(const reduce_job *job, column_accumulators *acc, const char *const *rows, int64_t count,
                     int64_t stride, int64_t n, int64_t ahead) {
    const int plain = plain_type(job, stride);
    if (plain >= 0) {
        (plain == REDUCE_TYPES ? job->kernels->columns_bf16 : job->kernels->columns)(
            acc, (const void *const *)rows, count, n, ahead);
        return;
    }
    _Alignas(64) double buffers[COLUMN_GROUP][COLUMN_BLOCK];
    int64_t acc_size = job->type == REDUCE_F32 ? 4 : 8;
    const int64_t width = ahead != 0 ? COLUMN_FETCH : COLUMN_BLOCK;
    for (int64_t j = 0; j < n; j += width) {
        int64_t m = mk_min64(width, n - j);
        const void *blocks[COLUMN_GROUP];
        for (int64_t k = 0; k < count; k++) {
            const char *at = rows[k] + j * stride;
            // Each row is a short run, past whose end the processor does not fetch by itself.
            if (ahead != 0) mk_fetch_all(at + ahead, m * stride);
            blocks[k] = read_block(job, (char *)buffers + k * COLUMN_BLOCK * acc_size, at, stride, m);
        }
        job->kernels->columns((char *)acc + j * acc_size, blocks, count, m, 0);
    }
}

// One tile of one row of `kept`, over one segment of the reduced elements.
static void columns_unit(const reduce_job *job, int64_t unit) {
    int64_t segment = unit % job->segments, tile = unit / job->segments % job->tiles,
            row = unit / job->segments / job->tiles;
    int64_t width = job->kept.shape[0], column = tile * COLUMN_TILE, pack = job->pack;
    int64_t n = mk_min64(COLUMN_TILE, width - column), packed = n * pack;
    int64_t stride = job->kept.strides[0][0], step = job->reduced.strides[0][0];
    mk_cursor cursor;
    mk_cursor_seek(&job->kept, &cursor, row);
    int64_t offset = cursor.at[0] - (char *)job->in->data + column * stride;
    const bool gapless = pack * step == packed * stride;
    const int64_t ahead = job->fetches ? mk_eight_ahead(pack * step, gapless) : 0;

    _Alignas(64) column_accumulators acc;
    _Alignas(64) reduce_total totals[COLUMN_TILE];
    fill(totals, job->identity, packed);
    if (job->type == REDUCE_F32) {
        for (int64_t j = 0; j < packed; j++) acc.f[j] = job->identity_f32;
    } else {
        fill((reduce_total *)&acc, job->identity, packed);
    }

    mk_runs runs;
    mk_runs_begin(&runs, &job->reduced, segment * job->segment,
                  mk_min64((segment + 1) * job->segment, job->reduced.count));
    const char *rows[COLUMN_GROUP];
    int64_t filled = 0, unfolded = 0;
    while (mk_runs_next(&runs)) {
        const char *at = runs.at[0] + offset;
        int64_t whole = runs.length / pack * pack;
        for (int64_t r = 0; r < whole; r += pack) {
            rows[filled++] = at + r * step;
            if (filled < COLUMN_GROUP) continue;
            // After rows without gaps come those of the next unit.
            const bool more = gapless || r + pack * COLUMN_GROUP < whole;
            add_rows(job, &acc, rows, filled, stride, packed, more ? ahead : 0);
            unfolded += filled;
            filled = 0;
            if (unfolded < COLUMN_FOLD) continue;
            job->kernels->fold(totals, &acc, packed);
            unfolded = 0;
        }
        for (int64_t r = whole; r < runs.length; r++) {
            const char *rest = at + r * step;
            add_rows(job, &acc, &rest, 1, stride, n, 0);
        }
    }
    add_rows(job, &acc, rows, filled, stride, packed, 0);
    job->kernels->fold(totals, &acc, packed);
    for (int64_t p = 1; p < pack; p++) job->kernels->merge(totals, totals + p * n, n);

    if (job->segments > 1) {
        memcpy(job->partials + segment * job->kept.count + row * width + column, totals, (size_t)n * sizeof *totals);
    } else {
        int64_t out_stride = job->kept.strides[0][1];
        finish(job, cursor.at[1] + column * out_stride, out_stride, totals, n);
    }
}

static void columns_range(void *context, int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; unit++) columns_unit(context, unit);
}

// MARK: merging

static void merge_range(void *context, int64_t begin, int64_t end) {
    const reduce_job *job = context;
    _Alignas(64) reduce_total totals[MK_BLOCK];
    mk_runs runs;
    mk_runs_begin(&runs, &job->kept, begin, end);
    int64_t position = begin, out_stride = job->kept.strides[0][1];
    while (mk_runs_next(&runs)) {
        for (int64_t i = 0; i < runs.length; i += MK_BLOCK) {
            int64_t n = mk_min64(MK_BLOCK, runs.length - i);
            fill(totals, job->identity, n);
            for (int64_t s = 0; s < job->segments; s++)
                job->kernels->merge(totals, job->partials + s * job->kept.count + position + i, n);
            finish(job, runs.at[1] + i * out_stride, out_stride, totals, n);
        }
        position += runs.length;
    }
}

// MARK: the public function

static void set_op(reduce_job *job) {
    mk_reduce_op op = job->op;
    // Flags are 0 and 1, so ANY is their maximum.
    job->nonzero = op == MK_REDUCE_COUNT_NONZERO || op == MK_REDUCE_ANY || op == MK_REDUCE_ALL;
    job->type = job->nonzero ? REDUCE_I64 : mk_reduce_type(job->in->dtype);
    // A product of a block overflows float long before the product of everything has to.
    if (op == MK_REDUCE_PROD && job->type == REDUCE_F32) job->type = REDUCE_F64;
    mk_reduce_op inner = op == MK_REDUCE_COUNT_NONZERO ? MK_REDUCE_SUM
                         : op == MK_REDUCE_ANY         ? MK_REDUCE_MAX
                         : op == MK_REDUCE_ALL         ? MK_REDUCE_MIN
                                                       : op;
    job->kernels = mk_reduce_kernels(job->type, inner);
    job->identity = mk_reduce_identity(job->type, inner);
    if (op == MK_REDUCE_ANY) job->identity.i = 0;
    if (op == MK_REDUCE_ALL) job->identity.i = 1;
    job->identity_f32 = (float)job->identity.d;
    job->round = job->type != REDUCE_I64 && job->scale != 1.0 &&
                 (op == MK_REDUCE_SUM || op == MK_REDUCE_SUM_SQUARES || op == MK_REDUCE_SUM_ABS);
}

void mk_reduce(mk_reduce_op op, const mk_tensor *out, const mk_tensor *in, double scale) {
    reduce_job job = {.op = op, .out = out, .in = in, .scale = scale};
    set_op(&job);

    mk_tensor kept_in, reduced_in;
    mk_split_reduced(in, out, &kept_in, &reduced_in);
    const mk_tensor *kept[] = {&kept_in, out}, *reduced[] = {&reduced_in};
    mk_walk_init(&job.kept, 2, kept, true);
    mk_walk_init(&job.reduced, 1, reduced, true);
    int64_t results = job.kept.count, length = job.reduced.count;
    if (results == 0) return;

    bool columns = mk_in_columns(&job.kept, &job.reduced);
    int64_t width = job.kept.shape[0];
    job.segments = 1;
    job.segment = length;
    if (columns) {
        job.tiles = mk_div_up(width, COLUMN_TILE);
        int64_t stride = job.kept.strides[0][0], step = job.reduced.strides[0][0];
        bool gapless = stride == mk_size_of(in->dtype) && step == width * stride;
        job.pack = gapless && width < NARROW ? mk_min64(COLUMN_BLOCK / width, job.reduced.shape[0]) : 1;
        job.fetches = stride == mk_size_of(in->dtype) && mk_is_large(in);
        // No more segments than make for enough units of work: their results are written and read once more.
        const int64_t most = mk_div_up(COLUMN_UNITS, mk_walk_rows(&job.kept) * job.tiles);
        int64_t rows = mk_max64(COLUMN_SEGMENT / mk_min64(width, COLUMN_TILE), mk_div_up(length, most));
        job.segment = mk_div_up(rows, COLUMN_FOLD) * COLUMN_FOLD;
        job.segments = mk_div_up(length, job.segment);
    } else if (length > 2 * ROW_SEGMENT) {
        job.segment = mk_max64(ROW_SEGMENT, mk_div_up(length, ROW_SEGMENTS));
        job.segments = mk_div_up(length, job.segment);
    }
    int64_t bytes = job.segments > 1 ? job.segments * results * (int64_t)sizeof(reduce_total) : 0;
    if (bytes) job.partials = mk_scratch(bytes);
    if (columns) {
        int64_t units = mk_walk_rows(&job.kept) * job.tiles * job.segments;
        int64_t work = mk_min64(width, COLUMN_TILE) * mk_min64(length, job.segment);
        mk_parallel_range(units, mk_grain_of(work), columns_range, &job);
    } else if (job.segments > 1) {
        mk_parallel_shares(results * job.segments, rows_segment, &job);
    } else {
        mk_parallel_range(results, mk_grain_of(length), rows_range, &job);
    }
    if (bytes) {
        mk_parallel_range(results, mk_grain_of(job.segments), merge_range, &job);
        mk_scratch_free(job.partials, bytes);
    }
}
