// Contiguous conversion between all dtypes.
#include "mk_elementwise_private.h"

enum { BUFFER = 1024 };
typedef void (*convert_fn)(void *out, const void *in, int64_t n);

// Rows and columns in the order of the dtypes without the two half types.
enum { B_F64, B_F32, B_I64, B_I32, B_I16, B_I8, B_U8, B_BOOL, BASIS };

typedef struct {
    convert_fn basis[BASIS][BASIS]; // [from][to]
    convert_fn to_odd[BASIS];       // to float, rounded to odd
    convert_fn f16_to_f32, f32_to_f16, bf16_to_f32, f32_to_bf16;
    mk_run bf16_to_f32_past, f32_to_bf16_past;
} convert_table;

#define MK_WANT_AVX512BF16
#define MK_KERNELS "convert_kernels.h"
#include "mk_each_isa.h"
static const convert_table *const convert_tables[MK_ISA_COUNT] = MK_ISA_TABLES_BF16(convert_table);

static int basis_of(int32_t dtype) { return dtype <= MK_F32 ? dtype : dtype - 2; }

void mk_floats_from(float *out, const void *in, int32_t dtype, int64_t n) {
    const convert_table *table = MK_TABLE(convert_tables);
    switch (dtype) {
        case MK_F16: table->f16_to_f32(out, in, n); break;
        case MK_BF16: table->bf16_to_f32(out, in, n); break;
        default: memcpy(out, in, (size_t)n * sizeof(float)); break;
    }
}

void mk_floats_to(void *out, int32_t dtype, const float *in, int64_t n) {
    const convert_table *table = MK_TABLE(convert_tables);
    switch (dtype) {
        case MK_F16: table->f32_to_f16(out, in, n); break;
        case MK_BF16: table->f32_to_bf16(out, in, n); break;
        default: memcpy(out, in, (size_t)n * sizeof(float)); break;
    }
}

void mk_convert(void *out, int32_t to, const void *in, int32_t from, int64_t n) {
    const convert_table *table = MK_TABLE(convert_tables);
    if (to == from) {
        memcpy(out, in, (size_t)(n * mk_size_of(to)));
    } else if (!mk_is_half(from) && !mk_is_half(to)) {
        table->basis[basis_of(from)][basis_of(to)](out, in, n);
    } else if (mk_is_half(from) && to == MK_F32) {
        mk_floats_from(out, in, from, n);
    } else if (mk_is_half(to) && from == MK_F32) {
        mk_floats_to(out, to, in, n);
    } else {
        // By way of float. A value that float cannot hold is rounded to odd first, so that rounding it to half
        // afterwards gives what rounding once would.
        _Alignas(64) float buffer[BUFFER];
        for (int64_t i = 0; i < n; i += BUFFER) {
            int64_t m = n - i < BUFFER ? n - i : BUFFER;
            const char *source = (const char *)in + i * mk_size_of(from);
            char *target = (char *)out + i * mk_size_of(to);
            if (mk_is_half(from)) mk_floats_from(buffer, source, from, m);
            else table->to_odd[basis_of(from)](buffer, source, m);
            if (mk_is_half(to)) mk_floats_to(target, to, buffer, m);
            else table->basis[B_F32][basis_of(to)](target, buffer, m);
        }
    }
}

mk_run mk_convert_past(int32_t to, int32_t from) {
    const convert_table *table = MK_TABLE(convert_tables);
    if (from == MK_F32 && to == MK_BF16) return table->f32_to_bf16_past;
    return from == MK_BF16 && to == MK_F32 ? table->bf16_to_f32_past : NULL;
}
