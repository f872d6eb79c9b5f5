// Inclusive scans along one dimension. Floating dtypes accumulate in double.
#include "reduce.h"

// Sums of floating-point lines that lie side by side in memory, read and written once; NULL for float16.
typedef struct scan_table {
    void (*row[MK_BF16 + 1])(double *carry, const void *in, void *out, int64_t n, bool reverse);
    void (*columns[MK_BF16 + 1])(double *acc, const char *in, int64_t in_step, char *out, int64_t out_step,
                                 int64_t count, int64_t n);
    // columns of SCAN_PIECE lines past the caches, where rows of the result begin with cache lines; NULL for float64.
    void (*stream[MK_BF16 + 1])(double *acc, const char *in, int64_t in_step, char *out, int64_t out_step,
                                int64_t count);
} scan_table;

#define SCAN_PIECE 64 // lines that are computed at once where they go past the caches

#define MK_KERNELS "scan_kernels.h"
#include "mk_each_isa.h"
static const scan_table *const scan_tables[MK_ISA_COUNT] = MK_ISA_TABLES(scan_table_);

#define TILE 512      // lines at a time when working across them
#define GROUP 8       // rows of them that are computed before they are written past the caches
#define SEGMENT 65536 // elements of a long line that one thread scans

typedef struct scan_job {
    mk_walk lines; // in, out
    const mk_tensor *in;
    const mk_tensor *out;
    mk_scan_op op;
    int type; // REDUCE_F64 or REDUCE_I64
    const reduce_kernels *kernels;
    reduce_total identity;
    bool reverse, stream;
    int64_t length, in_step, out_step;
    int64_t tiles;
    int64_t segments;
    reduce_total *carries; // [lines][segments]: what comes before each segment
    const scan_table *sums; // NULL unless the scan is a sum that one of its kernels computes
} scan_job;

// log(exp(a) + exp(b)).
static double log_add_exp(double a, double b) {
    double high = a > b ? a : b, low = a > b ? b : a;
    if (a != a || b != b) return NAN;
    if (low == -INFINITY || high == INFINITY) return high;
    return high + log1p(exp(low - high));
}

static double max_f64(double a, double b) { return b > a || b != b ? b : a; }
static double min_f64(double a, double b) { return b < a || b != b ? b : a; }

#define MK_SCAN(T, EXPRESSION)                                                                                         \
    {                                                                                                                  \
        T *values = (T *)(void *)block;                                                                                \
        T a = *(T *)(void *)carry;                                                                                     \
        for (int64_t i = 0; i < n; i++) {                                                                              \
            T *at = &values[reverse ? n - 1 - i : i];                                                                  \
            T b = *at;                                                                                                 \
            a = (EXPRESSION);                                                                                          \
            *at = a;                                                                                                   \
        }                                                                                                              \
        *(T *)(void *)carry = a;                                                                                       \
        break;                                                                                                         \
    }

static void scan_block(const scan_job *job, reduce_total *block, reduce_total *carry, int64_t n) {
    bool reverse = job->reverse;
    if (job->type == REDUCE_I64) {
        switch (job->op) {
            case MK_SCAN_SUM: MK_SCAN(uint64_t, a + b)
            case MK_SCAN_PROD: MK_SCAN(uint64_t, a * b)
            case MK_SCAN_MAX: MK_SCAN(int64_t, a > b ? a : b)
            default: MK_SCAN(int64_t, a < b ? a : b)
        }
        return;
    }
    switch (job->op) {
        case MK_SCAN_SUM: MK_SCAN(double, a + b)
        case MK_SCAN_PROD: MK_SCAN(double, a * b)
        case MK_SCAN_MAX: MK_SCAN(double, max_f64(a, b))
        case MK_SCAN_MIN: MK_SCAN(double, min_f64(a, b))
        default: MK_SCAN(double, log_add_exp(a, b))
    }
}

static void read_block(const scan_job *job, reduce_total *block, const char *in, int64_t stride, int64_t n) {
    const void *read = mk_reduce_block(job->type, block, in, job->in->dtype, stride, n);
    if (read != block) memcpy(block, read, (size_t)n * sizeof *block);
}

// MARK: along lines

// Running sums of n contiguous elements, by the kernel for them.
static void sum_line(const scan_job *job, const char *in, char *out, int64_t n, double *carry) {
    const int32_t dtype = job->in->dtype;
    if (!job->stream) {
        job->sums->row[dtype](carry, in, out, n, job->reverse);
        return;
    }
    const int64_t size = mk_size_of(dtype);
    _Alignas(64) double piece[MK_BLOCK];
    // Pieces begin where the kernel's groups do, from the start of the line in both directions.
    const int64_t pieces = mk_div_up(n, MK_BLOCK);
    for (int64_t i = 0; i < pieces; i++) {
        const int64_t at = (job->reverse ? pieces - 1 - i : i) * MK_BLOCK, m = mk_min64(MK_BLOCK, n - at);
        job->sums->row[dtype](carry, in + at * size, piece, m, job->reverse);
        mk_stream(out + at * size, piece, m * size);
    }
}

// Scans elements begin..<end of a line; writes nothing when `out` is NULL (the carry is all that is wanted).
static void scan_line(const scan_job *job, const char *in, char *out, int64_t begin, int64_t end, reduce_total *carry) {
    int64_t size = mk_size_of(job->in->dtype);
    if (job->sums && out && job->in_step == size && job->out_step == size) {
        sum_line(job, in + begin * size, out + begin * size, end - begin, &carry->d);
        return;
    }
    _Alignas(64) reduce_total block[MK_BLOCK];
    for (int64_t done = 0; done < end - begin; done += MK_BLOCK) {
        int64_t n = mk_min64(MK_BLOCK, end - begin - done);
        int64_t at = job->reverse ? end - done - n : begin + done;
        read_block(job, block, in + at * job->in_step, job->in_step, n);
        scan_block(job, block, carry, n);
        if (out) mk_reduce_store(job->type, out + at * job->out_step, job->out->dtype, job->out_step, block, n);
    }
}

static void lines_range(void *context, int64_t begin, int64_t end) {
    const scan_job *job = context;
    mk_runs runs;
    mk_runs_begin(&runs, &job->lines, begin, end);
    while (mk_runs_next(&runs)) {
        for (int64_t l = 0; l < runs.length; l++) {
            reduce_total carry = job->identity;
            scan_line(job, runs.at[0] + l * job->lines.strides[0][0], runs.at[1] + l * job->lines.strides[0][1], 0,
                      job->length, &carry);
        }
    }
}

static void scan_segment(const scan_job *job, int64_t chunk, bool write) {
    int64_t line = chunk / job->segments, segment = chunk % job->segments;
    mk_runs runs;
    mk_runs_begin(&runs, &job->lines, line, line + 1);
    mk_runs_next(&runs);
    int64_t begin = segment * SEGMENT;
    reduce_total carry = write ? job->carries[chunk] : job->identity;
    scan_line(job, runs.at[0], write ? runs.at[1] : NULL, begin, mk_min64(begin + SEGMENT, job->length), &carry);
    if (!write) job->carries[chunk] = carry;
}
static void total_of_segment(void *context, int64_t chunk) { scan_segment(context, chunk, false); }
static void write_segment(void *context, int64_t chunk) { scan_segment(context, chunk, true); }

static void scan_long_lines(scan_job *job) {
    int64_t count = job->lines.count * job->segments, bytes = count * (int64_t)sizeof(reduce_total);
    job->carries = mk_scratch(bytes);
    mk_parallel_shares(count, total_of_segment, job);
    for (int64_t line = 0; line < job->lines.count; line++) {
        reduce_total carry = job->identity;
        for (int64_t s = 0; s < job->segments; s++) {
            reduce_total *at = &job->carries[line * job->segments + (job->reverse ? job->segments - 1 - s : s)];
            reduce_total before = carry;
            scan_block(job, at, &carry, 1);
            *at = before;
        }
    }
    mk_parallel_shares(count, write_segment, job);
    mk_scratch_free(job->carries, bytes);
}

// MARK: across lines

// Running sums of n neighbouring lines from `in` on.
static void sum_columns(const scan_job *job, double *acc, const char *in, int64_t in_step, char *out, int64_t out_step,
                        int64_t n) {
    const int32_t dtype = job->in->dtype;
    if (!job->stream) {
        job->sums->columns[dtype](acc, in, in_step, out, out_step, job->length, n);
        return;
    }
    const int64_t size = mk_size_of(dtype);
    _Alignas(64) double piece[GROUP][SCAN_PIECE];
    for (int64_t i = 0; i < job->length; i += GROUP) {
        const int64_t count = mk_min64(GROUP, job->length - i);
        for (int64_t j = 0; j < n; j += SCAN_PIECE) {
            const int64_t m = mk_min64(SCAN_PIECE, n - j);
            // The next group's rows lie too far apart for the processor to fetch them by itself.
            for (int64_t k = 0; k < count && i + GROUP + k < job->length; k++)
                mk_fetch_all(in + (GROUP + k) * in_step + j * size, m * size);
            char *to = out + j * size;
            if (job->sums->stream[dtype] && m == SCAN_PIECE && ((uintptr_t)to | (uintptr_t)out_step) % 64 == 0) {
                job->sums->stream[dtype](acc + j, in + j * size, in_step, to, out_step, count);
                continue;
            }
            job->sums->columns[dtype](acc + j, in + j * size, in_step, (char *)piece, (int64_t)sizeof piece[0], count,
                                      m);
            for (int64_t k = 0; k < count; k++) mk_stream(to + k * out_step, piece[k], m * size);
        }
        in += count * in_step;
        out += count * out_step;
    }
}

static void tile_range(void *context, int64_t begin, int64_t end) {
    const scan_job *job = context;
    int64_t in_stride = job->lines.strides[0][0], out_stride = job->lines.strides[0][1];
    _Alignas(64) reduce_total acc[TILE], row[TILE];
    int64_t size = mk_size_of(job->in->dtype);
    bool direct = job->sums && in_stride == size && out_stride == size;
    for (int64_t unit = begin; unit < end; unit++) {
        mk_cursor cursor;
        mk_cursor_seek(&job->lines, &cursor, unit / job->tiles);
        int64_t first = unit % job->tiles * TILE, n = mk_min64(TILE, job->lines.shape[0] - first);
        const char *in = cursor.at[0] + first * in_stride;
        char *out = cursor.at[1] + first * out_stride;
        for (int64_t j = 0; j < n; j++) acc[j] = job->identity;
        if (direct) {
            int64_t first_row = job->reverse ? job->length - 1 : 0, sign = job->reverse ? -1 : 1;
            sum_columns(job, &acc->d, in + first_row * job->in_step, sign * job->in_step,
                        out + first_row * job->out_step, sign * job->out_step, n);
            continue;
        }
        for (int64_t i = 0; i < job->length; i++) {
            int64_t at = job->reverse ? job->length - 1 - i : i;
            const void *block = mk_reduce_block(job->type, row, in + at * job->in_step, job->in->dtype, in_stride, n);
            if (job->op == MK_SCAN_LOGSUMEXP) {
                for (int64_t j = 0; j < n; j++) acc[j].d = log_add_exp(acc[j].d, ((const double *)block)[j]);
            } else {
                job->kernels->merge(acc, block, n);
            }
            mk_reduce_store(job->type, out + at * job->out_step, job->out->dtype, out_stride, acc, n);
        }
    }
}

void mk_scan(mk_scan_op op, const mk_tensor *out, const mk_tensor *in, int32_t dim, bool reverse) {
    static const mk_reduce_op reductions[] = {
        [MK_SCAN_SUM] = MK_REDUCE_SUM, [MK_SCAN_PROD] = MK_REDUCE_PROD, [MK_SCAN_MAX] = MK_REDUCE_MAX,
        [MK_SCAN_MIN] = MK_REDUCE_MIN, [MK_SCAN_LOGSUMEXP] = MK_REDUCE_MAX,
    };
    scan_job job = {.in = in,
                    .out = out,
                    .op = op,
                    .type = mk_is_float(in->dtype) ? REDUCE_F64 : REDUCE_I64,
                    .reverse = reverse,
                    .stream = mk_streams(out, 1, &in),
                    .length = in->rank > 0 ? in->shape[dim] : 1,
                    .in_step = in->rank > 0 ? mk_byte_stride(in, dim) : 0,
                    .out_step = in->rank > 0 ? mk_byte_stride(out, dim) : 0};
    job.kernels = mk_reduce_kernels(job.type, reductions[op]);
    if (op == MK_SCAN_SUM && out->dtype == in->dtype && mk_is_float(in->dtype) && in->dtype != MK_F16)
        job.sums = MK_TABLE(scan_tables);
    job.identity = mk_reduce_identity(job.type, reductions[op]);
    mk_tensor in_start = in->rank > 0 ? mk_without(in, dim) : *in;
    mk_tensor out_start = in->rank > 0 ? mk_without(out, dim) : *out;
    const mk_tensor *operands[] = {&in_start, &out_start};
    mk_walk_init(&job.lines, 2, operands, true);
    if (job.lines.count == 0 || job.length == 0) return;

    job.tiles = mk_div_up(job.lines.shape[0], TILE);
    job.segments = mk_div_up(job.length, SEGMENT);
    if (mk_across_lines(&job.lines, job.in_step)) {
        int64_t work = mk_min64(job.lines.shape[0], TILE) * job.length;
        mk_parallel_range(mk_walk_rows(&job.lines) * job.tiles, mk_grain_of(work), tile_range, &job);
    } else if (job.segments > 2) {
        scan_long_lines(&job);
    } else {
        mk_parallel_range(job.lines.count, mk_grain_of(job.length), lines_range, &job);
    }
    if (job.stream) mk_finish_stores();
}
