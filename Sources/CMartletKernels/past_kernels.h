// Blocks of MK_PAST_BYTES on their way past the caches. Included once per instruction set.

typedef char MK_FN(past_vec) __attribute__((ext_vector_type(MK_LANES * 4), may_alias));
typedef char MK_FN(past_vec_u) __attribute__((ext_vector_type(MK_LANES * 4), aligned(1), may_alias));

MK_INLINE void MK_FN(past_read)(void *block, const void *in) {
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < MK_PAST_BYTES; i += MK_LANES * 4) {
        MK_FN(past_vec) v = *(const MK_FN(past_vec_u) *)(const void *)((const char *)in + i);
        MK_WHOLE(v);
        __builtin_memcpy((char *)block + i, &v, sizeof v);
    }
}
MK_INLINE void MK_FN(past_write)(void *out, const void *block) {
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < MK_PAST_BYTES; i += MK_LANES * 4) {
        MK_FN(past_vec) v;
        __builtin_memcpy(&v, (const char *)block + i, sizeof v);
        __builtin_nontemporal_store(v, (MK_FN(past_vec) *)(void *)((char *)out + i));
    }
}
