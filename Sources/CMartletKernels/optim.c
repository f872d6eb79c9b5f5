// Adam, SGD, RMSprop, Adagrad and the moving average of weights: one pass over memory.
#include "include/mk_optim.h"
#include "mk_rows.h"

typedef struct {
    char *param, *master;
    const char *grad;
    char *m, *v; // SGD and RMSprop: m is the momentum buffer; Adagrad: v is the sum
    char *mean;  // RMSprop
    int32_t param_dtype, grad_dtype;
    const mk_adam_options *adam;
    const mk_sgd_options *sgd;
    const mk_rmsprop_options *rmsprop;
    const mk_adagrad_options *adagrad;
} optim_job;

typedef struct {
    char *average;
    const char *value;
    int32_t average_dtype, value_dtype;
    double decay;
} ema_job;

typedef struct {
    mk_range_fn adam, sgd, rmsprop, adagrad, ema;
} optim_table;

#define MK_WANT_AVX512BF16
#define MK_REAL_KERNELS "optim_kernels.h"
#define MK_KERNELS "mk_each_real.h"
#include "mk_each_isa.h"
static const optim_table *const f32_tables[MK_ISA_COUNT] = MK_ISA_TABLES_BF16(optim_table_f32);
static const optim_table *const f64_tables[MK_ISA_COUNT] = MK_ISA_TABLES(optim_table_f64);

static optim_job make_job(const mk_tensor *param, const mk_tensor *master, const mk_tensor *grad, const mk_tensor *m,
                          const mk_tensor *v) {
    return (optim_job){
        .param = param->data,
        .master = master ? master->data : NULL,
        .grad = grad->data,
        .m = m ? m->data : NULL,
        .v = v ? v->data : NULL,
        .param_dtype = param->dtype,
        .grad_dtype = grad->dtype,
    };
}

static const optim_table *table_for(const mk_tensor *param) {
    return MK_TABLE(param->dtype == MK_F64 ? f64_tables : f32_tables);
}

void mk_adam(const mk_tensor *param, const mk_tensor *master, const mk_tensor *grad, const mk_tensor *m,
             const mk_tensor *v, mk_adam_options options) {
    optim_job job = make_job(param, master, grad, m, v);
    job.adam = &options;
    mk_parallel_range(mk_count(param), MK_GRAIN, table_for(param)->adam, &job);
}

void mk_sgd(const mk_tensor *param, const mk_tensor *master, const mk_tensor *grad, const mk_tensor *momentum_buffer,
            mk_sgd_options options) {
    optim_job job = make_job(param, master, grad, momentum_buffer, NULL);
    job.sgd = &options;
    mk_parallel_range(mk_count(param), MK_GRAIN, table_for(param)->sgd, &job);
}

void mk_rmsprop(const mk_tensor *param, const mk_tensor *master, const mk_tensor *grad, const mk_tensor *v,
                const mk_tensor *momentum_buffer, const mk_tensor *mean, mk_rmsprop_options options) {
    optim_job job = make_job(param, master, grad, momentum_buffer, v);
    job.mean = mean ? mean->data : NULL;
    job.rmsprop = &options;
    mk_parallel_range(mk_count(param), MK_GRAIN, table_for(param)->rmsprop, &job);
}

void mk_adagrad(const mk_tensor *param, const mk_tensor *master, const mk_tensor *grad, const mk_tensor *sum,
                mk_adagrad_options options) {
    optim_job job = make_job(param, master, grad, NULL, sum);
    job.adagrad = &options;
    mk_parallel_range(mk_count(param), MK_GRAIN, table_for(param)->adagrad, &job);
}

void mk_ema(const mk_tensor *average, const mk_tensor *value, double decay) {
    ema_job job = {average->data, value->data, average->dtype, value->dtype, decay};
    mk_parallel_range(mk_count(average), MK_GRAIN, table_for(average)->ema, &job);
}
