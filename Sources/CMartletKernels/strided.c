// Copying strided blocks of elements.
#include "mk_elementwise_private.h"

typedef uint16_t v8u16 __attribute__((ext_vector_type(8)));
typedef uint32_t v4u32 __attribute__((ext_vector_type(4)));
typedef uint64_t v2u64 __attribute__((ext_vector_type(2)));

#define LOAD(V, p) __builtin_memcpy(&(V), p, sizeof(V))
#define STORE(p, V) __builtin_memcpy(p, &(V), sizeof(V))

// MARK: transposition of square blocks that fill vector registers: element (r, c) is read at in + c * in_0 + r * size
// and written at out + r * out_1 + c * size.

MK_INLINE void transpose_block_2(char *out, int64_t out_1, const char *in, int64_t in_0) {
    v8u16 a[8], b[8];
    for (int i = 0; i < 8; i++) LOAD(a[i], in + i * in_0);
    // Interleaving i with i + 4 three times over transposes an 8 x 8 block.
    for (int pass = 0; pass < 3; pass++) {
        for (int i = 0; i < 4; i++) {
            b[2 * i] = __builtin_shufflevector(a[i], a[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
            b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
        }
        for (int i = 0; i < 8; i++) a[i] = b[i];
    }
    for (int i = 0; i < 8; i++) STORE(out + i * out_1, a[i]);
}

MK_INLINE void transpose_block_4(char *out, int64_t out_1, const char *in, int64_t in_0) {
    v4u32 a[4], b[4];
    for (int i = 0; i < 4; i++) LOAD(a[i], in + i * in_0);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 2; i++) {
            b[2 * i] = __builtin_shufflevector(a[i], a[i + 2], 0, 4, 1, 5);
            b[2 * i + 1] = __builtin_shufflevector(a[i], a[i + 2], 2, 6, 3, 7);
        }
        for (int i = 0; i < 4; i++) a[i] = b[i];
    }
    for (int i = 0; i < 4; i++) STORE(out + i * out_1, a[i]);
}

MK_INLINE void transpose_block_8(char *out, int64_t out_1, const char *in, int64_t in_0) {
    v2u64 a, b;
    LOAD(a, in);
    LOAD(b, in + in_0);
    v2u64 low = __builtin_shufflevector(a, b, 0, 2), high = __builtin_shufflevector(a, b, 1, 3);
    STORE(out, low);
    STORE(out + out_1, high);
}

// MARK: by size of the element

// A block of a transposition at a time goes through a buffer where the rows of `out` lie far apart: strides that are
// powers of two put all of them in the same few cache sets, so that lines would leave the cache half written. For the
// same reason a few lines of `in` are read to their end before the next ones.
#define COPY_2D(T, SIZE, BLOCK, TRANSPOSE_BLOCK)                                                                       \
    static void transpose_near_##SIZE(char *out, int64_t out_1, const char *in, int64_t in_0, int64_t rows,            \
                                      int64_t columns) {                                                               \
        int64_t c = 0;                                                                                                 \
        for (; c + BLOCK <= columns; c += BLOCK) {                                                                     \
            int64_t r = 0;                                                                                             \
            for (; r + BLOCK <= rows; r += BLOCK) {                                                                    \
                TRANSPOSE_BLOCK(out + r * out_1 + c * SIZE, out_1, in + c * in_0 + r * SIZE, in_0);                    \
            }                                                                                                          \
            for (; r < rows; r++) {                                                                                    \
                for (int64_t i = c; i < c + BLOCK; i++) {                                                              \
                    *(T *)(out + r * out_1 + i * SIZE) = *(const T *)(in + i * in_0 + r * SIZE);                       \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        for (; c < columns; c++) {                                                                                     \
            for (int64_t r = 0; r < rows; r++) {                                                                       \
                *(T *)(out + r * out_1 + c * SIZE) = *(const T *)(in + c * in_0 + r * SIZE);                           \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void transpose_##SIZE(char *out, int64_t out_1, const char *in, int64_t in_0, int64_t rows,                 \
                                 int64_t columns) {                                                                    \
        enum { WIDTH = 128, HEIGHT = SIZE == 8 ? 32 : 64 };                                                            \
        if ((out_1 < 0 ? -out_1 : out_1) <= WIDTH * SIZE || columns < 32 || rows < 32) {                               \
            transpose_near_##SIZE(out, out_1, in, in_0, rows, columns);                                                \
            return;                                                                                                    \
        }                                                                                                              \
        _Alignas(64) char buffer[HEIGHT * WIDTH * SIZE];                                                               \
        for (int64_t c = 0; c < columns; c += WIDTH) {                                                                 \
            int64_t width = columns - c < WIDTH ? columns - c : WIDTH;                                                 \
            for (int64_t r = 0; r < rows; r += HEIGHT) {                                                               \
                int64_t height = rows - r < HEIGHT ? rows - r : HEIGHT;                                                \
                transpose_near_##SIZE(buffer, WIDTH * SIZE, in + c * in_0 + r * SIZE, in_0, height, width);            \
                char *to = out + r * out_1 + c * SIZE;                                                                 \
                for (int64_t i = 0; i < height; i++) {                                                                 \
                    memcpy(to + i * out_1, buffer + i * WIDTH * SIZE, (size_t)width * SIZE);                           \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    /* Rows so short that a call or the entry of a vector loop would cost more than the elements. */                   \
    MK_INLINE void copy_short_##SIZE(char *out, int64_t out_0, int64_t out_1, const char *in, int64_t in_0,            \
                                     int64_t in_1, int64_t rows, int64_t columns) {                                    \
        for (int64_t r = 0; r < rows; r++) {                                                                           \
            T *to = (T *)(out + r * out_1);                                                                            \
            const char *from = in + r * in_1;                                                                          \
            _Pragma("clang loop vectorize(disable)") for (int64_t c = 0; c < columns; c++) {                           \
                T value = *(const T *)(from + c * in_0);                                                               \
                /* Keeps the compiler from recognizing memcpy. */                                                      \
                __asm__("" : "+r"(value));                                                                             \
                *(T *)((char *)to + c * out_0) = value;                                                                \
            }                                                                                                          \
        }                                                                                                              \
    }                                                                                                                  \
    static void copy_##SIZE(char *out, int64_t out_0, int64_t out_1, const char *in, int64_t in_0, int64_t in_1,       \
                            int64_t rows, int64_t columns) {                                                           \
        if (in_1 == 0 && rows > 2 && out_0 == SIZE && out_1 == columns * SIZE) {                                       \
            /* One row repeated without gaps: write it once, then double what is there. */                             \
            copy_##SIZE(out, out_0, out_1, in, in_0, 0, 1, columns);                                                   \
            int64_t done = out_1, all = rows * out_1;                                                                  \
            while (done < all) {                                                                                       \
                int64_t n = done < all - done ? done : all - done;                                                     \
                memcpy(out + done, out, (size_t)n);                                                                    \
                done += n;                                                                                             \
            }                                                                                                          \
        } else if (out_0 == SIZE && in_0 == SIZE) {                                                                    \
            if (columns * SIZE < 64) copy_short_##SIZE(out, SIZE, out_1, in, SIZE, in_1, rows, columns);               \
            else for (int64_t r = 0; r < rows; r++) memcpy(out + r * out_1, in + r * in_1, (size_t)columns * SIZE);    \
        } else if (out_0 == SIZE && in_0 == 0) {                                                                       \
            if (columns * SIZE < 64) {                                                                                 \
                copy_short_##SIZE(out, SIZE, out_1, in, 0, in_1, rows, columns);                                       \
                return;                                                                                                \
            }                                                                                                          \
            for (int64_t r = 0; r < rows; r++) {                                                                       \
                T value = *(const T *)(in + r * in_1);                                                                 \
                T *to = (T *)(out + r * out_1);                                                                        \
                for (int64_t c = 0; c < columns; c++) to[c] = value;                                                   \
            }                                                                                                          \
        } else if (out_0 == SIZE && in_1 == SIZE) {                                                                    \
            transpose_##SIZE(out, out_1, in, in_0, rows, columns);                                                     \
        } else if (in_0 == SIZE && out_1 == SIZE) {                                                                    \
            transpose_##SIZE(out, out_0, in, in_1, columns, rows);                                                     \
        } else {                                                                                                       \
            copy_short_##SIZE(out, out_0, out_1, in, in_0, in_1, rows, columns);                                       \
        }                                                                                                              \
    }

#define ONE_BYTE(out, out_1, in, in_0) ((void)(out_1), (void)(in_0), (void)(*(out) = *(in)))
COPY_2D(uint8_t, 1, 1, ONE_BYTE)
COPY_2D(uint16_t, 2, 8, transpose_block_2)
COPY_2D(uint32_t, 4, 4, transpose_block_4)
COPY_2D(uint64_t, 8, 2, transpose_block_8)

void mk_copy_2d(char *out, int64_t out_0, int64_t out_1, const char *in, int64_t in_0, int64_t in_1, int64_t size,
                int64_t rows, int64_t columns) {
    switch (size) {
        case 1: copy_1(out, out_0, out_1, in, in_0, in_1, rows, columns); break;
        case 2: copy_2(out, out_0, out_1, in, in_0, in_1, rows, columns); break;
        case 4: copy_4(out, out_0, out_1, in, in_0, in_1, rows, columns); break;
        default: copy_8(out, out_0, out_1, in, in_0, in_1, rows, columns); break;
    }
}
