// Positions of the elements that are not zero, and comparison within a tolerance.
#include "include/mk_index.h"
#include "include/mk_reduce.h"
#include "mk_rows.h"

// MARK: nonzero

#define CHUNK 65536 // elements whose count is kept

typedef struct nonzero_job {
    mk_walk walk; // row-major
    const mk_tensor *in;
    const mk_tensor *out;
    int64_t *counts; // of each chunk, then the first row of each chunk's positions
} nonzero_job;

static int64_t count_run(const nonzero_job *job, const char *at, int64_t n) {
    int64_t flags[MK_BLOCK], stride = job->walk.strides[0][0], count = 0;
    int32_t dtype = job->in->dtype;
    for (int64_t i = 0; i < n; i += MK_BLOCK) {
        int64_t m = mk_min64(MK_BLOCK, n - i);
        if (stride == mk_size_of(dtype)) {
            count += mk_block_count_nonzero(at + i * stride, dtype, m);
            continue;
        }
        mk_block_nonzero(flags, at + i * stride, dtype, stride, m);
        for (int64_t j = 0; j < m; j++) count += flags[j];
    }
    return count;
}

static void count_chunk(void *context, int64_t chunk) {
    const nonzero_job *job = context;
    mk_runs runs;
    mk_runs_begin(&runs, &job->walk, chunk * CHUNK, mk_min64((chunk + 1) * CHUNK, job->walk.count));
    int64_t count = 0;
    while (mk_runs_next(&runs)) count += count_run(job, runs.at[0], runs.length);
    job->counts[chunk] = count;
}

// Coordinates of the element at a row-major position, kept from one element to the next: a division for every dimension
// is needed only where the innermost coordinate wraps.
typedef struct coordinates {
    const mk_tensor *of;
    int64_t position;
    int64_t at[MK_MAX_DIMS];
} coordinates;

static void move_to(coordinates *c, int64_t position) {
    const mk_tensor *t = c->of;
    int32_t last = t->rank - 1;
    int64_t inner = c->at[last] + (position - c->position);
    c->position = position;
    if (inner < t->shape[last]) {
        c->at[last] = inner;
        return;
    }
    for (int32_t d = last; d >= 0; d--) {
        c->at[d] = position % t->shape[d];
        position /= t->shape[d];
    }
}

static void write_chunk(void *context, int64_t chunk) {
    const nonzero_job *job = context;
    const mk_tensor *in = job->in, *out = job->out;
    int64_t row = job->counts[chunk], stride = job->walk.strides[0][0], flags[MK_BLOCK], position = chunk * CHUNK;
    coordinates c = {.of = in};
    mk_runs runs;
    mk_runs_begin(&runs, &job->walk, position, mk_min64(position + CHUNK, job->walk.count));
    while (mk_runs_next(&runs)) {
        for (int64_t i = 0; i < runs.length; i += MK_BLOCK) {
            int64_t n = mk_min64(MK_BLOCK, runs.length - i);
            mk_block_nonzero(flags, runs.at[0] + i * stride, in->dtype, stride, n);
            // Without a branch on the element, which could not be predicted.
            int64_t found[MK_BLOCK], count = 0;
            for (int64_t j = 0; j < n; j++) {
                found[count] = position + j;
                count += flags[j];
            }
            for (int64_t j = 0; j < count && in->rank > 0; j++) {
                move_to(&c, found[j]);
                int64_t *to = (int64_t *)out->data + (row + j) * out->strides[0];
                for (int32_t d = 0; d < in->rank; d++) to[d * out->strides[1]] = c.at[d];
            }
            row += count;
            position += n;
        }
    }
}

int64_t mk_count_nonzero(const mk_tensor *in) {
    int64_t count = 0;
    mk_tensor out = {.data = &count, .dtype = MK_I64, .rank = in->rank};
    for (int32_t d = 0; d < in->rank; d++) {
        out.shape[d] = 1;
        out.strides[d] = 1;
    }
    mk_reduce(MK_REDUCE_COUNT_NONZERO, &out, in, 1.0);
    return count;
}

void mk_nonzero(const mk_tensor *out, const mk_tensor *in) {
    nonzero_job job = {.in = in, .out = out};
    const mk_tensor *operands[] = {in};
    mk_walk_init(&job.walk, 1, operands, false);
    int64_t chunks = mk_div_up(job.walk.count, CHUNK);
    if (chunks == 0) return;
    int64_t bytes = chunks * (int64_t)sizeof(int64_t);
    job.counts = mk_scratch(bytes);
    mk_parallel(chunks, count_chunk, &job);
    int64_t before = 0;
    for (int64_t c = 0; c < chunks; c++) {
        int64_t count = job.counts[c];
        job.counts[c] = before;
        before += count;
    }
    mk_parallel(chunks, write_chunk, &job);
    mk_scratch_free(job.counts, bytes);
}

// MARK: comparison

typedef struct close_job {
    mk_walk walk;
    int32_t dtype;
    double rtol, atol;
    bool equal_nan;
    bool differ;
} close_job;

static bool floats_close(const close_job *job, const double *a, const double *b, int64_t n) {
    int differ = 0, nan_matters = !job->equal_nan;
    for (int64_t i = 0; i < n; i++) {
        double x = a[i], y = b[i];
        // Equality first: the difference of infinities is NaN.
        int close = (x == y) | ((fabs(x - y) <= job->atol + job->rtol * fabs(y)) & (fabs(x - y) != INFINITY));
        int both_nan = (x != x) & (y != y);
        differ |= both_nan ? nan_matters : !close;
    }
    return !differ;
}

static bool integers_close(const close_job *job, const int64_t *a, const int64_t *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (a[i] == b[i]) continue;
        uint64_t difference = a[i] > b[i] ? (uint64_t)a[i] - (uint64_t)b[i] : (uint64_t)b[i] - (uint64_t)a[i];
        if (!((double)difference <= job->atol + job->rtol * fabs((double)b[i]))) return false;
    }
    return true;
}

static void close_range(void *context, int64_t begin, int64_t end) {
    close_job *job = context;
    if (__atomic_load_n(&job->differ, __ATOMIC_RELAXED)) return;
    int64_t a_stride = job->walk.strides[0][0], b_stride = job->walk.strides[0][1];
    mk_runs runs;
    mk_runs_begin(&runs, &job->walk, begin, end);
    while (mk_runs_next(&runs)) {
        for (int64_t i = 0; i < runs.length; i += MK_BLOCK) {
            int64_t n = mk_min64(MK_BLOCK, runs.length - i);
            const char *a = runs.at[0] + i * a_stride, *b = runs.at[1] + i * b_stride;
            bool close;
            if (mk_is_float(job->dtype)) {
                _Alignas(64) double x[MK_BLOCK], y[MK_BLOCK];
                close = floats_close(job, mk_block_f64(x, a, job->dtype, a_stride, n),
                                     mk_block_f64(y, b, job->dtype, b_stride, n), n);
            } else {
                _Alignas(64) int64_t x[MK_BLOCK], y[MK_BLOCK];
                close = integers_close(job, mk_block_i64(x, a, job->dtype, a_stride, n),
                                       mk_block_i64(y, b, job->dtype, b_stride, n), n);
            }
            if (close) continue;
            __atomic_store_n(&job->differ, true, __ATOMIC_RELAXED);
            return;
        }
    }
}

bool mk_all_close(const mk_tensor *a, const mk_tensor *b, double rtol, double atol, bool equal_nan) {
    close_job job = {.dtype = a->dtype, .rtol = rtol, .atol = atol, .equal_nan = equal_nan};
    const mk_tensor *operands[] = {a, b};
    mk_walk_init(&job.walk, 2, operands, true);
    mk_parallel_range(job.walk.count, MK_GRAIN, close_range, &job);
    return !job.differ;
}
