// Elements begin..<end of a step, in pieces that stay in the first-level cache; see optim.c.
#undef OPTIM_PIECE
#define OPTIM_PIECE 1024

// The piece of the parameter to compute with: the master copy, the parameter itself, or its values in `buffer`.
MK_INLINE REAL *RFN(optim_load)(const optim_job *job, REAL *buffer, int64_t at, int64_t n) {
    if (job->master) return (REAL *)job->master + at;
    char *from = job->param + at * mk_size_of(job->param_dtype);
    if (job->param_dtype == REAL_DTYPE) return (REAL *)from;
    RFN(convert_in)(buffer, from, job->param_dtype, n);
    return buffer;
}
MK_INLINE void RFN(optim_store)(const optim_job *job, const REAL *p, int64_t at, int64_t n) {
    RFN(row_out)(job->param + at * mk_size_of(job->param_dtype), job->param_dtype, p, n, false);
}

static void RFN(adam_range)(void *context, int64_t begin, int64_t end) {
    const optim_job *job = context;
    const mk_adam_options *o = job->adam;
    const REAL beta1 = (REAL)o->beta1, beta2 = (REAL)o->beta2, rest1 = (REAL)(1 - o->beta1),
               rest2 = (REAL)(1 - o->beta2);
    const REAL step = (REAL)(o->lr / o->bias_correction1), eps = (REAL)o->eps, grad_scale = (REAL)o->grad_scale;
    const REAL root = (REAL)(1 / sqrt(o->bias_correction2));
    const REAL keep = o->decoupled ? (REAL)(1 - o->lr * o->weight_decay) : 1;
    const REAL decay = o->decoupled ? 0 : (REAL)o->weight_decay;
    _Alignas(64) REAL grads[OPTIM_PIECE], params[OPTIM_PIECE];
    for (int64_t at = begin; at < end; at += OPTIM_PIECE) {
        const int64_t n = mk_min64(OPTIM_PIECE, end - at);
        const REAL *g = RFN(row_in)(grads, job->grad + at * mk_size_of(job->grad_dtype), job->grad_dtype, n);
        REAL *p = RFN(optim_load)(job, params, at, n), *m = (REAL *)job->m + at, *v = (REAL *)job->v + at;
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) {
            const REAL gradient = g[i] * grad_scale + decay * p[i];
            const REAL m1 = beta1 * m[i] + rest1 * gradient;
            const REAL v1 = beta2 * v[i] + rest2 * (gradient * gradient);
            m[i] = m1;
            v[i] = v1;
            p[i] = p[i] * keep - step * (m1 / (RFN(sqrt)(v1) * root + eps));
        }
        RFN(optim_store)(job, p, at, n);
    }
}

static void RFN(sgd_range)(void *context, int64_t begin, int64_t end) {
    const optim_job *job = context;
    const mk_sgd_options *o = job->sgd;
    const REAL lr = (REAL)o->lr, momentum = (REAL)o->momentum, grad_scale = (REAL)o->grad_scale;
    const REAL decay = (REAL)o->weight_decay, fresh = o->first_step ? 1 : (REAL)(1 - o->dampening);
    const REAL old = o->first_step ? 0 : momentum;
    // Nesterov looks one step ahead: gradient + momentum * buffer.
    const REAL ahead = o->nesterov ? momentum : 1, own = o->nesterov ? 1 : 0;
    _Alignas(64) REAL grads[OPTIM_PIECE], params[OPTIM_PIECE];
    for (int64_t at = begin; at < end; at += OPTIM_PIECE) {
        const int64_t n = mk_min64(OPTIM_PIECE, end - at);
        const REAL *g = RFN(row_in)(grads, job->grad + at * mk_size_of(job->grad_dtype), job->grad_dtype, n);
        REAL *p = RFN(optim_load)(job, params, at, n), *buffer = (REAL *)job->m;
        if (!buffer) {
            REAL_LOOP
            for (int64_t i = 0; i < n; i++) p[i] -= lr * (g[i] * grad_scale + decay * p[i]);
        } else if (o->first_step) {
            // What the buffer holds is not read: it may be anything.
            buffer += at;
            REAL_LOOP
            for (int64_t i = 0; i < n; i++) {
                const REAL gradient = g[i] * grad_scale + decay * p[i];
                buffer[i] = gradient;
                p[i] -= lr * (own * gradient + ahead * gradient);
            }
        } else {
            buffer += at;
            REAL_LOOP
            for (int64_t i = 0; i < n; i++) {
                const REAL gradient = g[i] * grad_scale + decay * p[i];
                const REAL b = old * buffer[i] + fresh * gradient;
                buffer[i] = b;
                p[i] -= lr * (own * gradient + ahead * b);
            }
        }
        RFN(optim_store)(job, p, at, n);
    }
}

static void RFN(rmsprop_range)(void *context, int64_t begin, int64_t end) {
    const optim_job *job = context;
    const mk_rmsprop_options *o = job->rmsprop;
    const REAL alpha = (REAL)o->alpha, rest = (REAL)(1 - o->alpha), eps = (REAL)o->eps, lr = (REAL)o->lr;
    const REAL momentum = (REAL)o->momentum, decay = (REAL)o->weight_decay, grad_scale = (REAL)o->grad_scale;
    _Alignas(64) REAL grads[OPTIM_PIECE], params[OPTIM_PIECE], steps[OPTIM_PIECE];
    for (int64_t at = begin; at < end; at += OPTIM_PIECE) {
        const int64_t n = mk_min64(OPTIM_PIECE, end - at);
        const REAL *g = RFN(row_in)(grads, job->grad + at * mk_size_of(job->grad_dtype), job->grad_dtype, n);
        REAL *p = RFN(optim_load)(job, params, at, n), *v = (REAL *)job->v + at;
        if (job->mean) {
            REAL *mean = (REAL *)job->mean + at;
            REAL_LOOP
            for (int64_t i = 0; i < n; i++) {
                const REAL gradient = g[i] * grad_scale + decay * p[i];
                const REAL v1 = alpha * v[i] + rest * (gradient * gradient);
                const REAL m1 = alpha * mean[i] + rest * gradient;
                const REAL variance = v1 - m1 * m1;
                v[i] = v1;
                mean[i] = m1;
                // Rounding may leave a constant gradient a variance below 0.
                steps[i] = gradient / (RFN(sqrt)(variance > 0 ? variance : 0) + eps);
            }
        } else {
            REAL_LOOP
            for (int64_t i = 0; i < n; i++) {
                const REAL gradient = g[i] * grad_scale + decay * p[i];
                const REAL v1 = alpha * v[i] + rest * (gradient * gradient);
                v[i] = v1;
                steps[i] = gradient / (RFN(sqrt)(v1) + eps);
            }
        }
        if (job->m) {
            REAL *buffer = (REAL *)job->m + at;
            REAL_LOOP
            for (int64_t i = 0; i < n; i++) {
                const REAL b = momentum * buffer[i] + steps[i];
                buffer[i] = b;
                p[i] -= lr * b;
            }
        } else {
            REAL_LOOP
            for (int64_t i = 0; i < n; i++) p[i] -= lr * steps[i];
        }
        RFN(optim_store)(job, p, at, n);
    }
}

static void RFN(adagrad_range)(void *context, int64_t begin, int64_t end) {
    const optim_job *job = context;
    const mk_adagrad_options *o = job->adagrad;
    const REAL lr = (REAL)o->lr, eps = (REAL)o->eps, decay = (REAL)o->weight_decay, grad_scale = (REAL)o->grad_scale;
    _Alignas(64) REAL grads[OPTIM_PIECE], params[OPTIM_PIECE];
    for (int64_t at = begin; at < end; at += OPTIM_PIECE) {
        const int64_t n = mk_min64(OPTIM_PIECE, end - at);
        const REAL *g = RFN(row_in)(grads, job->grad + at * mk_size_of(job->grad_dtype), job->grad_dtype, n);
        REAL *p = RFN(optim_load)(job, params, at, n), *sum = (REAL *)job->v + at;
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) {
            const REAL gradient = g[i] * grad_scale + decay * p[i];
            const REAL s = sum[i] + gradient * gradient;
            sum[i] = s;
            p[i] -= lr * (gradient / (RFN(sqrt)(s) + eps));
        }
        RFN(optim_store)(job, p, at, n);
    }
}

static void RFN(ema_range)(void *context, int64_t begin, int64_t end) {
    const ema_job *job = context;
    const REAL decay = (REAL)job->decay, rest = (REAL)(1 - job->decay);
    _Alignas(64) REAL averages[OPTIM_PIECE], values[OPTIM_PIECE];
    for (int64_t at = begin; at < end; at += OPTIM_PIECE) {
        const int64_t n = mk_min64(OPTIM_PIECE, end - at);
        char *place = job->average + at * mk_size_of(job->average_dtype);
        const REAL *old = RFN(row_in)(averages, place, job->average_dtype, n);
        const REAL *value = RFN(row_in)(values, job->value + at * mk_size_of(job->value_dtype), job->value_dtype, n);
        REAL *new = RFN(row_target)(averages, place, job->average_dtype, false);
        REAL_LOOP
        for (int64_t i = 0; i < n; i++) new[i] = decay *old[i] + rest *value[i];
        RFN(row_out)(place, job->average_dtype, new, n, false);
    }
}

static const optim_table RFN(optim_table) = {RFN(adam_range), RFN(sgd_range), RFN(rmsprop_range),
                                             RFN(adagrad_range), RFN(ema_range)};
