// See transpose.c. Included once per instruction set.

// Blocks that fill a register in both directions: element (r, c) is read at in + c * in_0 + r * SIZE and written at
// out + r * out_1 + c * SIZE. Registers of a whole cache line are written past the cache where that is asked for.
#if MK_LANES == 16
#define MK_STREAM(p, v, stream)                                                                                        \
    do {                                                                                                               \
        if (stream) __builtin_nontemporal_store(v, (__typeof__(v) *)(void *)(p));                                      \
        else __builtin_memcpy(p, &(v), sizeof(v));                                                                     \
    } while (0)
#else
#define MK_STREAM(p, v, stream) __builtin_memcpy(p, &(v), sizeof(v))
#endif

// Part g of register c * L + d becomes what was part c of register g * L + d; a part is 16 bytes.
#define MK_QUARTERS_EVEN 0, 1, 4, 5, 8, 9, 12, 13
#define MK_QUARTERS_ODD 2, 3, 6, 7, 10, 11, 14, 15
#define MK_SWAP_4(w, L)                                                                                                \
    _Pragma("clang loop unroll(full)") for (int d = 0; d < L; d++) {                                                   \
        const __auto_type even = __builtin_shufflevector(w[d], w[L + d], MK_QUARTERS_EVEN);                            \
        const __auto_type odd = __builtin_shufflevector(w[d], w[L + d], MK_QUARTERS_ODD);                              \
        const __auto_type more_even = __builtin_shufflevector(w[2 * L + d], w[3 * L + d], MK_QUARTERS_EVEN);           \
        const __auto_type more_odd = __builtin_shufflevector(w[2 * L + d], w[3 * L + d], MK_QUARTERS_ODD);             \
        w[d] = __builtin_shufflevector(even, more_even, MK_QUARTERS_EVEN);                                             \
        w[L + d] = __builtin_shufflevector(odd, more_odd, MK_QUARTERS_EVEN);                                           \
        w[2 * L + d] = __builtin_shufflevector(even, more_even, MK_QUARTERS_ODD);                                      \
        w[3 * L + d] = __builtin_shufflevector(odd, more_odd, MK_QUARTERS_ODD);                                        \
    }
#define MK_SWAP_2(w, L)                                                                                                \
    _Pragma("clang loop unroll(full)") for (int d = 0; d < L; d++) {                                                   \
        const __auto_type low = __builtin_shufflevector(w[d], w[L + d], 0, 1, 4, 5);                                   \
        w[L + d] = __builtin_shufflevector(w[d], w[L + d], 2, 3, 6, 7);                                                \
        w[d] = low;                                                                                                    \
    }
#define MK_SWAP_1(w, L)

// Of the registers of N rows each 16 bytes, L elements, are transposed with those below them by interleaving registers i
// and i + L / 2 of L, log2(L) times over; then the 16 bytes themselves change places.
#define MK_TRANSPOSE(T, SIZE, N, L, PARTS)                                                                             \
    typedef T MK_FN(lanes_##SIZE) __attribute__((ext_vector_type(N)));                                                 \
    typedef uint64_t MK_FN(words_##SIZE) __attribute__((ext_vector_type(2 * PARTS)));                                  \
    MK_INLINE void MK_FN(transpose_block_##SIZE)(char *out, int64_t out_1, const char *in, int64_t in_0,               \
                                                 bool stream) {                                                        \
        MK_FN(lanes_##SIZE) a[N], b[L];                                                                                \
        MK_FN(words_##SIZE) w[N];                                                                                      \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < N; i++)                                                 \
            __builtin_memcpy(&a[i], in + i * in_0, sizeof a[i]);                                                       \
        _Pragma("clang loop unroll(full)") for (int g = 0; g < N; g += L)                                              \
            _Pragma("clang loop unroll(full)") for (int pass = 1; pass < L; pass *= 2) {                               \
                _Pragma("clang loop unroll(full)") for (int i = 0; i < L / 2; i++) {                                   \
                    b[2 * i] = __builtin_shufflevector(a[g + i], a[g + i + L / 2], LOW_##N##_##PARTS);                 \
                    b[2 * i + 1] = __builtin_shufflevector(a[g + i], a[g + i + L / 2], HIGH_##N##_##PARTS);            \
                }                                                                                                      \
                _Pragma("clang loop unroll(full)") for (int i = 0; i < L; i++) a[g + i] = b[i];                        \
            }                                                                                                          \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < N; i++)                                                 \
            w[i] = __builtin_bit_cast(MK_FN(words_##SIZE), a[i]);                                                      \
        MK_SWAP_##PARTS(w, L)                                                                                          \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < N; i++) MK_STREAM(out + i * out_1, w[i], stream);       \
    }                                                                                                                  \
    MK_INLINE void MK_FN(transpose_blocks_##SIZE)(char *out, int64_t out_1, const char *in, int64_t in_0,              \
                                                  int64_t rows, int64_t columns, bool stream, const char *next) {      \
        /* Lines that lie far apart are not fetched by the processor itself: those of the next tile, as they follow */ \
        /* each other there, or else of the next block but one. Into the second level: where strides are powers of */  \
        /* two, more of them fall into one set of the first than it holds. */                                          \
        const int64_t length = rows / N * N * SIZE, whole = columns / N * N;                                           \
        int64_t fetched = 0, r = 0;                                                                                    \
        for (; r + N <= rows; r += N) {                                                                                \
            int64_t c = 0;                                                                                             \
            for (; c + N <= columns; c += N) {                                                                         \
                if (next) {                                                                                            \
                    for (int i = 0; i < N * N * SIZE / 64; i++, fetched += 64) {                                       \
                        if (fetched >= length) next += in_0, fetched = 0;                                              \
                        __builtin_prefetch(next + fetched, 0, 2);                                                      \
                    }                                                                                                  \
                } else if (in_0 >= 1024) {                                                                             \
                    const int64_t ahead = c + 2 * N;                                                                   \
                    const char *at =                                                                                   \
                        in + (ahead < whole ? ahead * in_0 + r * SIZE : (ahead - whole) * in_0 + (r + N) * SIZE);      \
                    for (int i = 0; i < N; i++) __builtin_prefetch(at + i * in_0, 0, 2);                               \
                }                                                                                                      \
                MK_FN(transpose_block_##SIZE)(out + r * out_1 + c * SIZE, out_1, in + c * in_0 + r * SIZE, in_0,       \
                                              stream);                                                                 \
            }                                                                                                          \
            for (; c < columns; c++)                                                                                   \
                for (int64_t i = r; i < r + N; i++)                                                                    \
                    *(T *)(out + i * out_1 + c * SIZE) = *(const T *)(in + c * in_0 + i * SIZE);                       \
        }                                                                                                              \
        for (; r < rows; r++)                                                                                          \
            for (int64_t c = 0; c < columns; c++)                                                                      \
                *(T *)(out + r * out_1 + c * SIZE) = *(const T *)(in + c * in_0 + r * SIZE);                           \
    }

#if MK_LANES == 16
#define MK_TRANSPOSE_ALL(T, SIZE)                                                                                      \
    static void MK_FN(transpose_##SIZE)(char *out, int64_t out_1, const char *in, int64_t in_0, int64_t rows,          \
                                        int64_t columns, bool stream, const char *next) {                              \
        if (stream && SIZE > 1 && (uintptr_t)out % 64 == 0 && out_1 % 64 == 0) {                                       \
            MK_FN(transpose_blocks_##SIZE)(out, out_1, in, in_0, rows, columns, true, next);                           \
        } else {                                                                                                       \
            MK_FN(transpose_blocks_##SIZE)(out, out_1, in, in_0, rows, columns, false, next);                          \
        }                                                                                                              \
    }
#else
// A block at a time goes through a buffer where the rows of `out` lie far apart: strides that are powers of two put all
// of them in the same few cache sets, so that lines would leave the cache half written.
#define MK_TRANSPOSE_ALL(T, SIZE)                                                                                      \
    static void MK_FN(transpose_##SIZE)(char *out, int64_t out_1, const char *in, int64_t in_0, int64_t rows,          \
                                        int64_t columns, bool stream, const char *next) {                              \
        enum { WIDTH = 64, HEIGHT = 64 };                                                                              \
        (void)stream;                                                                                                  \
        if ((out_1 < 0 ? -out_1 : out_1) <= 128 * SIZE || columns < 32 || rows < 32) {                                 \
            MK_FN(transpose_blocks_##SIZE)(out, out_1, in, in_0, rows, columns, false, next);                          \
            return;                                                                                                    \
        }                                                                                                              \
        _Alignas(64) char buffer[HEIGHT * WIDTH * SIZE];                                                               \
        for (int64_t c = 0; c < columns; c += WIDTH) {                                                                 \
            int64_t width = columns - c < WIDTH ? columns - c : WIDTH;                                                 \
            for (int64_t r = 0; r < rows; r += HEIGHT) {                                                               \
                int64_t height = rows - r < HEIGHT ? rows - r : HEIGHT;                                                \
                MK_FN(transpose_blocks_##SIZE)(buffer, WIDTH * SIZE, in + c * in_0 + r * SIZE, in_0, height, width,    \
                                               false, NULL);                                                           \
                char *to = out + r * out_1 + c * SIZE;                                                                 \
                for (int64_t i = 0; i < height; i++)                                                                   \
                    memcpy(to + i * out_1, buffer + i * WIDTH * SIZE, (size_t)width * SIZE);                           \
            }                                                                                                          \
        }                                                                                                              \
    }
#endif

MK_TRANSPOSE(uint8_t, 1, 16, 16, 1)
#if MK_LANES == 16
MK_TRANSPOSE(uint16_t, 2, 32, 8, 4)
MK_TRANSPOSE(uint32_t, 4, 16, 4, 4)
MK_TRANSPOSE(uint64_t, 8, 8, 2, 4)
#elif MK_LANES == 8
MK_TRANSPOSE(uint16_t, 2, 16, 8, 2)
MK_TRANSPOSE(uint32_t, 4, 8, 4, 2)
MK_TRANSPOSE(uint64_t, 8, 4, 2, 2)
#else
MK_TRANSPOSE(uint16_t, 2, 8, 8, 1)
MK_TRANSPOSE(uint32_t, 4, 4, 4, 1)
MK_TRANSPOSE(uint64_t, 8, 2, 2, 1)
#endif
MK_TRANSPOSE_ALL(uint8_t, 1)
MK_TRANSPOSE_ALL(uint16_t, 2)
MK_TRANSPOSE_ALL(uint32_t, 4)
MK_TRANSPOSE_ALL(uint64_t, 8)

static const transpose_table MK_FN(transpose_table_) = {
    {MK_FN(transpose_1), MK_FN(transpose_2), MK_FN(transpose_4), MK_FN(transpose_8)}};

#undef MK_TRANSPOSE
#undef MK_TRANSPOSE_ALL
#undef MK_STREAM
#undef MK_SWAP_4
#undef MK_SWAP_2
#undef MK_SWAP_1
#undef MK_QUARTERS_EVEN
#undef MK_QUARTERS_ODD
