// Our own matrix product: everything but batches of float matrices, float16, and bfloat16 on processors with a matrix unit
// for it. Bfloat16 operands are multiplied as they are where the processor does that faster than float, and are
// widened while they are packed elsewhere.
//
// A product is cut into output tiles that fit the second-level cache. A tile packs its operands into strips for the
// register kernel of micro_kernels.h and sums over k in fixed blocks, so how tiles are cut and which thread gets them
// changes no bit of the result.
#include "include/mk_matmul.h"
#include "mk_rows.h"

enum { THIN_ROWS = 8, INT4_GROUP = 32 };
// From so many rows on, weights of 4 bits are unpacked once for all of them.
enum { INT4_UNPACKS = 48 };

// One batch element's geometry; strides in elements.
typedef struct {
    int64_t m, n, k;
    int64_t a_row, a_column, b_row, b_column, out_row, out_column;
    int32_t a_dtype, b_dtype, out_dtype;
    double alpha, beta;
    const void *scale; // of each column, in the accumulation type; NULL for none
    const void *group_scale; // for weights of 4 bits: k / INT4_GROUP of each column, of a's dtype
    int64_t tile_m, tile_n, tile_k;
    bool direct;   // register tiles are written straight to out
    bool pairs;    // bfloat16 operands as they are, two numbers along k at a time (pair_kernels.h)
    int64_t steps; // along k: pairs or numbers; tile_k of a panel counts these
    bool past;     // rows of b are packed past the caches
} product;

typedef void (*product_fn)(const product *g, const char *a, const char *b, char *out, int64_t m, int64_t n,
                           void *scratch);
typedef struct {
    product_fn tile, thin, int4;
    void (*pack_panel)(const product *g, const char *b, int64_t first, int64_t last, int64_t k0, int64_t k1,
                       void *panel, void *temporary);
    void (*rows_of_panel)(const product *g, const char *a, const void *panel, char *out, int64_t m, int64_t n,
                          void *scratch);
    int32_t rows, columns; // the register tile
    int32_t bytes;         // of one element of the accumulation type
} product_kernels;

#define MK_WANT_AVX512BF16
#define MK_REAL_KERNELS "matmul_kernels.h"
#define MK_KERNELS "mk_each_real.h"
#include "mk_each_isa.h"
static const product_kernels *const f32_kernels[MK_ISA_COUNT] = MK_ISA_TABLES_BF16(product_kernels_f32);
static const product_kernels *const f64_kernels[MK_ISA_COUNT] = MK_ISA_TABLES(product_kernels_f64);

typedef struct {
    product g;
    product_fn fn;
    const char *a, *b;
    char *out;
    int64_t a_batch, b_batch, out_batch; // bytes
    int64_t tiles_m, tiles_n, tiles, per_chunk;
    int64_t scratch_bytes;
} product_job;

// Where the factors of column j begin.
static const void *group_scale_of(const product *g, int64_t j) {
    return (const char *)g->group_scale + j * (g->k / INT4_GROUP) * mk_size_of(g->a_dtype);
}

static void run_tiles(void *context, int64_t chunk) {
    const product_job *job = context;
    const product *g = &job->g;
    // Small products are over before memory is found.
    char local[8192] __attribute__((aligned(64)));
    void *scratch = job->scratch_bytes <= (int64_t)sizeof local ? local : mk_scratch(job->scratch_bytes);
    const int64_t a_bytes = mk_size_of(g->a_dtype), b_bytes = mk_size_of(g->b_dtype);
    const int64_t out_bytes = mk_size_of(g->out_dtype);
    const int64_t end = mk_min64(job->tiles, (chunk + 1) * job->per_chunk);
    for (int64_t tile = chunk * job->per_chunk; tile < end; tile++) {
        // Neighbouring tiles share their part of b.
        int64_t i = tile % job->tiles_m * g->tile_m, rest = tile / job->tiles_m;
        int64_t j = rest % job->tiles_n * g->tile_n, batch = rest / job->tiles_n;
        product local = *g;
        if (g->scale) local.scale = (const float *)g->scale + j;
        if (g->group_scale) local.group_scale = group_scale_of(g, j);
        job->fn(&local, job->a + batch * job->a_batch + i * g->a_row * a_bytes,
                job->b + batch * job->b_batch + j * g->b_column * b_bytes,
                job->out + batch * job->out_batch + (i * g->out_row + j * g->out_column) * out_bytes,
                mk_min64(g->tile_m, g->m - i), mk_min64(g->tile_n, g->n - j), scratch);
    }
    if (scratch != local) mk_scratch_free(scratch, job->scratch_bytes);
}

// MARK: large products

// Columns of b are packed once for all threads, as many as fit PANEL_BYTES; then each thread takes blocks of rows.
// A panel of more than PAST_BYTES is not in a cache any more when it is read.
enum { PANEL_BYTES = 16 << 20, PAST_BYTES = 4 << 20, STRIPS_OF_CHUNK = 8, CHUNK_BYTES = 128 << 10, DEEPEST = 8192 };
// Rows of a large block of rows, and strips of the smallest one.
enum { ROWS_OF_BLOCK = 224, SMALL_BLOCK = 3 };

typedef struct {
    product g;
    const product_kernels *kernels;
    const char *a, *b;
    char *out;
    void *panel;
    int64_t strips, rows_of_chunk;  // of b in the panel; rows of b that are packed together
    int64_t threads;
    int64_t row_blocks, row_strips; // blocks of rows, strips of `rows` rows in all
    int64_t column_blocks;
    int64_t scratch_bytes, temporary_bytes;
} panel_job;

// Rows of b are packed in chunks of rows, columns in chunks of strips.
static void pack_rows_of_panel(void *context, int64_t chunk) {
    const panel_job *job = context;
    const int64_t first = chunk * job->rows_of_chunk;
    job->kernels->pack_panel(&job->g, job->b, 0, job->strips, first, mk_min64(job->g.k, first + job->rows_of_chunk),
                             job->panel, NULL);
}
static void pack_strips(void *context, int64_t chunk) {
    const panel_job *job = context;
    void *temporary = job->temporary_bytes ? mk_scratch(job->temporary_bytes) : NULL;
    const int64_t first = chunk * STRIPS_OF_CHUNK;
    job->kernels->pack_panel(&job->g, job->b, first, mk_min64(job->strips, first + STRIPS_OF_CHUNK), 0, job->g.k,
                             job->panel, temporary);
    if (temporary) mk_scratch_free(temporary, job->temporary_bytes);
}

// Strips of the block of rows that begins at `strip`: large ones first, then smaller and smaller ones, so that no thread
// waits long for the last one of another.
static int64_t strips_of_block(const panel_job *job, int64_t strip) {
    const int64_t rest = job->row_strips - strip, large = mk_max64(1, ROWS_OF_BLOCK / job->kernels->rows);
    const int64_t least = mk_max64(1, mk_min64(SMALL_BLOCK, job->row_strips / (4 * job->threads)));
    return mk_min64(rest, mk_max64(least, mk_min64(large, mk_div_up(rest, 2 * job->threads))));
}

static void run_rows(void *context, int64_t chunk) {
    const panel_job *job = context;
    const product_kernels *kernels = job->kernels;
    product g = job->g;
    const int64_t block = chunk / job->column_blocks, part = chunk % job->column_blocks;
    int64_t strip = 0;
    for (int64_t b = 0; b < block; b++) strip += strips_of_block(job, strip);
    const int64_t i = strip * kernels->rows;
    const int64_t i_end = mk_min64(g.m, i + strips_of_block(job, strip) * kernels->rows);
    const int64_t j = job->strips * part / job->column_blocks * kernels->columns;
    const int64_t j_end = mk_min64(g.n, job->strips * (part + 1) / job->column_blocks * kernels->columns);
    if (g.scale) g.scale = (const float *)g.scale + j;
    void *scratch = mk_scratch(job->scratch_bytes);
    kernels->rows_of_panel(&g, job->a + i * g.a_row * mk_size_of(g.a_dtype),
                           (const char *)job->panel + j * g.steps * kernels->bytes,
                           job->out + (i * g.out_row + j * g.out_column) * mk_size_of(g.out_dtype), i_end - i,
                           j_end - j, scratch);
    mk_scratch_free(scratch, job->scratch_bytes);
}

static void panel_product(const product *g, const product_kernels *kernels, const char *a, const char *b, char *out) {
    const int64_t rows = kernels->rows, columns = kernels->columns, bytes = kernels->bytes;
    const int64_t threads = mk_thread_count();
    panel_job job = {.g = *g, .kernels = kernels, .a = a, .threads = threads};
    const int64_t steps = job.g.steps = g->pairs ? mk_div_up(g->k, 2) : g->k;
    job.g.tile_k = mk_div_up(steps, mk_div_up(steps, 512));
    const bool keeps = !g->direct && steps > job.g.tile_k;
    int64_t width = PANEL_BYTES / (steps * bytes) / columns * columns;
    width = mk_min64(mk_max64(width, 4 * columns), keeps ? 2048 : INT64_MAX / 2);
    width = mk_min64(mk_div_up(mk_div_up(g->n, mk_div_up(g->n, width)), columns) * columns, width);
    job.row_strips = mk_div_up(g->m, rows);
    for (int64_t strip = 0; strip < job.row_strips; strip += strips_of_block(&job, strip)) job.row_blocks++;
    job.column_blocks = mk_div_up(threads, job.row_blocks);
    const int32_t as_it_lies = g->pairs ? MK_BF16 : bytes == 8 ? MK_F64 : MK_F32;
    const bool widens = g->b_row == 1 && g->b_dtype != as_it_lies;
    job.temporary_bytes = widens ? columns * g->k * bytes : 0;
    const int64_t panel_bytes = (mk_min64(mk_div_up(g->n, columns) * columns, width) * steps + 16) * bytes;
    job.panel = mk_scratch(panel_bytes);
    job.g.past = panel_bytes > PAST_BYTES;
    for (int64_t j = 0; j < g->n; j += width) {
        job.g.n = mk_min64(width, g->n - j);
        job.strips = mk_div_up(job.g.n, columns);
        job.b = b + j * g->b_column * mk_size_of(g->b_dtype);
        job.out = out + j * g->out_column * mk_size_of(g->out_dtype);
        if (g->scale) job.g.scale = (const float *)g->scale + j;
        if (g->group_scale) job.g.group_scale = group_scale_of(g, j);
        const int64_t m = strips_of_block(&job, 0) * rows, n = job.strips * columns;
        job.scratch_bytes =
            (m * job.g.tile_k + 16 + (keeps ? m * n : rows * columns) + columns + rows * job.g.tile_k) * bytes;
        if (g->b_column == 1 && !g->scale && !g->group_scale) {
            const int64_t rows_of_chunk = CHUNK_BYTES / (job.g.n * mk_size_of(g->b_dtype));
            job.rows_of_chunk = mk_max64(rows_of_chunk / 2 * 2, 2);
            mk_parallel(mk_div_up(g->k, job.rows_of_chunk), pack_rows_of_panel, &job);
        } else {
            mk_parallel(mk_div_up(job.strips, STRIPS_OF_CHUNK), pack_strips, &job);
        }
        if (job.g.past) mk_finish_stores();
        mk_parallel(job.row_blocks * job.column_blocks, run_rows, &job);
    }
    mk_scratch_free(job.panel, panel_bytes);
}

// Above this products pay for packing all of an operand first.
static bool is_large(int64_t m, int64_t n, int64_t k) { return m * n * k > 1 << 20; }

bool mk_matmul_takes_pairs(int64_t m, int64_t n, int64_t k, int64_t a_row, int64_t a_column, int64_t b_row,
                           int64_t b_column) {
    // An operand along k is read pair by pair, one across it row by row.
    return mk_has_fast_pairs() && m > THIN_ROWS && n > THIN_ROWS && k <= 8 * DEEPEST && is_large(m, n, k) &&
           ((a_column == 1 && a_row % 2 == 0 && k % 2 == 0) || a_row == 1) &&
           ((b_row == 1 && b_column % 2 == 0 && k % 2 == 0) || b_column == 1);
}

static void swap64(int64_t *a, int64_t *b) {
    int64_t t = *a;
    *a = *b;
    *b = t;
}

// Plans a product in tiles, and returns how many chunks there are for run_tiles; a large one is computed at once, and
// nothing is left to do. A thin product is cut into pieces of at most `widest` columns. All of rank 3. `scale` multiplies
// columns; where it is given, b is read as it lies and out is written by rows.
static int64_t plan_product(product_job *plan, const mk_tensor *out, const mk_tensor *a, const mk_tensor *b,
                            const float *scale, double alpha, double beta, int64_t widest) {
    product_job job = {
        .g = {.m = out->shape[1],
              .n = out->shape[2],
              .k = a->shape[2],
              .a_row = a->strides[1],
              .a_column = a->strides[2],
              .b_row = b->strides[1],
              .b_column = b->strides[2],
              .out_row = out->strides[1],
              .out_column = out->strides[2],
              .a_dtype = a->dtype,
              .b_dtype = b->dtype,
              .out_dtype = out->dtype,
              .alpha = alpha,
              .beta = beta,
              .scale = scale},
        .a = a->data,
        .b = b->data,
        .out = out->data,
    };
    product *g = &job.g;
    int64_t batch = out->shape[0], a_batch = a->strides[0], b_batch = b->strides[0], out_batch = out->strides[0];
    // A stride along a dimension of size 1 says nothing: make it what lets the fast paths see contiguous rows.
    if (g->k == 1) {
        if (g->m > 1 || g->a_row != 1) g->a_column = 1;
        g->b_row = g->b_column == 1 ? g->n : 1;
    }
    if (g->n == 1) g->b_column = g->b_row == 1 ? g->k : 1;
    if (g->m == 1 && g->a_column != 1) g->a_row = 1;
    // One tall product when b is shared.
    if (batch > 1 && b_batch == 0) {
        if (g->m == 1) {
            g->m = batch;
            g->a_row = a_batch;
            g->out_row = out_batch;
            batch = 1;
        } else if (a_batch == g->m * g->a_row && out_batch == g->m * g->out_row) {
            g->m *= batch;
            batch = 1;
        }
    }
    // out^T = b^T a^T turns few columns into few rows, and an output stored by columns into one stored by rows.
    if (!scale &&
        ((g->n <= THIN_ROWS && g->m > g->n) || (g->out_column != 1 && g->out_row == 1 && g->m > THIN_ROWS))) {
        const char *t = job.a;
        job.a = job.b;
        job.b = t;
        swap64(&g->m, &g->n);
        swap64(&a_batch, &b_batch);
        swap64(&g->a_row, &g->b_column);
        swap64(&g->a_column, &g->b_row);
        swap64(&g->out_row, &g->out_column);
    }
    job.a_batch = a_batch * mk_size_of(g->a_dtype);
    job.b_batch = b_batch * mk_size_of(g->b_dtype);
    job.out_batch = out_batch * mk_size_of(g->out_dtype);

    const product_kernels *kernels = MK_TABLE(g->a_dtype == MK_F64 ? f64_kernels : f32_kernels);
    const int64_t threads = mk_thread_count();
    int64_t elements;
    if (g->m <= THIN_ROWS && (g->b_column == 1 || g->b_row == 1)) {
        job.fn = kernels->thin;
        g->pairs = mk_has_fast_pairs() && !scale && g->a_dtype == MK_BF16 && g->b_dtype == MK_BF16 &&
                   g->a_column == 1 && g->b_row == 1;
        g->tile_m = g->m;
        // Long runs of b's rows for the prefetcher, but a share for every thread.
        g->tile_n = mk_min64(g->n, g->b_column == 1 ? 2048 : widest);
        while (g->tile_n > 256 && mk_div_up(g->n, g->tile_n) * batch < threads) g->tile_n /= 2;
        // Whole registers: whether a column is computed in one must not depend on where tiles are cut.
        g->tile_n = mk_min64(g->n, mk_div_up(g->tile_n, 16) * 16);
        elements = g->m * (g->k + 32) + g->m * g->tile_n + g->tile_n;
    } else {
        job.fn = kernels->tile;
        const int64_t rows = kernels->rows, columns = kernels->columns;
        g->direct = g->k > 0 && !scale && alpha == 1 && (beta == 0 || beta == 1) && g->out_column == 1 &&
                    g->out_dtype == (kernels->bytes == 8 ? MK_F64 : MK_F32);
        // Integers of 8 bits are exact in bfloat16.
        g->pairs = batch == 1 && g->a_dtype == MK_BF16 && g->b_dtype == (scale ? MK_I8 : MK_BF16) &&
                   mk_matmul_takes_pairs(g->m, g->n, g->k, g->a_row, g->a_column, g->b_row, g->b_column);
        if (batch == 1 && is_large(g->m, g->n, g->k) && (g->direct || g->pairs || g->k <= DEEPEST)) {
            // What is written straight to out is added there, too: a long k in several products.
            const int64_t deep = g->pairs ? g->k : mk_div_up(g->k, mk_div_up(g->k, DEEPEST));
            for (int64_t p = 0; p < g->k; p += deep) {
                product part = *g;
                part.k = mk_min64(deep, g->k - p);
                if (p > 0) part.beta = 1;
                panel_product(&part, kernels, job.a + p * g->a_column * mk_size_of(g->a_dtype),
                              job.b + p * g->b_row * mk_size_of(g->b_dtype), job.out);
            }
            return 0;
        }
        g->tile_k = mk_min64(g->k, 256);
        int64_t limit = 512 * 4 / kernels->bytes;
        g->tile_m = g->m, g->tile_n = g->n;
        while (g->tile_m > limit) g->tile_m = mk_div_up(g->m, mk_div_up(g->m, g->tile_m) + 1);
        while (g->tile_n > limit) g->tile_n = mk_div_up(g->n, mk_div_up(g->n, g->tile_n) + 1);
        // Enough tiles for every thread while they pay for the packing.
        while (mk_div_up(g->m, g->tile_m) * mk_div_up(g->n, g->tile_n) * batch < 3 * threads &&
               g->tile_m * g->tile_n >= 128 * 128 && g->tile_m * g->tile_n * g->k > (1 << 20)) {
            if (g->tile_m >= g->tile_n)
                g->tile_m = mk_div_up(g->tile_m, 2);
            else
                g->tile_n = mk_div_up(g->tile_n, 2);
        }
        g->tile_m = mk_min64(g->m, mk_div_up(g->tile_m, rows) * rows);
        g->tile_n = mk_min64(g->n, mk_div_up(g->tile_n, columns) * columns);
        const int64_t m = mk_div_up(g->tile_m, rows) * rows, n = mk_div_up(g->tile_n, columns) * columns;
        elements =
            (m + n) * g->tile_k + 32 + (g->direct ? rows * columns : m * n) + n + mk_max64(rows, columns) * g->tile_k;
    }
    job.scratch_bytes = elements * kernels->bytes;
    job.tiles_m = mk_div_up(g->m, g->tile_m);
    job.tiles_n = mk_div_up(g->n, g->tile_n);
    job.tiles = job.tiles_m * job.tiles_n * batch;
    // Small tiles are cheap: several to a chunk.
    const int64_t work = g->tile_m * g->tile_n * g->k;
    job.per_chunk = work >= MK_GRAIN * 8 ? 1 : MK_GRAIN * 8 / mk_max64(work, 1);
    *plan = job;
    return mk_div_up(job.tiles, job.per_chunk);
}

// Products of so few numbers that planning would take longer. The number of rows plays no part up to where it does
// anyway.
enum { TINY = 64 };
static bool is_tiny(const mk_tensor *out, const mk_tensor *a, const mk_tensor *b) {
    return out->shape[0] == 1 && out->shape[1] <= THIN_ROWS && out->shape[2] * a->shape[2] <= TINY &&
           out->dtype == MK_F32 && a->dtype == MK_F32 && b->dtype == MK_F32;
}

static void tiny_product(const mk_tensor *out, const mk_tensor *a, const mk_tensor *b) {
    const int64_t m = out->shape[1], n = out->shape[2], k = a->shape[2];
    for (int64_t i = 0; i < m; i++) {
        float *to = (float *)out->data + i * out->strides[1];
        const float *left = (const float *)a->data + i * a->strides[1];
        for (int64_t j = 0; j < n; j++) {
            const float *right = (const float *)b->data + j * b->strides[2];
            float sum = 0;
            for (int64_t p = 0; p < k; p++) sum += left[p * a->strides[2]] * right[p * b->strides[1]];
            to[j * out->strides[2]] = sum;
        }
    }
}

static void float_product(const mk_tensor *out, const mk_tensor *a, const mk_tensor *b, const float *scale,
                          double alpha, double beta) {
    if (!scale && alpha == 1 && beta == 0 && is_tiny(out, a, b)) {
        tiny_product(out, a, b);
        return;
    }
    product_job job;
    int64_t chunks = plan_product(&job, out, a, b, scale, alpha, beta, 256);
    mk_parallel(chunks, run_tiles, &job);
}

// The same for weights of 4 bits: b is [1, K / 2, N] of bytes, scale [N, K / INT4_GROUP].
static int64_t plan_int4(product_job *plan, const mk_tensor *out, const mk_tensor *a, const mk_tensor *b,
                         const mk_tensor *scale) {
    product_job job = {
        .g = {.m = out->shape[1],
              .n = out->shape[2],
              .k = a->shape[2],
              .a_row = a->strides[1],
              .a_column = 1,
              .b_row = 1,
              .b_column = b->strides[2],
              .out_row = out->strides[1],
              .out_column = out->strides[2],
              .a_dtype = a->dtype,
              .b_dtype = b->dtype,
              .out_dtype = out->dtype,
              .alpha = 1,
              .group_scale = scale->data,
              .pairs = mk_has_fast_pairs() && a->dtype == MK_BF16},
        .fn = MK_TABLE(f32_kernels)->int4,
        .a = a->data,
        .b = b->data,
        .out = out->data,
    };
    product *g = &job.g;
    if (g->m >= INT4_UNPACKS && g->k <= DEEPEST && is_large(g->m, g->n, g->k)) {
        g->direct = g->out_column == 1 && g->out_dtype == MK_F32;
        g->pairs = g->pairs && g->a_row % 2 == 0;
        panel_product(g, MK_TABLE(f32_kernels), job.a, job.b, job.out);
        return 0;
    }
    // Few columns, so that a tile's weights stay in the first cache while its rows go by.
    g->tile_m = mk_min64(g->m, 64);
    g->tile_n = mk_min64(g->n, 64);
    job.tiles_m = mk_div_up(g->m, g->tile_m);
    job.tiles_n = mk_div_up(g->n, g->tile_n);
    job.tiles = job.tiles_m * job.tiles_n;
    job.per_chunk = mk_max64(1, MK_GRAIN * 8 / mk_max64(1, g->tile_m * g->tile_n * g->k));
    job.scratch_bytes =
        (g->tile_m * (g->tile_n + g->k) + g->tile_n + g->k / INT4_GROUP + 16) * (int64_t)sizeof(float);
    *plan = job;
    return mk_div_up(job.tiles, job.per_chunk);
}

// MARK: several products

typedef struct {
    product_job jobs[MK_MATMUL_TOGETHER];
    int64_t chunks[MK_MATMUL_TOGETHER]; // of each
    int32_t count;
} product_group;

static void run_group(void *context, int64_t chunk) {
    const product_group *group = context;
    int32_t i = 0;
    while (chunk >= group->chunks[i]) chunk -= group->chunks[i++];
    run_tiles((void *)&group->jobs[i], chunk);
}

// Scales as floats; `made` is what has to be freed.
static const float *float_scales(const mk_tensor *scale, float **made) {
    *made = NULL;
    if (scale->dtype == MK_F32) return scale->data;
    const int64_t n = scale->shape[0];
    *made = mk_scratch(n * (int64_t)sizeof(float));
    mk_floats_from(*made, scale->data, scale->dtype, n);
    return *made;
}

void mk_matmul_together(int32_t count, const mk_tensor *outs, const mk_tensor *as, const mk_tensor *bs,
                        const mk_tensor *scales) {
    product_group group = {.count = count};
    float *made[MK_MATMUL_TOGETHER] = {NULL};
    int64_t chunks = 0;
    for (int32_t i = 0; i < count; i++) {
        if (outs[i].shape[0] * outs[i].shape[1] * outs[i].shape[2] == 0) continue;
        if (scales[i].rank == 2) {
            group.chunks[i] = plan_int4(&group.jobs[i], &outs[i], &as[i], &bs[i], &scales[i]);
            chunks += group.chunks[i];
            continue;
        }
        const float *scale = scales[i].data ? float_scales(&scales[i], &made[i]) : NULL;
        if (!scale && is_tiny(&outs[i], &as[i], &bs[i])) {
            tiny_product(&outs[i], &as[i], &bs[i]);
            continue;
        }
        // Narrower pieces than alone: the last ones of a group are what its threads wait for.
        group.chunks[i] = plan_product(&group.jobs[i], &outs[i], &as[i], &bs[i], scale, 1, 0, 128);
        chunks += group.chunks[i];
    }
    mk_parallel(chunks, run_group, &group);
    for (int32_t i = 0; i < count; i++)
        if (made[i]) mk_scratch_free(made[i], scales[i].shape[0] * (int64_t)sizeof(float));
}

// MARK: integers

typedef struct {
    const mk_tensor *out, *a, *b;
    int64_t alpha, beta;
} integer_job;

static int64_t load_integer(const void *p, int32_t dtype) {
    switch (dtype) {
        case MK_I64: return *(const int64_t *)p;
        case MK_I32: return *(const int32_t *)p;
        case MK_I16: return *(const int16_t *)p;
        case MK_I8: return *(const int8_t *)p;
        default: return *(const uint8_t *)p;
    }
}

static void store_integer(void *p, int32_t dtype, int64_t x) {
    switch (dtype) {
        case MK_I64: *(int64_t *)p = x; break;
        case MK_I32: *(int32_t *)p = (int32_t)x; break;
        case MK_I16: *(int16_t *)p = (int16_t)x; break;
        case MK_I8: *(int8_t *)p = (int8_t)x; break;
        case MK_U8: *(uint8_t *)p = (uint8_t)x; break;
        default: *(uint8_t *)p = x != 0; break;
    }
}

// Rows of the output, all batches counted together. Unsigned arithmetic, because overflow wraps.
static void integer_rows(void *context, int64_t begin, int64_t end) {
    const integer_job *job = context;
    const mk_tensor *out = job->out, *a = job->a, *b = job->b;
    const int64_t m = out->shape[1], n = out->shape[2], k = a->shape[2];
    const int64_t out_bytes = mk_size_of(out->dtype), bytes = mk_size_of(a->dtype);
    enum { STRIP = 256 };
    uint64_t sums[STRIP];
    for (int64_t r = begin; r < end; r++) {
        const int64_t batch = r / m, i = r % m;
        const char *left = (const char *)a->data + (batch * a->strides[0] + i * a->strides[1]) * bytes;
        for (int64_t j0 = 0; j0 < n; j0 += STRIP) {
            const int64_t columns = mk_min64(STRIP, n - j0);
            memset(sums, 0, sizeof sums);
            for (int64_t p = 0; p < k; p++) {
                const uint64_t x = (uint64_t)load_integer(left + p * a->strides[2] * bytes, a->dtype);
                const char *right =
                    (const char *)b->data + (batch * b->strides[0] + p * b->strides[1] + j0 * b->strides[2]) * bytes;
                if (x == 0) continue;
                for (int64_t j = 0; j < columns; j++)
                    sums[j] += x * (uint64_t)load_integer(right + j * b->strides[2] * bytes, b->dtype);
            }
            char *to =
                (char *)out->data + (batch * out->strides[0] + i * out->strides[1] + j0 * out->strides[2]) * out_bytes;
            for (int64_t j = 0; j < columns; j++) {
                char *at = to + j * out->strides[2] * out_bytes;
                uint64_t value = (uint64_t)job->alpha * sums[j];
                if (job->beta != 0) value += (uint64_t)job->beta * (uint64_t)load_integer(at, out->dtype);
                store_integer(at, out->dtype, (int64_t)value);
            }
        }
    }
}

void mk_matmul(const mk_tensor *out, const mk_tensor *a, const mk_tensor *b, double alpha, double beta) {
    const int64_t rows = out->shape[0] * out->shape[1];
    if (rows * out->shape[2] == 0) return;
    if (mk_is_float(a->dtype)) {
        float_product(out, a, b, NULL, alpha, beta);
        return;
    }
    integer_job job = {out, a, b, (int64_t)alpha, (int64_t)beta};
    mk_parallel_range(rows, mk_grain_of(out->shape[2] * a->shape[2]), integer_rows, &job);
}

// A matrix as a batch of one.
static mk_tensor as_batch(const mk_tensor *t, bool transposed) {
    mk_tensor r = *t;
    const int row = transposed ? 1 : 0;
    r.rank = 3;
    r.shape[0] = 1, r.shape[1] = t->shape[row], r.shape[2] = t->shape[1 - row];
    r.strides[0] = 0, r.strides[1] = t->strides[row], r.strides[2] = t->strides[1 - row];
    return r;
}

void mk_matmul_int8(const mk_tensor *out, const mk_tensor *a, const mk_tensor *w, const mk_tensor *scale) {
    const int64_t m = out->shape[0], n = out->shape[1];
    if (m * n == 0) return;
    float *widened;
    const float *scales = float_scales(scale, &widened);
    const mk_tensor o = as_batch(out, false), x = as_batch(a, false), y = as_batch(w, true);
    float_product(&o, &x, &y, scales, 1, 0);
    if (widened) mk_scratch_free(widened, n * (int64_t)sizeof(float));
}

void mk_matmul_int4(const mk_tensor *out, const mk_tensor *a, const mk_tensor *w, const mk_tensor *scale) {
    if (out->shape[0] * out->shape[1] == 0) return;
    const mk_tensor o = as_batch(out, false), x = as_batch(a, false), y = as_batch(w, true);
    product_job job;
    int64_t chunks = plan_int4(&job, &o, &x, &y, scale);
    mk_parallel(chunks, run_tiles, &job);
}
