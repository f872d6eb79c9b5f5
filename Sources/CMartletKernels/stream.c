// Stores past the caches.
//
// A processor reads a cache line before it writes into it. Where an output is so large that nothing of it would be in a
// cache when it is read next, that reading is for nothing: whole lines written past the caches do without, so that a
// large copy moves two bytes where it would move three. Kernels compute a piece in the first-level cache and stream it
// out.
#include "mk_stream.h"

#include <string.h>

typedef struct {
    mk_stream_lines lines;
} stream_table;

#define MK_KERNELS "stream_kernels.h"
#include "mk_each_isa.h"
static const stream_table *const stream_tables[MK_ISA_COUNT] = MK_ISA_TABLES(stream_table_);

// As much as cores that share a cache usually have there. What the system says counts the caches of all cores together.
#define STREAM_BYTES (INT64_C(32) << 20)

bool mk_is_large(const mk_tensor *t) { return mk_count(t) * mk_size_of(t->dtype) >= STREAM_BYTES; }

bool mk_streams(const mk_tensor *out, int32_t count, const mk_tensor *const *in) {
    if (!mk_is_large(out)) return false;
    // Lines that were read a moment ago are in the cache already.
    for (int32_t k = 0; k < count; k++)
        if (in[k]->data == out->data) return false;
    return true;
}

mk_stream_lines mk_stream_lines_now(void) { return MK_TABLE(stream_tables)->lines; }

void mk_stream_fetching(void *out, const void *in, int64_t bytes, const void *next) {
    const int64_t misaligned = (int64_t)((uintptr_t)out % 64), head = misaligned == 0 ? 0 : 64 - misaligned;
    if (bytes < head + 64) {
        memcpy(out, in, (size_t)bytes);
        return;
    }
    const int64_t lines = (bytes - head) / 64 * 64, tail = bytes - head - lines;
    if (head > 0) memcpy(out, in, (size_t)head);
    MK_TABLE(stream_tables)->lines((char *)out + head, (const char *)in + head, lines,
                                   next ? (const char *)next + head : NULL);
    if (tail > 0) memcpy((char *)out + head + lines, (const char *)in + head + lines, (size_t)tail);
}
