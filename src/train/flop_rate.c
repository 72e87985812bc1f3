#include "boltzmap/train/flop_rate.h"

#include <cblas.h>
#include <math.h>
#include <time.h>

#include "boltzmap/base/memory.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/log.h"

#define BM_SECONDS 0.5    /* of bm_flop_sgemm_rate */
#define BM_BLOCK_FLOP 2e7 /* operations between two looks at the clock: about a millisecond */
#define BM_WARM_UP 512    /* rows and columns of a product that touches all of OpenBLAS's buffer */

#if defined __AVX512F__
#define BM_VECTOR_BYTES 64
#elif defined __AVX__
#define BM_VECTOR_BYTES 32
#else
#define BM_VECTOR_BYTES 16
#endif
#ifdef __clang__ /* which halves wide vectors where it thinks that they lower the clock */
#define BM_KEEP_WIDTH __attribute__((__min_vector_width__(8 * BM_VECTOR_BYTES)))
#else
#define BM_KEEP_WIDTH
#endif
/* Chains of dependent multiply-adds: two units of four or five cycles want 8 to 10. They are variables,
 * not an array, so that they stay in registers with any optimisation. */
#define BM_CHAINS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define BM_CHAIN_COUNT 12
#define BM_PEAK_ROUNDS 500000L /* about a millisecond */

typedef bm_real_t vector_t __attribute__((vector_size(BM_VECTOR_BYTES)));

/* c[m][n] = op(a)·op(b), as cblas takes it. */
typedef struct {
  CBLAS_TRANSPOSE ta, tb;
  size_t m, n, k;
  bm_real_t *a, *b, *c;
} gemm_t;

static double flop_per_sample(const bm_flow_shape_t *shape, double per_weight)
{
  double flop = 0.0;
  for (size_t k = 0; k < shape->layers; k++) {
    bm_network_shape_t network = bm_flow_conditioner(shape, k);
    for (size_t l = 0; l <= network.hidden_count; l++) {
      flop += 2.0 * per_weight * (double)bm_network_width_in(&network, l) *
              (double)bm_network_width_out(&network, l);
    }
  }
  return flop;
}

double bm_flop_training_per_sample(const bm_flow_shape_t *shape)
{
  return flop_per_sample(shape, 2.0 * BM_PRODUCTS);
}

double bm_flop_generation_per_sample(const bm_flow_shape_t *shape)
{
  return flop_per_sample(shape, 2.0);
}

static gemm_t gemm_of(bm_flop_product_t product, size_t in, size_t out, size_t rows)
{
  switch (product) {
  case BM_PRODUCT_FORWARD:
    return (gemm_t){CblasNoTrans, CblasNoTrans, rows, out, in, NULL, NULL, NULL};
  case BM_PRODUCT_DATA:
    return (gemm_t){CblasNoTrans, CblasTrans, rows, in, out, NULL, NULL, NULL};
  default:
    return (gemm_t){CblasTrans, CblasNoTrans, in, out, rows, NULL, NULL, NULL};
  }
}

static void call(const gemm_t *gemm)
{
  int m = (int)gemm->m;
  int n = (int)gemm->n;
  int k = (int)gemm->k;
  int lda = gemm->ta == CblasTrans ? m : k;
  int ldb = gemm->tb == CblasTrans ? k : n;
#ifdef BM_REAL_IS_DOUBLE
  cblas_dgemm(CblasRowMajor, gemm->ta, gemm->tb, m, n, k, 1.0, gemm->a, lda, gemm->b, ldb, 0.0,
              gemm->c, n);
#else
  cblas_sgemm(CblasRowMajor, gemm->ta, gemm->tb, m, n, k, 1.0f, gemm->a, lda, gemm->b, ldb, 0.0f,
              gemm->c, n);
#endif
}

/* Operands that are neither zero nor denormal. */
static bm_status_t allocate(gemm_t *gemm)
{
  size_t counts[2] = {gemm->m * gemm->k, gemm->k * gemm->n};
  bm_real_t **operands[2] = {&gemm->a, &gemm->b};
  for (int i = 0; i < 2; i++) {
    BM_TRY(BM_ALLOC(counts[i], operands[i]));
    for (size_t j = 0; j < counts[i]; j++) {
      (*operands[i])[j] = (bm_real_t)(1.0 + (double)(j % 7) / 8.0);
    }
  }
  return BM_ALLOC(gemm->m * gemm->n, &gemm->c);
}

static void release(gemm_t *gemm)
{
  bm_free(gemm->a);
  bm_free(gemm->b);
  bm_free(gemm->c);
}

/* In a process that has made small products only, OpenBLAS 0.3 is up to three times slower at them on
 * virtual machines than after a large one (its kernels prefetch beyond what they packed, into pages
 * never touched). The peer gets its best. */
static bm_status_t warm_up(void)
{
  gemm_t gemm = {CblasNoTrans, CblasNoTrans, BM_WARM_UP, BM_WARM_UP, BM_WARM_UP, NULL, NULL, NULL};
  bm_status_t status = allocate(&gemm);
  if (status == BM_OK) {
    call(&gemm);
  }
  release(&gemm);
  return status;
}

double bm_flop_clock(void)
{
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double shortest_call(const gemm_t *gemm, double seconds)
{
  double flop = 2.0 * (double)gemm->m * (double)gemm->n * (double)gemm->k;
  int calls = 1 + (int)(BM_BLOCK_FLOP / flop);
  double shortest = INFINITY;
  double end = bm_log_clock() + seconds;
  call(gemm); /* caches */
  do {
    double before = bm_flop_clock();
    for (int i = 0; i < calls; i++) {
      call(gemm);
    }
    shortest = fmin(shortest, (bm_flop_clock() - before) / calls);
  } while (bm_log_clock() < end);
  return shortest;
}

/* Seconds of one product on this rank, with all ranks at work: they begin together, having just
 * agreed. */
static bm_status_t product_time(const bm_context_t *context, gemm_t gemm, double seconds,
                                double *time)
{
  int threads = openblas_get_num_threads();
  openblas_set_num_threads(1);
  bm_status_t status = warm_up();
  if (status == BM_OK) {
    status = allocate(&gemm);
  }
  status = bm_agree(context, status);
  if (status == BM_OK) {
    *time = shortest_call(&gemm, seconds);
  }
  release(&gemm);
  openblas_set_num_threads(threads);
  return status;
}

static bm_status_t over_ranks(const bm_context_t *context, double rate, bm_flop_rates_t *rates)
{
  double extremes[2] = {-rate, rate};
  double sum = rate;
  BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, extremes, 2, MPI_DOUBLE, MPI_MAX, context->comm));
  BM_TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_DOUBLE, MPI_SUM, context->comm));
  *rates = (bm_flop_rates_t){-extremes[0], sum / context->size, extremes[1]};
  return BM_OK;
}

/* `rounds` multiply-adds in each chain, whose values stay between their start and 1; a sum of them. The
 * start is volatile lest the compiler make one call of many. */
static BM_KEEP_WIDTH double multiply_add(long rounds)
{
  static volatile bm_real_t start = 2;
  const vector_t factor = (vector_t){0} + (bm_real_t)0.9375;
  const vector_t addend = (vector_t){0} + (bm_real_t)0.0625;
  vector_t sum = {0};
  double all = 0.0;
#define BM_BEGIN(c) vector_t chain_##c = factor + (start + (bm_real_t)c);
#define BM_STEP(c) chain_##c = chain_##c * factor + addend;
#define BM_END(c) sum += chain_##c;
  BM_CHAINS(BM_BEGIN)
  for (long r = 0; r < rounds; r++) {
    BM_CHAINS(BM_STEP)
  }
  BM_CHAINS(BM_END)
#undef BM_BEGIN
#undef BM_STEP
#undef BM_END
  for (size_t lane = 0; lane < BM_VECTOR_BYTES / sizeof(bm_real_t); lane++) {
    all += (double)sum[lane]; /* none may be left out */
  }
  return all;
}

/* By the clock on the wall: some loops run undisturbed, and processor time, which a virtual machine puts
 * right afterwards, has loops too short by some percent. */
bm_status_t bm_flop_peak_rate(const bm_context_t *context, double seconds, bm_flop_rates_t *rates)
{
  const size_t lanes = BM_VECTOR_BYTES / sizeof(bm_real_t);
  const double flop = 2.0 * BM_PEAK_ROUNDS * BM_CHAIN_COUNT * (double)lanes;
  double shortest = INFINITY;
  volatile double kept;                /* so that there is something to compute */
  kept = multiply_add(BM_PEAK_ROUNDS); /* wakes the wide units */
  BM_TRY_MPI(MPI_Barrier(context->comm));
  double end = bm_log_clock() + seconds;
  do {
    double before = bm_log_clock();
    kept = multiply_add(BM_PEAK_ROUNDS);
    shortest = fmin(shortest, bm_log_clock() - before);
  } while (bm_log_clock() < end);
  (void)kept;
  return over_ranks(context, flop / shortest, rates);
}

bm_status_t bm_flop_product_rate(const bm_context_t *context, bm_flop_product_t product, size_t in,
                                 size_t out, size_t rows, double seconds, bm_flop_rates_t *rates)
{
  double time;
  BM_TRY(product_time(context, gemm_of(product, in, out, rows), seconds, &time));
  return over_ranks(context, 2.0 * (double)rows * (double)in * (double)out / time, rates);
}

bm_status_t bm_flop_products_rate(const bm_context_t *context, const bm_flow_shape_t *shape,
                                  size_t rows, double seconds, bm_flop_rates_t *rates)
{
  double flop = 0.0;
  double total = 0.0;
  size_t kinds = shape->d % 2 == 0 || shape->layers == 1 ? 1 : 2; /* of coupling layers */
  double share = seconds / (double)(kinds * (shape->hidden_count + 1) * BM_PRODUCTS);
  for (size_t k = 0; k < kinds; k++) {
    const size_t couplings = (shape->layers - k + kinds - 1) / kinds;
    bm_network_shape_t network = bm_flow_conditioner(shape, k);
    for (size_t i = 0; i < (network.hidden_count + 1) * BM_PRODUCTS; i++) {
      size_t in = bm_network_width_in(&network, i / BM_PRODUCTS);
      size_t out = bm_network_width_out(&network, i / BM_PRODUCTS);
      double time;
      BM_TRY(product_time(context, gemm_of(i % BM_PRODUCTS, in, out, rows), share, &time));
      flop += (double)couplings * 2.0 * (double)rows * (double)in * (double)out;
      total += (double)couplings * time;
    }
  }
  return over_ranks(context, flop / total, rates);
}

bm_status_t bm_flop_sgemm_rate(const bm_context_t *context, const bm_flow_shape_t *shape,
                               size_t rows, double *rate)
{
  bm_flop_rates_t rates;
  BM_TRY(bm_flop_products_rate(context, shape, rows, BM_SECONDS, &rates));
  *rate = rates.mean * context->size;
  return BM_OK;
}
