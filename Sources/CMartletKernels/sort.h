// Private to sorting and top-k: elements as unsigned keys, and the algorithms on them.
//
// An element of a line becomes an entry: its key and its position. Entries are all different, so no algorithm has to be
// stable for the result to be. Dtypes of 32 bits or less in lines shorter than 2^32 are packed: key << 32 | position.
#ifndef SORT_H
#define SORT_H

#include "mk_rows.h"

typedef struct wide_entry {
    uint64_t key, position;
} wide_entry;

// How the elements of one dtype become keys.
typedef struct key_rule {
    int32_t dtype;
    bool wide;     // 64-bit keys
    int32_t bits;  // of a key
    uint64_t flip; // all ones for descending order
} key_rule;

key_rule mk_key_rule(int32_t dtype, int64_t length, bool descending);

// Keys of n <= MK_BLOCK elements `stride` bytes apart: uint64_t when wide, else uint32_t.
void mk_make_keys(key_rule rule, void *keys, const char *in, int64_t stride, int64_t n);
// Bit i says whether keys[i], of KEY_GROUP keys, is below the bound.
#define KEY_GROUP 64
uint64_t mk_keys_below(key_rule rule, const void *keys, uint64_t bound);
// Writes the element that has the key. `in` is its line: zeros and NaN are copied from there, since their keys forget
// the sign and the payload.
void mk_store_key(key_rule rule, char *out, uint64_t key, const char *in, int64_t stride, int64_t position);

// Sort n entries ascending; the result is in `entries`. The radix sorts need positions to ascend at the start.
void mk_sort_wide(wide_entry *entries, wide_entry *scratch, int64_t n, int32_t bits, bool parallel);
void mk_merge_sort_packed(uint64_t *entries, uint64_t *scratch, int64_t n);
void mk_merge_sort_wide(wide_entry *entries, wide_entry *scratch, int64_t n);
// Brings the k smallest of n entries to the front, in any order. `scratch` has room for n.
void mk_select_packed(uint64_t *entries, uint64_t *scratch, int64_t n, int64_t k);
void mk_select_wide(wide_entry *entries, wide_entry *scratch, int64_t n, int64_t k);

#endif
