#include "boltzmap/transport/pricing.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "boltzmap/base/memory.h"
#include "boltzmap/base/random.h"
#include "boltzmap/parallel/agree.h"
#include "boltzmap/parallel/stop.h"
#include "boltzmap/transport/frame.h"
#include "boltzmap/transport/levels.h"
#include "boltzmap/transport/panels.h"
#include "boltzmap/transport/search.h"

#define BM_BATCH 64 /* chunks between two looks at stop requests */
#define BM_SEED 1   /* of the levels: any choice gives the same distance */

/* Room for what comes with a request, on ranks other than 0. */
typedef struct {
  uint32_t *points;         /* [n] */
  double *threshold, *dual; /* [n] */
} desk_t;

struct bm_pricing {
  const bm_context_t *context; /* NULL: alone */
  bm_cost_t *cost;
  bm_frame_t *frame;
  uint32_t *sequence[2]; /* [n] */
  bm_panels_t *panels[2];
  uint32_t *slot_of[2]; /* [n] */
  desk_t desk;
  bm_log_t *log;
  char note[64];
  double asked; /* pairs, in millions */
  double seconds;
};

static int thread_count(const bm_context_t *context)
{
#ifdef _OPENMP
  return context != NULL && context->size == 1 ? omp_get_max_threads() : 1;
#else
  (void)context;
  return 1;
#endif
}

static int thread_number(void)
{
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}

static int rank_of(const bm_pricing_t *p)
{
  return p->context == NULL ? 0 : p->context->rank;
}

static int size_of(const bm_pricing_t *p)
{
  return p->context == NULL ? 1 : p->context->size;
}

static bm_status_t agree(const bm_pricing_t *p, bm_status_t status)
{
  return size_of(p) == 1 ? status : bm_agree(p->context, status);
}

static bm_status_t fill(bm_pricing_t *p, size_t levels, const size_t *sizes)
{
  BM_TRY(bm_frame_create(p->cost, &p->frame));
  for (int side = 0; side < 2; side++) {
    uint32_t *row_of = NULL;
    BM_TRY(BM_ALLOC(p->cost->n, &p->sequence[side]));
    BM_TRY(BM_ALLOC(p->cost->n, &p->slot_of[side]));
    BM_TRY(bm_levels_sequence(p->frame, side, p->cost->n, p->sequence[side]));
    BM_TRY(BM_ALLOC(p->cost->n, &row_of));
    bm_status_t status = bm_levels_renumber(
        levels, sizes, bm_random_derive_seed(BM_SEED, (uint64_t)side), p->sequence[side], row_of);
    bm_free(p->cost->order[side]);
    p->cost->order[side] = row_of;
    BM_TRY(status);
  }
  if (rank_of(p) == 0) {
    return BM_OK;
  }
  BM_TRY(BM_ALLOC(p->cost->n, &p->desk.points));
  BM_TRY(BM_ALLOC(p->cost->n, &p->desk.threshold));
  return BM_ALLOC(p->cost->n, &p->desk.dual);
}

/* Points are numbered as on rank 0, also where another processor's last digits would sort
 * otherwise. */
static bm_status_t number_alike(const bm_pricing_t *p)
{
  const size_t bytes = p->cost->n * sizeof(uint32_t);
  for (int side = 0; side < 2 && size_of(p) > 1; side++) {
    BM_TRY(bm_broadcast(p->context, p->sequence[side], bytes));
    BM_TRY(bm_broadcast(p->context, p->cost->order[side], bytes));
  }
  return BM_OK;
}

bm_status_t bm_pricing_create(const bm_context_t *context, bm_cost_t *cost, size_t levels,
                              const size_t *sizes, bm_pricing_t **out)
{
  bm_pricing_t *p = NULL;
  bm_status_t status = BM_ALLOC(1, &p);
  if (status == BM_OK) {
    p->context = context;
    p->cost = cost;
    status = fill(p, levels, sizes);
  }
  status = context == NULL ? status : bm_agree(context, status);
  if (status == BM_OK) {
    status = number_alike(p);
  }
  if (status != BM_OK) {
    bm_pricing_destroy(&p);
    return status;
  }
  *out = p;
  return BM_OK;
}

void bm_pricing_destroy(bm_pricing_t **pricing)
{
  bm_pricing_t *p = *pricing;
  if (p == NULL) {
    return;
  }
  for (int side = 0; side < 2; side++) {
    bm_free(p->sequence[side]);
    bm_free(p->slot_of[side]);
    bm_panels_destroy(&p->panels[side]);
  }
  bm_frame_destroy(&p->frame);
  bm_free(p->desk.points);
  bm_free(p->desk.threshold);
  bm_free(p->desk.dual);
  bm_free(p);
  *pricing = NULL;
}

const uint32_t *bm_pricing_points(const bm_pricing_t *p, int side, size_t *n)
{
  *n = p->panels[side]->n;
  return p->panels[side]->point;
}

void bm_pricing_show(bm_pricing_t *p, bm_log_t *log)
{
  p->log = log;
}

void bm_pricing_note(bm_pricing_t *p, const char *note)
{
  snprintf(p->note, sizeof p->note, "%s", note);
}

double bm_pricing_seconds(const bm_pricing_t *p)
{
  return p->seconds;
}

/* --- what rank 0 asks ------------------------------------------------------------------------- */

typedef enum { BM_FINISH, BM_PACK, BM_ASK } bm_order_t;

typedef struct {
  uint64_t order;
  uint64_t side, n;     /* pack */
  uint64_t count, keep; /* ask */
  int64_t status;       /* finish */
} message_t;

static bm_status_t send(const bm_pricing_t *p, void *bytes, size_t count)
{
  return size_of(p) == 1 ? BM_OK : bm_broadcast(p->context, bytes, count);
}

static bm_status_t pack(bm_pricing_t *p, int side, size_t n)
{
  bm_panels_destroy(&p->panels[side]);
  BM_TRY(bm_panels_create(p->frame, side, n, p->cost->n, p->sequence[side], &p->panels[side]));
  for (size_t slot = 0; slot < n; slot++) {
    p->slot_of[side][p->panels[side]->point[slot]] = (uint32_t)slot;
  }
  return BM_OK;
}

bm_status_t bm_pricing_pack(bm_pricing_t *p, int side, size_t n)
{
  message_t message = {.order = BM_PACK, .side = (uint64_t)side, .n = n};
  if (p->panels[side] != NULL && p->panels[side]->n == n) {
    return BM_OK;
  }
  BM_TRY(send(p, &message, sizeof message));
  return agree(p, pack(p, side, n));
}

bm_status_t bm_pricing_finish(bm_pricing_t *p, bm_status_t status)
{
  message_t message = {.order = BM_FINISH, .status = (int64_t)status};
  char text[BM_MESSAGE_MAX];
  BM_TRY(send(p, &message, sizeof message));
  memcpy(text, bm_status_message(), sizeof text);
  BM_TRY(send(p, text, sizeof text));
  bm_status_set_message(text);
  return status;
}

/* --- a rank's share --------------------------------------------------------------------------- */

/* Chunks are dealt out in turn: those next to each other cost about the same. */
static size_t own_chunks(size_t count, int size, int rank)
{
  const size_t chunks = (count + BM_PANEL_CHUNK - 1) / BM_PANEL_CHUNK;
  return (chunks + (size_t)(size - 1 - rank)) / (size_t)size;
}

static size_t points_of_chunk(size_t count, size_t chunk)
{
  const size_t first = chunk * BM_PANEL_CHUNK;
  return count - first < BM_PANEL_CHUNK ? count - first : BM_PANEL_CHUNK;
}

static size_t own_points(size_t count, int size, int rank)
{
  const size_t chunks = own_chunks(count, size, rank);
  if (chunks == 0) {
    return 0;
  }
  const size_t last = (chunks - 1) * (size_t)size + (size_t)rank;
  return (chunks - 1) * BM_PANEL_CHUNK + points_of_chunk(count, last);
}

/* A rank's answers, of its chunks one after the other, and room for a batch of them. */
typedef struct {
  bm_search_t search;
  int threads;
  bm_search_room_t **rooms; /* [threads] */
  uint32_t *batch;          /* [BM_BATCH][BM_PANEL_CHUNK][keep] */
  bm_pricing_answer_t answer;
  size_t room; /* partners that there is room for */
} share_t;

static void free_share(share_t *share)
{
  for (int t = 0; t < share->threads && share->rooms != NULL; t++) {
    bm_search_room_destroy(&share->rooms[t]);
  }
  bm_free(share->rooms);
  bm_free(share->batch);
  bm_pricing_answer_free(&share->answer);
}

static bm_status_t create_share(const bm_pricing_t *p, const bm_pricing_request_t *request,
                                share_t *share)
{
  const size_t own = own_points(request->count, size_of(p), rank_of(p));
  share->threads = thread_count(p->context);
  share->search = (bm_search_t){.cost = p->cost,
                                .unit = bm_frame_unit(p->frame),
                                .rows = p->panels[request->side],
                                .columns = p->panels[1 - request->side],
                                .slot_of_row = p->slot_of[request->side],
                                .dual = request->dual,
                                .keep = request->keep};
  share->answer.count = own;
  BM_TRY(BM_ALLOC((size_t)share->threads, &share->rooms));
  for (int t = 0; t < share->threads; t++) {
    BM_TRY(bm_search_room_create(p->cost->d, request->keep, &share->rooms[t]));
  }
  BM_TRY(BM_ALLOC(BM_BATCH * BM_PANEL_CHUNK * request->keep, &share->batch));
  BM_TRY(BM_ALLOC(own, &share->answer.found));
  BM_TRY(BM_ALLOC(own, &share->answer.least));
  return BM_ALLOC(own, &share->answer.bound);
}

/* The `number`-th of a rank's chunks. */
static void work_chunk(const bm_pricing_t *p, const bm_pricing_request_t *request,
                       const share_t *share, size_t number)
{
  const size_t chunk = number * (size_t)size_of(p) + (size_t)rank_of(p);
  const size_t first = chunk * BM_PANEL_CHUNK, own = number * BM_PANEL_CHUNK;
  const bm_search_chunk_t piece = {.count = points_of_chunk(request->count, chunk),
                                   .points = request->points + first,
                                   .threshold = request->threshold + first,
                                   .found = share->answer.found + own,
                                   .least = share->answer.least + own,
                                   .bound = share->answer.bound + own,
                                   .partner = share->batch +
                                              number % BM_BATCH * BM_PANEL_CHUNK * request->keep};
  bm_search_chunk(&share->search, share->rooms[thread_number()], &piece);
}

/* Put the partners of a batch behind those of the ones before. */
static bm_status_t close_batch(share_t *share, size_t first, size_t end)
{
  bm_pricing_answer_t *answer = &share->answer;
  const size_t keep = share->search.keep;
  size_t more = 0;
  for (size_t r = first; r < end; r++) {
    more += answer->found[r];
  }
  if (answer->total + more > share->room) {
    const size_t room = 2 * share->room + more;
    BM_TRY(bm_resize(share->room, room, sizeof *answer->partner, (void **)&answer->partner));
    share->room = room;
  }
  for (size_t r = first; r < end && more > 0; r++) {
    memcpy(answer->partner + answer->total, share->batch + (r - first) * keep,
           answer->found[r] * sizeof *answer->partner);
    answer->total += answer->found[r];
  }
  return BM_OK;
}

static bm_status_t work_share(bm_pricing_t *p, const bm_pricing_request_t *request, share_t *share)
{
  const size_t chunks = own_chunks(request->count, size_of(p), rank_of(p));
  const double million = 1e-6 * (double)request->count * (double)p->panels[1 - request->side]->n;
  for (size_t first = 0; first < chunks; first += BM_BATCH) {
    const size_t end = first + BM_BATCH < chunks ? first + BM_BATCH : chunks;
    BM_TRY(bm_stop_poll());
#ifdef _OPENMP
#pragma omp parallel for num_threads(share->threads) schedule(dynamic)
#endif
    for (size_t c = first; c < end; c++) {
      work_chunk(p, request, share, c);
    }
    const size_t points = share->answer.count;
    BM_TRY(
        close_batch(share, first * BM_PANEL_CHUNK, end == chunks ? points : end * BM_PANEL_CHUNK));
    bm_log_progress(p->log, p->asked + million * (double)end / (double)chunks, "%s", p->note);
  }
  p->asked += million;
  return BM_OK;
}

/* --- bringing the shares together ------------------------------------------------------------- */

/* Where each rank's part of an array begins, and how long it is. */
typedef struct {
  int *counts, *offsets; /* [size] */
  size_t total;
} parts_t;

static bm_status_t gather(const bm_pricing_t *p, const parts_t *parts, MPI_Datatype type,
                          const void *mine, void *all)
{
  BM_TRY_MPI(MPI_Gatherv(mine, parts->counts[rank_of(p)], type, all, parts->counts, parts->offsets,
                         type, 0, p->context->comm));
  return BM_OK;
}

static bm_status_t find_parts(const bm_pricing_t *p, size_t mine, int *room /* [2][size] */,
                              parts_t *parts)
{
  parts->counts = room;
  parts->offsets = room + size_of(p);
  parts->total = 0;
  BM_TRY(agree(p, mine > INT_MAX ? BM_FAIL(BM_ERR_DATA, "exact distance: too many points a rank")
                                 : BM_OK));
  const int count = (int)mine;
  BM_TRY_MPI(MPI_Allgather(&count, 1, MPI_INT, parts->counts, 1, MPI_INT, p->context->comm));
  for (int rank = 0; rank < size_of(p); rank++) {
    parts->offsets[rank] = (int)parts->total;
    parts->total += (size_t)parts->counts[rank];
  }
  return agree(p, parts->total > INT_MAX
                      ? BM_FAIL(BM_ERR_DATA, "exact distance: too many points in all")
                      : BM_OK);
}

/* All ranks' answers as they come, rank after rank, into the order of the request. */
static void sort_answers(const bm_pricing_t *p, const bm_pricing_answer_t *gathered,
                         const parts_t *points, const parts_t *partners,
                         bm_pricing_answer_t *answer)
{
  size_t total = 0;
  for (size_t first = 0; first < answer->count; first += BM_PANEL_CHUNK) {
    const int rank = (int)(first / BM_PANEL_CHUNK % (size_t)size_of(p));
    const size_t end = first + points_of_chunk(answer->count, first / BM_PANEL_CHUNK);
    for (size_t r = first; r < end; r++) {
      const size_t from = (size_t)points->offsets[rank]++;
      answer->found[r] = gathered->found[from];
      answer->least[r] = gathered->least[from];
      answer->bound[r] = gathered->bound[from];
      memcpy(answer->partner + total, gathered->partner + partners->offsets[rank],
             answer->found[r] * sizeof *answer->partner);
      partners->offsets[rank] += (int)answer->found[r];
      total += answer->found[r];
    }
  }
}

static bm_status_t create_answer(bm_pricing_answer_t *answer, size_t count, size_t total)
{
  *answer = (bm_pricing_answer_t){.count = count, .total = total};
  BM_TRY(BM_ALLOC(count, &answer->found));
  BM_TRY(BM_ALLOC(count, &answer->least));
  BM_TRY(BM_ALLOC(count, &answer->bound));
  return BM_ALLOC(total, &answer->partner);
}

static bm_status_t gather_parts(const bm_pricing_t *p, const bm_pricing_answer_t *mine,
                                const parts_t *points, const parts_t *partners,
                                bm_pricing_answer_t *answer)
{
  bm_pricing_answer_t all = {0};
  bm_status_t status = BM_OK;
  if (rank_of(p) == 0) {
    status = create_answer(&all, points->total, partners->total);
    if (status == BM_OK) {
      status = create_answer(answer, points->total, partners->total);
    }
  }
  BM_TRY_GOTO(status, done, agree(p, status));
  BM_TRY_GOTO(status, done, gather(p, points, MPI_UINT32_T, mine->found, all.found));
  BM_TRY_GOTO(status, done, gather(p, points, MPI_DOUBLE, mine->least, all.least));
  BM_TRY_GOTO(status, done, gather(p, points, MPI_DOUBLE, mine->bound, all.bound));
  BM_TRY_GOTO(status, done, gather(p, partners, MPI_UINT32_T, mine->partner, all.partner));
  if (rank_of(p) == 0) {
    sort_answers(p, &all, points, partners, answer);
  }
done:
  bm_pricing_answer_free(&all);
  return status;
}

static bm_status_t bring_together(const bm_pricing_t *p, share_t *share,
                                  bm_pricing_answer_t *answer)
{
  if (size_of(p) == 1) {
    *answer = share->answer;
    share->answer = (bm_pricing_answer_t){0};
    return BM_OK;
  }
  int *room = NULL; /* [4][size] */
  parts_t points, partners;
  BM_TRY(agree(p, BM_ALLOC(4 * (size_t)size_of(p), &room)));
  bm_status_t status = find_parts(p, share->answer.count, room, &points);
  if (status == BM_OK) {
    status = find_parts(p, share->answer.total, room + 2 * size_of(p), &partners);
  }
  if (status == BM_OK) {
    status = gather_parts(p, &share->answer, &points, &partners, answer);
  }
  bm_free(room);
  return status;
}

static bm_status_t answer_request(bm_pricing_t *p, const bm_pricing_request_t *request,
                                  bm_pricing_answer_t *answer)
{
  share_t share = {0};
  bm_panels_set_duals(p->panels[1 - request->side], bm_frame_unit(p->frame), request->dual);
  bm_status_t status = create_share(p, request, &share);
  if (status == BM_OK) {
    status = work_share(p, request, &share);
  }
  status = agree(p, status);
  if (status == BM_OK) {
    status = bring_together(p, &share, answer);
  }
  free_share(&share);
  return status;
}

bm_status_t bm_pricing_ask(bm_pricing_t *p, const bm_pricing_request_t *request,
                           bm_pricing_answer_t *answer)
{
  message_t message = {.order = BM_ASK,
                       .side = (uint64_t)request->side,
                       .count = request->count,
                       .keep = request->keep};
  const double started = bm_log_clock();
  *answer = (bm_pricing_answer_t){0};
  BM_TRY(send(p, &message, sizeof message));
  BM_TRY(send(p, (void *)request->points, request->count * sizeof *request->points));
  BM_TRY(send(p, (void *)request->threshold, request->count * sizeof *request->threshold));
  BM_TRY(send(p, (void *)request->dual, p->panels[1 - request->side]->n * sizeof *request->dual));
  bm_status_t status = answer_request(p, request, answer);
  if (status != BM_OK) {
    bm_pricing_answer_free(answer);
  }
  p->seconds += bm_log_clock() - started;
  return status;
}

void bm_pricing_answer_free(bm_pricing_answer_t *answer)
{
  bm_free(answer->found);
  bm_free(answer->least);
  bm_free(answer->bound);
  bm_free(answer->partner);
  *answer = (bm_pricing_answer_t){0};
}

/* --- ranks other than 0 ----------------------------------------------------------------------- */

static bm_status_t serve_request(bm_pricing_t *p, const message_t *message)
{
  const bm_pricing_request_t request = {.side = (int)message->side,
                                        .count = message->count,
                                        .keep = message->keep,
                                        .points = p->desk.points,
                                        .threshold = p->desk.threshold,
                                        .dual = p->desk.dual};
  bm_pricing_answer_t nothing = {0};
  BM_TRY(send(p, p->desk.points, request.count * sizeof *request.points));
  BM_TRY(send(p, p->desk.threshold, request.count * sizeof *request.threshold));
  BM_TRY(send(p, p->desk.dual, p->panels[1 - request.side]->n * sizeof *request.dual));
  return answer_request(p, &request, &nothing);
}

static bm_status_t leave(const bm_pricing_t *p, bm_status_t status)
{
  char text[BM_MESSAGE_MAX];
  BM_TRY(send(p, text, sizeof text));
  bm_status_set_message(text);
  return status;
}

/* A failure in between is known to rank 0 as well, which ends the service with it. */
bm_status_t bm_pricing_serve(bm_pricing_t *p)
{
  for (;;) {
    message_t message;
    BM_TRY(send(p, &message, sizeof message));
    switch ((bm_order_t)message.order) {
    case BM_FINISH:
      return leave(p, (bm_status_t)message.status);
    case BM_PACK:
      (void)agree(p, pack(p, (int)message.side, message.n));
      break;
    case BM_ASK:
      (void)serve_request(p, &message);
      break;
    }
  }
}
