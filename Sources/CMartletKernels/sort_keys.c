// Elements as unsigned keys. See sort.h.
#include "sort.h"

typedef struct sort_table {
    void (*keys[MK_BOOL + 1])(void *keys, const void *in, uint64_t flip, int64_t n);
    uint64_t (*below_32)(const void *keys, uint64_t bound);
    uint64_t (*below_64)(const void *keys, uint64_t bound);
} sort_table;

typedef bool key_flags __attribute__((ext_vector_type(KEY_GROUP)));

#define MK_KERNELS "sort_kernels.h"
#include "mk_each_isa.h"
static const sort_table *const sort_tables[MK_ISA_COUNT] = MK_ISA_TABLES(sort_table_);

key_rule mk_key_rule(int32_t dtype, int64_t length, bool descending) {
    int32_t bits = (int32_t)mk_size_of(dtype) * 8;
    return (key_rule){
        .dtype = dtype,
        .wide = bits == 64 || length > UINT32_MAX,
        .bits = bits,
        .flip = descending ? UINT64_MAX : 0,
    };
}

void mk_make_keys(key_rule rule, void *keys, const char *in, int64_t stride, int64_t n) {
    int64_t size = rule.bits / 8;
    uint64_t packed[MK_BLOCK];
    const void *elements = in;
    if (stride != size) {
        mk_gather_run(packed, in, size, stride, n);
        elements = packed;
    }
    void (*make)(void *, const void *, uint64_t, int64_t) = MK_TABLE(sort_tables)->keys[rule.dtype];
    if (rule.wide && rule.bits < 64) {
        uint32_t narrow[MK_BLOCK];
        make(narrow, elements, rule.flip, n);
        for (int64_t i = 0; i < n; i++) ((uint64_t *)keys)[i] = narrow[i];
        return;
    }
    make(keys, elements, rule.flip, n);
}

uint64_t mk_keys_below(key_rule rule, const void *keys, uint64_t bound) {
    const sort_table *table = MK_TABLE(sort_tables);
    return (rule.wide ? table->below_64 : table->below_32)(keys, bound);
}

void mk_store_key(key_rule rule, char *out, uint64_t key, const char *in, int64_t stride, int64_t position) {
    uint64_t all = UINT64_MAX >> (64 - rule.bits), sign = all ^ (all >> 1);
    uint64_t x = (key ^ rule.flip) & all;
    if (mk_is_float(rule.dtype)) {
        if (x == sign || x == all) {
            memcpy(&x, in + position * stride, (size_t)rule.bits / 8);
        } else {
            x = (x & sign) != 0 ? x ^ sign : ~x;
        }
    } else if (rule.dtype < MK_U8) {
        x ^= sign;
    }
    switch (rule.bits) {
        case 64: memcpy(out, &x, 8); break;
        case 32: memcpy(out, &(uint32_t){(uint32_t)x}, 4); break;
        case 16: memcpy(out, &(uint16_t){(uint16_t)x}, 2); break;
        default: memcpy(out, &(uint8_t){(uint8_t)x}, 1); break;
    }
}
