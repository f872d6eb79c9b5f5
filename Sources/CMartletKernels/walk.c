// The common index space of strided operands.
#include "mk_simd.h"

// > 0 when dimension `inner` should lie outside of `outer`: the first operand in which both move decides.
static int out_of_order(const mk_walk *walk, int32_t inner, int32_t outer) {
    for (int32_t k = 0; k < walk->operands; k++) {
        int64_t a = walk->strides[inner][k], b = walk->strides[outer][k];
        if (a < 0) a = -a;
        if (b < 0) b = -b;
        if (a == 0 || b == 0 || a == b) continue;
        return a > b;
    }
    return 0;
}

static void swap_dimensions(mk_walk *walk, int32_t a, int32_t b) {
    int64_t t = walk->shape[a];
    walk->shape[a] = walk->shape[b];
    walk->shape[b] = t;
    for (int32_t k = 0; k < walk->operands; k++) {
        t = walk->strides[a][k];
        walk->strides[a][k] = walk->strides[b][k];
        walk->strides[b][k] = t;
    }
}

static void flip_negative(mk_walk *walk, int32_t d) {
    bool negative = false;
    for (int32_t k = 0; k < walk->operands; k++) {
        if (walk->strides[d][k] > 0) return;
        negative |= walk->strides[d][k] < 0;
    }
    if (!negative) return;
    for (int32_t k = 0; k < walk->operands; k++) {
        walk->data[k] += (walk->shape[d] - 1) * walk->strides[d][k];
        walk->strides[d][k] = -walk->strides[d][k];
    }
}

void mk_walk_init(mk_walk *walk, int32_t operands, const mk_tensor *const *tensors, bool reorder) {
    const mk_tensor *first = tensors[0];
    int64_t size[MK_WALK_MAX];
    walk->operands = operands;
    walk->count = 1;
    for (int32_t k = 0; k < operands; k++) {
        walk->data[k] = tensors[k]->data;
        size[k] = mk_size_of(tensors[k]->dtype);
    }
    int32_t rank = 0;
    for (int32_t d = first->rank - 1; d >= 0; d--) {
        walk->count *= first->shape[d];
        if (first->shape[d] == 1) continue;
        walk->shape[rank] = first->shape[d];
        for (int32_t k = 0; k < operands; k++) walk->strides[rank][k] = tensors[k]->strides[d] * size[k];
        rank++;
    }
    if (rank == 0 || walk->count == 0) {
        walk->rank = 1;
        walk->shape[0] = walk->count;
        for (int32_t k = 0; k < operands; k++) walk->strides[0][k] = size[k];
        return;
    }
    if (reorder) {
        for (int32_t d = 0; d < rank; d++) flip_negative(walk, d);
        // Insertion that skips over dimensions which say nothing about the order (all strides equal or zero).
        for (int32_t i = 1; i < rank; i++) {
            int32_t at = i;
            for (int32_t j = i - 1; j >= 0; j--) {
                if (out_of_order(walk, j, at) == 0) break;
                swap_dimensions(walk, j, at);
                at = j;
            }
        }
    }
    int32_t last = 0;
    for (int32_t d = 1; d < rank; d++) {
        bool merge = true;
        for (int32_t k = 0; k < operands; k++) {
            merge &= walk->strides[d][k] == walk->strides[last][k] * walk->shape[last];
        }
        if (merge) {
            walk->shape[last] *= walk->shape[d];
            continue;
        }
        last++;
        if (last != d) {
            walk->shape[last] = walk->shape[d];
            for (int32_t k = 0; k < operands; k++) walk->strides[last][k] = walk->strides[d][k];
        }
    }
    walk->rank = last + 1;
}
