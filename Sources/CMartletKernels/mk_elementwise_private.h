// What the elementwise kernels share among themselves.
#ifndef MK_ELEMENTWISE_PRIVATE_H
#define MK_ELEMENTWISE_PRIVATE_H

#include "include/mk_elementwise.h"
#include "mk_simd.h"

// Most elements of eight bytes that are staged at once where an operand has to be gathered or converted.
#define MK_TILE 4096

#define MK_UNARY_COUNT (MK_IS_FINITE + 1)
#define MK_BINARY_COUNT (MK_LOGICAL_XOR + 1)

// Computes n contiguous elements. The operands are of the kernel's own types; `out` may equal an input.
typedef void (*mk_run)(void *out, const void *const *in, int64_t n, const void *parameters);
typedef struct mk_kernel {
    mk_run run; // NULL where there is none
    // The same past the caches, or NULL: `out` begins with a cache line and its elements are whole blocks of MK_PAST_BYTES.
    mk_run past;
} mk_kernel;
#define MK_PAST_BYTES 128

// Contiguous conversion between any two dtypes; out and in do not overlap.
void mk_convert(void *out, int32_t to, const void *in, int32_t from, int64_t n);
// The same past the caches, as the second of mk_kernel, or NULL.
mk_run mk_convert_past(int32_t to, int32_t from);
// Stores `value`, converted to `dtype`, in *out (8 bytes).
void mk_scalar_store(void *out, int32_t dtype, mk_scalar value);

// Copies rows x columns elements of `size` bytes; the strides are in bytes, [0] along a row and [1] from row to row.
void mk_copy_2d(char *out, int64_t out_0, int64_t out_1, const char *in, int64_t in_0, int64_t in_1, int64_t size,
                int64_t rows, int64_t columns);
// The same where rows of `in` are columns of `out`: element (r, c) goes from in + c * in_0 + r * size to
// out + r * out_1 + c * size. With `stream`, past the caches where the processor can: for outputs larger than they are.
// `next`, unless NULL: where as many elements begin that come next and are fetched meanwhile.
void mk_transpose(char *out, int64_t out_1, const char *in, int64_t in_0, int64_t size, int64_t rows, int64_t columns,
                  bool stream, const char *next);

// Kernels by operation and dtype of the computation, none where an operation is not defined for the dtype.
mk_kernel mk_float_unary(mk_unary_op op, int32_t dtype);
mk_kernel mk_float_binary(mk_binary_op op, int32_t dtype);
// The same for operands of a half type that are not converted to float first: only for some operations.
mk_kernel mk_half_unary(mk_unary_op op, int32_t dtype);
mk_kernel mk_half_binary(mk_binary_op op, int32_t dtype);
mk_kernel mk_integer_unary(mk_unary_op op, int32_t dtype);
mk_kernel mk_integer_binary(mk_binary_op op, int32_t dtype);
typedef enum { MK_ADDCMUL, MK_ADDCDIV, MK_AXPY } mk_fused_op;
mk_kernel mk_float_fused(mk_fused_op op, int32_t dtype); // parameters: const double *alpha
mk_kernel mk_float_clamp(int32_t dtype);                 // parameters: const mk_scalar[2]
mk_kernel mk_integer_clamp(int32_t dtype);
mk_kernel mk_where_kernel(int64_t size);

// Runs the kernel over the common index space of tensors[0] (out) and tensors[1...]. `compute[k]` is the dtype in which
// the kernel sees operand k. `grain` is how many elements a chunk has: less than MK_GRAIN for expensive kernels.
void mk_elementwise(mk_kernel kernel, const void *parameters, int32_t operands, const mk_tensor *const *tensors,
                    const int32_t *compute, int64_t grain);

#endif
