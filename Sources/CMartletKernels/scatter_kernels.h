// Where the elements of a scatter go. Included once per instruction set.

#define MK_SCATTER_OFFSETS(INDEX)                                                                                      \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
        int64_t k = INDEX;                                                                                             \
        k += k < 0 ? targets->size : 0;                                                                                \
        bad |= (uint64_t)k >= (uint64_t)targets->size;                                                                 \
        offsets[i] = k * targets->step + i * targets->out_stride;                                                      \
    }

static bool MK_FN(scatter_offsets)(int64_t *restrict offsets, const char *index, int64_t n,
                                   const mk_scatter_targets *targets) {
    const int64_t stride = targets->index_stride;
    uint64_t bad = 0;
    if (stride == sizeof(int64_t)) MK_SCATTER_OFFSETS(((const int64_t *)(const void *)index)[i])
    else MK_SCATTER_OFFSETS(*(const int64_t *)(const void *)(index + i * stride))
    return bad == 0;
}
#undef MK_SCATTER_OFFSETS

static const scatter_table MK_FN(scatter_table) = {MK_FN(scatter_offsets)};
