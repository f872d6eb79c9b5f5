// Short runs of any dtype and stride, to and from the type that a kernel computes in. See mk_rows.h.
#include "mk_rows.h"

typedef uint64_t blocks_u64 __attribute__((ext_vector_type(16), aligned(8)));
typedef uint32_t blocks_u32 __attribute__((ext_vector_type(32), aligned(4)));
typedef uint16_t blocks_u16 __attribute__((ext_vector_type(64), aligned(2)));
typedef uint8_t blocks_u8 __attribute__((ext_vector_type(128), aligned(1)));
typedef uint16_t blocks_sums __attribute__((ext_vector_type(128), aligned(2)));

typedef struct blocks_table {
    void (*f64_from_f32)(double *, const float *, int64_t);
    void (*f32_from_f64)(float *, const double *, int64_t);
    void (*i64_from_i32)(int64_t *, const int32_t *, int64_t);
    void (*i64_from_i16)(int64_t *, const int16_t *, int64_t);
    void (*i64_from_i8)(int64_t *, const int8_t *, int64_t);
    void (*i64_from_u8)(int64_t *, const uint8_t *, int64_t);
    void (*nonzero_8)(int64_t *, const uint64_t *, int64_t);
    void (*nonzero_4)(int64_t *, const uint32_t *, int64_t);
    void (*nonzero_2)(int64_t *, const uint16_t *, int64_t);
    void (*nonzero_1)(int64_t *, const uint8_t *, int64_t);
    void (*nonzero_f64)(int64_t *, const uint64_t *, int64_t);
    void (*nonzero_f32)(int64_t *, const uint32_t *, int64_t);
    void (*nonzero_half)(int64_t *, const uint16_t *, int64_t);
    void (*i32_from_i64)(int32_t *, const int64_t *, int64_t);
    void (*i16_from_i64)(int16_t *, const int64_t *, int64_t);
    void (*i8_from_i64)(int8_t *, const int64_t *, int64_t);
    void (*bool_from_i64)(uint8_t *, const int64_t *, int64_t);
    void (*axpy_f32_f32)(float *, const float *, float, int64_t);
    void (*axpy_f32_f16)(float *, const uint16_t *, float, int64_t);
    void (*axpy_f32_bf16)(float *, const uint16_t *, float, int64_t);
    void (*axpy_f64_f64)(double *, const double *, double, int64_t);
    void (*axpy_f64_f32)(double *, const float *, double, int64_t);
    int64_t (*count[MK_BOOL + 1])(const void *, int64_t);
} blocks_table;

#define MK_KERNELS "blocks_kernels.h"
#include "mk_each_isa.h"
static const blocks_table *const blocks_tables[MK_ISA_COUNT] = MK_ISA_TABLES(blocks_table_);

// MARK: strided runs

#define MK_GATHER(T)                                                                                                   \
    for (int64_t i = 0; i < n; i++) ((T *)out)[i] = *(const T *)((const char *)in + i * stride);                       \
    break;
void mk_gather_run(void *out, const void *in, int64_t size, int64_t stride, int64_t n) {
    switch (size) {
        case 8: MK_GATHER(uint64_t)
        case 4: MK_GATHER(uint32_t)
        case 2: MK_GATHER(uint16_t)
        default: MK_GATHER(uint8_t)
    }
}
#undef MK_GATHER

#define MK_SCATTER(T)                                                                                                  \
    for (int64_t i = 0; i < n; i++) *(T *)((char *)out + i * stride) = ((const T *)in)[i];                             \
    break;
static void scatter_run(void *out, const void *in, int64_t size, int64_t stride, int64_t n) {
    switch (size) {
        case 8: MK_SCATTER(uint64_t)
        case 4: MK_SCATTER(uint32_t)
        case 2: MK_SCATTER(uint16_t)
        default: MK_SCATTER(uint8_t)
    }
}
#undef MK_SCATTER

// MARK: to the type of the computation

// A strided run of a narrow dtype is gathered here first, MK_BLOCK elements at a time.
typedef union narrow_block {
    _Alignas(64) uint8_t bytes[MK_BLOCK * 8];
    uint64_t align;
} narrow_block;

const float *mk_block_f32(float *buffer, const void *in, int32_t dtype, int64_t stride, int64_t n) {
    int64_t size = mk_size_of(dtype);
    if (dtype == MK_F32) {
        if (stride == size || n <= 1) return in;
        mk_gather_run(buffer, in, size, stride, n);
        return buffer;
    }
    if (stride == size) {
        mk_floats_from(buffer, in, dtype, n);
        return buffer;
    }
    narrow_block narrow;
    for (int64_t i = 0; i < n; i += MK_BLOCK) {
        int64_t m = mk_min64(MK_BLOCK, n - i);
        mk_gather_run(narrow.bytes, (const char *)in + i * stride, size, stride, m);
        mk_floats_from(buffer + i, narrow.bytes, dtype, m);
    }
    return buffer;
}

static void widen_f64(double *buffer, const void *in, int32_t dtype, int64_t n) {
    const blocks_table *table = MK_TABLE(blocks_tables);
    if (dtype == MK_F32) {
        table->f64_from_f32(buffer, in, n);
        return;
    }
    _Alignas(64) float floats[MK_BLOCK];
    for (int64_t i = 0; i < n; i += MK_BLOCK) {
        int64_t m = mk_min64(MK_BLOCK, n - i);
        mk_floats_from(floats, (const uint16_t *)in + i, dtype, m);
        table->f64_from_f32(buffer + i, floats, m);
    }
}

const double *mk_block_f64(double *buffer, const void *in, int32_t dtype, int64_t stride, int64_t n) {
    int64_t size = mk_size_of(dtype);
    if (dtype == MK_F64) {
        if (stride == size || n <= 1) return in;
        mk_gather_run(buffer, in, size, stride, n);
        return buffer;
    }
    if (stride == size) {
        widen_f64(buffer, in, dtype, n);
        return buffer;
    }
    narrow_block narrow;
    for (int64_t i = 0; i < n; i += MK_BLOCK) {
        int64_t m = mk_min64(MK_BLOCK, n - i);
        mk_gather_run(narrow.bytes, (const char *)in + i * stride, size, stride, m);
        widen_f64(buffer + i, narrow.bytes, dtype, m);
    }
    return buffer;
}

static void widen_i64(int64_t *buffer, const void *in, int32_t dtype, int64_t n) {
    const blocks_table *table = MK_TABLE(blocks_tables);
    switch (dtype) {
        case MK_I32: table->i64_from_i32(buffer, in, n); break;
        case MK_I16: table->i64_from_i16(buffer, in, n); break;
        case MK_I8: table->i64_from_i8(buffer, in, n); break;
        default: table->i64_from_u8(buffer, in, n); break;
    }
}

const int64_t *mk_block_i64(int64_t *buffer, const void *in, int32_t dtype, int64_t stride, int64_t n) {
    int64_t size = mk_size_of(dtype);
    if (dtype == MK_I64) {
        if (stride == size || n <= 1) return in;
        mk_gather_run(buffer, in, size, stride, n);
        return buffer;
    }
    if (stride == size) {
        widen_i64(buffer, in, dtype, n);
        return buffer;
    }
    narrow_block narrow;
    for (int64_t i = 0; i < n; i += MK_BLOCK) {
        int64_t m = mk_min64(MK_BLOCK, n - i);
        mk_gather_run(narrow.bytes, (const char *)in + i * stride, size, stride, m);
        widen_i64(buffer + i, narrow.bytes, dtype, m);
    }
    return buffer;
}

static void flag_nonzero(int64_t *buffer, const void *in, int32_t dtype, int64_t n) {
    const blocks_table *table = MK_TABLE(blocks_tables);
    switch (dtype) {
        case MK_F64: table->nonzero_f64(buffer, in, n); break;
        case MK_F32: table->nonzero_f32(buffer, in, n); break;
        case MK_F16:
        case MK_BF16: table->nonzero_half(buffer, in, n); break;
        case MK_I64: table->nonzero_8(buffer, in, n); break;
        case MK_I32: table->nonzero_4(buffer, in, n); break;
        case MK_I16: table->nonzero_2(buffer, in, n); break;
        default: table->nonzero_1(buffer, in, n); break;
    }
}

void mk_block_nonzero(int64_t *buffer, const void *in, int32_t dtype, int64_t stride, int64_t n) {
    int64_t size = mk_size_of(dtype);
    if (stride == size) {
        flag_nonzero(buffer, in, dtype, n);
        return;
    }
    narrow_block narrow;
    for (int64_t i = 0; i < n; i += MK_BLOCK) {
        int64_t m = mk_min64(MK_BLOCK, n - i);
        mk_gather_run(narrow.bytes, (const char *)in + i * stride, size, stride, m);
        flag_nonzero(buffer + i, narrow.bytes, dtype, m);
    }
}

int64_t mk_block_count_nonzero(const void *in, int32_t dtype, int64_t n) {
    return MK_TABLE(blocks_tables)->count[dtype](in, n);
}

// MARK: from the type of the computation

void mk_unblock_f32(void *out, int32_t dtype, int64_t stride, const float *in, int64_t n) {
    int64_t size = mk_size_of(dtype);
    if (stride == size) {
        mk_floats_to(out, dtype, in, n);
    } else if (dtype == MK_F32) {
        scatter_run(out, in, size, stride, n);
    } else {
        narrow_block narrow;
        mk_floats_to(narrow.bytes, dtype, in, n);
        scatter_run(out, narrow.bytes, size, stride, n);
    }
}

void mk_unblock_f64(void *out, int32_t dtype, int64_t stride, const double *in, int64_t n) {
    if (dtype == MK_F64) {
        if (stride == 8) {
            memcpy(out, in, (size_t)n * 8);
        } else {
            scatter_run(out, in, 8, stride, n);
        }
        return;
    }
    _Alignas(64) float floats[MK_BLOCK];
    for (int64_t i = 0; i < n; i += MK_BLOCK) {
        int64_t m = mk_min64(MK_BLOCK, n - i);
        MK_TABLE(blocks_tables)->f32_from_f64(floats, in + i, m);
        mk_unblock_f32((char *)out + i * stride, dtype, stride, floats, m);
    }
}

void mk_unblock_i64(void *out, int32_t dtype, int64_t stride, const int64_t *in, int64_t n) {
    int64_t size = mk_size_of(dtype);
    const blocks_table *table = MK_TABLE(blocks_tables);
    narrow_block narrow;
    void *target = stride == size ? out : narrow.bytes;
    switch (dtype) {
        case MK_I64:
            if (stride == size) {
                memcpy(out, in, (size_t)n * 8);
            } else {
                scatter_run(out, in, size, stride, n);
            }
            return;
        case MK_I32: table->i32_from_i64(target, in, n); break;
        case MK_I16: table->i16_from_i64(target, in, n); break;
        case MK_BOOL: table->bool_from_i64(target, in, n); break;
        default: table->i8_from_i64(target, in, n); break; // I8 and U8 wrap alike
    }
    if (target != out) scatter_run(out, target, size, stride, n);
}

// MARK: accumulation

void mk_block_axpy_f32(float *acc, const void *in, int32_t dtype, float alpha, int64_t n) {
    const blocks_table *table = MK_TABLE(blocks_tables);
    switch (dtype) {
        case MK_F32: table->axpy_f32_f32(acc, in, alpha, n); break;
        case MK_F16: table->axpy_f32_f16(acc, in, alpha, n); break;
        default: table->axpy_f32_bf16(acc, in, alpha, n); break;
    }
}

void mk_block_axpy_f64(double *acc, const void *in, int32_t dtype, double alpha, int64_t n) {
    const blocks_table *table = MK_TABLE(blocks_tables);
    if (dtype == MK_F64) {
        table->axpy_f64_f64(acc, in, alpha, n);
    } else if (dtype == MK_F32) {
        table->axpy_f64_f32(acc, in, alpha, n);
    } else {
        _Alignas(64) float floats[MK_BLOCK];
        for (int64_t i = 0; i < n; i += MK_BLOCK) {
            int64_t m = mk_min64(MK_BLOCK, n - i);
            mk_floats_from(floats, (const uint16_t *)in + i, dtype, m);
            table->axpy_f64_f32(acc + i, floats, alpha, m);
        }
    }
}
