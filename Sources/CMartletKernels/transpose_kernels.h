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

#define MK_TRANSPOSE(T, SIZE, N)                                                                                       \
    typedef T MK_FN(lanes_##SIZE) __attribute__((ext_vector_type(N)));                                                 \
    MK_INLINE void MK_FN(transpose_block_##SIZE)(char *out, int64_t out_1, const char *in, int64_t in_0,               \
                                                 bool stream) {                                                        \
        MK_FN(lanes_##SIZE) a[N], b[N];                                                                                \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < N; i++)                                                 \
            __builtin_memcpy(&a[i], in + i * in_0, sizeof a[i]);                                                       \
        _Pragma("clang loop unroll(full)") for (int pass = 1; pass < N; pass *= 2) {                                   \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < N / 2; i++) {                                       \
                b[2 * i] = __builtin_shufflevector(a[i], a[i + N / 2], LOW_##N);                                       \
                b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + N / 2], HIGH_##N);                                  \
            }                                                                                                          \
            _Pragma("clang loop unroll(full)") for (int i = 0; i < N; i++) a[i] = b[i];                                \
        }                                                                                                              \
        _Pragma("clang loop unroll(full)") for (int i = 0; i < N; i++) MK_STREAM(out + i * out_1, a[i], stream);       \
    }                                                                                                                  \
    MK_INLINE void MK_FN(transpose_blocks_##SIZE)(char *out, int64_t out_1, const char *in, int64_t in_0,              \
                                                  int64_t rows, int64_t columns, bool stream) {                        \
        int64_t c = 0;                                                                                                 \
        for (; c + N <= columns; c += N) {                                                                             \
            int64_t r = 0;                                                                                             \
            for (; r + N <= rows; r += N) {                                                                            \
                /* Lines that lie far apart are not fetched by the processor itself. Into the second level: where */   \
                /* strides are powers of two, more of them fall into one set of the first than it holds. */            \
                if (in_0 >= 1024) {                                                                                    \
                    const int64_t ahead = r + 2 * N, whole = rows / N * N;                                             \
                    const char *next =                                                                                 \
                        in + (ahead < whole ? c * in_0 + ahead * SIZE : (c + N) * in_0 + (ahead - whole) * SIZE);      \
                    for (int i = 0; i < N; i++) __builtin_prefetch(next + i * in_0, 0, 2);                             \
                }                                                                                                      \
                MK_FN(transpose_block_##SIZE)(out + r * out_1 + c * SIZE, out_1, in + c * in_0 + r * SIZE, in_0,       \
                                              stream);                                                                 \
            }                                                                                                          \
            for (; r < rows; r++)                                                                                      \
                for (int64_t i = c; i < c + N; i++)                                                                    \
                    *(T *)(out + r * out_1 + i * SIZE) = *(const T *)(in + i * in_0 + r * SIZE);                       \
        }                                                                                                              \
        for (; c < columns; c++)                                                                                       \
            for (int64_t r = 0; r < rows; r++)                                                                         \
                *(T *)(out + r * out_1 + c * SIZE) = *(const T *)(in + c * in_0 + r * SIZE);                           \
    }

#if MK_LANES == 16
#define MK_TRANSPOSE_ALL(T, SIZE)                                                                                      \
    static void MK_FN(transpose_##SIZE)(char *out, int64_t out_1, const char *in, int64_t in_0, int64_t rows,          \
                                        int64_t columns, bool stream) {                                                \
        if (stream && SIZE > 1 && (uintptr_t)out % 64 == 0 && out_1 % 64 == 0) {                                       \
            MK_FN(transpose_blocks_##SIZE)(out, out_1, in, in_0, rows, columns, true);                                 \
        } else {                                                                                                       \
            MK_FN(transpose_blocks_##SIZE)(out, out_1, in, in_0, rows, columns, false);                                \
        }                                                                                                              \
    }
#else
// A block at a time goes through a buffer where the rows of `out` lie far apart: strides that are powers of two put all
// of them in the same few cache sets, so that lines would leave the cache half written.
#define MK_TRANSPOSE_ALL(T, SIZE)                                                                                      \
    static void MK_FN(transpose_##SIZE)(char *out, int64_t out_1, const char *in, int64_t in_0, int64_t rows,          \
                                        int64_t columns, bool stream) {                                                \
        enum { WIDTH = 64, HEIGHT = 64 };                                                                              \
        (void)stream;                                                                                                  \
        if ((out_1 < 0 ? -out_1 : out_1) <= 128 * SIZE || columns < 32 || rows < 32) {                                 \
            MK_FN(transpose_blocks_##SIZE)(out, out_1, in, in_0, rows, columns, false);                                \
            return;                                                                                                    \
        }                                                                                                              \
        _Alignas(64) char buffer[HEIGHT * WIDTH * SIZE];                                                               \
        for (int64_t c = 0; c < columns; c += WIDTH) {                                                                 \
            int64_t width = columns - c < WIDTH ? columns - c : WIDTH;                                                 \
            for (int64_t r = 0; r < rows; r += HEIGHT) {                                                               \
                int64_t height = rows - r < HEIGHT ? rows - r : HEIGHT;                                                \
                MK_FN(transpose_blocks_##SIZE)(buffer, WIDTH * SIZE, in + c * in_0 + r * SIZE, in_0, height, width,    \
                                               false);                                                                 \
                char *to = out + r * out_1 + c * SIZE;                                                                 \
                for (int64_t i = 0; i < height; i++)                                                                   \
                    memcpy(to + i * out_1, buffer + i * WIDTH * SIZE, (size_t)width * SIZE);                           \
            }                                                                                                          \
        }                                                                                                              \
    }
#endif

MK_TRANSPOSE(uint8_t, 1, 16)
#if MK_LANES == 16
MK_TRANSPOSE(uint16_t, 2, 32)
MK_TRANSPOSE(uint32_t, 4, 16)
MK_TRANSPOSE(uint64_t, 8, 8)
#elif MK_LANES == 8
MK_TRANSPOSE(uint16_t, 2, 16)
MK_TRANSPOSE(uint32_t, 4, 8)
MK_TRANSPOSE(uint64_t, 8, 4)
#else
MK_TRANSPOSE(uint16_t, 2, 8)
MK_TRANSPOSE(uint32_t, 4, 4)
MK_TRANSPOSE(uint64_t, 8, 2)
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
