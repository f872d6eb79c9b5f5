// The public elementwise operations: choose a kernel and the type of the computation, then run it.
#include <stdio.h>
#include <stdlib.h>

#include "mk_elementwise_private.h"

// Elements per chunk for kernels that call the mathematical library: about 10 ns each.
#define LIBRARY_GRAIN 8192
// The same for functions that vectorize: several times the arithmetic of a sum.
#define FUNCTION_GRAIN 24576

// The type in which a dtype is computed.
MK_INLINE int32_t computed(int32_t dtype) { return mk_is_half(dtype) ? MK_F32 : dtype; }

static _Noreturn void undefined(const char *function, int op, int32_t dtype) {
    fprintf(stderr, "%s: operation %d is not defined for dtype %d\n", function, op, dtype);
    abort();
}

// MARK: unary

void mk_unary(mk_unary_op op, const mk_tensor *out, const mk_tensor *a) {
    if (mk_is_half(a->dtype)) {
        mk_kernel kernel = mk_half_unary(op, a->dtype);
        if (kernel.run != NULL) {
            const mk_tensor *tensors[] = {out, a};
            int32_t compute[] = {a->dtype, a->dtype};
            mk_elementwise(kernel, NULL, 2, tensors, compute, MK_GRAIN);
            return;
        }
    }
    int32_t dtype = computed(a->dtype);
    mk_kernel kernel = mk_is_float(dtype) ? mk_float_unary(op, dtype) : mk_integer_unary(op, dtype);
    if (kernel.run == NULL) undefined("mk_unary", op, a->dtype);
    const mk_tensor *tensors[] = {out, a};
    int32_t compute[] = {computed(out->dtype), dtype};
    bool library = (dtype == MK_F64 && op >= MK_EXP && op <= MK_GELU_TANH) ||
                   (dtype == MK_F32 && op >= MK_TAN && op <= MK_ERFINV && op != MK_TANH && op != MK_ERF);
    bool function = op >= MK_EXP && op <= MK_GELU_TANH && (op < MK_SQRT || op > MK_RECIPROCAL);
    mk_elementwise(kernel, NULL, 2, tensors, compute, library ? LIBRARY_GRAIN : function ? FUNCTION_GRAIN : MK_GRAIN);
}

// MARK: binary

// dtype: the type of the computation.
static void run_binary(mk_binary_op op, const mk_tensor *out, const mk_tensor *a, const mk_tensor *b, int32_t dtype) {
    mk_kernel kernel = {NULL};
    if (mk_is_half(dtype)) {
        kernel = mk_half_binary(op, dtype);
        if (kernel.run == NULL) dtype = MK_F32;
    }
    if (kernel.run == NULL) kernel = mk_is_float(dtype) ? mk_float_binary(op, dtype) : mk_integer_binary(op, dtype);
    if (kernel.run == NULL) undefined("mk_binary", op, dtype);
    const mk_tensor *tensors[] = {out, a, b};
    int32_t compute[] = {out->dtype == MK_BOOL ? MK_BOOL : dtype, dtype, dtype};
    bool library = (op >= MK_FLOOR_DIV && op <= MK_POW) || op == MK_ATAN2 || op == MK_HYPOT;
    bool function = op >= MK_SILU_BACKWARD && op <= MK_SOFTPLUS_BACKWARD;
    mk_elementwise(kernel, NULL, 3, tensors, compute, library ? LIBRARY_GRAIN : function ? FUNCTION_GRAIN : MK_GRAIN);
}

void mk_binary(mk_binary_op op, const mk_tensor *out, const mk_tensor *a, const mk_tensor *b) {
    run_binary(op, out, a, b, a->dtype);
}

// x ** y for the exponents that are cheaper as something else.
static bool run_power(const mk_tensor *out, const mk_tensor *a, double exponent) {
    if (exponent == 2.0) mk_unary(MK_SQUARE, out, a);
    else if (exponent == 0.5) mk_unary(MK_SQRT, out, a);
    else if (exponent == -0.5) mk_unary(MK_RSQRT, out, a);
    else if (exponent == -1.0) mk_unary(MK_RECIPROCAL, out, a);
    else return false;
    return true;
}

void mk_binary_scalar(mk_binary_op op, const mk_tensor *out, const mk_tensor *a, mk_scalar scalar,
                      bool scalar_on_left) {
    int32_t dtype = computed(a->dtype);
    if (op == MK_POW && !scalar_on_left && mk_is_float(dtype) && run_power(out, a, scalar.d)) return;
    uint64_t value;
    mk_scalar_store(&value, dtype, scalar);
    if (mk_is_half(a->dtype)) {
        // A scalar that the half type holds exactly needs no more precision than that.
        uint64_t half;
        float wide, back;
        memcpy(&wide, &value, sizeof(wide));
        mk_convert(&half, a->dtype, &wide, MK_F32, 1);
        mk_convert(&back, MK_F32, &half, a->dtype, 1);
        if (back == wide) {
            value = half;
            dtype = a->dtype;
        }
    }
    mk_tensor constant = {.data = &value, .dtype = dtype, .rank = out->rank};
    for (int32_t d = 0; d < out->rank; d++) constant.shape[d] = out->shape[d];
    if (scalar_on_left) run_binary(op, out, &constant, a, dtype);
    else run_binary(op, out, a, &constant, dtype);
}

// MARK: more operands

void mk_where(const mk_tensor *out, const mk_tensor *condition, const mk_tensor *a, const mk_tensor *b) {
    const mk_tensor *tensors[] = {out, condition, a, b};
    // Values are moved, not computed with, so half types need no conversion.
    int32_t compute[] = {out->dtype, MK_BOOL, out->dtype, out->dtype};
    mk_elementwise(mk_where_kernel(mk_size_of(out->dtype)), NULL, 4, tensors, compute, MK_GRAIN);
}

void mk_clamp(const mk_tensor *out, const mk_tensor *a, mk_scalar low, mk_scalar high) {
    int32_t dtype = computed(a->dtype);
    mk_kernel kernel = mk_is_float(dtype) ? mk_float_clamp(dtype) : mk_integer_clamp(dtype);
    if (kernel.run == NULL) undefined("mk_clamp", 0, a->dtype);
    const mk_tensor *tensors[] = {out, a};
    int32_t compute[] = {dtype, dtype};
    mk_scalar bounds[] = {low, high};
    mk_elementwise(kernel, bounds, 2, tensors, compute, MK_GRAIN);
}

static void run_fused(const char *function, mk_fused_op op, int32_t operands, const mk_tensor *const *tensors,
                      double alpha) {
    int32_t dtype = MK_F32;
    for (int32_t k = 0; k < operands; k++) {
        if (!mk_is_float(tensors[k]->dtype)) undefined(function, op, tensors[k]->dtype);
        if (tensors[k]->dtype == MK_F64) dtype = MK_F64;
    }
    int32_t compute[] = {dtype, dtype, dtype, dtype};
    mk_elementwise(mk_float_fused(op, dtype), &alpha, operands, tensors, compute, MK_GRAIN);
}

void mk_addcmul(const mk_tensor *out, const mk_tensor *a, const mk_tensor *b, const mk_tensor *c, double alpha) {
    const mk_tensor *tensors[] = {out, a, b, c};
    run_fused("mk_addcmul", MK_ADDCMUL, 4, tensors, alpha);
}

void mk_addcdiv(const mk_tensor *out, const mk_tensor *a, const mk_tensor *b, const mk_tensor *c, double alpha) {
    const mk_tensor *tensors[] = {out, a, b, c};
    run_fused("mk_addcdiv", MK_ADDCDIV, 4, tensors, alpha);
}

void mk_axpy(const mk_tensor *out, const mk_tensor *a, const mk_tensor *b, double alpha) {
    const mk_tensor *tensors[] = {out, a, b};
    run_fused("mk_axpy", MK_AXPY, 3, tensors, alpha);
}
