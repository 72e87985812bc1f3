/* Terms of the loss on generated samples: values known by hand, gradients by the flow's parameters against
 * differences, shares that add up, and the systems that they do not go with. */

#include <math.h>

#include "../flow/made_flow.h"
#include "../model/dipeptide.h"
#include "boltzmap/base/internal.h"
#include "term_of_text.h"

#define ROWS 6
#define FRAMES 40
#define WIDTH 0.01 /* nm, of the structures about the molecule's */
#define NOISE 0.02
#define GAIN 0.2 /* of the flow's parameters: a moderate map */

static const size_t offsets[] = {0, 2, 2, 5, ROWS};
static const bm_shards_t shards = {4, offsets};

/* Central differences of step h are off by about h² of a loss that changes over lengths of one, and by
 * roundings of the loss over h. Generated samples move by less than KINK_ROOM nm in such a step. In
 * float32 roundings leave less than a hundredth to be seen of a derivative along the gradient. */
#ifdef BM_REAL_IS_DOUBLE
#define STEP 1e-5
#define KINK_ROOM 1e-6
#define TOLERANCE 1e-6
#else
#define STEP 1e-3
#define TOLERANCE 2e-2
#endif

/* A chart fitted to shaken structures, a term of a loss, and a flow. */
typedef struct {
  bm_potential_t *potential;
  bm_chart_t *chart;
  double *shapes; /* [FRAMES][d] */
  bm_loss_term_t *term;
  bm_flow_t *flow;
  bm_flow_workspace_t *workspace;
  bm_loss_room_t room;
  bm_real_t *base, *target; /* [ROWS][group of the term][flow d] */
} made_t;

static const bm_molecule_t *molecule_of(const made_t *made)
{
  return bm_potential_traits(made->potential)->molecule;
}

static made_t make(const char *chart, const char *training)
{
  made_t made = {.potential = potential_of(dipeptide_system(""))};
  const size_t d = bm_potential_dimension(made.potential);
  const bm_molecule_t *molecule = molecule_of(&made);
  const bm_chart_ops_t *ops = bm_chart_find(chart);
  const bm_chart_system_t system = chart_system(molecule, strcmp(chart, "cartesian") ? 0.0 : NOISE);
  double *x = shaken_structures(molecule, FRAMES, WIDTH, 7);
  made.shapes = zero_doubles(FRAMES * d);
  /* more frames than coordinates, or some would not vary */
  double *many = shaken_structures(molecule, 4 * FRAMES, WIDTH, 8);
  assert_int_equal(bm_chart_fit(ops, &system, 4 * FRAMES, many, &made.chart), BM_OK);
  assert_int_equal(bm_chart_project(made.chart, FRAMES, x, made.shapes), BM_OK);
  const bm_loss_data_t data = {made.potential, FRAMES, d, made.shapes};
  assert_int_equal(term_of(dipeptide_system(""), training, &data, &made.term), BM_OK);
  assert_non_null(made.term);
  const bm_flow_shape_t shape = flow_shape(bm_chart_dimension(made.chart), 2, 1, 8, BM_TANH);
  made.flow = made_flow(&shape, 9, GAIN);
  const size_t points = ROWS * bm_loss_term_points(made.term);
  made.workspace = made_workspace(made.flow, points, 4);
  assert_int_equal(bm_loss_room_create(points, made.chart, &made.room), BM_OK);
  made.base = drawn_reals(10, 1.0, points * shape.d);
  made.target = drawn_reals(12, 1.0, points * shape.d);
  bm_free(many);
  bm_free(x);
  return made;
}

static void unmake(made_t *made)
{
  bm_free(made->base);
  bm_free(made->target);
  bm_loss_room_release(&made->room);
  bm_flow_workspace_destroy(&made->workspace);
  bm_flow_destroy(&made->flow);
  bm_loss_term_destroy(&made->term);
  bm_free(made->shapes);
  bm_chart_destroy(&made->chart);
  bm_potential_destroy(&made->potential);
}

static void evaluate(const made_t *made, double *sums, bm_real_t *gradient)
{
  const bm_loss_samples_t samples = {shards, made->base, made->target, 1.0 / ROWS};
  const bm_gradient_sink_t sink = {.gradient = gradient};
  bm_loss_term_evaluate(made->term, made->chart, made->flow, made->workspace, &samples, &made->room,
                        sums, gradient == NULL ? NULL : &sink);
}

static double total_of(const made_t *made)
{
  double sums[4];
  evaluate(made, sums, NULL);
  return sums[0] + sums[1] + sums[2] + sums[3];
}

static const char *const trainings[] = {
    "loss = \"penalty\"; penalty_distance = 0.3;",
    "loss = \"pair-penalty\";",
    "loss = \"energy\";",
    "loss = \"reverse-kl\";",
    "loss = \"pair-penalty+reverse-kl\"; penalty_weight = 100.0; energy_weight = 0.2;",
    "loss = \"transport\";",
    "loss = \"transport-sobolev\"; map = \"moser\"; transport_power = 3.0; transport_step = 1.0;",
    "loss = \"lipschitz\"; lipschitz_weight = 1.0; lipschitz_step = 1.0;",
    "loss = \"transport-steps\"; map = \"moser\"; transport_steps = 2;",
};
#define OF_SHAPES 5 /* the first so many are functions of shapes */
static const double entropies[] = {0.0, 0.0, 0.0, 0.1, 0.2}; /* weights of the log density */
#define TRAININGS (sizeof trainings / sizeof trainings[0])
static const char *const charts[] = {"cartesian", "whitened"};
#define CHARTS (sizeof charts / sizeof charts[0])

#ifdef BM_REAL_IS_DOUBLE
/* Smallest distance of any pair in the data. */
static double smallest_in_data(const made_t *made, size_t pair)
{
  const bm_molecule_t *molecule = molecule_of(made);
  double least = INFINITY;
  for (size_t i = 0; i < FRAMES; i++) {
    const double *x = made->shapes + i * 3 * molecule->topology->atoms;
    least = fmin(least, bm_internal_distance(x, molecule->pairs[pair]));
  }
  return least;
}

/* The penalties have a kink where a pair is at its distance. */
static void assert_no_kink_is_near(const made_t *made, size_t training)
{
  const bm_molecule_t *molecule = molecule_of(made);
  const int has_penalty = strstr(trainings[training], "penalty") != NULL;
  for (size_t p = 0; has_penalty && p < molecule->pair_count; p++) {
    const double kink = training == 0 ? 0.3 : smallest_in_data(made, p);
    for (size_t i = 0; i < ROWS; i++) {
      const double *x = made->room.x + i * 3 * molecule->topology->atoms;
      assert_true(fabs(bm_internal_distance(x, molecule->pairs[p]) - kink) > KINK_ROOM);
    }
  }
}

/* Every parameter: relative to the larger of the entry and the root mean square of all. */
static void gradient_is_the_derivative_of_the_loss(void **state)
{
  (void)state;
  for (size_t k = 0; k < CHARTS * TRAININGS; k++) {
    made_t made = make(charts[k % CHARTS], trainings[k / CHARTS]);
    const size_t count = bm_flow_parameter_count(made.flow);
    bm_real_t *parameters = bm_flow_parameters(made.flow);
    bm_real_t *gradient = drawn_reals(11, 1.0, count); /* to be written over */
    double sums[4];
    double squares = 0.0;
    evaluate(&made, sums, gradient);
    assert_no_kink_is_near(&made, k / CHARTS);
    for (size_t i = 0; i < count; i++) {
      squares += gradient[i] * gradient[i];
    }
    const double typical = sqrt(squares / (double)count);
    assert_true(typical > 1e-4);
    for (size_t i = 0; i < count; i++) {
      const double old = parameters[i];
      parameters[i] = old + STEP;
      double numerical = total_of(&made);
      parameters[i] = old - STEP;
      numerical = (numerical - total_of(&made)) / (2.0 * STEP);
      parameters[i] = old;
      if (!(fabs(numerical - gradient[i]) <= TOLERANCE * fmax(typical, fabs(numerical)))) {
        fail_msg("%s, %s, parameter %zu of %zu: %.12g is not %.12g", charts[k % CHARTS],
                 trainings[k / CHARTS], i, count, gradient[i], numerical);
      }
    }
    bm_free(gradient);
    unmake(&made);
  }
}

#else
/* Along the gradient itself, whose derivative is its length. */
static void gradient_is_the_derivative_of_the_loss(void **state)
{
  (void)state;
  for (size_t k = 0; k < CHARTS * TRAININGS; k++) {
    made_t made = make(charts[k % CHARTS], trainings[k / CHARTS]);
    const size_t count = bm_flow_parameter_count(made.flow);
    bm_real_t *parameters = bm_flow_parameters(made.flow);
    bm_real_t *gradient = drawn_reals(11, 1.0, count); /* to be written over */
    bm_real_t *old = drawn_reals(9, GAIN, count);
    double sums[4];
    double totals[2];
    double squares = 0.0;
    evaluate(&made, sums, gradient);
    for (size_t i = 0; i < count; i++) {
      squares += (double)gradient[i] * (double)gradient[i];
    }
    const double length = sqrt(squares);
    for (int way = 0; way < 2; way++) {
      const double step = (way == 0 ? STEP : -STEP) / length;
      for (size_t i = 0; i < count; i++) {
        parameters[i] = (bm_real_t)((double)old[i] + step * (double)gradient[i]);
      }
      totals[way] = total_of(&made);
    }
    const double numerical = (totals[0] - totals[1]) / (2.0 * STEP);
    if (!(fabs(numerical - length) <= TOLERANCE * length)) {
      fail_msg("%s, %s: %.12g is not %.12g", charts[k % CHARTS], trainings[k / CHARTS], length,
               numerical);
    }
    bm_free(old);
    bm_free(gradient);
    unmake(&made);
  }
}
#endif

/* Of samples that the flow and the chart make of the base points, one by one, reverse-kl with their density as
 * whole molecules; a share of a minibatch of twice the rows has half the weight. */
static void shares_are_sums_of_the_function_over_generated_samples(void **state)
{
  (void)state;
  for (size_t k = 0; k < CHARTS * OF_SHAPES; k++) {
    made_t made = make(charts[k % CHARTS], trainings[k / CHARTS]);
    const size_t d = bm_chart_dimension(made.chart);
    const size_t shape_d = bm_chart_shape_dimension(made.chart);
    const double entropy = entropies[k / CHARTS];
    bm_real_t *y = drawn_reals(10, 1.0, ROWS * d);
    double *row = zero_doubles(d);
    double *x = zero_doubles(2 * shape_d);
    double log_det[ROWS];
    double sums[4];
    double values[ROWS];
    const bm_loss_samples_t samples = {shards, made.base, NULL, 0.5 / ROWS};
    bm_loss_term_evaluate(made.term, made.chart, made.flow, made.workspace, &samples, &made.room,
                          sums, NULL);
    bm_flow_forward(made.flow, made.workspace, &shards, y, y, log_det);
    for (size_t i = 0; i < ROWS; i++) {
      for (size_t c = 0; c < d; c++) {
        row[c] = (double)y[i * d + c];
      }
      double log_weight;
      bm_chart_decode(made.chart, row, x, &log_weight);
      bm_loss_term_value(made.term, 1, x, &values[i], x + shape_d);
      values[i] += entropy * (log_weight - log_det[i]);
    }
    for (size_t s = 0; s < 4; s++) {
      double expected = 0.0;
      for (size_t i = offsets[s]; i < offsets[s + 1]; i++) {
        expected += values[i] / (2 * ROWS);
      }
      assert_true(fabs(sums[s] - expected) <= 1e-13 * (1.0 + fabs(expected)));
    }
    assert_true(sums[1] == 0.0 && sums[0] != 0.0); /* the second shard is empty */
    bm_free(x);
    bm_free(row);
    bm_free(y);
    unmake(&made);
  }
}

/* Of a sample's points: |y - T|² of the middle one, |·|³ of it and of the difference of the other two, or the squared
 * difference of the two; a group's points are twice their step apart. */
static double expected_of_points(size_t group, size_t d, const bm_real_t *y,
                                 const bm_real_t *target)
{
  double squares[2] = {0.0, 0.0}; /* of the place, of the slope */
  for (size_t k = 0; k < d; k++) {
    const double place = (double)y[k] - (double)target[k];
    squares[0] += place * place;
    if (group > 1) {
      const size_t one = group == 2 ? k : d + k;
      const double slope = 0.5 * ((double)y[one] - (double)y[one + d]);
      const double of_map =
          group == 2 ? 0.0 : 0.5 * ((double)target[one] - (double)target[one + d]);
      squares[1] += (slope - of_map) * (slope - of_map);
    }
  }
  return group == 1   ? squares[0]
         : group == 2 ? squares[1]
                      : pow(squares[0], 1.5) + pow(squares[1], 1.5);
}

static void functions_of_points_are_powers_of_lengths(void **state)
{
  (void)state;
  static const size_t groups[] = {1, 3, 2};
  for (size_t l = 0; l < sizeof groups / sizeof groups[0]; l++) {
    made_t made = make("whitened", trainings[OF_SHAPES + l]);
    const size_t group = bm_loss_term_group(made.term);
    const size_t width = group * bm_chart_dimension(made.chart);
    bm_real_t *y = drawn_reals(10, 1.0, ROWS * width);
    double log_det[3 * ROWS];
    double sums[4];
    size_t points[5];
    assert_int_equal(group, groups[l]);
    assert_int_equal(bm_loss_term_is_paired(made.term), group != 2);
    assert_true(bm_loss_term_step(made.term) == (group == 1 ? 0.0 : 1.0));
    for (size_t s = 0; s < 5; s++) {
      points[s] = group * offsets[s];
    }
    evaluate(&made, sums, NULL);
    bm_flow_forward(made.flow, made.workspace, &(bm_shards_t){4, points}, y, y, log_det);
    for (size_t s = 0; s < 4; s++) {
      double expected = 0.0;
      for (size_t i = offsets[s]; i < offsets[s + 1]; i++) {
        expected += expected_of_points(group, bm_chart_dimension(made.chart), y + i * width,
                                       made.target + i * width) /
                    ROWS;
      }
      assert_true(fabs(sums[s] - expected) <= 1e-13 * (1.0 + expected));
    }
    bm_free(y);
    unmake(&made);
  }
}

/* The mean square over what the first layer makes, a flow of its own, and what both make. */
static void steps_are_compared_after_their_share_of_the_layers(void **state)
{
  (void)state;
  made_t made = make("whitened", trainings[TRAININGS - 1]);
  const size_t d = bm_chart_dimension(made.chart);
  const bm_flow_shape_t shape = flow_shape(d, 1, 1, 8, BM_TANH);
  bm_flow_t *first = made_flow(&shape, 1, 0.0);
  bm_flow_workspace_t *workspace = made_workspace(first, ROWS, 4);
  bm_real_t *y = zero_reals(2 * ROWS * d); /* [step][row][d] */
  double log_det[ROWS];
  double sums[4];
  double expected = 0.0;
  memcpy(bm_flow_parameters(first), bm_flow_parameters(made.flow),
         bm_flow_parameter_count(first) * sizeof(bm_real_t));
  assert_int_equal(bm_loss_term_stages(made.term), 2);
  evaluate(&made, sums, NULL);
  bm_flow_forward(first, workspace, &shards, made.base, y, log_det);
  bm_flow_forward(made.flow, made.workspace, &shards, made.base, y + ROWS * d, log_det);
  for (size_t s = 0; s < 2; s++) {
    for (size_t i = 0; i < ROWS; i++) {
      for (size_t k = 0; k < d; k++) {
        const double way =
            (double)y[(s * ROWS + i) * d + k] - (double)made.target[(2 * i + s) * d + k];
        expected += way * way / (2 * ROWS);
      }
    }
  }
  assert_true(fabs(sums[0] + sums[2] + sums[3] - expected) <= 1e-12 * expected);
  bm_free(y);
  bm_flow_workspace_destroy(&workspace);
  bm_flow_destroy(&first);
  unmake(&made);
}

static void the_brenier_map_has_no_slopes_and_no_steps(void **state)
{
  (void)state;
  static const char system[] = "kind = \"gaussian\"; dimension = 3;";
  bm_potential_t *potential = potential_of(system);
  const bm_loss_data_t data = {potential, 0, 3, NULL};
  bm_loss_term_t *term;
  assert_int_equal(term_of(system, "loss = \"transport-sobolev\";", &data, &term), BM_ERR_DATA);
  assert_null(term);
  assert_non_null(strstr(bm_status_message(), "training.map"));
  assert_int_equal(term_of(system, "loss = \"transport-steps\";", &data, &term), BM_ERR_DATA);
  assert_null(term);
  bm_potential_destroy(&potential);
}

/* lambda/|P|·(epsilon - r) for the one pair that is too close: away along the line between the two. */
static void penalty_of_two_particles_is_equation_17(void **state)
{
  (void)state;
  static const char system[] = "kind = \"coulomb-double-well\";";
  const double near[4] = {1.0, 0.5, 1.06, 0.58}; /* 0.1 apart */
  const double far[4] = {1.0, 0.5, 1.3, 0.9};
  const double same[4] = {1.0, 0.5, 1.0, 0.5};
  bm_potential_t *potential = potential_of(system);
  const bm_loss_data_t data = {potential, 1, 4, far};
  bm_loss_term_t *term;
  double value;
  double g[4];
  assert_int_equal(term_of(system, "loss = \"penalty\";", &data, &term), BM_OK);
  bm_loss_term_value(term, 1, near, &value, g);
  assert_true(fabs(value - 5.0 * 0.07) < 1e-14);
  assert_true(fabs(g[0] - 5.0 * 0.6) < 1e-13 && fabs(g[1] - 5.0 * 0.8) < 1e-13);
  assert_true(g[2] == -g[0] && g[3] == -g[1]);
  bm_loss_term_value(term, 1, far, &value, g);
  assert_true(value == 0.0 && g[0] == 0.0 && g[3] == 0.0);
  bm_loss_term_value(term, 1, same, &value, g);
  assert_true(fabs(value - 5.0 * 0.17) < 1e-14);
  assert_true(g[0] == 0.0 && g[1] == 0.0 && g[2] == 0.0 && g[3] == 0.0);
  bm_loss_term_destroy(&term);
  bm_potential_destroy(&potential);
}

/* Atoms 10 nm from each other, but for atom b, which is at this distance of atom a. */
static void spread_but_for_one_pair(size_t atoms, const size_t pair[2], double distance, double *x)
{
  for (size_t i = 0; i < 3 * atoms; i++) {
    x[i] = i % 3 == 0 ? 10.0 * (double)(i / 3) : 0.0;
  }
  x[3 * pair[1]] = x[3 * pair[0]];
  x[3 * pair[1] + 2] = distance;
}

static double value_of_row(const bm_loss_term_t *term, const double *x, double *gradient)
{
  double value;
  bm_loss_term_value(term, 1, x, &value, gradient);
  return value;
}

/* Bonded atoms may be close, all other pairs have the same share; default lambda and epsilon. */
static void penalty_of_a_molecule_is_the_mean_over_non_bonded_pairs(void **state)
{
  (void)state;
  made_t made = make("cartesian", "loss = \"penalty\";");
  const bm_molecule_t *molecule = molecule_of(&made);
  const size_t atoms = molecule->topology->atoms;
  double *x = zero_doubles(6 * atoms);
  for (size_t i = 0; i < atoms; i++) {
    for (size_t j = i + 1; j < atoms; j++) {
      const size_t pair[2] = {i, j};
      const bm_pair_t *known =
          &molecule->topology->pairs[bm_topology_pair(molecule->topology, i, j)];
      const double share = known->separation > 2 ? 5.0 / (double)molecule->pair_count : 0.0;
      spread_but_for_one_pair(atoms, pair, 0.12, x);
      assert_true(fabs(value_of_row(made.term, x, x + 3 * atoms) - share * 0.05) < 1e-14);
      assert_true(fabs(x[3 * atoms + 3 * i + 2] - share) < 1e-14);
      assert_true(fabs(x[3 * atoms + 3 * j + 2] + share) < 1e-14);
    }
  }
  bm_free(x);
  unmake(&made);
}

static void pair_penalty_begins_at_the_smallest_distance_in_the_data(void **state)
{
  (void)state;
  made_t made = make("whitened", "loss = \"pair-penalty\"; penalty_weight = 100.0;");
  const bm_molecule_t *molecule = molecule_of(&made);
  const size_t atoms = molecule->topology->atoms;
  double *x = zero_doubles(6 * atoms);
  for (size_t p = 0; p < molecule->pair_count; p++) {
    double least = INFINITY;
    for (size_t i = 0; i < FRAMES; i++) {
      least = fmin(least, bm_internal_distance(made.shapes + 3 * atoms * i, molecule->pairs[p]));
    }
    spread_but_for_one_pair(atoms, molecule->pairs[p], 0.5 * least, x);
    double expected = 100.0 / (double)molecule->pair_count * 0.5 * least;
    assert_true(fabs(value_of_row(made.term, x, x + 3 * atoms) - expected) < 1e-13);
  }
  for (size_t i = 0; i < FRAMES; i++) {
    assert_true(value_of_row(made.term, made.shapes + 3 * atoms * i, x) == 0.0);
  }
  bm_free(x);
  unmake(&made);
}

/* weight·beta·U up to 1/epsilon; what is beyond 2/epsilon has that value and no slope. */
static void energy_is_the_reduced_one_and_flat_beyond_the_cutoff(void **state)
{
  (void)state;
  made_t made = make("cartesian", "loss = \"energy\"; energy_weight = 0.5; energy_cutoff = 1e-3;");
  const bm_molecule_t *molecule = molecule_of(&made);
  const size_t d = bm_potential_dimension(made.potential);
  const double factor = 0.5 * bm_potential_beta(made.potential);
  double *x = zero_doubles(2 * d);
  double *slope = zero_doubles(d);
  double energy;
  memcpy(x, molecule->start, d * sizeof *x);
  bm_potential_energy(made.potential, 1, x, &energy, slope);
  assert_true(energy < 1000.0);
  assert_true(fabs(value_of_row(made.term, x, x + d) - factor * energy) < 1e-10);
  for (size_t k = 0; k < d; k++) {
    assert_true(fabs(x[d + k] - factor * slope[k]) < 1e-10 * (1.0 + fabs(x[d + k])));
  }
  memcpy(x + d - 3, x, 3 * sizeof *x); /* the first and the last atom at one place */
  for (int apart = 0; apart < 2; apart++) {
    x[d - 3] = x[0] + 0.01 * apart;
    bm_potential_energy(made.potential, 1, x, &energy, NULL);
    assert_true(energy > 2000.0);
    assert_true(fabs(value_of_row(made.term, x, x + d) - factor * 2000.0) < 1e-10);
    for (size_t k = 0; k < d; k++) {
      assert_true(x[d + k] == 0.0);
    }
  }
  bm_free(slope);
  bm_free(x);
  unmake(&made);
}

static void check_refused(const char *system, const char *training, const bm_loss_data_t *data,
                          const char *words)
{
  bm_loss_term_t *term;
  assert_int_equal(term_of(system, training, data, &term), BM_ERR_DATA);
  assert_null(term);
  assert_non_null(strstr(bm_status_message(), "training.loss"));
  assert_non_null(strstr(bm_status_message(), words));
}

static void systems_without_pairs_have_no_penalty(void **state)
{
  (void)state;
  static const char system[] = "kind = \"gaussian\"; dimension = 3;";
  bm_potential_t *potential = potential_of(system);
  const bm_loss_data_t data = {potential, 0, 3, NULL};
  bm_loss_term_t *term;
  check_refused(system, "loss = \"penalty\";", &data, "no pairs");
  check_refused(system, "loss = \"pair-penalty\";", &data, "no pairs");
  assert_int_equal(term_of(system, "loss = \"energy\";", &data, &term), BM_OK);
  bm_loss_term_destroy(&term);
  assert_null(term);
  bm_potential_destroy(&potential);
}

static void backbone_angles_have_no_term(void **state)
{
  (void)state;
  const char *system = dipeptide_system("");
  bm_potential_t *potential = potential_of(system);
  const bm_loss_data_t data = {potential, 0, 2, NULL};
  for (size_t k = 0; k < OF_SHAPES; k++) {
    check_refused(system, trainings[k], &data, "flow.coordinates");
  }
  bm_potential_destroy(&potential);
}

static void likelihood_alone_has_no_term(void **state)
{
  (void)state;
  const char *system = dipeptide_system("");
  bm_potential_t *potential = potential_of(system);
  const bm_loss_data_t data = {potential, 0, 2, NULL};
  bm_loss_term_t *term;
  assert_int_equal(term_of(system, "loss = \"nll\";", &data, &term), BM_OK);
  assert_null(term);
  bm_potential_destroy(&potential);
}

int main(int argc, char **argv)
{
  MPI_Init(&argc, &argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradient_is_the_derivative_of_the_loss),
      cmocka_unit_test(shares_are_sums_of_the_function_over_generated_samples),
      cmocka_unit_test(functions_of_points_are_powers_of_lengths),
      cmocka_unit_test(steps_are_compared_after_their_share_of_the_layers),
      cmocka_unit_test(the_brenier_map_has_no_slopes_and_no_steps),
      cmocka_unit_test(penalty_of_two_particles_is_equation_17),
      cmocka_unit_test(penalty_of_a_molecule_is_the_mean_over_non_bonded_pairs),
      cmocka_unit_test(pair_penalty_begins_at_the_smallest_distance_in_the_data),
      cmocka_unit_test(energy_is_the_reduced_one_and_flat_beyond_the_cutoff),
      cmocka_unit_test(systems_without_pairs_have_no_penalty),
      cmocka_unit_test(backbone_angles_have_no_term),
      cmocka_unit_test(likelihood_alone_has_no_term),
  };
  int failed = cmocka_run_group_tests_name("loss terms " BM_REAL_NAME, tests, NULL, NULL);
  MPI_Finalize();
  return failed;
}
