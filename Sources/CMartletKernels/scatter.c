// The inner loops of scatter, one per mode and dtype.
#include "scatter.h"
#include "mk_rows.h"

#pragma clang fp contract(off)

// Elements whose places are computed at once.
#define BLOCK 512

typedef struct {
    bool (*offsets)(int64_t *offsets, const char *index, int64_t n, const mk_scatter_targets *targets);
} scatter_table;

#define MK_KERNELS "scatter_kernels.h"
#include "mk_each_isa.h"
static const scatter_table *const scatter_tables[MK_ISA_COUNT] = MK_ISA_TABLES(scatter_table);

// The positions of a block with low <= k < high, without a branch that could not be predicted. Their offsets are moved
// to the front.
static int64_t pick(int32_t *positions, int64_t *offsets, const mk_scatter_targets *targets, const char *index,
                    int64_t n) {
    int64_t count = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = *(const int64_t *)(const void *)(index + i * targets->index_stride);
        k += k < 0 ? targets->size : 0;
        positions[count] = (int32_t)i;
        offsets[count] = offsets[i];
        count += (k >= targets->low) & (k < targets->high);
    }
    return count;
}

bool mk_scatter_run_to(const mk_scatter_targets *targets, mk_scatter_run run, const char *index, int64_t n) {
    const bool picks = targets->low > 0 || targets->high < targets->size;
    int64_t offsets[BLOCK];
    int32_t positions[BLOCK];
    run.offsets = offsets;
    run.positions = picks ? positions : NULL;
    for (int64_t i = 0; i < n; i += BLOCK) {
        const int64_t count = mk_min64(BLOCK, n - i);
        if (!MK_TABLE(scatter_tables)->offsets(offsets, index, count, targets)) return false;
        run.n = picks ? pick(positions, offsets, targets, index, count) : count;
        targets->fn(&run);
        index += BLOCK * targets->index_stride;
        run.out += BLOCK * targets->out_stride;
        run.src += BLOCK * run.src_stride;
    }
    return true;
}

// `t` is the target's value and `s` the source's, both in the type of the computation.
#define MK_SCATTER(NAME, OUT, SRC, LOAD_OUT, LOAD_SRC, STORE, COMPUTE, ALPHA, EXPRESSION)                              \
    static inline __attribute__((always_inline)) void NAME##_at(const mk_scatter_run *run, int64_t i, int64_t from) {  \
        COMPUTE alpha = (COMPUTE)run->ALPHA;                                                                           \
        (void)alpha;                                                                                                   \
        OUT *target = (OUT *)(void *)(run->out + run->offsets[i]);                                                     \
        COMPUTE s = (COMPUTE)LOAD_SRC(*(const SRC *)(run->src + from * run->src_stride));                              \
        COMPUTE t = (COMPUTE)LOAD_OUT(*target);                                                                        \
        (void)t;                                                                                                       \
        *target = (OUT)STORE((EXPRESSION));                                                                            \
    }                                                                                                                  \
    static void NAME(const mk_scatter_run *pointer) {                                                                  \
        const mk_scatter_run run = *pointer;                                                                           \
        if (run.positions) {                                                                                           \
            for (int64_t i = 0; i < run.n; i++) NAME##_at(&run, i, run.positions[i]);                                  \
        } else {                                                                                                       \
            for (int64_t i = 0; i < run.n; i++) NAME##_at(&run, i, i);                                                 \
        }                                                                                                              \
    }

#define MK_ADD_FLOAT t + alpha *s
#define MK_MAX_FLOAT s > t || s != s ? s : t
#define MK_MIN_FLOAT s < t || s != s ? s : t

#define MK_SCATTER_FLOAT(T, OUT, LOAD, STORE, COMPUTE)                                                                 \
    MK_SCATTER(add_##T, OUT, OUT, LOAD, LOAD, STORE, COMPUTE, alpha, MK_ADD_FLOAT)                                     \
    MK_SCATTER(mul_##T, OUT, OUT, LOAD, LOAD, STORE, COMPUTE, alpha, t *s)                                             \
    MK_SCATTER(max_##T, OUT, OUT, LOAD, LOAD, STORE, COMPUTE, alpha, MK_MAX_FLOAT)                                     \
    MK_SCATTER(min_##T, OUT, OUT, LOAD, LOAD, STORE, COMPUTE, alpha, MK_MIN_FLOAT)

MK_SCATTER_FLOAT(f64, double, , , double)
MK_SCATTER_FLOAT(f32, float, , , float)
MK_SCATTER_FLOAT(f16, uint16_t, mk_f16_to_f32, mk_f32_to_f16, float)
MK_SCATTER_FLOAT(bf16, uint16_t, mk_bf16_to_f32, mk_f32_to_bf16, float)
MK_SCATTER(add_f16_f32, uint16_t, float, mk_f16_to_f32, , mk_f32_to_f16, float, alpha, MK_ADD_FLOAT)
MK_SCATTER(add_bf16_f32, uint16_t, float, mk_bf16_to_f32, , mk_f32_to_bf16, float, alpha, MK_ADD_FLOAT)

// Sums and products wrap.
#define MK_SCATTER_INTEGER(T, OUT)                                                                                     \
    MK_SCATTER(add_##T, OUT, OUT, , , , int64_t, integer_alpha, (uint64_t)t + (uint64_t)alpha * (uint64_t)s)           \
    MK_SCATTER(mul_##T, OUT, OUT, , , , int64_t, integer_alpha, (uint64_t)t * (uint64_t)s)                             \
    MK_SCATTER(max_##T, OUT, OUT, , , , int64_t, integer_alpha, s > t ? s : t)                                         \
    MK_SCATTER(min_##T, OUT, OUT, , , , int64_t, integer_alpha, s < t ? s : t)

MK_SCATTER_INTEGER(i64, int64_t)
MK_SCATTER_INTEGER(i32, int32_t)
MK_SCATTER_INTEGER(i16, int16_t)
MK_SCATTER_INTEGER(i8, int8_t)
MK_SCATTER_INTEGER(u8, uint8_t)
MK_SCATTER(or_bool, uint8_t, uint8_t, , , , int64_t, integer_alpha, t != 0 || (alpha != 0 && s != 0))
MK_SCATTER(and_bool, uint8_t, uint8_t, , , , int64_t, integer_alpha, t != 0 && s != 0)

#define MK_SET(T) MK_SCATTER(set_##T, T, T, , , , T, integer_alpha, s)
MK_SET(uint64_t)
MK_SET(uint32_t)
MK_SET(uint16_t)
MK_SET(uint8_t)

#define MK_MODES(T)                                                                                                    \
    {[MK_SCATTER_ADD] = add_##T,                                                                                       \
     [MK_SCATTER_MUL] = mul_##T,                                                                                       \
     [MK_SCATTER_MAX] = max_##T,                                                                                       \
     [MK_SCATTER_MIN] = min_##T}

mk_scatter_fn mk_scatter_kernel(mk_scatter_mode mode, int32_t out_dtype, int32_t src_dtype) {
    static const mk_scatter_fn kernels[][5] = {
        [MK_F64] = MK_MODES(f64), [MK_F32] = MK_MODES(f32), [MK_F16] = MK_MODES(f16), [MK_BF16] = MK_MODES(bf16),
        [MK_I64] = MK_MODES(i64), [MK_I32] = MK_MODES(i32), [MK_I16] = MK_MODES(i16), [MK_I8] = MK_MODES(i8),
        [MK_U8] = MK_MODES(u8),
        [MK_BOOL] = {[MK_SCATTER_ADD] = or_bool, [MK_SCATTER_MUL] = and_bool, [MK_SCATTER_MAX] = or_bool,
                     [MK_SCATTER_MIN] = and_bool},
    };
    if (mode == MK_SCATTER_SET) {
        switch (mk_size_of(out_dtype)) {
            case 8: return set_uint64_t;
            case 4: return set_uint32_t;
            case 2: return set_uint16_t;
            default: return set_uint8_t;
        }
    }
    if (src_dtype != out_dtype && out_dtype == MK_F16) return add_f16_f32;
    if (src_dtype != out_dtype && out_dtype == MK_BF16) return add_bf16_f32;
    return kernels[out_dtype][mode];
}
