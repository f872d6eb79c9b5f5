// Private to the kernels: stores past the caches, for outputs that are larger than they are. See stream.c.
#ifndef MK_STREAM_H
#define MK_STREAM_H

#include "mk_simd.h"

#include <string.h>

// Whether a tensor has more bytes than the caches (those of a broadcast one count as often as they are read).
bool mk_is_large(const mk_tensor *t);
// Whether `out` is better written past the caches: it is large and none of the `count` inputs.
bool mk_streams(const mk_tensor *out, int32_t count, const mk_tensor *const *in);

// A chunk whose output goes past the caches is this many times as large as others, because memory is read and written
// faster in long runs.
#define MK_STREAM_GRAINS 8
// Items of a chunk.
MK_INLINE int64_t mk_stream_grain(int64_t elements_per_item, bool stream) {
    const int64_t elements = stream ? MK_STREAM_GRAINS * MK_GRAIN : MK_GRAIN;
    return elements_per_item >= elements ? 1 : elements / (elements_per_item < 1 ? 1 : elements_per_item);
}

// Copies whole cache lines past the caches to where one begins, and fetches as much from `next` on unless it is NULL.
// The function for the processor.
typedef void (*mk_stream_lines)(char *out, const char *in, int64_t bytes, const char *next);
mk_stream_lines mk_stream_lines_now(void);
// Copies bytes past the caches where they fill cache lines, and fetches as many from `next` on, unless it is NULL, line
// by line: many at once would hold up what is read meanwhile.
void mk_stream_fetching(void *out, const void *in, int64_t bytes, const void *next);
MK_INLINE void mk_stream(void *out, const void *in, int64_t bytes) { mk_stream_fetching(out, in, bytes, NULL); }
// Copies bytes, past the caches with `stream`.
MK_INLINE void mk_store(void *out, const void *in, int64_t bytes, bool stream) {
    if (stream) mk_stream(out, in, bytes);
    else memcpy(out, in, (size_t)bytes);
}
// Such stores are not ordered with the one that tells another thread that the work is done. mk_parallel calls this; a
// kernel whose work may be a single chunk, which mk_parallel_range runs by itself, has to.
MK_INLINE void mk_finish_stores(void) {
#if defined(__x86_64__)
    __builtin_ia32_sfence();
#endif
}

// MARK: reading ahead
//
// A row that goes through several passes in the first-level cache leaves the memory idle meanwhile, unless each pass
// fetches a part of the next row. For rows that are in a cache already this costs a tenth to a third of their time.
typedef struct mk_ahead {
    const char *at, *end;
} mk_ahead;

// What mk_fetch fetches next: nothing where `row` is NULL.
MK_INLINE mk_ahead mk_ahead_of(const void *row, int64_t bytes) {
    return (mk_ahead){(const char *)row, row ? (const char *)row + bytes : (const char *)row};
}
MK_INLINE void mk_fetch(mk_ahead *ahead, int64_t bytes) {
    const char *to = ahead->end - ahead->at > bytes ? ahead->at + bytes : ahead->end;
    for (; ahead->at < to; ahead->at += 64) __builtin_prefetch(ahead->at, 0, 2);
}
// All of it at once.
MK_INLINE void mk_fetch_all(const void *at, int64_t bytes) {
    mk_ahead ahead = mk_ahead_of(at, bytes);
    mk_fetch(&ahead, bytes);
}

#endif
