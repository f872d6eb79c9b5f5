// See stream.c. Included once per instruction set.

typedef char MK_FN(stream_vec) __attribute__((ext_vector_type(MK_LANES * 4), may_alias));
typedef char MK_FN(stream_vec_u) __attribute__((ext_vector_type(MK_LANES * 4), aligned(1), may_alias));

// `out` is aligned to a cache line and bytes is a multiple of one.
static void MK_FN(stream_lines)(char *out, const char *in, int64_t bytes, const char *next) {
    for (int64_t i = 0; i < bytes; i += 64) {
        if (next) __builtin_prefetch(next + i, 0, 2);
#pragma clang loop unroll(full)
        for (int64_t j = 0; j < 64; j += MK_LANES * 4) {
            MK_FN(stream_vec) v = *(const MK_FN(stream_vec_u) *)(const void *)(in + i + j);
            __builtin_nontemporal_store(v, (MK_FN(stream_vec) *)(void *)(out + i + j));
        }
    }
}

static const stream_table MK_FN(stream_table_) = {MK_FN(stream_lines)};
