// Copying strided blocks of elements.
#include "mk_elementwise_private.h"

// MARK: by size of the element

#define COPY_2D(T, SIZE)                                                                                               \
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
            mk_transpose(out, out_1, in, in_0, SIZE, rows, columns, false, NULL);                                      \
        } else if (in_0 == SIZE && out_1 == SIZE) {                                                                    \
            mk_transpose(out, out_0, in, in_1, SIZE, columns, rows, false, NULL);                                      \
        } else if (out_0 == SIZE && in_0 == 2 * SIZE) {                                                                \
            for (int64_t r = 0; r < rows; r++) copy_even_##SIZE(out + r * out_1, in + r * in_1, columns);              \
        } else {                                                                                                       \
            copy_short_##SIZE(out, out_0, out_1, in, in_0, in_1, rows, columns);                                       \
        }                                                                                                              \
    }

// Every second of 2 * columns elements, the first being one of them. The element after the last one is not read.
#define COPY_EVEN(T, SIZE, N, ...)                                                                                     \
    typedef T even_##SIZE __attribute__((ext_vector_type(N), aligned(SIZE), may_alias));                               \
    static void copy_even_##SIZE(char *out, const char *in, int64_t columns) {                                         \
        int64_t c = 0;                                                                                                 \
        for (; c + N < columns; c += N) {                                                                              \
            even_##SIZE low = *(const even_##SIZE *)(const void *)(in + 2 * c * SIZE);                                 \
            even_##SIZE high = *(const even_##SIZE *)(const void *)(in + (2 * c + N) * SIZE);                          \
            *(even_##SIZE *)(void *)(out + c * SIZE) = __builtin_shufflevector(low, high, __VA_ARGS__);                \
        }                                                                                                              \
        for (; c < columns; c++) ((T *)(void *)out)[c] = ((const T *)(const void *)in)[2 * c];                         \
    }

COPY_EVEN(uint8_t, 1, 8, 0, 2, 4, 6, 8, 10, 12, 14)
COPY_EVEN(uint16_t, 2, 8, 0, 2, 4, 6, 8, 10, 12, 14)
COPY_EVEN(uint32_t, 4, 4, 0, 2, 4, 6)
COPY_EVEN(uint64_t, 8, 2, 0, 2)
COPY_2D(uint8_t, 1)
COPY_2D(uint16_t, 2)
COPY_2D(uint32_t, 4)
COPY_2D(uint64_t, 8)

void mk_copy_2d(char *out, int64_t out_0, int64_t out_1, const char *in, int64_t in_0, int64_t in_1, int64_t size,
                int64_t rows, int64_t columns) {
    switch (size) {
        case 1: copy_1(out, out_0, out_1, in, in_0, in_1, rows, columns); break;
        case 2: copy_2(out, out_0, out_1, in, in_0, in_1, rows, columns); break;
        case 4: copy_4(out, out_0, out_1, in, in_0, in_1, rows, columns); break;
        default: copy_8(out, out_0, out_1, in, in_0, in_1, rows, columns); break;
    }
}
