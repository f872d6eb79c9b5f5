// The structures in which libraries hand tensors to each other without copying: the ABI of DLPack (version 0.x,
// DLManagedTensor), which NumPy, PyTorch, JAX and others speak.
#ifndef MK_DLPACK_H
#define MK_DLPACK_H

#include <stdint.h>

// device_type
#define MK_DL_CPU 1
#define MK_DL_CUDA 2
#define MK_DL_CUDA_HOST 3

// dtype.code
#define MK_DL_INT 0
#define MK_DL_UINT 1
#define MK_DL_FLOAT 2
#define MK_DL_BFLOAT 4
#define MK_DL_COMPLEX 5
#define MK_DL_BOOL 6

typedef struct mk_dl_device {
    int32_t device_type;
    int32_t device_id;
} mk_dl_device;

typedef struct mk_dl_dtype {
    uint8_t code;
    uint8_t bits;
    uint16_t lanes;
} mk_dl_dtype;

typedef struct mk_dl_tensor {
    void *_Nullable data;
    mk_dl_device device;
    int32_t ndim;
    mk_dl_dtype dtype;
    int64_t *_Nullable shape;
    int64_t *_Nullable strides; // in elements; NULL: row-major
    uint64_t byte_offset;       // of the first element from `data`
} mk_dl_tensor;

typedef struct mk_dl_managed_tensor {
    mk_dl_tensor dl_tensor;
    void *_Nullable manager_ctx;
    // Called once by whoever received the structure, when it needs it no longer.
    void (*_Nullable deleter)(struct mk_dl_managed_tensor *_Nonnull self);
} mk_dl_managed_tensor;

#endif
