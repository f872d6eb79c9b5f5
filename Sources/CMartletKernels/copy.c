// Copies with conversion, fills and ranges.
#include "mk_elementwise_private.h"
#include "mk_rows.h"

void mk_scalar_store(void *out, int32_t dtype, mk_scalar value) {
    if (dtype == MK_F32) *(float *)out = (float)value.d;
    else if (mk_is_float(dtype)) mk_convert(out, dtype, &value.d, MK_F64, 1);
    else mk_convert(out, dtype, &value.i, MK_I64, 1);
}

// MARK: one dtype

typedef struct {
    mk_walk walk;
    int64_t size, height, out_1, in_1; // dimension 1 and its strides, if there is one
    int64_t rows, columns, tiles_along, tiles_down;
    bool transposes; // rows of the input are columns of the output
    bool stream;     // past the caches
} copy_plan;

// Rows and columns of one tile of a transposition.
#define SQUARE 64
// The same of outputs past the caches, in bytes: what is read in long runs can be written in short ones, not the other
// way round.
#define LARGE_ROWS 2048
#define LARGE_COLUMNS 128

static void copy_bytes(void *context, int64_t begin, int64_t end) {
    const copy_plan *p = context;
    mk_store(p->walk.data[0] + begin * p->size, p->walk.data[1] + begin * p->size, (end - begin) * p->size, p->stream);
}

// Where a tile begins in both operands, and how many rows and columns it has.
typedef struct {
    char *out;
    const char *in;
    int64_t rows, columns;
} copy_tile;

static copy_tile tile_at(const copy_plan *p, int64_t tile) {
    const mk_walk *w = &p->walk;
    int64_t rest = tile / (p->tiles_along * p->tiles_down), at = tile % (p->tiles_along * p->tiles_down);
    const int64_t column = at % p->tiles_along * p->columns, row = at / p->tiles_along * p->rows;
    copy_tile t = {.out = w->data[0] + column * w->strides[0][0] + row * p->out_1,
                   .in = w->data[1] + column * w->strides[0][1] + row * p->in_1,
                   .rows = mk_min64(p->rows, p->height - row),
                   .columns = mk_min64(p->columns, w->shape[0] - column)};
    for (int32_t d = 2; d < w->rank; d++) {
        const int64_t i = rest % w->shape[d];
        rest /= w->shape[d];
        t.out += i * w->strides[d][0];
        t.in += i * w->strides[d][1];
    }
    return t;
}

static void copy_tiles(void *context, int64_t begin, int64_t end) {
    const copy_plan *p = context;
    const mk_walk *w = &p->walk;
    copy_tile t = tile_at(p, begin), next = t;
    for (int64_t tile = begin; tile < end; tile++, t = next) {
        if (tile + 1 < end) next = tile_at(p, tile + 1);
        if (p->transposes) {
            const bool fetches = p->stream && tile + 1 < end && next.rows == t.rows && next.columns == t.columns;
            mk_transpose(t.out, p->out_1, t.in, w->strides[0][1], p->size, t.rows, t.columns, p->stream,
                         fetches ? next.in : NULL);
        } else if (p->stream && t.columns * p->size >= 128 && w->strides[0][0] == p->size &&
                   w->strides[0][1] == p->size && p->in_1 != 0) {
            // Short rows lie too far apart for the processor to fetch the next ones by itself.
            const int64_t bytes = t.columns * p->size, distance = 4096 / bytes * p->in_1;
            for (int64_t r = 0; r < t.rows; r++) {
                if (distance > 0) mk_fetch_all(t.in + r * p->in_1 + distance, bytes);
                mk_stream(t.out + r * p->out_1, t.in + r * p->in_1, bytes);
            }
        } else {
            mk_copy_2d(t.out, w->strides[0][0], p->out_1, t.in, w->strides[0][1], p->in_1, p->size, t.rows, t.columns);
        }
    }
}

static void copy_same(const mk_tensor *out, const mk_tensor *in) {
    copy_plan p;
    p.size = mk_size_of(out->dtype);
    if (mk_is_contiguous(out) && mk_is_contiguous(in)) {
        int64_t count = mk_count(out);
        if (count <= MK_GRAIN) {
            if (count > 0) memcpy(out->data, in->data, (size_t)(count * p.size));
            return;
        }
    }
    const mk_tensor *tensors[] = {out, in};
    mk_walk_init(&p.walk, 2, tensors, true);
    const mk_walk *w = &p.walk;
    if (w->count == 0) return;
    p.stream = mk_streams(out, 1, &in);
    if (w->rank == 1 && w->strides[0][0] == p.size && w->strides[0][1] == p.size) {
        mk_parallel_range(w->count, mk_stream_grain(1, p.stream), copy_bytes, &p);
        return;
    }
    const int64_t width = w->shape[0], height = w->rank > 1 ? w->shape[1] : 1;
    p.height = height;
    p.out_1 = w->rank > 1 ? w->strides[1][0] : 0;
    p.in_1 = w->rank > 1 ? w->strides[1][1] : 0;
    if (w->strides[0][0] == p.size && (w->strides[0][1] == p.size || w->strides[0][1] == 0)) {
        p.columns = width < MK_GRAIN ? width : MK_GRAIN;
        p.rows = MK_GRAIN / p.columns;
    } else {
        // Both sides of a transposition stay in the caches and use whole cache lines.
        const int64_t rows = p.stream ? LARGE_ROWS / p.size : SQUARE;
        const int64_t columns = p.stream ? LARGE_COLUMNS / p.size : SQUARE;
        const int64_t tile = rows * columns;
        p.columns = mk_min64(width, columns);
        p.rows = mk_min64(height, rows);
        if (p.rows < rows) p.columns = mk_min64(width, tile / p.rows);
        else if (p.columns < columns) p.rows = mk_min64(height, tile / p.columns);
    }
    p.transposes = w->rank > 1 && w->strides[0][0] == p.size && w->strides[1][1] == p.size && p.columns > 1 &&
                   w->strides[0][1] != 0 && w->strides[0][1] != p.size;
    if (p.rows > height) p.rows = height;
    p.tiles_along = (width + p.columns - 1) / p.columns;
    p.tiles_down = (height + p.rows - 1) / p.rows;
    int64_t tiles = p.tiles_along * p.tiles_down;
    for (int32_t d = 2; d < w->rank; d++) tiles *= w->shape[d];
    // What a chunk begins with has not been fetched.
    const int64_t grain = mk_stream_grain(p.rows * p.columns, p.stream);
    mk_parallel_range(tiles, p.stream ? mk_max64(grain, tiles / (16 * mk_thread_count())) : grain, copy_tiles, &p);
}

// MARK: between dtypes

typedef struct {
    int32_t to, from;
} conversion;

static void convert_kernel(void *out, const void *const *in, int64_t n, const void *parameters) {
    const conversion *c = parameters;
    mk_convert(out, c->to, in[0], c->from, n);
}

void mk_copy(const mk_tensor *out, const mk_tensor *in) {
    if (out->dtype == in->dtype) {
        copy_same(out, in);
        return;
    }
    conversion c = {out->dtype, in->dtype};
    const mk_tensor *tensors[] = {out, in};
    int32_t compute[] = {out->dtype, in->dtype};
    const mk_kernel kernel = {convert_kernel, mk_convert_past(out->dtype, in->dtype)};
    mk_elementwise(kernel, &c, 2, tensors, compute, MK_GRAIN);
}

// MARK: constants

typedef struct {
    char *data;
    int64_t size;
    uint64_t value;
    bool uniform; // all bytes of the value are equal
} fill_job;

static void fill_range(void *context, int64_t begin, int64_t end) {
    const fill_job *job = context;
    if (job->uniform) {
        memset(job->data + begin * job->size, *(const uint8_t *)&job->value, (size_t)((end - begin) * job->size));
        return;
    }
    mk_copy_2d(job->data + begin * job->size, job->size, 0, (const char *)&job->value, 0, 0, job->size, 1, end - begin);
}

void mk_fill(const mk_tensor *out, mk_scalar value) {
    fill_job job = {.data = out->data, .size = mk_size_of(out->dtype)};
    mk_scalar_store(&job.value, out->dtype, value);
    const uint8_t *bytes = (const uint8_t *)&job.value;
    job.uniform = true;
    for (int64_t i = 1; i < job.size; i++) job.uniform &= bytes[i] == bytes[0];
    if (mk_is_contiguous(out)) {
        mk_parallel_range(mk_count(out), MK_GRAIN, fill_range, &job);
        return;
    }
    mk_tensor constant = {.data = &job.value, .dtype = out->dtype, .rank = out->rank};
    for (int32_t d = 0; d < out->rank; d++) constant.shape[d] = out->shape[d];
    copy_same(out, &constant);
}

typedef struct {
    mk_walk walk;
    int32_t dtype;
    mk_scalar start, step;
} arange_job;

// Row-major, so element number is row * length of the row + column.
static void arange_range(void *context, int64_t begin, int64_t end) {
    const arange_job *job = context;
    const mk_walk *w = &job->walk;
    _Alignas(64) union {
        double d[MK_TILE];
        int64_t i[MK_TILE];
    } values;
    _Alignas(64) char converted[MK_TILE * 8];
    int64_t size = mk_size_of(job->dtype), width = w->shape[0], stride = w->strides[0][0];
    bool floating = mk_is_float(job->dtype);
    mk_cursor cursor;
    mk_cursor_seek(w, &cursor, begin / width);
    int64_t column = begin % width;
    while (begin < end) {
        int64_t n = width - column;
        if (n > end - begin) n = end - begin;
        if (n > MK_TILE) n = MK_TILE;
        char *at = cursor.at[0] + column * stride;
        if (floating) {
            for (int64_t i = 0; i < n; i++) values.d[i] = job->start.d + (double)(begin + i) * job->step.d;
        } else {
            // Wraps, as the other integer operations do.
            uint64_t first = (uint64_t)job->start.i + (uint64_t)begin * (uint64_t)job->step.i;
            for (int64_t i = 0; i < n; i++) values.i[i] = (int64_t)(first + (uint64_t)i * (uint64_t)job->step.i);
        }
        mk_convert(stride == size ? at : converted, job->dtype, &values, floating ? MK_F64 : MK_I64, n);
        if (stride != size) mk_copy_2d(at, stride, 0, converted, size, 0, size, 1, n);
        begin += n;
        column += n;
        if (column == width) {
            column = 0;
            mk_cursor_next(w, &cursor);
        }
    }
}

void mk_arange(const mk_tensor *out, mk_scalar start, mk_scalar step) {
    arange_job job = {.dtype = out->dtype, .start = start, .step = step};
    mk_walk_init(&job.walk, 1, &out, false);
    mk_parallel_range(job.walk.count, MK_GRAIN, arange_range, &job);
}
