/* Adam against its plain formula in float64. */

#include <math.h>

#include "../flow/made_flow.h"
#include "boltzmap/train/adam.h"

#define COUNT 37
#define STEPS 10

static const bm_adam_t adam = {2e-3, 0.9, 0.999, 1e-8};

/* Algorithm 1 of Kingma and Ba for one parameter. */
typedef struct {
  double m, v, theta;
} plain_t;

static void plain_step(plain_t *plain, int step, double g)
{
  plain->m = adam.beta1 * plain->m + (1.0 - adam.beta1) * g;
  plain->v = adam.beta2 * plain->v + (1.0 - adam.beta2) * g * g;
  double m_hat = plain->m / (1.0 - pow(adam.beta1, step));
  double v_hat = plain->v / (1.0 - pow(adam.beta2, step));
  plain->theta -= adam.learning_rate * m_hat / (sqrt(v_hat) + adam.epsilon);
}

static void steps_follow_the_algorithm(void **state)
{
  (void)state;
  bm_real_t gradient[COUNT];
  bm_real_t moments[2][COUNT] = {{0}, {0}};
  bm_real_t *theta = drawn_reals(1, 1.0, COUNT);
  plain_t plain[COUNT] = {{0.0, 0.0, 0.0}};
  for (size_t i = 0; i < COUNT; i++) {
    plain[i].theta = (double)theta[i];
  }
  const double factor = 0.3;
  for (int step = 1; step <= STEPS; step++) {
    draw_reals((uint32_t)(1 + step), 1.0, COUNT, gradient);
    bm_adam_step(&adam, step, factor, COUNT, gradient, moments[0], moments[1], theta);
    for (size_t i = 0; i < COUNT; i++) {
      plain_step(&plain[i], step, factor * (double)gradient[i]);
      /* some roundings a step of the moments, whose terms are below 1, and of the parameter */
      assert_true(fabs((double)moments[0][i] - plain[i].m) <= 4.0 * STEPS * BM_REAL_EPSILON);
      assert_true(fabs((double)moments[1][i] - plain[i].v) <=
                  4.0 * STEPS * BM_REAL_EPSILON * plain[i].v);
      double size = 1.0 + fabs(plain[i].theta);
      assert_true(fabs((double)theta[i] - plain[i].theta) <= STEPS * BM_REAL_EPSILON * size);
    }
  }
  bm_free(theta);
}

static void first_step_is_the_learning_rate_against_the_gradient(void **state)
{
  (void)state;
  bm_real_t gradient[3] = {1e-3f, -2, 30};
  bm_real_t moments[2][3] = {{0}, {0}};
  bm_real_t theta[3] = {0, 0, 0};
  bm_adam_step(&adam, 1, 1.0, 3, gradient, moments[0], moments[1], theta);
  for (int i = 0; i < 3; i++) {
    double expected = gradient[i] > 0 ? -adam.learning_rate : adam.learning_rate;
    expected /= 1.0 + adam.epsilon / fabs((double)gradient[i]);
    assert_true(fabs((double)theta[i] / expected - 1.0) < 16.0 * BM_REAL_EPSILON);
  }
}

static void zero_gradient_moves_nothing(void **state)
{
  (void)state;
  bm_real_t gradient[2] = {0, 0};
  bm_real_t moments[2][2] = {{0}, {0}};
  bm_real_t theta[2] = {1, -1};
  bm_adam_step(&adam, 1, 1.0, 2, gradient, moments[0], moments[1], theta);
  assert_true(theta[0] == 1 && theta[1] == -1);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(steps_follow_the_algorithm),
      cmocka_unit_test(first_step_is_the_learning_rate_against_the_gradient),
      cmocka_unit_test(zero_gradient_moves_nothing),
  };
  return cmocka_run_group_tests_name("Adam " BM_REAL_NAME, tests, NULL, NULL);
}
