// Private to the kernels: one source for several instruction sets, walking of strided tensors, chunks of work.
//
// A kernel file is a pair. `softmax.c` holds the public function and
//
//     #include "mk_simd.h"
//     typedef struct { void (*rows)(const float *in, float *out, int64_t n); } softmax_table;
//     #define MK_KERNELS "softmax_kernels.h"
//     #include "mk_each_isa.h"
//     static const softmax_table *const softmax_tables[MK_ISA_COUNT] = MK_ISA_TABLES(softmax_table);
//
// `softmax_kernels.h`, which mk_each_isa.h includes once per instruction set, holds
//
//     static void MK_FN(softmax_rows)(const float *in, float *out, int64_t n) { ... }
//     static const softmax_table MK_FN(softmax_table) = {MK_FN(softmax_rows)};
//
// and the public function calls MK_TABLE(softmax_tables)->rows(...).
//
// Inside a kernels header: MK_LANES is the number of floats in a register (4, 8, 16), MK_ISA_LEVEL 0...3,
// mk_f16_to_f32 / mk_f32_to_f16 the fastest conversion of the set; mk_bf16_to_f32 / mk_f32_to_bf16 and the functions of
// mk_math.h are the same everywhere. A file that defines MK_WANT_AVX512BF16 before mk_each_isa.h is compiled a fourth
// time with AVX512-BF16 (then use MK_ISA_TABLES_BF16).
#ifndef MK_SIMD_H
#define MK_SIMD_H

#include "include/mk_base.h"
#include "mk_math.h"

// MARK: instruction sets

enum { MK_ISA_BASELINE = 0, MK_ISA_AVX2 = 1, MK_ISA_AVX512 = 2, MK_ISA_AVX512BF16 = 3, MK_ISA_COUNT = 4 };

// The level in use. Set before main by base.c.
extern int mk_isa_level __attribute__((visibility("hidden")));

// Whether products of pairs of bfloat16 numbers are used. By what the processor says it is, never by a measurement: the
// choice changes the last bits of results.
static inline bool mk_has_fast_pairs(void) {
    return mk_isa_level == MK_ISA_AVX512BF16 && mk_processor_has_fast_pairs();
}

#if defined(__x86_64__)
#define MK_ISA_TABLES(name) {&name##_baseline, &name##_avx2, &name##_avx512, &name##_avx512}
#define MK_ISA_TABLES_BF16(name) {&name##_baseline, &name##_avx2, &name##_avx512, &name##_avx512bf16}
#else
#define MK_ISA_TABLES(name) {&name##_baseline, &name##_baseline, &name##_baseline, &name##_baseline}
#define MK_ISA_TABLES_BF16(name) MK_ISA_TABLES(name)
#endif
#define MK_TABLE(tables) ((tables)[mk_isa_level])

// Put before a loop that must be vectorized: clang warns where it could not.
#define MK_VECTORIZE _Pragma("clang loop vectorize(enable) interleave(enable)")
// The same where pointers may be equal (in-place) but never overlap otherwise: drops the overlap checks, which would
// send in-place calls to a scalar loop.
#define MK_VECTORIZE_IN_PLACE _Pragma("clang loop vectorize(assume_safety) interleave(enable)")
// Keeps the compiler from reading x, a vector, under a mask where only a part of it is chosen: the processor fetches nothing
// after what is read so, which takes twice as long.
#if defined(__x86_64__)
#define MK_WHOLE(x) __asm__("" : "+v"(x))
#else
#define MK_WHOLE(x) (void)(x)
#endif
// At the start of a block: sums in the block may be reordered, so a plain `sum += x` loop vectorizes. The order then
// depends on the instruction set alone, never on the number of threads.
#define MK_REASSOCIATE _Pragma("clang fp reassociate(on)")

#define mk_f32_to_f16 mk_f32_to_f16_soft
#define mk_f16_to_f32 mk_f16_to_f32_soft

// MARK: dtypes

MK_INLINE int64_t mk_size_of(int32_t dtype) {
    // One nibble per dtype, F64 lowest: 8 4 2 2 8 4 2 1 1 1.
    return (int64_t)((0x1112482248ull >> (dtype * 4)) & 0xf);
}
MK_INLINE bool mk_is_float(int32_t dtype) { return dtype <= MK_BF16; }
MK_INLINE bool mk_is_half(int32_t dtype) { return dtype == MK_F16 || dtype == MK_BF16; }

MK_INLINE int64_t mk_count(const mk_tensor *t) {
    int64_t n = 1;
    for (int32_t d = 0; d < t->rank; d++) n *= t->shape[d];
    return n;
}
// Row-major and gap-free. Dimensions of size 1 may have any stride.
MK_INLINE bool mk_is_contiguous(const mk_tensor *t) {
    int64_t expected = 1;
    for (int32_t d = t->rank - 1; d >= 0; d--) {
        if (t->shape[d] != 1 && t->strides[d] != expected) return false;
        expected *= t->shape[d];
    }
    return true;
}

// Loads or stores one element of any floating dtype as float (double for F64 loses precision: use only for scalars).
MK_INLINE float mk_load_float(const void *p, int32_t dtype) {
    switch (dtype) {
        case MK_F64: return (float)*(const double *)p;
        case MK_F32: return *(const float *)p;
        case MK_F16: return mk_f16_to_f32_soft(*(const uint16_t *)p);
        default: return mk_bf16_to_f32(*(const uint16_t *)p);
    }
}
MK_INLINE void mk_store_float(void *p, int32_t dtype, float x) {
    switch (dtype) {
        case MK_F64: *(double *)p = (double)x; break;
        case MK_F32: *(float *)p = x; break;
        case MK_F16: *(uint16_t *)p = mk_f32_to_f16_soft(x); break;
        default: *(uint16_t *)p = mk_f32_to_bf16(x); break;
    }
}

// Contiguous runs between a half dtype (or F32) and float, vectorized for the set in use. `dtype` is F32, F16 or BF16.
void mk_floats_from(float *out, const void *in, int32_t dtype, int64_t n);
void mk_floats_to(void *out, int32_t dtype, const float *in, int64_t n);

// MARK: walking strided tensors

#define MK_WALK_MAX 5

// The common index space of up to MK_WALK_MAX operands, dimension 0 INNERMOST. Strides are in BYTES. Dimensions of size
// 1 are gone and neighbours that are contiguous in every operand are merged; rank is at least 1. `count` 0 means:
// nothing to do.
typedef struct mk_walk {
    int32_t operands;
    int32_t rank;
    int64_t count;
    int64_t shape[MK_MAX_DIMS];
    int64_t strides[MK_MAX_DIMS][MK_WALK_MAX];
    char *data[MK_WALK_MAX];
} mk_walk;

// Fills `walk` from tensors of one shape. With `reorder`, dimensions are sorted so that operand 0 (then 1, ...) has its
// smallest stride innermost and dimensions that are negative in every operand are flipped: use it where the order in
// which elements are visited does not matter. Without it, order is row-major.
void mk_walk_init(mk_walk *walk, int32_t operands, const mk_tensor *const *tensors, bool reorder);

// A row is one run along dimension 0; rows are numbered 0..<mk_walk_rows.
MK_INLINE int64_t mk_walk_rows(const mk_walk *walk) { return walk->count == 0 ? 0 : walk->count / walk->shape[0]; }

typedef struct mk_cursor {
    int64_t index[MK_MAX_DIMS];
    char *at[MK_WALK_MAX]; // start of the row in each operand
} mk_cursor;

MK_INLINE void mk_cursor_seek(const mk_walk *walk, mk_cursor *cursor, int64_t row) {
    for (int32_t k = 0; k < walk->operands; k++) cursor->at[k] = walk->data[k];
    for (int32_t d = 1; d < walk->rank; d++) {
        int64_t i = row % walk->shape[d];
        row /= walk->shape[d];
        cursor->index[d] = i;
        for (int32_t k = 0; k < walk->operands; k++) cursor->at[k] += i * walk->strides[d][k];
    }
}
// To the next row; after the last one it is back at the first.
MK_INLINE void mk_cursor_next(const mk_walk *walk, mk_cursor *cursor) {
    for (int32_t d = 1; d < walk->rank; d++) {
        for (int32_t k = 0; k < walk->operands; k++) cursor->at[k] += walk->strides[d][k];
        if (++cursor->index[d] < walk->shape[d]) return;
        cursor->index[d] = 0;
        for (int32_t k = 0; k < walk->operands; k++) cursor->at[k] -= walk->shape[d] * walk->strides[d][k];
    }
}

// MARK: chunks

// Elements of cheap work that one chunk holds; below this nothing goes to another thread.
#define MK_GRAIN 32768

typedef void (*mk_range_fn)(void *context, int64_t begin, int64_t end);
void mk_parallel_range_slow(int64_t total, int64_t grain, mk_range_fn fn, void *context);

// fn(context, begin, end) over 0..<total in fixed chunks of `grain`, inline when there is one. Chunks depend on `total`
// and `grain` alone. For row work pass grain = max(1, MK_GRAIN / row length).
MK_INLINE void mk_parallel_range(int64_t total, int64_t grain, mk_range_fn fn, void *context) {
    if (total <= grain) {
        if (total > 0) fn(context, 0, total);
        return;
    }
    mk_parallel_range_slow(total, grain, fn, context);
}
MK_INLINE int64_t mk_grain_of(int64_t elements_per_item) {
    return elements_per_item >= MK_GRAIN ? 1 : MK_GRAIN / (elements_per_item < 1 ? 1 : elements_per_item);
}

#endif
