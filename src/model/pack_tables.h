/* Tables of the kernels, in their precision. Included by the two files that compile the kernels. */

#ifndef BOLTZMAP_MODEL_PACK_TABLES_H
#define BOLTZMAP_MODEL_PACK_TABLES_H

#include "boltzmap/model/pack.h"
#include "lanes.h"

/* Of the polynomials for Born integrals in single precision. */
#define BM_ARTANH_DEGREE 6
#define BM_APART_DEGREE 7
#define BM_BONDED_DEGREE 6

/* How the Born integrals of a pair are computed. */
typedef enum {
  BM_PAIR_HELD,   /* constrained: constants */
  BM_PAIR_BONDED, /* one or two bonds apart, no interaction: a polynomial in r² around its mean */
  BM_PAIR_NEAR,   /* spheres that overlap or may: the formula */
  BM_PAIR_FAR     /* spheres that seldom overlap: a series in 1/r² where they do not */
} bm_pair_class_t;

/* One pair: places of its atoms in x, and parameters. */
typedef struct {
  uint32_t i, j;          /* 3·atom */
  uint32_t place;         /* among all pairs */
  scalar_t a, b, charges; /* a/r¹² - b/r⁶ + charges/r */
  scalar_t a12, b6;       /* 12·a, 6·b */
  scalar_t rho_i, rho_j;  /* radii less the offset */
  scalar_t s_i, s_j;      /* scaled radii */
  scalar_t s2_i, s2_j;    /* their squares */
  scalar_t s3_i, s3_j;    /* and third powers */
  scalar_t seldom;        /* the formula without its rare cases holds beyond this r² */
  scalar_t apart;         /* the spheres do not overlap beyond this r² */
} pair_row_t;

typedef struct {
  uint32_t place;
  scalar_t square; /* r² */
  scalar_t energy; /* non-bonded */
} held_row_t;

/* Born integrals of i over j and of j over i as polynomials in r² - centre, from low to high r². */
typedef struct {
  pair_row_t pair;
  scalar_t centre, low, high;
  scalar_t of_i[BM_BONDED_DEGREE + 1], of_j[BM_BONDED_DEGREE + 1];
} bonded_row_t;

typedef struct {
  scalar_t inverse_mass, inverse_sqrt_mass;
  scalar_t rho, radius; /* of the Born radius */
  scalar_t inverse_rho, inverse_radius;
  scalar_t chain;   /* rho/radius */
  scalar_t surface; /* 4 pi·surface energy·(radius + probe)² */
  scalar_t self;    /* solvent factor·q² */
} atom_row_t;

typedef struct {
  uint32_t i, j;
  scalar_t length, stiffness;
} bond_row_t;

typedef struct {
  uint32_t i, j, k;
  scalar_t angle, stiffness;
} angle_row_t;

#define BM_ORDERS 6

/* All torsions of four atoms. With c and s the cosine and sine of the angle, cos(n·phi) = T_n(c) and
 * sin(n·phi) = s·U_n-1(c), so that E = even(c) + s·odd(c), polynomials; and their derivatives. */
typedef struct {
  uint32_t atom[4];
  int skew; /* odd is not zero */
  scalar_t even[BM_ORDERS + 1], even_slope[BM_ORDERS];
  scalar_t odd[BM_ORDERS], odd_slope[BM_ORDERS - 1];
} torsion_row_t;

typedef struct {
  uint32_t centre, hydrogen[BM_CLUSTER_MOST];
  int count;
  scalar_t inverse_centre, inverse_hydrogen[BM_CLUSTER_MOST]; /* 1/mass */
  scalar_t square[BM_CLUSTER_MOST];                           /* length² */
} cluster_row_t;

/* What one pass over the pairs leaves for the next. */
typedef struct {
  lane_t square;     /* r² */
  lane_t along;      /* force along x_i - x_j */
  lane_t by_i, by_j; /* -d/d(r²) of the Born integrals of i over j and of j over i */
} pair_scratch_t;

/* Scratch of one evaluation. */
typedef struct {
  pair_scratch_t *pair; /* [pairs] */
  lane_t *integral;     /* [atoms] */
  lane_t *born;         /* [atoms], B */
  lane_t *exponent;     /* [atoms], sqrt(log2(e))/(2B) */
  lane_t *slope;        /* [atoms], dE/dB, then what multiplies by_i */
  lane_t *chain;        /* [atoms] */
  lane_t *force;        /* [3·atoms] */
  lane_t *moved;        /* [3·atoms], positions before constraints */
  float_t_ *noise;      /* [3·atoms + 3] */
} scratch_t;

struct bm_pack {
  size_t atoms, pair_count;
  int solvated;
  size_t held_count, bonded_count, near_count, far_count, bond_count, angle_count, torsion_count,
      cluster_count;
  held_row_t *held;
  bonded_row_t *bonded;
  pair_row_t *near, *far;
  scalar_t *screened;      /* [pairs], solvent factor·q_i q_j */
  scalar_t *held_integral; /* [atoms], Born integrals over constrained neighbours */
  atom_row_t *atom;
  bond_row_t *bond;
  angle_row_t *angle;
  torsion_row_t *torsion;
  cluster_row_t *cluster;
  scalar_t artanh[BM_ARTANH_DEGREE + 1]; /* artanh(sqrt(y))/sqrt(y) */
  scalar_t apart[BM_APART_DEGREE + 1];   /* Born integral of spheres apart, over s³/r⁴ */
  lane_t *group;                         /* [3·atoms] positions for bm_pack_ops_t.energy */
  void *memory;                          /* of the scratch */
  scratch_t scratch;
};

#endif
