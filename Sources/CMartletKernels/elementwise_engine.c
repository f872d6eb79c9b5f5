// Runs a kernel for contiguous runs over operands of any strides and storage types.
//
// The common index space is cut into tiles that fit buffers of MK_TILE elements of eight bytes (larger ones where large
// operands are transposed). An operand that is contiguous within the tile and stored in the type of the computation is
// passed as it is; any other one is gathered and converted into a buffer in L1 first (the output last, and also one that
// goes past the caches). So there is one loop per operation and type, and every other layout costs one more pass over L1.
#include "mk_elementwise_private.h"
#include "mk_rows.h"
#include "mk_stream.h"

#define OPERANDS 4
// Rows of fewer elements than this are not worth a call of the kernel each.
#define NARROW 32
// Elements of a tile that takes no transposition: the buffers of all operands stay in L1.
#define RUN 1024
// Bytes of an output past the caches that are computed at once. Memory is read meanwhile only as far as the processor
// looks ahead of the stores, so that pieces of 1 KiB take up to twice as long as these where there is little to compute;
// where there is much, a call for each of these costs more.
#define PIECE 256
#define PIECE_HALF 512
#define PIECE_EXPENSIVE 1024
// Bytes of all operands from where on a large output goes past the caches: of less they hold a part until it is read.
#define STREAMED_OPERANDS (INT64_C(64) << 20)
// Elements of a row that take no buffer.
#define LONG_RUN 16384
// Rows of a tile that are fetched before their turn.
#define ROWS_AHEAD 8
// Rows of a tile of large operands of which one is transposed, and bytes of each of them. What that one has of the next
// tile, long runs of its own rows, is fetched while this one is turned; the others are read in runs of these bytes.
#define TURNED_ROWS 128
#define TURNED_BYTES 512
// Bytes that operands are fetched before their turn where one of them is a long row that repeats: it leaves and enters the
// first-level cache all the time, and the processor alone fetches the others too late then. Elsewhere it does better.
#define RUN_AHEAD 4096
#define ROW_AHEAD 512
// Elements of an operation that is over sooner than a plan for it would be made.
#define SMALL 512

typedef struct {
    mk_walk walk; // operand 0 is the output
    mk_kernel kernel;
    const void *parameters;
    int64_t rows, columns;           // of a tile
    int64_t buffer;                  // bytes of an operand's
    int64_t tiles_along, tiles_down; // along dimension 0, along dimension 1
    bool down_first;                 // the order of tiles
    int32_t storage[MK_WALK_MAX], compute[MK_WALK_MAX];
    int64_t size[MK_WALK_MAX]; // of a stored element
    bool direct[MK_WALK_MAX];  // contiguous along dimension 0 and no conversion
    bool constant[MK_WALK_MAX]; // one element everywhere
    bool repeats[MK_WALK_MAX];  // the same row along dimension 1
    bool still[MK_WALK_MAX];    // the same element along dimension 0, of which a run past the caches needs one piece
    bool stream;                // the output goes past the caches,
    int64_t piece;              // in pieces of so many elements
    bool fetches;               // rows of operands before their turn
    bool fetches_run;           // operands of a run that goes past the caches
} plan;

typedef struct {
    char *values[OPERANDS]; // in the type of the computation
    char *raw;              // gathered, not yet converted
} tile_buffers;

// `next`, unless NULL: where as much begins of a transposed operand that comes next.
static void load_tile(const plan *p, tile_buffers *buffers, int32_t k, const char *at, int64_t rows, int64_t columns,
                      const char *next) {
    const mk_walk *w = &p->walk;
    int64_t size = p->size[k], s0 = w->strides[0][k], s1 = w->rank > 1 ? w->strides[1][k] : 0;
    if (p->storage[k] == p->compute[k]) {
        if (next) mk_transpose(buffers->values[k], columns * size, at, s0, size, rows, columns, false, next);
        else mk_copy_2d(buffers->values[k], size, columns * size, at, s0, s1, size, rows, columns);
        return;
    }
    bool contiguous = s0 == size && (rows == 1 || s1 == columns * size);
    if (!contiguous) {
        mk_copy_2d(buffers->raw, size, columns * size, at, s0, s1, size, rows, columns);
        at = buffers->raw;
    }
    mk_convert(buffers->values[k], p->compute[k], at, p->storage[k], rows * columns);
}

static void store_tile(const plan *p, tile_buffers *buffers, char *at, int64_t rows, int64_t columns) {
    const mk_walk *w = &p->walk;
    int64_t size = p->size[0], s0 = w->strides[0][0], s1 = w->rank > 1 ? w->strides[1][0] : 0;
    const char *values = buffers->values[0];
    bool contiguous = s0 == size && (rows == 1 || s1 == columns * size);
    if (p->storage[0] != p->compute[0]) {
        bool in_place = contiguous && !p->stream;
        mk_convert(in_place ? at : buffers->raw, p->storage[0], values, p->compute[0], rows * columns);
        if (in_place) return;
        values = buffers->raw;
    }
    if (!p->stream) mk_copy_2d(at, s0, s1, values, size, columns * size, size, rows, columns);
    else if (contiguous) mk_stream(at, values, rows * columns * size);
    else for (int64_t r = 0; r < rows; r++) mk_stream(at + r * s1, values + r * columns * size, columns * size);
}

// What is left of a run.
typedef struct {
    char *out;
    const void *in[MK_WALK_MAX];
    int64_t size[MK_WALK_MAX]; // bytes from element to element of each operand, the output first
    int64_t n;
} run_rest;

static void go_on(const plan *p, run_rest *r, int64_t n) {
    r->out += n * r->size[0];
    for (int32_t k = 1; k < p->walk.operands; k++) r->in[k - 1] = (const char *)r->in[k - 1] + n * r->size[k];
    r->n -= n;
}

static void fetch_ahead(const plan *p, const run_rest *r, int64_t n) {
    for (int32_t k = 1; k < p->walk.operands && p->fetches_run; k++)
        mk_fetch_all((const char *)r->in[k - 1] + (p->repeats[k] ? ROW_AHEAD : RUN_AHEAD), n * r->size[k]);
}

// Computes elements in the caches, n at most.
static void run_near(const plan *p, run_rest *r, int64_t n) {
    if (n > r->n) n = r->n;
    if (n > 0) p->kernel.run(r->out, r->in, n, p->parameters);
    go_on(p, r, n);
}

// Computes n elements and writes them past the caches. Operands are contiguous and in the type of the computation.
static void stream_run(const plan *p, char *out, const void *const *in, int64_t n) {
    run_rest r = {.out = out, .size = {mk_size_of(p->compute[0])}, .n = n};
    bool by_pieces = p->fetches_run;
    for (int32_t k = 1; k < p->walk.operands; k++) {
        r.in[k - 1] = in[k - 1];
        r.size[k] = p->still[k] ? 0 : mk_size_of(p->compute[k]);
        by_pieces |= p->still[k];
    }
    const int64_t misaligned = (int64_t)((uintptr_t)out % 64) / r.size[0];
    if (p->kernel.past && (uintptr_t)out % (uintptr_t)r.size[0] == 0) {
        if (misaligned > 0) run_near(p, &r, 64 / r.size[0] - misaligned);
        const int64_t block = MK_PAST_BYTES / r.size[0];
        while (r.n >= block) {
            int64_t m = r.n / block * block;
            if (m > p->piece && by_pieces) m = p->piece;
            fetch_ahead(p, &r, m);
            p->kernel.past(r.out, r.in, m, p->parameters);
            go_on(p, &r, m);
        }
        run_near(p, &r, r.n);
        return;
    }
    _Alignas(64) char piece[PIECE_EXPENSIVE];
    const mk_stream_lines lines = mk_stream_lines_now();
    // The first piece ends where a cache line does, so that the others are whole lines.
    for (int64_t m = p->piece - misaligned; r.n > 0; m = p->piece) {
        if (m > r.n) m = r.n;
        fetch_ahead(p, &r, m);
        p->kernel.run(piece, r.in, m, p->parameters);
        const int64_t bytes = m * r.size[0];
        if (((uintptr_t)r.out | (uintptr_t)bytes) % 64 == 0) lines(r.out, piece, bytes, NULL);
        else mk_stream(r.out, piece, bytes);
        go_on(p, &r, m);
    }
}

static void run_tiles(void *context, int64_t begin, int64_t end) {
    const plan *p = context;
    const mk_walk *w = &p->walk;
    int32_t operands = w->operands;
    int64_t full = p->rows * p->columns;
    _Alignas(64) char local[(OPERANDS + 1) * MK_TILE * 8];
    const int64_t bytes = (OPERANDS + 1) * p->buffer;
    char *const storage = bytes > (int64_t)sizeof local ? mk_scratch(bytes) : local;
    tile_buffers buffers = {.raw = storage + OPERANDS * p->buffer};
    for (int32_t k = 0; k < OPERANDS; k++) buffers.values[k] = storage + k * p->buffer;
    for (int32_t k = 1; k < operands; k++) {
        const int64_t needed = mk_min64(p->still[k] ? p->piece : full, w->count);
        if (p->constant[k]) load_tile(p, &buffers, k, w->data[k], 1, needed, NULL);
    }
    // Position of the tile: along dimension 0, along dimension 1, and a cursor over the others.
    int64_t rest = begin / (p->tiles_along * p->tiles_down), at_tile = begin % (p->tiles_along * p->tiles_down);
    int64_t along = p->down_first ? at_tile / p->tiles_down : at_tile % p->tiles_along;
    int64_t down = p->down_first ? at_tile % p->tiles_down : at_tile / p->tiles_along;
    int64_t index[MK_MAX_DIMS];
    char *outer[MK_WALK_MAX];
    for (int32_t k = 0; k < operands; k++) outer[k] = w->data[k];
    for (int32_t d = 2; d < w->rank; d++) {
        index[d] = rest % w->shape[d];
        rest /= w->shape[d];
        for (int32_t k = 0; k < operands; k++) outer[k] += index[d] * w->strides[d][k];
    }
    int64_t height = w->rank > 1 ? w->shape[1] : 1;
    // What the buffers hold: an operand broadcast along dimension 1 is often the same for the next tile.
    const char *loaded[MK_WALK_MAX] = {NULL};
    int64_t loaded_rows[MK_WALK_MAX], loaded_columns = 0;
    for (int64_t tile = begin; tile < end; tile++) {
        int64_t column = along * p->columns, row = down * p->rows;
        int64_t columns = w->shape[0] - column < p->columns ? w->shape[0] - column : p->columns;
        int64_t rows = height - row < p->rows ? height - row : p->rows;
        const void *in[MK_WALK_MAX];
        char *at[MK_WALK_MAX];
        for (int32_t k = 0; k < operands; k++) {
            at[k] = outer[k] + column * w->strides[0][k] + (row == 0 ? 0 : row * w->strides[1][k]);
        }
        if (columns != loaded_columns) {
            for (int32_t k = 1; k < operands; k++) loaded[k] = NULL;
            loaded_columns = columns;
        }
        // Wide rows of a direct operand are passed one by one; narrow ones are gathered so that the kernel runs once.
        bool row_by_row = false, stored = false;
        int64_t step[MK_WALK_MAX]; // from row to row of what the kernel gets
        for (int32_t k = 0; k < operands; k++) {
            bool dense = p->direct[k] && (rows == 1 || w->strides[1][k] == columns * p->size[k]);
            if ((dense || (p->direct[k] && columns >= NARROW)) && !(k == 0 && p->stream)) {
                step[k] = rows == 1 ? 0 : w->strides[1][k];
                row_by_row |= !dense;
                if (k > 0) in[k - 1] = at[k];
                else stored = true;
                continue;
            }
            step[k] = columns * mk_size_of(p->compute[k]);
            if (k == 0) continue;
            in[k - 1] = buffers.values[k];
            if (p->constant[k] || (p->repeats[k] && at[k] == loaded[k] && rows <= loaded_rows[k])) continue;
            const bool goes_on = p->fetches && p->down_first && tile + 1 < end && row + 2 * rows <= height;
            const bool turned = goes_on && w->strides[1][k] == p->size[k] && w->strides[0][k] != 0;
            load_tile(p, &buffers, k, at[k], rows, p->still[k] ? mk_min64(columns, p->piece) : columns,
                      turned ? at[k] + rows * p->size[k] : NULL);
            loaded[k] = at[k];
            loaded_rows[k] = rows;
        }
        char *out = stored ? at[0] : buffers.values[0];
        // Short rows lie too far apart for the processor to fetch the next ones by itself.
        const bool fetches = p->fetches && rows > ROWS_AHEAD && columns <= 512;
        const bool streams = p->stream && p->storage[0] == p->compute[0] && (rows == 1 || columns * p->size[0] >= 512);
        if (streams || row_by_row) {
            for (int64_t r = 0; r < rows; r++) {
                const void *row_in[MK_WALK_MAX];
                for (int32_t k = 1; k < operands; k++) {
                    row_in[k - 1] = (const char *)in[k - 1] + r * step[k];
                    if (fetches && p->direct[k] && step[k] != 0)
                        mk_fetch_all((const char *)row_in[k - 1] + ROWS_AHEAD * step[k], columns * p->size[k]);
                }
                if (streams) stream_run(p, at[0] + (rows == 1 ? 0 : r * w->strides[1][0]), row_in, columns);
                else p->kernel.run(out + r * step[0], row_in, columns, p->parameters);
            }
            stored |= streams;
        } else {
            p->kernel.run(out, in, rows * columns, p->parameters);
        }
        if (!stored) store_tile(p, &buffers, at[0], rows, columns);
        int64_t *inner = p->down_first ? &down : &along, *outside = p->down_first ? &along : &down;
        if (++*inner < (p->down_first ? p->tiles_down : p->tiles_along)) continue;
        *inner = 0;
        if (++*outside < (p->down_first ? p->tiles_along : p->tiles_down)) continue;
        *outside = 0;
        for (int32_t d = 2; d < w->rank; d++) {
            for (int32_t k = 0; k < operands; k++) outer[k] += w->strides[d][k];
            if (++index[d] < w->shape[d]) break;
            index[d] = 0;
            for (int32_t k = 0; k < operands; k++) outer[k] -= w->shape[d] * w->strides[d][k];
        }
    }
    if (storage != local) mk_scratch_free(storage, bytes);
}

// All operands contiguous and in the type of the computation.
static void run_contiguous(void *context, int64_t begin, int64_t end) {
    const plan *p = context;
    const void *in[MK_WALK_MAX];
    char *out = p->walk.data[0] + begin * p->size[0];
    for (int32_t k = 1; k < p->walk.operands; k++) in[k - 1] = p->walk.data[k] + begin * p->size[k];
    if (p->stream) stream_run(p, out, in, end - begin);
    else p->kernel.run(out, in, end - begin, p->parameters);
}

static void choose_tile(plan *p) {
    const mk_walk *w = &p->walk;
    int64_t width = w->shape[0], height = w->rank > 1 ? w->shape[1] : 1;
    bool transposed = false, staged = false, direct = true, long_runs = p->stream && p->storage[0] == p->compute[0];
    for (int32_t k = 0; k < w->operands; k++) {
        staged |= p->storage[k] != p->compute[k];
        direct &= p->direct[k];
        long_runs &= p->direct[k] || w->strides[0][k] == 0;
    }
    p->down_first = false;
    p->buffer = MK_TILE * 8;
    const int64_t run = direct || long_runs ? LONG_RUN : RUN;
    for (int32_t k = 0; k < w->operands && w->rank > 1; k++) {
        int64_t s0 = w->strides[0][k], s1 = w->strides[1][k];
        // Neighbours along dimension 1 share cache lines and those along dimension 0 do not.
        transposed |= s0 != 0 && s1 != 0 && (s1 < 0 ? -s1 : s1) * 4 <= (s0 < 0 ? -s0 : s0);
    }
    if (transposed && width > 32) {
        // The processor fetches what follows a run; one tile after the other along it finds that.
        p->down_first = true;
        // Squares as large as the buffers hold, so that both sides of the transposition have long runs.
        int64_t most = INT64_MAX, side = 64;
        if (p->fetches) p->buffer = TURNED_ROWS * TURNED_BYTES;
        for (int32_t k = 0; k < w->operands; k++) {
            int64_t size = mk_size_of(p->compute[k]) > p->size[k] ? mk_size_of(p->compute[k]) : p->size[k];
            if (p->buffer / size < most) most = p->buffer / size;
        }
        while (4 * side * side <= most) side *= 2;
        if (p->fetches) side = TURNED_ROWS;
        p->rows = height < side ? height : side;
        p->columns = width < most / p->rows ? width : most / p->rows;
    } else if (width >= (staged ? RUN / 2 : 128)) {
        p->columns = width < run ? width : run;
        p->rows = 1;
        for (int32_t k = 1; k < w->operands && long_runs; k++) p->still[k] = !p->direct[k];
    } else {
        p->columns = width;
        p->rows = height < RUN / width ? height : RUN / width;
    }
    p->tiles_along = (width + p->columns - 1) / p->columns;
    p->tiles_down = (height + p->rows - 1) / p->rows;
}

// Gathers a whole small tensor in row-major order.
static void gather(char *out, const mk_tensor *t) {
    int64_t size = mk_size_of(t->dtype);
    int32_t rank = t->rank;
    int64_t columns = rank > 0 ? t->shape[rank - 1] : 1, rows = rank > 1 ? t->shape[rank - 2] : 1;
    int64_t s0 = rank > 0 ? t->strides[rank - 1] * size : 0, s1 = rank > 1 ? t->strides[rank - 2] * size : 0;
    int64_t index[MK_MAX_DIMS] = {0};
    const char *at = t->data;
    for (;;) {
        mk_copy_2d(out, size, columns * size, at, s0, s1, size, rows, columns);
        out += rows * columns * size;
        int32_t d = rank - 3;
        for (; d >= 0; d--) {
            at += t->strides[d] * size;
            if (++index[d] < t->shape[d]) break;
            index[d] = 0;
            at -= t->shape[d] * t->strides[d] * size;
        }
        if (d < 0) return;
    }
}

// The short way for small work without conversion whose output is contiguous: no plan, no threads.
static bool run_small(mk_kernel kernel, const void *parameters, int32_t operands, const mk_tensor *const *tensors,
                      const int32_t *compute, int64_t grain) {
    int64_t count = mk_count(tensors[0]);
    if (count > grain) return false;
    const void *in[OPERANDS];
    bool gathered[OPERANDS] = {false}, any = false;
    for (int32_t k = 0; k < operands; k++) {
        const mk_tensor *t = tensors[k];
        if (t->dtype != compute[k]) return false;
        if (k > 0) in[k - 1] = t->data;
        if (mk_is_contiguous(t)) continue;
        if (k == 0 || count > SMALL) return false;
        gathered[k] = any = true;
    }
    if (count == 0) return true;
    if (!any) {
        kernel.run(tensors[0]->data, in, count, parameters);
        return true;
    }
    _Alignas(64) char values[OPERANDS][SMALL * 8];
    for (int32_t k = 1; k < operands; k++) {
        if (!gathered[k]) continue;
        gather(values[k], tensors[k]);
        in[k - 1] = values[k];
    }
    kernel.run(tensors[0]->data, in, count, parameters);
    return true;
}

static int64_t bytes_of(int32_t operands, const mk_tensor *const *tensors) {
    int64_t bytes = 0;
    for (int32_t k = 0; k < operands; k++) bytes += mk_count(tensors[k]) * mk_size_of(tensors[k]->dtype);
    return bytes;
}

void mk_elementwise(mk_kernel kernel, const void *parameters, int32_t operands, const mk_tensor *const *tensors,
                    const int32_t *compute, int64_t grain) {
    if (run_small(kernel, parameters, operands, tensors, compute, grain)) return;
    plan p;
    p.kernel = kernel;
    p.parameters = parameters;
    mk_walk_init(&p.walk, operands, tensors, true);
    if (p.walk.count == 0) return;
    bool all_direct = true;
    for (int32_t k = 0; k < operands; k++) {
        p.storage[k] = tensors[k]->dtype;
        p.compute[k] = compute[k];
        p.still[k] = false;
        p.size[k] = mk_size_of(tensors[k]->dtype);
        p.direct[k] = p.storage[k] == p.compute[k] && p.walk.strides[0][k] == p.size[k];
        p.repeats[k] = p.walk.rank > 1 && p.walk.strides[1][k] == 0;
        p.constant[k] = true;
        for (int32_t d = 0; d < p.walk.rank; d++) p.constant[k] &= p.walk.strides[d][k] == 0;
        all_direct &= p.direct[k];
    }
    // Short rows with gaps between them fill no cache lines.
    const bool gapless = p.walk.rank == 1 || p.walk.strides[1][0] == p.walk.shape[0] * p.size[0];
    p.stream = mk_streams(tensors[0], operands - 1, tensors + 1) && bytes_of(operands, tensors) >= STREAMED_OPERANDS &&
               p.walk.strides[0][0] == p.size[0] && (gapless || p.walk.shape[0] * p.size[0] >= 512);
    p.piece = (grain < MK_GRAIN ? PIECE_EXPENSIVE : p.size[0] < 4 ? PIECE_HALF : PIECE) / mk_size_of(compute[0]);
    p.fetches_run = false;
    for (int32_t k = 1; k < operands; k++)
        p.fetches_run |= p.repeats[k] && p.walk.strides[0][k] != 0 && p.walk.shape[0] * p.size[k] >= RUN_AHEAD;
    if (p.stream) grain *= MK_STREAM_GRAINS;
    if (p.walk.rank == 1 && all_direct) {
        mk_parallel_range(p.walk.count, grain, run_contiguous, &p);
        return;
    }
    p.fetches = mk_is_large(tensors[0]);
    choose_tile(&p);
    int64_t tiles = p.tiles_along * p.tiles_down;
    for (int32_t d = 2; d < p.walk.rank; d++) tiles *= p.walk.shape[d];
    int64_t tiles_per_chunk = grain / (p.rows * p.columns);
    mk_parallel_range(tiles, tiles_per_chunk < 1 ? 1 : tiles_per_chunk, run_tiles, &p);
}
